"""Rolling updates, step for step as swarmkit's updater makes them (`manager/orchestrator/update/updater.go`).

Replaces dirty slots, watches the new tasks for failures, and writes `UpdateStatus` with swarmkit's words.
"""

from ccci_upgrade import clock
from ccci_upgrade.practice.engine.clockwork import Pause, Process, Steps
from ccci_upgrade.practice.engine.orchestrator import Slot, Tasks, dirty
from ccci_upgrade.practice.engine.things import Service, State, Task
from ccci_upgrade.practice.engine.tree import Tree, number, seconds, sub, text
from ccci_upgrade.practice.engine.world import World, stamp

MONITOR = 5.0
PAUSED = frozenset({"paused", "rollback_paused"})


class Updater:
    """One update of one service, until it is complete, paused, rolled back or overtaken."""

    def __init__(self, world: World, tasks: Tasks, service: Service, slots: list[Slot]) -> None:
        self.world = world
        self.service = service
        self.spec = service.spec
        self._tasks = tasks
        self._slots = slots
        self._begun = text(service.update, "State")
        self._new: dict[str, tuple[Task, float | None]] = {}
        self._failed: set[str] = set()
        self._workers: list[Process] = []
        self._busy = 0
        self._todo: list[Slot] = []

    def run(self) -> Steps:
        """The update's way, for the clockwork."""
        if self._begun in PAUSED:
            return
        self._todo = [slot for slot in self._slots if len(slot) > 1 or dirty(self.service, slot[0])]
        total = len(self._todo)
        if not total:
            if self._begun in {"updating", "rollback_started"}:
                self._complete()
            return
        if self.service.update is None:
            self._say("updating", "update in progress")
        back = self._begun == "rollback_started"
        how = sub(self.spec, "RollbackConfig" if back else "UpdateConfig")
        monitor = seconds(how, "Monitor", default=MONITOR)
        parallel = int(number(how, "Parallelism", default=0 if how else 1)) or total
        self._busy = min(parallel, total)
        for _ in range(self._busy):
            self._workers.append(self.world.clockwork.go(self._work(how)))
        while self._busy:
            yield Pause(until=lambda: not self._busy or self._trouble(how, monitor, total) is not None)
            if self._act(how, monitor, total):
                self._todo.clear()
                return
        delay = seconds(how, "Delay")
        yield from self._watch(how, delay + 1 if delay >= monitor else monitor, total)

    def cancel(self) -> None:
        """Let its workers go no further; what they began stays as it is."""
        for worker in self._workers:
            self.world.clockwork.cancel(worker)

    def _watch(self, how: Tree, monitor: float, total: int) -> Steps:
        until = clock.ticks() + monitor
        while clock.ticks() < until:
            came = yield Pause(
                seconds=until - clock.ticks(), until=lambda: self._trouble(how, monitor, total) is not None
            )
            if came and self._act(how, monitor, total):
                return
        self._complete()

    # --- failures -----------------------------------------------------------------------------------------

    def _trouble(self, how: Tree, monitor: float, total: int) -> Task | None:
        """A new task that ended within its time and is one too many; None where all is well."""
        if text(how, "FailureAction") == "continue":
            return None
        for task, since in self._new.values():
            fresh = since is None or clock.ticks() - since <= monitor
            if task.state > State.RUNNING and fresh and task.id not in self._failed:
                if (len(self._failed) + 1) / total > number(how, "MaxFailureRatio"):
                    return task
                self._failed.add(task.id)
        return None

    def _act(self, how: Tree, monitor: float, total: int) -> bool:
        task = self._trouble(how, monitor, total)
        if task is None:
            return False
        self._failed.add(task.id)
        back = self._begun == "rollback_started"
        cause = f"due to failure or early termination of task {task.id}"
        if back:
            self._say("rollback_paused", f"update paused {cause}")
        elif text(how, "FailureAction") == "rollback":
            self._roll_back(f"update rolled back {cause}")
        else:
            self._say("paused", f"update paused {cause}")
        return True

    def _roll_back(self, message: str) -> None:
        service = self.service
        if service.previous is None:
            return
        service.spec, service.spec_version = service.previous, service.previous_version
        service.previous, service.previous_version = None, 0
        self._say("rollback_started", message)

    def _say(self, state: str, message: str) -> None:
        update = dict(self.service.update or {"StartedAt": stamp()})
        self.service.update = update | {"State": state, "Message": message}
        self.world.changed(self.service)

    def _complete(self) -> None:
        if self.service.update is None:
            return
        back = text(self.service.update, "State") == "rollback_started"
        self.service.update = dict(self.service.update) | {"CompletedAt": stamp()}
        word = "rollback" if back else "update"
        self._say("rollback_completed" if back else "completed", f"{word} completed")

    # --- workers ------------------------------------------------------------------------------------------

    def _work(self, how: Tree) -> Steps:
        while self._todo:
            slot = self._todo.pop(0)
            clean = [task for task in slot if not dirty(self.service, task) and task.desired <= State.RUNNING]
            if clean:
                best = next((task for task in clean if task.desired == State.RUNNING), clean[-1])
                yield from self._keep(slot, best)
            else:
                yield from self._replace(slot, start_first=text(how, "Order") == "start-first")
            if delay := seconds(how, "Delay"):
                yield Pause(seconds=delay)
        self._busy -= 1
        self.world.clockwork.touch()

    def _keep(self, slot: Slot, task: Task) -> Steps:
        old = self._remove([each for each in slot if each is not task])
        if task.desired != State.RUNNING:
            self._tasks.start_later(task, old=old, delay=0.0)
            yield Pause(until=lambda: not self._tasks.delayed(task))

    def _replace(self, slot: Slot, *, start_first: bool) -> Steps:
        task = self._tasks.create(self.service, slot[0].slot, State.READY)
        self._new[task.id] = (task, None)
        old = None if start_first else self._remove(slot)
        self._tasks.start_later(task, old=old, delay=0.0)
        yield Pause(until=lambda: task.state >= State.RUNNING or task.gone)
        self._new[task.id] = (task, clock.ticks())
        if start_first and task.state == State.RUNNING:
            self._remove(slot)

    def _remove(self, slot: Slot) -> Task | None:
        removed = None
        for task in slot:
            if task.desired <= State.RUNNING and not task.gone:
                self._tasks.want(task, State.SHUTDOWN)
                removed = task
        return removed
