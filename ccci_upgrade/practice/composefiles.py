"""What the stand-in itself must know of a recipe's compose files; the docker client reads the rest."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.model.compose import Compose, ComposeError, compose_files, read_compose
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.text import decode

_VERSION = re.compile(r"^version:\s*[\"']?([0-9.]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Active:
    """The active files, what they say together, and the format version the first of them names."""

    files: tuple[Path, ...]
    compose: Compose
    version: str

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
    found = _VERSION.search(texts[0][1])
    return Active(
        files=tuple(folder / name for name in names), compose=compose, version=found[1] if found else "3.8"
    )


def write_labels(path: Path, version: str, labels: Mapping[str, str]) -> None:
    """Write one more compose file that sets labels on `app`; JSON is YAML, and needs no quoting rules."""
    tree = {"version": version, "services": {"app": {"deploy": {"labels": dict(labels)}}}}
    path.write_text(json.dumps(tree), encoding="utf-8")
