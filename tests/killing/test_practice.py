"""The kill matrix on the practice host: SIGKILL at every write to the journal, and the next command makes it whole.

No lease stays, no service is left at 0, nothing is done twice, and the data is the snapshot's or the upgrade's.
"""

import time
from collections.abc import Callable

import pytest

from tests.killing.conftest import PARTS, Jobs
from tests.killing.lab import Lab
from tests.killing.matrix import ABRA_AFTER, Tally, try_point

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", ["upgrade", "rollback", "snapshot", "restore"])
def test_whatever_write_it_dies_at(
    place: Lab, jobs: Jobs, name: str, part: int, record_property: Callable[[str, object], None]
) -> None:
    """One way on for each point, in turn."""
    began = time.monotonic()
    made = jobs(name)
    points = made.points(("before", "after"))
    tally = Tally()
    for number in range(part, len(points), PARTS):
        try_point(place, made, points[number], tally, turn=number // PARTS + number)

    assert not tally.problems, "\n".join(tally.problems)
    record_property(
        "figure", f"{tally.line(f'{name}, part {part + 1} of {PARTS}')}, {time.monotonic() - began:.0f} s"
    )
    record_property("figure", f"kill matrix, {name}: {len(points)} points in all")


@pytest.mark.parametrize("name", ["upgrade", "rollback"])
@pytest.mark.parametrize("word", ["abra", "abra+"], ids=["it goes on", "it is killed too"])
def test_while_abra_is_at_work(
    place: Lab, jobs: Jobs, name: str, word: str, record_property: Callable[[str, object], None]
) -> None:
    """Before it did anything, in the middle of it, after it."""
    tally = Tally()
    for turn, seconds in enumerate(ABRA_AFTER):
        try_point(place, jobs(name), f"{word}:{seconds}", tally, turn=turn)

    assert not tally.problems, "\n".join(tally.problems)
    record_property("figure", tally.line(f"{name}, while {word} is at work"))
