"""What the practice Engine keeps: services, tasks, containers and the rest, in memory, changed under the lock."""

from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from ccci_upgrade.practice.engine.tree import PORTS, Tree


class State(IntEnum):
    """States of a task in swarmkit's order and with its numbers; a task's state only ever grows."""

    NEW = 0
    PENDING = 64
    ASSIGNED = 192
    ACCEPTED = 256
    PREPARING = 320
    READY = 384
    STARTING = 448
    RUNNING = 512
    COMPLETE = 576
    SHUTDOWN = 640
    FAILED = 704
    REJECTED = 768
    REMOVE = 800
    ORPHANED = 832


@dataclass(kw_only=True, slots=True, eq=False)
class Service:
    """One service; `spec_version` tells specs apart, `index` every change; `told` is what events said last."""

    id: str
    spec: Tree
    index: int
    created: str
    updated: str
    spec_version: int = 0
    previous: Tree | None = None
    previous_version: int = 0
    update: Tree | None = None
    told: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True, eq=False)
class Mount:
    """A volume (or a folder of the host, which stays empty here) in a container."""

    kind: str
    source: str
    target: str
    read_only: bool = False


@dataclass(kw_only=True, slots=True, eq=False)
class Container:
    """One container. `state` is created, running or exited; `health` is "" where there is no check."""

    id: str
    name: str
    image: str
    spec: Tree
    env: dict[str, str]
    labels: dict[str, str]
    mounts: list[Mount]
    created: str
    service_id: str = ""
    task_id: str = ""
    state: str = "created"
    code: int = 0
    pid: int = 0
    started: str = "0001-01-01T00:00:00Z"
    finished: str = "0001-01-01T00:00:00Z"
    serving: bool = False
    sick: bool = False
    health: str = ""
    failing: int = 0
    logs: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """What app it is: the last part of its image's repository."""
        return self.image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[0]

    @property
    def version(self) -> str:
        """The image's tag without a leading v."""
        return self.image.partition("@")[0].rsplit("/", 1)[-1].partition(":")[2].removeprefix("v") or "latest"


@dataclass(kw_only=True, slots=True, eq=False)
class Exec:
    """A program to be run in a container; `code` is None until it ended. `streams` are those that are wanted."""

    id: str
    container: Container
    argv: list[str]
    user: str
    streams: list[int]
    code: int | None = None


@dataclass(kw_only=True, slots=True, eq=False)
class Task:
    """One task; `gone` when the store has deleted it."""

    id: str
    service_id: str
    slot: int
    spec: Tree
    endpoint: Tree
    spec_version: int
    index: int
    created: str
    updated: str
    stamp: str
    ticks: float
    labels: dict[str, str]
    state: State = State.NEW
    desired: State = State.RUNNING
    message: str = "created"
    err: str = ""
    container: Container | None = None
    gone: bool = False

    @property
    def ends(self) -> bool:
        """Whether it is meant to go, or is gone."""
        return self.gone or self.desired > State.RUNNING

    @property
    def host_ports(self) -> list[int]:
        """The host's ports it binds itself."""
        ports = self.endpoint.get("Ports")
        found = [each for each in ports if isinstance(each, dict)] if isinstance(ports, list) else []
        mine = [each.get("PublishedPort") for each in found if each.get("PublishMode") == "host"]
        return [port for port in mine if isinstance(port, int) and port in PORTS]


@dataclass(kw_only=True, slots=True, eq=False)
class Kept:
    """A config or a secret."""

    id: str
    spec: Tree
    index: int
    created: str
    updated: str


@dataclass(kw_only=True, slots=True, eq=False)
class Network:
    """A network: only its name and labels matter here."""

    id: str
    name: str
    driver: str
    labels: dict[str, str]
    created: str
    attachable: bool = False
    ingress: bool = False


@dataclass(kw_only=True, slots=True, eq=False)
class Volume:
    """A named volume; its content are the files in `folder`."""

    name: str
    folder: Path
    labels: dict[str, str]
    created: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Faults:
    """What is wrong on purpose. `frozen_until` is of `clock.ticks`."""

    frozen_until: float = 0.0
    slow: float = 0.0
    status: dict[str, int] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)
    unhealthy: dict[str, int] = field(default_factory=dict)
