"""A run that never ended, read from its journal and put beside the Swarm: what is true, and which ways there are."""

from dataclasses import replace

import pytest

from ccci_upgrade.model.openrun import OpenRun, Way, commands_of, read_open, situation
from ccci_upgrade.model.run import DONE_BEFORE, RESTORE, ROLLBACK, SNAPSHOT, UNDO, UPGRADE, Phase, Run
from ccci_upgrade.model.sharedrun import LONGEST, closed_labels, open_labels, open_run, run_config
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import Outcome
from tests.builders import NEW, OLD, STACK, service, stack
from tests.unit.test_journal import run

BOTH = f"{STACK}_db=1 {STACK}_app=2"
FAILED = "20260301T120000-0002"
UP = stack(service(version=OLD, replicas=2), service("db"))
STOPPED = stack(service(version=OLD, replicas=0), service("db", replicas=0), tasks=())
HALF = stack(service(version=OLD, replicas=2), service("db", replicas=0))


def phase(name: str, detail: str = "", *, ok: bool | None = True) -> Phase:
    """One phase as the journal has it; `ok` is None where it never ended."""
    return Phase(name=name, seconds=1.0, ok=ok, detail=detail)


def open_(*phases: Phase, command: str = UPGRADE, **more: str) -> OpenRun:
    """What is read of a run with these phases."""
    began: Run = replace(run(), command=command, phases=phases, from_version=OLD, to_version=NEW)
    return read_open(replace(began, failed_state=more.get("failed_state")))


STOPPING = (phase("replicas", BOTH), phase("quiesce", BOTH, ok=None))


# -- what the journal tells --------------------------------------------------------------------------------


def test_a_run_that_only_opened_did_nothing() -> None:
    """It is harmless, and nothing was noted."""
    found = open_()

    assert (found.phase, found.noted, found.harmless, found.back) == ("opened", "", True, False)
    assert (found.acted, found.undoing, found.restoring, found.restored) == (False, False, False, False)


@pytest.mark.parametrize(("name", "harmless"), [("act", False), (f"{UNDO}act", False), ("verify", True)])
def test_only_abra_and_a_restore_do_harm(name: str, harmless: bool) -> None:  # noqa: FBT001 - a table's column
    """What an act came to only the Swarm knows."""
    assert open_(phase("copy"), phase(name, ok=None)).harmless is harmless


@pytest.mark.parametrize("name", ["restore", f"{UNDO}restore"])
def test_a_restore_that_never_ended_may_have_left_a_part(name: str) -> None:
    """One that ended well has not."""
    half, whole = open_(phase(name, ok=None)), open_(phase(name))

    assert (half.restoring, half.restored, half.harmless) == (True, False, False)
    assert (whole.restoring, whole.restored, whole.harmless) == (True, True, False)
    assert not open_(phase(name, ok=False)).restored


def test_the_last_of_two_restores_counts() -> None:
    """A way back that was itself taken back has both."""
    assert not open_(phase("restore"), phase(f"{UNDO}restore", ok=None)).restored
    assert open_(phase("restore", ok=False), phase(f"{UNDO}restore")).restored


@pytest.mark.parametrize(
    ("command", "phases", "back"),
    [
        (UPGRADE, (phase("act"),), False),
        (UPGRADE, (phase("act"), phase(f"{UNDO}check")), True),
        (SNAPSHOT, (phase("copy"),), False),
        (ROLLBACK, (phase("check"),), True),
        (RESTORE, (), True),
    ],
)
def test_which_way_its_next_act_leads(command: str, phases: tuple[Phase, ...], back: bool) -> None:  # noqa: FBT001 - same
    """A run that goes back, or an upgrade on its way back."""
    assert open_(*phases, command=command).back is back


@pytest.mark.parametrize("name", ["failed-state", f"{UNDO}failed-state"])
def test_the_copy_of_what_was_replaced_is_known_by_its_id(name: str) -> None:
    """From the record, or from the words of its phase."""
    assert open_(phase(name, f"failed state {FAILED}: 3 MB")).failed_state == FAILED
    assert open_(phase(name, "nothing yet")).failed_state is None
    assert open_(phase(name, f"failed state {FAILED}"), failed_state="other").failed_state == "other"


@pytest.mark.parametrize(
    ("phases", "noted"),
    [
        pytest.param(STOPPING, BOTH, id="noted before it stopped"),
        pytest.param((phase("quiesce", BOTH, ok=None),), BOTH, id="the intent alone"),
        pytest.param((phase("replicas", BOTH),), "", id="nothing was stopped"),
        pytest.param((phase("replicas", BOTH, ok=None), phase("quiesce")), "", id="never noted"),
        pytest.param((phase("quiesce", "stopped with exit app 0"),), "", id="an end is no intent"),
        pytest.param((*STOPPING, phase("back", "healthy again")), "", id="brought back"),
        pytest.param((*STOPPING, phase("back", ok=None)), BOTH, id="not quite brought back"),
        pytest.param((*STOPPING, phase("back", ok=False)), BOTH, id="could not be brought back"),
        pytest.param((*STOPPING, phase(f"{UNDO}quiesce", "", ok=None)), BOTH, id="found it stopped"),
        pytest.param(
            (phase(f"{UNDO}replicas", "x_app=1"), phase(f"{UNDO}quiesce", ok=None)), "x_app=1", id="on its way back"
        ),
        pytest.param(
            (*STOPPING, phase("back"), phase(f"{UNDO}replicas", "x_app=1"), phase(f"{UNDO}quiesce", ok=None)),
            BOTH,
            id="stopped twice",
        ),
        pytest.param((phase("quiesce", "x=many =2 word", ok=None),), "", id="no counts"),
    ],
)  # fmt: skip
def test_what_ran_before_it_stopped_anything(phases: tuple[Phase, ...], noted: str) -> None:
    """The counts before the first stop, as long as they have to be put back."""
    assert open_(*phases).noted == noted


