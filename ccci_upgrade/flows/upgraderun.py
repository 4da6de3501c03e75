"""One upgrade of one app, after every gate, top-down: pull → protect → act → verify → pin → (undo) → record."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, ForeignChangeError, LockedError
from ccci_upgrade.flows.acting import Acting, Task
from ccci_upgrade.flows.goals import goal_of, reached
from ccci_upgrade.flows.ground import (
    Ground,
    Held,
    InterruptedRunError,
    new_run,
    new_snapshot_id,
    open_ground,
)
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.keeping import (
    image_ids,
    keep_images,
    remember_good,
    remembered,
    remembered_seconds,
)
from ccci_upgrade.flows.keptsecrets import Recipients
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.pulling import pull_images
from ccci_upgrade.flows.quiesce import Quiesced, as_noted
from ccci_upgrade.flows.saving import BACK, SICK, Baseline, Saving, bring_back
from ccci_upgrade.flows.secondcopy import CopyInterruptedError, second_copies, wanted
from ccci_upgrade.flows.steps import Progress, Step, Walked
from ccci_upgrade.flows.undoing import Undoing, Way, backward
from ccci_upgrade.model.card import Card
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.judge import detached_volumes, not_mounted
from ccci_upgrade.model.next_steps import next_steps
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.protection import Protect
from ccci_upgrade.model.run import UNDO, Run
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import TABLE, UNDOABLE, Evidence, Outcome, State
from ccci_upgrade.store.snapshots import Kept

OnFailure = Literal["rollback", "leave"]
"""What to do after a bad verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """What a person decides: for whom secrets are kept, and what is done after a bad verdict.

    That is what was said on the command line, else `ask`, else the rule.

    `ask` is None where nobody can be asked; then it is undone where this run has a verified snapshot.
    """

    said: OnFailure | None = None
    ask: Callable[[Card], bool] | None = None
    secrets_for: Recipients | None = None

    @property
    def asking(self) -> bool:
        """Whether a person is asked."""
        return self.said is None and self.ask is not None

    def undo(self, card: Card) -> bool:
        """Whether to go back."""
        if self.said is not None:
            return self.said == "rollback"
        return self.ask(card) if self.ask is not None else card.snapshot is not None


def run_upgrade(
    host: Host, facts: Facts, plan: Plan, *, held: Held, reporter: Reporter, choice: Choice
) -> Run:
    """Take a plan that nothing holds any more to its recorded end. Raises only where the journal cannot open."""
    snapshot = new_snapshot_id() if plan.protect is not Protect.NOTHING else None
    record = replace(new_run(host, plan), snapshot=snapshot)
    ground = open_ground(host, facts.app, record, held=held, reporter=reporter)
    sick = SICK in plan.acknowledged
    baseline = Baseline(probes=facts.probes, before=facts.before, sick=sick)
    return _UpgradeRun(ground, facts, plan, choice, baseline, plan.protect).run()


def resume_upgrade(ground: Ground, facts: Facts, plan: Plan, *, choice: Choice, noted: str) -> Run:
    """Take an upgrade that another process began up where abra was to act: let it act where it did not, and judge.

    `facts.old` are the files of the version it came from; `noted` its replicas before it was stopped.
    """
    baseline = Baseline(probes=facts.probes, sick=SICK in plan.acknowledged)
    return _UpgradeRun(ground, facts, plan, choice, baseline, noted=noted).run()


