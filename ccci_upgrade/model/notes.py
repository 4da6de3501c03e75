"""Release notes: what each version says, what of it asks for hands, and how it is shown without repeating."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ccci_upgrade.model.markers import Marker, markers
from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.text import decode

__all__ = ["Folded", "Marker", "Note", "NotesCount", "fold", "make_note", "markers", "notes_count"]

LARGEST = 64 * 1024
"""Bytes of a note that are shown."""

_FENCE = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What one version says. `text` is foreign text, None where there is none; `problem` says what is amiss.

    `sha256` is that of all bytes, empty where there are none.
    """

    version: str
    text: str | None = None
    problem: str = ""
    sha256: str = ""


class Folded(NamedTuple):
    """One paragraph, and the versions that have it, ascending."""

    paragraph: str
    versions: tuple[str, ...]


class NotesCount(NamedTuple):
    """How many of the versions have a note that can be read."""

    found: int
    total: int

    def __str__(self) -> str:
        return f"{self.found} of {self.total} versions have notes"


def make_note(version: str, data: bytes | None, *, problem: str = "") -> Note:
    """Make a note of a file's bytes: cut at 64 KiB, what is not UTF-8 shown as escapes, blank ones named."""
    if data is None:
        return Note(version=version, problem=problem)
    digest = hashlib.sha256(data).hexdigest()
    problems = [problem] if problem else []
    if len(data) > LARGEST:
        problems.append(f"too large: {_size(len(data))}, first {LARGEST // 1024} KiB shown")
    text = decode(_cut(data))
    if not text.strip():
        return Note(version=version, problem="; ".join([*problems, "empty"]), sha256=digest)
    return Note(version=version, text=text, problem="; ".join(problems), sha256=digest)


def fold(notes: Iterable[Note]) -> list[Folded]:
    """Give every paragraph once with the versions that have it, in the order of the versions.

    Paragraphs that differ only in white space are one; a fenced block stays whole.
    """
    versions: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for note in sorted(notes, key=_order):
        for paragraph in _paragraphs(note.text or ""):
            key = " ".join(paragraph.split())
            shown.setdefault(key, paragraph)
            found = versions.setdefault(key, [])
            if note.version not in found:
                found.append(note.version)
    return [Folded(shown[key], tuple(found)) for key, found in versions.items()]


def notes_count(notes: Iterable[Note]) -> NotesCount:
    """Count the notes that can be read among all."""
    all_notes = list(notes)
    return NotesCount(sum(note.text is not None for note in all_notes), len(all_notes))


def _order(note: Note) -> tuple[bool, RecipeVersion | str]:
    version = RecipeVersion.parse(note.version)
    return (version is None, version or note.version)


def _paragraphs(text: str) -> Iterator[str]:
    lines: list[str] = []
    fence = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if match := _FENCE.match(line):
            fence = "" if fence == match[1] else fence or match[1]
        if line.strip() or fence:
            lines.append(line.rstrip())
        elif lines:
            yield "\n".join(lines)
            lines = []
    if any(lines):
        yield "\n".join(lines)


def _cut(data: bytes) -> bytes:
    """Cut without leaving half a character at the end."""
    kept = data[:LARGEST]
    return (
        kept if len(data) <= LARGEST else kept.decode("utf-8", "ignore").encode() if _is_utf8(kept) else kept
    )


def _is_utf8(data: bytes) -> bool:
    try:
        data[: -4 or None].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(data) - 8
    return True


def _size(count: int) -> str:
    return f"{count / 1024**2:.0f} MB" if count >= 1024**2 else f"{count // 1024} KiB"
