"""What Drone's queue tells of its runners."""

import pytest

from ccci_upgrade.model.drone import read_queue
from ccci_upgrade.model.probe import Gap

NOW = 1_700_000_000
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def stage(status: str, *, age: int = 0, machine: str = "") -> dict[str, object]:
    """A stage as `/api/queue` lists it, queued `age` seconds before the answer."""
    return {"id": 1, "status": status, "created": NOW - age, "machine": machine}


@pytest.mark.parametrize(
    ("queue", "ok", "gap"),
    [
        ([], False, Gap.UNTOLD),
        ([stage("running", machine="ci")], True, Gap.NONE),
        ([stage("pending", age=10)], False, Gap.UNTOLD),
        ([stage("pending", age=61)], False, Gap.NONE),
        ([stage("pending", age=900), stage("running", machine="ci")], True, Gap.NONE),
        ([{"status": "pending", "created": "junk"}], False, Gap.UNTOLD),
        ([{"status": "pending", "created": 10**30}], False, Gap.UNTOLD),
        ([3, None], False, Gap.UNTOLD),
        ({"message": "no"}, False, Gap.NONE),
    ],
)
def test_only_a_build_tells_of_a_runner(*, queue: object, ok: bool, gap: Gap) -> None:
    """A running stage proves one, a long wait the contrary, an empty queue nothing."""
    result = read_queue("runner", queue, DATE, seconds=0.1)

    assert (result.ok, result.gap) == (ok, gap)


def test_waiting_is_reckoned_by_the_servers_clock_or_not_at_all() -> None:
    """Without a Date the age is not known, and nobody is accused."""
    assert read_queue("runner", [stage("pending", age=900)], "", seconds=0.1).gap is Gap.UNTOLD


def test_machine_name_is_tamed() -> None:
    """It comes from a runner."""
    assert "\x1b" not in read_queue("runner", [stage("running", machine="\x1b[2J")], DATE, seconds=0).detail
