"""A server without a Swarm: two apps, real recipes, an Engine and an abra that do as they are told.

`traefik` upgrades without a question; `keycloak` is held by a note that asks for work by hand.
"""

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pexpect

from tests.cli.fakeengine import CLUSTER, FakeEngine
from tests.gitrepo import GitRepo

SERVER = "ci.example.org"
ROOT = Path(__file__).parents[2]
TOOL = (sys.executable, "-m", "ccci_upgrade")
ACK = "notes-migration:1.1.0+1.1.0"
NOTES = {
    "traefik": "Fixes two bugs. Nothing to do.\n",
    "keycloak": "ATTENTION: a manual migration is needed.\n",
}

_ABRA = """#!{python} -SE
import json, os, socket, sys, time
os.environ.pop("LC_ALL", None)
words = sys.argv[1:]
if "--version" in words:
    print("abra version 0.13.0-beta"); sys.exit(0)
if "--help" in words:
    print("Usage:\\n  abra app\\n\\nFlags:\\n  -n, --no-input\\n  -f, --force"); sys.exit(0)
import signal
here = os.path.dirname(os.path.abspath(sys.argv[0]))
with open(os.path.join(here, "habits.json")) as file:
    habits = json.load(file)
def stop(number, frame):
    with open(os.path.join(here, "signals"), "a") as file:
        file.write("%d\\n" % number)
    if number not in habits.get("ignore", []):
        os.write(1, b"FATA stopped by %d\\n" % number)
        os._exit(130)
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
for line in habits.get("say", []):
    print(line, flush=True)
sys.stdout.buffer.write(bytes.fromhex(habits.get("raw", "")))
print("INFO deploying", words[2], words[3], flush=True)
time.sleep(habits.get("before", 0))
image = "%s:%s" % (words[2].split(".")[0], words[3].split("+")[1])
if not habits.get("noop"):
    body = json.dumps({{"stack": words[2].replace(".", "_"), "image": image, "version": words[3],
        "error": habits.get("error", ""), "settled": not habits.get("unsettled")}}).encode()
    link = socket.socket(socket.AF_UNIX)
    link.connect({socket!r})
    head = "POST /fake/put HTTP/1.1\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n" % len(body)
    link.sendall(head.encode() + body)
    while link.recv(4096):
        pass
print("INFO deployed", flush=True)
time.sleep(habits.get("after", 0))
sys.exit(habits.get("exit", 0))
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A program that ended; both streams as bytes."""

    code: int
    out: bytes
    err: bytes
    seconds: float

    @property
    def last(self) -> str:
        """The last line of standard error."""
        return self.err.decode().rstrip("\n").rpartition("\n")[2]


