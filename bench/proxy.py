"""A Unix socket that is far away: everything written to it arrives half a round trip later.

As through ssh, a new connection costs one round trip before anything goes through it. The delay is that of a
long line, not of a slow one: any number of pieces may be under way at once.
"""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Proxy:
    """Delays all that goes to `target` and back by `round_trip` seconds in sum; counts the questions."""

    def __init__(self, path: Path, target: Path, round_trip: float) -> None:
        """Listen at `path` until `close`."""
        self.questions = 0
        self._half = round_trip / 2
        self._target = target
        self._counting = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections; those that are open end with their client."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def taken(self) -> int:
        """How many questions were asked since the last time, and begin to count anew."""
        with self._counting:
            count, self.questions = self.questions, 0
        return count

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                server.connect(str(self._target))
                opened = time.monotonic() + 2 * self._half
                threading.Thread(target=self._pair, args=(client, server, opened), daemon=True).start()

    def _pair(self, client: socket.socket, server: socket.socket, opened: float) -> None:
        with client, server:
            back = threading.Thread(target=self._carry, args=(server, client, 0.0), daemon=True)
            back.start()
            self._carry(client, server, opened)
            back.join()

    def _carry(self, source: socket.socket, drain: socket.socket, opened: float) -> None:
        line: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        reader = threading.Thread(target=self._read, args=(source, line, opened), daemon=True)
        reader.start()
        with contextlib.suppress(OSError):
            while True:
                due, piece = line.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not piece:
                    break
                drain.sendall(piece)
        with contextlib.suppress(OSError):
            drain.shutdown(socket.SHUT_WR)
        reader.join()

    def _read(
        self, source: socket.socket, line: "queue.SimpleQueue[tuple[float, bytes]]", opened: float
    ) -> None:
        piece = b"-"
        while piece:
            try:
                piece = source.recv(65536)
            except OSError:
                piece = b""
            with self._counting:
                self.questions += piece.count(b" HTTP/1.1\r\n")
            line.put((max(time.monotonic(), opened) + self._half, piece))


@contextmanager
def far_away(path: Path, target: Path, round_trip: float) -> Iterator[Proxy]:
    """Give a proxy, and close it."""
    proxy = Proxy(path, target, round_trip)
    try:
        yield proxy
    finally:
        proxy.close()
