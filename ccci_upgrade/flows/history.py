"""`history`: what was done, from the journal alone; no Engine is needed."""

from ccci_upgrade import process
from ccci_upgrade.config import Config
from ccci_upgrade.model.openrun import read_open
from ccci_upgrade.model.run import UPGRADE, Run
from ccci_upgrade.store.journal import Reading, read_all


def read_history(config: Config, apps: tuple[str, ...], *, limit: int) -> tuple[tuple[Run, ...], Reading]:
    """The last runs, newest first, of some apps or of all."""
    reading = read_all(config.state_dir)
    wanted = [run for run in reading.runs if not apps or run.app in apps or run.recipe in apps]
    return tuple(reversed(wanted[-limit:] if limit else wanted)), reading


def open_run_lines(reading: Reading) -> tuple[str, ...]:
    """One sentence for each run that has not ended, and for each journal cut off, for every command to say."""
    torn = (
        f"the last line of the journal `{path}` was cut off; it is kept, and the next run marks it"
        for path in reading.torn
    )
    return (*(_open_run_line(run) for run in reading.open), *torn)


def under_way(run: Run) -> bool:
    """Whether an open run's process still lives, as far as this machine can tell."""
    here = run.host == process.this_host() and run.boot in ("", process.this_boot())
    return here and not process.dead(run.pid)


def _open_run_line(run: Run) -> str:
    found = read_open(run)
    what = f"{run.app} to {run.to_version}" if run.command == UPGRADE else f"{run.command} of {run.app}"
    which = f"run {run.run_id} ({what}, by {run.operator} on {run.host})"
    if under_way(run):
        return f"{which} is under way (pid {run.pid}), at `{found.phase}`"
    stopped = f", and had stopped the app. Replicas before: {found.noted}" if found.noted else ""
    return (
        f"{which} never ended: it was at `{found.phase}`{stopped}. `ccci-upgrade status` says what is true; to end it: "
        f"ccci-upgrade upgrade {run.app} --resume, or --undo"
    )
