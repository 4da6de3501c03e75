"""What abra lists of an app's backups, and what two such lists prove of the one that was just made.

Behind `abra app backup` is restic. The documented listing is for people: a time and an id on each line. restic's own
JSON has sizes too (`summary.total_bytes_processed`, since restic 0.17); where a listing is that, they are read.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MOST = 100_000
"""Backups of a listing that are read."""

SLACK = timedelta(seconds=2)
"""Listings cut times to the second, and a question to the Engine takes a moment."""

MUCH_SMALLER = 0.5
"""Below this part of the backup before, a backup is not called good."""

_ESCAPE = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_LINE = re.compile(
    r"(?<![0-9])(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-][0-9]{2}:[0-9]{2})?)(?![0-9]).{0,80}?\b(?P<id>[0-9a-f]{64}|[0-9a-f]{8})\b"
)
_FRACTION = re.compile(r"\.[0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Backup:
    """One backup: its short id; `taken` is naive where the listing names no time zone; `size` in bytes."""

    id: str
    taken: datetime | None
    size: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the lists show of one new backup. `refused` is why it is of no use, "" where it may be of some.

    `doubts` is what is not proven; empty means that its being there, time and size all are.
    """

    backup: Backup | None
    refused: str = ""
    doubts: tuple[str, ...] = ()


def parse_backups(text: str) -> tuple[Backup, ...]:
    """Every backup that a listing names, once each; lines that name none are passed over."""
    listed = {backup.id: backup for backup in _listed(text)}
    return tuple(listed.values())


def compare(before: tuple[Backup, ...] | None, after: tuple[Backup, ...], *, began: datetime) -> Seen:
    """Judge what is new in `after`; `began` is when the backup was asked for, by the Engine's clock.

    `before` is None where it could not be listed: then a backup is new by its time alone.
    """
    known = {backup.id for backup in before or ()}
    fresh = [backup for backup in after if backup.id not in known]
    if not fresh:
        return Seen(backup=None, refused="no new backup is listed")
    newest = max(fresh, key=lambda backup: _aware(backup.taken) or datetime.min.replace(tzinfo=UTC))
    zoned = newest.taken is not None and newest.taken.tzinfo is not None
    if (zoned or before is None) and _older(newest, began):
        return Seen(backup=newest, refused=f"the backup {newest.id} is older than this run: {newest.taken}")
    if newest.size == 0:
        return Seen(backup=newest, refused=f"the backup {newest.id} is empty")
    return Seen(backup=newest, doubts=tuple(_doubts(before, newest, began)))


def _doubts(before: tuple[Backup, ...] | None, newest: Backup, began: datetime) -> Iterator[str]:
    if before is None:
        yield "what there was before could not be listed"
    if _older(newest, began):
        yield "its time cannot be compared"
    if newest.size is None:
        yield "its size is not listed"
        return
    earlier = next((backup.size for backup in reversed(before or ()) if backup.size is not None), None)
    if earlier is not None and newest.size < earlier * MUCH_SMALLER:
        yield f"it has {newest.size} bytes, the one before {earlier}"


def _older(backup: Backup, began: datetime) -> bool:
    """Whether it is older than `began`, or says nothing of its time."""
    taken = _aware(backup.taken)
    return taken is None or taken < began - SLACK


def _listed(text: str) -> Iterator[Backup]:
    plain = _ESCAPE.sub("", text)
    for line in plain.splitlines()[:MOST]:
        stripped = line.strip()
        if stripped.startswith("["):
            found = list(_from_json(stripped))
            if found:
                yield from found
                continue
        match = _LINE.search(stripped)
        if match:
            yield Backup(id=match["id"][:8], taken=_time(match["time"]))


def _from_json(text: str) -> Iterator[Backup]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        return
    for row in rows[:MOST] if isinstance(rows, list) else []:
        name = row.get("id") if isinstance(row, dict) else None
        if not isinstance(name, str) or not re.fullmatch(r"[0-9a-f]{8,64}", name):
            continue
        summary = row.get("summary")
        size = summary.get("total_bytes_processed") if isinstance(summary, dict) else None
        whole = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
        taken = row.get("time")
        yield Backup(id=name[:8], taken=_time(taken) if isinstance(taken, str) else None, size=whole)


def _time(text: str) -> datetime | None:
    """A time to the second; restic writes more digits than can be read here."""
    try:
        return datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        return None


def _aware(taken: datetime | None) -> datetime | None:
    """A time as UTC; without a zone it is taken for UTC, which is what containers have."""
    if taken is None or taken.tzinfo:
        return taken
    return taken.replace(tzinfo=UTC)
