"""Runs: what the journal keeps of one act on one app, and how it is read back."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ccci_upgrade.model.verdict import Evidence, Outcome, State, Verdict

SCHEMA = 1

UPGRADE = "upgrade"
ROLLBACK = "rollback"
SNAPSHOT = "snapshot create"
RESTORE = "snapshot restore"
"""Commands of runs."""

UNDO = "undo-"
"""Stands before the names of the phases that undo an upgrade."""

GOING_BACK = frozenset({ROLLBACK, RESTORE})
"""Commands that were asked for an older state: reaching it is their success."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """One phase of a run and how long it took; `ok` is None while it is open."""

    name: str
    seconds: float
    ok: bool | None
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One run. Times are ISO 8601 UTC texts; `finished` and `outcome` are None while it is open.

    `snapshot` is the one taken, or the one restored by a run that goes back; `failed_state` the copy of what
    that replaced. `undo` is the verdict on the old version where an upgrade was undone. `boot` tells this
    machine's process numbers from those before a reboot; "" where it cannot be told.
    """

    run_id: str
    command: str
    app: str
    recipe: str
    server: str
    cluster: str
    from_version: str | None
    to_version: str
    started: str
    operator: str
    host: str
    pid: int
    boot: str = ""
    finished: str | None = None
    outcome: Outcome | None = None
    verdict: Verdict | None = None
    holds: tuple[str, ...] = ()
    acknowledged: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    next_steps: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    snapshot: str | None = None
    failed_state: str | None = None
    undo: Verdict | None = None


DONE_BEFORE = "was done already"
"""The detail of a step that was passed over: its result is none of its own doing."""


class Word(StrEnum):
    """The kinds of journal lines."""

    OPENED = "opened"
    BEGIN = "begin"
    END = "end"
    CLOSED = "closed"


def to_json(run: Run) -> dict[str, object]:
    """A run as the contract for scripts has it."""
    verdict = run.verdict
    return {
        "run_id": run.run_id,
        "command": run.command,
        "app": run.app,
        "recipe": run.recipe,
        "server": run.server,
        "cluster": run.cluster,
        "from": run.from_version,
        "to": run.to_version,
        "outcome": run.outcome.value if run.outcome else None,
        "verdict": None if verdict is None else verdict_json(verdict),
        "holds": list(run.holds),
        "acknowledged": list(run.acknowledged),
        "snapshot": run.snapshot,
        "failed_state": run.failed_state,
        "undo": None if run.undo is None else verdict_json(run.undo),
        "phases": [
            {"name": p.name, "seconds": round(p.seconds, 3), "ok": p.ok, "detail": p.detail}
            for p in run.phases
        ],
        "started": run.started,
        "finished": run.finished,
        "operator": run.operator,
        "host": run.host,
        "pid": run.pid,
        "boot": run.boot,
        "next": list(run.next_steps),
        "notices": list(run.notices),
        "logs": list(run.logs),
    }


def verdict_json(verdict: Verdict) -> dict[str, object]:
    """A verdict as the contract for scripts has it."""
    evidence = [{"text": e.text, "service": e.service or None} for e in verdict.evidence]
    return {"state": verdict.state.value, "evidence": evidence}


