"""HTTP over a Unix socket whose waits end: by a flag, or by one deadline over a whole exchange.

A timeout bounds single reads only, so a server that sends a byte now and then is waited for without end; and
Python goes on with a read after a signal.
"""

import http.client
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade import clock

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

CANCEL_SECONDS = 0.2
"""How often a wait for the next piece looks whether it was cancelled."""


class UnixConnection(http.client.HTTPConnection):
    """Like its parent; `timeout` bounds each silence, and `cancelled` is looked at while waiting for a piece."""

    def __init__(self, path: Path, *, timeout: float, cancelled: Callable[[], bool] | None = None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path
        self._cancelled = cancelled
        self._until: float | None = None

    def bound(self, seconds: float) -> None:
        """All that is received from now on must be there within `seconds`."""
        self.timeout = seconds
        self._until = clock.ticks() + seconds
        if isinstance(self.sock, _UnixSocket):
            self.sock.settimeout(seconds)
            self.sock.until = self._until

    def send_piece(self, piece: bytes) -> bool:
        """Send a chunk of a body, an empty one to end it; False where the peer has answered or hung up already.

        What it said before it hung up can still be read.
        """
        head = f"{len(piece):x}\r\n".encode()
        try:
            for part in (head, piece, b"\r\n"):
                if select.select([self.sock], [], [], 0)[0]:
                    return False
                self.send(part)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def connect(self) -> None:
        """Connect to the path."""
        sock = _UnixSocket(self._cancelled)
        sock.settimeout(self.timeout)
        sock.until = self._until
        try:
            sock.connect(str(self._path))
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class CancelledError(Exception):
    """The wait for a stream's next piece was cancelled."""


class _UnixSocket(socket.socket):
    """A socket whose waits can be ended by a flag, and end at `until` (of `clock.ticks`) in any case."""

    def __init__(self, cancelled: Callable[[], bool] | None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._cancelled = cancelled
        self.until: float | None = None

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Like its parent, and the timeout is for each silence: a peer that takes a little now and then is not."""
        if self._cancelled is None:
            super().sendall(data, flags)
            return
        left = memoryview(data).cast("B")
        while left:
            self._wait(self._cancelled, self.gettimeout() or 0.0, write=True)
            left = left[self.send(left, flags) :]

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        if self._cancelled is not None:
            return self._read(self._cancelled, memoryview(buffer)[: nbytes or None])
        if self.until is not None:
            left = self.until - clock.ticks()
            if left <= 0:
                raise TimeoutError("timed out")
            self.settimeout(left)
        return super().recv_into(buffer, nbytes, flags)

    def _read(self, cancelled: Callable[[], bool], buffer: memoryview) -> int:
        """Read what is there, and wait only where nothing is: a stream has thousands of small pieces."""
        while True:
            if cancelled():  # asked first: a stream that is never silent must end too
                raise CancelledError
            try:
                return os.readv(self.fileno(), [buffer])  # with a timeout the kernel's socket never blocks
            except BlockingIOError:
                self._wait(cancelled, self.gettimeout() or 0.0)

    def _wait(self, cancelled: Callable[[], bool], seconds: float, *, write: bool = False) -> None:
        deadline = clock.ticks() + seconds
        while True:
            if cancelled():
                raise CancelledError
            come, free, _ = select.select([self], [self] if write else [], [], CANCEL_SECONDS)
            if write and come and not free:
                raise BrokenPipeError  # it has answered, and takes no more
            if come or free:
                return
            if clock.ticks() >= deadline:
                raise TimeoutError("timed out")
