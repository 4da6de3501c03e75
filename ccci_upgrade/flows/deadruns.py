"""Runs that never ended, looked at: what was begun, what is true now, and what can be done about it."""

from collections.abc import Iterable, Mapping

from ccci_upgrade import clock
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.flows.history import under_way
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.sharedruns import told_of
from ccci_upgrade.model.app import App
from ccci_upgrade.model.openrun import Situation, read_open, situation
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.store.journal import read_all


class OpenRunError(NotReadyError):
    """A run of this app never ended: it has to be ended first, one way or another."""

    code = "open-run"

    def __init__(self, found: Situation) -> None:
        """Say what is true and what to type."""
        run = found.open.run
        ways = " | ".join(f"--{way.value}" for way in found.ways)
        super().__init__(
            f"run {run.run_id} ({run.command} of {run.app}, by {run.operator} on {run.host}) never ended: it was at "
            f"`{found.open.phase}`; now: {'; '.join(found.now)}",
            hint=f"end it first: ccci-upgrade upgrade {run.app} {ways}",
        )
        self.situation = found


def situations(host: Host, stacks: Mapping[str, Stack], told: Iterable[Run] = ()) -> tuple[Situation, ...]:
    """Every open run of this Swarm that no living process has, beside what runs now.

    `told` are those that the Swarm knows of, where nobody is at work.
    """
    apps = {app.name: app.stack for app in host.apps}
    runs = [run for run in read_all(host.config.state_dir).runs if run.cluster == host.cluster.id]
    known = {run.run_id for run in runs}
    dead = [run for run in runs if run.outcome is None and not under_way(run)]
    dead += [run for run in told if run.run_id not in known and run.app in apps]
    return tuple(situation(read_open(run), stacks.get(apps.get(run.app, ""), _nothing(run))) for run in dead)


def open_of(host: Host, app: App) -> Situation | None:
    """The oldest open run of one app; whoever asks has the lease, so nobody is at work on it.

    One that began on another machine is known from the Swarm, from where it stopped the app on.
    """
    runs = [r for r in read_all(host.config.state_dir).runs if r.cluster == host.cluster.id]
    found = next((run for run in runs if run.app == app.name and run.outcome is None), None)
    if found is None:
        told = told_of(host.swarm, app.stack)
        ended = {run.run_id for run in runs}
        found = told if told is not None and told.app == app.name and told.run_id not in ended else None
    return situation(read_open(found), host.swarm.stack(app.stack)) if found is not None else None


def refuse_open(host: Host, app: App) -> None:
    """OpenRunError where a run of this app never ended: a new one on top would hide what is true."""
    found = open_of(host, app)
    if found is not None:
        raise OpenRunError(found)


def _nothing(run: Run) -> Stack:
    return Stack(name=run.app, taken=clock.now(), services=(), tasks=(), volumes=())
