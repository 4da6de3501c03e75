"""Whether an app's data may be newer than the version that runs on it, as far as the journal knows."""

from collections.abc import Iterable

from ccci_upgrade.model.run import GOING_BACK, Run
from ccci_upgrade.model.verdict import Outcome, State

DATA_NOT_RESTORED = "data-not-restored"
"""What is acknowledged where a version goes back alone."""


def suspicion(runs: Iterable[Run], app: str) -> str:
    """Why a copy of it now is none to go back to, in words; empty where nothing speaks against it.

    `runs` of one Swarm, oldest first. What ends it is data that was put back, or a good upgrade.
    """
    why = ""
    for run in runs:
        if run.app == app and run.outcome is not None:
            why = _after(run, why)
    return why


def _after(run: Run, why: str) -> str:
    state = run.verdict.state if run.verdict else None
    if run.outcome is Outcome.UPGRADED or (run.outcome is Outcome.ROLLED_BACK and run.failed_state):
        return ""
    if state is State.DATA_SUSPECT:
        return f"{run.to_version} may have migrated the data before {run.from_version} came back (run {run.run_id})"
    if run.command in GOING_BACK and DATA_NOT_RESTORED in run.acknowledged and state is not None:
        return f"{run.to_version} was put on the data of {run.from_version} (run {run.run_id})"
    return why