# -- what is true now --------------------------------------------------------------------------------------


def test_a_step_that_was_passed_over_brought_nothing_back() -> None:
    """After a restore nobody brings an app back but abra: till then it is down."""
    stopped = (phase("replicas", BOTH), phase("quiesce"), phase("restore"))

    assert open_(*stopped, phase("back", DONE_BEFORE), command=ROLLBACK).noted == BOTH
    assert not open_(*stopped, phase("back", "healthy again"), command=ROLLBACK).noted


def test_without_a_swarm_nothing_is_known_and_no_way_is_offered() -> None:
    """It is said."""
    found = situation(open_(), None)

    assert (found.now, found.down, found.ways) == (("the Swarm could not be asked",), (), ())
    assert not found.untouched


def test_services_it_left_stopped_are_named_once_and_it_cannot_be_accepted_so() -> None:
    """A service at 0 that this run did not stop is said to be so, too, and is not its own."""
    found = situation(open_(*STOPPING), HALF)
    other = situation(open_(phase("quiesce", f"{STACK}_app=2 {STACK}_db=0", ok=None)), STOPPED)

    assert found.down == (f"{STACK}_db",)
    assert found.now == (f"version label {OLD}", f"{STACK}_db: stopped by this run")
    assert found.ways == (Way.RESUME, Way.UNDO)
    assert other.down == (f"{STACK}_app",)
    assert "db: scaled to 0 replicas" in other.now


def test_a_healthy_app_can_be_accepted_as_it_is() -> None:
    """Every way is open."""
    found = situation(open_(phase("act", ok=None)), UP)

    assert (found.now, found.down) == ((f"version label {OLD}",), ())
    assert found.ways == (Way.RESUME, Way.UNDO, Way.ACCEPT)
    assert commands_of(found) == [
        f"ccci-upgrade upgrade {found.open.run.app} --{word}" for word in ("resume", "undo", "accept")
    ]


def test_half_a_restore_is_said_and_never_accepted() -> None:
    """A whole one may be."""
    half, whole = (situation(open_(phase("restore", ok=ok)), UP) for ok in (None, True))

    assert half.now[-1] == "its volumes may hold a part of the snapshot that was being put back"
    assert half.ways == (Way.RESUME, Way.UNDO)
    assert (len(whole.now), whole.ways[-1]) == (1, Way.ACCEPT)


def test_an_app_that_is_gone_or_has_no_label_is_said() -> None:
    """Nothing of it is guessed."""
    assert situation(open_(), stack()).now == ("it is not deployed",)
    assert situation(open_(), stack(service())).now == ("version label none",)


ACT = phase("act", ok=None)


@pytest.mark.parametrize(
    ("phases", "seen", "untouched"),
    [
        pytest.param((*STOPPING,), UP, True, id="harmless"),
        pytest.param((*STOPPING, ACT), STOPPED, True, id="abra did nothing"),
        pytest.param((*STOPPING, ACT), HALF, False, id="abra began"),
        pytest.param((*STOPPING, ACT), UP, False, id="abra went on"),
        pytest.param((ACT,), STOPPED, False, id="nothing was stopped by it"),
        pytest.param(
            (*STOPPING, ACT),
            stack(service(version=NEW, replicas=0), service("db", replicas=0), tasks=()),
            False,
            id="another version",
        ),
        pytest.param((*STOPPING, ACT, phase("restore")), STOPPED, False, id="restored"),
    ],
)
def test_an_app_that_stands_as_it_was_stopped_was_not_touched(
    phases: tuple[Phase, ...],
    seen: Stack,
    untouched: bool,  # noqa: FBT001 - a table's column
) -> None:
    """What abra deploys it brings back: where all is still at 0 under the old label, it came to nothing."""
    assert situation(open_(*phases), seen).untouched is untouched


# -- as the Swarm keeps it for others ----------------------------------------------------------------------


def test_an_open_run_is_read_back_from_its_labels() -> None:
    """With its phases."""
    began = replace(run(), phases=(phase("act", "x", ok=None),))

    assert open_run(open_labels(began)) == began
    assert run_config(STACK) != run_config("other")


def test_no_open_run_is_read_from_anything_else() -> None:
    """Nothing, an end, an absurdly long one, and what is no run."""
    ended = replace(run(), outcome=Outcome.UPGRADED, finished="2026-03-01T12:01:00.000Z")
    long = replace(run(), notices=("x" * LONGEST,))
    (label,) = closed_labels()

    assert open_run(closed_labels()) is open_run({}) is None
    assert open_run(open_labels(ended)) is None
    assert open_labels(long) == closed_labels()
    for text in ("{", "[]", "{}", "[" * 20_000, " " * LONGEST + "{}"):
        assert open_run({label: text}) is None
