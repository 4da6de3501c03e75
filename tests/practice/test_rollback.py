"""`rollback` and `snapshot restore` in this process: which version, which data, every refusal and every end."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ccci_upgrade import clock
from ccci_upgrade.errors import Exit, NotReadyError, UsageError
from ccci_upgrade.flows.lease import hold, release_lease
from ccci_upgrade.model.finding import Finding
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import RESTORE, ROLLBACK
from ccci_upgrade.model.snapshot import Kind
from ccci_upgrade.model.verdict import Outcome, State
from tests.killing.recipe import APP, NEW, OLD, OLD_IMAGE, VOLUMES
from tests.practice.backhost import LOSS, Doing, Place, place, press

pytestmark = [
    pytest.mark.timeout(120),
    # Facts are read by threads that end; what each had open to the Engine ends with it.
    pytest.mark.filterwarnings("ignore:unclosed <ccci_upgrade.tools.unixhttp:ResourceWarning"),
]


@pytest.fixture(scope="module")
def host() -> Iterator[Place]:
    """Give one that is made once; each test says where it starts."""
    with place() as made:
        yield made


def planned(there: Place, *acks: str, **more: Any) -> Plan:
    """The plan of a way back that is only looked at."""
    (plan,) = there.back(*acks, dry_run=True, **more).plans
    return plan


def named(plan: Plan, name: str) -> Finding:
    """One finding of a plan."""
    return next(each for each in plan.findings if each.id == name)


# -- the whole way -----------------------------------------------------------------------------------------


def test_an_upgrade_is_taken_back_with_its_data(host: Place) -> None:
    """Held until somebody accepts what goes; then version and data are as before, and what was replaced is kept."""
    host.start("upgraded")
    newer, was = host.lab.data, len(host.runs)
    dry, held = host.back(LOSS, dry_run=True), host.back()
    assert (dry.exit, dry.runs, held.exit) == (Exit.OK, (), Exit.HELD)
    assert (host.lab.version, host.lab.data, len(host.runs)) == (NEW, newer, was)

    done = host.back(LOSS)

    (run,) = done.runs
    assert (done.exit, run.outcome, run.command) == (Exit.OK, Outcome.ROLLED_BACK, ROLLBACK)
    assert (run.from_version, run.to_version, run.snapshot) == (NEW, OLD, host.first)
    assert (run.verdict.state if run.verdict else None, run.undo) == (State.CONVERGED, None)
    assert (run.next_steps, run.logs) == ((), ())
    assert [each.name for each in run.phases][:4] == ["pull", "images", "check", "replicas"]
    assert (host.lab.version, host.lab.pinned, host.replicas) == (OLD, OLD, [1, 1])
    assert not (host.volumes / VOLUMES[0] / "sub" / "new").exists()
    assert run.failed_state is not None
    failed = host.store.find(run.failed_state)
    assert failed is not None
    assert failed.manifest is not None
    assert (failed.manifest.kind, failed.manifest.version) == (Kind.FAILED_STATE, NEW)
    last = host.runs[-1]
    assert (last.run_id, last.outcome, last.verdict) == (run.run_id, run.outcome, run.verdict)
    assert run.run_id in host.told.said
    assert host.lab.lease_free(left=False)


def test_a_snapshot_is_restored_by_its_id(host: Place) -> None:
    """The state in it comes back, whatever ran since."""
    host.start("saved")

    done = host.back(LOSS, snapshot=host.first)

    (run,) = done.runs
    assert (done.exit, run.outcome, run.command) == (Exit.OK, Outcome.ROLLED_BACK, RESTORE)
    assert (run.to_version, run.snapshot) == (OLD, host.first)
    assert (host.volumes / VOLUMES[0] / "soft").is_symlink()


def test_the_version_alone_goes_back_where_somebody_accepts_that(host: Place) -> None:
    """No data is touched, nothing is kept; an old version that refuses the data is told as it is."""
    host.start("upgraded")
    host.migrated()
    held = host.back(version_only=True)
    data = (host.volumes / VOLUMES[0] / "sub" / "new").read_text()

    done = host.back("data-not-restored", version_only=True)

    (run,) = done.runs
    assert (held.exit, held.runs[0].holds) == (Exit.HELD, ("data-not-restored",))
    assert (done.exit, run.outcome) == (Exit.FAILED, Outcome.FAILED)
    assert run.verdict is not None
    assert run.verdict.state is not State.CONVERGED
    assert (run.snapshot, run.failed_state) == (None, None)
    assert (host.volumes / VOLUMES[0] / "sub" / "new").read_text() == data
    assert any(f"ccci-upgrade rollback {APP} --to {OLD}" in line for line in run.next_steps)
    assert any("the data was written by 999.0" in line for line in run.logs)


# -- which version -----------------------------------------------------------------------------------------


def test_the_version_is_the_one_said_else_the_last_upgrades_else_the_remembered(host: Place) -> None:
    """In that order; without any of them it is asked for."""
    host.start("upgraded")
    assert planned(host, to=NEW).to_version == NEW
    host.remembers(NEW)
    assert planned(host).to_version == OLD

    host.lab.journal.unlink()
    host.remembers(OLD, NEW)
    assert planned(host).to_version == OLD
    host.remembers(NEW)
    for versions in ((NEW,), ()):
        host.remembers(*versions)
        with pytest.raises(UsageError, match=f"no upgrade of {APP} is known here") as caught:
            host.back(dry_run=True)
        assert "--to VERSION" in caught.value.hint


def test_only_upgrades_of_this_app_that_began_to_act_tell_where_it_came_from(host: Place) -> None:
    """One that was refused at a gate changed nothing."""
    host.start("upgraded")
    last = host.runs[-1]
    others: tuple[dict[str, Any], ...] = ({"app": "other"}, {"command": ROLLBACK}, {"phases": ()})
    for number, more in enumerate(others):
        changed: dict[str, Any] = {"phases": last.phases, "outcome": Outcome.FAILED, **more}
        host.left_open(run_id=f"29990101T00000{number}-0000", started="2999", from_version=NEW, **changed)

    assert planned(host).to_version == OLD


# -- which snapshot ----------------------------------------------------------------------------------------


def test_a_snapshot_that_cannot_be_used_by_its_id_is_refused(host: Place) -> None:
    """Unknown, of another app, of an unknown version, damaged."""
    host.start("saved")
    first = host.first
    with pytest.raises(UsageError, match="there is no snapshot `20200101T000000-0000`"):
        host.back(snapshot="20200101T000000-0000")
    host.rewrite(first, version=None)
    with pytest.raises(NotReadyError, match="of an unknown version") as unknown:
        host.back(snapshot=first)
    assert unknown.value.code == "snapshot-version"
    folder = host.files(first)
    (folder / "0.tar.gz").write_bytes(b"")
    with pytest.raises(NotReadyError, match="cannot be used") as damaged:
        host.back(snapshot=first)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(NotReadyError, match="cannot be used") as broken:
        host.back(snapshot=first)
    assert (damaged.value.code, broken.value.code) == ("snapshot-damaged", "snapshot-damaged")
    folder.parent.rename(folder.parent.with_name("other.example.org"))
    with pytest.raises(UsageError, match="there is no snapshot"):
        host.back(snapshot=first)
    assert [run.command for run in host.runs] == ["snapshot create"]


def test_a_way_back_with_data_wants_a_good_snapshot_of_that_version(host: Place) -> None:
    """None is chosen that is spoiled, not verified, damaged or of another version; each is told with its reason."""
    host.start("upgraded")
    first = host.first
    assert planned(host, to=OLD).findings
    assert host.back(to=NEW).exit is Exit.NOT_READY
    assert named(planned(host, to=NEW), "snapshot-missing").evidence == (f"snapshot {first} of {OLD}: good",)

    def why() -> str:
        (line,) = named(planned(host, to=OLD), "snapshot-missing").evidence
        return line

    kept = host.store.find(first)
    assert kept is not None
    host.store.spoil(kept, "somebody deployed")
    assert why() == f"snapshot {first} of {OLD}: somebody deployed"
    (kept.folder / "spoiled").unlink()
    (kept.folder / "verified").unlink()
    assert why() == f"snapshot {first} of {OLD}: not verified"
    host.rewrite(first, version=None)
    assert why() == f"snapshot {first} of an unknown version: not verified"
    (kept.folder / "manifest.json").write_text("{")
    assert why().startswith(f"snapshot {first} of an unknown version: ")
    assert not why().endswith("verified")
    host.store.remove(kept)
    assert why() == "there are no snapshots of this app on this machine"


def test_the_newest_snapshot_of_the_version_is_chosen(host: Place) -> None:
    """Of two that are good."""
    host.start("upgraded")
    newer, older = "29990101T000000-0000", host.files(host.first)
    shutil.copytree(older, older.with_name(newer))
    host.rewrite(newer, id=newer)

    assert f"snapshot {newer} of {OLD}" in named(planned(host), "data-loss").evidence[0]


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (timedelta(minutes=3), "3 min"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (timedelta(days=-1), "0 min"),
    ],
)
def test_how_old_a_snapshot_is_is_said(host: Place, ago: timedelta, words: str) -> None:
    """In the two units that count; one of the future is new."""
    host.start("saved")
    host.rewrite(host.first, taken=clock.stamp(clock.now() - ago))

    evidence = named(planned(host, snapshot=host.first), "data-loss").evidence

    assert evidence[0] == f"snapshot {host.first} of {OLD}, taken {words} ago"


def test_an_app_without_data_is_asked_nothing(host: Place) -> None:
    """And no snapshot of it is put back, though there is one."""
    host.start("upgraded")

    plan = planned(host, host=host.without_data())

    assert (plan.holds, plan.to_version) == ((), OLD)
    assert not [each for each in plan.findings if each.id.startswith("data")]


def test_only_what_holds_a_way_back_can_be_acknowledged(host: Place) -> None:
    """Anything else is a slip, and is said before anything is looked at."""
    host.start("upgraded")

    with pytest.raises(UsageError, match="`--ack major`") as caught:
        host.back(LOSS, "major")

    assert "data-loss or data-not-restored" in caught.value.hint


# -- images ------------------------------------------------------------------------------------------------


def test_an_old_image_that_lost_its_name_is_here(host: Place) -> None:
    """Its id is in the snapshot: nothing is pulled, and abra finds it by its name."""
    host.start("upgraded")
    engine = host.lab.engine
    kept = host.store.find(host.first)
    assert kept is not None
    assert kept.manifest is not None
    identity = next(each.image_id for each in kept.manifest.services if each.name == "app")
    assert engine.ask("DELETE", f"/images/{OLD_IMAGE}").status == 200
    assert engine.find(f"/images/{identity}/json") is not None

    done = host.back(LOSS)

    phases = {each.name: each.detail for each in done.runs[0].phases}
    assert (done.exit, phases["images"]) == (Exit.OK, "2 images are here")
    assert engine.find(f"/images/{OLD_IMAGE}/json") is not None


# -- how it ends without going the way -----------------------------------------------------------------------


def test_nobody_goes_back_while_somebody_else_is_at_work(host: Place) -> None:
    """The run is told, and not in the journal."""
    host.start("upgraded")
    was = host.runs
    with hold(host.host.swarm, command="upgrade other", wait=0.0, reporter=host.told):
        done = host.back(LOSS, to=OLD)

    (run,) = done.runs
    assert (done.exit, run.outcome, run.to_version) == (Exit.LOCKED, Outcome.LOCKED, OLD)
    assert done.error is not None
    assert "upgrade other" in done.error.message
    assert (host.runs, host.lab.version) == (was, NEW)


def test_a_lease_that_is_lost_before_anything_was_touched_is_said(host: Place) -> None:
    """It is not called a failure: nothing was done."""
    host.start("upgraded")
    told = Doing("read the snapshot back", lambda: release_lease(host.host.swarm, allowed=lambda _: None))

    (run,) = host.back(LOSS, told=told).runs

    assert (run.outcome, run.verdict, run.failed_state) == (Outcome.LOCKED, None, None)
    assert run.next_steps[0] == "ccci-upgrade lease show"
    assert "lost the lease" in run.notices[0]


def test_ctrl_c_before_anything_was_touched_changes_nothing(host: Place) -> None:
    """The app runs on, and the same command is what to type."""
    host.start("upgraded")

    done = host.back(LOSS, told=Doing("stop it", press))

    assert (done.exit, done.runs[0].outcome) == (Exit.INTERRUPTED, Outcome.INTERRUPTED)
    assert done.runs[0].next_steps == (f"ccci-upgrade rollback {APP} --to {OLD}",)
    assert (host.lab.version, host.replicas) == (NEW, [1, 1])


@pytest.mark.parametrize("command", [ROLLBACK, RESTORE])
def test_a_snapshot_that_is_damaged_is_found_before_the_app_is_stopped(host: Place, command: str) -> None:
    """One flipped byte: nothing was touched, and the command that goes the way once more is said."""
    host.start("upgraded")
    first = host.first
    file = host.files(first) / "0.tar.gz"
    data = file.read_bytes()
    file.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])

    done = host.back(LOSS, snapshot=first if command == RESTORE else None)

    again = f"snapshot restore {APP} {first}" if command == RESTORE else f"rollback {APP} --to {OLD}"
    assert (done.exit, done.runs[0].outcome) == (Exit.NOT_READY, Outcome.NOT_READY)
    assert done.runs[0].next_steps == (f"ccci-upgrade {again}",)
    assert f"the snapshot {first} is damaged" in done.runs[0].notices[0]
    assert (host.lab.version, host.replicas) == (NEW, [1, 1])


def test_a_way_back_that_fails_half_way_is_a_failure(host: Place) -> None:
    """No abra is there when it is to act: the app is down on the old data, and hands are needed."""
    host.start("upgraded")
    abra = replace(host.host, abra=type(host.host.abra)("/nonexistent/abra", host.host.config.abra_dir))

    done = host.back(LOSS, host=abra)

    (run,) = done.runs
    assert (done.exit, run.outcome, run.verdict) == (Exit.FAILED, Outcome.FAILED, None)
    assert host.replicas == [0, 0]
    assert run.failed_state is not None
    assert f"ccci-upgrade health {APP}" in run.next_steps
