"""Images: which are here and which could be pulled, from `registry.json`, read again when it changes.

`{"images": {"traefik:v3.0.1": {"local": true, "seconds": 0.3}}}`: `seconds` is how long a pull takes.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.practice.engine.tree import Json, number, sub

_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """One image of the registry file."""

    ref: str
    local: bool
    seconds: float

    @property
    def id(self) -> str:
        """Its image id, the same for ever."""
        return f"sha256:{hashlib.sha256(f'image {self.ref}'.encode()).hexdigest()}"

    @property
    def digest(self) -> str:
        """Its digest in the registry."""
        return digest_of(self.ref)


def digest_of(ref: str) -> str:
    """The registry's digest of a reference."""
    return f"sha256:{hashlib.sha256(f'manifest {ref}'.encode()).hexdigest()}"


def plain(ref: str) -> str:
    """A reference in short: no default host, a tag, no digest beside a tag."""
    found = _DIGEST.sub("", ref)
    for prefix in ("docker.io/library/", "docker.io/", "index.docker.io/", "library/"):
        found = found.removeprefix(prefix)
    return found if ":" in found.rsplit("/", 1)[-1] else f"{found}:latest"


class Images:
    """The file, and what pulls, tags and removals made of it since."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp: tuple[int, int] | None = None
        self._listed: dict[str, Known] = {}
        self._pulled: set[str] = set()
        self._removed: set[str] = set()
        self._tags: dict[str, str] = {}

    def local(self, ref: str) -> Known | None:
        """An image that is here, by name, tag, digest or id; None where it is not."""
        name, digest = plain(ref), _DIGEST.search(ref)
        for tag, known in self.here().items():
            if (name == tag and not digest) or ref.removeprefix("sha256:") in {known.id[7:], known.id[7:19]}:
                return known
            if digest and digest[0] == f"@{known.digest}" and _repository(tag) == _repository(name):
                return known
        return None

    def remote(self, ref: str) -> Known | None:
        """An image that the registry has."""
        self._read()
        name = plain(ref)
        digest = _DIGEST.search(ref)
        for tag, known in self._listed.items():
            same = _repository(tag) == _repository(name) and digest and digest[0] == f"@{known.digest}"
            if tag == name or same:
                return known
        return None

    def here(self) -> dict[str, Known]:
        """Every local image by its tags."""
        self._read()
        found = {ref: each for ref, each in self._listed.items() if each.local or ref in self._pulled}
        found = {ref: each for ref, each in found.items() if ref not in self._removed}
        tagged = {new: self._listed[old] for new, old in self._tags.items() if old in self._listed}
        return found | tagged

    def pulled(self, known: Known) -> None:
        """A pull ended well."""
        self._pulled.add(known.ref)
        self._removed.discard(known.ref)

    def tag(self, known: Known, name: str) -> None:
        """Give a local image one more name."""
        self._tags[plain(name)] = known.ref
        self._removed.discard(plain(name))

    def remove(self, ref: str) -> None:
        """Take a name away."""
        name = plain(ref)
        self._tags.pop(name, None)
        self._pulled.discard(name)
        self._removed.add(name)

    def restore(self) -> None:
        """Forget all removals."""
        self._removed.clear()

    def _read(self) -> None:
        try:
            stat = self._file.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self._stamp:
                return
            listed: Json = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return  # half a file is read again when it is whole
        self._stamp = stamp
        self._listed = {
            plain(ref): Known(
                ref=plain(ref),
                local=sub(entry).get("local") is not False,
                seconds=max(0.0, number(entry, "seconds")),
            )
            for ref, entry in sub(listed, "images").items()
        }


def _repository(tag: str) -> str:
    head, _, last = tag.rpartition("/")
    return f"{head}/{last.partition(':')[0]}"
