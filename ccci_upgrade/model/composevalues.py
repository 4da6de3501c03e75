"""What is read of compose files: services and the objects they name, by their Swarm names.

Everything is sorted by name or key. Values a file is silent about are Swarm's own defaults, but for
`replicas`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ccci_upgrade.model.swarm import Mount, Port


class ComposeError(ValueError):
    """Files Docker would refuse; the message starts with file and key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeService:
    """One service. `replicas` is None where the files are silent, which means 1 (nothing for `global`).

    Times are seconds. `mounts` name volumes as the Swarm does (`source` is empty for an anonymous one), as
    `networks`, `configs` and `secrets` do. `labels` are those of `deploy`, `environment` is None for a name
    without a value. `has_healthcheck` is about the files: the image may bring its own.
    """

    name: str
    image: str
    replicas: int | None = None
    mode: str = "replicated"
    order: str = "stop-first"
    failure_action: str = "pause"
    monitor: float = 5.0
    max_failure_ratio: float = 0.0
    ports: tuple[Port, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[str, ...] = ()
    labels: Mapping[str, str]
    configs: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    has_healthcheck: bool = False
    stop_grace: float = 10.0
    start_period: float = 0.0
    environment: Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeConfig:
    """One config: `key` in the files, `name` in the Swarm, `file` as the compose file names it."""

    key: str
    name: str
    file: str
    external: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeSecret:
    """One secret: `key` in the files, `name` in the Swarm."""

    key: str
    name: str
    external: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeVolume:
    """One volume: `key` in the files, `name` in the Swarm."""

    key: str
    name: str
    external: bool
    driver: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeNetwork:
    """One network: `key` in the files, `name` in the Swarm."""

    key: str
    name: str
    external: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ComposeUse:
    """One name of the environment in use at `where` (file and key).

    `required` is the `${NAME:?}` form: Docker refuses an unset name there; elsewhere it is empty.
    """

    name: str
    has_default: bool
    required: bool
    where: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Compose:
    """All files together. Everything is sorted by name or key, `uses` in the order of the files."""

    services: tuple[ComposeService, ...]
    configs: tuple[ComposeConfig, ...]
    secrets: tuple[ComposeSecret, ...]
    volumes: tuple[ComposeVolume, ...]
    networks: tuple[ComposeNetwork, ...]
    uses: tuple[ComposeUse, ...]

    def service(self, name: str) -> ComposeService | None:
        """Give the service of that name."""
        return next((s for s in self.services if s.name == name), None)
