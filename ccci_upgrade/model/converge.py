"""Watching one stack after an act: a pure state machine that is shown the Swarm again and again.

It is fed whole stacks and says: waiting (for what), green since when, or final with a state and evidence.
Facts behind the rules, all tried on Engine 20.10 (docs/explanation/verdict.md): UpdateStatus counts only when
it started after the act; from 0 replicas there is none and `failure_action` never fires; `paused` never moves
on; Swarm's own rollback restores labels too, so a page stays green on the old version.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from ccci_upgrade.model import looklines
from ccci_upgrade.model.goal import Goal
from ccci_upgrade.model.look import Look, Place
from ccci_upgrade.model.swarm import Service, Stack
from ccci_upgrade.model.verdict import Evidence, State

DEADLOCK_SECONDS = 10.0
"""How long a start-first task may wait for a host port that its own predecessor holds."""


class Kind(StrEnum):
    """Whether to go on watching."""

    WAITING = "waiting"
    SETTLED = "settled"
    FINAL = "final"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What one look says. `state` is set unless waiting.

    SETTLED is green for the whole stability window: CONVERGED, SWARM_ROLLED_BACK or DATA_SUSPECT.
    """

    kind: Kind
    waiting_for: str = ""
    state: State | None = None
    evidence: tuple[Evidence, ...] = ()


@dataclass(slots=True)
class Watcher:
    """The memory of one watch. `see` is the only method; it never blocks and reads no clock."""

    before: Stack
    goal: Goal
    _reached: dict[str, str] = field(default_factory=dict)
    _green_since: float | None = None
    _green_as: State | None = None
    _green_tasks: frozenset[str] = frozenset()
    _stuck_since: float | None = None
    _new_ran: set[str] = field(default_factory=set)

    def see(self, now: Stack, *, at: float, acting: bool) -> Reading:
        """Take one look at monotonic second `at`; `acting` while abra still runs."""
        look = Look(before=self.before, goal=self.goal, now=now, reached=self._reached)
        foreign = looklines.foreign(look)
        if foreign:
            return _final(State.FOREIGN_CHANGE, foreign)
        self._remember(look)
        halted = looklines.halted(look)
        if halted:
            return _final(State.PAUSED, halted)
        moving = look.moving()
        if moving:
            self._green_since = None  # a window that was open belongs to what moves now
            return self._moving(look, moving, at)
        self._stuck_since = None
        return self._at_rest(look, at, acting=acting)

    def _remember(self, look: Look) -> None:
        for name, place in look.places().items():
            service = look.now.service(name)
            if service is not None and place is Place.ON_TARGET and look.moved(name):
                self._reached.setdefault(name, service.spec_hash)
            if look.new_ran(name):
                self._new_ran.add(name)

    # -- the ways a look can end -------------------------------------------------------------------------

    def _moving(self, look: Look, moving: list[Service], at: float) -> Reading:
        stuck = tuple(line for service in moving for line in looklines.port_deadlock(look, service))
        if not stuck:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = at
        elif at - self._stuck_since >= DEADLOCK_SECONDS:
            return _final(State.NOT_CONVERGED, stuck)
        words = ", ".join(f"{s.name} ({s.update.state.value if s.update else ''})" for s in moving)
        return _waiting(f"Swarm's update of {words}")

    def _at_rest(self, look: Look, at: float, *, acting: bool) -> Reading:
        places = look.places()
        on_target = {name for name, place in places.items() if place is Place.ON_TARGET}
        all_there = len(on_target) == len(places)
        if all_there and look.now.label("version") == self.goal.version:
            return self._on_target(look, at)
        if acting:
            return _waiting("abra")
        # A service that the target does not change is on target and as before at once: it decides nothing.
        moved = {name for name in places if look.moved(name)}
        back = [service for service in look.services() if places[service.name] is Place.WENT_BACK]
        if not moved and back:
            return self._rolled_back(look, back, at)
        if not moved and Place.ELSEWHERE not in places.values():
            return _final(State.UNCHANGED, looklines.unchanged(look))
        if not all_there and moved & on_target:
            return _final(State.MIXED, looklines.mixed(look))
        return _final(State.WRONG_VERSION, looklines.wrong_version(look))

    def _on_target(self, look: Look, at: float) -> Reading:
        emptied = looklines.emptied(look)
        if emptied:
            return _final(State.ZERO_REPLICAS, emptied)
        crashing = looklines.crashing(look)
        if crashing:
            return _final(State.UNHEALTHY, crashing)
        return self._settle(look, at, State.CONVERGED)

    def _rolled_back(self, look: Look, back: list[Service], at: float) -> Reading:
        emptied = looklines.emptied(look)
        if emptied:
            return _final(State.ZERO_REPLICAS, emptied)
        reading = self._settle(look, at, State.SWARM_ROLLED_BACK)
        if reading.kind is not Kind.SETTLED:
            return reading
        evidence = tuple(looklines.went_back(look, service) for service in back)
        if self.goal.holds_data and self._new_ran:
            return _settled(State.DATA_SUSPECT, (*evidence, self._suspect()))
        return _settled(State.SWARM_ROLLED_BACK, evidence)

    def _suspect(self) -> Evidence:
        ran = ", ".join(sorted(self._new_ran))
        return Evidence(
            text=f"{ran} of {self.goal.version} ran on the data before {self.goal.was} came back: "
            "the data may have been migrated forward",
        )

    def _settle(self, look: Look, at: float, state: State) -> Reading:
        if self._green_as is not state:  # Swarm may go back while the Engine does not answer
            self._green_since, self._green_as = None, state
        lacking = look.lacking()
        if lacking:
            if self._green_since is not None:
                return _final(State.FLAPPING, looklines.flapped(look, lacking))
            return _waiting(lacking)
        tasks = look.running_tasks()
        if self._green_since is None:
            self._green_since, self._green_tasks = at, tasks
        elif tasks != self._green_tasks:
            # A task that died and was replaced between two looks leaves the counts as they were.
            return _final(State.FLAPPING, looklines.flapped(look, "a task was replaced"))
        if at - self._green_since < self.goal.settle:
            return _waiting(f"the stability window ({self.goal.settle:g} s)")
        return _settled(state, looklines.green(look))


def _waiting(what: str) -> Reading:
    return Reading(kind=Kind.WAITING, waiting_for=what)


def _settled(state: State, evidence: tuple[Evidence, ...]) -> Reading:
    return Reading(kind=Kind.SETTLED, state=state, evidence=evidence)


def _final(state: State, evidence: tuple[Evidence, ...]) -> Reading:
    return Reading(kind=Kind.FINAL, state=state, evidence=evidence)
