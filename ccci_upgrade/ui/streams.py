"""Standard output and error that outlive their reader.

A closed pipe, a terminal that went away and one that nobody reads must not end or hold up a run before its
verdict is recorded. So a write that fails is dropped, with all after it; and on standard error, where progress
goes, a reader that is stuck is waited for only briefly.
"""

import contextlib
import os
import select
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

PATIENCE = 2.0
"""Seconds a reader of progress may be stuck before nobody waits for it any more."""

LEAVING = 30.0
"""Seconds the last words are waited for when the process ends."""

MOST_WAITING = 2000
"""Writes kept for a reader that is stuck; what is past them is counted and dropped."""


class Lasting:
    """A text stream that never raises for a reader that is gone. Enough of a file for rich to write to.

    Bytes go to the descriptor at once: no buffer is left for the interpreter to flush at its end, and a
    signal handler may write in the middle of another write.
    """

    def __init__(self, stream: TextIO) -> None:
        """Wrap one stream."""
        self._stream = stream
        self.encoding: str = stream.encoding or "utf-8"
        self.gone = False
        try:
            self._handle: int | None = stream.fileno()
        except (OSError, ValueError):
            self._handle = None

    @property
    def speaks_utf8(self) -> bool:
        """Whether every character can be written."""
        return self.encoding.lower().replace("_", "-") in ("utf-8", "utf8")

    def write(self, text: str) -> int:
        """Write, or drop. What the encoding cannot say is shown as an escape."""
        self._give(text.encode(self.encoding, "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def isatty(self) -> bool:
        """Whether a terminal reads it."""
        try:
            return not self.gone and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor, so that the terminal's width can be asked."""
        return self._stream.fileno()

    def _give(self, data: bytes) -> None:
        if self.gone:
            return
        try:
            if self._handle is None:
                self._stream.write(data.decode(self.encoding))
            else:
                _write_all(self._handle, data)
        except (OSError, ValueError):
            self.gone = True


class Patient(Lasting):
    """Writes from a thread of its own, so that a reader that is stuck holds nobody up for long."""

    def __init__(self, stream: TextIO) -> None:
        """Wrap one stream; the thread is started with the first write."""
        super().__init__(stream)
        self._queue: SimpleQueue[tuple[bytes, threading.Event]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._last = threading.Event()
        self._last.set()
        self._stuck = False
        self._dropped = 0

    def write(self, text: str) -> int:
        """Hand over, and wait for it to be written while the reader is not stuck."""
        if self._handle is None:
            return super().write(text)
        if self._queue.qsize() >= MOST_WAITING:
            self._dropped += 1
            return len(text)
        return self._hand_over(text)

    def drain(self, seconds: float) -> None:
        """Wait until all is written, so that the two streams keep their order."""
        if not self._stuck:
            self._last.wait(seconds)

    def leave(self) -> None:
        """Wait for the last words, as the process ends."""
        if self._dropped:
            self._hand_over("")
        self._last.wait(LEAVING)

    def _hand_over(self, text: str) -> int:
        if self._dropped:
            text, self._dropped = f"({self._dropped} lines were not shown: nobody read them)\n{text}", 0
        self._last = written = threading.Event()
        self._queue.put((text.encode(self.encoding, "backslashreplace"), written))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="stderr", daemon=True)
            self._thread.start()
        self._stuck = not written.wait(0.0 if self._stuck else PATIENCE)
        return len(text)

    def _work(self) -> None:
        while True:
            data, written = self._queue.get()
            self._give(data)
            written.set()


def hold_standard_streams() -> None:
    """Open what the caller closed of 0, 1 and 2: else the next file or socket would get that number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


def columns(stream: Lasting) -> int | None:
    """How wide the terminal is; None where none reads the stream: lines stay whole there."""
    if not stream.isatty():
        return None
    said = os.environ.get("COLUMNS", "")
    if said.isdigit() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _write_all(handle: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(handle, data) :]
        except BlockingIOError:  # somebody made the shared description non-blocking
            select.select([], [handle], [], 1.0)


def _devnull() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


OUT = Lasting(sys.stdout if sys.stdout is not None else _devnull())
ERR = Patient(sys.stderr if sys.stderr is not None else _devnull())
