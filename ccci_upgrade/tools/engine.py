"""The Docker Engine API over a Unix socket: requests, streams, errors. Knows no Swarm.

`http.client` from the standard library: the `docker` SDK costs 16 empty interpreter starts before its first
call and cannot update a config; httpx costs 12 (docs/decisions.md 1).
"""

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlencode

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.text import decode, tame_line
from ccci_upgrade.tools.unixhttp import CancelledError, UnixConnection

BODY_LIMIT = 128 * 1024 * 1024
"""Bytes of one answer that are read; an Engine that says more is refused."""

NEWEST_API = (1, 47)
"""The newest API version this code was written against; a newer Engine is asked for this one."""

STREAM_PIECE = 256 * 1024
"""Bytes of a streamed answer that are held at once."""

_NOBODY = (ConnectionRefusedError, FileNotFoundError)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class Answer:
    """One whole answer: `status`, `body` bytes, and the JSON in it."""

    def __init__(self, status: int, body: bytes, what: str) -> None:
        """Keep what came; `what` names the request in errors."""
        self.status = status
        self.body = body
        self._what = what

    @property
    def json(self) -> Json:
        """The body as JSON; an EngineError where it is none.

        An answer that broke off in its head looks like an empty one: that must not pass for "no services".
        """
        if self.status == http.HTTPStatus.NO_CONTENT:
            return None
        try:
            value: Json = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise EngineError(f"{self._what}: the Engine's answer is not JSON ({error})") from error
        return value

    @property
    def message(self) -> str:
        """The Engine's own words for a failure, on one line."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        text = value.get("message") if isinstance(value, dict) else None
        return tame_line(text if isinstance(text, str) else decode(self.body[:500]))


class Link(Protocol):
    """The way to an Engine's socket where that may be lost and found again."""

    @property
    def url(self) -> str:
        """What to call the Engine's place in words."""

    def socket(self) -> Path:
        """The socket as it is now; EngineError where there is no way."""

    def blame(self, error: EngineError) -> EngineError:
        """A better word for why the socket gave no answer."""


