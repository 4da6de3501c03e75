"""HTTP over a Unix socket whose waits can be cancelled: Python goes on with a read after a signal."""

import http.client
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade import clock

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CANCEL_SECONDS = 0.2
"""How often a wait for the next piece looks whether it was cancelled."""


class UnixConnection(http.client.HTTPConnection):
    """Like its parent; `timeout` bounds each silence, and `cancelled` is looked at while waiting for a piece."""

    def __init__(self, path: Path, *, timeout: float, cancelled: Callable[[], bool] | None = None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path
        self._cancelled = cancelled

    def connect(self) -> None:
        """Connect to the path."""
        sock = _UnixSocket(self._cancelled)
        sock.settimeout(self.timeout)
        try:
            sock.connect(str(self._path))
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class CancelledError(Exception):
    """The wait for a stream's next piece was cancelled."""


class _UnixSocket(socket.socket):
    """A socket whose waits can be ended by a flag: a signal alone does not end a read in Python."""

    def __init__(self, cancelled: Callable[[], bool] | None) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._cancelled = cancelled

    def recv_into(self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0) -> int:
        if self._cancelled is not None:
            self._wait(self._cancelled, self.gettimeout() or 0.0)
        return super().recv_into(buffer, nbytes, flags)

    def _wait(self, cancelled: Callable[[], bool], seconds: float) -> None:
        deadline = clock.ticks() + seconds
        while not select.select([self], [], [], CANCEL_SECONDS)[0]:
            if cancelled():
                raise CancelledError
            if clock.ticks() >= deadline:
                raise TimeoutError("timed out")
