"""The lock and its drift as lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccci_upgrade.model.driftrow import Row, Side, Weight
from ccci_upgrade.ui.screens import line, remedy

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterator, Sequence

    from ccci_upgrade.flows.lock import Diff, Written
    from ccci_upgrade.flows.lockstatus import LockStatus
    from ccci_upgrade.ui.layout import Block

_WINS = {Side.LOCK: "the lock wins", Side.ENV: "the `.env` wins", Side.RUNNING: "what runs wins"}
_STYLE = {Weight.DRIFT: "bold red", Weight.INFO: "dim", Weight.UNKNOWN: "magenta"}
_WORD = {Weight.DRIFT: "DRIFT", Weight.INFO: "info", Weight.UNKNOWN: "unknown"}
_HASH = 16
"""Characters of a digest or a hash that are shown; documents have them whole."""


def written(done: Written) -> Iterator[Block]:
    """What became of each app's entry."""
    for name, change in done.apps:
        more = "; it does not run, so what was recorded of it stays" if change.value == "kept" else ""
        yield line(f"{name}: {change.value}{more}")
    said = "written" if done.written else "it says so already, and was left as it is"
    yield line(f"{done.path}: {said}", "green")


def diffed(found: Diff) -> Iterator[Block]:
    """Every difference by app, with who wins and what to type."""
    name = ""
    for row in found.rows:
        if row.app != name:
            name = row.app
            yield line(name, "bold")
        yield from _row(row)
    if not found.rows:
        yield line(f"{found.path}: lock, `.env` and what runs say the same", "green")


def in_status(found: LockStatus) -> Iterator[Block]:
    """A line for each app that is not as in the lock; details are for `lock diff`."""
    if found.why:
        yield line(f"lock: {found.why}", "magenta", 0, 6)
    apps: dict[str, list[Row]] = {}
    for row in found.rows:
        if row.weight is not Weight.INFO:
            apps.setdefault(row.app, []).append(row)
    for name, rows in apps.items():
        said = "; ".join(_short(row) for row in rows)
        yield line(f"drift: {name}: {said}", "bold red", 0, 6)
    if apps:
        yield from remedy("who wins, and what to type: ccci-upgrade lock diff", 0)


def _row(row: Row) -> Iterator[Block]:
    yield line(f"{_WORD[row.weight]}  {row.what}", _STYLE[row.weight], 2)
    for word, said in _sides(row):
        yield line(f"{word:7} {_shown(row, said)}", "", 6)
    wins = _WINS[row.wins] if row.wins else "nobody wins" if row.weight is Weight.DRIFT else ""
    yield line(f"{wins}: {row.said}" if wins else row.said, "", 6)
    yield from remedy(row.remedy, 6)


def _sides(row: Row) -> Sequence[tuple[str, str]]:
    sides = (("lock", row.lock), (".env", row.env), ("runs", row.running), ("recipe", row.recipe))
    return [(word, said) for word, said in sides if said is not None]


def _shown(row: Row, said: str) -> str:
    """Versions and names are shown whole; of two hashes their beginning tells them apart."""
    kind = row.what.partition(":")[0]
    hashed = kind in ("env", "commit", "service") or (kind == "image" and row.weight is Weight.INFO)
    return said.removeprefix("sha256:")[:_HASH] if hashed else said


def _short(row: Row) -> str:
    sides = ", ".join(f"{word} {_shown(row, said)}" for word, said in _sides(row))
    owner = ", changed by nobody in the journal: another owner?" if row.other_owner else ""
    return f"{row.what} ({sides}{owner})"
