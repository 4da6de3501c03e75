"""A plan in a file: written by `plan --out`, read by `upgrade --plan`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.errors import UsageError
from ccci_upgrade.store import files

SCHEMA = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedPlan:
    """What a saved plan binds: app, target, and the facts it stands on."""

    path: Path
    app: str
    to: str
    facts: dict[str, str]


def write_saved(path: Path, plan: Mapping[str, object]) -> None:
    """Write a plan (as `--json` gives it) to a file, whole or not at all."""
    text = json.dumps({"plan_schema": SCHEMA, "plan": plan}, indent=2, ensure_ascii=False) + "\n"
    try:
        files.replace(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(f"cannot write the plan to `{path}`: {error.strerror}") from error


def read_saved(path: Path) -> SavedPlan:
    """Read it back; a file that is no plan is a usage error."""
    try:
        raw = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot read the plan `{path}`: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"`{path}` is no saved plan: {error}") from error
    plan = raw.get("plan") if isinstance(raw, dict) and raw.get("plan_schema") == SCHEMA else None
    facts = plan.get("facts") if isinstance(plan, dict) else None
    if not isinstance(plan, dict) or not isinstance(facts, dict):
        raise UsageError(f"`{path}` is no saved plan", hint=f"write one: ccci-upgrade plan APP --out {path}")
    app, to = plan.get("app"), plan.get("to")
    if not isinstance(app, str) or not isinstance(to, str):
        raise UsageError(f"`{path}` plans no upgrade: there was nothing to do")
    return SavedPlan(path=path, app=app, to=to, facts={str(k): str(v) for k, v in facts.items()})
