"""A practice host that is put back to a picture of itself within a fraction of a second, again and again."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccci_upgrade.flows.lease import look_at_lease
from ccci_upgrade.model.lease import LeaseState
from ccci_upgrade.practice.engine import PracticeEngine
from ccci_upgrade.practice.world import repositories
from ccci_upgrade.tools.engine import Engine, Json
from ccci_upgrade.tools.swarm import Swarm
from tests.killing import killer, recipe
from tests.practice.test_command import ROOT, TOOL, environment

Tree = dict[str, Json]
SECONDS = 180.0
"""For one command, on a machine that has much else to do; alone none takes a twentieth of it."""

SINCE = "since"
"""A file that somebody writes after a death."""

_ABRA = """#!/bin/sh
case "$*" in
  --version | *--help) exec cat "{help}/$*" ;;
esac
echo "$$ $({date} +%s.%N) $*" >>{log}
export DOCKER_HOST=unix://{socket} ABRA_DIR={abra} PYTHONPATH={package}
exec {python} -m ccci_upgrade.practice.abra "$@"
"""
"""What only reads is answered from a file: a Python for each question would be most of a matrix' time."""

_HELP = ("--version", "app upgrade --help", "app deploy --help", "app rollback --help")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """All that a host was at one moment; `files` holds its folder and its volumes."""

    files: Path
    services: tuple[Tree, ...]
    volumes: tuple[Tree, ...]
    configs: tuple[Tree, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A command that ended; `code` is negative for a signal."""

    words: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def document(self) -> Any:
        """Its one document; AssertionError with all it said where there is none."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(self.said) from None

    @property
    def said(self) -> str:
        """All it said, for whoever has to find out what went wrong."""
        return f"`{' '.join(self.words)}` exit {self.code}\n{self.err[-3000:]}{self.out[-3000:]}"


class Lab:
    """One host: `folder` is where the program is called, `engine` what it asks."""

    def __init__(self) -> None:
        """Make it: the app runs at its old version, its data is there."""
        self.root = Path(tempfile.mkdtemp(prefix="kl-"))  # a socket's path must be short
        self.folder = self.root / "host"
        self._child_path = self.root / "child"
        self._make()
        self._practice = PracticeEngine(self.root / "e")
        self._practice.start()
        self.engine = Engine(self._practice.socket)
        self._deploy()

    def close(self) -> None:
        """End it and leave nothing."""
        self.engine.close()
        self._practice.stop()
        shutil.rmtree(self.root)

    # -- what is done there --------------------------------------------------------------------------------

    def begin(self, *words: str, at: str = "", count: str = "") -> "subprocess.Popen[str]":
        """Start the program; it ends itself at the point `at`."""
        named = {key: value for key, value in (("KILL_AT", at), ("KILL_COUNT", count)) if value}
        return subprocess.Popen(
            [*TOOL, *words],
            cwd=self.folder,
            env=environment(**named) | {"PYTHONPATH": f"{self._child_path}{os.pathsep}{ROOT}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, at: str = "", count: str = "") -> Ran:
        """Run it to its end."""
        began = time.monotonic()
        with self.begin(*words, at=at, count=count) as child:
            return self.ended(child, words, began)

    def ended(self, child: "subprocess.Popen[str]", words: tuple[str, ...], began: float) -> Ran:
        """Wait for a command; one that does not end is killed, and its code says so."""
        try:
            out, err = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            err += f"\nnot ended after {SECONDS:.0f} s"
        seconds = time.monotonic() - began
        return Ran(words=words, code=child.returncode, out=out, err=err, seconds=seconds)

    def kill_abra(self) -> None:
        """End every abra that was started here, with all it started."""
        for number in self.abras:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(number, signal.SIGKILL)

    def spoil(self) -> None:
        """Change the data as somebody does who will want the snapshot back."""
        for volume in recipe.VOLUMES:
            place = self._volumes / volume
            (place / "sub" / "rows").write_bytes(b"spoilt")
            (place / "sub" / "new").write_text("made since")
            (place / "soft").unlink()

    def work(self) -> None:
        """Write something as an app's people do, where it is up; whatever comes next must not lose it."""
        for volume in recipe.VOLUMES:
            (self._volumes / volume / SINCE).write_text("somebody's work")

    # -- what is seen there --------------------------------------------------------------------------------

    @property
    def abras(self) -> list[int]:
        """The process of each act that was started since the picture."""
        return [int(line.split()[0]) for line in self._acts()]

    @property
    def acts(self) -> list[tuple[float, str]]:
        """When each act began, and its words."""
        return [(float(line.split()[1]), line.split(maxsplit=2)[2]) for line in self._acts()]

    def _acts(self) -> list[str]:
        path = self.root / "acts.log"
        return path.read_text().splitlines() if path.exists() else []

    def services(self) -> list[Tree]:
        """All services, with their counts."""
        return self._rows("/services", {"status": "true"})

    def running(self) -> bool:
        """Whether every service runs all it is meant to, and none is meant to run nothing."""
        rows = self.services()
        counts = [_at(row, "ServiceStatus", "RunningTasks") for row in rows]
        wanted = [_at(row, "Spec", "Mode", "Replicated", "Replicas") for row in rows]
        return len(rows) == len(recipe.SERVICES) and counts == wanted == [1] * len(rows)

    @property
    def version(self) -> str:
        """What the label says and the image confirms; both where they differ."""
        app = next(row for row in self.services() if _at(row, "Spec", "Name") == recipe.SERVICES[0])
        label = str(_at(app, "Spec", "Labels", f"coop-cloud.{recipe.STACK}.version"))
        image = str(_at(app, "Spec", "TaskTemplate", "ContainerSpec", "Image")).partition("@")[0]
        same = image == recipe.IMAGES.get(label)
        return label if same else f"{label} with {image}"

    @property
    def pinned(self) -> str:
        """What the `.env` pins."""
        return self._env.read_text().splitlines()[0].partition(":")[2]

    @property
    def data(self) -> dict[str, tuple[object, ...]]:
        """What is in the volumes: kind, mode, content or target, and the time of what no app touches."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(each for each in self._volumes.rglob("*") if each.name != SINCE):
            name = str(path.relative_to(self._volumes))
            mode = path.lstat().st_mode
            if path.is_symlink():
                found[name] = ("link", str(path.readlink()))
            elif path.is_dir():
                found[name] = ("folder", mode)
            else:
                touched = path.name in ("version", "migrations")
                found[name] = (mode, path.read_bytes(), 0 if touched else int(path.stat().st_mtime))
        return found

    def lost_work(self) -> list[str]:
        """Volumes whose work since is neither there nor in any snapshot."""
        there = {path.parent.name for path in self._volumes.glob(f"*/{SINCE}")}
        for path in (self._state / "snapshots").glob("*/*/manifest.json"):
            manifest = json.loads(path.read_text())
            for volume in manifest["volumes"]:
                with tarfile.open(path.parent / volume["file"]) as archive:
                    there |= {volume["name"]} if f"__v/{SINCE}" in archive.getnames() else set()
        return sorted(set(recipe.VOLUMES) - there)

    def carriers(self) -> list[Tree]:
        """Containers that no service has, and that are not there to keep an old image from being pruned."""
        found = self._rows("/containers/json", {"all": "true"})
        known = ("com.docker.swarm.service.name", "ccci-upgrade.keeper")
        return [row for row in found if not any(_at(row, "Labels", label) for label in known)]

    def lease_free(self, *, left: bool) -> bool:
        """Whether nobody has the lease; `left`: a dead holder's counts as free, whoever wants it has it at once."""
        seen = look_at_lease(Swarm(self.engine))
        return seen.state is LeaseState.FREE or (left and seen.dead)

    @property
    def journal(self) -> Path:
        """The one journal."""
        return self._state / "journal.jsonl"

    @property
    def half_snapshots(self) -> list[str]:
        """What is among the snapshots and is none."""
        kept = (self._state / "snapshots").glob("*/*")
        return [path.name for path in kept if not (path / "manifest.json").is_file()]

    @property
    def snapshots(self) -> list[str]:
        """The ids of all snapshots, oldest first."""
        return sorted(p.parent.name for p in (self._state / "snapshots").glob("*/*/manifest.json"))

    def told(self, kind: str, action: str, since: float) -> list[tuple[float, Tree]]:
        """Events about the app's first service: when, and what was said of it."""
        query: dict[str, Json] = {"since": f"{since:.3f}", "until": f"{time.time():.3f}"}
        query["filters"] = {"type": [kind], "event": [action]}
        found = [
            each for each in self.engine.lines("GET", "/events", query, seconds=5) if isinstance(each, dict)
        ]
        told = [(int(str(each["timeNano"])) / 1e9, _tree(each, "Actor", "Attributes")) for each in found]
        return [
            (when, said)
            for when, said in told
            if recipe.SERVICES[0] in (said.get("name"), said.get("com.docker.swarm.service.name"))
        ]

    def twice(self, since: float) -> list[str]:
        """Acts of abra that began when the service already was where they were to bring it."""
        images = [
            (when, str(said["image.new"]).partition("@")[0])
            for when, said in self.told("service", "update", since)
            if "image.new" in said
        ]
        found = []
        for when, words in self.acts:
            was = [image for at, image in images if at < when]
            if was and any(was[-1] == image and version in words for version, image in recipe.IMAGES.items()):
                found.append(words)
        return found

    # -- pictures ------------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """Take one of the host as it is; it must not move."""
        files = self.root / f"picture{len(list(self.root.glob('picture*')))}"
        shutil.copytree(self.folder, files / "host", symlinks=True)
        shutil.copytree(self._volumes, files / "volumes", symlinks=True)
        volumes = self._rows_in("/volumes", "Volumes")
        return Picture(
            files=files,
            services=tuple(_tree(row, "Spec") for row in self.services()),
            volumes=tuple({key: row[key] for key in ("Name", "Driver", "Labels")} for row in volumes),
            configs=tuple(_tree(row, "Spec") for row in self._rows("/configs") if not _is_lease(row)),
        )

    def restore(self, picture: Picture) -> None:
        """Be what the picture shows, whatever happened since."""
        self.kill_abra()
        self._clear()
        shutil.rmtree(self.folder)
        shutil.copytree(picture.files / "host", self.folder, symlinks=True)
        for volume in picture.volumes:
            self._post("/volumes/create", volume)
            name = str(volume["Name"])
            target = self._volumes / name
            shutil.copytree(picture.files / "volumes" / name, target, symlinks=True, dirs_exist_ok=True)
        for config in picture.configs:
            self._post("/configs/create", config)
        for spec in picture.services:
            self._post("/services/create", spec)
        (self.root / "acts.log").unlink(missing_ok=True)
        self.wait(self.running, "the app did not come up")

    def wait(self, true: Callable[[], bool], why: str, seconds: float = 60.0) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{why}: {self.services()}"
            time.sleep(0.02)

    def _clear(self) -> None:
        for row in self.services():
            self.engine.ask("DELETE", f"/services/{row['ID']}")
        self.wait(lambda: not self._rows("/tasks"), "tasks stay")
        for row in self._rows("/containers/json", {"all": "true"}):
            self.engine.ask("DELETE", f"/containers/{row['Id']}", {"force": "true"})
        for row in self._rows_in("/volumes", "Volumes"):
            self.engine.ask("DELETE", f"/volumes/{row['Name']}")
        for row in self._rows("/configs"):
            self.engine.ask("DELETE", f"/configs/{row['ID']}")

    # -- how it is made ------------------------------------------------------------------------------------

    @property
    def _env(self) -> Path:
        return self.folder / "abra" / "servers" / recipe.SERVER / f"{recipe.APP}.env"

    @property
    def _volumes(self) -> Path:
        return self.root / "e" / "volumes"

    @property
    def _state(self) -> Path:
        found = [path for path in (self.folder / "state").glob("*") if path.is_dir()]
        return found[0] if found else self.folder / "state" / "none"

    def _make(self) -> None:
        self._child_path.mkdir(parents=True)
        shutil.copy(killer.__file__, self._child_path / "sitecustomize.py")
        origin = self.root / "origin"
        repositories.build(recipe.SOURCE, origin, bare=True)
        repositories.clone(origin, self.folder / "abra" / "recipes" / recipe.NAME)
        self._env.parent.mkdir(parents=True)
        self._env.write_text(recipe.ENV)
        images = {recipe.OLD_IMAGE: True, recipe.DATABASE: True, recipe.NEW_IMAGE: False}
        listed = {image: {"local": local, "seconds": 0.05} for image, local in images.items()}
        (self.root / "e").mkdir()
        (self.root / "e" / "registry.json").write_text(json.dumps({"images": listed}))
        (self.folder / "ccci-upgrade.toml").write_text(
            f'abra = "{self.root}/abra"\nabra_dir = "abra"\nstate_dir = "state"\ncache_dir = "cache"\n'
            f'server = "{recipe.SERVER}"\n[servers."{recipe.SERVER}"]\n'
            f'docker_host = "unix://{self.root}/e/engine.sock"\n'
            f'[apps."{recipe.APP}"]\nbudget = "90s"\nsettle = "100ms"\nprobes = []\n'
        )
        self._make_abra()

    def _make_abra(self) -> None:
        (self.root / "help").mkdir()
        for words in _HELP:
            said = subprocess.run(
                [sys.executable, "-m", "ccci_upgrade.practice.abra", *words.split()],
                capture_output=True,
                check=True,
                env=environment(),
            )
            (self.root / "help" / words).write_bytes(said.stdout)
        text = _ABRA.format(
            help=self.root / "help",
            log=self.root / "acts.log",
            socket=self.root / "e" / "engine.sock",
            abra=self.folder / "abra",
            package=ROOT,
            date=shutil.which("date"),
            python=sys.executable,
        )
        (self.root / "abra").write_text(text)
        (self.root / "abra").chmod(0o755)

    def _deploy(self) -> None:
        words = ("app", "deploy", recipe.APP, "--no-input", "--no-converge-checks")
        env = {**environment(), "PATH": os.environ["PATH"]}
        subprocess.run([str(self.root / "abra"), *words], check=True, capture_output=True, env=env)
        self.wait(self.running, "the app did not come up")
        for volume in recipe.VOLUMES:
            place = self._volumes / volume
            (place / "sub" / "empty").mkdir(parents=True)
            (place / "sub" / "rows").write_bytes(os.urandom(20_000))
            (place / "sub" / "rows").chmod(0o640)
            (place / "sub").chmod(0o1750)
            (place / "soft").symlink_to("sub/rows")

    # -- asking --------------------------------------------------------------------------------------------

    def _rows(self, path: str, query: dict[str, Json] | None = None) -> list[Tree]:
        found = self.engine.get(path, query)
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def _rows_in(self, path: str, key: str) -> list[Tree]:
        found = self.engine.get(path)
        rows = found.get(key) if isinstance(found, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    def _post(self, path: str, body: Json) -> None:
        answer = self.engine.ask("POST", path, body=body)
        assert answer.status in (200, 201), answer.message


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    """Give one."""
    made = Lab()
    try:
        yield made
    finally:
        made.close()


def _at(value: Json, *path: str) -> Json:
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _tree(value: Json, *path: str) -> Tree:
    found = _at(value, *path)
    return found if isinstance(found, dict) else {}


def _is_lease(row: Tree) -> bool:
    return _at(row, "Spec", "Name") == "ccci-upgrade-lease"
