"""What the stand-in deploys is what `docker stack deploy` deploys, by value, on the same Swarm."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ccci_upgrade.model.compose import compose_files
from ccci_upgrade.model.envfile import parse_env
from ccci_upgrade.practice import composefiles
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.practice.recipes import open_recipe
from ccci_upgrade.practice.swarmclient import Docker
from ccci_upgrade.practice.world.recipes import ENV, SOURCES
from tests.swarm import snippets
from tests.swarm.harness import Engine

VERSIONS = [(s.name, v) for s in SOURCES for v in (s.first, *(step.version for step in s.steps))]
_OLD_CLIENT = 20
_SUBNET = "10.33.0.0/24"


@pytest.fixture(scope="module", autouse=True)
def _clean(engine: Engine) -> Iterator[None]:
    """Take everything away at the end: each test has stacks of its own."""
    yield
    engine.reset()


@pytest.fixture(autouse=True)
def _socket(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the deployer find the private Engine."""
    monkeypatch.setenv("DOCKER_HOST", engine.url)


def _client_is_new() -> bool:
    ran = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=False)  # noqa: S607 - docker from PATH
    found = re.search(r"version (\d+)", ran.stdout)
    return found is not None and int(found[1]) > _OLD_CLIENT


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """Compose files on their way into one stack; `env` is without what depends on the stack."""

    engine: Engine
    name: str
    folder: Path
    texts: Sequence[str]
    env: Mapping[str, str]

    @property
    def all_env(self) -> dict[str, str]:
        """The environment of both deployers. `NET` keeps the subnets of two stacks apart."""
        return {**self.env, "STACK_NAME": self.name, "NET": "33" if self.name.endswith("d") else "34"}

    def by_docker(self) -> str:
        """Deploy with the docker client; gives its words."""
        named: list[str] = []
        for number, text in enumerate(self.texts):
            path = self.folder / f"compose.{number}.yml"
            path.write_text(text)
            named += ["--compose-file", str(path)]
        own = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        words = ("stack", "deploy", "--detach=true", "--resolve-image", "never", *named, self.name)
        ran = subprocess.run(
            ["docker", "-H", self.engine.url, *words],  # noqa: S607 - docker from PATH
            capture_output=True,
            text=True,
            check=False,
            env=own | self.all_env,
            timeout=120,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def by_us(self) -> str:
        """Deploy with the stand-in's deployer; gives its words."""
        files = [(f"compose.{number}.yml", text) for number, text in enumerate(self.texts)]
        with closing(Docker(server="default")) as docker:
            return docker.deploy(self.name, files, folder=self.folder, env=self.all_env)

    def deployed(self) -> dict[str, object]:
        """All that a deploy made, without ids and times; the stack is called `stack`."""
        found: dict[str, object] = {}
        of = f"label=com.docker.stack.namespace={self.name}"
        for kind in ("service", "network", "config", "secret"):
            names = self.engine.docker(kind, "ls", "-q", "--filter", of).split()
            for each in json.loads(self.engine.docker(kind, "inspect", *names)) if names else []:
                spec = _network(each) if kind == "network" else each["Spec"]
                found[f"{kind} {str(spec['Name']).replace(self.name, 'stack')}"] = self._nameless(spec)
        return found

    def remove_services(self) -> None:
        """Free the ports; what is left of the tasks goes by itself."""
        of = f"label=com.docker.stack.namespace={self.name}"
        self.engine.docker(
            "service", "rm", *self.engine.docker("service", "ls", "-q", "--filter", of).split()
        )

    def _nameless(self, spec: dict[str, object]) -> object:
        """Write names for ids, and sort what neither client promises an order for."""
        text = json.dumps(spec)
        listed = self.engine.docker("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}")
        for line in listed.splitlines():
            number, name = line.split(" ")
            text = text.replace(f'"{number}"', f'"network {name}"')
        text = re.sub(r'"(ConfigID|SecretID)": "\w+"', r'"\1": ""', text).replace(self.name, "stack")
        plain = json.loads(text)
        plain.get("EndpointSpec", {}).get("Ports", []).sort(key=json.dumps)
        attached = plain.get("TaskTemplate", {}).get("Networks", [])
        for each in attached:
            each.get("Aliases", []).sort()
        attached.sort(key=json.dumps)
        return plain


def _network(each: dict[str, object]) -> dict[str, object]:
    keys = ("Name", "Scope", "Driver", "Internal", "Attachable", "Ingress", "Labels", "EnableIPv6")
    ipam, options = each["IPAM"], each["Options"]
    assert isinstance(ipam, dict)
    assert options is None or isinstance(options, dict)
    fixed = [
        c["Subnet"] for c in ipam["Config"] or [] if c.get("Subnet", "").startswith(("10.33.", "10.34."))
    ]
    own = {k: v for k, v in (options or {}).items() if "vxlanid" not in k}
    told = {"subnets": [_SUBNET for _ in fixed], "ipam": ipam["Driver"], "options": own}
    return {key: each[key] for key in keys} | told


def compare(theirs: Stack) -> None:
    """Deploy by Docker, by us over that (nothing may move), and by us as another stack."""
    words = theirs.by_docker()
    expected = theirs.deployed()
    assert any(key.startswith("service ") for key in expected)
    again = theirs.by_us().splitlines()
    assert theirs.deployed() == expected, "an update by us moved something"
    assert again == sorted(again)
    assert all(re.fullmatch(r"Updating service \S+ \(id: \w{25}\)", line) for line in again), again
    theirs.remove_services()
    ours = replace(theirs, name=f"{theirs.name[:-1]}o")
    said = ours.by_us()
    assert ours.deployed() == expected
    assert sorted(said.replace(ours.name, theirs.name).splitlines()) == sorted(words.splitlines())
    ours.remove_services()


@pytest.mark.skipif(not _client_is_new(), reason="the docker client is too old to compare with")
@pytest.mark.parametrize("name", snippets.SNIPPETS)
def test_each_key_is_deployed_as_docker_does(engine: Engine, tmp_path: Path, name: str) -> None:
    """One key, or a family of them, at a time; the services need not run."""
    (tmp_path / "plain.txt").write_text("content\n")
    env = {"FROM_ENV": "outside"}
    compare(Stack(engine=engine, name=f"{name}-d", folder=tmp_path, texts=snippets.files(name), env=env))


@pytest.mark.skipif(not _client_is_new(), reason="the docker client is too old to compare with")
@pytest.mark.parametrize(("recipe", "version"), VERSIONS)
def test_each_recipe_is_deployed_as_docker_does(
    engine: Engine, recipes: Path, tmp_path: Path, recipe: str, version: str
) -> None:
    """Every version of the three recipes, with its `.env`."""
    shutil.copytree(recipes / recipe, tmp_path / "recipes" / recipe, symlinks=True)
    checkout = open_recipe(tmp_path, recipe)
    checkout.checkout(checkout.version(version))
    env = checkout.exports() | parse_env(ENV[recipe].encode(), name=recipe).values
    stack = f"{recipe}-{VERSIONS.index((recipe, version))}-d"
    texts = [(checkout.path / file).read_text() for file in compose_files(env)]
    for name in (stack, f"{stack[:-1]}o"):
        for secret in composefiles.load(
            checkout.path, env | {"STACK_NAME": name}, stack=name
        ).secrets.values():
            engine.docker("secret", "create", secret, "-", data=b"x")
    compare(Stack(engine=engine, name=stack, folder=checkout.path, texts=texts, env=env))


def test_taken_names_of_configs_are_refused_with_other_contents(engine: Engine, tmp_path: Path) -> None:
    """The same content may be deployed again; any other is the Engine's refusal, word for word."""
    texts = snippets.files("files")
    (tmp_path / "plain.txt").write_text("content\n")
    stack = Stack(engine=engine, name="taken-d", folder=tmp_path, texts=texts, env={})
    stack.by_us()
    assert "Creating config" not in stack.by_us()
    (tmp_path / "plain.txt").write_text("other\n")
    with pytest.raises(FatalError, match="only updates to Labels are allowed"):
        stack.by_us()
