"""What a Swarm says of itself, as values. Read by `tools.swarm`, judged by `model.verdict`.

All times are aware UTC datetimes by the Engine's clock, never by ours.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class UpdateState(StrEnum):
    """The Engine's `UpdateStatus.State`."""

    UPDATING = "updating"
    PAUSED = "paused"
    COMPLETED = "completed"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_PAUSED = "rollback_paused"
    ROLLBACK_COMPLETED = "rollback_completed"
    UNKNOWN = "unknown"

    @property
    def in_flight(self) -> bool:
        """Whether Swarm is still moving by itself; `paused` and `rollback_paused` never move on."""
        return self in (UpdateState.UPDATING, UpdateState.ROLLBACK_STARTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateStatus:
    """One service's last update. Belongs to a run only when it started after that run's act."""

    state: UpdateState
    started: datetime | None
    completed: datetime | None
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Mount:
    """One mount of a service: `kind` is volume, bind or tmpfs."""

    kind: str
    source: str
    target: str
    driver: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """One published port: `mode` is host or ingress."""

    target: int
    published: int
    mode: str
    protocol: str = "tcp"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """One service of a stack.

    `name` is the name in the compose file, `full_name` the Swarm's. `spec_hash` covers the whole Spec and
    `template_hash` the task template without its Runtime, which is what a task carries of it. The version
    index is not kept: it moves when only UpdateStatus does. `replicas` is None for a global service.
    """

    id: str
    name: str
    full_name: str
    stack: str
    image: str
    labels: dict[str, str]
    spec_hash: str
    template_hash: str
    previous_hash: str | None
    replicas: int | None
    wanted: int
    order: str
    failure_action: str
    has_healthcheck: bool
    arguments: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    networks: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    update: UpdateStatus | None = None
    updated: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One task. `state` and `desired` are the Engine's words; `exit_code` is None while none is known."""

    id: str
    service_id: str
    slot: int
    node_id: str
    template_hash: str
    image: str
    state: str
    desired: str
    error: str
    exit_code: int | None
    container_id: str
    created: datetime
    changed: datetime

    @property
    def running(self) -> bool:
        """Whether it runs and is meant to; with a health check that means healthy (else `starting`)."""
        return self.state == "running" and self.desired == "running"

    @property
    def failed(self) -> bool:
        """Whether it ended by itself: a task that Swarm shut down is not a failure."""
        return self.state in ("failed", "rejected", "orphaned")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node in the Engine's words: `state` is ready or down, `availability` active, pause or drain."""

    name: str
    role: str
    state: str
    availability: str

    @property
    def works(self) -> bool:
        """Whether tasks can run there."""
        return self.state == "ready" and self.availability == "active"


@dataclass(frozen=True, kw_only=True, slots=True)
class Volume:
    """One volume; `created` tells it from a namesake made anew, None where the Engine cannot say.

    `options` are its driver's: the driver `local` with options can be a share, a disk or a folder of the host.
    """

    name: str
    driver: str
    created: datetime | None
    labels: dict[str, str]
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """All that runs under one `com.docker.stack.namespace`, at one moment `taken` by the Engine's clock."""

    name: str
    taken: datetime
    services: tuple[Service, ...]
    tasks: tuple[Task, ...]
    volumes: tuple[Volume, ...]

    def tasks_of(self, service: Service) -> tuple[Task, ...]:
        """All tasks of a service, oldest first."""
        return tuple(sorted((t for t in self.tasks if t.service_id == service.id), key=lambda t: t.created))

    def service(self, name: str) -> Service | None:
        """The service of that compose name."""
        return next((s for s in self.services if s.name == name), None)

    def label(self, key: str) -> str | None:
        """The value of `coop-cloud.<stack>.<key>`: on `app` as abra sets it, else on any service."""
        full = f"coop-cloud.{self.name}.{key}"
        by_app_first = sorted(self.services, key=lambda s: (s.name != "app", s.name))
        return next((s.labels[full] for s in by_app_first if full in s.labels), None)
