"""Snapshots: what a manifest says, and how it is read back. A manifest from outside is hostile until parsed."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum

from ccci_upgrade.model.keptsecrets import PayloadError, SecretsFile, file_from_json

SCHEMA = 1

ROOT = "__v"
"""The folder that a volume is in each archive; no image has it."""

SMALLER = 0.5
"""A volume below this part of its size in the last snapshot is worth a warning."""

NOTICEABLE = 64 * 1024
"""Bytes of the last snapshot below which a volume's size says nothing."""

_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{4}")
_FILE = re.compile(r"[0-9]{1,4}\.tar\.gz")
_SHA = re.compile(r"[0-9a-f]{64}")
_APP = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")


class ManifestError(ValueError):
    """It is no manifest this program can use; the text says why."""


class Kind(StrEnum):
    """What a snapshot is for: to go back to, or what a restore replaced, kept until somebody drops it."""

    SNAPSHOT = "snapshot"
    FAILED_STATE = "failed-state"


@dataclass(frozen=True, kw_only=True, slots=True)
class VolumeCopy:
    """One volume: its archive `file` with its SHA-256, `compressed` bytes, and what is in it.

    `options` are its driver's; manifests of before they were kept have none.
    """

    name: str
    driver: str
    labels: dict[str, str]
    service: str
    target: str
    file: str
    sha256: str
    compressed: int
    size: int
    entries: int
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceFact:
    """One service as it was: its image (with digest where known), its replicas, and how it was stopped.

    `exit_codes` are those of its containers, None where no event told; empty where it was not stopped.
    """

    name: str
    image: str
    image_id: str
    replicas: int | None
    exit_codes: tuple[int | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """One snapshot. `taken` is ISO 8601 UTC; `while_running`: nothing was stopped for it.

    `secrets` is None where the app's secrets were not kept.
    """

    id: str
    app: str
    recipe: str
    stack: str
    cluster: str
    server: str
    version: str | None
    env_sha256: str
    taken: str
    run_id: str
    while_running: bool
    services: tuple[ServiceFact, ...]
    volumes: tuple[VolumeCopy, ...]
    secrets: SecretsFile | None = None
    kind: Kind = Kind.SNAPSHOT

    @property
    def compressed(self) -> int:
        """Bytes of the archives on the disk."""
        return sum(volume.compressed for volume in self.volumes)

    @property
    def size(self) -> int:
        """Bytes of all files in it."""
        return sum(volume.size for volume in self.volumes)


def is_id(text: str) -> bool:
    """Whether this can be a snapshot's id; it becomes part of a path."""
    return _ID.fullmatch(text) is not None


def is_app(text: str) -> bool:
    """Whether an app's name can be a folder's."""
    return _APP.fullmatch(text) is not None


def warnings(new: Manifest, last: Manifest | None) -> tuple[str, ...]:
    """What makes a snapshot suspicious: a volume with nothing in it, or much less than last time."""
    said = []
    before = {volume.name: volume for volume in last.volumes} if last else {}
    for volume in new.volumes:
        old = before.get(volume.name)
        if volume.entries <= 1:
            said.append(f"volume {volume.name} is empty")
        elif volume.size == 0:
            said.append(f"all files of volume {volume.name} are empty")
        elif old is not None and old.size >= NOTICEABLE and volume.size < old.size * SMALLER:
            said.append(
                f"volume {volume.name} holds {volume.size} bytes; it held {old.size} in {last_id(last)}"
            )
    said += [
        f"volume {name} was in {last_id(last)} and is not in this one"
        for name in before
        if name not in {volume.name for volume in new.volumes}
    ]
    return tuple(said)


def suspicious(
    sizes: Mapping[str, int], last: Mapping[str, int], *, last_id: str, databases: Collection[str]
) -> tuple[str, ...]:
    """What must be looked at before it becomes the state to go back to; `databases` are volumes of databases.

    Other volumes may well be empty, and are in most apps (keycloak's `providers`): that is only said.
    """
    said = [
        f"volume {name} of a database is empty" for name in sizes if name in databases and sizes[name] == 0
    ]
    said += [
        f"volume {name} holds {size} bytes; it held {old} in snapshot {last_id}"
        for name, size in sizes.items()
        if (old := last.get(name, 0)) >= NOTICEABLE and size < old * SMALLER
    ]
    return tuple(said)


def last_id(last: Manifest | None) -> str:
    """The id of an earlier snapshot."""
    return last.id if last else ""


def to_json(manifest: Manifest) -> dict[str, object]:
    """A manifest as it is kept."""
    return {"schema_version": SCHEMA, **asdict(manifest)}


def from_json(raw: object) -> Manifest:
    """Read a manifest back; ManifestError names the first thing that is wrong."""
    tree = _object(raw, "the manifest")
    if tree.get("schema_version") != SCHEMA:
        raise ManifestError(f"schema_version is not {SCHEMA}")
    volumes = tuple(_volume(each) for each in _list(tree, "volumes"))
    files = [volume.file for volume in volumes]
    if len(set(files)) != len(files) or len({volume.name for volume in volumes}) != len(volumes):
        raise ManifestError("a volume or a file is named twice")
    made = Manifest(
        id=_matching(tree, "id", _ID),
        app=_matching(tree, "app", _APP),
        recipe=_text(tree, "recipe"),
        stack=_text(tree, "stack"),
        cluster=_text(tree, "cluster"),
        server=_text(tree, "server"),
        version=None if tree.get("version") is None else _text(tree, "version"),
        env_sha256=_matching(tree, "env_sha256", _SHA),
        taken=_text(tree, "taken"),
        run_id=_text(tree, "run_id"),
        while_running=tree.get("while_running") is True,
        services=tuple(_service(each) for each in _list(tree, "services")),
        volumes=volumes,
        secrets=_secrets(tree.get("secrets")),
        kind=_kind(tree.get("kind", Kind.SNAPSHOT)),
    )
    if not volumes:
        raise ManifestError("it names no volume")
    return made


def _volume(raw: object) -> VolumeCopy:
    tree = _object(raw, "a volume")
    return VolumeCopy(
        name=_text(tree, "name"),
        driver=_text(tree, "driver"),
        labels=_texts(tree, "labels"),
        options=_texts({"options": {}, **tree}, "options"),
        service=_text(tree, "service"),
        target=_text(tree, "target"),
        file=_matching(tree, "file", _FILE),
        sha256=_matching(tree, "sha256", _SHA),
        compressed=_count(tree, "compressed"),
        size=_count(tree, "size"),
        entries=_count(tree, "entries"),
    )


def _service(raw: object) -> ServiceFact:
    tree = _object(raw, "a service")
    codes = tree.get("exit_codes")
    if not isinstance(codes, list) or not all(code is None or type(code) is int for code in codes):
        raise ManifestError("exit_codes is no list of numbers")
    replicas = tree.get("replicas")
    return ServiceFact(
        name=_text(tree, "name"),
        image=_text(tree, "image"),
        image_id=_text(tree, "image_id"),
        replicas=None if replicas is None else _count(tree, "replicas"),
        exit_codes=tuple(codes),
    )


def _secrets(raw: object) -> SecretsFile | None:
    try:
        return file_from_json(raw)
    except PayloadError as error:
        raise ManifestError(str(error)) from error


def _kind(value: object) -> Kind:
    try:
        return Kind(str(value))
    except ValueError as error:
        raise ManifestError("kind is not what it must be") from error


def _object(raw: object, what: str) -> Mapping[str, object]:
    if not isinstance(raw, Mapping):
        raise ManifestError(f"{what} is no object")
    return raw


def _list(tree: Mapping[str, object], key: str) -> list[object]:
    value = tree.get(key)
    if not isinstance(value, list):
        raise ManifestError(f"{key} is no list")
    return value


def _text(tree: Mapping[str, object], key: str) -> str:
    value = tree.get(key)
    if not isinstance(value, str):
        raise ManifestError(f"{key} is no text")
    return value


def _matching(tree: Mapping[str, object], key: str, pattern: re.Pattern[str]) -> str:
    value = _text(tree, key)
    if pattern.fullmatch(value) is None:
        raise ManifestError(f"{key} is not what it must be")
    return value


def _count(tree: Mapping[str, object], key: str) -> int:
    value = tree.get(key)
    if type(value) is not int or value < 0:
        raise ManifestError(f"{key} is no count")
    return value


def _texts(tree: Mapping[str, object], key: str) -> dict[str, str]:
    value = tree.get(key)
    if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in [*value, *value.values()]):
        raise ManifestError(f"the {key} of a volume are no texts")
    return dict(value)
