"""`rollback` and `snapshot restore`: guard → plan → confirm → the way back → record, for one app."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, LockedError, NotReadyError, UsageError
from ccci_upgrade.flows.deadruns import refuse_open
from ccci_upgrade.flows.gates import Gated, Planned, Result, gated
from ccci_upgrade.flows.ground import (
    Ground,
    Held,
    InterruptedRunError,
    exit_of,
    new_run,
    new_snapshot_id,
    open_ground,
)
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.lease import LeaseTakenError, hold
from ccci_upgrade.flows.look import Depth, look
from ccci_upgrade.flows.memory import recall_one
from ccci_upgrade.flows.ports import Prompter, Reporter
from ccci_upgrade.flows.pulling import pull_images
from ccci_upgrade.flows.saving import SICK, Baseline
from ccci_upgrade.flows.steps import Step
from ccci_upgrade.flows.undoing import Undoing, Way, backward
from ccci_upgrade.model.app import App
from ccci_upgrade.model.backoutcome import outcome_of_back
from ccci_upgrade.model.facts import Facts, ImageFact, ImagePlace
from ccci_upgrade.model.findings.goingback import ACK_KINDS, Back, find
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.next_steps import next_steps_back
from ccci_upgrade.model.plan import make_plan, no_plan
from ccci_upgrade.model.run import GOING_BACK, RESTORE, ROLLBACK, UNDO, UPGRADE, Run
from ccci_upgrade.model.verdict import Outcome, State
from ccci_upgrade.store.journal import read_all
from ccci_upgrade.store.snapshots import Kept, Store
from ccci_upgrade.tools.volumes import image_id

LOCK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BackRequest:
    """What was asked for: a version, or with `snapshot` the state in that one."""

    app: str
    to: str | None = None
    snapshot: str | None = None
    acks: tuple[str, ...] = ()
    version_only: bool = False
    dry_run: bool = False
    offline: bool = False
    lease_wait: float = 0.0

    @property
    def command(self) -> str:
        """The command it came from."""
        return ROLLBACK if self.snapshot is None else RESTORE


@dataclass(frozen=True, kw_only=True, slots=True)
class _Back(Planned):
    """A planned way back, with the snapshot it puts back."""

    kept: Kept | None


def go_back(host: Host, request: BackRequest, *, reporter: Reporter, prompter: Prompter) -> Result:
    """Take one app back to a version with its data, or to the state in a snapshot."""
    (app,) = host.find((request.app,))
    _only_known(request.acks)
    if request.dry_run:
        return gated(host, (_planned(host, app, request),), None, reporter, prompter=None)
    words = f"{request.command} {app.name}"
    try:
        with (
            hold(host.swarm, command=words, wait=request.lease_wait, reporter=reporter) as lease,
            host.abra.alone(seconds=LOCK_SECONDS) as lock,
        ):
            refuse_open(host, app)
            planned = _planned(host, app, request)
            passed: Gated = gated(host, (planned,), None, reporter, prompter)
            if not passed.todo:
                return passed
            with Interrupts() as interrupts:
                held = Held(lease=lease, lock=lock, interrupts=interrupts)
                facts, plan = planned.facts, passed.todo[0].plan
                record = replace(
                    new_run(host, plan),
                    snapshot=planned.kept.id if planned.kept else None,
                    failed_state=new_snapshot_id() if planned.kept else None,
                )
                ground = open_ground(host, app, record, held=held, reporter=reporter)
                to, failed = record.to_version, record.failed_state
                run = run_back(ground, facts, planned.kept, to=to, failed_state=failed)
            return Result(runs=(run,), plans=passed.plans, exit=exit_of(run))
    except LeaseTakenError as error:
        locked = new_run(host, no_plan(app, command=request.command, to=request.to), outcome=Outcome.LOCKED)
        return Result(runs=(locked,), plans=(), exit=exit_of(locked), error=error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dead:
    """What another process left of a way back: see `Way`. `taken_back`: the run itself is undone."""

    noted: str
    restored: bool
    taken_back: bool


def run_back(
    ground: Ground,
    facts: Facts,
    kept: Kept | None,
    *,
    to: str,
    failed_state: str | None,
    dead: Dead | None = None,
) -> Run:
    """Go the way of an open run to its recorded end, or what is left of it by a `dead` process.

    `failed_state` is the id that the copy of what is replaced gets, None where that is not worth one. The run may
    be an upgrade that is taken back, or a way back that is: then `to` is where it came from.
    """
    record = ground.record
    taken_back = dead is not None and dead.taken_back
    prefix = UNDO if taken_back else ""
    baseline = Baseline(probes=facts.probes, sick=SICK in record.acknowledged)
    act = backward(
        ground,
        facts,
        facts.new,
        to,
        kept=kept,
        baseline=baseline,
        prefix=prefix,
        resumed=dead is not None,
    )
    way = Way(
        act=act,
        kept=kept,
        failed_state=failed_state,
        images=_images(kept or _newest_of(ground.host, ground.app, to)),
        prefix=prefix,
        noted=dead.noted if dead else "",
        restored=dead is not None and dead.restored,
    )
    undoing = Undoing(ground, way)
    pulling = Step(id=f"{prefix}pull", title="pull images", act=lambda: pull_images(ground, facts.images))
    try:
        walked = ground.walk((pulling, *undoing.steps()))
    finally:
        undoing.acting.close()
    done = replace(
        _closed(ground, facts, undoing, walked.error, taken_back=taken_back),
        phases=(*record.phases, *walked.phases),
    )
    ground.close(done)
    ground.reporter.verdict(done)
    return done


# -- the plan ---------------------------------------------------------------------------------------------


def _planned(host: Host, app: App, request: BackRequest) -> _Back:
    chosen = _by_id(host, app, request.snapshot) if request.snapshot else None
    version = _version(host, app, request, chosen)
    facts = look(host, app, Depth(to=version, offline=request.offline, again=True))
    kept = chosen
    if kept is None and facts.holds_data and not request.version_only:
        kept = _newest_of(host, app, version)
    ids = _images(kept or _newest_of(host, app, version))
    facts = replace(facts, images=tuple(_here(host, fact, ids) for fact in facts.images))
    back = Back(
        version=version,
        manifest=kept.manifest if kept else None,
        version_only=request.version_only,
        age=_age(kept),
        others=tuple(_words(each) for each in _store(host).listed(app.name)),
    )
    plan = make_plan(facts, find(facts, back), frozenset(request.acks), command=request.command)
    return _Back(facts=facts, plan=plan, kept=kept)


def _version(host: Host, app: App, request: BackRequest, chosen: Kept | None) -> str:
    """The version to go to: said, the snapshot's, or the one that the last upgrade came from."""
    if chosen is not None:
        version = chosen.manifest.version if chosen.manifest else None
        if version is None:
            raise NotReadyError(
                f"the snapshot {chosen.id} is of an unknown version, so nothing can be deployed with it",
                hint="deploy a version with abra first",
                code="snapshot-version",
            )
        return version
    if request.to is not None:
        return request.to
    runs = read_all(host.config.state_dir).runs
    came_from = [r.from_version for r in runs if r.app == app.name and r.command == UPGRADE and r.phases]
    version = came_from[-1] if came_from else None
    if version is None:
        memory = recall_one(host.swarm, app.stack)
        good = memory.before(host.swarm.stack(app.stack).label("version")) if memory else None
        version = good.version if good else None
    if version is None:
        raise UsageError(
            f"no upgrade of {app.name} is known here, so there is nothing to go back to",
            hint="say where to with `--to VERSION`; `ccci-upgrade snapshot list` shows what was kept",
        )
    return version