class Scene:
    """The server in a folder. Every app is at 1.0.0+1.0.0, and 1.1.0+1.1.0 is there."""

    def __init__(self, folder: Path, engine: FakeEngine) -> None:
        """Write everything; notes and `.env` may be changed by a test."""
        self.folder = folder
        self.engine = engine
        self.abra_dir = folder / "abra"
        self.state = folder / "state"
        self.config = folder / "conf.toml"
        (folder / "bin").mkdir()
        self.abra = folder / "bin" / "abra"
        self.abra.write_text(_ABRA.format(python=sys.executable, socket=str(engine.socket)))
        self.abra.chmod(0o755)
        self.habits()
        self.repos: dict[str, GitRepo] = {}
        for recipe, note in NOTES.items():
            self.repos[recipe] = self.recipe(recipe, note.encode())
            self.env(recipe, f"TYPE={recipe}:1.0.0+1.0.0\nDOMAIN={self.app(recipe)}\n")
            engine.put(self.stack(recipe), f"{recipe}:1.0.0", "1.0.0+1.0.0")
        tables = "".join(
            f'[apps."{self.app(r)}"]\nprobes = []\nholds_data = false\nsettle = "200ms"\nbudget = "20s"\n'
            for r in NOTES
        )
        self.config.write_text(
            f'abra = "{self.abra}"\nabra_dir = "{self.abra_dir}"\nstate_dir = "{self.state}"\n'
            f'cache_dir = "{folder / "cache"}"\nserver = "{SERVER}"\n'
            f'[servers."{SERVER}"]\ndocker_host = "{engine.url}"\n{tables}'
        )

    def app(self, recipe: str) -> str:
        """The app's name."""
        return f"{recipe}.{SERVER}"

    def stack(self, recipe: str) -> str:
        """The stack's name."""
        return self.app(recipe).replace(".", "_")

    def env(self, recipe: str, text: str | bytes) -> Path:
        """Write an app's `.env`."""
        path = self.abra_dir / "servers" / SERVER / f"{self.app(recipe)}.env"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def recipe(self, name: str, note: bytes) -> GitRepo:
        """Make the recipe's repository with two versions."""
        repo = GitRepo(self.abra_dir / "recipes" / name)
        repo.release("1.0.0+1.0.0", {"compose.yml": _compose(name, "1.0.0")})
        repo.release("1.1.0+1.1.0", {"compose.yml": _compose(name, "1.1.0"), "release/1.1.0+1.1.0": note})
        return repo

    def habits(self, **habits: object) -> None:
        """What the stand-in for abra does from now on."""
        (self.folder / "bin" / "habits.json").write_text(json.dumps(habits))

    def signals(self) -> list[int]:
        """The signals that abra was sent."""
        path = self.folder / "bin" / "signals"
        return [int(word) for word in path.read_text().split()] if path.exists() else []

    def argv(self, *words: str) -> list[str]:
        """The tool's command line here."""
        return [*TOOL, "--config", str(self.config), *words]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A plain environment with the terminal of most people, and the console script on PATH."""
        kept = {k: v for k, v in os.environ.items() if k in ("HOME", "LANG", "TMPDIR")}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**kept, "PATH": path, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(extra or {})}

    def run(
        self,
        *words: str,
        stdin: int | None = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        data: bytes | None = None,
        script: str | None = None,
    ) -> Ran:
        """Run the tool without a terminal; `script` is a line in which `"$@"` is the tool."""
        argv = self.argv(*words) if script is None else ["bash", "-c", script, "bash", *self.argv(*words)]
        return _ran(argv, self.environment(env), self.folder, stdin, data)

    def python(self, script: str) -> Ran:
        """Run a script in the tool's Python."""
        argv = [sys.executable, "-c", script]
        return _ran(argv, self.environment(), self.folder, subprocess.DEVNULL, None)

    def line(self, line: str) -> Ran:
        """Run a line that the tool printed, as a shell would."""
        return _ran(["bash", "-c", line], self.environment(), self.folder, subprocess.DEVNULL, None)

    def pty(
        self,
        *words: str,
        env: Mapping[str, str] | None = None,
        columns: int = 80,
        script: str | None = None,
    ) -> "pexpect.spawn[str]":
        """Run the tool at a terminal."""
        argv = self.argv(*words) if script is None else ["bash", "-c", script, "bash", *self.argv(*words)]
        return pexpect.spawn(
            argv[0],
            argv[1:],
            env=self.environment(env),
            cwd=str(self.folder),
            timeout=60,
            dimensions=(40, columns),
            encoding="utf-8",
            codec_errors="replace",
        )

    def runs(self) -> list[dict[str, Any]]:
        """The runs that were closed, as the journal has them, oldest first."""
        path = self.state / CLUSTER / "journal.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line["run"] for line in lines if line["word"] == "closed"]

    def wait_for_run(self, seconds: float = 60.0) -> dict[str, Any]:
        """Wait until a run is recorded."""
        deadline = time.monotonic() + seconds
        while not self.runs():
            assert time.monotonic() < deadline, "no run was recorded"
            time.sleep(0.05)
        return self.runs()[-1]

    def untouched(self) -> bool:
        """Whether nothing was acted on: no run, and the Swarm as it was."""
        versions = {
            label
            for service in self.engine.services.values()
            for key, label in service["Spec"]["Labels"].items()
            if key.endswith(".version")
        }
        return not self.runs() and versions == {"1.0.0+1.0.0"}


@contextmanager
def standing(folder: Path) -> Iterator[Scene]:
    """Make a scene, and end its Engine afterwards."""
    engine = FakeEngine(folder)
    try:
        yield Scene(folder, engine)
    finally:
        engine.close()


def _ran(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, stdin: int | None, data: bytes | None
) -> Ran:
    started = time.monotonic()
    with subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        stdin=stdin if data is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            out, err = child.communicate(data, timeout=60)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    return Ran(code=child.returncode, out=out, err=err, seconds=time.monotonic() - started)


def plain(child: "pexpect.spawn[str]") -> str:
    """What a child at a terminal said last, without colours."""
    return re.sub(r"\x1b\[[\d;]*m", "", str(child.before))


def ended(child: "pexpect.spawn[str]", seconds: float = 60.0) -> int:
    """Read a child at a terminal to its end, and give its exit code (128 and more for a signal)."""
    child.expect(pexpect.EOF, timeout=seconds)
    child.close()
    return child.exitstatus if child.exitstatus is not None else 128 + (child.signalstatus or 0)


def hang_up(argv: Sequence[str], env: Mapping[str, str], cwd: Path) -> tuple[int, int]:
    """Start a program as the leader of a session at a new terminal; gives its pid and our end of the terminal."""
    pid, handle = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - the child of a fork, at its terminal
    return pid, handle


def _compose(name: str, tag: str) -> str:
    version = f"{tag}+{tag}"
    return (
        f'version: "3.8"\nservices:\n  app:\n    image: {name}:{tag}\n    deploy:\n      labels:\n'
        f'        - "coop-cloud.${{STACK_NAME}}.version={version}"\n'
    )