class Engine:
    """One Engine at one socket. One connection per thread, kept alive; every call has a deadline."""

    def __init__(self, at: Path | Link, *, seconds: float = 15.0) -> None:
        """Remember where; nothing is connected yet."""
        self._at = at
        self._seconds = seconds
        self._local = threading.local()
        self._prefix: str | None = None

    @property
    def name(self) -> str:
        """Where it is, for people."""
        return str(self._at) if isinstance(self._at, Path) else self._at.url

    def get(
        self, path: str, query: Mapping[str, Json] | None = None, *, seconds: float | None = None
    ) -> Json:
        """Ask for JSON; any status but 2xx is an EngineError."""
        return self._checked("GET", path, query, None, seconds).json

    def find(
        self, path: str, query: Mapping[str, Json] | None = None, *, seconds: float | None = None
    ) -> Json:
        """Ask for JSON; None where the Engine says 404."""
        answer = self.ask("GET", path, query, seconds=seconds)
        if answer.status == http.HTTPStatus.NOT_FOUND:
            return None
        return _accept("GET", path, answer).json

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Json] | None = None,
        *,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """One request and its whole answer, whatever its status.

        A GET on a kept connection that the Engine dropped is tried once more; so is one whose way is being
        opened anew.
        """
        limit = self._seconds if seconds is None else seconds
        request = _Request(method, self._query(path, query), body, headers or {})
        attempts = (2 if isinstance(self._at, Path) else 3) if method == "GET" else 1
        for attempt in range(attempts):
            fresh = getattr(self._local, "connection", None) is None
            try:
                return self._exchange(request, limit)
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                # Only a kept connection may be stale; a new one that fails is the Engine's answer.
                lost = not isinstance(self._at, Path) and isinstance(error, _NOBODY)
                if (fresh and not lost) or attempt == attempts - 1 or isinstance(error, TimeoutError):
                    raise self._unreachable(method, path, error) from error
                if lost:
                    clock.sleep(0.1)
        raise AssertionError

    def lines(
        self,
        method: str,
        path: str,
        query: Mapping[str, Json] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[dict[str, Json]]:
        """Stream a long answer of JSON lines (events, pulls) on a connection of its own.

        `seconds` bounds the silence between two pieces. Ends when the Engine ends it, and soon after
        `cancelled` says so, in the middle of a silence too; raises EngineError when the Engine is gone or
        silent.
        """
        connection = UnixConnection(self._socket(), timeout=seconds, cancelled=cancelled)
        try:
            response = self._send(connection, _Request(method, self._query(path, query), None, headers or {}))
            if response.status >= http.HTTPStatus.BAD_REQUEST:
                _accept(method, path, Answer(response.status, response.read(BODY_LIMIT), path))
            while line := response.readline(1024 * 1024):
                value = _json_line(line)
                if value is not None:
                    yield value
        except CancelledError:
            return
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(method, path, error) from error
        finally:
            connection.close()

    def stream(
        self,
        path: str,
        query: Mapping[str, Json] | None = None,
        *,
        method: str = "GET",
        body: Json = None,
        seconds: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Generator[bytes, None, None]:
        """Get a long answer in pieces, on a connection of its own; never more than one piece in memory.

        `seconds` bounds the silence between two pieces. Unlike `lines` it raises where it was cancelled or broke
        off: a part of an archive must not pass for the whole.
        """
        connection = UnixConnection(self._socket(), timeout=seconds, cancelled=cancelled)
        request = _Request(method, self._query(path, query), body, {})
        try:
            with self._exact(method, path):
                response = self._send(connection, request)
            with response:  # one without a length took the connection along: closing that would not be enough
                if response.status >= http.HTTPStatus.BAD_REQUEST:
                    said = self._piece(response, method, path, BODY_LIMIT)
                    _accept(method, path, Answer(response.status, said, path))
                while piece := self._piece(response, method, path):
                    yield piece
        finally:
            connection.close()

    def put(
        self,
        path: str,
        query: Mapping[str, Json] | None,
        pieces: Iterable[bytes],
        *,
        seconds: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Send a long body in pieces, on a connection of its own; never more than one piece in memory.

        `seconds` bounds the silence in which the Engine takes nothing, and that before its answer. An Engine that
        refuses may say so in the middle of the body: its words are the EngineError's. What `pieces` raises is
        raised, and the body is then never ended in order: a part of an archive must not pass for the whole.
        """
        connection = UnixConnection(self._socket(), timeout=seconds, cancelled=cancelled)
        try:
            with self._exact("PUT", path):
                self._ping(connection)
                connection.putrequest("PUT", f"{self._prefix}{self._query(path, query)}")
                connection.putheader("Content-Type", "application/x-tar")
                connection.putheader("Transfer-Encoding", "chunked")
                connection.endheaders()
            whole = all(self._sent(connection, piece, path) for piece in pieces)
            with self._exact("PUT", path):
                if whole:
                    connection.send_piece(b"")
                response = connection.getresponse()
                _accept("PUT", path, Answer(response.status, response.read(BODY_LIMIT), path))
            if not whole:
                raise EngineError(f"the Docker Engine ended PUT {path} before it had taken everything")
        finally:
            connection.close()

    def close(self) -> None:
        """Close this thread's connection."""
        self._drop()

    def _checked(
        self, method: str, path: str, query: Mapping[str, Json] | None, body: Json, seconds: float | None
    ) -> Answer:
        return _accept(method, path, self.ask(method, path, query, body=body, seconds=seconds))

    def _exchange(self, request: "_Request", seconds: float) -> Answer:
        connection: UnixConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = UnixConnection(self._socket(), timeout=seconds)
            self._local.connection = connection
        connection.bound(seconds)
        response = self._send(connection, request)
        pieces: list[bytes] = []
        size = 0
        while piece := response.read(1024 * 1024):
            pieces.append(piece)
            size += len(piece)
            if size > BODY_LIMIT:
                raise TimeoutError("the answer is too long")
        return Answer(response.status, b"".join(pieces), f"{request.method} {request.target}")

    def _send(self, connection: http.client.HTTPConnection, request: "_Request") -> http.client.HTTPResponse:
        self._ping(connection)
        data = None if request.body is None else json.dumps(request.body).encode()
        headers = {"Content-Type": "application/json"} if data is not None else {}
        target = f"{self._prefix}{request.target}"
        connection.request(request.method, target, body=data, headers=headers | dict(request.headers))
        return connection.getresponse()

    def _ping(self, connection: http.client.HTTPConnection) -> None:
        """Ask for the version of the API, once for each Engine."""
        if self._prefix is None:
            connection.request("GET", "/_ping")
            pong = connection.getresponse()
            pong.read(4096)
            self._prefix = _prefix(pong.headers.get("Api-Version", ""))

    def _piece(
        self, response: http.client.HTTPResponse, method: str, path: str, size: int = STREAM_PIECE
    ) -> bytes:
        with self._exact(method, path):
            return response.read(size)

    def _sent(self, connection: UnixConnection, piece: bytes, path: str) -> bool:
        with self._exact("PUT", path):
            return not piece or connection.send_piece(piece)  # an empty chunk would be the end

    @contextlib.contextmanager
    def _exact(self, method: str, path: str) -> Iterator[None]:
        """Name what the connection raises as this Engine's error."""
        try:
            yield
        except CancelledError:
            raise EngineError(f"{method} {path} was cancelled", code="engine-cancelled") from None
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(method, path, error) from error

    def _socket(self) -> Path:
        return self._at if isinstance(self._at, Path) else self._at.socket()

    @staticmethod
    def _query(path: str, query: Mapping[str, Json] | None) -> str:
        pairs = {k: v if isinstance(v, str) else json.dumps(v) for k, v in (query or {}).items()}
        # Names come from outside: what no URL can hold is a name the Engine does not know, not an error of ours.
        tail = urlencode(pairs, errors="surrogatepass")
        return quote(path, errors="surrogatepass") + (f"?{tail}" if tail else "")

    def _drop(self) -> None:
        connection = getattr(self._local, "connection", None)
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()
            self._local.connection = None

    def _unreachable(self, method: str, path: str, error: Exception) -> EngineError:
        reason = (
            error.strerror
            if isinstance(error, OSError) and error.strerror
            else str(error) or type(error).__name__
        )
        said = EngineError(
            f"the Docker Engine at `{self.name}` did not answer {method} {path}: {tame_line(reason)}",
            hint="is the Engine running, and may you use its socket? `docker version` tells",
            code="engine-unreachable",
        )
        return said if isinstance(self._at, Path) else self._at.blame(said)


class _Request(NamedTuple):
    method: str
    target: str
    body: Json
    headers: Mapping[str, str]


def _accept(method: str, path: str, answer: Answer) -> Answer:
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise EngineError(
            f"the Docker Engine refused {method} {path}: {answer.message} (HTTP {answer.status})"
        )
    return answer


def _prefix(said: str) -> str:
    numbers = re.fullmatch("([0-9]{1,3})[.]([0-9]{1,3})", said)
    if numbers is None:
        return ""
    version = min((int(numbers[1]), int(numbers[2])), NEWEST_API)
    return f"/v{version[0]}.{version[1]}"


def _json_line(line: bytes) -> dict[str, Json] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
