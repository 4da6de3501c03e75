"""Runs that never ended, in this process: what is true of them, each way to end one, and each that is closed."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ccci_upgrade.errors import Exit, NotReadyError, UsageError
from ccci_upgrade.flows.deadruns import OpenRunError, open_of, refuse_open, situations
from ccci_upgrade.flows.lease import LeaseTakenError, hold
from ccci_upgrade.flows.saving import SICK
from ccci_upgrade.flows.sharedruns import tell
from ccci_upgrade.model.openrun import Way
from ccci_upgrade.model.run import RESTORE, ROLLBACK, SNAPSHOT, UNDO
from ccci_upgrade.model.sharedrun import open_labels
from ccci_upgrade.model.verdict import Outcome, State
from ccci_upgrade.process import this_boot, this_host
from tests.killing.recipe import APP, NEW, OLD, SERVICES, STACK
from tests.practice.backhost import (
    BOTH,
    LOSS,
    Doing,
    Place,
    end,
    in_snapshot,
    names,
    only,
    phase,
    place,
    press,
    row,
    said,
    state,
)

pytestmark = [
    pytest.mark.timeout(120),
    # Facts are read by threads that end; what each had open to the Engine ends with it.
    pytest.mark.filterwarnings("ignore:unclosed <ccci_upgrade.tools.unixhttp:ResourceWarning"),
]
FAILED = "20260301T120000-0002"
GONE = "20260301T120000-0009"
STOPPING = (phase("replicas", BOTH), phase("quiesce", BOTH))
ACT = phase("act", ok=None)
PUT_BACK = "put the snapshot's data back"


@pytest.fixture(scope="module")
def made() -> Iterator[Place]:
    """Give one that is made once; each test says where it starts."""
    with place() as one:
        yield one


# -- which run -----------------------------------------------------------------------------------------------


def test_there_must_be_one_open_run(made: Place) -> None:
    """None, one of another Swarm, one that ended, several: each is said, and nothing is done."""
    made.start("upgraded")
    made.left_open(cluster="another")
    for app, text in ((None, "there is no open run"), (APP, f"{APP} has no open run")):
        with pytest.raises(UsageError, match=text):
            end(made, Way.UNDO, app=app)
    made.left_open(run_id="a", app="b.example.org")
    made.left_open(run_id="b", app="a.example.org")
    with pytest.raises(UsageError, match="several apps") as caught:
        end(made, Way.UNDO, app=None)
    assert caught.value.hint == "name one of a.example.org, b.example.org"
    assert (made.lab.version, made.lab.lease_free(left=False)) == (NEW, True)


def test_the_one_app_with_an_open_run_needs_no_name(made: Place) -> None:
    """A recipe's name will do, too."""
    for app in (None, "keycloak"):
        made.start("fresh")
        made.left_open()

        run = only(end(made, Way.UNDO, app=app))

        assert (run.app, run.outcome) == (APP, Outcome.NOT_READY)


def test_nobody_ends_a_run_while_somebody_is_at_work(made: Place) -> None:
    """It may be theirs."""
    made.start("fresh")
    made.left_open()

    with (
        hold(made.host.swarm, command="upgrade other", wait=0.0, reporter=made.told),
        pytest.raises(LeaseTakenError, match="upgrade other"),
    ):
        end(made, Way.UNDO)

    assert made.runs[-1].outcome is None


def test_a_new_run_is_refused_while_one_is_open(made: Place) -> None:
    """With what is true and what to type; where none is, it is let go on."""
    made.start("fresh")
    refuse_open(made.host, made.host.apps[0])
    made.left_open(*STOPPING, here=True)
    made.stop()

    with pytest.raises(OpenRunError, match="never ended: it was at `quiesce`") as caught:
        refuse_open(made.host, made.host.apps[0])

    assert caught.value.code == "open-run"
    assert f"{SERVICES[0]}: stopped by this run" in caught.value.message
    assert caught.value.hint == f"end it first: ccci-upgrade upgrade {APP} --resume | --undo"
    assert set(caught.value.situation.down) == set(SERVICES)


