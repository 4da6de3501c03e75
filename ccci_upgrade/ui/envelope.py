"""`--json`: one document on stdout, never wrapped, never coloured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ccci_upgrade.text import tame
from ccci_upgrade.ui.streams import OUT

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterable

    from ccci_upgrade.errors import CcciError, Exit
    from ccci_upgrade.model.finding import Finding
    from ccci_upgrade.model.plan import Plan

SCHEMA_VERSION = 1


def write(
    command: str, exit_code: Exit, data: Mapping[str, object], errors: Iterable[CcciError] = ()
) -> None:
    """Write the document to standard output."""
    OUT.write(document(command, exit_code, data, errors))


def document(
    command: str, exit_code: Exit, data: Mapping[str, object], errors: Iterable[CcciError] = ()
) -> str:
    """Make the document. Strings are tamed: a reader may print them to a terminal."""
    listed = [{"code": e.code, "message": e.message, "hint": e.hint or None} for e in errors]
    whole = {
        "schema_version": SCHEMA_VERSION,
        "command": command,
        "exit_code": int(exit_code),
        "data": data,
        "errors": listed,
    }
    return json.dumps(_tamed(whole), ensure_ascii=not OUT.speaks_utf8, indent=2) + "\n"


def plan_json(plan: Plan) -> dict[str, object]:
    """A plan as the contract for scripts has it, with the facts it stands on."""
    return {
        "app": plan.app,
        "recipe": plan.recipe,
        "server": plan.server,
        "from": plan.from_version,
        "to": plan.to_version,
        "bump": plan.bump.value,
        "images": [
            {"service": j.service, "from": j.old, "to": j.new, "bump": j.bump.value, "links": list(j.links)}
            for j in plan.images
        ],
        "versions": [
            {"version": n.version, "notes": n.text, "problem": n.problem or None, "sha256": n.sha256}
            for n in plan.notes
        ],
        "notes_found": plan.notes_found,
        "notes_total": len(plan.notes),
        "findings": [finding_json(f) for f in plan.findings],
        "protection": {
            "way": plan.protect.value,
            "size": plan.protection.size,
            "unknown": list(plan.protection.unknown),
            "seconds_down": round(plan.protection.seconds) if plan.stops else 0,
            "remote": plan.protection.remote,
        },
        "holds": list(plan.holds),
        "acknowledged": sorted(plan.acknowledged),
        "facts": plan.fingerprints,
    }


def finding_json(finding: Finding) -> dict[str, object]:
    """A finding as the contract for scripts has it."""
    return {
        "id": finding.id,
        "severity": finding.severity.value,
        "title": finding.title,
        "evidence": list(finding.evidence),
        "remedy": finding.remedy,
    }


def _tamed(value: object) -> object:
    if isinstance(value, str):
        return tame(value)
    if isinstance(value, Mapping):
        return {tame(str(key)): _tamed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_tamed(each) for each in value]
    return value