def _by_id(host: Host, app: App, wanted: str) -> Kept:
    kept = _store(host).find(wanted)
    if kept is None or kept.app != app.name:
        raise UsageError(
            f"there is no snapshot `{wanted}` of {app.name} of this Swarm",
            hint=f"ccci-upgrade snapshot list {app.name}",
        )
    if kept.manifest is None or kept.problem:
        raise NotReadyError(
            f"the snapshot {kept.id} cannot be used: {kept.problem}",
            hint=f"ccci-upgrade snapshot list {app.name}",
            code="snapshot-damaged",
        )
    return kept


def _newest_of(host: Host, app: App, version: str) -> Kept | None:
    found = [
        k for k in _store(host).listed(app.name) if k.usable and k.manifest and k.manifest.version == version
    ]
    return found[-1] if found else None


def _images(kept: Kept | None) -> dict[str, str]:
    """Local ids by reference, as a snapshot of that version has them."""
    services = kept.manifest.services if kept and kept.manifest else ()
    return {bare_image(each.image): each.image_id for each in services}


def _here(host: Host, fact: ImageFact, ids: dict[str, str]) -> ImageFact:
    """An image that lost its name and is kept by its id is here: its name is given back before abra acts."""
    identity = ids.get(fact.image, "")
    if fact.place is ImagePlace.LOCAL or not identity or not image_id(host.swarm.engine, identity):
        return fact
    return ImageFact(image=fact.image, place=ImagePlace.LOCAL, detail=identity)


