"""Saving an app's data, and the way back, in this process: each rule and each refusal, on a practice engine.

What abra would do is done through the Engine: only what the steps do with it is tried here.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, NotReadyError
from ccci_upgrade.flows.acting import Task
from ccci_upgrade.flows.copying import Copying, last_good
from ccci_upgrade.flows.ground import Ground, Held, InterruptedRunError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.keptsecrets import Recipients
from ccci_upgrade.flows.lease import Lease
from ccci_upgrade.flows.quiesce import Quiesced
from ccci_upgrade.flows.saving import SICK, Baseline, Saving, bring_back
from ccci_upgrade.flows.steps import Progress, Step, Walked
from ccci_upgrade.flows.undoing import Undoing, Way, backward
from ccci_upgrade.model.app import App
from ccci_upgrade.model.goal import Goal
from ccci_upgrade.model.probe import ProbeResult
from ccci_upgrade.model.probe_config import probes_from_config
from ccci_upgrade.model.protection import SUSPECT
from ccci_upgrade.model.snapshot import Kind
from ccci_upgrade.model.snapshotscope import Source
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import Evidence, Outcome, State, Verdict
from ccci_upgrade.redact import Masker
from ccci_upgrade.store.journal import Journal
from ccci_upgrade.store.snapshots import Kept, verify
from ccci_upgrade.tools.engine import Engine, Json
from ccci_upgrade.tools.swarm import Swarm
from tests import builders
from tests.fakeengine import FakeEngine
from tests.practice.enginehost import Host as EngineHost
from tests.practice.enginehost import Tree, at, free_port, host, service, until
from tests.practice.test_quiesce import APP, DB_IMAGE, LABELS
from tests.practice.test_quiesce import Place as Stacked
from tests.unit.test_age import pair
from tests.unit.test_journal import CLUSTER, run

NAME = "blog.ci.example.org"
OLD, NEW = "1.0.0+1", "1.1.0+1"
FIRST, SECOND, THIRD = (f"20260301T12000{n}-000{n}" for n in (1, 2, 3))
VERSION = f"coop-cloud.{APP}.version"


class Place(Stacked):
    """A practice engine with an app that keeps data, and a run on it."""

    def __init__(self, engine: EngineHost, folder: Path) -> None:
        """Nothing is deployed yet."""
        super().__init__(engine)
        self.folder = folder
        self.interrupts = Interrupts()
        made = builders.app("TYPE=blog\n", holds_data=True)
        self.app: App = replace(
            made,
            name=NAME,
            stack=APP,
            recipe="blog",
            path=folder / f"{NAME}.env",
            settle=0.2,
            budget=20.0,
            probes=(),
        )
        self.app.path.write_text("TYPE=blog:1.0.0+1\n")

    def up(self) -> Stack:
        """Deploy it with data."""
        self.deploy(app={"DATA_DIR": "/data"}, DATA_DIR="/data")
        return self.labelled(OLD)

    def labelled(self, version: str, replicas: int | None = None) -> Stack:
        """What abra does in the end: the version's label, and replicas again."""
        for name in ("app", "db"):
            spec = cast("Tree", at(self.host.tree(f"/services/{APP}_{name}"), "Spec"))
            spec["Labels"] = {**LABELS, VERSION: version}
            if replicas is not None:
                spec["Mode"] = {"Replicated": {"Replicas": replicas}}
            assert self.host.update(spec).status == 200
        return self.swarm.stack(APP)

    def ground(self, *, swarm: Swarm | None = None, app: App | None = None) -> Ground:
        """A run that begins."""
        config = SimpleNamespace(state_dir=self.folder / "state", source=None)
        abra = SimpleNamespace(
            back_argv=lambda name, version, live: ("app", "deploy", name, version, str(live))
        )
        place = SimpleNamespace(
            config=config,
            cluster=SimpleNamespace(id=CLUSTER),
            server="ci.example.org",
            swarm=swarm or self.swarm,
            abra=abra,
            door=None,
        )
        lease = SimpleNamespace(renew=lambda: None, lost=False)
        record = replace(run(), app=NAME)
        journal = Journal(config.state_dir, CLUSTER)
        return Ground(
            host=cast("Host", place),
            app=app or self.app,
            held=Held(lease=cast("Lease", lease), lock=0, interrupts=self.interrupts),
            reporter=self.told,
            journal=journal,
            folder=journal.open(record),
            record=record,
            masker=Masker([]),
        )

    def data(self, name: str = "db") -> Path:
        """The folder of a volume."""
        (found,) = self.host.practice.folder.glob(f"**/volumes/{APP}_{name}")
        return found

    def saved(self, snapshot: str = FIRST) -> Kept:
        """A snapshot of it as it is."""
        ground = self.ground()
        saving = Saving(ground, snapshot, while_running=False, copies=1)
        walked = ground.walk((*saving.steps(), saving.back()))
        assert walked.error is None
        return self.kept(snapshot)

    def kept(self, snapshot: str) -> Kept:
        """One that is there."""
        found = self.ground().store.find(snapshot)
        assert found is not None
        return found

    def way(
        self,
        kept: Kept | None,
        *,
        failed: str | None = SECOND,
        acts: Callable[[], object] | None = None,
        noted: str = "",
    ) -> tuple[Undoing, Ground]:
        """A way back; `acts` is what abra does."""
        ground = self.ground()
        act = acts or (lambda: self.labelled(OLD, 1))

        def there(_: Stack) -> bool:
            act()
            return True

        task = Task(
            title="go back",
            argv=lambda: (),
            version=OLD,
            before=lambda: self.swarm.stack(APP),
            goal=lambda acted: Goal(
                version=OLD, was=NEW, services={}, acted=acted, settle=0.2, holds_data=True
            ),
            detached=lambda _: (),
            baseline=Baseline(probes=(), sick=True),
            there=there,
        )
        images = {DB_IMAGE: "", "traefik:v3.0.0": ""}
        return Undoing(
            ground, Way(act=task, kept=kept, failed_state=failed, images=images, noted=noted)
        ), ground

    def go(self, kept: Kept | None, **more: object) -> tuple[Undoing, Walked]:
        """Go it."""
        undoing, ground = self.way(kept, **more)  # type: ignore[arg-type]
        try:
            return undoing, ground.walk(undoing.steps())
        finally:
            undoing.acting.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give an engine of its own."""
    with host() as made:
        yield Place(made, tmp_path)


def named(steps: tuple[Step, ...], name: str) -> Step:
    """One step of a list."""
    return next(step for step in steps if step.id == name)


# -- saving ------------------------------------------------------------------------------------------------


def test_an_app_is_copied_while_it_stands_still_and_comes_back(place: Place) -> None:
    """The copy is whole, says how all ended, and is what the next one is compared with."""
    place.up()
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=False, copies=2)
    assert (saving.noted, saving.warnings, last_good(ground)) == ("", (), None)

    walked = ground.walk(saving.steps())
    assert (walked.error, place.replicas(), saving.down, saving.proven) == (None, [0, 0], True, True)
    assert saving.noted == "blog_db=1 blog_app=1"
    saving.still()
    assert ground.walk((saving.back(),)).error is None

    assert (place.replicas(), saving.down) == ([1, 1], False)
    assert saving.back().probe() is Progress.DONE
    found = last_good(ground)
    assert found is not None
    assert found.manifest is not None
    assert [each.exit_codes for each in found.manifest.services] == [(0,), (0,)]
    assert (found.manifest.version, found.manifest.kind) == (OLD, Kind.SNAPSHOT)
    assert [step.id for step in saving.steps()] == ["look", "replicas", "quiesce", "copy", "check"]


def test_an_app_may_be_copied_while_it_runs(place: Place) -> None:
    """Nothing of it is stopped, and who changes it meanwhile spoils nothing."""
    place.up()
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=True, copies=1)

    assert ground.walk(saving.steps()).error is None
    saving.still()

    assert [step.id for step in saving.steps()] == ["look", "copy", "check"]
    assert (place.replicas(), saving.down) == ([1, 1], False)


def test_an_emptied_database_does_not_become_what_to_go_back_to(place: Place) -> None:
    """Before an upgrade it is refused unless somebody accepted it; a plain snapshot is taken and not proven."""
    place.deploy()
    for snapshot, copies, accepted, refused in (
        (FIRST, 2, frozenset[str](), True),
        (SECOND, 2, frozenset({SUSPECT}), False),
        (THIRD, 1, frozenset[str](), False),
    ):
        ground = place.ground()
        saving = Saving(ground, snapshot, while_running=True, copies=copies, accepted=accepted)
        error = ground.walk(saving.steps()).error

        assert (error.code if error else None) == ("snapshot-suspect" if refused else None)
        assert saving.proven is bool(accepted)


def test_what_is_not_deployed_or_stopped_is_not_copied(place: Place) -> None:
    """There is nothing to copy, or somebody else stopped it."""
    ground = place.ground()
    first = ground.walk(Saving(ground, FIRST, while_running=False, copies=1).steps()).error
    place.up()
    place.labelled(OLD, 0)
    second = ground.walk(Saving(ground, FIRST, while_running=False, copies=1).steps()).error

    assert isinstance(first, NotReadyError)
    assert isinstance(second, NotReadyError)
    assert (first.code, second.code) == ("undeployed", "unsettled")
    assert "blog_app, blog_db: scaled to 0 replicas" in second.message


def test_a_sick_app_is_copied_where_somebody_accepted_that(place: Place) -> None:
    """It is not waited for, neither before nor after."""
    place.deploy(app={"IGNORE_TERM": "1"})
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=True, copies=1, baseline=Baseline(probes=(), sick=True))

    assert named(saving.steps(), "look").act()
    assert bring_back(ground, saving.quiesced, Baseline(probes=(), sick=True)) if saving.quiesced else False
    assert SICK == "unhealthy-before"


def test_a_folder_of_the_host_refuses_the_copy(place: Place) -> None:
    """And what is passed over is said."""
    spec = service(f"{APP}_app", volume=f"{APP}_app", labels=LABELS)
    mounts: list[Json] = [
        {"Type": "bind", "Source": "/srv", "Target": "/srv"},
        {"Type": "bind", "Source": "/etc/localtime", "Target": "/etc/localtime"},
    ]
    cast("Tree", at(spec, "TaskTemplate", "ContainerSpec"))["Mounts"] = mounts
    place.host.runs(spec)
    ground = place.ground()

    error = ground.walk(Saving(ground, FIRST, while_running=False, copies=1).steps()).error

    assert error is not None
    assert error.code == "snapshot-scope"
    assert any("/etc/localtime is not kept" in line for line in place.told.said)


def test_ctrl_c_before_it_stops_anything_changes_nothing(place: Place) -> None:
    """It is told as that, whatever failed because of it."""
    place.up()
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=False, copies=1)
    place.interrupts.pressed = 1

    error = ground.walk(saving.steps()).error

    assert isinstance(error, InterruptedRunError)
    assert place.replicas() == [1, 1]


@pytest.mark.parametrize("name", ["quiesce", "copy", "back"])
def test_no_step_of_saving_is_taken_before_the_first_look(place: Place, name: str) -> None:
    """What runs is not known then."""
    saving = Saving(place.ground(), FIRST, while_running=False, copies=1)

    with pytest.raises(NotReadyError, match="the stack was not looked at"):
        named((*saving.steps(), saving.back()), name).act()


def test_secrets_are_kept_with_the_copy(place: Place) -> None:
    """One that no running container has is named with its reason; of none no file is made."""
    place.up()
    public, _ = pair()
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=False, copies=1, secrets_for=Recipients(keys=(public,)))
    walked = ground.walk((*saving.steps(), saving.back()))
    assert walked.error is None
    assert (walked.phases[1].name, walked.phases[1].detail) == ("secrets", "0 kept, 0 not")
    assert saving.copying.secrets is None

    stack = place.swarm.stack(APP)
    odd = replace(stack, services=tuple(replace(each, secrets=("x_v1",)) for each in stack.services))
    copying = Copying(ground, SECOND, kind=Kind.SNAPSHOT)
    assert copying.keep_secrets(odd, Recipients(keys=(public,))) == "0 kept, 1 not"
    source = Source(volume=stack.volumes[0], service=stack.services[0], target="/data")
    copying.copy((source,), stack, {}, lambda: None)

    assert any("secret x_v1 is not kept" in line for line in place.told.said)
    manifest = place.kept(SECOND).manifest
    assert manifest is not None
    assert manifest.secrets is not None
    assert copying.check() == f"snapshot {SECOND} is good"


# -- bringing back -----------------------------------------------------------------------------------------


def test_an_app_that_came_back_worse_is_told(place: Place) -> None:
    """What answered before does not any more; without a baseline nothing is asked."""
    stack = place.up()
    (probe,) = probes_from_config([{"url": f"http://127.0.0.1:{free_port()}/", "name": "page"}], "x", "here")
    was = ProbeResult(name=probe.name, ok=True, detail="200", seconds=0.1, facts={})
    ground = place.ground(app=replace(place.app, budget=2.0))
    quiesced = Quiesced(swarm=place.swarm, before=stack, reporter=place.told)

    with pytest.raises(NotReadyError, match="not as before: probe page") as caught:
        bring_back(ground, quiesced, Baseline(probes=(probe,), before=(was,)))
    assert caught.value.code == "not-back"
    assert ground.held.interrupts.on_press is None
    assert bring_back(ground, quiesced, None) == "healthy again: blog_db=1 blog_app=1"


def test_an_engine_that_restarts_is_tried_until_it_takes_the_replicas(place: Place) -> None:
    """At the deadline its own error is told."""
    stack = place.up()
    socket = place.folder / "s"
    gone = Swarm(Engine(socket))
    quiesced = Quiesced(swarm=gone, before=stack, reporter=place.told)
    sick = Baseline(probes=(), sick=True)

    with pytest.raises(CcciError):
        bring_back(place.ground(app=replace(place.app, budget=0.0)), quiesced, sick)
    timer = threading.Timer(0.3, lambda: socket.symlink_to(place.host.practice.socket))
    timer.start()
    assert bring_back(place.ground(), quiesced, sick)
    timer.join()
    gone.engine.close()

    assert any("the Engine: " in line for line in place.told.said)


# -- copying -----------------------------------------------------------------------------------------------


def test_sizes_that_the_engine_knows_are_not_read_and_must_have_room() -> None:
    """As often as was asked for."""
    volume = builders.volume("data")
    source = Source(volume=volume, service=builders.service(), target="/data")
    with FakeEngine() as fake:
        size = 10**18
        fake.says("/system/df", {"Volumes": [{"Name": "data", "UsageData": {"Size": size}}]})
        engine = Engine(fake.path, seconds=5)
        store = SimpleNamespace(free=lambda: 3 * size)
        ground = SimpleNamespace(
            host=SimpleNamespace(
                swarm=SimpleNamespace(engine=engine), config=SimpleNamespace(state_dir=Path("/var"))
            ),
            store=store,
            app=builders.app(),
        )
        copying = Copying(cast("Ground", ground), FIRST, kind=Kind.SNAPSHOT)

        assert copying.measure((source,), copies=2).startswith("1 volumes, ")
        with pytest.raises(NotReadyError, match="3 copies") as caught:
            copying.measure((source,), copies=3)
        engine.close()
    assert (caught.value.code, copying.sizes) == ("snapshot-space", {"data": size})


def test_a_copy_that_cannot_be_read_back_is_none(place: Place) -> None:
    """Gone, or not what was written."""
    place.up()
    kept = place.saved()
    file = kept.folder / "0.tar.gz"
    file.write_bytes(file.read_bytes()[:-1] + b"x")

    for snapshot, why in ((FIRST, "gzip|checksum|incorrect"), (SECOND, "it is gone")):
        with pytest.raises(NotReadyError, match=why) as caught:
            Copying(place.ground(), snapshot, kind=Kind.SNAPSHOT).check()
        assert caught.value.code == "snapshot-damaged"


# -- the way back ------------------------------------------------------------------------------------------


def test_version_and_data_go_back_together(place: Place) -> None:
    """Volumes are as they were, what was there is kept, the verdict is about what runs, and it is remembered."""
    place.up()
    kept = place.saved()
    (place.data() / "kid").write_text("other\n")
    (place.data() / "new").write_text("x")
    place.labelled(NEW)

    undoing, walked = place.go(kept)

    assert walked.error is None
    assert [phase.name for phase in walked.phases] == [
        *("images", "check", "replicas", "quiesce", "failed-state", "restore"),
        *("back", "act", "verify", "pin", "remember"),
    ]
    assert undoing.acting.verdict is not None
    assert undoing.acting.verdict.state is State.CONVERGED
    assert (undoing.restoring, undoing.failed_state, undoing.noted) == (True, SECOND, "blog_db=1 blog_app=1")
    assert (place.data() / "kid").read_text() != "other\n"
    assert not (place.data() / "new").exists()
    failed = place.kept(SECOND)
    assert (verify(failed), failed.manifest and failed.manifest.kind) == ((), Kind.FAILED_STATE)
    assert walked.phases[-1].detail == f"{OLD} is remembered as good"


def test_without_a_snapshot_only_the_version_goes_back(place: Place) -> None:
    """An act that came to nothing is not remembered."""
    place.up()
    place.labelled(NEW)

    undoing, walked = place.go(None, failed=None, acts=lambda: None)

    assert [phase.name for phase in walked.phases] == ["images", "act", "verify", "pin", "remember"]
    assert undoing.acting.verdict is not None
    assert undoing.acting.verdict.state is State.UNCHANGED
    assert walked.phases[-1].detail == "was done already"
    assert (undoing.noted, undoing.failed_state, undoing.down) == ("", None, False)


def test_a_damaged_snapshot_stops_nothing(place: Place) -> None:
    """It is read back before anything is touched; one without a manifest is none."""
    place.up()
    kept = place.saved()
    (kept.folder / "0.tar.gz").write_bytes(b"x")

    for each, why in ((kept, "is damaged"), (replace(kept, manifest=None), "no snapshot that can be used")):
        undoing, walked = place.go(each)
        assert isinstance(walked.error, NotReadyError)
        assert why in walked.error.message
        assert (place.replicas(), undoing.restoring) == ([1, 1], False)


def test_who_changes_it_while_it_is_stopped_gets_it_back(place: Place) -> None:
    """Nothing was put back yet: the app has its replicas again, but for those that are theirs."""
    place.up()
    kept = place.saved()
    undoing, ground = place.way(kept)
    steps = undoing.steps()
    assert ground.walk(steps[:4]).error is None
    spec = cast("Tree", at(place.host.tree(f"/services/{APP}_app"), "Spec"))
    spec["Mode"] = {"Replicated": {"Replicas": 2}}
    assert place.host.update(spec).status == 200

    walked = ground.walk(steps[4:])

    assert walked.error is not None
    assert walked.error.code == "foreign-change"
    assert [phase.name for phase in walked.phases] == ["failed-state", "back", "verify", "pin"]
    assert (place.replicas(), undoing.down, undoing.failed_state) == ([2, 1], False, None)


def test_a_failed_state_that_was_kept_is_not_kept_again(place: Place) -> None:
    """After a kill in the middle of a restore it would be half a restore."""
    place.up()
    kept = place.saved()
    place.labelled(NEW)
    assert place.go(kept)[1].error is None
    before = (place.kept(SECOND).folder / "manifest.json").stat().st_mtime_ns

    undoing, walked = place.go(kept)

    assert walked.error is None
    assert [phase.detail for phase in walked.phases if phase.name == "failed-state"] == ["was done already"]
    assert (place.kept(SECOND).folder / "manifest.json").stat().st_mtime_ns == before
    assert undoing.failed_state == SECOND


def test_where_it_is_not_worth_it_no_failed_state_is_kept(place: Place) -> None:
    """A way back to what a killed run had kept; replicas are those that it noted."""
    place.up()
    kept = place.saved()
    place.labelled(NEW, 0)

    undoing, walked = place.go(kept, failed=None, noted="blog_db=1 blog_app=1")

    assert walked.error is None
    assert "failed-state" not in [phase.name for phase in walked.phases]
    assert (undoing.failed_state, undoing.noted) == (None, "blog_db=1 blog_app=1")


def test_where_no_volume_is_left_there_is_no_failed_state_and_a_way_back(place: Place) -> None:
    """An Engine may die between removing a volume and making it anew."""
    place.up()
    kept = place.saved()
    before = (place.data() / "kid").read_text()
    place.labelled(NEW, 0)
    for volume in place.swarm.stack(APP).volumes:
        removed(place, volume.name)

    undoing, walked = place.go(kept)

    assert walked.error is None
    assert undoing.failed_state is None
    assert place.ground().store.find(SECOND) is None
    assert (place.data() / "kid").read_text() == before


def test_a_volume_that_nobody_mounts_any_more_is_kept_and_put_back(place: Place) -> None:
    """The newer version may have dropped the service that had it: another image makes its carrier."""
    name = f"{APP}_db"
    place.host.post("/volumes/create", {"Name": name, "Labels": dict(LABELS)})
    place.up()
    kept = place.saved()
    place.host.engine.ask("DELETE", f"/services/{name}")
    until(lambda: not place.host.rows("/containers/json", {"filters": {"volume": [name]}}))
    (place.data() / "kid").write_text("other\n")

    undoing, ground = place.way(kept)
    walked = ground.walk(undoing.steps()[:6])

    assert walked.error is None
    assert (place.data() / "kid").read_text() != "other\n"
    failed = place.kept(SECOND).manifest
    assert failed is not None
    assert {each.name for each in failed.volumes} == {f"{APP}_app", name}


def test_a_restore_that_the_engine_lost_a_part_of_is_told(place: Place) -> None:
    """A named pipe is more than this engine writes: what was put in is not what is read back."""
    place.up()
    os.mkfifo(place.data() / "pipe")
    kept = place.saved()

    undoing, walked = place.go(kept)

    assert isinstance(walked.error, NotReadyError)
    assert walked.error.code == "restore-unproven"
    assert undoing.restoring
    assert place.replicas() == [0, 0]


@pytest.mark.parametrize("name", ["quiesce", "failed-state", "restore", "back"])
def test_no_step_of_a_way_back_is_taken_before_the_first_look(place: Place, name: str) -> None:
    """What runs is not known then."""
    place.up()
    undoing, _ = place.way(place.saved())

    with pytest.raises(NotReadyError, match="the stack was not looked at"):
        named(undoing.steps(), name).act()


def test_what_abra_is_to_do_is_asked_for_at_the_last_moment(place: Place) -> None:
    """What runs may have changed since it was planned; after it the snapshot's volumes must be mounted again."""
    place.up()
    kept = place.saved()
    facts = builders.facts()
    ground = place.ground()
    baseline = Baseline(probes=())

    task = backward(ground, facts, None, OLD, kept=kept, baseline=baseline, prefix="undo-")
    place.labelled(NEW)

    assert task.argv() == ("app", "deploy", NAME, OLD, NEW)
    assert task.goal(clock.now()).was == NEW
    assert task.before().label("version") == NEW
    assert (task.prefix, list(task.detached(place.swarm.stack(APP)))) == ("undo-", [])
    assert len(list(task.detached(builders.stack()))) == 2
    alone = backward(ground, facts, None, OLD, kept=None, baseline=baseline)
    assert list(alone.detached(builders.stack())) == []


