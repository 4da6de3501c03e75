"""The Swarm, read through the Engine API into `model.swarm` values.

Paths into the Engine's JSON are those of API 1.41 (Engine 20.10), tried on Debian's 20.10.24.
"""

import base64
import hashlib
import json
import re
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.model.swarm import (
    Mount,
    Node,
    Port,
    Service,
    Stack,
    Task,
    UpdateState,
    UpdateStatus,
    Volume,
)
from ccci_upgrade.text import decode, tame, tame_line
from ccci_upgrade.tools.engine import Engine, Json

if TYPE_CHECKING:
    from ccci_upgrade.model.facts import SwarmNames

NAMESPACE = "com.docker.stack.namespace"

EVENT_SILENCE = 60.0
"""Seconds without any event after which the stream is opened anew."""

_EVENTS: Json = {
    "type": ["service", "container"],
    "event": ["create", "update", "remove", "start", "die", "health_status"],
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """The Swarm an Engine belongs to. `id` tells servers apart: names do not."""

    id: str
    engine_version: str
    node: str
    manager: bool
    nodes: int
    root_dir: str


CREATION_KNOWN_SINCE = 23
"""Before this Engine, `CreatedAt` of a local volume is the last change of its top folder (moby#38274)."""


CLOCK_SET_SECONDS = 1.0
"""A wall clock that left the machine's uptime by more was set: by hand, at a resume, or by a time service."""


class Swarm:
    """Questions to one Swarm."""

    def __init__(self, engine: Engine) -> None:
        """Ask through this Engine."""
        self.engine = engine
        self._offset: timedelta | None = None
        self._born = 0.0
        self._creation_known = False
        self._networks: dict[str, str] = {}

    def cluster(self) -> Cluster:
        """Say which Swarm this is; NotReadyError where it is none, or not a manager."""
        info = _obj(self.engine.get("/info"), "/info")
        swarm = _sub(info, "Swarm")
        cluster = _sub(swarm, "Cluster")
        if not _text(cluster, "ID"):
            state = _text(swarm, "LocalNodeState") or "unknown"
            raise NotReadyError(
                f"the Engine at `{self.engine.name}` is no Swarm manager (state: {tame_line(state)})",
                hint="run `docker swarm init` there, or name the manager in ccci-upgrade.toml",
                code="no-swarm",
            )
        self._learn(info)
        return Cluster(
            id=tame_line(_text(cluster, "ID")),
            engine_version=tame_line(_text(info, "ServerVersion")),
            node=tame_line(_text(info, "Name")),
            manager=swarm.get("ControlAvailable") is True,
            nodes=_int(swarm, "Nodes"),
            root_dir=_text(info, "DockerRootDir"),
        )

    def node_id(self) -> str:
        """The node that this Engine is: its volumes are the ones that can be read."""
        return _text(_sub(_obj(self.engine.get("/info"), "/info"), "Swarm"), "NodeID")

    def engine_time(self) -> datetime:
        """The Engine's clock now. It is asked once, and again where this machine's own clock was set since."""
        if self._offset is None or abs(_born() - self._born) > CLOCK_SET_SECONDS:
            self._learn(_obj(self.engine.get("/info"), "/info"))
        return clock.now() + (self._offset or timedelta())

    def stacks(self) -> dict[str, Stack]:
        """Every stack of the Swarm by name, from two questions: without volumes, networks by their ids."""
        answer = self.engine.get("/services", {"status": "true"})
        services = [_service(raw, str) for raw in _list(answer, "/services")]
        tasks = [_task(raw) for raw in _list(self.engine.get("/tasks"), "/tasks")]
        taken = self.engine_time()
        by_stack: dict[str, list[Service]] = {}
        for service in services:
            if service.stack:
                by_stack.setdefault(service.stack, []).append(service)
        return {name: _stack(name, taken, members, tasks, ()) for name, members in by_stack.items()}

    def stack(self, name: str) -> Stack:
        """One stack with its tasks and volumes; a stack that is not deployed has no services."""
        wanted: Json = {"label": [f"{NAMESPACE}={name}"]}
        raw = _list(self.engine.get("/services", {"filters": wanted, "status": "true"}), "/services")
        services = [_service(each, self._network_name) for each in raw]
        tasks = [_task(each) for each in _list(self.engine.get("/tasks", {"filters": wanted}), "/tasks")]
        names = {mount.source for service in services for mount in service.mounts if mount.kind == "volume"}
        volumes = [v for v in self._volumes() if v.name in names or v.labels.get(NAMESPACE) == name]
        return _stack(name, self.engine_time(), services, tasks, volumes)

    def services(self) -> list[Service]:
        """Every service of the Swarm."""
        answer = self.engine.get("/services", {"status": "true"})
        return [_service(raw, self._network_name) for raw in _list(answer, "/services")]

    def all_labels(self) -> list[dict[str, str]]:
        """The labels of every service of the Swarm, for routes and owners."""
        return [service.labels for service in self.services()]

    def tell(self, wake: threading.Event, stop: threading.Event) -> None:
        """Set `wake` when services or containers change, until `stop`; for a thread of its own.

        Events only wake who looks: a stream that breaks loses some, so nothing is ever concluded from them.
        """
        while not stop.is_set():
            query: dict[str, Json] = {"filters": _EVENTS}
            stream = self.engine.lines("GET", "/events", query, seconds=EVENT_SILENCE, cancelled=stop.is_set)
            try:
                for _ in stream:
                    wake.set()
            except EngineError:
                stop.wait(1.0)

    def nodes(self) -> tuple[Node, ...]:
        """The Swarm's nodes, by name."""
        found = [_node(raw) for raw in _list(self.engine.get("/nodes"), "/nodes")]
        return tuple(sorted(found, key=lambda node: node.name))

    def names(self) -> "SwarmNames":
        """Secrets, configs and networks that exist."""
        from ccci_upgrade.model.facts import SwarmNames  # noqa: PLC0415 - start-up time is measured

        secrets = _list(self.engine.get("/secrets"), "/secrets")
        configs = _list(self.engine.get("/configs"), "/configs")
        networks = _list(self.engine.get("/networks"), "/networks")
        return SwarmNames(
            secrets=frozenset(_text(_sub(s, "Spec"), "Name") for s in secrets),
            configs={_text(_sub(c, "Spec"), "Name"): _config_data(c) for c in configs},
            networks=frozenset(_text(n, "Name") for n in networks),
        )

    def logs(self, task: Task, *, tail: int = 20) -> tuple[str, ...]:
        """The last lines a task printed, tamed; empty where its container is gone."""
        if not task.container_id.isalnum():  # it becomes part of a path
            return ()
        query: dict[str, Json] = {"stdout": "1", "stderr": "1", "tail": str(tail)}
        answer = self.engine.ask("GET", f"/containers/{task.container_id}/logs", query, seconds=10)
        if answer.status != 200:  # noqa: PLR2004 - HTTP OK; a container that is gone has no log
            return ()
        return tuple(tame(line) for line in decode(b"".join(_demultiplex(answer.body))).splitlines()[-tail:])

    def _volumes(self) -> Iterator[Volume]:
        if self._offset is None:
            self._learn(_obj(self.engine.get("/info"), "/info"))
        answer = _obj(self.engine.get("/volumes"), "/volumes")
        for raw in _list(answer.get("Volumes") or [], "/volumes"):
            driver = _text(raw, "Driver")
            known = self._creation_known or driver != "local"
            yield Volume(
                name=_text(raw, "Name"),
                driver=driver,
                created=clock.parse_stamp(_text(raw, "CreatedAt")) if known else None,
                labels=_labels(raw.get("Labels")),
                options=_labels(raw.get("Options")),
            )

    def _network_name(self, target: str) -> str:
        if target not in self._networks:
            for raw in _list(self.engine.get("/networks"), "/networks"):
                self._networks[_text(raw, "Id")] = _text(raw, "Name")
        return self._networks.setdefault(target, target)

    def _learn(self, info: dict[str, Json]) -> None:
        said = clock.parse_stamp(_text(info, "SystemTime"))
        self._offset, self._born = said - clock.now() if said else timedelta(), _born()
        major = re.match("[0-9]{1,3}(?=[.])", _text(info, "ServerVersion"))
        self._creation_known = major is not None and int(major.group()) >= CREATION_KNOWN_SINCE


def _born() -> float:
    """When this machine began to count, by its wall clock: the same all the time, unless somebody sets it."""
    return clock.now().timestamp() - clock.uptime()


def spec_hash(value: Json) -> str:
    """A hash of a spec that is equal for equal meaning: keys sorted, no digest lost."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        raise EngineError("the Engine's answer is nested too deeply") from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stack(
    name: str, taken: datetime, services: Iterable[Service], tasks: Iterable[Task], volumes: Iterable[Volume]
) -> Stack:
    members = tuple(sorted(services, key=lambda s: s.full_name))
    ids = {service.id for service in members}
    return Stack(
        name=name,
        taken=taken,
        services=members,
        tasks=tuple(task for task in tasks if task.service_id in ids),
        volumes=tuple(sorted(volumes, key=lambda v: v.name)),
    )


def _node(raw: dict[str, Json]) -> Node:
    return Node(
        name=tame_line(_text(_sub(raw, "Description"), "Hostname")),
        role=tame_line(_text(_sub(raw, "Spec"), "Role")),
        state=tame_line(_text(_sub(raw, "Status"), "State")),
        availability=tame_line(_text(_sub(raw, "Spec"), "Availability")),
    )


def _service(raw: dict[str, Json], network_name: Callable[[str], str]) -> Service:
    spec = _sub(raw, "Spec")
    template = _sub(spec, "TaskTemplate")
    container = _sub(template, "ContainerSpec")
    update_config = _sub(spec, "UpdateConfig")
    labels = _labels(spec.get("Labels"))
    stack = labels.get(NAMESPACE, "")
    full_name = _text(spec, "Name")
    replicas = _replicas(spec)
    previous = raw.get("PreviousSpec")
    networks = _list(template.get("Networks") or spec.get("Networks") or [], "Networks")
    return Service(
        id=_text(raw, "ID"),
        name=full_name.removeprefix(f"{stack}_") if stack else full_name,
        full_name=full_name,
        stack=stack,
        image=_text(container, "Image"),
        labels=labels,
        spec_hash=spec_hash(spec),
        template_hash=_template_hash(template),
        previous_hash=spec_hash(previous) if isinstance(previous, dict) else None,
        replicas=replicas,
        wanted=replicas if replicas is not None else _int(_sub(raw, "ServiceStatus"), "DesiredTasks"),
        order=_text(update_config, "Order") or "stop-first",
        failure_action=_text(update_config, "FailureAction") or "pause",
        has_healthcheck=_has_healthcheck(container),
        arguments=_arguments(container),
        mounts=tuple(_mounts(container)),
        ports=tuple(_ports(spec)),
        networks=tuple(sorted(network_name(_text(each, "Target")) for each in networks)),
        configs=_references(container, "Configs", "ConfigName"),
        secrets=_references(container, "Secrets", "SecretName"),
        update=_update(raw.get("UpdateStatus")),
        updated=clock.parse_stamp(_text(raw, "UpdatedAt")),
    )


def _task(raw: dict[str, Json]) -> Task:
    status = _sub(raw, "Status")
    container = _sub(status, "ContainerStatus")
    code = container.get("ExitCode")
    ended = _text(status, "State") in ("failed", "complete", "shutdown", "rejected")
    zero = datetime.fromtimestamp(0, UTC)
    template = _sub(raw, "Spec")
    return Task(
        id=_text(raw, "ID"),
        service_id=_text(raw, "ServiceID"),
        slot=_int(raw, "Slot"),
        node_id=_text(raw, "NodeID"),
        template_hash=_template_hash(template),
        image=_text(_sub(template, "ContainerSpec"), "Image"),
        state=_text(status, "State"),
        desired=_text(raw, "DesiredState"),
        error=tame_line(_text(status, "Err")),
        exit_code=code if ended and isinstance(code, int) else None,
        container_id=_text(container, "ContainerID"),
        created=clock.parse_stamp(_text(raw, "CreatedAt")) or zero,
        changed=clock.parse_stamp(_text(status, "Timestamp")) or zero,
    )


def _template_hash(template: dict[str, Json]) -> str:
    # A task carries its service's template without the Runtime (Engine 20.10, tried).
    return spec_hash({key: value for key, value in template.items() if key != "Runtime"})


def _replicas(spec: dict[str, Json]) -> int | None:
    replicated = _sub(spec, "Mode").get("Replicated")
    if not isinstance(replicated, dict):
        return None
    count = replicated.get("Replicas")
    return count if isinstance(count, int) else 1


def _arguments(container: dict[str, Json]) -> tuple[str, ...]:
    words = [*_strings(container.get("Command")), *_strings(container.get("Args"))]
    return (*words, *_strings(container.get("Env")))


def _strings(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _has_healthcheck(container: dict[str, Json]) -> bool:
    test = _sub(container, "Healthcheck").get("Test")
    return isinstance(test, list) and test[:1] != ["NONE"] and bool(test)


def _mounts(container: dict[str, Json]) -> Iterator[Mount]:
    for raw in _list(container.get("Mounts") or [], "Mounts"):
        driver = _sub(_sub(raw, "VolumeOptions"), "DriverConfig")
        yield Mount(
            kind=_text(raw, "Type"),
            source=_text(raw, "Source"),
            target=_text(raw, "Target"),
            driver=_text(driver, "Name"),
        )


def _ports(spec: dict[str, Json]) -> Iterator[Port]:
    for raw in _list(_sub(spec, "EndpointSpec").get("Ports") or [], "Ports"):
        yield Port(
            target=_int(raw, "TargetPort"),
            published=_int(raw, "PublishedPort"),
            mode=_text(raw, "PublishMode") or "ingress",
            protocol=_text(raw, "Protocol") or "tcp",
        )


def _references(container: dict[str, Json], key: str, name: str) -> tuple[str, ...]:
    return tuple(sorted(_text(each, name) for each in _list(container.get(key) or [], key)))


def _update(raw: Json) -> UpdateStatus | None:
    if not isinstance(raw, dict) or not raw.get("State"):
        return None
    word = _text(raw, "State")
    known = word in UpdateState.__members__.values()
    return UpdateStatus(
        state=UpdateState(word) if known else UpdateState.UNKNOWN,
        started=clock.parse_stamp(_text(raw, "StartedAt")),
        completed=clock.parse_stamp(_text(raw, "CompletedAt")),
        message=tame_line(_text(raw, "Message")),
    )


def _config_data(raw: dict[str, Json]) -> bytes | None:
    data = _sub(raw, "Spec").get("Data")
    try:
        return base64.b64decode(data, validate=True) if isinstance(data, str) else b""
    except ValueError:  # no base64, or not even ASCII
        return None


def _demultiplex(body: bytes) -> Iterator[bytes]:
    """Take Docker's stream frames (8-byte header: stream, 0, 0, 0, length) apart; a tty log has none."""
    at = 0
    while at + 8 <= len(body):
        stream, length = body[at], struct.unpack(">I", body[at + 4 : at + 8])[0]
        if stream > 2 or body[at + 1 : at + 4] != b"\0\0\0":  # noqa: PLR2004 - stdin, stdout, stderr
            yield body[at:]
            return
        yield body[at + 8 : at + 8 + length]
        at += 8 + length


def _obj(value: Json, where: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise EngineError(f"the Engine's answer to {where} is not an object")
    return value


def _list(value: Json, where: str) -> list[dict[str, Json]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise EngineError(f"the Engine's answer to {where} is not a list of objects")
    return [each for each in value if isinstance(each, dict)]


def _sub(value: dict[str, Json], key: str) -> dict[str, Json]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _text(value: dict[str, Json], key: str) -> str:
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""


def _int(value: dict[str, Json], key: str) -> int:
    inner = value.get(key)
    return inner if isinstance(inner, int) and not isinstance(inner, bool) else 0


def _labels(value: Json) -> dict[str, str]:
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}