def _store(host: Host) -> Store:
    return Store(host.config.state_dir, host.cluster.id)


def _age(kept: Kept | None) -> str:
    taken = clock.parse_stamp(kept.manifest.taken) if kept and kept.manifest else None
    if taken is None:
        return "an unknown time"
    minutes = max(0, round((clock.now() - taken).total_seconds() / 60))
    days, hours = divmod(minutes // 60, 24)
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _words(kept: Kept) -> str:
    version = kept.manifest.version if kept.manifest else None
    state = kept.problem or kept.spoiled or ("good" if kept.good else "not verified")
    return f"snapshot {kept.id} of {version or 'an unknown version'}: {state}"


def _only_known(acks: Iterable[str]) -> None:
    for ack in acks:
        if ack not in ACK_KINDS:
            raise UsageError(
                f"`--ack {ack}`: there is no such finding to acknowledge here",
                hint=f"a way back is held by {' or '.join(sorted(ACK_KINDS))}",
            )


# -- the end ----------------------------------------------------------------------------------------------


def _closed(
    ground: Ground, facts: Facts, undoing: Undoing, error: CcciError | None, *, taken_back: bool
) -> Run:
    acting, record = undoing.acting, ground.record
    outcome = _outcome(undoing, error, record.command, taken_back=taken_back)
    notices = [*acting.notices, *([error.message] if error else [])]
    good = acting.verdict is not None and acting.verdict.state is State.CONVERGED
    steps = next_steps_back(outcome, acting.verdict, app=facts.app, again=_again(record), log=acting.log)
    return replace(
        record,
        finished=clock.stamp(clock.now()),
        outcome=outcome,
        verdict=None if taken_back else acting.verdict,
        undo=acting.verdict if taken_back else None,
        failed_state=undoing.failed_state or (record.failed_state if taken_back else None),
        notices=tuple(dict.fromkeys(notices)),
        next_steps=() if good else steps,
        logs=() if good else acting.failure_logs(),
    )


def _again(record: Run) -> str:
    """The command that goes the same way once more."""
    if record.command == RESTORE:
        return f"ccci-upgrade {RESTORE} {record.app} {record.snapshot}"
    version = record.from_version if record.command == UPGRADE else record.to_version
    return f"ccci-upgrade rollback {record.app} --to {shlex.quote(version or 'VERSION')}"


def _outcome(undoing: Undoing, error: CcciError | None, command: str, *, taken_back: bool) -> Outcome:
    untouched = Outcome.INTERRUPTED if isinstance(error, InterruptedRunError) else Outcome.NOT_READY
    return outcome_of_back(
        undoing.acting.verdict,
        touched=undoing.restoring or undoing.down or undoing.acting.acted is not None,
        asked=command in GOING_BACK,
        taken_back=taken_back,
        untouched=Outcome.LOCKED if isinstance(error, LockedError) else untouched,
    )