# -- what somebody else did meanwhile ----------------------------------------------------------------------


def removed(place: Place, name: str) -> None:
    """Somebody removes a volume, and what held it."""

    def gone() -> bool:
        for each in place.host.rows("/containers/json", {"all": "true", "filters": {"volume": [name]}}):
            place.host.engine.ask("DELETE", f"/containers/{each['Id']}", {"v": "1", "force": "1"})
        return place.host.engine.ask("DELETE", f"/volumes/{name}").status in (204, 404)

    until(gone)


def test_an_app_whose_volume_was_removed_comes_back_and_is_not_called_good(place: Place) -> None:
    """The Engine makes an empty one in its place: it may look as healthy as ever."""
    place.up()
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=False, copies=1)
    assert ground.walk(saving.steps()[:3]).error is None
    removed(place, f"{APP}_db")

    with pytest.raises(NotReadyError, match="was removed during the run") as caught:
        saving.still()
    assert caught.value.code == "volume-gone"
    walked = ground.walk((*saving.steps()[3:], saving.back()))

    assert walked.error is not None
    assert walked.error.code == "volume-gone"
    assert ("back", False) in [(phase.name, phase.ok) for phase in walked.phases]
    assert place.replicas() == [1, 1]
    assert saving.down


def test_a_volume_that_was_made_anew_is_not_the_apps_data(place: Place) -> None:
    """What was copied of it is worth nothing, and no snapshot is made."""
    place.up()
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=False, copies=1)
    assert ground.walk(saving.steps()[:3]).error is None
    removed(place, f"{APP}_db")
    time.sleep(1.1)  # an Engine tells whole seconds
    place.host.post("/volumes/create", {"Name": f"{APP}_db"})

    error = ground.walk(saving.steps()[3:]).error

    assert isinstance(error, NotReadyError)
    assert error.code == "volume-gone"
    assert "what was copied is not the data" in error.message
    assert last_good(ground) is None


