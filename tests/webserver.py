"""Real local servers for the tests of probes and certificates: scripted HTTP, TLS by server name.

A server answers each connection with whatever its script writes, so that broken, slow and endless answers are
as easy as good ones. Certificates are made with trustme; no name leaves this machine.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

Script = Callable[["Talk"], None]


@dataclass(kw_only=True)
class Talk:
    """One connection: what was asked, and the way to answer. `stopping` is set when the server closes."""

    stream: socket.socket
    request: bytes
    stopping: threading.Event

    def send(self, data: bytes) -> None:
        """Write; a client that left is not an error of the server."""
        with suppress(OSError):
            self.stream.sendall(data)

    def reply(self, status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Give one whole answer."""
        lines = {"Content-Length": str(len(body)), **dict(headers or {})}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.send(f"HTTP/1.1 {status} Scripted\r\n{head}\r\n".encode() + body)

    @property
    def path(self) -> str:
        """What was asked for."""
        words = self.request.decode("latin-1").split(" ")
        return words[1] if len(words) > 1 else ""

    @property
    def headers(self) -> dict[str, str]:
        """The request's headers, names in lower case."""
        lines = self.request.decode("latin-1").split("\r\n")[1:]
        return {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines) if n}


@dataclass(kw_only=True)
class Server:
    """A running server; `asked` are the requests so far."""

    host: str
    port: int
    asked: list[Talk] = field(default_factory=list)
    connections: int = 0

    @property
    def address(self) -> str:
        """Where to connect, as a probe's `address`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def page(body: bytes = b"fine", status: int = 200, headers: Mapping[str, str] | None = None) -> Script:
    """Answer always the same."""
    return lambda talk: talk.reply(status, body, headers)


def routes(table: Mapping[str, Script]) -> Script:
    """Answer by path; others get 404."""
    return lambda talk: table.get(talk.path.split("?")[0], page(b"404 page not found\n", 404))(talk)


@contextmanager
def serve(script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Server]:
    """Serve until the block ends; every thread is gone then."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    stopping = threading.Event()
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, 0), family=family, backlog=64))
        listener.settimeout(0.05)
        server = Server(host=host, port=listener.getsockname()[1])
        acceptor = threading.Thread(target=_accept, args=(listener, server, script, tls, stopping))
        acceptor.start()
        try:
            yield server
        finally:
            stopping.set()
            acceptor.join(timeout=10)
            assert not acceptor.is_alive()


def make_tls(certificates: Mapping[str, trustme.LeafCert], *, default: trustme.LeafCert) -> ssl.SSLContext:
    """Give a context that serves a certificate by the name asked for, and else the default one."""
    contexts = {name: _context(certificate) for name, certificate in certificates.items()}
    context = _context(default)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        if name in contexts:
            connection.context = contexts[name]

    context.sni_callback = choose
    return context


def self_signed(common_name: str, names: list[str], *, days: int = 365, since: int = -1) -> trustme.LeafCert:
    """Make a certificate signed by itself, as traefik does; valid for `days` from `since` days on."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    begin = datetime.now(UTC) + timedelta(days=since)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return trustme.LeafCert(private, made.public_bytes(Encoding.PEM), [])


def drip(talk: Talk, data: bytes, *, every: float) -> None:
    """Write byte by byte until the client leaves or the server closes."""
    for byte in data:
        try:
            talk.stream.sendall(bytes([byte]))
        except OSError:
            return
        if talk.stopping.wait(every):
            return


def flood(talk: Talk, chunk: bytes) -> None:
    """Write the same again and again until the client leaves or the server closes."""
    while not talk.stopping.is_set():
        try:
            talk.stream.sendall(chunk)
        except OSError:
            return


def hang(talk: Talk) -> None:
    """Say nothing."""
    talk.stopping.wait(30)


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def _accept(
    listener: socket.socket,
    server: Server,
    script: Script,
    tls: ssl.SSLContext | None,
    stopping: threading.Event,
) -> None:
    threads = []
    while not stopping.is_set():
        with suppress(TimeoutError):
            stream, _ = listener.accept()
            server.connections += 1
            thread = threading.Thread(target=_talk, args=(stream, server, script, tls, stopping))
            thread.start()
            threads.append(thread)
    for thread in threads:
        thread.join(timeout=5)
        assert not thread.is_alive()


def _talk(
    stream: socket.socket,
    server: Server,
    script: Script,
    tls: ssl.SSLContext | None,
    stopping: threading.Event,
) -> None:
    stream.settimeout(2)
    with suppress(OSError), stream:
        if tls is not None:
            stream = tls.wrap_socket(stream, server_side=True)
        with stream:
            request = _request(stream, stopping)
            talk = Talk(stream=stream, request=request, stopping=stopping)
            if request:  # a look at the certificate asks nothing
                server.asked.append(talk)
            script(talk)


def _request(stream: socket.socket, stopping: threading.Event) -> bytes:
    data = b""
    deadline = time.monotonic() + 5
    while b"\r\n\r\n" not in data and not stopping.is_set() and time.monotonic() < deadline:
        piece = stream.recv(65536)
        if not piece:
            break
        data += piece
    return data
