"""A practice server: an abra directory, three recipes, a configuration, and the stand-in as its abra."""

import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ccci_upgrade.practice.world.recipes import ENV, SOURCES
from ccci_upgrade.practice.world.source import Step, changed, with_env
from tests.gitrepo import GitRepo
from tests.swarm.harness import MESH_PORT, Engine, Ran

SERVER = "ci.example.org"
PORTS = {"traefik": MESH_PORT, "keycloak": 8081, "drone": 8082}
PAGES = {"traefik": "/api/version", "keycloak": "/realms/master", "drone": "/healthz"}
_REPOSITORY = Path(__file__).parents[2]


class Host:
    """One server. Apps are named by recipe here: `traefik` is `traefik.ci.example.org`."""

    def __init__(self, folder: Path, engine: Engine) -> None:
        """Name the places; `make_host` fills them."""
        self.engine = engine
        self.folder = folder
        self.abra_dir = folder / "abra"
        self.state_dir = folder / "state"
        self.config = folder / "ccci-upgrade.toml"
        self.abra_path = folder / "bin" / "abra"

    # --- names --------------------------------------------------------------------------------------------

    def app(self, recipe: str) -> str:
        """The app's name."""
        return f"{recipe}.{SERVER}"

    def stack(self, recipe: str) -> str:
        """The stack's name."""
        return self.app(recipe).replace(".", "_")

    def env_path(self, recipe: str) -> Path:
        """The app's `.env`."""
        return self.abra_dir / "servers" / SERVER / f"{self.app(recipe)}.env"

    def recipe(self, recipe: str) -> GitRepo:
        """Abra's own checkout, the one shared work tree."""
        return _opened(self.abra_dir / "recipes" / recipe)

    # --- recipes ------------------------------------------------------------------------------------------

    def release(
        self,
        recipe: str,
        version: str,
        *,
        images: Mapping[str, str] | None = None,
        env: Mapping[str, Mapping[str, str]] | None = None,
        swap: Sequence[tuple[str, str]] = (),
        files: Mapping[str, str | bytes] | None = None,
        note: str | bytes | None = None,
        based_on: str | None = None,
        annotated: bool = True,
        made: bool = True,
    ) -> None:
        """Publish one more version: the newest (or `based_on`) with changes.

        `images` by service; `env` adds to services' environment (`{"app": {"HEALTHY": "never"}}`); `swap`
        replaces text of compose.yml, and fails the test where it is not there; `files` are written as they
        are. Images are made too, unless `made` is False.
        """
        repo = self.recipe(recipe)
        head = repo.git("rev-parse", "--abbrev-ref", "HEAD")
        repo.git("checkout", "--quiet", "main")
        if based_on is not None:
            repo.git("checkout", "--quiet", f"refs/tags/{based_on}", "--", ".")
        for image in (images or {}).values():
            if made:
                self.engine.import_image(image)
        step = Step(version=version, images=dict(images or {}), swap=tuple(swap))
        compose = changed((repo.path / "compose.yml").read_text(), step)
        for service, values in (env or {}).items():
            compose = with_env(compose, service, values)
        written: dict[str, str | bytes] = {"compose.yml": compose, **(files or {})}
        if note is not None:
            written[f"release/{version}"] = note
        repo.commit(written, f"chore: publish {version} release")
        repo.tag(version, annotated=annotated)
        if head != "main":
            repo.git("checkout", "--quiet", head if head != "HEAD" else "main")

    # --- the Swarm ----------------------------------------------------------------------------------------

    def deploy(self, *recipes: str, version: str | None = None) -> None:
        """Deploy apps (all three where none is named) at the version their `.env` pins, and wait for them."""
        names = recipes or tuple(source.name for source in SOURCES)
        for name in names:
            self.abra("app", "secret", "generate", self.app(name), "--all", "-n", check=True)
            chosen = [version] if version else []
            self.abra("app", "deploy", self.app(name), *chosen, "-n", "-f", "-c", check=True)
        self.wait_for(*names)

    def wait_for(self, *recipes: str) -> None:
        """Wait until apps run in full and answer."""
        for name in recipes:
            self.engine.wait(lambda name=name: self.converged(name), f"{name} did not come up")  # type: ignore[misc]
            self.engine.wait(lambda name=name: self.answers(name), f"{name} does not answer")  # type: ignore[misc]

    def converged(self, recipe: str) -> bool:
        """Whether every service has the replicas it wants, and none is being updated."""
        listed = self.services(recipe, "{{.Replicas}}")
        states = [
            self.inspect(recipe, name, "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}")
            for name in self.services(recipe, "{{.Name}}")
        ]
        full = all(row.split("/")[0] == row.split("/")[1].split(" ")[0] for row in listed)
        return bool(listed) and full and not {"updating", "rollback_started"} & set(states)

    def answers(self, recipe: str) -> bool:
        """Whether the app's page is there."""
        return self.engine.get(PORTS[recipe], PAGES[recipe])[0] == 200

    def services(self, recipe: str, what: str = "{{.Name}}") -> list[str]:
        """One line per service of the app's stack."""
        of = f"label=com.docker.stack.namespace={self.stack(recipe)}"
        return self.engine.docker("service", "ls", "--filter", of, "--format", what).splitlines()

    def inspect(self, recipe: str, service: str, what: str) -> str:
        """Part of one service, by docker's format; `service` is its short or full name."""
        full = service if service.startswith(self.stack(recipe)) else f"{self.stack(recipe)}_{service}"
        return self.engine.docker("service", "inspect", full, "--format", what)

    def label(self, recipe: str, key: str = "version") -> str:
        """A `coop-cloud.<stack>.<key>` label of the running app, "" where there is none."""
        name = f"coop-cloud.{self.stack(recipe)}.{key}"
        return self.inspect(recipe, "app", f'{{{{index .Spec.Labels "{name}"}}}}')

    def pinned(self, recipe: str) -> str:
        """What the `.env` pins."""
        found = re.search(r"^TYPE=\w+:?(\S*)", self.env_path(recipe).read_text(), re.MULTILINE)
        assert found is not None
        return found[1]

    # --- programs -----------------------------------------------------------------------------------------

    def habits(self, **habits: object) -> None:
        """Make the stand-in misbehave from now on; nothing named makes it behave again."""
        (self.abra_dir / "practice.json").write_text(json.dumps(habits))

    def abra(
        self, *words: str, check: bool = False, env: Mapping[str, str] | None = None, data: str | None = None
    ) -> Ran:
        """Run the stand-in, as the tool would."""
        own = {"ABRA_DIR": str(self.abra_dir), **(env or {})}
        ran = self.engine.run([str(self.abra_path), *words], env=own, data=data)
        assert not check or ran.code == 0, f"abra {' '.join(words)}: {ran.out}{ran.err}"
        return ran

    def argv(self, *words: str) -> list[str]:
        """The tool's command line on this server, for `engine.popen` and `engine.pty`."""
        return [sys.executable, "-m", "ccci_upgrade", "--config", str(self.config), *words]

    def run_tool(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        data: str | None = None,
        seconds: float = 180.0,
    ) -> Ran:
        """Run the tool without a terminal."""
        return self.engine.run(self.argv(*words), env=env, data=data, seconds=seconds)

    def configure(self, extra: str = "", *, budget: str = "40s", settle: str = "1s") -> None:
        """Write the configuration; `extra` TOML comes last."""
        apps = "".join(_app_table(self.app(name), name, budget, settle) for name in PORTS)
        self.config.write_text(
            f'abra = "{self.abra_path}"\nabra_dir = "{self.abra_dir}"\nstate_dir = "{self.state_dir}"\n'
            f'cache_dir = "{self.folder / "cache"}"\nserver = "{SERVER}"\n\n'
            f'[servers."{SERVER}"]\ndocker_host = "{self.engine.url}"\n{apps}{extra}'
        )


