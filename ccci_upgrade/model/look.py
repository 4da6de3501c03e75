"""One look at a stack after an act: what of it is new, what is as before, what is lacking. Has no memory.

UpdateStatus counts only when it started after the act: services keep that of an earlier deploy (Engine 20.10).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ccci_upgrade.model.goal import Goal, Wanted
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.swarm import Service, Stack, Task, UpdateState

FAILURES_END = 3
"""Failed tasks of the new spec, all other services being up, that end the wait where Swarm will not act."""

PORT_TAKEN = "host-mode port already in use"


class Place(StrEnum):
    """Where one service is between before and target."""

    ON_TARGET = "on target"
    AS_BEFORE = "as before"
    WENT_BACK = "went back"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """The stack before the act and now. `reached`: spec hashes of the services that were on target once."""

    before: Stack
    goal: Goal
    now: Stack
    reached: Mapping[str, str]

    # -- where services are ------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The services it is about: the target's, or those before where its files tell of none."""
        return sorted(self.goal.services) or [service.name for service in self.before.services]

    def services(self) -> list[Service]:
        """Those of `names` that are there."""
        names = self.names()
        return [service for service in self.now.services if service.name in names]

    def wanted(self, name: str) -> Wanted:
        """What the target asks of a service; nothing where it says nothing."""
        return self.goal.services.get(name, Wanted())

    def places(self) -> dict[str, Place]:
        """Where each service is."""
        return {name: self._place(name) for name in self.names()}

    def moved(self, name: str) -> bool:
        """Whether a service is there and not as it was."""
        service, old = self.now.service(name), self.before.service(name)
        return service is not None and (old is None or service.spec_hash != old.spec_hash)

    def fresh(self, service: Service) -> UpdateState | None:
        """The state of an update that began after the act, None where there is none."""
        update = service.update
        if update is None or update.started is None or update.started < self.goal.acted:
            return None
        return update.state

    def moving(self) -> list[Service]:
        """Services that Swarm updates or rolls back at this moment."""
        return [s for s in self.now.services if (self.fresh(s) or UpdateState.UNKNOWN).in_flight]

    def halted(self) -> list[Service]:
        """Services whose update Swarm gave up: it never moves on by itself."""
        halted = (UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED)
        return [service for service in self.now.services if self.fresh(service) in halted]

    def miscounted(self, service: Service) -> bool:
        """Whether it has other replicas than the file says; 0 has its own state."""
        wanted = self.wanted(service.name).replicas
        return bool(service.replicas and wanted is not None and service.replicas != wanted)

    def emptied(self) -> list[str]:
        """Services with 0 replicas where the file asks for some."""
        return [
            name
            for name, wanted in self.goal.services.items()
            if (service := self.now.service(name)) and service.replicas == 0 and wanted.replicas != 0
        ]

    # -- what somebody else did --------------------------------------------------------------------------

    def removed(self) -> list[str]:
        """Services that were there and are gone."""
        return [
            name
            for name in self.goal.services
            if self.now.service(name) is None and (name in self.reached or self.before.service(name))
        ]

    def changed_again(self) -> list[Service]:
        """Services that left the target for neither of the two known specs, or were scaled on the way."""
        found = [
            service
            for name, reached in self.reached.items()
            if (service := self.now.service(name))
            and service.spec_hash not in (reached, self._hash_before(name))
        ]
        found += [
            service
            for name, place in self.places().items()
            if place is Place.ON_TARGET
            and name not in self.reached
            and (service := self.now.service(name))
            and self.miscounted(service)
        ]
        return found

    def strangers(self) -> list[Service]:
        """Services that changed though the target does not have them."""
        if not self.goal.services:
            return []
        return [
            service
            for service in self.now.services
            if service.name not in self.goal.services
            and (old := self.before.service(service.name)) is not None
            and old.spec_hash != service.spec_hash
        ]

    def odd_label(self) -> str | None:
        """A version label that is neither the target's nor the one before."""
        label = self.now.label("version")
        known = {self.goal.version, self.goal.was, *(w.version_label for w in self.goal.services.values())}
        return None if label in {None, *known} else label

    # -- tasks -------------------------------------------------------------------------------------------

    def new_tasks(self, service: Service) -> list[Task]:
        """Tasks of the spec that the service has now."""
        return [t for t in self.now.tasks_of(service) if t.template_hash == service.template_hash]

    def running_tasks(self) -> frozenset[str]:
        """Ids of all tasks of the present specs that run."""
        return frozenset(t.id for s in self.services() for t in self.new_tasks(s) if t.running)

    def new_ran(self, name: str) -> bool:
        """Whether a task of another spec than before ran, however short."""
        service, old = self.now.service(name), self.before.service(name)
        if service is None:
            return False
        template = old.template_hash if old else None
        tasks = self.now.tasks_of(service)
        return any(t.template_hash != template and t.created > self.goal.acted and _ran(t) for t in tasks)

    def lacking(self) -> str:
        """What is not green yet, "" where all is."""
        for service in self.services():
            tasks = self.now.tasks_of(service)
            if any(task.running and task.template_hash != service.template_hash for task in tasks):
                return f"{service.name}: a task of the old spec still runs"
            running = sum(task.running for task in self.new_tasks(service))
            if running < service.wanted:
                states = {task.state for task in tasks if task.desired in ("running", "ready")}
                words = f" ({', '.join(sorted(states))})" if states else ""
                return f"{service.name}: {running} of {service.wanted} tasks running{words}"
        return ""

    def crashing(self) -> tuple[Service, list[Task]] | None:
        """A service whose tasks fail again and again, with the last of them.

        Failures count only from when every other service was up: an app may well crash until its db is.
        """
        for service in self.services():
            others = [self._up_since(other) for other in self.services() if other.id != service.id]
            if None in others:
                continue
            start = max([self.goal.acted, *(moment for moment in others if moment is not None)])
            ended = [t for t in self.new_tasks(service) if t.failed or t.state == "complete"]
            failed = [task for task in ended if task.created >= start]
            if len(failed) >= FAILURES_END:
                return service, failed[-FAILURES_END:]
        return None

    def waits_for_port(self, service: Service) -> Task | None:
        """The start-first task that waits for a host port its own predecessor holds."""
        if service.order != "start-first" or not any(port.mode == "host" for port in service.ports):
            return None
        waiting = [t for t in self.now.tasks_of(service) if PORT_TAKEN in t.error and t.desired == "running"]
        return waiting[-1] if waiting else None

    # -- inner matters -----------------------------------------------------------------------------------

    def _place(self, name: str) -> Place:
        service, old = self.now.service(name), self.before.service(name)
        if service is None:
            return Place.AS_BEFORE if old is None else Place.ELSEWHERE
        if self._matches(service):
            return Place.ON_TARGET
        if old is not None and service.spec_hash == old.spec_hash:
            # Whatever the update's state is now: a rollback can end as `completed` (Engine 20.10, tried).
            went = name in self.reached or self.fresh(service) is not None
            return Place.WENT_BACK if went else Place.AS_BEFORE
        return Place.ELSEWHERE

    def _matches(self, service: Service) -> bool:
        wanted = self.wanted(service.name)
        if wanted.image and bare_image(service.image) != bare_image(wanted.image):
            return False
        if not self.moved(service.name) and self.miscounted(service):
            return False  # the image is the target's already, its number of replicas is not
        if wanted.version_label:
            # What abra deploys, not what the file says: a recipe may forget to raise its own label.
            return service.labels.get(f"coop-cloud.{self.now.name}.version") == self.goal.version
        # Where the files tell nothing of a service the stack's label is all there is to go by: whether the
        # service had to change at all is not known either.
        return bool(wanted.image) or self.now.label("version") == self.goal.version

    def _hash_before(self, name: str) -> str | None:
        old = self.before.service(name)
        return old.spec_hash if old else None

    def _up_since(self, service: Service) -> datetime | None:
        moments = [task.changed for task in self.new_tasks(service) if task.running]
        return max(moments) if moments and len(moments) >= service.wanted else None


def _ran(task: Task) -> bool:
    return bool(task.container_id) and task.state in ("running", "failed", "complete", "shutdown", "starting")
