"""What the journal knows of data that may be newer than its version."""

from dataclasses import replace

import pytest

from ccci_upgrade.model.run import RESTORE, ROLLBACK, SNAPSHOT, UPGRADE, Run
from ccci_upgrade.model.suspect import DATA_NOT_RESTORED, suspicion
from ccci_upgrade.model.verdict import Outcome, State, Verdict
from tests.builders import APP, NEW, OLD


def run(command: str, outcome: Outcome | None, state: State | None = None) -> Run:
    """One run of the app; nothing was put back."""
    return Run(
        run_id="r1", command=command, app=APP, recipe="keycloak", server="s", cluster="c", from_version=OLD,
        to_version=NEW, started="2026-03-01T12:00:00Z", operator="o", host="h", pid=1, outcome=outcome,
        verdict=Verdict(state=state, evidence=()) if state else None,
    )  # fmt: skip


SWARM_MADE = run(UPGRADE, Outcome.FAILED, State.DATA_SUSPECT)
ALONE = replace(run(ROLLBACK, Outcome.ROLLED_BACK, State.CONVERGED), acknowledged=(DATA_NOT_RESTORED,))
UPGRADED = run(UPGRADE, Outcome.UPGRADED, State.CONVERGED)
COPIED = run(SNAPSHOT, Outcome.SAVED)
BACK = replace(run(ROLLBACK, Outcome.ROLLED_BACK, State.CONVERGED), snapshot="a", failed_state="b")
UNDONE = replace(run(UPGRADE, Outcome.ROLLED_BACK, State.UNHEALTHY), snapshot="a", failed_state="b")
UNDO_FAILED = replace(SWARM_MADE, failed_state="b", undo=Verdict(state=State.NOT_CONVERGED, evidence=()))
OPEN = replace(UPGRADED, outcome=None)


@pytest.mark.parametrize(
    "runs",
    [
        (SWARM_MADE,),
        (ALONE,),
        (replace(ALONE, outcome=Outcome.UNHEALTHY),),
        (UNDO_FAILED,),
        (UPGRADED, SWARM_MADE, COPIED),
        (SWARM_MADE, run(UPGRADE, Outcome.HELD)),
        (SWARM_MADE, run(UPGRADE, Outcome.ROLLED_BACK, State.SWARM_ROLLED_BACK)),
        (BACK, ALONE, OPEN),
    ],
)
def test_suspicion_lasts(runs: tuple[Run, ...]) -> None:
    """Copies, refusals and runs that are open do not end it, nor does another way back of Swarm's own."""
    assert "(run r1)" in suspicion(runs, APP)


@pytest.mark.parametrize(
    "runs",
    [
        (),
        (UPGRADED, COPIED),
        (SWARM_MADE, BACK),
        (ALONE, replace(BACK, command=RESTORE)),
        (SWARM_MADE, UNDONE),
        (ALONE, UPGRADED),
        (replace(ALONE, verdict=None, outcome=Outcome.HELD, acknowledged=()),),
        (replace(ALONE, verdict=None, outcome=Outcome.NOT_READY),),
        (replace(SWARM_MADE, app="drone.ci.example.org"),),
    ],
)
def test_nothing_is_suspected_without_cause(runs: tuple[Run, ...]) -> None:
    """Data that was put back ends it, and a good upgrade; another app's runs say nothing."""
    assert suspicion(runs, APP) == ""