def make_host(folder: Path, engine: Engine, recipes: Path) -> Host:
    """Make a server in `folder`, with copies of the repositories in `recipes`; nothing is deployed."""
    host = Host(folder, engine)
    shutil.copytree(recipes, host.abra_dir / "recipes", symlinks=True)
    for name, text in ENV.items():
        path = host.env_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    host.abra_path.parent.mkdir()
    host.abra_path.write_text(
        f"#!/bin/sh\nDOCKER_HOST={engine.url} PYTHONPATH={_REPOSITORY}\nexport DOCKER_HOST PYTHONPATH\n"
        f'exec {sys.executable} -m ccci_upgrade.practice.abra "$@"\n'
    )
    host.abra_path.chmod(0o755)
    host.configure()
    return host


def _opened(path: Path) -> GitRepo:
    repo = GitRepo.__new__(GitRepo)
    repo.path = path
    return repo


def _app_table(app: str, recipe: str, budget: str, settle: str) -> str:
    return (
        f'\n[apps."{app}"]\naddress = "127.0.0.1"\nbudget = "{budget}"\nsettle = "{settle}"\n'
        f'\n[[apps."{app}".probes]]\nname = "page"\n'
        f'url = "http://{{domain}}:{PORTS[recipe]}{PAGES[recipe]}"\nstatus = [200]\n'
    )
