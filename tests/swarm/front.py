"""A TLS front as traefik is one: certificates by server name, routes by `Host`, its own for what it does not know.

It runs in the Engine's network. Its behaviour stands in a JSON file that a test may rewrite at any time, and
may name another one that holds as soon as the traefik behind it answers with a given version: so an upgrade
itself brings the change, as a traefik that reads its configuration otherwise would.
"""

import contextlib
import http.client
import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import trustme

from ccci_upgrade.model.certificate import TRAEFIK_DEFAULT
from tests.swarm.host import PORTS, SERVER, Host
from tests.webserver import self_signed

PORT = 8443
ADDRESS = f"127.0.0.1:{PORT}"
_ROOT = str(Path(__file__).parents[2])
_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Front:
    """A front that runs; `env` makes programs trust its authority, and `log` has a line for each request."""

    env: dict[str, str]
    log: Path
    _behaviour: Path

    def behave(
        self,
        *,
        lost: tuple[str, ...] = (),
        default: tuple[str, ...] = (),
        pages: Mapping[str, object] | None = None,
        once: str = "",
    ) -> None:
        """Answer so from now on; with `once` only when traefik says that version, and till then all is well.

        `lost` hosts get traefik's own 404, `default` ones its own certificate, and `pages` (by host and path)
        are answered with that JSON.
        """
        then = {"lost": lost, "default": default, "pages": dict(pages or {})}
        new = self._behaviour.with_suffix(".new")
        new.write_text(json.dumps({"once": once, "then": then}))
        new.replace(self._behaviour)


@contextlib.contextmanager
def front(host: Host) -> Iterator[Front]:
    """Stand before the apps of a host until the block ends, with certificates of an authority of its own."""
    folder = host.folder / "front"
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "roots.pem"))
    for name in (host.app(recipe) for recipe in PORTS):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    default = self_signed(TRAEFIK_DEFAULT, ["practice.traefik.default"])
    default.private_key_and_cert_chain_pem.write_to_path(str(folder / "default.pem"))
    made = Front(
        env={"SSL_CERT_FILE": str(folder / "roots.pem")},
        log=folder / "asked.log",
        _behaviour=folder / "behaviour.json",
    )
    made.behave()
    argv = [sys.executable, "-m", __name__, str(folder)]
    with host.engine.popen(argv, env={"PYTHONPATH": _ROOT}) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", "the front did not start"
            yield made
        finally:
            child.kill()
            child.communicate(timeout=10)


class _Behaviour:
    """What holds now, by the file and by the version of the traefik behind."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "behaviour.json"
        self._lock = threading.Lock()
        self._version, self._asked = "", 0.0

    def now(self) -> Mapping[str, object]:
        said = json.loads(self._path.read_text())
        then = said["then"]
        assert isinstance(then, dict)
        return {} if said["once"] and said["once"] != self._traefik() else then

    def _traefik(self) -> str:
        with self._lock:
            if time.monotonic() - self._asked > 0.2:
                status, _, body = _ask(PORTS["traefik"], "/api/version", SERVER)
                self._version = str(json.loads(body)["Version"]) if status == 200 else ""
                self._asked = time.monotonic()
            return self._version


class _Answers(BaseHTTPRequestHandler):
    """One request, after the handshake."""

    behaviour: ClassVar[_Behaviour]
    log: ClassVar[Path]

    def do_GET(self) -> None:
        name = (self.headers.get("Host") or "").partition(":")[0]
        said = self.behaviour.now()
        recipe = name.removesuffix(f".{SERVER}")
        pages, lost = said.get("pages", {}), said.get("lost", [])
        assert isinstance(pages, dict)
        assert isinstance(lost, list)
        if (page := f"{name}{self.path}") in pages:
            self._give(200, {"Content-Type": "application/json"}, json.dumps(pages[page]).encode())
        elif recipe not in PORTS or name in lost:
            self._give(404, {"Content-Type": "text/plain"}, b"404 page not found\n")
        else:
            self._give(*_ask(PORTS[recipe], self.path, name))

    def log_message(self, *_: object) -> None:
        """Nothing on standard error: nobody reads it."""

    def _give(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        with self.log.open("a") as log:
            log.write(f"{self.headers.get('Host')}{self.path} {status}\n")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    """Handshakes in the thread of each connection, so that a slow one holds up no other."""

    daemon_threads = True
    context: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, object]:
        stream, address = super().get_request()
        stream.settimeout(_SECONDS)
        return self.context.wrap_socket(stream, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us, or only looks at the certificate, is no error of ours."""


def _ask(port: int, path: str, host: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        kept = {name: value for name, value in answer.getheaders() if name in ("Content-Type", "Location")}
        return answer.status, kept, answer.read()
    except (OSError, http.client.HTTPException):
        return 502, {"Content-Type": "text/plain"}, b"Bad Gateway"
    finally:
        connection.close()


def _contexts(folder: Path, behaviour: _Behaviour) -> ssl.SSLContext:
    """Choose the certificate by the name asked for and by what holds now."""
    made = {}
    for path in folder.glob("*.pem"):
        if path.stem != "roots":
            made[path.stem] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            made[path.stem].load_cert_chain(path)

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        default = behaviour.now().get("default", [])
        assert isinstance(default, list)
        connection.context = made.get("default" if name in default else name or "", made["default"])

    made["default"].sni_callback = choose
    return made["default"]


def main(folder: Path) -> None:
    """Serve until killed."""
    _Answers.behaviour = _Behaviour(folder)
    _Answers.log = folder / "asked.log"
    server = _Server(("127.0.0.1", PORT), _Answers)
    server.context = _contexts(folder, _Answers.behaviour)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