class _UpgradeRun:
    def __init__(  # noqa: PLR0917 - what one upgrade is made of
        self,
        ground: Ground,
        facts: Facts,
        plan: Plan,
        choice: Choice,
        baseline: Baseline,
        protect: Protect = Protect.NOTHING,
        noted: str | None = None,
    ) -> None:
        self._ground = ground
        self._facts = facts
        self._plan = plan
        self._choice = choice
        self._baseline = baseline
        self._noted = noted
        self._saving = self._new_saving(protect)
        self._acting = Acting(ground, self._forward())
        self._undoing: Undoing | None = None
        self._ids: dict[str, str] = {}
        self._spoiled = ""

    def run(self) -> Run:
        try:
            walked = self._ground.walk(self._steps())
            self._spoil(walked.error)
            undone = self._undone()
        except BaseException:  # a bug of ours must not leave the app down
            self._put_back()
            raise
        finally:
            self._acting.close()
        done = self._closed(walked, undone)
        self._ground.close(done)
        self._ground.reporter.verdict(done)
        return done

    def _steps(self) -> tuple[Step, ...]:
        saving = self._saving
        act, verify, pin = self._acting.steps()
        new = Step(
            id="remember-new",
            title="remember what is good",
            act=self._remember_new,
            probe=self._not_good,
            unguarded=True,
        )
        if self._noted is not None:
            return (act, verify, self._revive(self._noted), pin, new)
        return (
            Step(id="pull", title="pull images", act=lambda: pull_images(self._ground, self._facts.images)),
            Step(id="images", title="keep the old images", act=self._keep_images),
            *self._second_copies(),
            *(saving.steps() if saving else ()),
            Step(id="remember", title="remember what is good", act=self._remember_old, probe=self._unsure),
            Step(id="card", title="what it takes to go back", act=self._show_card),
            act,
            verify,
            *((replace(saving.back(), probe=self._stays_down),) if saving else ()),
            pin,
            new,
        )

    def _revive(self, noted: str) -> Step:
        """The replicas that a dead run took, where abra does not bring them back."""
        swarm = self._ground.host.swarm
        before = as_noted(self._facts.stack, noted)
        quiesced = Quiesced(swarm=swarm, before=before, reporter=self._ground.reporter)

        def needed() -> Progress:
            verdict = self._acting.verdict
            unchanged = verdict is None or verdict.state is State.UNCHANGED
            return Progress.OPEN if noted and unchanged else Progress.DONE

        return Step(
            id=BACK,
            title="bring it back",
            act=lambda: bring_back(self._ground, quiesced, self._baseline),
            probe=needed,
            always=True,
            unguarded=True,
        )

    # -- what the steps are made of ----------------------------------------------------------------------

    def _new_saving(self, protect: Protect) -> Saving | None:
        if protect is Protect.NOTHING or self._ground.record.snapshot is None:
            return None
        return Saving(
            self._ground,
            self._ground.record.snapshot,
            while_running=protect is Protect.RUNNING,
            copies=2,
            accepted=self._plan.acknowledged,
            baseline=self._baseline,
            secrets_for=self._choice.secrets_for,
        )

    def _forward(self) -> Task:
        facts, plan, host = self._facts, self._plan, self._ground.host
        to = self._ground.record.to_version

        # What another process began counts from there: Swarm may still be moving because of it.
        since = clock.parse_stamp(self._ground.record.started) if self._noted is not None else None

        def live() -> str | None:
            return host.swarm.stack(facts.app.stack).label("version")

        def detached(now: Stack) -> Iterable[Evidence]:
            kept = self._kept() if self._noted is not None else None
            if kept is not None and kept.manifest is not None:
                return not_mounted(kept.manifest, now)
            return detached_volumes(facts.stack, now, plan.acknowledged)

        return Task(
            title=f"abra app upgrade to {to}",
            argv=lambda: host.abra.upgrade_argv(facts.app.name, to, live=live()),
            version=to,
            before=self._as_left,
            goal=lambda acted: goal_of(facts, facts.new, to, was=facts.deployed_text, acted=since or acted),
            detached=detached,
            baseline=self._baseline,
            there=lambda now: self._noted is not None and reached(facts, facts.new, to, now),
        )

    def _backward(self) -> Task:
        return backward(
            self._ground,
            self._facts,
            self._facts.old,
            self._ground.record.from_version or "",
            kept=self._kept_for_data(),
            baseline=self._baseline,
            prefix=UNDO,
            stoppable=False,
        )

    def _as_left(self) -> Stack:
        """The stack that the watch compares with: stopped for the copy, else as it was planned on."""
        if self._noted is None and (self._saving is None or not self._saving.down):
            return self._facts.stack
        if self._saving is not None:
            self._saving.still()
        return self._ground.host.swarm.stack(self._facts.app.stack)

    def _keep_images(self) -> str:
        self._ids = image_ids(self._ground, self._facts.stack)
        return keep_images(self._ground, self._facts.stack)

    def _second_copies(self) -> tuple[Step, ...]:
        """What the person has of their own, before anything is stopped."""
        app, ground = self._facts.app, self._ground
        if not wanted(app):
            return ()

        def act() -> str:
            made = second_copies(
                ground.host,
                app,
                run_folder=ground.folder,
                run_id=ground.record.run_id,
                version=ground.record.from_version or "",
                reporter=ground.reporter,
                interrupts=ground.held.interrupts,
                masker=ground.masker,
                lock=ground.held.lock,
            )
            return "; ".join(each.detail for each in made)

        return (Step(id="second-copy", title="make second copies", act=lambda: ground.or_interrupted(act)),)

    def _unsure(self) -> Progress:
        """What was not healthy is not remembered as good."""
        return Progress.DONE if self._baseline.sick else Progress.OPEN

    def _remember_old(self) -> str:
        kept = self._kept()
        return remember_good(self._ground, self._facts.stack, snapshot=kept.id if kept else None)

    def _not_good(self) -> Progress:
        verdict = self._acting.verdict
        return Progress.OPEN if verdict and verdict.state is State.CONVERGED else Progress.DONE

    def _remember_new(self) -> str:
        return remembered(self._ground)

    def _show_card(self) -> str:
        card = self._card()
        self._ground.reporter.card(card)
        return card.command

    def _stays_down(self) -> Progress:
        """Only an app that nothing else brings up any more: abra did not begin, or changed nothing."""
        if self._saving is None or not self._saving.down:
            return Progress.DONE
        verdict, acted = self._acting.verdict, self._acting.acted
        untouched = acted is None or (verdict is not None and verdict.state is State.UNCHANGED)
        return Progress.OPEN if untouched else Progress.DONE

    def _put_back(self) -> None:
        if self._saving is not None and self._saving.quiesced is not None and self._acting.acted is None:
            self._saving.quiesced.start()

    def _spoil(self, error: CcciError | None) -> None:
        """A copy from before somebody else changed the app is not chosen by itself: only a person can tell."""
        verdict, kept = self._acting.verdict, self._kept()
        foreign = verdict is not None and verdict.state is State.FOREIGN_CHANGE
        foreign = foreign or isinstance(error, ForeignChangeError)
        if not foreign or kept is None:
            return
        why = f"somebody else changed the app during run {self._ground.record.run_id}"
        try:
            self._ground.store.spoil(kept, why)
        except CcciError as failed:
            self._ground.reporter.note(failed.message)
        else:
            self._spoiled = f"snapshot {kept.id} is marked as spoiled: {why}"

    # -- undo --------------------------------------------------------------------------------------------

    def _undone(self) -> Walked | None:
        """Go back where the verdict is bad, there is a way, and it is wanted."""
        verdict = self._acting.verdict
        if verdict is None or verdict.state not in UNDOABLE or not self._can_go_back():
            return None
        card, asking = self._card(), self._choice.asking
        if not asking and not self._choice.undo(card):
            return None  # it is left as it is: the verdict is shown once, at the end
        bad = self._closed(Walked(phases=(), error=None), None)
        self._ground.reporter.verdict(replace(bad, next_steps=()))
        if asking and not self._choice.undo(card):
            return None
        ground = replace(self._ground, pressed=self._ground.held.interrupts.pressed)
        way = Way(
            act=self._backward(),
            kept=self._kept_for_data(),
            failed_state=new_snapshot_id(),
            images=self._ids,
            prefix=UNDO,
        )
        self._undoing = Undoing(ground, way)
        try:
            return ground.walk(self._undoing.steps())
        finally:
            self._undoing.acting.close()

    def _can_go_back(self) -> bool:
        """Without its data an app that holds data cannot go back by itself: that is a person's decision."""
        if self._facts.deployed is None or self._facts.chaos:
            return False
        return not self._facts.holds_data or self._kept_for_data() is not None

    def _kept(self) -> Kept | None:
        """This run's snapshot, where it was read back and is good."""
        snapshot = self._ground.record.snapshot
        if snapshot is None or (self._saving is not None and not self._saving.proven):
            return None
        found = self._ground.store.find(snapshot)
        return found if found is not None and found.usable else None

    def _kept_for_data(self) -> Kept | None:
        """What is put back: certificates that were copied while their app ran never are unasked."""
        return self._kept() if self._facts.holds_data else None

    def _card(self) -> Card:
        app, old = self._facts.app, self._ground.record.from_version or "unknown"
        kept = self._kept()
        return Card(
            app=app.name,
            version=old,
            images={each.name: bare_image(each.image) for each in self._facts.stack.services},
            snapshot=kept.id if kept else None,
            restores=self._facts.holds_data,
            seconds=remembered_seconds(self._ground, old),
            command=f"ccci-upgrade rollback {app.name} --to {old}",
        )

    # -- the end -----------------------------------------------------------------------------------------

    def _closed(self, walked: Walked, undone: Walked | None) -> Run:
        outcome = self._outcome(walked.error, undone)
        notices = [*self._acting.notices, *(self._saving.warnings if self._saving else ())]
        notices += [self._spoiled] if self._spoiled else []
        notices += [error.message for error in (walked.error, undone.error if undone else None) if error]
        notices += [phase.detail for phase in walked.phases if phase.name == BACK and phase.ok is False]
        good = outcome is Outcome.UPGRADED
        undoing, kept = self._undoing, self._kept()
        return replace(
            self._ground.record,
            finished=clock.stamp(clock.now()),
            outcome=outcome,
            verdict=self._acting.verdict,
            undo=undoing.acting.verdict if undoing else None,
            snapshot=kept.id if kept else None,
            failed_state=undoing.failed_state if undoing else None,
            phases=(*self._ground.record.phases, *walked.phases, *(undone.phases if undone else ())),
            notices=tuple(dict.fromkeys(notices)),
            next_steps=() if good else self._next(outcome),
            logs=() if good else self._acting.failure_logs(),
        )

    def _outcome(self, error: CcciError | None, undone: Walked | None) -> Outcome:
        verdict = self._acting.verdict
        if undone is not None and self._undoing is not None:
            back = self._undoing.acting.verdict
            good = back is not None and back.state is State.CONVERGED
            return Outcome.ROLLED_BACK if good else Outcome.FAILED
        if self._saving is not None and self._saving.down and self._stays_down() is Progress.OPEN:
            return Outcome.FAILED  # it was stopped and is not proven to be back: needs hands
        if verdict is not None:
            return TABLE[verdict.state][0]
        if self._acting.acted is not None:
            return Outcome.FAILED  # something was done and nobody could look: needs hands
        if isinstance(error, LockedError):
            return Outcome.LOCKED
        stopped = isinstance(error, InterruptedRunError | CopyInterruptedError)
        return Outcome.INTERRUPTED if stopped else Outcome.NOT_READY

    def _next(self, outcome: Outcome) -> tuple[str, ...]:
        return next_steps(
            outcome,
            self._acting.verdict,
            app=self._facts.app,
            was=self._ground.record.from_version,
            to=self._ground.record.to_version,
            log=self._acting.log,
        )
