"""A run that never ended: what it had done, what is true now, and the ways to end it. Pure.

The journal says what was begun; only the Swarm says what came of it.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from ccci_upgrade.model.run import DONE_BEFORE, SNAPSHOT, UNDO, UPGRADE, Phase, Run
from ccci_upgrade.model.stackstate import unhealthy_lines
from ccci_upgrade.model.swarm import Stack

_SNAPSHOT_ID = re.compile(r"\b[0-9]{8}T[0-9]{6}-[0-9a-f]{4}\b")


class Way(StrEnum):
    """How a dead run is ended: gone on with, taken back, or recorded as it is."""

    RESUME = "resume"
    UNDO = "undo"
    ACCEPT = "accept"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenRun:
    """One open run. `phase` is the last one begun; `noted` the replicas before it stopped anything.

    `acted`: abra may have begun; `undoing`: the way back of an upgrade was begun; `restoring`: volumes may have
    been replaced, `restored`: all of them were. `failed_state` is the id of the copy of what was replaced.
    """

    run: Run
    phase: str
    noted: str
    acted: bool
    undoing: bool
    restoring: bool
    restored: bool
    failed_state: str | None

    @property
    def back(self) -> bool:
        """Whether its next act leads back: a run that goes back, or an upgrade on its way back."""
        return self.undoing or self.run.command not in (UPGRADE, SNAPSHOT)

    @property
    def harmless(self) -> bool:
        """Whether at most replicas have to be put back: neither abra nor a restore was begun."""
        return not (self.acted or self.restoring)


@dataclass(frozen=True, kw_only=True, slots=True)
class Situation:
    """An open run beside the Swarm as it is: lines for people, services that it left stopped, and the ways out.

    `untouched`: the app stands as it was stopped. abra brings back what it deploys, so it came to nothing.
    """

    open: OpenRun
    now: tuple[str, ...]
    down: tuple[str, ...]
    ways: tuple[Way, ...]
    untouched: bool = False


def read_open(run: Run) -> OpenRun:
    """What the journal tells of an open run."""
    begun = {phase.name: phase for phase in run.phases}
    undoing = any(name.startswith(UNDO) for name in begun)
    restores = [phase for phase in run.phases if phase.name in ("restore", f"{UNDO}restore")]
    kept = begun.get(f"{UNDO}failed-state") or begun.get("failed-state")
    return OpenRun(
        run=run,
        phase=run.phases[-1].name if run.phases else "opened",
        noted=_noted(begun),
        acted="act" in begun or f"{UNDO}act" in begun,
        undoing=undoing,
        restoring=bool(restores),
        restored=bool(restores and restores[-1].ok),
        failed_state=run.failed_state or _id_in(kept),
    )


def situation(found: OpenRun, stack: Stack | None) -> Situation:
    """Put it beside what runs now; without a stack nothing is known of that."""
    if stack is None:
        return Situation(open=found, now=("the Swarm could not be asked",), down=(), ways=())
    stopped = {name for name, count in _counts(found.noted).items() if count}
    ours = [s for s in stack.services if s.replicas == 0 and s.full_name in stopped]
    down, known = tuple(s.full_name for s in ours), tuple(f"{s.name}: scaled to 0" for s in ours)
    now = [f"version label {stack.label('version') or 'none'}"] if stack.services else ["it is not deployed"]
    now += [f"{name}: stopped by this run" for name in down]
    now += [line for line in unhealthy_lines(stack) if not line.startswith(known)]
    if found.restoring and not found.restored:
        now.append("its volumes may hold a part of the snapshot that was being put back")
    still = bool(down) and set(down) == stopped and stack.label("version") == found.run.from_version
    return Situation(
        open=found,
        now=tuple(now),
        down=down,
        ways=_ways(found, down),
        untouched=found.harmless or (still and not found.restoring),
    )


def commands_of(found: Situation) -> list[str]:
    """What to type for each way."""
    return [f"ccci-upgrade upgrade {found.open.run.app} --{way.value}" for way in found.ways]


def _ways(found: OpenRun, down: tuple[str, ...]) -> tuple[Way, ...]:
    half = found.restoring and not found.restored
    acceptable = not down and not half
    return (Way.RESUME, Way.UNDO, *((Way.ACCEPT,) if acceptable else ()))


def _noted(begun: dict[str, Phase]) -> str:
    """The counts before the first stop: a way back that found an app stopped noted nothing."""
    back = begun.get("back")
    brought = back is not None and back.ok and back.detail != DONE_BEFORE
    if brought and f"{UNDO}quiesce" not in begun:
        return ""
    for prefix in ("", UNDO):
        replicas, quiesce = begun.get(prefix + "replicas"), begun.get(prefix + "quiesce")
        said = quiesce.detail if quiesce is not None and quiesce.ok is None else ""
        if replicas is not None and replicas.ok:
            said = replicas.detail
        if quiesce is not None and _counts(said):
            return said
    return ""


def _counts(noted: str) -> dict[str, int]:
    words = (word.rpartition("=") for word in noted.split())
    return {name: int(count) for name, _, count in words if name and count.isdecimal()}


def _id_in(phase: Phase | None) -> str | None:
    match = _SNAPSHOT_ID.search(phase.detail) if phase else None
    return match.group() if match else None
