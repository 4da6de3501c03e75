"""`history`: what was done, from the journal alone; no Engine is needed."""

from ccci_upgrade import process
from ccci_upgrade.config import Config
from ccci_upgrade.model.run import GOING_BACK, SNAPSHOT, UNDO, Run
from ccci_upgrade.model.verdict import Outcome
from ccci_upgrade.store.journal import Reading, read_all


def read_history(config: Config, apps: tuple[str, ...], *, limit: int) -> tuple[tuple[Run, ...], Reading]:
    """The last runs, newest first, of some apps or of all."""
    reading = read_all(config.state_dir)
    wanted = [run for run in reading.runs if not apps or run.app in apps or run.recipe in apps]
    return tuple(reversed(wanted[-limit:] if limit else wanted)), reading


def seconds_back(config: Config, app: str) -> float | None:
    """How long it took to go back the last time that an app did; None where it never did."""
    for run in reversed(read_all(config.state_dir).runs):
        if run.app == app and run.outcome is Outcome.ROLLED_BACK:
            undoing = [p.seconds for p in run.phases if run.undo is None or p.name.startswith(UNDO)]
            if run.undo is not None or run.command in GOING_BACK:
                return sum(undoing)
    return None


def open_run_lines(reading: Reading) -> tuple[str, ...]:
    """One sentence for each run that has not ended, for every command to say."""
    return tuple(_open_run_line(run) for run in reading.open)


def under_way(run: Run) -> bool:
    """Whether an open run's process still lives, as far as this machine can tell."""
    return run.host == process.this_host() and process.alive(run.pid)


def noted_before(run: Run) -> str:
    """`SERVICE=REPLICAS` of every service a run was about to stop, from the journal; empty where none was."""
    phases = {phase.name: phase for phase in run.phases}
    back, noted = phases.get("back"), phases.get("replicas")
    if "quiesce" not in phases or (back is not None and back.ok):
        return ""
    return noted.detail if noted is not None and noted.ok else phases["quiesce"].detail


def _open_run_line(run: Run) -> str:
    what = f"snapshot of {run.app}" if run.command == SNAPSHOT else f"{run.app} to {run.to_version}"
    which = f"run {run.run_id} ({what}, by {run.operator} on {run.host})"
    phase = run.phases[-1].name if run.phases else "opened"
    if under_way(run):
        return f"{which} is under way (pid {run.pid}), at `{phase}`"
    if run.command == SNAPSHOT and (before := noted_before(run)):
        return (
            f"{which} never ended: it was at `{phase}`, and had stopped the app. Replicas before: {before}. "
            f"`ccci-upgrade health {run.app}` says what is true; to bring them back: docker service scale {before}"
        )
    return f"{which} never ended: it was at `{phase}`; `ccci-upgrade health {run.app}` says what is true"
