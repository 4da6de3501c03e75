"""A child whose output is shown line by line, kept in a file, and masked: abra, and people's own commands."""

import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade import clock, process
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.text import decode, tame

if TYPE_CHECKING:
    from ccci_upgrade.redact import Masker

TAIL = 20
"""Lines of output kept for a failed run's evidence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActResult:
    """How it ended: `code` is negative for a signal; `tail` its last lines, tamed and masked."""

    argv: tuple[str, ...]
    code: int
    seconds: float
    timed_out: bool
    signals: int
    tail: tuple[str, ...]
    output: Path | None


def _opened(log: Path) -> FileIO:
    try:
        return log.open("wb", buffering=0)
    except OSError as error:
        raise NotReadyError(
            f"cannot write what is printed to `{log}`: {error.strerror}",
            hint="nothing was changed; free space, or set `state_dir` in ccci-upgrade.toml",
            code="journal",
        ) from error


class ShownChild:
    """A running child."""

    def __init__(
        self,
        argv: tuple[str, ...],
        *,
        called: tuple[str, ...],
        env: Mapping[str, str],
        show: Callable[[str], None],
        log: Path,
        masker: "Masker",
        code: str,
        inherit: tuple[int, ...] = (),
        pty: bool = False,
    ) -> None:
        """Start it in its own process group and in `/`; NotReadyError (`code`) where that fails.

        It has no terminal, or with `pty` one at which nobody types. `called` is how its result names it.
        """
        self.called = called
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
        try:
            self._child = process.Child(
                argv, sink=self._take, env=env, cwd=Path("/"), inherit=inherit, pty=pty
            )
        except (OSError, ValueError) as error:
            self._log.close()
            said = error.strerror if isinstance(error, OSError) else None
            raise NotReadyError(f"cannot start `{argv[0]}`: {said or error}", code=code) from error

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
            argv=self.called,
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
