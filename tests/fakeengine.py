"""A Docker Engine that answers what a test tells it to, byte for byte, on a real Unix socket.

It is for what a real Engine does once a year: half an answer, silence in the middle, a dropped connection,
junk. What a well-behaved one does is tried in tests/swarm.
"""

import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

Reply = Callable[[socket.socket], bool]
"""Sends an answer; False closes the connection after it."""


class Request(NamedTuple):
    """One request as it came: the path without its version, which stands in `version`."""

    method: str
    version: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class FakeEngine:
    """Answers by path; anything else is `otherwise`: a 404 in the Engine's shape. Use as a context manager."""

    def __init__(self) -> None:
        """Nothing listens yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="engine-"))
        self.path = self.folder / "docker.sock"
        self.replies: dict[str, Reply] = {"/_ping": answer(b"OK", headers={"Api-Version": "1.41"})}
        self.otherwise: Reply = answer(b'{"message": "page not found"}', status=404)
        self.requests: list[Request] = []
        self.takes: dict[str, int] = {}
        """Bytes of a chunked body that are taken before the answer, by path; all of it where none is named."""
        self.connections = 0
        self.ended = threading.Event()
        self._open: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def __enter__(self) -> Self:
        self._listener.bind(str(self.path))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for each in (self._listener, *self._open):
            _close(each)
        shutil.rmtree(self.folder, ignore_errors=True)

    def says(self, path: str, value: object, *, status: int = 200) -> None:
        """Answer this path with JSON."""
        self.replies[path] = answer(json.dumps(value).encode(), status=status)

    def drop(self) -> None:
        """Close every connection, as an Engine that restarts does."""
        while self._open:
            _close(self._open.pop())

    def asked(self, path: str) -> list[Request]:
        """The requests for one path."""
        return [request for request in self.requests if request.path == path]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as stream:
                while (request := _read(stream, self.takes)) is not None:
                    self.requests.append(request)
                    if not self.replies.get(request.path, self.otherwise)(connection):
                        return
        except OSError:
            return  # the client left


def answer(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """A whole answer with its length."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return raw(
        f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}\r\n".encode() + body, keep=True
    )


def raw(data: bytes, *, keep: bool = False) -> Reply:
    """Exactly these bytes, then the end of the connection."""

    def reply(connection: socket.socket) -> bool:
        connection.sendall(data)
        return keep

    return reply


def chunked(pieces: Iterable[bytes], *, end: bool = True) -> Reply:
    """An answer in chunks; without `end` it breaks off."""
    body = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return raw(head + body + (b"0\r\n\r\n" if end else b""), keep=end)


def dripping(head: bytes, drop: bytes, ended: threading.Event, *, every: float = 0.05) -> Reply:
    """These bytes, then a few more again and again, without end."""

    def reply(connection: socket.socket) -> bool:
        connection.sendall(head)
        while not ended.wait(every):
            connection.sendall(drop)
        return False

    return reply


def silent(head: bytes, ended: threading.Event) -> Reply:
    """These bytes, then nothing."""

    def reply(connection: socket.socket) -> bool:
        connection.sendall(head)
        ended.wait(60)
        return False

    return reply


def within(seconds: float) -> Callable[[], None]:
    """Begin now; what is given fails when called later than that."""
    begun = time.monotonic()

    def check() -> None:
        assert time.monotonic() - begun < seconds

    return check


def _read(stream: BufferedIOBase, takes: dict[str, int]) -> Request | None:
    first = stream.readline().decode("latin-1").split()
    if not first:
        return None
    headers: dict[str, str] = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    parts = urlsplit(first[1])
    version, path = "", parts.path
    if path.startswith("/v1."):
        version, _, path = path[1:].partition("/")
        path = f"/{path}"
    if "chunked" not in headers.get("transfer-encoding", ""):
        body = stream.read(int(headers.get("content-length", "0")))
    elif path in takes:
        body = stream.read(takes[path])
    else:
        body = b"".join(_chunks(stream))
    return Request(first[0], version, unquote(path), parse_qs(parts.query), headers, body)


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    """The chunks of a body; an OSError where it breaks off."""
    while True:
        length = int(stream.readline() or b"-1", 16)
        data = stream.read(length + 2)[:-2] if length >= 0 else b""
        if len(data) != length:
            raise ConnectionAbortedError
        if not length:
            return
        yield data


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # not connected
        each.shutdown(socket.SHUT_RDWR)
    each.close()
