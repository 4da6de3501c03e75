"""abra: the only module that knows its arguments.

What is documented of abra 0.13 and what is not: docs/explanation/abra.md. Its words are shown, never read;
its exit code ends nothing.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade import clock, process
from ccci_upgrade.errors import LockedError, NotReadyError
from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.text import decode, tame, tame_line

if TYPE_CHECKING:
    from ccci_upgrade.model.facts import AbraInfo
    from ccci_upgrade.redact import Masker

LOCK = "ccci-upgrade.lock"
"""In `ABRA_DIR`, held by us and inherited by abra: an abra that outlives us still holds it."""

TAIL = 20
"""Lines of abra's output kept for a failed run's evidence."""

_HELP_SECONDS = 10.0
_NEEDED = {
    "app upgrade": ("--no-input",),
    "app rollback": ("--no-input",),
    "app deploy": ("--no-input", "--force"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ActResult:
    """How an abra ended: `code` is negative for a signal; `tail` its last lines, tamed and masked."""

    argv: tuple[str, ...]
    code: int
    seconds: float
    timed_out: bool
    signals: int
    tail: tuple[str, ...]
    output: Path | None


class Abra:
    """One abra binary on one `ABRA_DIR`."""

    def __init__(self, binary: str, abra_dir: Path) -> None:
        """Name both; nothing is run yet."""
        self.binary = binary
        self.abra_dir = abra_dir

    def info(self) -> "AbraInfo":
        """Ask for version and help, read-only; NotReadyError where there is no such binary."""
        from ccci_upgrade.model.facts import AbraInfo  # noqa: PLC0415 - start-up time is measured

        path = self._found()
        version = self._words("--version")
        unread: list[str] = []
        missing: list[str] = []
        for command, flags in _NEEDED.items():
            text = self._words(*command.split(), "--help")
            if not re.search(r"(?im)^\s*(usage|flags|options)", text):
                unread.append(f"abra {command} --help")
                continue
            missing += [f"abra {command}: {flag}" for flag in flags if not re.search(rf"{flag}\b", text)]
        word = re.search(r"\d+\.\d+\S*", version)
        shown = tame_line(word.group() if word else "unknown")
        return AbraInfo(path=path, version=shown, unread=tuple(unread), missing=tuple(missing))

    @staticmethod
    def upgrade_argv(domain: str, version: str) -> tuple[str, ...]:
        """The arguments of `abra app upgrade` for exactly one version."""
        return ("app", "upgrade", domain, version, "--no-input")

    @staticmethod
    def back_argv(domain: str, version: str, *, live: str | None) -> tuple[str, ...]:
        """The arguments that lead to an older version, or to `live` itself once more.

        `app rollback` refuses what is no downgrade: where Swarm itself went back, and towards a newer version,
        only `app deploy --force` acts.
        """
        now, wanted = RecipeVersion.parse(live or ""), RecipeVersion.parse(version)
        if now is not None and wanted is not None and wanted < now:
            return ("app", "rollback", domain, version, "--no-input")
        return ("app", "deploy", domain, version, "--force", "--no-input")

    @contextlib.contextmanager
    def alone(self, *, seconds: float) -> Iterator[int]:
        """Hold this `ABRA_DIR` for one abra; gives the lock's descriptor, which the child inherits."""
        try:
            handle = os.open(
                self.abra_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise NotReadyError(
                f"cannot write in `{self.abra_dir}`: {error.strerror}",
                hint="abra must be able to write there too",
            ) from error
        try:
            self._wait_for_lock(handle, seconds)
            yield handle
        finally:
            os.close(handle)

    def act(
        self,
        arguments: tuple[str, ...],
        *,
        lock: int,
        show: Callable[[str], None],
        log: Path,
        masker: "Masker",
    ) -> "Act":
        """Start an act; its raw output goes, masked, to `log`, and line by line to `show`."""
        return Act((self._found(), *arguments), self.abra_dir, lock=lock, show=show, log=log, masker=masker)

    def _wait_for_lock(self, handle: int, seconds: float) -> None:
        deadline = clock.ticks() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.ticks() >= deadline:
                    raise LockedError(
                        f"another abra started by this tool still runs on `{self.abra_dir}`",
                        hint="wait for it; `ps -C abra` shows it, `ccci-upgrade status` shows the open run",
                    ) from None
                clock.sleep(0.1)
            else:
                return

    def _found(self) -> str:
        path = shutil.which(os.path.expanduser(self.binary))  # noqa: PTH111 - a bare name must stay one
        if path is None:
            raise NotReadyError(
                f"no `{self.binary}` found",
                hint="install abra, or set `abra` in ccci-upgrade.toml to its path",
                code="no-abra",
            )
        return path

    def _words(self, *arguments: str) -> str:
        done = process.run(
            (self._found(), *arguments),
            seconds=_HELP_SECONDS,
            env={"ABRA_DIR": str(self.abra_dir)},
            cwd=Path("/"),
        )
        return decode(done.out[:200_000]) + decode(done.err[:200_000])


def _opened(log: Path) -> FileIO:
    try:
        return log.open("wb", buffering=0)
    except OSError as error:
        raise NotReadyError(
            f"cannot write abra's output to `{log}`: {error.strerror}",
            hint="nothing was changed; free space, or set `state_dir` in ccci-upgrade.toml",
            code="journal",
        ) from error


class Act:
    """A running abra."""

    def __init__(
        self,
        argv: tuple[str, ...],
        abra_dir: Path,
        *,
        lock: int,
        show: Callable[[str], None],
        log: Path,
        masker: "Masker",
    ) -> None:
        """Start it in its own process group, without a terminal, from a folder that holds no `abra.yml`."""
        self.argv = argv
        self.signals = 0
        self._started = clock.ticks()
        self._show = show
        self._log_path = log
        self._log = _opened(log)
        self._writing = threading.Lock()
        self._ended = False
        self._masked = masker.stream()
        self._pending = b""
        self._tail: list[str] = []
        env = {"ABRA_DIR": str(abra_dir), "NO_COLOR": "1", "TERM": "dumb"}
        try:
            self._child = process.Child(argv, sink=self._take, env=env, cwd=Path("/"), inherit=(lock,))
        except (OSError, ValueError) as error:
            self._log.close()
            said = error.strerror if isinstance(error, OSError) else None
            raise NotReadyError(f"cannot start `{argv[0]}`: {said or error}", code="no-abra") from error

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._child.poll() is None

    def press(self) -> str:
        """Pass on one more Ctrl-C: interrupt, then terminate, then kill. Says which."""
        ladder = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
        number = ladder[min(self.signals, len(ladder) - 1)]
        self.signals += 1
        self._child.signal(number)
        return number.name

    def end(self) -> None:
        """End it for good: the budget is used up."""
        for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
            self._child.signal(number)
            deadline = clock.ticks() + patience
            while self.running() and clock.ticks() < deadline:
                clock.sleep(0.05)

    def result(self, *, timed_out: bool) -> ActResult:
        """Collect it once it ended."""
        self._child.finish(2.0)
        with self._writing:  # a grandchild may still hold the pipes and print
            self._write(self._masked.flush(), last=True)
            self._log.close()
            self._ended = True
        code = self._child.poll()
        return ActResult(
            argv=("abra", *self.argv[1:]),
            code=code if code is not None else -signal.SIGKILL,
            seconds=clock.ticks() - self._started,
            timed_out=timed_out,
            signals=self.signals,
            tail=tuple(self._tail),
            output=self._log_path,
        )

    def _take(self, chunk: bytes) -> None:
        with self._writing:
            if not self._ended:
                self._write(self._masked.feed(chunk), last=False)

    def _write(self, data: bytes, *, last: bool) -> None:
        if data:
            with contextlib.suppress(OSError):  # a full disk must not stop the reading: abra would block
                self._log.write(data)
        *lines, self._pending = (self._pending + data).replace(b"\r", b"\n").split(b"\n")
        if last or len(self._pending) > 8192:  # noqa: PLR2004 - a line without end is shown in pieces
            lines.append(self._pending)
            self._pending = b""
        for line in lines:
            text = tame(decode(line)).rstrip()
            if text:
                self._tail = [*self._tail[-(TAIL - 1) :], text]
                self._show(text)
