"""Runs that never ended: what is true of them now, and the three ways to end one, by whoever comes next.

A run that is gone on with begins where its next act would have been. Nothing is believed of the journal but what
was begun; what came of it is asked of the Swarm.
"""

from dataclasses import replace

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, NotReadyError
from ccci_upgrade.flows.acting import PIN, pin, pinned
from ccci_upgrade.flows.gates import Result
from ccci_upgrade.flows.ground import Ground, Held, exit_of, new_snapshot_id, reopen_ground
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.look import Depth, look
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.quiesce import Quiesced, as_noted
from ccci_upgrade.flows.rollback import Dead, run_back
from ccci_upgrade.flows.saving import BACK, SICK, Baseline, bring_back
from ccci_upgrade.flows.steps import Step
from ccci_upgrade.flows.undoing import RESTORE
from ccci_upgrade.flows.upgraderun import Choice, resume_upgrade
from ccci_upgrade.model.app import App
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.openrun import OpenRun, Situation, Way
from ccci_upgrade.model.plan import make_plan
from ccci_upgrade.model.run import GOING_BACK, UNDO, UPGRADE, Phase, Run
from ccci_upgrade.model.stackstate import unhealthy_lines
from ccci_upgrade.model.verdict import TABLE, Evidence, Outcome, State, Verdict
from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.store.snapshots import Kept


def finish(
    host: Host, app: App, found: Situation, way: Way, *, held: Held, reporter: Reporter, choice: Choice
) -> Result:
    """End an open run one way; NotReadyError where that way is closed."""
    if way not in found.ways:
        raise NotReadyError(
            f"run {found.open.run.run_id} cannot be ended with `--{way.value}`: {'; '.join(found.now)}",
            hint=" or ".join(f"`--{each.value}`" for each in found.ways),
            code="open-run",
        )
    ground = reopen_ground(host, app, found.open.run, held=held, reporter=reporter)
    run = _finished(ground, found, way, choice)
    return Result(runs=(run,), plans=(), exit=exit_of(run))


def _finished(ground: Ground, seen: Situation, way: Way, choice: Choice) -> Run:
    found = seen.open
    if way is Way.ACCEPT:
        return _accepted(ground, found)
    if found.harmless or (seen.untouched and way is Way.UNDO):
        return _put_back(ground, found, way)
    if found.run.command in GOING_BACK and (found.undoing or way is Way.UNDO):
        return _undo_back(ground, found)
    if found.back or way is Way.UNDO:
        return _go_back(ground, found)
    facts = _facts_forward(ground, found)
    plan = make_plan(facts, (), frozenset(found.run.acknowledged))
    return resume_upgrade(ground, facts, plan, choice=choice, noted=found.noted)


# -- the ways ---------------------------------------------------------------------------------------------


def _put_back(ground: Ground, found: OpenRun, way: Way) -> Run:
    """Nothing but replicas was touched. What goes on is a new run, through every gate."""
    stack = as_noted(ground.host.swarm.stack(ground.app.stack), found.noted)
    quiesced = Quiesced(swarm=ground.host.swarm, before=stack, reporter=ground.reporter)
    baseline = Baseline(probes=(), sick=SICK in found.run.acknowledged)
    step = Step(
        id=BACK,
        title="bring it back",
        act=lambda: bring_back(ground, quiesced, baseline),
        intent=lambda: found.noted,
    )
    walked = ground.walk((step,))
    outcome = Outcome.NOT_READY if walked.error is None else Outcome.FAILED
    word = "begun anew" if way is Way.RESUME and walked.error is None else "ended"
    said = f"the run was {word}: nothing but replicas was touched"
    return _close(ground, outcome, notices=[said], error=walked.error, phases=walked.phases)


def _go_back(ground: Ground, found: OpenRun) -> Run:
    """Towards the old version: the rest of a way back, or an upgrade taken back."""
    run = found.run
    version = run.to_version if run.command in GOING_BACK else run.from_version
    if version is None:
        raise NotReadyError(
            "the version before is unknown", hint="say where to: ccci-upgrade rollback", code="open-run"
        )
    facts = look(ground.host, ground.app, Depth(to=version, again=True))
    kept = _kept(ground, run.snapshot)
    if run.command == UPGRADE and not facts.holds_data:
        kept = None
    elif run.snapshot is not None and kept is None and facts.holds_data:
        raise NotReadyError(
            f"the snapshot {run.snapshot} is not on this machine: run {run.run_id} began on {run.host}",
            hint=f"take it back there, or copy its folder here; or go on: ccci-upgrade upgrade {run.app} --resume",
            code="snapshot-elsewhere",
        )
    up, label = _now(ground)
    restored = found.restored and (not up or label == version)
    # An app that is up may have been worked with since: then what is there now is kept, and not only what was.
    failed = found.failed_state if restored or (found.restoring and not up) else None
    failed = (failed or new_snapshot_id()) if kept else None
    dead = Dead(noted=found.noted, restored=restored, taken_back=run.command not in GOING_BACK)
    return run_back(ground, facts, kept, to=version, failed_state=failed, dead=dead)


