"""One thread that runs everything that happens by itself: timers, and processes that wait for a change.

A process is a generator that yields a `Pause` and is sent True when what it waited for came true, False when
its time was up. All of them run under `lock`, which whoever changes the world from outside holds too.
"""

import contextlib
import heapq
import threading
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from ccci_upgrade import clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Pause:
    """Wait `seconds` (None: without end) or until `until` is true, whichever is first."""

    seconds: float | None = None
    until: Callable[[], bool] | None = None


LONGEST = 3600.0
"""Seconds of one sleep at most: the system takes no sleep of any length."""

Steps = Generator[Pause, bool, None]


@dataclass(order=True, slots=True)
class Timer:
    """A call that is due; `cancel` takes it back."""

    due: float
    number: int
    call: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """Let it not happen."""
        self.call = None


class Process:
    """A generator on its way."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.until: Callable[[], bool] | None = None
        self.timer: Timer | None = None
        self.done = False


class Clockwork:
    """The thread, its timers and its processes."""

    def __init__(self) -> None:
        self.lock = threading.Condition(threading.RLock())
        self.bugs: list[str] = []
        self.on_change: list[Callable[[], None]] = []
        self._timers: list[Timer] = []
        self._number = 0
        self._changed = False
        self._stopped = False
        self._waiting: list[Process] = []
        self._thread = threading.Thread(target=self._run, name="clockwork", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what was going on is left where it is."""
        with self.lock:
            self._stopped = True
            self.lock.notify_all()
        self._thread.join(timeout=10)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def touch(self) -> None:
        """Say that something changed: who waits looks again."""
        with self.lock:
            self._changed = True
            self.lock.notify_all()

    def after(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call later, under the lock."""
        with self.lock:
            self._number += 1
            timer = Timer(clock.ticks() + seconds, self._number, call)
            heapq.heappush(self._timers, timer)
            self.lock.notify_all()
            return timer

    def go(self, steps: Steps) -> Process:
        """Let a process run."""
        process = Process(steps)
        process.timer = self.after(0.0, lambda: self._step(process, came=False))
        return process

    def cancel(self, process: Process) -> None:
        """End a process where it waits; its `finally` runs."""
        process.done = True
        self._forget(process)
        with contextlib.suppress(ValueError):  # it cancels itself
            process.steps.close()

    def wait_for(self, true: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait, from another thread that holds the lock, until something is true or the clockwork ends."""
        self.lock.wait_for(lambda: true() or self._stopped, seconds)
        return true()

    def _run(self) -> None:
        with self.lock:
            while not self._stopped:
                if self._due():
                    continue
                if self._changed:
                    self._changed = False
                    self._look()
                    continue
                left = min(self._timers[0].due - clock.ticks(), LONGEST) if self._timers else None
                self.lock.wait(left)

    def _due(self) -> bool:
        if not self._timers or self._timers[0].due > clock.ticks():
            return False
        call = heapq.heappop(self._timers).call
        if call is not None:
            self._guarded(call)
        return True

    def _look(self) -> None:
        for process in list(self._waiting):
            if not process.done and process.until is not None and process.until():
                self._step(process, came=True)
        for call in self.on_change:
            self._guarded(call)

    def _step(self, process: Process, *, came: bool) -> None:
        self._forget(process)
        if not process.done:
            self._guarded(lambda: self._advance(process, came=came))

    def _advance(self, process: Process, *, came: bool) -> None:
        answer = came
        while True:
            try:
                pause = process.steps.send(answer) if process.until is not None else next(process.steps)
            except StopIteration:
                process.done = True
                return
            process.until = pause.until or _never
            if process.until():
                answer = True
                continue
            self._waiting.append(process)
            if pause.seconds is not None:
                process.timer = self.after(pause.seconds, lambda: self._step(process, came=False))
            return

    def _forget(self, process: Process) -> None:
        if process.timer is not None:
            process.timer.cancel()
            process.timer = None
        with contextlib.suppress(ValueError):
            self._waiting.remove(process)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # noqa: BLE001 - one app's bug must not stop the whole practice host; it is told
            self.bugs.append(traceback.format_exc(limit=-3))


def _never() -> bool:
    return False
