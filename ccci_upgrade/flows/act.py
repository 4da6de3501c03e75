"""One upgrade of one app, after every gate: pull → act → verify → pin, journaled, to one verdict."""

import getpass
import os
import secrets
import signal
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, EngineError, Exit, LockedError, NotReadyError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.lease import Lease
from ccci_upgrade.flows.look import probes_of
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.steps import Progress, Step, walk
from ccci_upgrade.flows.verify import Watch
from ccci_upgrade.model.converge import Kind, Reading, Watcher
from ccci_upgrade.model.envfile import pin_version
from ccci_upgrade.model.facts import Facts, ImagePlace
from ccci_upgrade.model.goal import Goal, Wanted
from ccci_upgrade.model.judge import judge
from ccci_upgrade.model.next_steps import next_steps
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.probe import Difference, differences
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.verdict import OUTCOME_EXIT, TABLE, Evidence, Outcome, State, Verdict
from ccci_upgrade.process import this_host
from ccci_upgrade.redact import Masker, secret_values
from ccci_upgrade.store.journal import Journal
from ccci_upgrade.text import tame
from ccci_upgrade.tools.abra import Act, ActResult
from ccci_upgrade.tools.apps import read_env_text, write_pin
from ccci_upgrade.tools.images import pull
from ccci_upgrade.tools.web import wait_probes

VERIFY_GRACE = 15.0
"""Seconds that verifying gets at least, when abra itself has used up the budget."""

UNCHANGED_GRACE = 1.0
"""Seconds after abra's end before "nothing changed" is believed: the Engine may still be writing."""

FAILURE_LOG_LINES = 20


class InterruptedRunError(CcciError):
    """Ctrl-C before anything was changed."""

    exit = Exit.INTERRUPTED
    code = "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Acted:
    """How the act went: Engine time and our ticks when it began, and how abra ended."""

    began: float
    result: ActResult


def new_run(host: Host, plan: Plan, *, outcome: Outcome | None = None, command: str = "upgrade") -> Run:
    """A run's record before anything of it happened; with an outcome it ended there."""
    now = clock.now()
    slug = "".join(c if c.isalnum() else "-" for c in plan.app)[:40]
    return Run(
        run_id=f"{now:%Y%m%dT%H%M%S}-{slug}-{secrets.token_hex(2)}",
        command=command,
        app=plan.app,
        recipe=plan.recipe,
        server=plan.server,
        cluster=host.cluster.id,
        from_version=plan.from_version,
        to_version=plan.to_version or plan.from_version or "unknown",
        started=clock.stamp(now),
        finished=clock.stamp(now) if outcome else None,
        operator=os.environ.get("SUDO_USER") or getpass.getuser(),
        host=this_host(),
        pid=os.getpid(),
        outcome=outcome,
        holds=plan.holds,
        acknowledged=tuple(sorted(plan.acknowledged)),
    )


