"""One upgrade of one app, after every gate, top-down: pull → protect → act → verify → pin → (undo) → record."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, LockedError
from ccci_upgrade.flows.acting import Acting, Task
from ccci_upgrade.flows.goals import goal_of
from ccci_upgrade.flows.ground import (
    Ground,
    Held,
    InterruptedRunError,
    new_run,
    new_snapshot_id,
    open_ground,
)
from ccci_upgrade.flows.history import seconds_back
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.pulling import pull_images
from ccci_upgrade.flows.saving import Baseline, Saving
from ccci_upgrade.flows.steps import Progress, Step, Walked
from ccci_upgrade.flows.undoing import Undoing, Way, backward
from ccci_upgrade.model.card import Card
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.judge import detached_volumes
from ccci_upgrade.model.next_steps import next_steps
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.protection import NO_SNAPSHOT, Protect
from ccci_upgrade.model.run import UNDO, Run
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import TABLE, UNDOABLE, Outcome, State
from ccci_upgrade.store.snapshots import Kept

OnFailure = Literal["rollback", "leave"]
"""What to do after a bad verdict."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Who decides after a bad verdict: what was said on the command line, else `ask`, else the rule.

    `ask` is None where nobody can be asked; then it is undone where this run has a verified snapshot.
    """

    said: OnFailure | None = None
    ask: Callable[[Card], bool] | None = None

    def undo(self, card: Card) -> bool:
        """Whether to go back."""
        if self.said is not None:
            return self.said == "rollback"
        return self.ask(card) if self.ask is not None else card.snapshot is not None


def run_upgrade(
    host: Host, facts: Facts, plan: Plan, *, held: Held, reporter: Reporter, choice: Choice
) -> Run:
    """Take a plan that nothing holds any more to its recorded end. Raises only where the journal cannot open."""
    protect = facts.protection.protect if NO_SNAPSHOT not in plan.acknowledged else Protect.NOTHING
    snapshot = new_snapshot_id() if protect is not Protect.NOTHING else None
    record = replace(new_run(host, plan), snapshot=snapshot)
    ground = open_ground(host, facts.app, record, held=held, reporter=reporter)
    return _UpgradeRun(ground, facts, plan, protect, choice).run()


class _UpgradeRun:
    def __init__(self, ground: Ground, facts: Facts, plan: Plan, protect: Protect, choice: Choice) -> None:
        self._ground = ground
        self._facts = facts
        self._plan = plan
        self._choice = choice
        sick = "unhealthy-before" in plan.acknowledged
        self._baseline = Baseline(probes=facts.probes, before=facts.before, sick=sick)
        self._saving = self._new_saving(protect)
        self._acting = Acting(ground, self._forward())
        self._undoing: Undoing | None = None

    def run(self) -> Run:
        try:
            walked = self._ground.walk(self._steps())
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
        saving, acting = self._saving, self._acting
        act, verify, pin = acting.steps()
        return (
            Step(id="pull", title="pull images", act=lambda: pull_images(self._ground, self._facts.images)),
            *(saving.steps() if saving else ()),
            Step(id="card", title="what it takes to go back", act=self._show_card),
            act,
            verify,
            *((replace(saving.back(), probe=self._stays_down),) if saving else ()),
            pin,
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
        )

    def _forward(self) -> Task:
        facts, plan, host = self._facts, self._plan, self._ground.host
        to = self._ground.record.to_version
        return Task(
            title=f"abra app upgrade to {to}",
            argv=lambda: host.abra.upgrade_argv(facts.app.name, to),
            version=to,
            before=self._as_left,
            goal=lambda acted: goal_of(facts, facts.new, to, was=facts.deployed_text, acted=acted),
            detached=lambda now: detached_volumes(facts.stack, now, plan.acknowledged),
            baseline=self._baseline,
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
        if self._saving is None or not self._saving.down:
            return self._facts.stack
        self._saving.still()
        return self._ground.host.swarm.stack(self._facts.app.stack)

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

    # -- undo --------------------------------------------------------------------------------------------

    def _undone(self) -> Walked | None:
        """Go back where the verdict is bad, there is a way, and it is wanted."""
        verdict = self._acting.verdict
        if verdict is None or verdict.state not in UNDOABLE or not self._can_go_back():
            return None
        bad = self._closed(Walked(phases=(), error=None), None)
        self._ground.reporter.verdict(replace(bad, next_steps=()))
        if not self._choice.undo(self._card()):
            return None
        ground = replace(self._ground, pressed=self._ground.held.interrupts.pressed)
        way = Way(
            act=self._backward(), kept=self._kept_for_data(), failed_state=new_snapshot_id(), prefix=UNDO
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
        saving = self._saving
        if saving is None or not saving.proven:
            return None
        return self._ground.store.find(saving.copying.id)

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
            seconds=seconds_back(self._ground.host.config, app.name),
            command=f"ccci-upgrade rollback {app.name} --to {old}",
        )

    # -- the end -----------------------------------------------------------------------------------------

    def _closed(self, walked: Walked, undone: Walked | None) -> Run:
        outcome = self._outcome(walked.error, undone)
        notices = [*self._acting.notices, *(self._saving.warnings if self._saving else ())]
        notices += [error.message for error in (walked.error, undone.error if undone else None) if error]
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
            phases=(*walked.phases, *(undone.phases if undone else ())),
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
        return Outcome.INTERRUPTED if isinstance(error, InterruptedRunError) else Outcome.NOT_READY

    def _next(self, outcome: Outcome) -> tuple[str, ...]:
        return next_steps(
            outcome,
            self._acting.verdict,
            app=self._facts.app,
            was=self._ground.record.from_version,
            to=self._ground.record.to_version,
            log=self._acting.log,
        )
