"""What `git cat-file` says, parsed: headers, contents, and the entries of tree objects.

Formats: https://git-scm.com/docs/git-cat-file#_batch_output; a tree is a row of `mode SP name NUL object`,
the object's name in 20 bytes (SHA-1) or 32 (SHA-256).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade import text
from ccci_upgrade.errors import NotReadyError

MAX_BLOB = 1024 * 1024
"""Bytes of one file that are read where nothing else is asked for."""

MAX_TOTAL = 48 * 1024 * 1024
"""Bytes of all files of one question together."""

_HEADER = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64}) (commit|tree|blob|tag) (\d+)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REFUSED = {"120000": "it is a symbolic link", "160000": "it is a submodule", "40000": "it is a folder"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """One object: its name, its kind, its size in bytes."""

    oid: str
    kind: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Object:
    """One object with its content."""

    header: Header
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of a folder. `mode` as git writes it: 100644, 100755, 120000, 160000 or 40000."""

    mode: str
    oid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requested:
    """One file that was asked for: its bytes, or None and why; `missing` where there is no such path."""

    data: bytes | None = None
    problem: str = ""
    missing: bool = False


BROKEN = Requested(problem="its object is missing or broken")


def headers(out: bytes, expected: int, path: Path) -> list[Header | None]:
    """Parse `--batch-check`; None where there is no such object."""
    lines = out.split(b"\n")[:-1]
    if len(lines) != expected:
        raise _broken(path)
    return [_header(line) for line in lines]


def contents(out: bytes, expected: int, path: Path) -> list[Object | None]:
    """Parse `--batch`; None where there is no such object."""
    found: list[Object | None] = []
    start = 0
    while start < len(out):
        end = out.find(b"\n", start)
        if end < 0:
            break
        header = _header(out[start:end])
        start = end + 1
        if header is None:
            found.append(None)
            continue
        if start + header.size >= len(out):
            break
        found.append(Object(header=header, data=out[start : start + header.size]))
        start += header.size + 1
    if len(found) != expected:
        raise _broken(path)
    return found


def tree(found: Object) -> dict[str, Entry]:
    """The entries of a tree object by name; {} for anything else, or from where it is malformed."""
    entries: dict[str, Entry] = {}
    if found.header.kind != "tree":
        return entries
    size = len(found.header.oid) // 2
    data, start = found.data, 0
    while (space := data.find(b" ", start)) > 0 and (nul := data.find(b"\0", space)) > 0:
        oid = data[nul + 1 : nul + 1 + size]
        if len(oid) != size:
            break
        name = data[space + 1 : nul].decode("utf-8", errors="surrogateescape")
        entries[name] = Entry(mode=text.decode(data[start:space]), oid=oid.hex())
        start = nul + 1 + size
    return entries


def folder(path: str) -> str:
    """The folder part of a path inside a commit; "" is the root."""
    return path.rpartition("/")[0]


def folder_names(commits: Iterable[str], folders: Sequence[str]) -> dict[tuple[str, str], str]:
    """How git names folders at commits: `commit:path`."""
    for commit in (known := dict.fromkeys(commits)):
        if not _COMMIT.fullmatch(commit):
            raise NotReadyError(f"{commit!r} is not the name of a commit", code="git")
    usable = [f for f in folders if not f or not path_problem(f)]
    return {(commit, name): f"{commit}:{name}" for commit in known for name in usable}


def path_problem(path: str) -> str:
    """Why a path cannot name a file inside a commit; "" when it can."""
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "its path leads outside the recipe"
    return "its path has a control character" if re.search(r"[\x00-\x1f\x7f]", path) else ""


def entry_problem(entry: Entry | None) -> str:
    """Why an entry is not read; "" for a plain file."""
    return "there is no such file" if entry is None else _REFUSED.get(entry.mode, "")


def by_size(heads: Mapping[str, Header], limit: int) -> tuple[dict[str, Requested], list[str]]:
    """Part objects into those that are refused, each with its reason, and those to read."""
    refused: dict[str, Requested] = {}
    small: list[str] = []
    total = 0
    for oid, head in sorted(heads.items()):
        if head.kind != "blob":
            refused[oid] = BROKEN
        elif head.size > limit:
            refused[oid] = Requested(problem=f"it has {head.size} bytes, more than the {limit} that are read")
        elif total + head.size > MAX_TOTAL:
            refused[oid] = Requested(problem=f"all files together have more than {MAX_TOTAL} bytes")
        else:
            total += head.size
            small.append(oid)
    return refused, small


def _header(line: bytes) -> Header | None:
    match = _HEADER.fullmatch(line)
    if match is None:
        return None
    return Header(oid=match[1].decode(), kind=match[2].decode(), size=int(match[3]))


def _broken(path: Path) -> NotReadyError:
    return NotReadyError(
        f"git ended in the middle of reading {path}",
        hint=f"check it with: git -C {path} fsck",
        code="git",
    )
