"""Looks at every service that changed: scales it, updates it, and replaces what ended."""

from ccci_upgrade.practice.engine.clockwork import Process
from ccci_upgrade.practice.engine.orchestrator import Slot, Tasks, wanted_slots
from ccci_upgrade.practice.engine.things import Service, State
from ccci_upgrade.practice.engine.tree import sub, text
from ccci_upgrade.practice.engine.updater import Updater
from ccci_upgrade.practice.engine.world import World


class Reconciler:
    """Runs whenever something changed."""

    def __init__(self, world: World, tasks: Tasks) -> None:
        self.world = world
        self._tasks = tasks
        self._updates: dict[str, tuple[Updater, Process]] = {}

    def look(self) -> None:
        """One look at all that changed; called by the clockwork."""
        # First restarts, then updates: so a slot whose task failed is clean again when a rollback looks at it.
        self._tasks.restart_ended()
        while self.world.dirty:
            name = next(iter(self.world.dirty))
            del self.world.dirty[name]
            service = self.world.services.get(name)
            if service is not None:
                self._reconcile(service)

    def removed(self, service: Service) -> None:
        """A service was deleted: its tasks go, each in its time."""
        self._cancel(service.id)
        for task in self.world.tasks_of(service.id):
            self._tasks.want(task, State.REMOVE)

    def _reconcile(self, service: Service) -> None:
        alive, dead = self._slots(service)
        count = wanted_slots(service)
        keep = sorted(alive, key=lambda slot: (not _runs(alive[slot]), slot))
        self._update(service, [alive[slot] for slot in keep[:count]])
        for slot in keep[count:]:
            for task in alive[slot]:
                self._tasks.want(task, State.REMOVE)
        free = (slot for slot in range(_first(service), count + len(alive) + 1) if slot not in alive)
        for _ in range(count - len(alive)):
            slot = next(free)
            dead.pop(slot, None)
            self._tasks.create(service, slot)
        for tasks in dead.values():
            for task in tasks:
                self._tasks.forget(task)

    def _slots(self, service: Service) -> tuple[dict[int, Slot], dict[int, Slot]]:
        """Slots that an update has to care for, and slots whose tasks are all history."""
        slots: dict[int, Slot] = {}
        for task in self.world.tasks_of(service.id):
            slots.setdefault(task.slot, []).append(task)
        alive, dead = {}, {}
        back = text(service.update, "State") == "rollback_started"
        for number, tasks in slots.items():
            living = [task for task in tasks if task.desired <= State.RUNNING]
            if not living and not back and not self._tasks.restartable(tasks[-1]):
                living = [tasks[-1]]
            if living:
                alive[number] = living
            else:
                dead[number] = tasks
        return alive, dead

    def _update(self, service: Service, slots: list[Slot]) -> None:
        running = self._updates.get(service.id)
        if running is not None:
            updater, process = running
            if updater.spec == service.spec and not process.done:
                return
            self._cancel(service.id)
        updater = Updater(self.world, self._tasks, service, slots)
        self._updates[service.id] = (updater, self.world.clockwork.go(updater.run()))

    def _cancel(self, name: str) -> None:
        running = self._updates.pop(name, None)
        if running is not None:
            running[0].cancel()
            self.world.clockwork.cancel(running[1])


def _runs(slot: Slot) -> bool:
    return any(task.state == State.RUNNING for task in slot)


def _first(service: Service) -> int:
    """Slots count from 1; the tasks of a global service have none."""
    return 0 if "Global" in sub(service.spec, "Mode") else 1
