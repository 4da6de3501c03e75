"""`snapshot create`: look → note replicas → stop → copy → bring back → read back, journaled, for one app."""

from dataclasses import dataclass, replace

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, Exit
from ccci_upgrade.flows.deadruns import refuse_open
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
from ccci_upgrade.flows.keptsecrets import Asker, Recipients, recipients_for
from ccci_upgrade.flows.lease import hold
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.protection import copied_running
from ccci_upgrade.flows.saving import Saving
from ccci_upgrade.flows.steps import Step
from ccci_upgrade.model.app import App
from ccci_upgrade.model.plan import no_plan
from ccci_upgrade.model.run import SNAPSHOT, Run
from ccci_upgrade.model.snapshot import Manifest
from ccci_upgrade.model.verdict import Outcome

LOCK_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What came of one app: its run, the snapshot where there is one, and what is suspicious about it."""

    run: Run
    manifest: Manifest | None
    warnings: tuple[str, ...]
    error: CcciError | None


def create(
    host: Host, apps: tuple[App, ...], reporter: Reporter, *, asker: Asker | None = None
) -> tuple[tuple[Made, ...], Exit]:
    """Take a snapshot of each app, one after another; the first that fails ends the row.

    `asker` is asked for a passphrase for their secrets, where no recipient is configured.
    """
    secrets_for = {app.name: recipients_for(host.config, app.name, asker) for app in apps}
    done: list[Made] = []
    words = " ".join((SNAPSHOT, *(app.name for app in apps)))
    with (
        hold(host.swarm, command=words, wait=0.0, reporter=reporter) as lease,
        host.abra.alone(seconds=LOCK_SECONDS) as lock,
        Interrupts() as interrupts,
    ):
        held = Held(lease=lease, lock=lock, interrupts=interrupts)
        for app in apps:
            refuse_open(host, app)
            to = secrets_for[app.name]
            done.append(create_one(host, app, held=held, reporter=reporter, secrets_for=to))
            code = exit_of(done[-1].run)
            if code is not Exit.OK:
                return tuple(done), code
    return tuple(done), Exit.OK


def create_one(
    host: Host, app: App, *, held: Held, reporter: Reporter, secrets_for: Recipients | None = None
) -> Made:
    """Walk the steps and record them. Raises only where the journal cannot be opened."""
    version = host.swarm.stack(app.stack).label("version")
    plan = replace(no_plan(app, command=SNAPSHOT), from_version=version)
    snapshot = new_snapshot_id()
    record = replace(new_run(host, plan), snapshot=snapshot)
    ground = open_ground(host, app, record, held=held, reporter=reporter)
    saving = Saving(ground, snapshot, while_running=copied_running(app), copies=1, secrets_for=secrets_for)
    try:
        walked = ground.walk(_steps(saving))
    except BaseException:  # a bug of ours must not leave the app down
        if saving.down and saving.quiesced is not None:
            saving.quiesced.start()
        raise
    done = replace(_closed(ground, saving, walked.error), phases=walked.phases)
    manifest = saving.copying.manifest
    return Made(run=ground.close(done), manifest=manifest, warnings=saving.warnings, error=walked.error)


def _steps(saving: Saving) -> tuple[Step, ...]:
    """The copy is read back when the app runs again: nothing waits for the proof here."""
    *taking, check = saving.steps()
    return (*taking, saving.back(), check)


def _closed(ground: Ground, saving: Saving, error: CcciError | None) -> Run:
    if saving.down:
        outcome = Outcome.FAILED  # it was stopped and is not proven to be back: needs hands
    elif isinstance(error, InterruptedRunError):
        outcome = Outcome.INTERRUPTED
    else:
        outcome = Outcome.SAVED if error is None else Outcome.NOT_READY
    by_hand = (f"docker service scale {saving.noted}", f"ccci-upgrade health {ground.app.name}")
    return replace(
        ground.record,
        finished=clock.stamp(clock.now()),
        outcome=outcome,
        snapshot=saving.copying.id if saving.copying.manifest else None,
        notices=(error.message,) if error else (),
        next_steps=by_hand if saving.down else (),
    )
