"""abra let act on one app, the Swarm watched until one verdict is certain, the version pinned: three steps.

An upgrade and the way back are the same three: only the command, the goal and what is compared differ.
"""

import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, EngineError, NotReadyError
from ccci_upgrade.flows.ground import Ground
from ccci_upgrade.flows.look import probes_of
from ccci_upgrade.flows.saving import Baseline
from ccci_upgrade.flows.steps import Progress, Step
from ccci_upgrade.flows.verify import Watch
from ccci_upgrade.model.converge import Kind, Reading, Watcher
from ccci_upgrade.model.envfile import pin_version
from ccci_upgrade.model.goal import Goal
from ccci_upgrade.model.judge import judge
from ccci_upgrade.model.probe import Difference, differences
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import Evidence, State, Verdict
from ccci_upgrade.text import tame
from ccci_upgrade.tools.abra import Act, ActResult
from ccci_upgrade.tools.apps import read_env_text, write_pin
from ccci_upgrade.tools.web import wait_probes

VERIFY_GRACE = 15.0
"""Seconds that verifying gets at least, when abra itself has used up the budget."""

UNCHANGED_GRACE = 1.0
"""Seconds after abra's end before "nothing changed" is believed: the Engine may still be writing."""

FAILURE_LOG_LINES = 20

ACT, VERIFY, PIN = "act", "verify", "pin"
"""Ids of the steps; `Task.prefix` stands before them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What abra is to do, and how its result is told from a bad one.

    `there` says of a stack that an act which nobody saw the end of has led there: then it is only judged.
    `before` gives the stack that the watch compares with, asked at the last moment; `goal` is made with the
    Engine's time of the act; `detached` names data that came off. `prefix` tells two acts of one run apart.
    """

    title: str
    argv: Callable[[], tuple[str, ...]]
    version: str
    before: Callable[[], Stack]
    goal: Callable[[datetime], Goal]
    detached: Callable[[Stack], Iterable[Evidence]]
    baseline: Baseline
    prefix: str = ""
    stoppable: bool = True
    there: Callable[[Stack], bool] = lambda _stack: False


@dataclass(frozen=True, kw_only=True, slots=True)
class Acted:
    """How the act went: our ticks when it began, and how abra ended; None where another process let it act."""

    began: float
    result: ActResult | None