def test_open_runs_are_seen_beside_what_runs(made: Place) -> None:
    """Those of this Swarm whose process is gone, and those that only the Swarm knows of; each once."""
    made.start("fresh")
    dead = made.left_open(ACT, run_id="dead")
    made.left_open(run_id="living", host=this_host(), boot=this_boot(), pid=1)
    made.left_open(run_id="ended", outcome=Outcome.UPGRADED)
    made.left_open(run_id="foreign", cluster="another")
    made.left_open(run_id="away", app="away.example.org")
    told = replace(dead, run_id="told")
    strange = replace(dead, run_id="strange", app="strange.example.org")

    found = situations(made.host, {STACK: made.stack}, (dead, told, strange))

    seen = {each.open.run.run_id: each.now for each in found}
    assert set(seen) == {"dead", "away", "told"}
    assert seen["away"] == ("it is not deployed",)
    assert seen["dead"] == seen["told"] == (f"version label {OLD}",)
    assert {each.open.phase for each in situations(made.host, {STACK: made.stack})} == {"act", "opened"}


# -- ways that are closed ------------------------------------------------------------------------------------


def test_an_app_that_is_down_is_not_accepted(made: Place) -> None:
    """What can be done instead is said, and the run stays open."""
    made.start("fresh")
    made.left_open(*STOPPING, ACT)
    made.stop(SERVICES[0])

    with pytest.raises(NotReadyError, match="cannot be ended with `--accept`") as caught:
        end(made, Way.ACCEPT)

    assert (caught.value.code, caught.value.hint) == ("open-run", "`--resume` or `--undo`")
    assert f"{SERVICES[0]}: stopped by this run" in caught.value.message
    assert made.runs[-1].outcome is None


def test_without_the_version_before_nobody_can_go_back(made: Place) -> None:
    """An upgrade of something that had no label."""
    made.start("fresh")
    made.left_open(ACT, from_version=None)

    with pytest.raises(NotReadyError, match="the version before is unknown"):
        end(made, Way.UNDO)


def test_a_snapshot_on_another_machine_cannot_be_put_back_here(made: Place) -> None:
    """It is said where it is; nothing is stopped."""
    made.start("fresh")
    made.left_open(ACT, snapshot=GONE, host="laptop")

    with pytest.raises(NotReadyError, match=f"snapshot {GONE} is not on this machine.*laptop") as caught:
        end(made, Way.UNDO)

    assert caught.value.code == "snapshot-elsewhere"
    assert (made.lab.version, made.replicas) == (OLD, [1, 1])


@pytest.mark.parametrize("what", ["not kept", "damaged", "no version"])
def test_what_a_restore_replaced_must_be_there_to_come_back(made: Place, what: str) -> None:
    """Else only going on is left."""
    made.start("saved")
    first = made.first
    if what == "damaged":
        (made.files(first) / "0.tar.gz").write_bytes(b"")
    failed = GONE if what == "not kept" else first
    came_from = None if what == "no version" else OLD
    made.left_open(
        *STOPPING, phase("restore", ok=None), command=ROLLBACK, failed_state=failed, from_version=came_from
    )
    made.stop()

    with pytest.raises(NotReadyError, match="replaced was not kept") as caught:
        end(made, Way.UNDO)

    assert caught.value.hint == "go on with it: `--resume`"
    assert made.replicas == [0, 0]


# -- nothing but replicas was touched ------------------------------------------------------------------------


def test_an_upgrade_that_died_before_abra_is_begun_anew(made: Place) -> None:
    """First the app is brought back; then the whole goes through every gate once more."""
    made.start("fresh")
    made.left_open(*STOPPING, phase("copy", ok=None), acknowledged=("major",))
    made.stop()

    done = end(made, Way.RESUME)

    first, second = done.runs
    assert (first.outcome, first.next_steps) == (Outcome.NOT_READY, ())
    assert first.notices == ("the run was begun anew: nothing but replicas was touched",)
    assert names(first)[-1] == "back"
    assert (done.exit, second.outcome, second.to_version) == (Exit.OK, Outcome.UPGRADED, NEW)
    assert second.acknowledged == ("major",)
    assert (made.lab.version, made.replicas) == (NEW, [1, 1])


