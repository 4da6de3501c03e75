"""What the stand-in itself must know of a recipe's compose files; `stackfiles` reads the rest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.model.compose import Compose, ComposeError, compose_files, read_compose
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.text import decode


@dataclass(frozen=True, kw_only=True, slots=True)
class Active:
    """The active files (name and text each), and what they say together."""

    files: tuple[tuple[str, str], ...]
    compose: Compose

    @property
    def secrets(self) -> dict[str, str]:
        """The Swarm's names of the secrets abra has to make, by their names in the files."""
        return {secret.key: secret.name for secret in self.compose.secrets if secret.external}


def load(folder: Path, env: Mapping[str, str], *, stack: str) -> Active:
    """Read the files that `env` names, interpolated with it. FatalError for one that Docker would not take."""
    try:
        names = compose_files(env)
        texts = [(name, decode((folder / name).read_bytes())) for name in names]
        compose = read_compose(texts, env, stack=stack)
    except (OSError, ComposeError) as error:
        raise FatalError(f"unable to load compose files: {error}") from error
    return Active(files=tuple(texts), compose=compose)


def labels_file(labels: Mapping[str, str]) -> tuple[str, str]:
    """One more compose file that sets labels on `app`; JSON is YAML, and needs no quoting rules."""
    return "labels", json.dumps({"services": {"app": {"deploy": {"labels": dict(labels)}}}})