class Acting:
    """One act of abra and its judgement. `verdict` is there once the Swarm could be judged."""

    def __init__(self, ground: Ground, task: Task) -> None:
        """Nothing is done yet."""
        self.verdict: Verdict | None = None
        self.acted: Acted | None = None
        self.notices: list[str] = []
        self._ground = ground
        self._task = task
        self._watch: Watch | None = None
        self._before: Stack | None = None
        self._stop = threading.Event()
        self._worse: tuple[Difference, ...] = ()

    def steps(self) -> tuple[Step, ...]:
        """Act, verify, pin; a verdict is reached in any case once abra was started."""
        task = self._task
        return (
            Step(id=task.prefix + ACT, title=task.title, act=self._act),
            Step(
                id=task.prefix + VERIFY,
                title="watch the Swarm",
                act=self._verify,
                probe=self._unacted,
                always=True,
                unguarded=True,
            ),
            Step(
                id=task.prefix + PIN,
                title="pin the version in `.env`",
                act=self._pin,
                probe=self._pinned,
                always=True,
            ),
        )

    def close(self) -> None:
        """Stop listening to the Swarm."""
        if self._watch is not None:
            self._watch.close()

    @property
    def log(self) -> str:
        """Where all that abra printed is; empty where it was not started."""
        result = self.acted.result if self.acted else None
        output = result.output if result else None
        return str(output) if output else ""

    def failure_logs(self) -> tuple[str, ...]:
        """The last lines of the tasks that failed since the act, at most two tasks of each service."""
        if self._watch is None or self._watch.last is None or self.acted is None or self._before is None:
            return ()
        lines: list[str] = []
        old = {task.id for task in self._before.tasks}
        for service in self._watch.last.services:
            tasks = [t for t in self._watch.last.tasks_of(service) if t.id not in old and not t.running]
            for task in tasks[-2:]:
                try:
                    printed = self._ground.host.swarm.logs(task, tail=FAILURE_LOG_LINES)
                except EngineError:
                    continue
                text = self._ground.masker.mask("\n".join(printed).encode()).decode()
                lines += [f"{service.name} {task.id[:12]} | {line}" for line in text.splitlines()]
        return tuple(lines)

    # -- the steps ---------------------------------------------------------------------------------------

    def _act(self) -> str:
        ground, task, host = self._ground, self._task, self._ground.host
        self._before = task.before()
        goal = task.goal(host.swarm.engine_time())
        self._watch = Watch(host.swarm, Watcher(before=self._before, goal=goal), ground.reporter)
        if task.there(self._before):
            self.acted = Acted(began=clock.ticks(), result=None)
            return "abra had done it already"
        arguments = task.argv()
        ground.reporter.command(("abra", *arguments))
        self._stop_if_pressed()
        ground.held.lease.renew()  # as late as can be: the process may have slept since the step began
        began = clock.ticks()
        act = host.abra.act(
            arguments,
            lock=ground.held.lock,
            show=ground.reporter.output,
            log=ground.folder / f"{task.prefix}abra.log",
            masker=ground.masker,
        )
        result = self._let_it_act(act, self._watch, deadline=began + ground.app.budget)
        self.acted = Acted(began=began, result=result)
        return how_it_ended(result)

    def _let_it_act(self, act: Act, watch: Watch, *, deadline: float) -> ActResult:
        interrupts = self._ground.held.interrupts
        interrupts.on_press = lambda: self._ground.reporter.note(
            f"{act.press()} sent to abra; its result is judged"
        )
        if self._ground.interrupted and self._task.stoppable:
            interrupts.on_press()  # pressed between abra's start and now
        timed_out = False
        try:
            while act.running():
                watch.look(acting=True)
                if self._ground.held.lease.lost:
                    self.notices.append("the lease was lost while abra was at work; abra was ended")
                    act.end()
                    break
                if clock.ticks() >= deadline:
                    timed_out = True
                    act.end()
                    break
                watch.rest()
        finally:
            interrupts.on_press = None
        return act.result(timed_out=timed_out)

    def _verify(self) -> str:
        if self.acted is None or self._watch is None:
            raise NotReadyError("there is nothing to verify")
        deadline = max(self.acted.began + self._ground.app.budget, clock.ticks() + VERIFY_GRACE)
        interrupts = self._ground.held.interrupts
        interrupts.on_press = self._stop_waiting
        try:
            reading = self._certain(self._watch, deadline)
            self._probe(reading, deadline)
        finally:
            interrupts.on_press = None
        self.verdict = self._judged(self._watch, reading)
        return self.verdict.state.value

    def _stop_waiting(self) -> None:
        self._stop.set()
        self._ground.reporter.note("no longer waiting; judging what is true now")

    def _certain(self, watch: Watch, deadline: float) -> Reading:
        interrupts = self._ground.held.interrupts
        reading = watch.until_certain(deadline=deadline, interrupts=interrupts)
        if reading.state is State.UNCHANGED:
            clock.sleep(UNCHANGED_GRACE)
            reading = watch.until_certain(deadline=deadline, interrupts=interrupts)
        return reading

    def _probe(self, reading: Reading, deadline: float) -> None:
        if reading.kind is not Kind.SETTLED:
            return
        if self._task.baseline.sick and not self._task.baseline.before:
            return  # somebody accepted that it was not healthy, and nobody knows any more how
        self._ground.reporter.waiting("probes")
        earlier, before = self._task.baseline.probes, self._task.baseline.before
        probes = probes_of(self._ground.host, self._ground.app, earlier=earlier)
        # Routes of a stack that left the Swarm meanwhile (a test stack of a build) are nobody's loss.
        gone = {p.name for p in earlier} - {p.name for p in probes}
        after = wait_probes(
            probes,
            before,
            deadline=deadline,
            cancelled=self._stop,
            gone=gone,
            door=self._ground.host.door,
        )
        self._worse = differences(before, after, gone=gone)

    def _judged(self, watch: Watch, reading: Reading) -> Verdict:
        """Look once more after the probes: what is true last counts."""
        if reading.kind is Kind.SETTLED:
            again = watch.look(acting=False)
            if again is not None and again.kind is Kind.FINAL:
                reading = again
        detached = tuple(self._task.detached(watch.last)) if watch.last else ()
        detached += tuple(watch.vanished.values())
        verdict = judge(reading, detached=detached, differences=self._worse)
        return replace(verdict, evidence=(*verdict.evidence, *self._abras_part(verdict.state)))

    def _pin(self) -> str:
        notice = pin(self._ground, self._task.version)
        self.notices.append(notice)
        return notice

    # -- probes of steps ---------------------------------------------------------------------------------

    def _unacted(self) -> Progress:
        return Progress.DONE if self.acted is None else Progress.OPEN

    def _pinned(self) -> Progress:
        """Nothing to pin before a good verdict, or where abra wrote the version itself."""
        if self.verdict is None or self.verdict.state is not State.CONVERGED:
            return Progress.DONE
        return pinned(self._ground, self._task.version)

    # -- parts of them -----------------------------------------------------------------------------------

    def _abras_part(self, state: State) -> tuple[Evidence, ...]:
        result = self.acted.result if self.acted else None
        if result is None:
            return ()
        lines = [Evidence(text=how_it_ended(result))]
        if state is not State.CONVERGED:
            lines += [Evidence(text=f"abra: {tame(line)}") for line in result.tail[-5:]]
        return tuple(lines)

    def _stop_if_pressed(self) -> None:
        if self._task.stoppable:
            self._ground.stop_if_pressed()


def pin(ground: Ground, version: str) -> str:
    """Write a version into the app's `.env`, and say so."""
    path = ground.app.path
    text = read_env_text(path)
    write_pin(path, text, pin_version(text, version))
    notice = f"abra did not write the version into `{path.name}`; its TYPE/RECIPE line now says {version}"
    ground.reporter.note(notice)
    return notice


def pinned(ground: Ground, version: str) -> Progress:
    """Whether the `.env` says that version."""
    try:
        text = read_env_text(ground.app.path)
        same = pin_version(text, version) == text
    except (CcciError, ValueError):
        return Progress.UNKNOWN
    return Progress.DONE if same else Progress.OPEN


def how_it_ended(result: ActResult) -> str:
    """An abra's end in words."""
    if result.timed_out:
        return f"abra was ended with the budget after {result.seconds:.0f} s"
    if result.code < 0:
        return f"abra was killed by {signal.Signals(-result.code).name} after {result.seconds:.1f} s"
    return f"abra exited {result.code} after {result.seconds:.1f} s"
