"""A laboratory: one Engine, whichever it is, and one stack of a scenario's own on it."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode

from ccci_upgrade.tools.engine import Answer, Engine, Json
from ccci_upgrade.tools.unixhttp import UnixConnection
from tests.contract.jsontree import Tree, number, rows, text, tree
from tests.contract.recorder import LOOK, Recorder
from tests.contract.specs import STACK, service

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds a scenario waits for anything; far more than any takes."""


class Lab:
    """An Engine's socket, a way to its published ports, and a stack named for one scenario."""

    def __init__(
        self,
        socket: Path,
        stack: str,
        *,
        reach: Callable[[int, str], tuple[int, str]],
        free_port: Callable[[], int],
        practice: bool,
    ) -> None:
        """Talk to the Engine at `socket`; nothing is asked yet."""
        self.socket = socket
        self.engine = Engine(socket)
        self.stack = stack
        self.reach = reach
        self.free_port = free_port
        self.practice = practice

    # --- services -----------------------------------------------------------------------------------------

    def spec(self, name: str, **how: object) -> Tree:
        """Make a service's spec in this stack; see `specs.service`."""
        return service(self.stack, name, **how)  # type: ignore[arg-type] # its own keywords, checked there

    def create(self, name: str, **how: object) -> Tree:
        """Create a service and give the spec that was sent."""
        spec = self.spec(name, **how)
        self.post("/services/create", spec, status=201)
        return spec

    def start(self, name: str, **how: object) -> Tree:
        """Create a service and wait until all its replicas run, and a recorder has seen it."""
        spec = self.create(name, **how)
        self.settled(name)
        time.sleep(2 * LOOK)
        return spec

    def inspect(self, name: str) -> Tree:
        """Read a service."""
        return tree(self.engine.get(f"/services/{self.stack}_{name}"))

    def index(self, name: str) -> int:
        """The version index of a service."""
        found = number(self.inspect(name), "Version", "Index")
        assert found is not None
        return found

    def update(self, name: str, spec: Tree, *, index: int | None = None, rollback: bool = False) -> Answer:
        """Send a spec with the index just read, or another one."""
        query: dict[str, Json] = {"version": self.index(name) if index is None else index}
        if rollback:
            query["rollback"] = "previous"
        return self.engine.ask("POST", f"/services/{self.stack}_{name}/update", query, body=spec)

    def change(self, name: str, **how: object) -> Tree:
        """Update a service to a new spec, and give that."""
        spec = self.spec(name, **how)
        answer = self.update(name, spec)
        assert answer.status == 200, answer.message
        return spec

    def remove(self, name: str) -> None:
        """Remove a service; its tasks take their time."""
        assert self.engine.ask("DELETE", f"/services/{self.stack}_{name}").status == 200

    def tasks(self, name: str) -> list[Tree]:
        """The tasks of a service, oldest first."""
        wanted: Json = {"service": [f"{self.stack}_{name}"]}
        found = rows(self.engine.get("/tasks", {"filters": wanted}))
        return sorted(found, key=lambda task: text(task, "CreatedAt"))

    def running(self, name: str) -> list[Tree]:
        """The tasks that run and are meant to."""
        return [
            task
            for task in self.tasks(name)
            if (text(task, "Status", "State"), text(task, "DesiredState")) == ("running", "running")
        ]

    def containers(self, name: str) -> list[Tree]:
        """A service's containers, exited ones too."""
        wanted: Json = {"label": [f"com.docker.swarm.service.name={self.stack}_{name}"]}
        return rows(self.engine.get("/containers/json", {"all": "1", "filters": wanted}))

    def left(self) -> int:
        """How many tasks and containers the stack has, whatever their state."""
        wanted: Json = {"label": [f"{STACK}={self.stack}"]}
        tasks = rows(self.engine.get("/tasks", {"filters": wanted}))
        return len(tasks) + len(rows(self.engine.get("/containers/json", {"all": "1", "filters": wanted})))

    # --- waiting ------------------------------------------------------------------------------------------

    @staticmethod
    def until(true: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
        """Wait for something to be true, and give it."""
        deadline = time.monotonic() + seconds
        while not (found := true()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
            time.sleep(0.05)
        return found

    def settled(self, name: str) -> None:
        """Wait until as many tasks run as are wanted."""

        def all_run() -> bool:
            wanted = number(self.inspect(name), "Spec", "Mode", "Replicated", "Replicas")
            return len(self.running(name)) == wanted

        self.until(all_run, f"{name} runs")

    def updated(self, name: str, *states: str) -> None:
        """Wait until `UpdateStatus` says one of these, `completed` where none is named."""
        wanted = states or ("completed",)
        self.until(lambda: text(self.inspect(name), "UpdateStatus", "State") in wanted, f"{name} is {wanted}")

    # --- the rest of the API ------------------------------------------------------------------------------

    def post(self, path: str, body: Json, *, status: int, query: Mapping[str, Json] | None = None) -> Tree:
        """POST JSON; any other status fails the test."""
        answer = self.engine.ask("POST", path, query, body=body)
        assert answer.status == status, f"{path}: {answer.status} {answer.message}"
        return tree(answer.json) if answer.body.strip() else {}

    def raw(
        self, method: str, path: str, query: Mapping[str, str] | None = None, *, data: bytes | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        """One request with bytes both ways; gives status, body and headers (names in lower case)."""
        connection = UnixConnection(self.socket, timeout=15)
        try:
            kind = {"Content-Type": "application/x-tar"} if data is not None else {}
            connection.request(method, f"/v1.41{path}?{urlencode(query or {})}", body=data, headers=kind)
            response = connection.getresponse()
            names = {key.lower(): value for key, value in response.getheaders()}
            return response.status, response.read(), names
        finally:
            connection.close()

    def watch(self) -> Recorder:
        """Record this stack while the `with` lasts."""
        return Recorder(self.engine, self.stack)

    def clean(self) -> None:
        """Take away what the scenario left, of every kind."""
        wanted: Json = {"label": [f"{STACK}={self.stack}"]}
        self._delete("/services", "ID", wanted, "")
        self.until(lambda: not self._delete("/containers/json", "Id", wanted, "/containers"), "no containers")
        for kind, key in (("/configs", "ID"), ("/secrets", "ID"), ("/networks", "Id")):
            self._delete(kind, key, wanted, "")
        named: Json = {"name": [f"{self.stack}_"]}
        for volume in rows(tree(self.engine.get("/volumes", {"filters": named})).get("Volumes")):
            self.engine.ask("DELETE", f"/volumes/{text(volume, 'Name')}", {"force": "1"})
        self.engine.close()

    def _delete(self, listing: str, key: str, wanted: Json, base: str) -> int:
        query: dict[str, Json] = {"filters": wanted}
        if listing == "/containers/json":
            query["all"] = "1"
        found = rows(self.engine.get(listing, query))
        for each in found:
            path = f"{base or listing}/{text(each, key)}"
            self.engine.ask("DELETE", path, {"force": "1", "v": "1"} if base else None)
        return len(found)


@contextmanager
def cleaned(lab: Lab) -> Iterator[Lab]:
    """Give the laboratory, and clean it in any case."""
    try:
        yield lab
    finally:
        lab.clean()


def as_filter(**wanted: list[str]) -> str:
    """Filters as the Engine takes them in a query."""
    return json.dumps(wanted)
