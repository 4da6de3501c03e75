"""One HTTP exchange that ends: httpx, with one deadline over everything from DNS to the last byte.

httpx bounds single reads, so a server that sends a byte a second is waited for without end. Here every
operation on the connection gets only what is left of the whole time. The connection goes to a fixed address
while Host and SNI stay the URL's. Nothing of the environment is used (proxies, netrc), redirects are shown
and not followed, no cookie is kept, and no connection is used twice.
"""

import os
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING

import httpcore
import httpx

from ccci_upgrade.clock import ticks
from ccci_upgrade.model.answer import Answer, needs_body
from ccci_upgrade.model.probe import Probe, Token
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools.tls import Door, behind, targets, trusted_context, unverified_context

if TYPE_CHECKING:
    from typing_extensions import override
else:

    def override(method: object) -> object:
        """Stand in for `typing.override`, which Python 3.11 does not have yet."""
        return method


_TOKEN_LIMIT = 4096
_Options = Iterable[httpcore.SOCKET_OPTION] | None


class NotAskedError(Exception):
    """The probe could not be put: the reason is in the message. The app is not to blame."""


class NoAnswerError(Exception):
    """The app gave no usable answer: the reason is in the message, tamed."""


def ask(probe: Probe, deadline: float, door: Door | None = None) -> Answer:
    """Ask by HTTP; `deadline` is of `clock.ticks`. A fixed address is reached through the `door`, if any.

    Raises:
        NotAskedError: no token, no trusted roots, or the token was kept back from an untrusted server.
        NoAnswerError: no connection, no HTTP, or no end of the answer before the deadline.
    """
    headers = {"User-Agent": "ccci-upgrade", "Accept": "*/*", "Accept-Encoding": "identity"}
    if probe.token is not None:
        headers["Authorization"] = f"Bearer {read_token(probe.token)}"
    try:
        request = httpx.Request("GET", probe.url, headers=headers)
        with _Transport(_context(probe), _Backend(probe.address, deadline, door)) as transport:
            response = transport.handle_request(request)
            try:
                body, cut = _body(response, probe.body_limit) if needs_body(probe) else (b"", False)
            finally:
                response.close()
    except (httpx.TimeoutException, TimeoutError) as error:
        raise NoAnswerError(f"no whole answer within {probe.seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError) as error:
        raise _failure(probe, error) from error
    names = {name.lower(): value for name, value in response.headers.items()}
    return Answer(url=probe.url, status=response.status_code, headers=names, body=body, cut=cut)


def read_token(token: Token) -> str:
    """Read a token where its name says; it goes into no message.

    Raises:
        NotAskedError: there is none, or it cannot stand in a header.
    """
    if token.env:
        source, text = f"${token.env}", os.environ.get(token.env, "")
    else:
        source = token.file
        try:
            with open(token.file, "rb") as stream:  # noqa: PTH123 - reads a few bytes, whatever the file is
                text = stream.read(_TOKEN_LIMIT + 1).decode("ascii", errors="replace")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file name"
            raise NotAskedError(f"no token: {tame_line(source)}: {reason}") from error
    text = text.strip()
    if not text:
        raise NotAskedError(f"no token: {tame_line(source)} is empty")
    if len(text) > _TOKEN_LIMIT or not all("!" <= letter <= "~" for letter in text):
        raise NotAskedError(f"no token: {tame_line(source)} holds more than one word")
    return text


def _context(probe: Probe) -> ssl.SSLContext:
    if not probe.verify_tls:
        return unverified_context()
    try:
        return trusted_context()
    except OSError as error:
        raise NotAskedError(f"the trusted roots cannot be read: {tame_line(str(error))}") from error


def _body(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """Read up to `limit` bytes, and tell whether there was more."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _failure(probe: Probe, error: Exception) -> Exception:
    said = tame_line(str(error))[:200] or type(error).__name__
    if "certificate verify failed" in said and probe.token is not None:
        return NotAskedError(f"the token was not sent, the certificate is not trusted: {said}")
    if isinstance(error, httpx.RemoteProtocolError):
        return NoAnswerError(f"no HTTP: {said}")
    return NoAnswerError(said)


class _Transport(httpx.HTTPTransport):
    """httpx's own transport on our connections."""

    def __init__(self, context: ssl.SSLContext, backend: httpcore.NetworkBackend) -> None:
        super().__init__(verify=context, trust_env=False)
        # httpx has no argument for it; a test holds that a fixed address is used.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context, network_backend=backend, max_keepalive_connections=0
        )


class _Backend(httpcore.NetworkBackend):
    """Connections to one address, all within one deadline."""

    def __init__(self, address: str, deadline: float, door: Door | None) -> None:
        self._address = address
        self._deadline = deadline
        self._door = door

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore.NetworkStream:
        plain = httpcore.SyncBackend()
        last: Exception = httpcore.ConnectError("no address")
        try:
            if self._door is not None and self._address:
                path, wait = behind(self._door, port, self._address), max(0.001, self._deadline - ticks())
                return _Stream(plain.connect_unix_socket(path, wait, socket_options), self._deadline)
            for ip, at, seconds in targets(host, port, self._address, self._deadline):
                try:
                    wait = min(seconds, timeout or seconds)
                    stream = plain.connect_tcp(ip, at, wait, local_address, socket_options)
                    return _Stream(stream, self._deadline)
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    last = error
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(error.strerror or str(error)) from error
        raise last


class _Stream(httpcore.NetworkStream):
    """A connection whose every operation gets what is left of the whole time."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._left(timeout))

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._left(timeout))

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secure = self._inner.start_tls(ssl_context, server_hostname, self._left(timeout))
        return _Stream(secure, self._deadline)

    @override
    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)

    def _left(self, timeout: float | None) -> float:
        left = self._deadline - ticks()
        if left <= 0:
            raise httpcore.ReadTimeout("timed out")
        return min(left, timeout or left)
