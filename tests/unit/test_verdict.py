"""The table from verdict to outcome and exit code is a contract."""

import re

import pytest

from ccci_upgrade import errors
from ccci_upgrade.errors import CcciError, Exit
from ccci_upgrade.model.verdict import OUTCOME_EXIT, TABLE, UNDOABLE, Outcome, State

CONTRACT = """
converged            upgraded     0
unchanged            not_ready   13
wrong_version        failed      15
not_converged        unhealthy   16
unhealthy            unhealthy   16
paused               failed      15
swarm_rolled_back    rolled_back 14
mixed                failed      15
flapping             unhealthy   16
zero_replicas        unhealthy   16
data_detached        failed      15
data_suspect         failed      15
foreign_change       failed      15
"""


def test_the_table_is_the_contract() -> None:
    """Every state, each with one outcome and one exit code."""
    rows = [f"{state} {outcome} {code.value}" for state, (outcome, code) in TABLE.items()]

    assert rows == [re.sub(" +", " ", row) for row in CONTRACT.strip().splitlines()]
    assert set(TABLE) == set(State)


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_an_exit_code(outcome: Outcome) -> None:
    """Also those without a verdict."""
    assert outcome in OUTCOME_EXIT


def test_only_good_ends_exit_with_0() -> None:
    """A script that looks at the code alone must not be misled."""
    good = {outcome for outcome, code in OUTCOME_EXIT.items() if code is Exit.OK}

    assert good == {Outcome.UPGRADED, Outcome.NOOP, Outcome.SKIPPED, Outcome.SAVED}


def test_what_failed_is_undone_but_not_what_is_good_or_theirs() -> None:
    """Nothing to take back where it converged, nothing changed, or Swarm did it; a foreign change is not ours."""
    left = {"converged", "unchanged", "swarm_rolled_back", "foreign_change"}
    assert {state.value for state in State} - {state.value for state in UNDOABLE} == left
    assert set(State) >= UNDOABLE


def test_exit_codes_are_the_contracts() -> None:
    """Runbooks have these numbers in them."""
    assert sorted(Exit) == [0, 1, 2, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 130]


def test_every_error_has_a_code_of_its_own() -> None:
    """`errors[].code` tells them apart where the exit code does not."""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, CcciError)]

    assert len({c.code for c in classes}) == len(classes) > 8


def test_an_error_keeps_message_hint_and_code() -> None:
    """A more exact code may be given where it is raised."""
    error = errors.NotReadyError("no Swarm", hint="init one", code="no-swarm")

    assert (str(error), error.message, error.hint, error.code) == (
        "no Swarm",
        "no Swarm",
        "init one",
        "no-swarm",
    )
    assert errors.NotReadyError("x").code == "not-ready"