def _undo_back(ground: Ground, found: OpenRun) -> Run:
    """Back to where a way back began: its version, with the failed state that it kept where it replaced data."""
    run = found.run
    kept = _kept(ground, run.failed_state or found.failed_state) if found.restoring else None
    if run.from_version is None or (found.restoring and kept is None):
        raise NotReadyError(
            f"what run {run.run_id} replaced was not kept", hint="go on with it: `--resume`", code="open-run"
        )
    facts = look(ground.host, ground.app, Depth(to=run.from_version, again=True))
    up, label = _now(ground)
    own = [
        phase for phase in run.phases if phase.name == f"{UNDO}{RESTORE}"
    ]  # not the one that is taken back
    restored = bool(own and own[-1].ok) and (not up or label == run.from_version)
    worked_with = up or (found.undoing and not own)
    failed = new_snapshot_id() if kept and worked_with and not restored else None
    dead = Dead(noted=found.noted, restored=restored, taken_back=True)
    return run_back(ground, facts, kept, to=run.from_version, failed_state=failed, dead=dead)


def _now(ground: Ground) -> tuple[bool, str | None]:
    """Whether anything of the app is up, and its version label."""
    stack = ground.host.swarm.stack(ground.app.stack)
    return any(each.replicas for each in stack.services), stack.label("version")


def _accepted(ground: Ground, found: OpenRun) -> Run:
    """Judge what is there; nothing is changed but the `.env`, where it does not say what runs."""
    stack = ground.host.swarm.stack(ground.app.stack)
    sick = list(unhealthy_lines(stack))
    label = stack.label("version")
    there = label == found.run.to_version and not found.harmless
    state = State.UNHEALTHY if sick else State.CONVERGED if there else State.UNCHANGED
    evidence = tuple(
        Evidence(text=line) for line in (f"version label {label or 'none'}", *sick, "accepted as it is")
    )
    outcome = TABLE[state][0]
    if outcome is Outcome.UPGRADED and found.run.command in GOING_BACK:
        outcome = Outcome.ROLLED_BACK
    verdict = Verdict(state=state, evidence=evidence)
    if label is None or sick:
        return _close(ground, outcome, verdict=verdict)
    step = Step(
        id=PIN,
        title="pin the version in `.env`",
        act=lambda: pin(ground, label),
        probe=lambda: pinned(ground, label),
    )
    walked = ground.walk((step,))
    return _close(ground, outcome, verdict=verdict, error=walked.error, phases=walked.phases)


# -- parts of them ----------------------------------------------------------------------------------------


def _facts_forward(ground: Ground, found: OpenRun) -> Facts:
    """The facts of both versions; what ran before is known by its files only."""
    run = found.run
    facts = look(ground.host, ground.app, Depth(to=run.to_version, again=True))
    if run.from_version is None:
        return facts
    old = look(ground.host, ground.app, Depth(to=run.from_version, again=True))
    return replace(
        facts, old=old.new, deployed=RecipeVersion.parse(run.from_version), deployed_text=run.from_version
    )


def _kept(ground: Ground, snapshot: str | None) -> Kept | None:
    found = ground.store.find(snapshot) if snapshot else None
    return found if found is not None and found.manifest is not None and not found.problem else None


def _close(
    ground: Ground,
    outcome: Outcome,
    *,
    verdict: Verdict | None = None,
    notices: list[str] | None = None,
    error: CcciError | None = None,
    phases: tuple[Phase, ...] = (),
) -> Run:
    said = [*(notices or []), *([error.message] if error else [])]
    done = replace(
        ground.record,
        finished=clock.stamp(clock.now()),
        outcome=outcome,
        verdict=verdict,
        phases=(*ground.record.phases, *phases),
        notices=tuple(said),
        next_steps=() if error is None else (f"ccci-upgrade health {ground.app.name}",),
    )
    ground.close(done)
    ground.reporter.verdict(done)
    return done
