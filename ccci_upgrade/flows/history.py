"""`history`: what was done, from the journal alone; no Engine is needed."""

from ccci_upgrade.config import Config
from ccci_upgrade.model.run import Run
from ccci_upgrade.store.journal import Reading, read_all


def read_history(config: Config, apps: tuple[str, ...], *, limit: int) -> tuple[tuple[Run, ...], Reading]:
    """The last runs, newest first, of some apps or of all."""
    reading = read_all(config.state_dir)
    wanted = [run for run in reading.runs if not apps or run.app in apps or run.recipe in apps]
    return tuple(reversed(wanted[-limit:] if limit else wanted)), reading


def open_run_lines(reading: Reading) -> tuple[str, ...]:
    """One sentence for each run that never ended, for every command to say."""
    return tuple(
        f"run {run.run_id} ({run.app} to {run.to_version}, by {run.operator} on {run.host}) never ended: "
        f"it was at `{run.phases[-1].name if run.phases else 'opened'}`; "
        f"`ccci-upgrade health {run.app}` says what is true"
        for run in reading.open
    )