def test_an_upgrade_that_died_before_abra_is_undone_by_its_replicas(made: Place) -> None:
    """It ends as one that changed nothing."""
    made.start("fresh")
    made.left_open(*STOPPING, phase("copy", ok=None))
    made.stop()

    done = end(made, Way.UNDO)

    run = only(done)
    assert (done.exit, run.outcome) == (Exit.NOT_READY, Outcome.NOT_READY)
    assert run.notices == ("the run was ended: nothing but replicas was touched",)
    assert (made.lab.version, made.replicas) == (OLD, [1, 1])
    assert made.runs[-1].outcome is Outcome.NOT_READY


def test_an_upgrade_whose_abra_did_nothing_is_undone_by_its_replicas(made: Place) -> None:
    """What abra deploys it brings back: all is as it was stopped, so no data is put back."""
    made.start("saved")
    made.left_open(*STOPPING, ACT, snapshot=made.first)
    made.stop()

    run = only(end(made, Way.UNDO))

    assert (run.outcome, names(run)[-1]) == (Outcome.NOT_READY, "back")
    assert (made.replicas, row(made)) == ([1, 1], "spoilt")


@pytest.mark.parametrize("sick", [False, True])
def test_an_app_that_does_not_come_back_is_not_begun_anew(made: Place, *, sick: bool) -> None:
    """It is a failure that needs hands; one that somebody accepted to be sick is not waited for."""
    made.start("fresh")
    made.left_open(*STOPPING, command=SNAPSHOT, acknowledged=(SICK,) if sick else ())
    made.stop()
    made.migrated()
    (app,) = made.host.apps
    hurried = replace(made.host, apps=(replace(app, budget=1.0),))

    done = end(made, Way.UNDO if sick else Way.RESUME, host=hurried)

    run = only(done)
    if sick:
        assert (run.outcome, run.next_steps) == (Outcome.NOT_READY, ())
    else:
        assert (done.exit, run.outcome) == (Exit.FAILED, Outcome.FAILED)
        assert run.notices[0] == "the run was ended: nothing but replicas was touched"
        assert len(run.notices) == 2
        assert run.next_steps == (f"ccci-upgrade health {APP}",)
    assert made.replicas == [1, 1]


def test_ctrl_c_while_it_is_brought_back_begins_nothing_anew(made: Place) -> None:
    """The app is up again."""
    made.start("fresh")
    made.left_open(*STOPPING, command=SNAPSHOT)
    made.stop()

    done = end(made, Way.RESUME, told=Doing("bring it back", press))

    assert (only(done).outcome, made.replicas, made.lab.snapshots) == (Outcome.NOT_READY, [1, 1], [])


def test_a_snapshot_that_was_never_taken_is_taken(made: Place) -> None:
    """It is one of its own."""
    made.start("fresh")
    made.left_open(*STOPPING, phase("copy", ok=None), command=SNAPSHOT)
    made.stop()

    done = end(made, Way.RESUME)

    assert [run.outcome for run in done.runs] == [Outcome.NOT_READY, Outcome.SAVED]
    assert (done.exit, done.error, made.replicas, len(made.lab.snapshots)) == (Exit.OK, None, [1, 1], 1)


def test_a_rollback_that_died_early_is_begun_anew_with_what_was_accepted(made: Place) -> None:
    """With the same version and data; a run of another machine that only the Swarm knows of is written down here."""
    made.start("upgraded")
    run = made.died("keep the state that is replaced", LOSS)
    assert (run.command, made.replicas) == (ROLLBACK, [0, 0])
    lines = made.lab.journal.read_text().splitlines(keepends=True)
    made.lab.journal.write_text("".join(line for line in lines if run.run_id not in line))

    found = open_of(made.host, made.host.apps[0])
    assert found is not None
    assert found.open.run.run_id == run.run_id
    done = end(made, Way.RESUME)

    first, second = done.runs
    assert (first.run_id, first.outcome) == (run.run_id, Outcome.NOT_READY)
    assert (done.exit, second.command, second.outcome) == (Exit.OK, ROLLBACK, Outcome.ROLLED_BACK)
    assert (second.snapshot, second.acknowledged) == (made.first, (LOSS,))
    assert (made.lab.version, in_snapshot(made)) == (OLD, True)
    assert [each.outcome for each in made.runs if each.run_id == run.run_id] == [Outcome.NOT_READY]
    assert open_of(made.host, made.host.apps[0]) is None