def test_a_copy_of_data_that_may_be_newer_is_marked(place: Place) -> None:
    """It is whole, and no way back chooses it by itself; a failed state needs no mark."""
    place.up()
    suspect = Verdict(state=State.DATA_SUSPECT, evidence=(Evidence(text="x"),))
    ended = replace(run("earlier"), app=NAME, outcome=Outcome.FAILED, verdict=suspect)
    ground = place.ground()
    ground.journal.open(replace(run("earlier"), app=NAME))
    ground.journal.close(ended)
    stack = place.swarm.stack(APP)
    source = Source(volume=stack.volumes[0], service=stack.services[0], target="/data")

    for snapshot, kind in ((FIRST, Kind.SNAPSHOT), (SECOND, Kind.FAILED_STATE)):
        copying = Copying(ground, snapshot, kind=kind)
        copying.copy((source,), stack, {}, lambda: None)
        said = copying.check()
        assert not place.kept(snapshot).usable
        assert ("may have migrated" in said) is (kind is Kind.SNAPSHOT)
    assert place.kept(FIRST).spoiled
    assert not place.kept(SECOND).spoiled


def test_ctrl_c_while_the_failed_state_is_kept_brings_the_app_back(place: Place) -> None:
    """No data was put back."""
    place.up()
    kept = place.saved()
    undoing, ground = place.way(kept)
    assert ground.walk(undoing.steps()[:4]).error is None
    place.interrupts.pressed = 1

    walked = ground.walk(undoing.steps()[4:])

    assert isinstance(walked.error, InterruptedRunError)
    assert "before any data was put back" in walked.error.message
    assert (place.replicas(), undoing.restoring) == ([1, 1], False)


