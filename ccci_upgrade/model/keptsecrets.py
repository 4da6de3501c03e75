"""An app's secrets as they are kept beside a snapshot: what was read, what could not be, and the plain payload.

The payload is JSON and only ever leaves this program encrypted; `docs/guides/snapshots.md` shows its keys, for it
must be usable without this program.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SCHEMA = 1

FILE = "secrets.age"
"""The encrypted payload's name beside the manifest."""

LARGEST = 500 * 1024
"""Bytes of one secret that Swarm takes (swarmkit's MaxSecretSize)."""

_SHA = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")


class PayloadError(ValueError):
    """It is nothing this program can use; the text says why, and never holds a value."""


class Hidden:
    """Bytes that are shown by nothing: not by repr, not in a traceback, not in JSON."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __repr__(self) -> str:
        return "<hidden>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hidden) and other.reveal() == self._data

    def __hash__(self) -> int:
        return hash(self._data)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")

    def reveal(self) -> bytes:
        """Give the bytes."""
        return self._data


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretFile:
    """Where one service has a secret: `file` as its spec says (absolute, or below `/run/secrets`)."""

    service: str
    file: str
    uid: str
    gid: str
    mode: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptSecret:
    """One secret without its value: `swarm_name` is `<stack>_<name>_<version>` where abra made it.

    `name` and `version` are empty for a secret of another naming.
    """

    swarm_name: str
    name: str
    version: str
    labels: dict[str, str]
    files: tuple[SecretFile, ...]

    @property
    def services(self) -> tuple[str, ...]:
        """The services that have it, each once."""
        return tuple(dict.fromkeys(file.service for file in self.files))


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """One secret that could not be read, and why."""

    swarm_name: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptSecrets:
    """What an app mounts: secrets that were read, and those that were not."""

    secrets: tuple[KeptSecret, ...]
    unread: tuple[Unread, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenSecret:
    """One secret with its value."""

    about: KeptSecret
    value: Hidden


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretsFile:
    """The manifest's word on the encrypted file; `recipients` are public keys, empty with a passphrase."""

    file: str
    sha256: str
    size: int
    names: tuple[str, ...]
    unread: tuple[Unread, ...]
    recipients: tuple[str, ...]

    @property
    def by_passphrase(self) -> bool:
        """Whether a passphrase opens it, not a key."""
        return not self.recipients


def split_name(stack: str, swarm_name: str) -> tuple[str, str]:
    """Name and version as `abra app secret insert` takes them; two empty texts where abra did not name it."""
    rest = swarm_name.removeprefix(f"{stack}_")
    name, _, version = rest.rpartition("_")
    return (name, version) if rest != swarm_name and name and version else ("", "")


def pack(secrets: Iterable[OpenSecret]) -> bytes:
    """The plain payload. To be encrypted, and written nowhere before that."""
    rows = [
        {
            "name": each.about.name,
            "version": each.about.version,
            "swarm_name": each.about.swarm_name,
            "labels": each.about.labels,
            "files": [_file_json(file) for file in each.about.files],
            "data": base64.b64encode(each.value.reveal()).decode(),
        }
        for each in secrets
    ]
    return json.dumps({"schema_version": SCHEMA, "secrets": rows}).encode()


def unpack(data: bytes) -> tuple[OpenSecret, ...]:
    """Read a payload back; PayloadError names the first thing that is wrong."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raise PayloadError("it holds no JSON") from None  # the error itself would hold all of it
    tree = _object(raw, "it")
    if tree.get("schema_version") != SCHEMA:
        raise PayloadError(f"schema_version is not {SCHEMA}")
    found = tuple(_secret(each) for each in _list(tree, "secrets"))
    if len({each.about.swarm_name for each in found}) != len(found):
        raise PayloadError("a secret is named twice")
    return found


def file_from_json(raw: object) -> SecretsFile | None:
    """The `secrets` of a manifest; None where it has none, as before there were any."""
    if raw is None:
        return None
    tree = _object(raw, "secrets")
    size, digest = tree.get("size"), _text(tree, "sha256")
    if tree.get("file") != FILE:
        raise PayloadError(f"the file of secrets is not {FILE}")
    if type(size) is not int or size < 0 or _SHA.fullmatch(digest) is None:
        raise PayloadError("size or sha256 of secrets is not what it must be")
    unread = tuple(_object(each, "an unread secret") for each in _list(tree, "unread"))
    return SecretsFile(
        file=FILE,
        sha256=digest,
        size=size,
        names=_texts(tree, "names"),
        unread=tuple(
            Unread(swarm_name=_text(each, "swarm_name"), reason=_text(each, "reason")) for each in unread
        ),
        recipients=_texts(tree, "recipients"),
    )


def _secret(raw: object) -> OpenSecret:
    tree = _object(raw, "a secret")
    swarm_name = _text(tree, "swarm_name")
    if _NAME.fullmatch(swarm_name) is None:  # it becomes a file's name
        raise PayloadError("a secret's name is none")
    labels = _object(tree.get("labels"), "labels")
    if not all(isinstance(each, str) for each in [*labels, *labels.values()]):
        raise PayloadError("labels are no texts")
    try:
        data = base64.b64decode(_text(tree, "data"), validate=True)
    except (binascii.Error, ValueError):
        raise PayloadError(f"the data of {swarm_name} is no base64") from None
    about = KeptSecret(
        swarm_name=swarm_name,
        name=_text(tree, "name"),
        version=_text(tree, "version"),
        labels={str(key): str(value) for key, value in labels.items()},
        files=tuple(_file(each) for each in _list(tree, "files")),
    )
    return OpenSecret(about=about, value=Hidden(data))


def _file_json(file: SecretFile) -> dict[str, object]:
    return {
        "service": file.service,
        "file": file.file,
        "uid": file.uid,
        "gid": file.gid,
        "mode": f"{file.mode:04o}",
    }


def _file(raw: object) -> SecretFile:
    tree = _object(raw, "a file")
    mode = _text(tree, "mode")
    if re.fullmatch("[0-7]{1,5}", mode) is None:
        raise PayloadError("a file's mode is none")
    return SecretFile(
        service=_text(tree, "service"),
        file=_text(tree, "file"),
        uid=_text(tree, "uid"),
        gid=_text(tree, "gid"),
        mode=int(mode, 8),
    )


def _object(raw: object, what: str) -> Mapping[str, object]:
    if not isinstance(raw, Mapping):
        raise PayloadError(f"{what} is no object")
    return raw


def _list(tree: Mapping[str, object], key: str) -> list[object]:
    value = tree.get(key)
    if not isinstance(value, list):
        raise PayloadError(f"{key} is no list")
    return value


def _text(tree: Mapping[str, object], key: str) -> str:
    value = tree.get(key)
    if not isinstance(value, str):
        raise PayloadError(f"{key} is no text")
    return value


def _texts(tree: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = _list(tree, key)
    found = tuple(each for each in value if isinstance(each, str))
    if len(found) != len(value):
        raise PayloadError(f"{key} is no list of texts")
    return found