def test_what_the_swarm_tells_of_others_is_not_taken_for_a_run_of_this_app(made: Place) -> None:
    """One of another app, and one that ended here and could not be told so."""
    made.start("fresh")
    (app,) = made.host.apps
    run = made.left_open(here=False)
    tell(made.host.swarm, STACK, open_labels(replace(run, app="other.example.org")))
    assert open_of(made.host, app) is None
    tell(made.host.swarm, STACK, open_labels(run))
    assert open_of(made.host, app) is not None
    made.left_open(outcome=Outcome.UPGRADED)
    assert open_of(made.host, app) is None


def test_a_restore_that_died_early_is_begun_anew_with_its_snapshot(made: Place) -> None:
    """Not with the newest one of that version."""
    made.start("saved")
    first = made.first
    newer = made.files(first).with_name("29990101T000000-0000")
    shutil.copytree(made.files(first), newer)
    made.rewrite(newer.name, id=newer.name)
    made.left_open(command=RESTORE, snapshot=first, to_version=OLD, acknowledged=(LOSS,))

    done = end(made, Way.RESUME)

    assert (done.exit, done.runs[-1].command, done.runs[-1].snapshot) == (Exit.OK, RESTORE, first)
    assert in_snapshot(made)


def test_a_rollback_without_data_that_died_early_stays_without(made: Place) -> None:
    """Though there is a snapshot of that version."""
    made.start("upgraded")
    made.fit_for_all()
    made.left_open(
        command=ROLLBACK, from_version=NEW, to_version=OLD, acknowledged=("data-not-restored",), snapshot=None
    )

    done = end(made, Way.RESUME)

    assert (done.exit, done.runs[-1].snapshot, row(made)) == (Exit.OK, None, "spoilt")
    assert made.lab.version == OLD


# -- an upgrade that abra began ------------------------------------------------------------------------------


def test_an_upgrade_that_abra_finished_is_only_judged(made: Place) -> None:
    """Nothing is done twice; the version is pinned, where abra did not come to that."""
    made.start("upgraded")
    made.env.write_text(made.env.read_text().replace(NEW, OLD))
    made.left_open(*STOPPING, ACT, snapshot=made.first)

    done = end(made, Way.RESUME)

    run = only(done)
    assert (done.exit, run.outcome, state(run)) == (Exit.OK, Outcome.UPGRADED, State.CONVERGED)
    assert "abra had done it already" in said(run)
    assert (made.lab.pinned, made.lab.abras) == (NEW, [])
    assert run.snapshot == made.first


@pytest.mark.parametrize("came_from", [OLD, None])
def test_an_upgrade_that_abra_did_not_do_is_done(made: Place, came_from: str | None) -> None:
    """What was stopped comes up with the new version; what ran before may be unknown."""
    made.start("fresh")
    made.left_open(*STOPPING, ACT, from_version=came_from)
    made.stop()

    run = only(end(made, Way.RESUME))

    assert (run.outcome, run.from_version, len(made.lab.abras)) == (Outcome.UPGRADED, came_from, 1)
    assert (made.lab.version, made.replicas) == (NEW, [1, 1])


def test_an_upgrade_is_taken_back_with_its_snapshot(made: Place) -> None:
    """As its own undo would have been: what ran since is kept."""
    made.start("upgraded")
    made.left_open(*STOPPING, ACT, snapshot=made.first)

    done = end(made, Way.UNDO)

    run = only(done)
    assert (done.exit, run.outcome) == (Exit.ROLLED_BACK, Outcome.ROLLED_BACK)
    assert (run.verdict, run.undo.state if run.undo else None) == (None, State.CONVERGED)
    assert {f"{UNDO}restore", f"{UNDO}act", f"{UNDO}failed-state"} <= set(names(run))
    assert (made.lab.version, made.replicas, in_snapshot(made)) == (OLD, [1, 1], True)
    assert run.failed_state in made.lab.snapshots


def test_an_upgrade_without_a_snapshot_is_taken_back_by_its_version(made: Place) -> None:
    """Its data stays; an app without data needs no snapshot, wherever it is."""
    for snapshot, host in ((None, made.host), (GONE, made.without_data())):
        made.start("upgraded")
        made.fit_for_all()
        made.left_open(ACT, snapshot=snapshot)

        run = only(end(made, Way.UNDO, host=host))

        assert (run.outcome, run.failed_state) == (Outcome.ROLLED_BACK, None)
        assert (made.lab.version, row(made)) == (OLD, "spoilt")
        assert f"{UNDO}restore" not in names(run)


