"""One service of one compose file, and how a later file's fields lie over an earlier one's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TypeVar, cast

from ccci_upgrade.model import composefields as read
from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.model.swarm import Mount, Port
from ccci_upgrade.model.yamltree import Tree

T = TypeVar("T")


class Fields:
    """A mapping of a file, with where it stands, so that every wrong value is named by its place."""

    def __init__(self, value: Tree, where: str) -> None:
        try:
            self._values = read.mapping(value)
        except read.FieldError as error:
            raise ComposeError(f"{where}: {error}") from None
        self.where = where

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys in the order of the file."""
        return tuple(self._values)

    def value(self, key: str) -> Tree:
        """Give a value as it is, None where there is none."""
        return self._values.get(key)

    def read(self, key: str, reader: Callable[[Tree], T]) -> T:
        """Give a value as `reader` reads it. Raises ComposeError with the place."""
        try:
            return reader(self._values.get(key))
        except read.FieldError as error:
            raise ComposeError(f"{self._place(key)}: {error}") from None

    def sub(self, key: str) -> "Fields":
        """Give a mapping within this one, empty where there is none."""
        return Fields(self._values.get(key), self._place(key))

    def each(self, key: str) -> list[tuple[str, "Fields"]]:
        """Give the mappings within a mapping within this one."""
        part = self.sub(key)
        return [(name, part.sub(name)) for name in part.keys]

    def _place(self, key: str) -> str:
        return f"{self.where}{'.' if ' ' in self.where else ' '}{key}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """A service as the files so far have it; an empty field overrides nothing."""

    image: str = ""
    replicas: int | None = None
    mode: str = ""
    order: str = ""
    failure_action: str = ""
    monitor: float | None = None
    max_failure_ratio: float = 0.0
    stop_grace: float | None = None
    start_period: float | None = None
    test: tuple[str, ...] = ()
    disabled: bool = False
    ports: tuple[Port, ...] = ()
    mounts: dict[str, Mount] = field(default_factory=dict)
    networks: dict[str, None] = field(default_factory=dict)
    configs: dict[str, None] = field(default_factory=dict)
    secrets: dict[str, None] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str | None] = field(default_factory=dict)

    def under(self, over: "Service") -> "Service":
        """Lay another file's fields over these."""
        merged = {f.name: _over(getattr(self, f.name), getattr(over, f.name)) for f in fields(self)}
        # A published port is one slot: an overlay turns `80:80` into a host port, say. (Docker's later
        # releases keep both, which Swarm then refuses.)
        slots = {port.published or port: port for port in (*self.ports, *over.ports)}
        # Docker joins the two commands, nonsense as that is: a NONE below stays in front.
        merged |= {"ports": tuple(slots.values()), "test": self.test + over.test}
        # An empty value lies over nothing, other than with labels (docker/cli's merge, tried).
        said = {name: value for name, value in over.environment.items() if value}
        return Service(**{**merged, "environment": {**over.environment, **self.environment, **said}})


def read_service(part: Fields, env: Mapping[str, str]) -> Service:
    """Read one service of one file. Raises ComposeError for a value Docker would refuse."""
    deploy, health = part.sub("deploy"), part.sub("healthcheck")
    update = deploy.sub("update_config")
    environment = part.read("environment", read.pairs)
    return Service(
        image=part.read("image", read.text),
        replicas=deploy.read("replicas", read.whole),
        mode=deploy.read("mode", read.text),
        order=update.read("order", read.text),
        failure_action=update.read("failure_action", read.text),
        monitor=update.read("monitor", read.seconds) or None,
        max_failure_ratio=update.read("max_failure_ratio", read.ratio),
        stop_grace=part.read("stop_grace_period", read.seconds),
        start_period=health.read("start_period", read.seconds),
        test=health.read("test", read.command),
        disabled=health.read("disable", read.truth),
        ports=part.read("ports", read.ports),
        mounts={mount.target: mount for mount in part.read("volumes", read.mounts)},
        networks=dict.fromkeys(part.read("networks", read.names)),
        configs=dict.fromkeys(part.read("configs", read.sources)),
        secrets=dict.fromkeys(part.read("secrets", read.sources)),
        labels={name: value or "" for name, value in deploy.read("labels", read.pairs).items()},
        # As Docker does: a name without a value takes it from the environment, if that has it.
        environment={name: value or env.get(name, value) for name, value in environment.items()},
    )


def _over(below: T, above: T) -> T:
    if isinstance(below, dict) and isinstance(above, dict):
        return cast("T", {**below, **above})
    # 0 replicas is a wish; any other 0 is Docker's way of saying nothing to what is there.
    says_nothing = not above and type(above) is not int
    return below if says_nothing and below is not None else above