class UpgradeRun:
    """The acting half of `upgrade` for one app. `run` is the only public method; use it once."""

    def __init__(
        self,
        host: Host,
        facts: Facts,
        plan: Plan,
        *,
        lease: Lease,
        lock: int,
        reporter: Reporter,
        interrupts: Interrupts,
    ) -> None:
        """Take a plan that nothing holds any more; `lock` is the descriptor of `ABRA_DIR`'s lock.

        `lease` is held already, and proved anew before everything that changes something.
        `interrupts` is entered already, so that no press falls between two runs.
        """
        self._host = host
        self._facts = facts
        self._plan = plan
        self._lease = lease
        self._lock = lock
        self._reporter = reporter
        self._interrupts = interrupts
        self._masker = Masker([*secret_values(facts.app.env.values.items()), *_token(facts.app.token_file)])
        self._record = new_run(host, plan)
        self._folder = Path()
        self._acted: Acted | None = None
        self._watch: Watch | None = None
        self._verdict: Verdict | None = None
        self._notices: list[str] = []
        self._stop = threading.Event()
        self._worse: tuple[Difference, ...] = ()

    def run(self) -> Run:
        """Walk the steps, reach a verdict, record it. Raises only where the journal cannot be opened."""
        journal = Journal(self._host.config.state_dir, self._host.cluster.id)
        self._folder = journal.open(self._record)
        steps = (
            Step(id="pull", title="pull images", act=self._pull),
            Step(id="act", title=f"abra app upgrade to {self._record.to_version}", act=self._act),
            Step(
                id="verify",
                title="watch the Swarm",
                act=self._verify,
                probe=self._unacted,
                always=True,
                unguarded=True,
            ),
            Step(id="pin", title="pin the version in `.env`", act=self._pin, probe=self._pinned, always=True),
        )
        walked = walk(
            steps, run=self._record, journal=journal, reporter=self._reporter, guard=self._lease.renew
        )
        if self._watch is not None:
            self._watch.close()
        done = self._close(walked.error)
        done = replace(done, phases=walked.phases)
        try:
            journal.close(done)
        except CcciError as error:
            self._reporter.note(error.message)
        self._reporter.verdict(done)
        return done

    # -- the steps ---------------------------------------------------------------------------------------

    def _pull(self) -> str:
        wanted = [fact.image for fact in self._facts.images if fact.place is not ImagePlace.LOCAL]
        for image in wanted:
            self._reporter.waiting(f"image {image}")
            pull(self._host.swarm.engine, image, cancelled=lambda: self._interrupts.pressed > 0)
            self._stop_if_pressed()
        self._stop_if_pressed()
        return f"{len(wanted)} pulled, {len(self._facts.images) - len(wanted)} were here already"

    def _act(self) -> str:
        app = self._facts.app
        goal = _goal(self._facts, self._plan, acted=self._host.swarm.engine_time())
        self._watch = Watch(self._host.swarm, Watcher(before=self._facts.stack, goal=goal), self._reporter)
        arguments = self._host.abra.upgrade_argv(app.name, self._record.to_version)
        self._reporter.command(("abra", *arguments))
        self._stop_if_pressed()
        self._lease.renew()  # as late as can be: the process may have slept since the step began
        began = clock.ticks()
        act = self._host.abra.act(
            arguments,
            lock=self._lock,
            show=self._reporter.output,
            log=self._folder / "abra.log",
            masker=self._masker,
        )
        self._acted = Acted(
            began=began, result=self._let_it_act(act, self._watch, deadline=began + app.budget)
        )
        return _how_it_ended(self._acted.result)

    def _let_it_act(self, act: Act, watch: Watch, *, deadline: float) -> ActResult:
        self._interrupts.on_press = lambda: self._reporter.note(
            f"{act.press()} sent to abra; its result is judged"
        )
        if self._interrupts.pressed:
            self._interrupts.on_press()  # pressed between abra's start and now
        timed_out = False
        try:
            while act.running():
                watch.look(acting=True)
                if self._lease.lost:
                    self._notices.append("the lease was lost while abra was at work; abra was ended")
                    act.end()
                    break
                if clock.ticks() >= deadline:
                    timed_out = True
                    act.end()
                    break
                watch.rest()
        finally:
            self._interrupts.on_press = None
        return act.result(timed_out=timed_out)

    def _verify(self) -> str:
        if self._acted is None or self._watch is None:
            raise NotReadyError("there is nothing to verify")
        deadline = max(self._acted.began + self._facts.app.budget, clock.ticks() + VERIFY_GRACE)
        self._interrupts.on_press = self._stop_waiting
        try:
            reading = self._certain(self._watch, deadline)
            self._probe(reading, deadline)
        finally:
            self._interrupts.on_press = None
        self._verdict = self._judged(self._watch, reading)
        return self._verdict.state.value

    def _stop_waiting(self) -> None:
        self._stop.set()
        self._reporter.note("no longer waiting; judging what is true now")

    def _certain(self, watch: Watch, deadline: float) -> Reading:
        reading = watch.until_certain(deadline=deadline, interrupts=self._interrupts)
        if reading.state is State.UNCHANGED:
            clock.sleep(UNCHANGED_GRACE)
            reading = watch.until_certain(deadline=deadline, interrupts=self._interrupts)
        return reading

    def _probe(self, reading: Reading, deadline: float) -> None:
        if reading.kind is not Kind.SETTLED:
            return
        self._reporter.waiting("probes")
        probes = probes_of(self._host, self._facts.app, earlier=self._facts.probes)
        # Routes of a stack that left the Swarm meanwhile (a test stack of a build) are nobody's loss.
        gone = {p.name for p in self._facts.probes} - {p.name for p in probes}
        before = self._facts.before
        after = wait_probes(
            probes, before, deadline=deadline, cancelled=self._stop, gone=gone, door=self._host.door
        )
        self._worse = differences(before, after, gone=gone)

    def _judged(self, watch: Watch, reading: Reading) -> Verdict:
        """Look once more after the probes: what is true last counts."""
        if reading.kind is Kind.SETTLED:
            again = watch.look(acting=False)
            if again is not None and again.kind is Kind.FINAL:
                reading = again
        verdict = judge(
            reading,
            before=self._facts.stack,
            now=watch.last or self._facts.stack,
            differences=self._worse,
            acknowledged=self._plan.acknowledged,
        )
        return replace(verdict, evidence=(*verdict.evidence, *self._abras_part(verdict.state)))

    def _pin(self) -> str:
        app, version = self._facts.app, self._record.to_version
        text = read_env_text(app.path)
        write_pin(app.path, text, pin_version(text, version))
        notice = (
            f"abra did not write the version into `{app.path.name}`; its TYPE/RECIPE line now says {version}"
        )
        self._notices.append(notice)
        self._reporter.note(notice)
        return notice

    # -- probes of steps ---------------------------------------------------------------------------------

    def _unacted(self) -> Progress:
        return Progress.DONE if self._acted is None else Progress.OPEN

    def _pinned(self) -> Progress:
        """Nothing to pin before a good verdict, or where abra wrote the version itself."""
        if self._verdict is None or self._verdict.state is not State.CONVERGED:
            return Progress.DONE
        try:
            text = read_env_text(self._facts.app.path)
            same = pin_version(text, self._record.to_version) == text
        except (CcciError, ValueError):
            return Progress.UNKNOWN
        return Progress.DONE if same else Progress.OPEN

    # -- the end -----------------------------------------------------------------------------------------

    def _close(self, error: CcciError | None) -> Run:
        if self._verdict is not None:
            outcome, _ = TABLE[self._verdict.state]
        elif self._acted is not None:
            outcome = Outcome.FAILED  # something was done and nobody could look: needs hands
        elif isinstance(error, LockedError):
            outcome = Outcome.LOCKED
        elif isinstance(error, InterruptedRunError):
            outcome = Outcome.INTERRUPTED
        else:
            outcome = Outcome.NOT_READY
        if error is not None:
            self._notices.append(error.message)
        good = outcome is Outcome.UPGRADED
        return replace(
            self._record,
            finished=clock.stamp(clock.now()),
            outcome=outcome,
            verdict=self._verdict,
            notices=tuple(self._notices),
            next_steps=() if good else self._next(outcome),
            logs=() if good else self._failure_logs(),
        )

    def _next(self, outcome: Outcome) -> tuple[str, ...]:
        output = self._acted.result.output if self._acted else None
        return next_steps(
            outcome,
            self._verdict,
            app=self._facts.app,
            was=self._record.from_version,
            to=self._record.to_version,
            log=str(output) if output else "",
        )

    def _failure_logs(self) -> tuple[str, ...]:
        """The last lines of the tasks that failed since the act, at most two tasks of each service."""
        if self._watch is None or self._watch.last is None or self._acted is None:
            return ()
        lines: list[str] = []
        old = {task.id for task in self._facts.stack.tasks}
        for service in self._watch.last.services:
            tasks = [t for t in self._watch.last.tasks_of(service) if t.id not in old and not t.running]
            for task in tasks[-2:]:
                try:
                    printed = self._host.swarm.logs(task, tail=FAILURE_LOG_LINES)
                except EngineError:
                    continue
                text = self._masker.mask("\n".join(printed).encode()).decode()
                lines += [f"{service.name} {task.id[:12]} | {line}" for line in text.splitlines()]
        return tuple(lines)

    def _abras_part(self, state: State) -> tuple[Evidence, ...]:
        result = self._acted.result if self._acted else None
        if result is None:
            return ()
        lines = [Evidence(text=_how_it_ended(result))]
        if state is not State.CONVERGED:
            lines += [Evidence(text=f"abra: {tame(line)}") for line in result.tail[-5:]]
        return tuple(lines)

    def _stop_if_pressed(self) -> None:
        if self._interrupts.pressed:
            raise InterruptedRunError("interrupted; nothing was changed")


