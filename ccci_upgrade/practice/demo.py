"""The main job from start to end, on a practice host of its own: `python -m ccci_upgrade.practice.demo`.

Each command is the real one with its real output; each exit code is checked. Ends with 0 where all was as it
must be, 1 with a sentence where it was not, 130 after Ctrl-C; in any case nothing is left behind.
"""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError
from ccci_upgrade.practice import hosting
from ccci_upgrade.practice.world.place import MARK, Place
from ccci_upgrade.process import child_env

_PACKAGE = str(Path(__file__).parents[2])
_ENDING = 5.0
_LONGEST = 120.0
_HOLDS = {"db-major:db", "major", "notes-migration:11.0.0+26.2.0"}
_RUNS = [
    ("traefik.ci.example.org", "rolled_back", "swarm_rolled_back"),
    ("drone.ci.example.org", "upgraded", "converged"),
]


class WrongError(Exception):
    """Something was not as it must be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One command, why it is typed, the exit code it must have, and what is said of it afterwards."""

    why: str
    words: tuple[str, ...]
    code: int = 0
    told: str = ""


SCENES = (
    Scene(why="What runs, and what is newer?", words=("status",)),
    Scene(why="What would change? This changes nothing.", words=("plan", "drone")),
    Scene(
        why="An upgrade. abra acts, the Swarm tells how it went.",
        words=("upgrade", "drone", "--no-input"),
        told="upgraded, and proven by the Swarm",
    ),
    Scene(
        why="One that asks for something first: a major, with a database's.",
        words=("upgrade", "keycloak", "--no-input"),
        code=12,
        told="held, nothing was changed",
    ),
    Scene(
        why="One that fails: the new version ends at once, Swarm goes back, and the page stays green.",
        words=("upgrade", "traefik", "--no-input"),
        code=14,
        told="not a success: back on the old version, healthy",
    ),
    Scene(why="What was done?", words=("history",)),
)


class Demo:
    """One play in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Nothing is started yet."""
        self.place = Place(root=folder / "ccci-practice")
        self._folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self._bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def play(self) -> None:
        """All scenes. WrongError at the first thing that is not as it must be."""
        self._say("A practice host: no Docker, no abra, no root.")
        self._type("practice")
        self._expect(self._run(("practice", "--json"), quiet=True, cwd=self._folder), 0, "practice")
        for scene in SCENES:
            self._say(scene.why)
            self._type(*scene.words)
            code = self._run(scene.words)
            self._expect(code, scene.code, " ".join(scene.words))
            if scene.told:
                self._print(f"exit {code}: {scene.told}")
            if scene.words[:2] == ("upgrade", "keycloak"):
                self._name_holds()
        self._check_history()

    def close(self) -> None:
        """End what runs, and take the host away."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(timeout=_ENDING)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
        if (self.place.root / MARK).exists():
            hosting.remove(self.place)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _name_holds(self) -> None:
        (plan,) = rows(self._document("plan", "keycloak"), "plans")
        holds = rows(plan, "holds")
        self._print(f"it waits for {len(holds)} acknowledgements, each by name: {', '.join(map(str, holds))}")
        if set(holds) != _HOLDS:
            raise WrongError(f"keycloak must be held by {', '.join(sorted(_HOLDS))}")

    def _check_history(self) -> None:
        runs = rows(self._document("history"), "runs")
        seen = [
            (table(run, "app"), table(run, "outcome"), table(table(run, "verdict"), "state")) for run in runs
        ]
        if seen != _RUNS:
            raise WrongError(f"the history must be {_RUNS}, it is {seen}")

    def _document(self, *words: str) -> object:
        """The data of a command's document."""
        code, out = self._call((*words, "--json"), out=subprocess.PIPE)
        self._expect(code, 0, " ".join(words))
        return table(json.loads(out), "data")

    def _run(self, words: Sequence[str], *, quiet: bool = False, cwd: Path | None = None) -> int:
        """Run the program as it would be typed here; its output goes where ours goes."""
        return self._call(words, out=subprocess.DEVNULL if quiet else None, cwd=cwd)[0]

    def _call(self, words: Sequence[str], *, out: int | None, cwd: Path | None = None) -> tuple[int, bytes]:
        more = os.environ.get("PYTHONPATH", "")
        locale = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
        env = child_env({"PYTHONPATH": f"{_PACKAGE}{os.pathsep}{more}" if more else _PACKAGE, **locale})
        self._child = subprocess.Popen(
            [sys.executable, "-m", "ccci_upgrade", *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL if out == subprocess.PIPE else None,
            env=env,
            cwd=cwd or self.place.root,
        )
        try:
            read, _ = self._child.communicate(timeout=_LONGEST)
        except subprocess.TimeoutExpired as error:
            raise WrongError(f"`{shlex.join(words)}` still ran after {_LONGEST:g} s") from error
        return self._child.returncode, read or b""

    @staticmethod
    def _expect(code: int, wanted: int, what: str) -> None:
        if code != wanted:
            raise WrongError(f"`ccci-upgrade {what}` must end with {wanted}, it ended with {code}")

    def _say(self, text: str) -> None:
        self._print(f"\n{self._in_bold(f'# {text}')}")

    def _type(self, *words: str) -> None:
        self._print(self._in_bold(f"$ {shlex.join(('ccci-upgrade', *words))}"))

    @staticmethod
    def _print(text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()  # the next command writes to the same place

    def _in_bold(self, text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if self._bold else text


def table(of: object, key: str) -> object:
    """What an object of a document has under a key, None where it is none or has none."""
    return of.get(key) if isinstance(of, dict) else None


def rows(of: object, key: str) -> list[object]:
    """A list of a document, empty where it is none."""
    found = table(of, key)
    return found if isinstance(found, list) else []


def main() -> int:
    """Play it; gives the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    started = clock.ticks()
    demo = Demo(Path(tempfile.mkdtemp(prefix="ccci-demo-")))
    try:
        demo.play()
    except KeyboardInterrupt:
        return _end(demo, 130, "interrupted; all is removed")
    except (WrongError, CcciError, OSError, ValueError, KeyError, TypeError) as error:
        return _end(demo, 1, f"the demo failed: {error}")
    return _end(demo, 0, f"\nAll as it must be, in {clock.ticks() - started:.0f} s. {_go_on()}")


def _end(demo: Demo, code: int, text: str) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # pressed again, it would leave a half behind
    _tell(text, sys.stderr.write if code else sys.stdout.write)
    demo.close()
    return code


def _tell(text: str, write: Callable[[str], int]) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more; what was made must be removed all the same
        write(f"{text}\n")
        (sys.stdout if write == sys.stdout.write else sys.stderr).flush()


def _go_on() -> str:
    """What to type next, for whoever has the program in their shell and for whoever has not."""
    lines = [
        "ccci-upgrade practice",
        "cd ccci-practice",
        "ccci-upgrade status",
        "ccci-upgrade practice break",
    ]
    if shutil.which("ccci-upgrade") is None:
        lines.insert(0, f'PATH="{Path(sys.executable).parent}:$PATH"')
    return "To go on by hand:\n" + "\n".join(f"  $ {line}" for line in lines)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
