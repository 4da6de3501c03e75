"""The `data` of each command's JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccci_upgrade.flows.history import under_way
from ccci_upgrade.model.openrun import Situation, commands_of, read_open
from ccci_upgrade.model.run import Run, to_json
from ccci_upgrade.ui.envelope import plan_json

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterable

    from ccci_upgrade.flows.doctor import Check
    from ccci_upgrade.flows.gates import Result
    from ccci_upgrade.flows.health import Health
    from ccci_upgrade.flows.lockstatus import LockStatus
    from ccci_upgrade.flows.notes import AppNotes
    from ccci_upgrade.flows.status import ServerLease, Status
    from ccci_upgrade.model.memory import LastGood


def status(found: Status) -> dict[str, object]:
    """`status.data`."""
    apps = [
        {
            "app": row.app,
            "recipe": row.recipe,
            "server": row.server,
            "stack": row.stack,
            "deployed": row.deployed,
            "newest": row.newest,
            "upgrades": list(row.upgrades),
            "bump": row.bump.value,
            "state": row.state,
            "chaos": row.chaos,
            "last_run": to_json(row.last_run) if row.last_run else None,
            "last_good": _good(row.last_good),
            "back_to": _good(row.back_to),
            "recorded": row.recorded,
            "problem": row.problem or None,
        }
        for row in found.apps
    ]
    return {
        "apps": apps,
        "leases": [_lease(each) for each in found.leases],
        "open_runs": [_open_run(run, found.situations.get(run.run_id)) for run in found.open_runs],
        "damaged_lines": found.damaged,
        "lock": _lock(found.lock) if found.lock else None,
    }


def notes(found: Iterable[AppNotes]) -> dict[str, object]:
    """`notes.data`."""
    return {
        "apps": [
            {
                "app": each.app,
                "recipe": each.recipe,
                "from": each.from_version,
                "to": each.to_version,
                "versions": [
                    {"version": n.version, "notes": n.text, "problem": n.problem or None, "sha256": n.sha256}
                    for n in each.notes
                ],
                "notes_found": sum(n.text is not None for n in each.notes),
                "notes_total": len(each.notes),
                "not_versions": list(each.others),
            }
            for each in found
        ]
    }


def upgrade(result: Result) -> dict[str, object]:
    """`upgrade.data`."""
    return {
        "runs": [to_json(run) for run in result.runs],
        "plans": [plan_json(plan) for plan in result.plans],
    }


def health(found: Iterable[Health]) -> dict[str, object]:
    """`health.data`."""
    return {
        "apps": [
            {
                "app": each.app,
                "verdict": each.verdict,
                "checks": [
                    {"name": c.name, "ok": c.ok, "detail": c.detail, "seconds": round(c.seconds, 3)}
                    for c in each.checks
                ],
            }
            for each in found
        ]
    }


def history(runs: Iterable[Run], damaged: int) -> dict[str, object]:
    """`history.data`."""
    return {"runs": [to_json(run) for run in runs], "damaged_lines": damaged}


def doctor(checks: Iterable[Check]) -> dict[str, object]:
    """`doctor.data`."""
    return {
        "checks": [
            {"name": c.name, "health": c.health.value, "detail": c.detail, "remedy": c.remedy or None}
            for c in checks
        ]
    }


def _lock(found: LockStatus) -> dict[str, object]:
    from ccci_upgrade.ui import lockdata  # noqa: PLC0415 - start-up time is measured

    return lockdata.in_status(found)


def _good(good: LastGood | None) -> dict[str, object] | None:
    if good is None:
        return None
    return {
        "version": good.version,
        "recorded": good.recorded,
        "operator": good.operator,
        "host": good.host,
        "run_id": good.run_id,
        "snapshot": good.snapshot,
        "snapshot_host": good.snapshot_host or None,
        "rollback_seconds": good.rollback_seconds,
    }


def _lease(each: ServerLease) -> dict[str, object]:
    seen = each.standing
    return {
        "server": each.server,
        "state": seen.state.value if seen else "unknown",
        "holder": seen.claim.line if seen and seen.claim else None,
        "why": (seen.why or None) if seen else None,
    }


def _open_run(run: Run, found: Situation | None) -> dict[str, object]:
    return to_json(run) | {
        "phase": read_open(run).phase,
        "under_way": under_way(run),
        "now": list(found.now) if found else [],
        "stopped": list(found.down) if found else [],
        "what_can_be_done": commands_of(found) if found else [f"ccci-upgrade health {run.app}"],
    }
