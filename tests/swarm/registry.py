"""A registry of one image, by the Registry HTTP API v2: as much as an Engine asks for when it pulls.

It runs in the Engine's network on a loopback address, where Docker takes plain HTTP. Its behaviour stands in a
JSON file, each request in a log.
"""

import base64
import contextlib
import gzip
import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from tests.swarm.harness import Engine
from tests.swarm.images import image_tar

PORT = 5000
SERVER = f"127.0.0.1:{PORT}"
USER = "puller"
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_HALF_DAY = 12 * 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class Registry:
    """A registry that runs. `log` has a line for each request: time, method, path, what became of it."""

    image: str
    log: Path

    def asked(self, part: str) -> list[float]:
        """When requests whose line holds `part` came (seconds since the epoch)."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [float(line.split(" ", 1)[0]) for line in lines if part in line]


@contextlib.contextmanager
def registry(engine: Engine, folder: Path, image: str, **behaviour: object) -> Iterator[Registry]:
    """Serve one image (`traefik:v3.2.0`) until the block ends.

    `password` makes it ask for one, `silent` never answers, `stall` stops in the middle of the layer.
    """
    made = _make(image)
    places = {}
    for digest, (kind, data) in made.blobs.items():
        path = folder / digest.replace(":", "-")
        path.write_bytes(data)
        places[digest] = [kind, str(path)]
    name, _, tag = image.partition(":")
    log = folder / "registry.log"
    spec = folder / "registry.json"
    told = {
        "name": name,
        "tag": tag,
        "manifest": made.manifest,
        "blobs": places,
        "log": str(log),
        **behaviour,
    }
    spec.write_text(json.dumps(told))
    with engine.popen([sys.executable, "-m", __name__, str(spec)], env={"PYTHONPATH": _ROOT}) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n", "the registry did not start"
            yield Registry(image=f"{SERVER}/{image}", log=log)
        finally:
            child.kill()
            child.communicate(timeout=10)
            reference = f"{SERVER}/{image}"
            engine.docker("image", "rm", "--force", reference, check=False)


def docker_config(folder: Path, password: str) -> dict[str, str]:
    """Write docker's configuration with the registry's credentials; gives the environment that names it."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"auths": {SERVER: {"auth": auth}}}))
    return {"DOCKER_CONFIG": str(folder)}


_ROOT = str(Path(__file__).parents[2])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    manifest: str
    blobs: dict[str, tuple[str, bytes]] = field(default_factory=dict)


def _make(image: str) -> _Made:
    """One image's manifest (its digest), and everything by digest: media type and bytes."""
    tar = image_tar(image)
    layer = gzip.compress(tar, compresslevel=1, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/app"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(tar)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": _CONFIG, "size": len(config), "digest": _digest(config)},
            "layers": [{"mediaType": _LAYER, "size": len(layer), "digest": _digest(layer)}],
        }
    ).encode()
    kinds = ((_MANIFEST, manifest), (_CONFIG, config), (_LAYER, layer))
    return _Made(manifest=_digest(manifest), blobs={_digest(data): (kind, data) for kind, data in kinds})


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class _Answers(BaseHTTPRequestHandler):
    """One connection to the registry."""

    protocol_version = "HTTP/1.1"
    spec: ClassVar[Mapping[str, object]] = {}

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Nothing on standard error: nobody reads it."""

    def _answer(self, *, body: bool) -> None:
        if self.spec.get("silent"):
            self._note("silent")
            time.sleep(_HALF_DAY)
        if not self._allowed():
            self._refuse(401, "UNAUTHORIZED", {"WWW-Authenticate": 'Basic realm="practice"'})
            return
        found = self._found()
        if found is None:
            self._refuse(404, "NOT_FOUND", {})
            return
        kind, data, digest = found
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        self._note("layer" if kind == _LAYER else "200")
        if body and kind == _LAYER and self.spec.get("stall"):
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            self._note("stalled")
            time.sleep(_HALF_DAY)
        elif body:
            self.wfile.write(data)

    def _allowed(self) -> bool:
        password = self.spec.get("password")
        wanted = base64.b64encode(f"{USER}:{password}".encode()).decode()
        return password is None or self.headers.get("Authorization") == f"Basic {wanted}"

    def _found(self) -> tuple[str, bytes, str] | None:
        if self.path == "/v2/":
            return "application/json", b"{}", ""
        prefix = f"/v2/{self.spec['name']}/"
        what, _, reference = self.path.removeprefix(prefix).partition("/")
        digest = str(self.spec["manifest"]) if reference == self.spec["tag"] else reference
        blobs = self.spec["blobs"]
        assert isinstance(blobs, dict)
        if not self.path.startswith(prefix) or what not in ("manifests", "blobs") or digest not in blobs:
            return None
        kind, path = blobs[digest]
        return str(kind), Path(str(path)).read_bytes(), digest

    def _refuse(self, status: int, code: str, headers: Mapping[str, str]) -> None:
        data = json.dumps({"errors": [{"code": code, "message": code.lower().replace("_", " ")}]}).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self._note(str(status))
        if self.command != "HEAD":
            self.wfile.write(data)

    def _note(self, became: str) -> None:
        with Path(str(self.spec["log"])).open("a") as log:
            log.write(f"{time.time():.3f} {self.command} {self.path} {became}\n")


def main(spec: str) -> None:
    """Serve until killed."""
    _Answers.spec = json.loads(Path(spec).read_text())
    server = ThreadingHTTPServer(("127.0.0.1", PORT), _Answers)
    server.daemon_threads = True
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