def test_an_engine_that_tells_no_creation_hides_no_lost_volume(place: Place) -> None:
    """That it was gone once is remembered; who scaled the app meanwhile spoils only the copy."""
    place.up()
    ground = place.ground()
    saving = Saving(ground, FIRST, while_running=False, copies=1)
    assert ground.walk(saving.steps()[:3]).error is None
    assert saving.quiesced is not None
    before = saving.quiesced.before
    old = tuple(replace(each, created=None) for each in before.volumes)
    saving.quiesced.before = replace(before, volumes=old)
    spec = cast("Tree", at(place.host.tree(f"/services/{APP}_app"), "Spec"))
    spec["Mode"] = {"Replicated": {"Replicas": 1}}
    assert place.host.update(spec).status == 200
    with pytest.raises(NotReadyError) as foreign:
        named(saving.steps(), "copy").act()
    assert foreign.value.code == "foreign-change"
    spec["Mode"] = {"Replicated": {"Replicas": 0}}
    assert place.host.update(spec).status == 200
    removed(place, f"{APP}_db")
    with pytest.raises(NotReadyError) as gone:
        named(saving.steps(), "copy").act()
    assert gone.value.code == "volume-gone"

    with pytest.raises(NotReadyError, match="runs again without its data"):
        saving.start()
