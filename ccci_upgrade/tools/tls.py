"""The certificate a server shows for a name, and whether the roots this machine trusts lead to it.

The name (SNI) and the address connected to are apart: the app is asked where it runs, not where DNS points.
An address is one that is seen from where the Engine is; for a far Engine a door leads to it.
"""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.clock import ticks
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.certificate import Leaf, parse_leaf
from ccci_upgrade.model.probe import split_address
from ccci_upgrade.text import tame_line

Door = Callable[[str, int], Path]
"""Gives the Unix socket that leads to a host and port as seen from a far Engine; EngineError where none does."""


def read_leaf(host: str, port: int, address: str, seconds: float, door: Door | None = None) -> Leaf:
    """Read the certificate served for `host`, connecting to `address` (`host` or `host:port`; empty: by DNS).

    With a `door` the address is one that a far Engine sees.

    One handshake that verifies the chain (names are judged apart), and only where that fails one more that
    does not: so in the good case chain and certificate come from the same connection.

    Raises:
        NotReadyError: no connection, no TLS, or nothing that is a certificate within `seconds`.
    """
    way = _Way(host=host, port=port, address=address, deadline=ticks() + seconds, door=door)
    try:
        trusting = trusted_context()
    except OSError as error:
        der = _handshake(way, unverified_context())
        return _leaf(der, chain_ok=None, chain_problem=str(error))
    trusting.check_hostname = False
    try:
        der = _handshake(way, trusting)
    except ssl.SSLCertVerificationError as error:
        der = _handshake(way, unverified_context())
        return _leaf(der, chain_ok=False, chain_problem=error.verify_message)
    return _leaf(der, chain_ok=True, chain_problem="")


def trusted_context() -> ssl.SSLContext:
    """Give a context that verifies by the system's roots, or by `SSL_CERT_FILE` and `SSL_CERT_DIR`.

    OpenSSL reads these variables itself; where neither they nor the system name any file, certifi's list is
    used (Python builds without a system store).

    Raises:
        OSError: the roots cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    paths = ssl.get_default_verify_paths()
    named = os.environ.get(paths.openssl_cafile_env)
    if named and paths.cafile is None:
        raise FileNotFoundError(f"{paths.openssl_cafile_env} names `{named}`, which is no file")
    if paths.cafile is None and paths.capath is None:
        import certifi  # noqa: PLC0415 - hardly ever needed

        context.load_verify_locations(cafile=certifi.where())
    else:
        context.load_verify_locations(cafile=paths.cafile, capath=paths.capath)
    return context


def unverified_context() -> ssl.SSLContext:
    """Give a context that takes any certificate: to look at it, or where the certificate is judged apart."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def targets(host: str, port: int, address: str, deadline: float) -> Iterator[tuple[str, int, float]]:
    """Give (IP, port, seconds) to try one after another; together they keep to `deadline` (of `clock.ticks`).

    Raises:
        OSError: the name is not known, or the time is up.
        ValueError: `address` is none.
    """
    where, other = split_address(address) if address else (host, None)
    found = socket.getaddrinfo(where, other or port, type=socket.SOCK_STREAM)
    ips = list(dict.fromkeys((str(entry[4][0]), int(entry[4][1])) for entry in found))
    for number, (ip, at) in enumerate(ips):
        left = deadline - ticks()
        if left <= 0:
            raise TimeoutError("timed out")
        yield ip, at, left / (len(ips) - number)


def connect(host: str, port: int, address: str, deadline: float, door: Door | None = None) -> socket.socket:
    """Connect to the first address that takes it, or through the `door` to one that a far Engine sees.

    Raises:
        OSError: none did before `deadline`.
        ValueError: `address` is none, or `host` no name.
    """
    if door is not None and address:
        return _connect_unix(behind(door, port, address), deadline)
    last: OSError = OSError("no address")
    for ip, at, seconds in targets(host, port, address, deadline):
        try:
            return socket.create_connection((ip, at), timeout=seconds)
        except OSError as error:
            last = error
    raise last


def behind(door: Door, port: int, address: str) -> str:
    """The socket that leads to `address`, at its own port or else at `port`."""
    where, other = split_address(address)
    return str(door(where, other or port))


def _connect_unix(path: str, deadline: float) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.settimeout(max(0.001, deadline - ticks()))
        stream.connect(path)
    except BaseException:
        stream.close()
        raise
    return stream


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """Where a certificate is read."""

    host: str
    port: int
    address: str
    deadline: float
    door: Door | None


def _handshake(way: _Way, context: ssl.SSLContext) -> bytes:
    host, deadline = way.host, way.deadline
    try:
        # First, for `wrap_socket` leaves a connection open whose name it cannot encode.
        name = host.encode("idna").decode("ascii")
        with closing(connect(name, way.port, way.address, deadline, way.door)) as plain:
            # Python keeps to a socket's timeout over a whole handshake, not for each read of it.
            plain.settimeout(max(0.001, deadline - ticks()))
            with context.wrap_socket(plain, server_hostname=name) as secure:
                return secure.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError:
        raise
    except TimeoutError as error:
        raise _failed(host, "no TLS handshake in time") from error
    except (OSError, ValueError) as error:
        raise _failed(host, str(error)) from error


def _leaf(der: bytes, *, chain_ok: bool | None, chain_problem: str) -> Leaf:
    try:
        return parse_leaf(der, chain_ok=chain_ok, chain_problem=tame_line(chain_problem))
    except ValueError as error:
        raise _failed("", str(error)) from error


def _failed(host: str, why: str) -> NotReadyError:
    prefix = f"{host}: " if host else ""
    return NotReadyError(tame_line(f"{prefix}{why}"), code="tls")
