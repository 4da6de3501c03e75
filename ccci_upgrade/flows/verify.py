"""Watching the Swarm until one verdict is certain, with a deadline for every wait."""

import threading

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.model.converge import Kind, Reading, Watcher
from ccci_upgrade.model.judge import vanished
from ccci_upgrade.model.looklines import task_line
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import Evidence, State
from ccci_upgrade.tools.swarm import Swarm

POLL_SECONDS = 0.25
"""Between two looks, where no event wakes earlier; one costs about 5 ms at a local socket."""

FLOOR_SECONDS = 0.05
"""At least that much between two looks, however fast events come."""


class Watch:
    """Looks at one stack again and again. Keeps the last stack it saw, and volumes that it saw to be away."""

    def __init__(self, swarm: Swarm, watcher: Watcher, reporter: Reporter) -> None:
        """Watch what `watcher` was made for."""
        self._swarm = swarm
        self._watcher = watcher
        self._reporter = reporter
        self.last: Stack | None = None
        self.silence = ""
        self.vanished: dict[str, Evidence] = {}
        self._wake = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=swarm.tell, args=(self._wake, self._closed), daemon=True).start()

    def close(self) -> None:
        """Stop listening to events."""
        self._closed.set()

    def rest(self) -> None:
        """Wait for the next look: until something happens in the Swarm, at most `POLL_SECONDS`."""
        clock.sleep(FLOOR_SECONDS)
        self._wake.wait(POLL_SECONDS - FLOOR_SECONDS)
        self._wake.clear()

    def look(self, *, acting: bool) -> Reading | None:
        """One look; None while the Engine does not answer, which is remembered."""
        try:
            now = self._swarm.stack(self._watcher.before.name)
        except EngineError as error:
            self.silence = error.message
            self._reporter.waiting(f"the Engine does not answer: {error.message}")
            return None
        self.last = now
        # An Engine before 23 cannot tell a volume from a namesake made anew: it must be seen to be away.
        self.vanished |= {each.text: each for each in vanished(self._watcher.before, now)}
        reading = self._watcher.see(now, at=clock.ticks(), acting=acting)
        if reading.kind is Kind.WAITING:
            self._reporter.waiting(reading.waiting_for)
        return reading

    def until_certain(self, *, deadline: float, interrupts: Interrupts) -> Reading:
        """Look until the state is final or settled; raises EngineError where the Engine stayed silent.

        At the deadline, or when the person presses Ctrl-C again, what is true then is `not_converged`.
        """
        pressed = interrupts.pressed
        reading: Reading | None = None
        while True:
            reading = self.look(acting=False)
            if reading is not None and reading.kind is not Kind.WAITING:
                return reading
            stopped = interrupts.pressed > pressed
            if stopped or clock.ticks() >= deadline:
                break
            self.rest()
        if reading is None:
            raise EngineError(
                f"the Engine stayed silent: {self.silence}",
                hint="what is true of the app is unknown; `ccci-upgrade health` tells once the Engine is back",
                code="engine-gone",
            )
        why = "the wait was stopped by Ctrl-C" if stopped else "the budget is used up"
        text = f"{why} while waiting for {reading.waiting_for}"
        return Reading(
            kind=Kind.FINAL, state=State.NOT_CONVERGED, evidence=(Evidence(text=text), *self._trouble())
        )

    def _trouble(self) -> tuple[Evidence, ...]:
        """What the last look saw of tasks that did not run."""
        if self.last is None:
            return ()
        return tuple(
            task_line(service, task)
            for service in self.last.services
            for task in self.last.tasks_of(service)[-3:]
            if not task.running and (task.error or task.desired == "running")
        )
