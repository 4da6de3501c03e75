"""HTTP/1.1 on a connected socket: requests read within bounds, answers written, streams in chunks."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BufferedReader
from urllib.parse import parse_qs, unquote, urlsplit

from ccci_upgrade.practice.engine.tree import Json

LINE = 64 * 1024
BODY = 512 * 1024 * 1024
IDLE = 120.0
"""Seconds a connection may say nothing."""


class BadRequestError(Exception):
    """What came is no HTTP that is understood here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request; header names in lower case, the first value of each query name."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        """The body as JSON; None where it is none."""
        try:
            value: Json = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value

    def flag(self, name: str) -> bool:
        """A boolean of the query, as Docker reads them."""
        return self.query.get(name, "").lower() not in {"", "0", "no", "false", "none"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One answer: bytes, or a stream of them."""

    status: int = 200
    body: bytes = b""
    stream: Iterator[bytes] | None = None
    kind: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


def as_json(value: Json, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON."""
    named = {name.replace("_", "-"): each for name, each in headers.items()}
    return Answer(status=status, body=json.dumps(value).encode() + b"\n", headers=named)


def read_request(reader: BufferedReader) -> Request | None:
    """The next request; None where the peer is done. BadRequestError or OSError otherwise."""
    line = _line(reader)
    if not line:
        return None
    parts = line.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):  # noqa: PLR2004 - method, target, protocol
        raise BadRequestError
    headers: dict[str, str] = {}
    while line := _line(reader):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
        if len(headers) > 100:  # noqa: PLR2004 - far more than any client sends
            raise BadRequestError
    try:
        target = urlsplit(parts[1])
        query = {name: values[0] for name, values in parse_qs(target.query, keep_blank_values=True).items()}
    except ValueError:
        raise BadRequestError from None
    return Request(
        method=parts[0],
        path=unquote(target.path),
        query=query,
        headers=headers,
        body=_body(reader, headers),
    )


def _line(reader: BufferedReader) -> str:
    line = reader.readline(LINE + 1)
    if len(line) > LINE:
        raise BadRequestError
    return line.decode("latin-1").rstrip("\r\n")


def _body(reader: BufferedReader, headers: dict[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return b"".join(_chunks(reader))
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > BODY:
        raise BadRequestError
    return _exactly(reader, int(length))


def _chunks(reader: BufferedReader) -> Iterator[bytes]:
    total = 0
    while True:
        try:
            size = int(_line(reader).partition(";")[0], 16)
        except ValueError:
            raise BadRequestError from None
        total += size
        if size < 0 or total > BODY:
            raise BadRequestError
        if size == 0:
            while _line(reader):
                pass
            return
        yield _exactly(reader, size)
        _line(reader)


def _exactly(reader: BufferedReader, size: int) -> bytes:
    found = reader.read(size) if size else b""
    if len(found) != size:
        raise BadRequestError
    return found


def write_answer(sock: socket.socket, answer: Answer, *, head: bool, close: bool) -> None:
    """Send it all; a stream goes out piece by piece as it comes."""
    reason = next((each.phrase for each in HTTPStatus if each == answer.status), "Practice")
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    bare = answer.status in {204, 304}
    if not bare:
        lines.append(f"Content-Type: {answer.kind}")
        streams = answer.stream is not None
        lines.append("Transfer-Encoding: chunked" if streams else f"Content-Length: {len(answer.body)}")
    if close:
        lines.append("Connection: close")
    top = "\r\n".join([*lines, "", ""]).encode("latin-1", errors="replace")
    sock.sendall(top if head or bare else top + answer.body)
    if answer.stream is not None and not head:
        with contextlib.closing(_closable(answer.stream)) as pieces:
            for piece in pieces:
                sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        sock.sendall(b"0\r\n\r\n")


def _closable(stream: Iterator[bytes]) -> "_Closing":
    return _Closing(stream)


class _Closing:
    """An iterator that can be closed, whatever it is made of."""

    def __init__(self, stream: Iterator[bytes]) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return self._stream

    def close(self) -> None:
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()
