"""What the Swarm adapter believes of a volume's creation time, against a small Engine on a real socket."""

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm

_STAMP = "2026-11-23T17:23:20Z"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def _handler(version: str) -> type[http.server.BaseHTTPRequestHandler]:
    volumes = [{"Name": f"v-{d}", "Driver": d, "CreatedAt": _STAMP, "Labels": None} for d in ("local", "nfs")]
    mounts = [{"Type": "volume", "Source": f"v-{d}", "Target": f"/{d}"} for d in ("local", "nfs")]
    container = {"Image": "app:1", "Mounts": mounts}
    spec = {"Name": "s_app", "Labels": {"com.docker.stack.namespace": "s"}}
    spec_all = {**spec, "TaskTemplate": {"ContainerSpec": container}, "Mode": {"Replicated": {"Replicas": 1}}}
    answers: dict[str, object] = {
        "/info": {"ServerVersion": version, "SystemTime": _STAMP},
        "/services": [{"ID": "1", "Version": {"Index": 1}, "Spec": spec_all, "UpdatedAt": _STAMP}],
        "/tasks": [],
        "/networks": [],
        "/volumes": {"Volumes": volumes},
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = "/" + self.path.partition("?")[0].rpartition("/")[2]
            body = b"OK" if path == "/_ping" else json.dumps(answers[path]).encode()
            self.send_response(200)
            self.send_header("Api-Version", "1.41")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def _engine(folder: Path, version: str) -> Iterator[Engine]:
    with _Server(str(folder / "s"), _handler(version)) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Engine(folder / "s")
        server.shutdown()


@pytest.mark.parametrize(("version", "known"), [("20.10.24+dfsg1", False), ("23.0.0", True), ("dev", False)])
def test_a_creation_time_that_moves_with_every_write_is_not_believed(
    tmp_path: Path, version: str, *, known: bool
) -> None:
    """Old Engines give the last change of a local volume's folder: a new file there is no new volume."""
    with _engine(tmp_path, version) as engine:
        volumes = {volume.name: volume.created for volume in Swarm(engine).stack("s").volumes}

    assert (volumes["v-local"] is not None) is known
    assert volumes["v-nfs"] is not None
