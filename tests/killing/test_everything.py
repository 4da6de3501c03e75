"""The kill matrix in full: every moment, every way on, every request, deaths of the way on, deaths at any time."""

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.killing.conftest import PARTS, Jobs
from tests.killing.lab import Lab
from tests.killing.matrix import Tally, try_every_way, try_point, try_second_death

TIMES = int(os.environ.get("CCCI_UPGRADE_KILLS", "200"))
"""Deaths at any time, half a second to the end of the command."""

pytestmark = [pytest.mark.real, pytest.mark.timeout(3600)]
Record = Callable[[str, object], None]


def _told(record_property: Record, tally: Tally, name: str) -> None:
    assert not tally.problems, "\n".join(tally.problems)
    record_property("figure", tally.line(name))


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", ["upgrade", "rollback", "snapshot", "restore"])
def test_every_way_from_every_write(
    place: Lab, jobs: Jobs, name: str, part: int, record_property: Record
) -> None:
    """All that `status` offers leads to something whole; half a line is repaired and told."""
    made, tally = jobs(name), Tally()
    for at in made.points()[part::PARTS]:
        try_every_way(place, made, at, tally)

    _told(record_property, tally, f"{name}, every way, part {part + 1} of {PARTS}")


@pytest.mark.parametrize("name", ["upgrade", "rollback", "snapshot", "restore"])
def test_every_request_that_changes_something(
    place: Lab, jobs: Jobs, name: str, record_property: Record
) -> None:
    """Between two writes much is done: a volume gone and not yet made, one service stopped and the other not."""
    made, tally = jobs(name), Tally()
    for turn, at in enumerate(made.asked()):
        try_point(place, made, at, tally, turn=turn // 2 + turn)

    _told(record_property, tally, f"{name}, every request")


@pytest.mark.parametrize("way", ["resume", "undo"])
@pytest.mark.parametrize(
    "first",
    [("upgrade", "begin copy:after"), ("upgrade", "end act:before"), ("rollback", "begin restore:after")],
    ids=" ".join,
)
def test_a_second_death(
    place: Lab, jobs: Jobs, first: tuple[str, str], way: str, record_property: Record
) -> None:
    """Whoever finishes or undoes may die as well."""
    (name, at), tally = first, Tally()
    try_second_death(place, jobs(name), at, way, tally)

    _told(record_property, tally, f"{name} killed {at}, then {way} killed at every write")


@pytest.mark.parametrize("part", range(PARTS))
def test_at_any_time(place: Lab, jobs: Jobs, part: int, record_property: Record) -> None:
    """No point in mind; a failure names its time."""
    tally = Tally()
    dice = random.Random(f"{time.time()} {part}")  # noqa: S311 - nothing is kept secret with it
    for number in range(part, TIMES, PARTS):
        made = jobs(("upgrade", "rollback", "snapshot", "restore")[number // PARTS % 4])
        try_point(place, made, f"time:{dice.uniform(0.4, made.seconds):.3f}", tally, turn=number // 3)

    _told(record_property, tally, f"at any time, part {part + 1} of {PARTS}")
