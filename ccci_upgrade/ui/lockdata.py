"""The lock and its drift as the `data` of documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccci_upgrade.model.driftrow import Row, Weight

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterable

    from ccci_upgrade.flows.lock import Diff, Written
    from ccci_upgrade.flows.lockstatus import LockStatus


def written(done: Written) -> dict[str, object]:
    """`lock write`'s `data`."""
    return {
        "file": str(done.path),
        "written": done.written,
        "apps": [{"app": name, "change": change.value} for name, change in done.apps],
    }


def diffed(found: Diff) -> dict[str, object]:
    """`lock diff`'s `data`."""
    return {"file": str(found.path)} | _lists(found.rows)


def in_status(found: LockStatus) -> dict[str, object]:
    """What `status.data` has of a configured lock."""
    return {"file": str(found.path), "problem": found.why or None} | _lists(found.rows)


def _lists(rows: Iterable[Row]) -> dict[str, object]:
    rows = tuple(rows)
    names = {Weight.DRIFT: "drift", Weight.INFO: "info", Weight.UNKNOWN: "unknown"}
    return {key: [_json(row) for row in rows if row.weight is weight] for weight, key in names.items()}


def _json(row: Row) -> dict[str, object]:
    return {
        "app": row.app,
        "what": row.what,
        "lock": row.lock,
        "env": row.env,
        "running": row.running,
        "recipe": row.recipe,
        "wins": row.wins.value if row.wins else None,
        "other_owner": row.other_owner,
        "detail": row.said,
        "remedy": row.remedy or None,
    }