def from_json(raw: Mapping[str, object]) -> Run | None:
    """Read a run back; None where it is not one (another schema, a damaged line)."""
    try:
        return Run(
            run_id=_text(raw["run_id"]),
            command=_text(raw.get("command", "upgrade")),
            app=_text(raw["app"]),
            recipe=_text(raw["recipe"]),
            server=_text(raw["server"]),
            cluster=_text(raw.get("cluster", "")),
            from_version=None if raw["from"] is None else _text(raw["from"]),
            to_version=_text(raw["to"]),
            started=_text(raw["started"]),
            finished=None if raw.get("finished") is None else _text(raw["finished"]),
            operator=_text(raw["operator"]),
            host=_text(raw["host"]),
            pid=int(_text(str(raw.get("pid", 0)))),
            boot=_text(raw.get("boot", "")),
            outcome=None if raw.get("outcome") is None else Outcome(_text(raw["outcome"])),
            verdict=_verdict(raw.get("verdict")),
            holds=_texts(raw.get("holds")),
            acknowledged=_texts(raw.get("acknowledged")),
            phases=tuple(_phase(each) for each in _list(raw.get("phases"))),
            next_steps=_texts(raw.get("next")),
            notices=_texts(raw.get("notices")),
            logs=_texts(raw.get("logs")),
            snapshot=None if raw.get("snapshot") is None else _text(raw["snapshot"]),
            failed_state=None if raw.get("failed_state") is None else _text(raw["failed_state"]),
            undo=_verdict(raw.get("undo")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def version_left(run: Run) -> str | None:
    """The version an ended run left running; None where its verdict does not tell."""
    if run.undo is not None:
        return run.from_version if run.undo.state is State.CONVERGED else None
    if run.verdict is None:
        return None
    if run.verdict.state is State.CONVERGED:
        return run.to_version
    return run.from_version if run.verdict.state in (State.UNCHANGED, State.SWARM_ROLLED_BACK) else None


def is_line(line: Mapping[str, object]) -> bool:
    """Whether this is a journal line that `replay` can use; one of a later schema is not."""
    word, payload = line.get("word"), line.get("run")
    if not isinstance(line.get("run_id"), str):
        return False
    if word in (Word.OPENED, Word.CLOSED):
        return isinstance(payload, dict) and from_json(payload) is not None
    return word in (Word.BEGIN, Word.END) and isinstance(line.get("step"), str)


def replay(lines: Iterable[Mapping[str, object]]) -> list[Run]:
    """Rebuild runs from journal lines, oldest first; a line that fits nothing is passed over."""
    runs: dict[str, Run] = {}
    for line in lines:
        word, key = line.get("word"), line.get("run_id")
        if not isinstance(key, str):
            continue
        payload = line.get("run")
        if word in (Word.OPENED, Word.CLOSED) and isinstance(payload, dict):
            run = from_json(payload)
            if run is not None:
                runs[key] = run
        elif key in runs and word in (Word.BEGIN, Word.END):
            runs[key] = _with_phase(runs[key], line)
    return list(runs.values())


def with_step(run: Run, name: str, *, ok: bool | None, seconds: float, detail: str) -> Run:
    """A run after a step began (`ok` None) or ended; the open phase of that name is replaced."""
    phase = Phase(name=name, seconds=seconds, ok=ok, detail=detail)
    kept = tuple(p for p in run.phases if p.name != name or p.ok is not None)
    return replace(run, phases=(*kept, phase))


def _with_phase(run: Run, line: Mapping[str, object]) -> Run:
    ok, seconds = line.get("ok"), line.get("seconds", 0.0)
    return with_step(
        run,
        str(line.get("step", "")),
        ok=ok if isinstance(ok, bool) else None,
        seconds=_seconds(seconds) if isinstance(seconds, int | float) else 0.0,
        detail=str(line.get("detail", "")),
    )


def _verdict(raw: object) -> Verdict | None:
    if not isinstance(raw, dict):
        return None
    evidence = tuple(
        Evidence(text=_text(each["text"]), service=_text(each.get("service") or ""))
        for each in _list(raw.get("evidence"))
    )
    return Verdict(state=State(_text(raw["state"])), evidence=evidence)


def _phase(raw: Mapping[str, object]) -> Phase:
    ok, seconds = raw.get("ok"), raw["seconds"]
    if not isinstance(seconds, int | float):
        raise TypeError
    return Phase(
        name=_text(raw["name"]),
        seconds=_seconds(seconds),
        ok=ok if isinstance(ok, bool) else None,
        detail=_text(raw.get("detail", "")),
    )


def _seconds(value: float) -> float:
    """JSON knows numbers that no clock can give, and Python's reader NaN and Infinity on top of them."""
    try:
        return float(value) if math.isfinite(value) else 0.0
    except OverflowError:
        return 0.0


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(each) for each in value) if isinstance(value, list) else ()


def _list(value: object) -> list[dict[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