def exit_of(run: Run) -> Exit:
    """The exit code of a run: its verdict's, else its outcome's."""
    if run.verdict is not None:
        return TABLE[run.verdict.state][1]
    return OUTCOME_EXIT[run.outcome] if run.outcome else Exit.FAILED


def _goal(facts: Facts, plan: Plan, *, acted: datetime) -> Goal:
    services = {}
    for service in facts.new.services if facts.new else ():
        replicas = None if service.mode == "global" else (1 if service.replicas is None else service.replicas)
        label = service.labels.get(f"coop-cloud.{facts.app.stack}.version", "")
        services[service.name] = Wanted(image=service.image, replicas=replicas, version_label=label)
    return Goal(
        version=plan.to_version or "",
        was=facts.deployed_text,
        services=services,
        acted=acted,
        settle=facts.app.settle,
        holds_data=facts.holds_data,
    )


def _how_it_ended(result: ActResult) -> str:
    if result.timed_out:
        return f"abra was ended with the budget after {result.seconds:.0f} s"
    if result.code < 0:
        return f"abra was killed by {signal.Signals(-result.code).name} after {result.seconds:.1f} s"
    return f"abra exited {result.code} after {result.seconds:.1f} s"


def _token(path: str) -> list[str]:
    try:
        return [Path(path).read_text(encoding="utf-8").strip()] if path else []
    except (OSError, UnicodeDecodeError):
        return []
