"""Watching one stack after an act: a pure state machine that is shown the Swarm again and again.

It is fed whole stacks and says: waiting (for what), green since when, or final with a state and evidence.
Facts behind the rules, all tried on Engine 20.10 (docs/explanation/verdict.md): UpdateStatus counts only when
it started after the act; from 0 replicas there is none and `failure_action` never fires; `paused` never moves
on; Swarm's own rollback restores labels too, so a page stays green on the old version.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ccci_upgrade.model.image import Image
from ccci_upgrade.model.swarm import Service, Stack, Task, UpdateState
from ccci_upgrade.model.verdict import Evidence, State

FAILURES_END = 3
"""Failed tasks of the new spec, all other services being up, that end the wait where Swarm will not act."""

DEADLOCK_SECONDS = 10.0
"""How long a start-first task may wait for a host port that its own predecessor holds."""

PORT_TAKEN = "host-mode port already in use"


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the target version asks of one service; empty or None means the compose file could not tell."""

    image: str = ""
    replicas: int | None = None
    version_label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """Where an act should lead. `was` is the version label before it (None where there was none)."""

    version: str
    was: str | None
    services: dict[str, Wanted]
    acted: datetime
    settle: float
    holds_data: bool


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


class _Place(StrEnum):
    ON_TARGET = "on target"
    AS_BEFORE = "as before"
    WENT_BACK = "went back"
    ELSEWHERE = "elsewhere"


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
        places = {name: self._place(name, now) for name in self._names()}
        foreign = self._foreign(now, places)
        if foreign:
            return _final(State.FOREIGN_CHANGE, foreign)
        self._remember(now, places)
        halted = self._halted(now)
        if halted:
            return _final(State.PAUSED, halted)
        moving = [s for s in now.services if (self._fresh(s) or UpdateState.UNKNOWN).in_flight]
        if moving:
            self._green_since = None  # a window that was open belongs to what moves now
            return self._moving(now, moving, at)
        self._stuck_since = None
        if acting and not all(place is _Place.ON_TARGET for place in places.values()):
            return Reading(kind=Kind.WAITING, waiting_for="abra")
        return self._at_rest(now, places, at, acting=acting)

    # -- the ways a look can end -------------------------------------------------------------------------

    def _at_rest(self, now: Stack, places: dict[str, _Place], at: float, *, acting: bool) -> Reading:
        by_place = {place: [n for n, p in places.items() if p is place] for place in _Place}
        all_there = len(by_place[_Place.ON_TARGET]) == len(places)
        if all_there and now.label("version") == self.goal.version:
            return self._on_target(now, at)
        if acting:
            return Reading(kind=Kind.WAITING, waiting_for="abra")
        # A service that the target does not change is on target and as before at once: it decides nothing.
        moved = [name for name in places if self._moved(name, now)]
        if not moved and by_place[_Place.WENT_BACK]:
            return self._rolled_back(now, by_place[_Place.WENT_BACK], at)
        if not moved and not by_place[_Place.ELSEWHERE]:
            return _final(State.UNCHANGED, self._unchanged(now))
        if not all_there and set(moved) & set(by_place[_Place.ON_TARGET]):
            return _final(State.MIXED, self._mixed(now, places))
        return _final(State.WRONG_VERSION, self._wrong(now, places))

    def _on_target(self, now: Stack, at: float) -> Reading:
        zero = self._zero(now)
        if zero:
            return _final(State.ZERO_REPLICAS, zero)
        crashing = self._crashing(now)
        if crashing:
            return _final(State.UNHEALTHY, crashing)
        return self._settle(now, at, State.CONVERGED)

    def _rolled_back(self, now: Stack, back: list[str], at: float) -> Reading:
        zero = self._zero(now)
        if zero:
            return _final(State.ZERO_REPLICAS, zero)
        reading = self._settle(now, at, State.SWARM_ROLLED_BACK)
        if reading.kind is not Kind.SETTLED:
            return reading
        evidence = tuple(self._why_back(now, name) for name in back)
        if self.goal.holds_data and self._new_ran:
            ran = ", ".join(sorted(self._new_ran))
            suspect = Evidence(
                text=f"{ran} of {self.goal.version} ran on the data before {self.goal.was} came back: "
                "the data may have been migrated forward",
            )
            return Reading(kind=Kind.SETTLED, state=State.DATA_SUSPECT, evidence=(*evidence, suspect))
        return Reading(kind=Kind.SETTLED, state=State.SWARM_ROLLED_BACK, evidence=evidence)

    def _settle(self, now: Stack, at: float, state: State) -> Reading:
        if self._green_as is not state:  # Swarm may go back while the Engine does not answer
            self._green_since, self._green_as = None, state
        lacking = self._lacking(now)
        if lacking:
            if self._green_since is not None:
                return _final(State.FLAPPING, self._flapped(now, lacking))
            return Reading(kind=Kind.WAITING, waiting_for=lacking)
        tasks = frozenset(t.id for s in self._expected(now) for t in self._new_tasks(now, s) if t.running)
        if self._green_since is None:
            self._green_since, self._green_tasks = at, tasks
        elif tasks != self._green_tasks:
            # A task that died and was replaced between two looks leaves the counts as they were.
            return _final(State.FLAPPING, self._flapped(now, "a task was replaced"))
        left = self.goal.settle - (at - self._green_since)
        if left > 0:
            return Reading(kind=Kind.WAITING, waiting_for=f"the stability window ({self.goal.settle:g} s)")
        return Reading(kind=Kind.SETTLED, state=state, evidence=tuple(self._green(now)))

    def _moving(self, now: Stack, moving: list[Service], at: float) -> Reading:
        stuck = [e for service in moving for e in self._port_deadlock(now, service)]
        if not stuck:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = at
        elif at - self._stuck_since >= DEADLOCK_SECONDS:
            return _final(State.NOT_CONVERGED, tuple(stuck))
        words = ", ".join(f"{s.name} ({s.update.state.value if s.update else ''})" for s in moving)
        return Reading(kind=Kind.WAITING, waiting_for=f"Swarm's update of {words}")

    # -- what is true of services ------------------------------------------------------------------------

    def _names(self) -> list[str]:
        return sorted(self.goal.services) or [s.name for s in self.before.services]

    def _place(self, name: str, now: Stack) -> _Place:
        service, old = now.service(name), self.before.service(name)
        if service is None:
            return _Place.AS_BEFORE if old is None else _Place.ELSEWHERE
        if self._matches(service, now):
            return _Place.ON_TARGET
        if old is not None and service.spec_hash == old.spec_hash:
            fresh = self._fresh(service)
            went = fresh is UpdateState.ROLLBACK_COMPLETED or name in self._reached
            return _Place.WENT_BACK if went or fresh is UpdateState.ROLLBACK_STARTED else _Place.AS_BEFORE
        return _Place.ELSEWHERE

    def _matches(self, service: Service, now: Stack) -> bool:
        wanted = self.goal.services.get(service.name, Wanted())
        if wanted.image and bare_image(service.image) != bare_image(wanted.image):
            return False
        if not self._moved(service.name, now) and self._miscounted(service):
            return False  # the image is the target's already, its number of replicas is not
        if wanted.version_label:
            # What abra deploys, not what the file says: a recipe may forget to raise its own label.
            return service.labels.get(f"coop-cloud.{now.name}.version") == self.goal.version
        # Where the files tell nothing of a service the stack's label is all there is to go by: whether the
        # service had to change at all is not known either.
        return bool(wanted.image) or now.label("version") == self.goal.version

    def _moved(self, name: str, now: Stack) -> bool:
        service, old = now.service(name), self.before.service(name)
        return service is not None and (old is None or service.spec_hash != old.spec_hash)

    def _fresh(self, service: Service) -> UpdateState | None:
        update = service.update
        if update is None or update.started is None or update.started < self.goal.acted:
            return None
        return update.state

    def _remember(self, now: Stack, places: dict[str, _Place]) -> None:
        for name, place in places.items():
            service, old = now.service(name), self.before.service(name)
            if service is None:
                continue
            if place is _Place.ON_TARGET and self._moved(name, now):
                self._reached.setdefault(name, service.spec_hash)
            old_template = old.template_hash if old else None
            for task in now.tasks_of(service):
                if task.template_hash != old_template and task.created > self.goal.acted and _ran(task):
                    self._new_ran.add(name)

    def _foreign(self, now: Stack, places: dict[str, _Place]) -> tuple[Evidence, ...]:
        found = [
            Evidence(service=name, text=f"service {name} was removed during the run")
            for name in self.goal.services
            if now.service(name) is None and (name in self._reached or self.before.service(name))
        ]
        for name, reached in self._reached.items():
            service, old = now.service(name), self.before.service(name)
            if service and service.spec_hash not in (reached, old.spec_hash if old else None):
                found.append(Evidence(service=name, text=f"{name}: {self._what_changed(service)}"))
        for name, place in places.items():
            service = now.service(name)
            if (
                service
                and place is _Place.ON_TARGET
                and name not in self._reached
                and self._miscounted(service)
            ):
                found.append(Evidence(service=name, text=f"{name}: {self._what_changed(service)}"))
        label = now.label("version")
        known = {self.goal.version, self.goal.was, *(w.version_label for w in self.goal.services.values())}
        if label is not None and label not in known:
            found.append(Evidence(text=f"the version label became {label} during the run"))
        for service in now.services:
            old = self.before.service(service.name)
            part = service.name in self.goal.services or not self.goal.services
            if not part and old is not None and old.spec_hash != service.spec_hash:
                found.append(
                    Evidence(service=service.name, text=f"{service.name}: changed, though not part of it")
                )
        return tuple(found)

    def _miscounted(self, service: Service) -> bool:
        """Whether it has other replicas than the file says; 0 has its own state."""
        wanted = self.goal.services.get(service.name, Wanted()).replicas
        return bool(service.replicas and wanted is not None and service.replicas != wanted)

    def _what_changed(self, service: Service) -> str:
        wanted = self.goal.services.get(service.name, Wanted()).replicas
        if service.replicas is not None and wanted is not None and service.replicas != wanted:
            return f"somebody set its replicas to {service.replicas} during the run ({wanted} in the recipe)"
        return "its spec was changed again by somebody else during the run"

    def _halted(self, now: Stack) -> tuple[Evidence, ...]:
        return tuple(
            Evidence(
                service=s.name,
                text=f"{s.name}: Swarm's UpdateStatus is {s.update.state.value}: {s.update.message}",
            )
            for s in now.services
            if s.update and self._fresh(s) in (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)
        )

    def _zero(self, now: Stack) -> tuple[Evidence, ...]:
        found = []
        for name, wanted in self.goal.services.items():
            service = now.service(name)
            if service and service.replicas == 0 and wanted.replicas != 0:
                found.append(
                    Evidence(service=name, text=f"{name}: 0 replicas, {wanted.replicas or 1} in the recipe")
                )
        return tuple(found)

    def _crashing(self, now: Stack) -> tuple[Evidence, ...]:
        """Count failures only from when every other service was up: an app may well crash until its db is."""
        for service in self._expected(now):
            others = [self._up_since(now, s) for s in self._expected(now) if s.id != service.id]
            if None in others:
                continue
            start = max([self.goal.acted, *(moment for moment in others if moment is not None)])
            ended = [t for t in self._new_tasks(now, service) if t.failed or t.state == "complete"]
            failed = [t for t in ended if t.created >= start]
            if len(failed) >= FAILURES_END:
                return tuple(_task_line(service, task) for task in failed[-FAILURES_END:])
        return ()

    def _lacking(self, now: Stack) -> str:
        for service in self._expected(now):
            running = [t for t in self._new_tasks(now, service) if t.running]
            old = [t for t in now.tasks_of(service) if t.running and t.template_hash != service.template_hash]
            if old:
                return f"{service.name}: a task of the old spec still runs"
            if len(running) < service.wanted:
                states = {t.state for t in now.tasks_of(service) if t.desired in ("running", "ready")}
                words = f" ({', '.join(sorted(states))})" if states else ""
                return f"{service.name}: {len(running)} of {service.wanted} tasks running{words}"
        return ""

    def _green(self, now: Stack) -> list[Evidence]:
        lines = [Evidence(text=f"version label {now.label('version')}")]
        for service in self._expected(now):
            running = sum(t.running for t in self._new_tasks(now, service))
            status = self._fresh(service)
            word = f", UpdateStatus {status.value}" if status else ", no UpdateStatus of this run"
            text = f"{service.name}: {running}/{service.wanted} running {bare_image(service.image)}{word}"
            lines.append(Evidence(service=service.name, text=text))
        return lines

    def _flapped(self, now: Stack, lacking: str) -> tuple[Evidence, ...]:
        lines = [Evidence(text=f"was green, then within {self.goal.settle:g} s {lacking}")]
        for service in self._expected(now):
            lines += [_task_line(service, t) for t in self._new_tasks(now, service) if t.failed][-1:]
        return tuple(lines)

    def _expected(self, now: Stack) -> list[Service]:
        return [s for s in now.services if s.name in self._names()]

    def _new_tasks(self, now: Stack, service: Service) -> list[Task]:
        return [t for t in now.tasks_of(service) if t.template_hash == service.template_hash]

    def _up_since(self, now: Stack, service: Service) -> datetime | None:
        moments = [t.changed for t in self._new_tasks(now, service) if t.running]
        return max(moments) if moments and len(moments) >= service.wanted else None

    def _port_deadlock(self, now: Stack, service: Service) -> list[Evidence]:
        if service.order != "start-first" or not any(port.mode == "host" for port in service.ports):
            return []
        waiting = [t for t in now.tasks_of(service) if PORT_TAKEN in t.error and t.desired == "running"]
        ports = ", ".join(str(p.published) for p in service.ports if p.mode == "host")
        text = f"{service.name}: start-first, and its old task holds host port {ports}: {{}}"
        return [Evidence(service=service.name, text=text.format(task.error)) for task in waiting[-1:]]

    def _why_back(self, now: Stack, name: str) -> Evidence:
        service = now.service(name)
        said = service.update.message if service and service.update and self._fresh(service) else ""
        failed = [
            t for t in (now.tasks_of(service) if service else ()) if t.failed and t.created > self.goal.acted
        ]
        why = (
            f"; {_task_line(service, failed[-1]).text.removeprefix(f'{name}: ')}"
            if service and failed
            else ""
        )
        return Evidence(
            service=name, text=f"{name}: Swarm rolled it back to {self.goal.was} ({said or 'silently'}){why}"
        )

    def _unchanged(self, now: Stack) -> tuple[Evidence, ...]:
        return (Evidence(text=f"no service changed; the version label is still {now.label('version')}"),)

    def _mixed(self, now: Stack, places: dict[str, _Place]) -> tuple[Evidence, ...]:
        lines = []
        for name, place in places.items():
            service = now.service(name)
            image = bare_image(service.image) if service else "no service"
            lines.append(Evidence(service=name, text=f"{name}: {place.value} ({image})"))
        return tuple(lines)

    def _wrong(self, now: Stack, places: dict[str, _Place]) -> tuple[Evidence, ...]:
        label = Evidence(text=f"the version label is {now.label('version')}, not {self.goal.version}")
        return (label, *self._mixed(now, places))


def bare_image(image: str) -> str:
    """An image reference without its digest, and with the tag it means: Swarm pins a digest where it can."""
    parsed = Image.parse(image)
    if parsed is None:
        return image.split("@", 1)[0]
    return f"{parsed.repository}:{parsed.tag or 'latest'}"


def _ran(task: Task) -> bool:
    return bool(task.container_id) and task.state in ("running", "failed", "complete", "shutdown", "starting")


def _task_line(service: Service, task: Task) -> Evidence:
    code = f" (exit {task.exit_code})" if task.exit_code is not None else ""
    text = f"{service.name}: task {task.id[:12]} {task.state}{code}: {task.error or 'no reason given'}"
    return Evidence(service=service.name, text=text)


def _final(state: State, evidence: tuple[Evidence, ...]) -> Reading:
    return Reading(kind=Kind.FINAL, state=state, evidence=evidence)
