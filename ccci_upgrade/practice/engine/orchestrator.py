"""The tasks of services: made, restarted, forgotten.

As swarmkit's orchestrator, restart supervisor and task reaper do (moby/swarmkit, `manager/orchestrator`).
"""

from ccci_upgrade import clock
from ccci_upgrade.practice.engine.agent import Agent
from ccci_upgrade.practice.engine.clockwork import Pause, Process, Steps, Timer
from ccci_upgrade.practice.engine.things import Service, State, Task
from ccci_upgrade.practice.engine.tree import copied, number, pruned, seconds, sub, text
from ccci_upgrade.practice.engine.world import World, new_id, stamp

HISTORY = 5
"""Tasks kept of one slot, the living ones among them."""

REAP = 0.25
OLD_TASK = 60.0
"""Seconds a new task waits for the old one to end before it starts anyway."""

Slot = list[Task]


class Tasks:
    """Creates, restarts and forgets tasks."""

    def __init__(self, world: World, agent: Agent) -> None:
        self.world = world
        self._agent = agent
        self._delays: dict[str, Process] = {}
        self._restarts: dict[tuple[str, int], tuple[int, list[float]]] = {}
        self._reaper: Timer | None = None

    def create(self, service: Service, slot: int, desired: State = State.RUNNING) -> Task:
        """A new task of the service's spec of now."""
        now = stamp()
        template = copied(sub(service.spec, "TaskTemplate"))
        template.pop("Runtime", None)
        task = Task(
            id=new_id(),
            service_id=service.id,
            slot=slot,
            spec=template,
            endpoint=copied(sub(service.spec, "EndpointSpec")),
            spec_version=service.spec_version,
            index=self.world.next_index(),
            created=now,
            updated=now,
            stamp=now,
            ticks=clock.ticks(),
            labels={},
            desired=desired,
        )
        self.world.tasks[task.id] = task
        self.world.clockwork.go(self._agent.life(task))
        self.reap_soon()
        return task

    def want(self, task: Task, desired: State) -> None:
        """Move the desired state on; it never goes back."""
        if desired > task.desired:
            task.desired = desired
            task.index = self.world.next_index()
            task.updated = stamp()
            self.world.clockwork.touch()
            self.reap_soon()

    def forget(self, task: Task) -> None:
        """Delete a task from the store; the node then takes its container away."""
        if self.world.tasks.pop(task.id, None) is not None:
            task.gone = True
            self.world.clockwork.touch()

    def start_later(self, task: Task, *, old: Task | None, delay: float) -> None:
        """Let a prepared task run after `delay` and once the old one has ended."""
        self._delays[task.id] = self.world.clockwork.go(self._delayed(task, old, delay))

    def delayed(self, task: Task) -> bool:
        """Whether a task still waits to be let run."""
        return task.id in self._delays

    def _delayed(self, task: Task, old: Task | None, delay: float) -> Steps:
        if delay:
            yield Pause(seconds=delay)
        if old is not None:
            yield Pause(seconds=OLD_TASK, until=lambda: _over(old))
        self._delays.pop(task.id, None)
        self.want(task, State.RUNNING)
        self.world.clockwork.touch()

    # --- restarts -----------------------------------------------------------------------------------------

    def restart_ended(self) -> None:
        """Replace every task that ended by itself."""
        for task in list(self.world.tasks.values()):
            service = self.world.services.get(task.service_id)
            ended = task.state > State.RUNNING and task.desired <= State.RUNNING
            if service is not None and ended and not self.delayed(task):
                self._restart(service, task)
            if task.desired == State.REMOVE and task.state > State.RUNNING:
                self.reap_soon()

    def _restart(self, service: Service, task: Task) -> None:
        self.want(task, State.SHUTDOWN)
        if not self.restartable(task):
            return
        new = self.create(service, task.slot, State.READY)
        if number(new.spec, "RestartPolicy", "MaxAttempts"):
            key = (task.service_id, task.slot)
            version, times = self._restarts.get(key, (-1, []))
            kept = times if version == new.spec_version else []
            self._restarts[key] = (new.spec_version, [*kept, new.ticks])
        given = sub(task.spec, "RestartPolicy")
        delay = seconds(given, "Delay") if "Delay" in given else 5.0
        self.start_later(new, old=None, delay=delay)

    def restartable(self, task: Task) -> bool:
        """Whether the restart policy of a task wants another one after it."""
        policy = sub(task.spec, "RestartPolicy")
        condition = text(policy, "Condition") or "any"
        if condition == "none" or (condition == "on-failure" and task.state == State.COMPLETE):
            return False
        most = number(policy, "MaxAttempts")
        version, times = self._restarts.get((task.service_id, task.slot), (-1, []))
        if not most or version != task.spec_version:
            return True
        if window := seconds(policy, "Window"):
            times = [each for each in times if each > clock.ticks() - window]
        return len(times) < most

    # --- the reaper ---------------------------------------------------------------------------------------

    def reap_soon(self) -> None:
        """Look in a moment what history is too long."""
        if self._reaper is None:
            self._reaper = self.world.clockwork.after(REAP, self._reap)

    def _reap(self) -> None:
        self._reaper = None
        slots: dict[tuple[str, int], Slot] = {}
        for task in list(self.world.tasks.values()):
            ended = task.state < State.ASSIGNED or task.state >= State.COMPLETE
            if task.desired == State.REMOVE:
                if ended:
                    self.forget(task)
                continue
            slots.setdefault((task.service_id, task.slot), []).append(task)
        for tasks in slots.values():
            self._shorten(tasks)

    def _shorten(self, tasks: Slot) -> None:
        most = int(number(tasks[0].spec, "RestartPolicy", "MaxAttempts")) + 1
        kept = most if most > 1 else HISTORY
        over = len(tasks) - kept
        for task in tasks[: max(0, over)]:
            never = task.state < State.ASSIGNED and task.desired > State.RUNNING
            if task.state > State.RUNNING or never:
                self.forget(task)


def _over(task: Task) -> bool:
    """Whether a task that was told to go needs no waiting for; one that waits for a port is waited for."""
    # swarmkit waits for one on its way to a node too, but there that way takes no time to speak of.
    never = task.state < State.ASSIGNED and not task.err
    return task.gone or task.state > State.RUNNING or never


def dirty(service: Service, task: Task) -> bool:
    """Whether a task has to be replaced for the service's spec of now."""
    if task.spec_version == service.spec_version:
        return False
    template = {key: each for key, each in sub(service.spec, "TaskTemplate").items() if key != "Runtime"}
    return pruned(template) != pruned(task.spec) or pruned(sub(service.spec, "EndpointSpec")) != pruned(
        task.endpoint
    )


def wanted_slots(service: Service) -> int:
    """How many tasks a service wants; a global one wants one, for there is one node."""
    mode = sub(service.spec, "Mode")
    if "Replicated" not in mode:
        return 1 if "Global" in mode else int(number(mode, "ReplicatedJob", "TotalCompletions", default=1))
    return max(0, int(number(mode, "Replicated", "Replicas", default=1)))
