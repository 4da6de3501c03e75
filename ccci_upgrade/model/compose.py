"""Compose files as `docker stack deploy` reads them: interpolated, merged, objects by their Swarm names.

Only what a plan needs is read; the rest of a file is left to Docker.
"""

from collections.abc import Mapping, Sequence

from ccci_upgrade.model.composevalues import (
    Compose,
    ComposeConfig,
    ComposeError,
    ComposeNetwork,
    ComposeSecret,
    ComposeService,
    ComposeUse,
    ComposeVolume,
)

__all__ = [
    "Compose",
    "ComposeConfig",
    "ComposeError",
    "ComposeNetwork",
    "ComposeSecret",
    "ComposeService",
    "ComposeUse",
    "ComposeVolume",
    "compose_files",
    "read_compose",
]

DEFAULT_FILE = "compose.yml"


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
