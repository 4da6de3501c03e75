"""Ways back that died, in this process: gone on with, taken back, and what is kept of what was written since."""

from collections.abc import Iterator
from typing import Any

import pytest

from ccci_upgrade.errors import Exit, NotReadyError
from ccci_upgrade.model.openrun import Way
from ccci_upgrade.model.run import DONE_BEFORE, ROLLBACK, UNDO, Run
from ccci_upgrade.model.verdict import Outcome, State
from tests.killing.recipe import NEW, OLD, VOLUMES
from tests.practice.backhost import (
    BOTH,
    LOSS,
    DiedError,
    Doing,
    Place,
    die,
    end,
    in_snapshot,
    names,
    only,
    phase,
    place,
    row,
    said,
)
from tests.unit.test_steps import Told

pytestmark = [
    pytest.mark.timeout(120),
    # Facts are read by threads that end; what each had open to the Engine ends with it.
    pytest.mark.filterwarnings("ignore:unclosed <ccci_upgrade.tools.unixhttp:ResourceWarning"),
]
ACT = phase("act", ok=None)
PUT_BACK = "put the snapshot's data back"


@pytest.fixture(scope="module")
def made() -> Iterator[Place]:
    """Give one that is made once; each test says where it starts."""
    with place() as one:
        yield one


class Halfway(Told):
    """It dies when the first volume is about to be put back."""

    def progress(self, text: str, done: int, total: int) -> None:
        """End here."""
        super().progress(text, done, total)
        if any(PUT_BACK in line for line in self.said):
            die()


def half(there: Place) -> Run:
    """A rollback that died in the middle of its restore."""
    with pytest.raises(DiedError):
        there.back(LOSS, told=Halfway())
    return there.runs[-1]


def test_half_a_restore_is_gone_on_with_or_taken_back_never_accepted(made: Place) -> None:
    """Going on puts the snapshot back; taking it back brings what was replaced. Neither keeps a half in its place."""
    for way, version in ((Way.RESUME, OLD), (Way.UNDO, NEW)):
        made.start("upgraded")
        newer = made.lab.data
        run = half(made)
        assert made.replicas == [0, 0]
        with pytest.raises(NotReadyError, match="a part of the snapshot"):
            end(made, Way.ACCEPT)

        done = end(made, way)

        ended = only(done)
        assert ended.run_id == run.run_id
        assert (made.lab.version, made.replicas) == (version, [1, 1])
        assert len(made.lab.snapshots) == 2
        assert ended.failed_state == made.lab.snapshots[1]
        if way is Way.RESUME:
            assert (done.exit, ended.outcome, in_snapshot(made)) == (Exit.OK, Outcome.ROLLED_BACK, True)
            assert [each.detail for each in ended.phases if each.name == "failed-state"][1] == DONE_BEFORE
        else:
            assert (done.exit, ended.outcome) == (Exit.NOT_READY, Outcome.NOT_READY)
            assert (ended.undo.state if ended.undo else None, ended.verdict) == (State.CONVERGED, None)
            assert made.lab.data == newer


def test_a_restore_that_was_whole_is_not_made_again(made: Place) -> None:
    """The app is still down: going on lets abra act on that data, taking it back brings what was replaced."""
    for way, version in ((Way.RESUME, OLD), (Way.UNDO, NEW)):
        made.start("upgraded")
        newer = made.lab.data
        made.died(f"go back to {OLD}", LOSS)
        assert (made.replicas, in_snapshot(made)) == ([0, 0], True)

        run = only(end(made, way))

        assert (made.lab.version, made.replicas, len(made.lab.snapshots)) == (version, [1, 1], 2)
        assert names(run).count("restore") == 1
        if way is Way.RESUME:
            assert (run.outcome, in_snapshot(made), run.undo) == (Outcome.ROLLED_BACK, True, None)
        else:
            assert (run.outcome, made.lab.data, run.verdict) == (Outcome.NOT_READY, newer, None)
            assert names(run).count(f"{UNDO}restore") == 1
            assert f"{UNDO}failed-state" not in names(run)


