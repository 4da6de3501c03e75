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
        machine = tame_line(str(running[0].get("machine") or "an unnamed machine"))[:80]
        return ProbeResult(name=name, ok=True, detail=f"a build runs on {machine}", seconds=seconds)
    if any(_waits_long(stage.get("created"), served) for stage in waiting):
        detail = f"{len(waiting)} waiting and none running: no runner takes builds, or the queue is paused"
        return ProbeResult(name=name, ok=False, detail=detail, seconds=seconds)
    detail = "a build has just been queued" if waiting else "the queue is empty"
    detail += "; whether a runner is back shows with the next build"
    return ProbeResult(name=name, ok=False, detail=detail, seconds=seconds, gap=Gap.UNTOLD)


def _waits_long(created: object, served: str) -> bool:
    if isinstance(created, bool) or not isinstance(created, int):
        return False
    try:
        moment = parsedate_to_datetime(served).astimezone(UTC)
        return moment - datetime.fromtimestamp(created, UTC) > PATIENCE
    except (ValueError, OverflowError, OSError):
        return False
