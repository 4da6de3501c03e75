"""A stand-in for abra: `python -m ccci_upgrade.practice.abra ARGS`.

The documented subset of abra 0.13, on any Engine's socket and on real git recipes in `$ABRA_DIR`. What goes
wrong with abra goes wrong here on order: see `habits`. Fatal lines go to standard output and the exit code is 1,
as with abra.
"""

import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from ccci_upgrade.practice import acts, backups, habits, lists
from ccci_upgrade.practice.commandline import parse
from ccci_upgrade.practice.console import Console, FatalError
from ccci_upgrade.process import end_all

HABITS = "practice.json"
"""In ABRA_DIR: what to do wrong."""

_LOCK = "practice.lock"
_ACTS: dict[tuple[str, ...], Callable[[acts.Scene], None]] = {
    ("app", "deploy"): acts.deploy,
    ("app", "upgrade"): acts.upgrade,
    ("app", "rollback"): acts.rollback,
    ("app", "undeploy"): acts.undeploy,
    ("app", "backup", "create"): backups.create,
    ("app", "backup", "snapshots"): backups.snapshots,
    ("recipe", "fetch"): lists.fetch,
}
_LISTS: dict[tuple[str, ...], Callable[[acts.Scene], None]] = {
    ("app", "ls"): lists.apps,
    ("app", "ps"): lists.tasks,
    ("app", "secret", "ls"): lists.secrets,
    ("app", "secret", "generate"): lists.generate,
    ("app", "secret", "insert"): lists.insert,
    ("recipe", "versions"): lists.versions,
    ("server", "ls"): lists.servers,
}


class StoppedError(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so nothing on the way takes it for an ordinary failure."""

    def __init__(self, number: int) -> None:
        """Take the signal's number."""
        super().__init__(number)
        self.number = number


def main(argv: Sequence[str]) -> int:
    """Run one line; gives the exit code: 0, 1 for a fatal line, 130 or 143 for a signal."""
    console = Console()
    try:
        call = parse(argv)
        if isinstance(call, str):
            console.plain(call)
            return 0
        directory = abra_dir()
        shown = habits.read(directory / HABITS, call.verb) if call.command.words in _ACTS else habits.Habits()
        console = Console(lang=shown.lang)
        _take_signals(shown)
        _run(acts.Scene(abra_dir=directory, call=call, habits=shown, console=console))
    except FatalError as error:
        console.fatal(str(error))
        return 1
    except StoppedError as stopped:
        end_all()  # a git that went on would still change the recipe after we said we stopped
        console.fatal(f"stopped by signal {stopped.number}, the deployment goes on by itself")
        return 128 + stopped.number
    return 0


def abra_dir() -> Path:
    """`$ABRA_DIR`, else `~/.abra`."""
    return Path(os.environ.get("ABRA_DIR") or "~/.abra").expanduser()


def _run(scene: acts.Scene) -> None:
    words = scene.call.command.words
    if words in _LISTS:
        _LISTS[words](scene)
        return
    with _alone(scene.abra_dir):
        _ACTS[words](scene)


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Fail where a second stand-in acts on the same directory: two abras race on the one work tree."""
    try:
        handle = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FatalError(f"unable to open {directory}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise FatalError("unable to checkout recipe: worktree is in use by another abra") from error
    finally:
        os.close(handle)


def _take_signals(shown: habits.Habits) -> None:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN if shown.ignore_sigint else _stop)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if shown.ignore_sigterm else _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    raise StoppedError(number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
