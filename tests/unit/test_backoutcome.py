"""How a run that went back ended: every state of the Swarm, and every way nothing was done."""

import pytest

from ccci_upgrade.model.backoutcome import outcome_of_back
from ccci_upgrade.model.verdict import TABLE, Evidence, Outcome, State, Verdict

UNTOUCHED = (Outcome.LOCKED, Outcome.INTERRUPTED, Outcome.NOT_READY)


def outcome(
    state: State | None, *, touched: bool = True, asked: bool = True, taken_back: bool = False
) -> Outcome:
    """The outcome where this was seen; nothing was touched by somebody who had no lease."""
    verdict = Verdict(state=state, evidence=(Evidence(text="x"),)) if state else None
    return outcome_of_back(
        verdict, touched=touched, asked=asked, taken_back=taken_back, untouched=Outcome.LOCKED
    )


def test_the_version_before_running_well_is_rolled_back() -> None:
    """Of an upgrade that is taken back as well; a way back that is taken back leaves all as it was."""
    assert outcome(State.CONVERGED) is Outcome.ROLLED_BACK
    assert outcome(State.CONVERGED, asked=False) is Outcome.ROLLED_BACK
    assert outcome(State.CONVERGED, asked=False, taken_back=True) is Outcome.ROLLED_BACK
    assert outcome(State.CONVERGED, taken_back=True) is Outcome.NOT_READY


@pytest.mark.parametrize("state", [None, *(each for each in State if each is not State.CONVERGED)])
def test_anything_else_is_no_success(state: State | None) -> None:
    """Not even Swarm's own way back; only `unhealthy` is said as that, of a way back that was asked for."""
    unhealthy = state is not None and TABLE[state][0] is Outcome.UNHEALTHY

    assert outcome(state) is (Outcome.UNHEALTHY if unhealthy else Outcome.FAILED)
    assert outcome(state, taken_back=True) is Outcome.FAILED
    assert outcome(state, asked=False, taken_back=True) is Outcome.FAILED


@pytest.mark.parametrize("how", UNTOUCHED)
def test_where_nothing_was_touched_it_ended_as_it_was_refused(how: Outcome) -> None:
    """But for what is taken back: there something had been done before."""
    said = outcome_of_back(None, touched=False, asked=True, taken_back=False, untouched=how)

    assert said is how
    assert outcome(None, touched=False, taken_back=True) is Outcome.FAILED
