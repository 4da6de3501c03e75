"""`upgrade --resume|--undo|--accept`: end a run that never ended, of whatever command; go on where that was said."""

from dataclasses import dataclass, replace

from ccci_upgrade.errors import UsageError
from ccci_upgrade.flows.deadruns import open_of
from ccci_upgrade.flows.gates import Result
from ccci_upgrade.flows.ground import Held
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.lease import hold
from ccci_upgrade.flows.openruns import finish
from ccci_upgrade.flows.ports import Prompter, Reporter
from ccci_upgrade.flows.rollback import BackRequest, go_back
from ccci_upgrade.flows.snapshot import create
from ccci_upgrade.flows.upgrade import Request, upgrade
from ccci_upgrade.flows.upgraderun import Choice, OnFailure
from ccci_upgrade.model.app import App
from ccci_upgrade.model.openrun import OpenRun, Situation, Way
from ccci_upgrade.model.run import RESTORE, SNAPSHOT, UPGRADE
from ccci_upgrade.model.verdict import Outcome
from ccci_upgrade.store.journal import read_all


@dataclass(frozen=True, kw_only=True, slots=True)
class EndRequest:
    """What was asked for: which way, and of which app where there are several open runs."""

    way: Way
    app: str | None = None
    on_failure: OnFailure | None = None
    lease_wait: float = 0.0
    offline: bool = False


def end_open_run(host: Host, request: EndRequest, *, reporter: Reporter, prompter: Prompter) -> Result:
    """End an app's open run; LeaseTakenError where somebody is at work, perhaps on that very run."""
    app = _app(host, request)
    words = f"upgrade {app.name} --{request.way.value}"
    choice = Choice(said=request.on_failure, ask=prompter.undo if prompter.interactive else None)
    with (
        hold(host.swarm, command=words, wait=request.lease_wait, reporter=reporter) as lease,
        host.abra.alone(seconds=app.budget) as lock,  # an abra that outlived its caller ends first
    ):
        found = _found(host, app)
        with Interrupts() as interrupts:
            held = Held(lease=lease, lock=lock, interrupts=interrupts)
            ended = finish(host, app, found, request.way, held=held, reporter=reporter, choice=choice)
    put_back = ended.runs[-1].outcome is Outcome.NOT_READY
    if request.way is Way.RESUME and found.open.harmless and put_back and not interrupts.pressed:
        again = _anew(host, found.open, request, reporter=reporter, prompter=prompter)
        return replace(again, runs=(*ended.runs, *again.runs))
    return ended


def _app(host: Host, request: EndRequest) -> App:
    if request.app is not None:
        return host.find((request.app,))[0]
    names = {run.app for run in read_all(host.config.state_dir).open if run.cluster == host.cluster.id}
    if len(names) > 1:
        raise UsageError("several apps have open runs", hint=f"name one of {', '.join(sorted(names))}")
    if not names:
        raise UsageError("there is no open run", hint="`ccci-upgrade status` shows open runs")
    return host.find(tuple(names))[0]


def _found(host: Host, app: App) -> Situation:
    found = open_of(host, app)
    if found is None:
        raise UsageError(f"{app.name} has no open run", hint="`ccci-upgrade status` shows open runs")
    return found


def _anew(
    host: Host, found: OpenRun, request: EndRequest, *, reporter: Reporter, prompter: Prompter
) -> Result:
    """What the dead run was to do, through every gate once more, with what was acknowledged for it."""
    run = found.run
    if run.command == SNAPSHOT:
        made, code = create(host, host.find((run.app,)), reporter)
        return Result(runs=tuple(each.run for each in made), plans=(), exit=code, error=made[-1].error)
    if run.command == UPGRADE:
        forward = Request(
            apps=(run.app,),
            to=run.to_version,
            acks=run.acknowledged,
            offline=request.offline,
            on_failure=request.on_failure,
        )
        return upgrade(host, forward, reporter=reporter, prompter=prompter)
    back = BackRequest(
        app=run.app,
        to=run.to_version,
        snapshot=run.snapshot if run.command == RESTORE else None,
        acks=run.acknowledged,
        version_only=run.snapshot is None,
        offline=request.offline,
    )
    return go_back(host, back, reporter=reporter, prompter=prompter)
