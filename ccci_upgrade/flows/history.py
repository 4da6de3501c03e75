"""`history`: what was done, from the journal alone; no Engine is needed."""

from ccci_upgrade import process
from ccci_upgrade.config import Config
from ccci_upgrade.model.run import Run
from ccci_upgrade.store.journal import Reading, read_all


def read_history(config: Config, apps: tuple[str, ...], *, limit: int) -> tuple[tuple[Run, ...], Reading]:
    """The last runs, newest first, of some apps or of all."""
    reading = read_all(config.state_dir)
    wanted = [run for run in reading.runs if not apps or run.app in apps or run.recipe in apps]
    return tuple(reversed(wanted[-limit:] if limit else wanted)), reading


def open_run_lines(reading: Reading) -> tuple[str, ...]:
    """One sentence for each run that has not ended, for every command to say."""
    return tuple(_open_run_line(run) for run in reading.open)


def under_way(run: Run) -> bool:
    """Whether an open run's process still lives, as far as this machine can tell."""
    return run.host == process.this_host() and process.alive(run.pid)


def _open_run_line(run: Run) -> str:
    which = f"run {run.run_id} ({run.app} to {run.to_version}, by {run.operator} on {run.host})"
    phase = run.phases[-1].name if run.phases else "opened"
    if under_way(run):
        return f"{which} is under way (pid {run.pid}), at `{phase}`"
    return f"{which} never ended: it was at `{phase}`; `ccci-upgrade health {run.app}` says what is true"
