"""What every part of a run works on: the server, the app, the record, the lease, and the person."""

import getpass
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, Exit
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.lease import Lease
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.sharedruns import SharedJournal
from ccci_upgrade.flows.steps import Step, Walked, walk
from ccci_upgrade.model.app import App
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import GOING_BACK, Run
from ccci_upgrade.model.verdict import OUTCOME_EXIT, Outcome
from ccci_upgrade.process import this_boot, this_host
from ccci_upgrade.redact import Masker, secret_values
from ccci_upgrade.store.journal import Journal, read_all
from ccci_upgrade.store.snapshots import Store


class InterruptedRunError(CcciError):
    """Ctrl-C before anything was changed."""

    exit = Exit.INTERRUPTED
    code = "interrupted"


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What is held while anything is changed: the Swarm's lease, and the descriptor of `ABRA_DIR`'s lock.

    `interrupts` is entered already, so that no press falls between two runs.
    """

    lease: Lease
    lock: int
    interrupts: Interrupts


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """One open run. `folder` is its own place beside the journal; `pressed`: Ctrl-C until now counts for nothing.

    Whoever makes one has opened the journal for `record`, or found it open there.
    """

    host: Host
    app: App
    held: Held
    reporter: Reporter
    journal: Journal
    folder: Path
    record: Run
    masker: Masker
    pressed: int = 0

    @property
    def store(self) -> Store:
        """Where this Swarm's snapshots are."""
        return Store(self.host.config.state_dir, self.host.cluster.id)

    @property
    def earlier(self) -> tuple[Run, ...]:
        """What was done on this Swarm from this machine, this run included, oldest first."""
        runs = read_all(self.host.config.state_dir).runs
        return tuple(run for run in runs if run.cluster == self.host.cluster.id)

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed in this part of the run."""
        return self.held.interrupts.pressed > self.pressed

    def stop_if_pressed(self) -> None:
        """Raise where Ctrl-C was pressed: for moments at which stopping changes nothing."""
        if self.interrupted:
            raise InterruptedRunError("interrupted; nothing was changed")

    def or_interrupted(self, act: Callable[[], str]) -> str:
        """What fails after Ctrl-C failed because of it."""
        try:
            return act()
        except CcciError:
            self.stop_if_pressed()
            raise

    def walk(self, steps: tuple[Step, ...]) -> Walked:
        """Take steps of this run, each journaled, the lease proved before each that changes something."""
        return walk(
            steps,
            run=self.record,
            journal=self.journal,
            reporter=self.reporter,
            guard=self.held.lease.renew,
        )

    def close(self, run: Run) -> Run:
        """Write how the run ended; a disk that is full now must not cost the verdict."""
        try:
            self.journal.close(run)
        except CcciError as error:
            self.reporter.note(error.message)
        return run


def open_ground(host: Host, app: App, record: Run, *, held: Held, reporter: Reporter) -> Ground:
    """Open the journal for a run; NotReadyError where it cannot be written."""
    journal = SharedJournal(host.config.state_dir, host.swarm, app.stack, record)
    return Ground(
        host=host,
        app=app,
        held=held,
        reporter=reporter,
        journal=journal,
        folder=journal.open(record),
        record=record,
        masker=_masker(app),
    )


def reopen_ground(host: Host, app: App, record: Run, *, held: Held, reporter: Reporter) -> Ground:
    """Take up a run that another process left open; its journal goes on under the same id.

    One that began on another machine is written down here first.
    """
    journal = SharedJournal(host.config.state_dir, host.swarm, app.stack, record)
    known = any(run.run_id == record.run_id for run in read_all(host.config.state_dir).runs)
    return Ground(
        host=host,
        app=app,
        held=held,
        reporter=reporter,
        journal=journal,
        folder=journal.reopen(record) if known else journal.open(record),
        record=record,
        masker=_masker(app),
    )


def new_run(host: Host, plan: Plan, *, outcome: Outcome | None = None) -> Run:
    """A run's record before anything of it happened; with an outcome it ended there."""
    now = clock.now()
    slug = "".join(c if c.isalnum() else "-" for c in plan.app)[:40]
    return Run(
        run_id=f"{now:%Y%m%dT%H%M%S}-{slug}-{secrets.token_hex(2)}",
        command=plan.command,
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
        boot=this_boot(),
        outcome=outcome,
        holds=plan.holds,
        acknowledged=tuple(sorted(plan.acknowledged)),
    )


def new_snapshot_id() -> str:
    """An id that no snapshot has yet; ids sort by time."""
    return f"{clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


def exit_of(run: Run) -> Exit:
    """The exit code of a run that ended; going back is what `rollback` was asked for."""
    if run.command in GOING_BACK and run.outcome is Outcome.ROLLED_BACK:
        return Exit.OK
    return OUTCOME_EXIT[run.outcome] if run.outcome else Exit.FAILED


def _masker(app: App) -> Masker:
    return Masker([*secret_values(app.env.values.items()), *_token(app.token_file)])


def _token(path: str) -> list[str]:
    try:
        return [Path(path).read_text(encoding="utf-8").strip()] if path else []
    except (OSError, UnicodeDecodeError):
        return []
