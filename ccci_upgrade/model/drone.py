"""What Drone's queue tells of its runners.

Drone's server keeps no list of runners: joining and pinging (`/rpc/v2/nodes/…`, `/rpc/v2/ping`) are answered
and forgotten, and there is no `/api/nodes` in Drone 2. Only a build shows one. `/api/queue` (administrators
only) lists the stages that are pending or running, with the machine that took them.
"""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from ccci_upgrade.model.probe import Gap, ProbeResult
from ccci_upgrade.text import tame_line

PATIENCE = timedelta(seconds=60)
"""How long a build may wait, with none running, before the runner counts as missing."""

MOST_BUILDS = 20
"""Builds that are listed one by one."""


def read_queue(name: str, queue: object, served: str, *, seconds: float) -> ProbeResult:
    """Judge a parsed queue; `served` is the answer's Date header, for the clock here may be another one.

    A stage running on a machine is proof, one that waits for long while none runs is the contrary, and an
    empty queue tells nothing.
    """
    if not isinstance(queue, list):
        return ProbeResult(name=name, ok=False, detail="the queue is no list", seconds=seconds)
    stages = [stage for stage in queue if isinstance(stage, dict)]
    running = [stage for stage in stages if stage.get("status") == "running"]
    waiting = [stage for stage in stages if stage.get("status") == "pending"]
    if running:
        machine = _short(running[0].get("machine") or "an unnamed machine")
        return ProbeResult(name=name, ok=True, detail=f"a build runs on {machine}", seconds=seconds)
    if any(_waits_long(stage.get("created"), served) for stage in waiting):
        detail = f"{len(waiting)} waiting and none running: no runner takes builds, or the queue is paused"
        return ProbeResult(name=name, ok=False, detail=detail, seconds=seconds)
    detail = "a build has just been queued" if waiting else "the queue is empty"
    detail += "; whether a runner is back shows with the next build"
    return ProbeResult(name=name, ok=False, detail=detail, seconds=seconds, gap=Gap.UNTOLD)


def read_builds(name: str, queue: object, *, seconds: float) -> ProbeResult:
    """List the builds of a parsed queue: each fact is one line about a stage that runs or waits for a runner.

    The queue names builds and repositories by Drone's own numbers only (`Stage` in drone's core/stage.go).
    """
    stages = [stage for stage in queue if isinstance(stage, dict)] if isinstance(queue, list) else []
    lines = [line for line in map(_build, stages) if line]
    more = [f"and {len(lines) - MOST_BUILDS} more"] if len(lines) > MOST_BUILDS else []
    facts = {str(at): line for at, line in enumerate((*lines[:MOST_BUILDS], *more), start=1)}
    return ProbeResult(name=name, ok=True, detail=f"{len(lines)} builds", seconds=seconds, facts=facts)


def _build(stage: dict[str, object]) -> str:
    named = (("stage", "name"), ("of build id", "build_id"), ("of repository id", "repo_id"))
    which = " ".join(f"{word} {_short(stage[key])}" for word, key in named if stage.get(key))
    match stage.get("status"):
        case "running":
            text = f"a build runs on {_short(stage.get('machine') or 'an unnamed machine')}"
        case "pending":
            text = "a build waits for a runner"
        case _:
            return ""
    return f"{text} ({which})" if which else text


def _short(value: object) -> str:
    return tame_line(str(value))[:80]


def _waits_long(created: object, served: str) -> bool:
    if isinstance(created, bool) or not isinstance(created, int):
        return False
    try:
        moment = parsedate_to_datetime(served).astimezone(UTC)
        return moment - datetime.fromtimestamp(created, UTC) > PATIENCE
    except (ValueError, OverflowError, OSError):
        return False
