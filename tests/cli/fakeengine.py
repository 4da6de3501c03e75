"""A Docker Engine of one service per stack, on a real Unix socket, that the stand-in for abra moves at will.

It answers what the tool asks, in the shape of API 1.41, and nothing else. What a real Swarm does is tried in
tests/swarm; this one makes cases of terminals and signals quick, and needs no root.
"""

import json
import socketserver
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

CLUSTER = "fakeclusterfakeclusterfa1"


class FakeEngine:
    """The Engine's state; `broken` gives words it answers everything with instead (HTTP 500)."""

    def __init__(self, folder: Path) -> None:
        """Listen in `folder` until `close`."""
        self.socket = folder / "docker.sock"
        self.services: dict[str, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.configs: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self.broken = ""
        self.silent = threading.Event()
        self._ended = threading.Event()
        self._count = 0
        engine = self

        class Handler(_Handler):
            of = engine

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: object, client_address: object) -> None:
                """Tell what went wrong, but for a client that left in the middle: some tests do."""
                if not isinstance(sys.exception(), BrokenPipeError | ConnectionResetError):
                    super().handle_error(request, client_address)  # type: ignore[arg-type]

        self._server = Server(str(self.socket), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """For `docker_host`."""
        return f"unix://{self.socket}"

    def close(self) -> None:
        """Answer nobody any more."""
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()

    def hold(self) -> None:
        """Do not answer while `silent` is set."""
        while self.silent.is_set() and not self._ended.is_set():
            self._ended.wait(0.02)

    def put(self, stack: str, image: str, version: str, *, error: str = "", settled: bool = True) -> None:
        """Deploy `image` as the stack's `app`; with `error` its task failed, else it runs."""
        self._count += 1
        name = f"{stack}_app"
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        template = {"ContainerSpec": {"Image": image}, "ForceUpdate": 0}
        spec = {
            "Name": name,
            "Labels": {
                "com.docker.stack.namespace": stack,
                f"coop-cloud.{stack}.version": version,
            },
            "TaskTemplate": template,
            "Mode": {"Replicated": {"Replicas": 1}},
            "UpdateConfig": {"Order": "stop-first", "FailureAction": "rollback"},
        }
        old = self.services.get(name)
        service: dict[str, Any] = {"ID": f"id{name}", "Spec": spec, "UpdatedAt": now, "ServiceStatus": {}}
        if old is not None:
            service["PreviousSpec"] = old["Spec"]
            state = {"State": "completed", "CompletedAt": now} if settled else {"State": "updating"}
            service["UpdateStatus"] = {"StartedAt": now, "Message": "update", **state}
            for task in self.tasks:
                if task["ServiceID"] == service["ID"]:
                    task["DesiredState"] = "shutdown"
                    task["Status"]["State"] = "shutdown"
        self.tasks.append(
            {
                "ID": f"task{self._count}",
                "ServiceID": service["ID"],
                "Slot": 1,
                "NodeID": "node",
                "Spec": template,
                "DesiredState": "running",
                "CreatedAt": now,
                "Status": {
                    "State": "failed" if error else "running",
                    "Err": error,
                    "Timestamp": now,
                    "ContainerStatus": {"ContainerID": "", "ExitCode": 1 if error else 0},
                },
            }
        )
        self.services[name] = service

    def keep(self, path: str, version: str, spec: dict[str, Any]) -> tuple[int, object]:
        """Create a config, or change its labels where `version` is its index."""
        if self.broken:
            return 500, {"message": self.broken}
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        with self._lock:
            self._count += 1
            new = {"Spec": spec, "Version": {"Index": self._count}, "UpdatedAt": now}
            old = self.configs.get(spec["Name"])
            if path == "/configs/create" and old is None:
                self.configs[spec["Name"]] = new
                return 201, {"ID": spec["Name"]}
            if path == "/configs/create":
                return 409, {"message": "rpc error: code = AlreadyExists"}
            if old is None:
                return 404, {"message": "no such config"}
            if str(old["Version"]["Index"]) != version:
                return 500, {"message": "rpc error: code = Unknown desc = update out of sequence"}
            self.configs[spec["Name"]] = new
            return 200, None

    def answer(self, path: str) -> tuple[int, object]:
        """Status and JSON of one GET."""
        if self.broken:
            return 500, {"message": self.broken}
        plain = _plain(path)
        if plain.startswith("/configs/") and plain.removeprefix("/configs/") in self.configs:
            return 200, self.configs[plain.removeprefix("/configs/")]
        if plain.startswith("/images/") and plain != "/images/json":
            return 200, {"Id": "sha256:0"}
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        known: dict[str, object] = {
            "/_ping": "OK",
            "/info": {
                "Swarm": {"Cluster": {"ID": CLUSTER}, "ControlAvailable": True, "Nodes": 1},
                "ServerVersion": "20.10.24",
                "Name": "node",
                "SystemTime": now,
                "DockerRootDir": "/",
            },
            "/services": list(self.services.values()),
            "/tasks": self.tasks,
            "/networks": [{"Id": "n", "Name": "proxy"}],
            "/volumes": {"Volumes": []},
            "/nodes": [{"ID": "node", "Description": {"Hostname": "node"}, "Status": {"State": "ready"}}],
            "/secrets": [],
            "/configs": list(self.configs.values()),
            "/images/json": [],
            "/containers/json": [],
        }
        return (200, known[plain]) if plain in known else (404, {"message": f"no {plain}"})


class _Handler(BaseHTTPRequestHandler):
    of: FakeEngine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer, but not while the Engine is silent."""
        self.of.hold()
        parts = urlsplit(self.path)
        status, value = self.of.answer(unquote(parts.path))
        if "filters" in parts.query and isinstance(value, list):
            filters = json.loads(parse_qs(parts.query)["filters"][0])
            value = [each for each in value if _matches(each, filters)]
        self._reply(status, value)

    def do_POST(self) -> None:
        """`/fake/put` is what the stand-in for abra asks for; configs are for the lease; kept images are only taken."""
        self.of.hold()
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or "{}")
        parts = urlsplit(self.path)
        plain = _plain(parts.path)
        if plain.endswith("/tag") or plain == "/containers/create":  # an image is kept
            self._reply(201, {"Id": "keeper"})
        elif plain.startswith("/configs/"):
            self._reply(*self.of.keep(plain, parts.query.removeprefix("version="), body))
        else:
            self.of.put(**body)
            self._reply(200, {})

    def address_string(self) -> str:
        """A Unix socket has no address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _reply(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _plain(path: str) -> str:
    """A path without the API's version."""
    return "/" + path.split("/", 2)[2] if path.startswith("/v1.") else path


def _matches(thing: dict[str, Any], filters: dict[str, list[str]]) -> bool:
    """By the stack that a filter names, a task by its service; a config by the beginning of its name."""
    name = str(thing["Spec"].get("Name") or thing["ServiceID"].removeprefix("id"))
    if "name" in filters:
        return any(name.startswith(begin) for begin in filters["name"])
    return name.removesuffix("_app") in str(filters)
