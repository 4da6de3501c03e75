"""What the stand-in itself must know of a recipe's compose files; the docker client reads the rest."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.practice.console import FatalError

_REFERENCE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)(?::?[-?]([^}]*))?\})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Compose:
    """The active files together.

    `secrets` are the Swarm names of external secrets, by their names in the files; `images` are by service.
    """

    files: tuple[Path, ...]
    version: str
    secrets: dict[str, str]
    images: dict[str, str]


def load(folder: Path, names: Sequence[str], env: Mapping[str, str]) -> Compose:
    """Read the named files, with `env` for interpolation. Raises FatalError for one that is not there."""
    version, secrets, images = "3.8", dict[str, str](), dict[str, str]()
    for name in names:
        tree = _tree(folder / name)
        version = str(tree.get("version", version))
        for key, secret in _table(tree, "secrets").items():
            if isinstance(secret, dict) and secret.get("external"):
                secrets[key] = interpolated(str(secret.get("name", key)), env)
        for key, service in _table(tree, "services").items():
            if isinstance(service, dict) and "image" in service:
                images[key] = interpolated(str(service["image"]), env)
    files = tuple(folder / name for name in names)
    return Compose(files=files, version=version, secrets=secrets, images=images)


def write_labels(path: Path, version: str, labels: Mapping[str, str]) -> None:
    """Write one more compose file that sets labels on `app`; JSON is YAML, and needs no quoting rules."""
    tree = {"version": version, "services": {"app": {"deploy": {"labels": dict(labels)}}}}
    path.write_text(json.dumps(tree), encoding="utf-8")


def interpolated(text: str, env: Mapping[str, str]) -> str:
    """Fill in `$NAME`, `${NAME}` and `${NAME:-default}`."""
    return _REFERENCE.sub(lambda found: _value(found, env), text)


def _value(found: re.Match[str], env: Mapping[str, str]) -> str:
    if found[1]:
        return "$"
    return env.get(found[2] or found[3]) or found[4] or ""


def _tree(path: Path) -> dict[str, object]:
    import yaml  # noqa: PLC0415 - a quarter of the stand-in's start, and help needs none of it

    try:
        tree = yaml.safe_load(path.read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise FatalError(f"unable to load {path}: {error}") from error
    if not isinstance(tree, dict):
        raise FatalError(f"unable to load {path}: no mapping")
    return tree


def _table(tree: dict[str, object], key: str) -> dict[str, object]:
    found = tree.get(key)
    return found if isinstance(found, dict) else {}
