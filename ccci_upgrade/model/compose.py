"""Compose files as `docker stack deploy` reads them: interpolated, merged, objects by their Swarm names.

Only what a plan needs is read; the rest of a file is left to Docker. Values a file is silent about are
Swarm's own defaults, but for `replicas`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ccci_upgrade.model.swarm import Mount, Port

DEFAULT_FILE = "compose.yml"


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


def compose_files(env: Mapping[str, str]) -> list[str]:
    """Give the files `COMPOSE_FILE` names, in order. Raises ComposeError for a path out of the recipe."""
    files = [f for f in env.get("COMPOSE_FILE", "").split(":") if f] or [DEFAULT_FILE]
    for file in files:
        if file.startswith(("/", "~")) or ".." in file.split("/") or not file.isprintable():
            raise ComposeError(f"COMPOSE_FILE: {file!r} is not a file of the recipe")
    return files


def read_compose(files: Sequence[tuple[str, str]], env: Mapping[str, str], *, stack: str) -> Compose:
    """Read compose files (name and text each) as Docker deploys them to `stack`.

    `env` is what abra would export: the app's `.env` over the exports of `abra.sh`; `STACK_NAME` is added.
    Raises ComposeError, and nothing else, for files Docker would refuse.
    """
    from ccci_upgrade.model.composeparts import Parts  # noqa: PLC0415 - start-up time is measured (yaml)

    parts = Parts(env={"STACK_NAME": stack, **env}, stack=stack)
    for name, text in files:
        parts.add(name, text)
    return parts.joined()
