"""Everything that listens: one thread accepts for all sockets, one thread serves each connection."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from io import BufferedReader
from pathlib import Path
from typing import cast

from ccci_upgrade.practice.engine.things import Container
from ccci_upgrade.practice.engine.wire import (
    IDLE,
    Answer,
    BadRequestError,
    Request,
    read_request,
    write_answer,
)

Pick = Callable[[], Container | None]
Serve = Callable[[socket.socket], None]


class Doors:
    """Listening sockets by name; connections that are open."""

    def __init__(self, answer: Callable[[Request, Container], Answer | None]) -> None:
        """`answer` is asked for what comes in at a published port; None closes the connection."""
        self._answer = answer
        self._selector = selectors.DefaultSelector()
        self._ports: dict[int, tuple[socket.socket, Container | None]] = {}
        self._shared: dict[str, dict[int, bool]] = {}
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._ended = False
        self._wake, self._woken = socket.socketpair()
        self._woken.settimeout(0.0)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="doors", daemon=True)

    def start(self) -> None:
        """Begin to accept."""
        self._thread.start()

    def stop(self) -> None:
        """Close every listener and every connection, and wait for their threads."""
        self._ended = True
        self._wake.send(b"x")
        self._thread.join(timeout=10)
        keys = [key.fileobj for key in self._selector.get_map().values()]
        self._selector.close()
        for each in (*keys, self._wake):
            cast("socket.socket", each).close()
        self._ports.clear()
        with self._lock:
            left = dict(self._open)
        for sock in left:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in left.values():
            if thread is not threading.current_thread():
                thread.join(timeout=10)

    def listen_unix(self, path: Path, serve: Serve) -> None:
        """Listen on a Unix socket. OSError where that is not possible."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.bind(str(path))
        except OSError:
            sock.close()
            raise
        path.chmod(0o600)
        self._listen(sock, serve)

    def open(self, port: int, pick: Pick, *, owner: Container | None = None) -> None:
        """Listen on a port of loopback; `pick` names the container that answers. OSError where it is taken."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
        except OSError:
            sock.close()
            raise
        self._ports[port] = (sock, owner)
        self._listen(sock, lambda connection: self._page(connection, pick))

    def close(self, port: int) -> None:
        """Stop listening on a port."""
        sock, _ = self._ports.pop(port)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)
        sock.close()

    def close_of(self, container: Container) -> None:
        """Close the ports that one container answers by itself."""
        for port, (_, owner) in list(self._ports.items()):
            if owner is container:
                self.close(port)

    def share(self, service_id: str, port: int, pick: Pick) -> None:
        """Listen for all tasks of a service; a port that cannot be had is left out, as no mesh would be there."""
        with contextlib.suppress(OSError):
            self.open(port, pick)
        self._shared.setdefault(service_id, {})[port] = port in self._ports

    def shared(self, service_id: str) -> list[int]:
        """The ports that are listened to for a service."""
        return list(self._shared.get(service_id, {}))

    def unshare(self, service_id: str, port: int) -> None:
        """Stop listening for a service."""
        if self._shared[service_id].pop(port):
            self.close(port)

    @property
    def missing(self) -> list[int]:
        """Ports of services that could not be had."""
        return sorted(port for ports in self._shared.values() for port, good in ports.items() if not good)

    @property
    def ports(self) -> list[int]:
        """The ports that are open."""
        return sorted(self._ports)

    def _listen(self, sock: socket.socket, serve: Serve) -> None:
        sock.listen(64)
        sock.settimeout(0.0)
        self._selector.register(sock, selectors.EVENT_READ, serve)
        with contextlib.suppress(OSError):
            self._wake.send(b"x")  # a selector that waits already may not look at a new socket

    def _run(self) -> None:
        while not self._ended:
            for key, _ in self._selector.select():
                if key.data is None:
                    with contextlib.suppress(BlockingIOError):
                        self._woken.recv(64)
                    continue
                listener = cast("socket.socket", key.fileobj)
                with contextlib.suppress(OSError):  # who asked has gone again, or the door was closed
                    connection, _ = listener.accept()
                    self._welcome(connection, key.data)

    def _welcome(self, connection: socket.socket, serve: Serve) -> None:
        connection.settimeout(IDLE)

        def run() -> None:
            try:
                serve(connection)
            except (OSError, BadRequestError, ValueError):
                pass  # the peer's loss
            finally:
                with self._lock:
                    self._open.pop(connection, None)
                connection.close()

        thread = threading.Thread(target=run, name="connection", daemon=True)
        with self._lock:
            self._open[connection] = thread
        thread.start()

    def _page(self, connection: socket.socket, pick: Pick) -> None:
        container = pick()
        if container is None or not container.serving:
            return  # as a port whose program does not listen yet
        reader: BufferedReader = connection.makefile("rb")
        with reader:
            request = read_request(reader)
            if request is None:
                return
            answer = self._answer(request, container)
            if answer is not None:
                write_answer(connection, answer, head=request.method == "HEAD", close=True)