def test_what_was_written_after_a_whole_restore_is_kept(made: Place) -> None:
    """Somebody started the app again, under its newer version: the snapshot comes back, and their work is not lost."""
    made.start("upgraded")
    made.died(f"go back to {OLD}", LOSS)
    made.start_services()
    made.lab.work()

    run = only(end(made, Way.RESUME))

    assert (run.outcome, made.lab.version, made.lab.lost_work()) == (Outcome.ROLLED_BACK, OLD, [])
    assert (names(run).count("restore"), len(made.lab.snapshots)) == (2, 3)


def test_a_way_back_that_abra_finished_is_only_judged_or_taken_back_whole(made: Place) -> None:
    """Going on puts nothing over what was written since; taking it back keeps that first."""
    made.start("upgraded")
    newer = made.lab.data
    made.died("watch the Swarm", LOSS)
    made.lab.wait(lambda: made.lab.version == OLD and made.lab.running(), "abra's act came to nothing")
    made.lab.work()
    picture = made.lab.picture()

    on = only(end(made, Way.RESUME))
    assert (on.outcome, made.lab.version, len(made.lab.snapshots)) == (Outcome.ROLLED_BACK, OLD, 2)
    assert (names(on).count("restore"), "abra had done it already" in said(on)) == (1, True)
    assert (made.volumes / VOLUMES[0] / "since").exists()

    made.lab.restore(picture)
    back = only(end(made, Way.UNDO))
    assert (back.outcome, made.lab.version, made.lab.data) == (Outcome.NOT_READY, NEW, newer)
    assert (made.lab.lost_work(), len(made.lab.snapshots)) == ([], 3)


@pytest.mark.parametrize(
    ("title", "kept", "restores"),
    [(f"{PUT_BACK}", 3, 1), ("half", 2, 2), (f"go back to {NEW}", 2, 1)],
    ids=["before it restored", "half of it restored", "all of it restored"],
)
def test_taking_a_way_back_back_may_die_too(made: Place, title: str, kept: int, restores: int) -> None:
    """Whatever is typed then goes on with it; where it had put nothing back yet, what is there is kept first."""
    made.start("upgraded")
    newer = made.lab.data
    half(made)
    dying = Halfway() if title == "half" else Doing(title, die)
    with pytest.raises(DiedError):
        end(made, Way.UNDO, told=dying)
    assert made.replicas == [0, 0]

    run = only(end(made, Way.RESUME))

    assert (run.outcome, made.lab.version, made.replicas) == (Outcome.NOT_READY, NEW, [1, 1])
    assert (made.lab.data, len(made.lab.snapshots)) == (newer, kept)
    assert names(run).count(f"{UNDO}restore") == restores


def test_a_version_that_went_back_alone_is_taken_back_alone(made: Place) -> None:
    """To where the run began, and not to where it was to lead; a death on that way changes nothing of it."""
    began: dict[str, Any] = {"command": ROLLBACK, "from_version": NEW, "to_version": OLD, "snapshot": None}
    made.start("upgraded")
    made.left_open(ACT, **began)
    run = only(end(made, Way.UNDO))
    assert (run.outcome, run.undo.state if run.undo else None) == (Outcome.NOT_READY, State.CONVERGED)
    assert (made.lab.version, made.lab.abras, row(made)) == (NEW, [], "spoilt")

    for phases, way in (
        ((phase("act"),), Way.UNDO),
        ((phase("act"), phase(f"{UNDO}act", ok=None)), Way.RESUME),
    ):
        made.start("fresh")
        made.left_open(*phases, **began)
        done = end(made, way)
        assert (done.exit, only(done).outcome) == (Exit.NOT_READY, Outcome.NOT_READY)
        assert (made.lab.version, made.lab.snapshots, len(made.lab.abras)) == (NEW, [], 1)


def test_an_upgrade_that_died_while_it_was_undone_is_undone(made: Place) -> None:
    """It was going back already, so going on leads back."""
    made.start("upgraded")
    back = (phase(f"{UNDO}replicas", BOTH), phase(f"{UNDO}quiesce", BOTH), phase(f"{UNDO}restore", ok=None))
    made.left_open(phase("act"), *back, snapshot=made.first)
    made.stop()

    done = end(made, Way.RESUME)

    assert (done.exit, only(done).outcome) == (Exit.ROLLED_BACK, Outcome.ROLLED_BACK)
    assert (made.lab.version, made.replicas, in_snapshot(made)) == (OLD, [1, 1], True)