def test_an_upgrade_that_cannot_be_taken_back_says_what_to_type(made: Place) -> None:
    """The snapshot is damaged: the app stays as it is, and the way back once more leads to where it came from."""
    made.start("upgraded")
    made.left_open(ACT, snapshot=made.first)
    file = made.files(made.first) / "0.tar.gz"
    data = file.read_bytes()
    file.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])

    done = end(made, Way.UNDO)

    run = only(done)
    assert (done.exit, run.outcome) == (Exit.FAILED, Outcome.FAILED)
    assert any(f"ccci-upgrade rollback {APP} --to {OLD}" in line for line in run.next_steps)
    assert (made.lab.version, made.replicas) == (NEW, [1, 1])


# -- accepted as it is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "phases", "more", "ends"),
    [
        ("upgraded", (ACT,), {}, (Exit.OK, Outcome.UPGRADED, State.CONVERGED)),
        ("fresh", (ACT,), {}, (Exit.NOT_READY, Outcome.NOT_READY, State.UNCHANGED)),
        ("upgraded", (), {}, (Exit.NOT_READY, Outcome.NOT_READY, State.UNCHANGED)),
        (
            "fresh",
            (ACT,),
            {"command": ROLLBACK, "from_version": NEW, "to_version": OLD},
            (Exit.OK, Outcome.ROLLED_BACK, State.CONVERGED),
        ),
    ],
    ids=["reached", "not reached", "did nothing for it", "way back"],
)
def test_what_is_healthy_is_accepted_as_it_is(
    made: Place, start: str, phases: tuple[Any, ...], more: dict[str, Any], ends: tuple[Exit, Outcome, State]
) -> None:
    """Nothing is changed but the `.env`, which says what runs afterwards."""
    made.start(start)
    made.env.write_text(made.env.read_text().replace(OLD, "1.0.0+1").replace(NEW, "1.0.0+1"))
    made.left_open(*phases, **more)
    running, data = made.lab.version, made.lab.data

    done = end(made, Way.ACCEPT)

    run = only(done)
    assert (done.exit, run.outcome, state(run)) == ends
    assert run.verdict is not None
    assert [each.text for each in run.verdict.evidence] == [f"version label {running}", "accepted as it is"]
    assert (made.lab.version, made.lab.pinned, made.lab.data, made.lab.abras) == (running, running, data, [])
    assert (names(run)[-1], run.next_steps) == ("pin", ())


def test_a_pin_that_cannot_be_written_is_told(made: Place) -> None:
    """The verdict stands."""
    made.start("upgraded")
    made.left_open(ACT)
    made.env.unlink()

    run = only(end(made, Way.ACCEPT))

    assert (run.outcome, run.next_steps) == (Outcome.UPGRADED, (f"ccci-upgrade health {APP}",))
    assert (run.phases[-1].name, run.phases[-1].ok, len(run.notices)) == ("pin", False, 1)


def test_what_is_sick_is_accepted_as_sick(made: Place) -> None:
    """It is never called upgraded, and nothing is pinned."""
    made.start("upgraded")
    made.left_open(ACT)
    made.stop(SERVICES[0])
    made.lab.wait(lambda: made.replicas[0] == 0, "it was not scaled")
    made.env.write_text(made.env.read_text().replace(NEW, OLD))

    done = end(made, Way.ACCEPT)

    run = only(done)
    assert (done.exit, run.outcome, state(run)) == (Exit.UNHEALTHY, Outcome.UNHEALTHY, State.UNHEALTHY)
    assert run.verdict is not None
    assert any("scaled to 0" in each.text for each in run.verdict.evidence)
    assert made.lab.pinned == OLD


def test_an_app_without_a_version_is_accepted_and_not_pinned(made: Place) -> None:
    """Nobody knows what runs."""
    made.start("upgraded")
    made.left_open(ACT)
    made.unlabel()
    pinned = made.lab.pinned

    run = only(end(made, Way.ACCEPT))

    assert (run.outcome, state(run), made.lab.pinned) == (Outcome.NOT_READY, State.UNCHANGED, pinned)
    assert run.verdict is not None
    assert run.verdict.evidence[0].text == "version label none"
    assert "pin" not in names(run)
