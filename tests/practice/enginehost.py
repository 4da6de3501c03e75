"""A practice engine for a test, asked through the program's own client."""

import contextlib
import http.client
import json
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ccci_upgrade.practice.engine import PracticeEngine
from ccci_upgrade.tools.engine import Answer, Engine, Json

T = TypeVar("T")
Tree = dict[str, Json]

OLD, NEW = "traefik:v3.0.0", "traefik:v3.0.1"
IMAGES: dict[str, dict[str, object]] = {
    OLD: {"local": True},
    NEW: {"local": True},
    "quay.io/keycloak/keycloak:26.0.0": {"local": True},
    "mariadb:10.6": {"local": True},
    "mariadb:10.11": {"local": True},
    "drone/drone:2.26.0": {"local": False, "seconds": 0.2},
}


class Host:
    """An engine and what tests do with it."""

    def __init__(self, engine: PracticeEngine) -> None:
        """Talk to a started engine."""
        self.practice = engine
        self.engine = Engine(engine.socket)

    def post(self, path: str, body: Json, status: int = 201) -> Tree:
        """POST, and fail the test on any other status."""
        answer = self.engine.ask("POST", path, body=body)
        assert answer.status == status, answer.message
        value = answer.json if answer.body.strip() else {}
        assert isinstance(value, dict)
        return value

    def tree(self, path: str, query: Mapping[str, Json] | None = None) -> Tree:
        """GET an object."""
        value = self.engine.get(path, query)
        assert isinstance(value, dict)
        return value

    def rows(self, path: str, query: Mapping[str, Json] | None = None) -> list[Tree]:
        """GET a list of objects."""
        value = self.engine.get(path, query)
        assert isinstance(value, list)
        return [each for each in value if isinstance(each, dict)]

    def update(self, spec: Tree) -> Answer:
        """Give a service another spec."""
        name = spec["Name"]
        index = at(self.tree(f"/services/{name}"), "Version", "Index")
        return self.engine.ask("POST", f"/services/{name}/update", {"version": index}, body=spec)

    def tasks(self, name: str) -> list[Tree]:
        """A service's tasks, oldest first."""
        found = self.rows("/tasks", {"filters": {"service": [name]}})
        return sorted(found, key=lambda task: str(task["CreatedAt"]))

    def states(self, name: str) -> list[Json]:
        """The states of a service's tasks."""
        return [at(task, "Status", "State") for task in self.tasks(name)]

    def status(self, name: str) -> Json:
        """What `UpdateStatus` says."""
        return at(self.tree(f"/services/{name}"), "UpdateStatus", "State")

    def runs(self, spec: Tree) -> Tree:
        """Create a service and wait until it runs."""
        self.post("/services/create", spec)
        name = str(spec["Name"])
        until(lambda: "running" in self.states(name))
        return self.tasks(name)[-1]

    def fault(self, body: Json, status: int = 200) -> str:
        """Cause a fault; gives the message of a refusal."""
        answer = self.engine.ask("POST", "/_practice/fault", body=body)
        assert answer.status == status, answer.message
        return answer.message


@contextlib.contextmanager
def host() -> Iterator[Host]:
    """Give a started engine; in the end no bug was met in it and nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="pe-"))  # a socket's path must be short
    (folder / "registry.json").write_text(json.dumps({"images": IMAGES}))
    try:
        with PracticeEngine(folder) as engine:
            ours = Host(engine)
            yield ours
            ours.fault({"clear": True})
            assert ours.tree("/_practice")["bugs"] == []
            ours.engine.close()
    finally:
        shutil.rmtree(folder)


def service(
    name: str,
    *,
    image: str = OLD,
    env: Mapping[str, str] | None = None,
    replicas: int = 1,
    port: tuple[int, str] | None = None,
    volume: str = "",
    network: str = "",
    labels: Mapping[str, str] | None = None,
    healthcheck: bool = False,
    order: str = "stop-first",
    on_failure: str = "pause",
    attempts: int = 0,
    delay: float = 0.05,
) -> Tree:
    """Make a spec; `port` is the published one and its mode, `volume` is mounted at /data."""
    container: Tree = {"Image": image, "Env": [f"{key}={value}" for key, value in (env or {}).items()]}
    if volume:
        container["Mounts"] = [{"Type": "volume", "Source": volume, "Target": "/data"}]
    if healthcheck:
        container["Healthcheck"] = {
            "Test": ["CMD", "/healthcheck"],
            "Interval": 10**8,
            "Retries": 2,
            "StartPeriod": 10**9,
        }
    template: Tree = {
        "ContainerSpec": container,
        "RestartPolicy": {"Condition": "any", "Delay": int(delay * 1e9), "MaxAttempts": attempts},
    }
    if network:
        template["Networks"] = [{"Target": network, "Aliases": [name]}]
    ports: list[Json] = []
    if port:
        ports.append(
            {"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": port[0], "PublishMode": port[1]}
        )
    how: Tree = {"Parallelism": 1, "Order": order, "FailureAction": on_failure, "Monitor": 2 * 10**8}
    return {
        "Name": name,
        "Labels": dict(labels or {}),
        "TaskTemplate": template,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": how,
        "RollbackConfig": how,
        "EndpointSpec": {"Mode": "dnsrr", "Ports": ports},
    }


def at(value: Json, *path: str) -> Json:
    """What is at a path; None where a step is absent."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def until(true: Callable[[], T], seconds: float = 10.0) -> T:
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)
    return found


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def page(port: int, path: str = "/", host: str = "localhost") -> tuple[int, str]:
    """Ask an app; 0 and "" where nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
