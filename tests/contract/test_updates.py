"""Rolling updates: what a client sees of services and tasks while Swarm moves, and what it says at the end."""

import time

import pytest

from ccci_upgrade.tools.swarm import spec_hash
from tests.contract.jsontree import number, text, tree
from tests.contract.lab import Lab
from tests.contract.recorder import LOOK
from tests.contract.specs import NEW, NEWER, OLD, STACK, volume

FAILED = "v3.0.1 failed exit 1 (task: non-zero exit (1))"
STOPPED = "v3.0.0 running shutdown exit 0"
RUNS = "v3.0.0 running"
UPDATED = ["update in progress", "update completed"]
PAUSED = ["update in progress", "update paused due to failure or early termination of task <id>"]
BACK = ["null", "updating", "rollback_started", "rollback_completed"]
ENDS = {"rollback": ("rollback_completed", "completed"), "pause": ("paused",), "continue": ("completed",)}
FAILING = {
    ("stop-first", "rollback"): ([BACK], [[STOPPED, FAILED, RUNS]]),
    ("stop-first", "pause"): ([["null", "updating", "paused"]], [[STOPPED, FAILED]]),
    ("stop-first", "continue"): ([["null", "updating", "completed"]], [[STOPPED, FAILED]]),
    ("start-first", "rollback"): ([BACK, [*BACK, "completed"]], [[RUNS, FAILED], [STOPPED, FAILED, RUNS]]),
    ("start-first", "pause"): ([["null", "updating", "paused"]], [[RUNS, FAILED]]),
    ("start-first", "continue"): ([["null", "updating", "completed"]], [[STOPPED, FAILED]]),
}
"""By order and failure action of an update that exits at once: the sequences that `UpdateStatus` may have, and the
stories its slot may have. All but one pair have one each."""


def test_create_scale_remove(lab: Lab) -> None:
    """Replicas get slots of their own; scaling is no update; what is removed is gone, and its tasks are 404."""
    with lab.watch() as seen:
        lab.start("app", replicas=1)
        assert lab.inspect("app").get("UpdateStatus") is None
        lab.change("app", replicas=3)
        lab.settled("app")
        time.sleep(2 * LOOK)
        lab.change("app", replicas=1)
        lab.until(lambda: len(lab.containers("app")) < 3, "containers of slots that are gone are taken away")
        lab.settled("app")
        lab.remove("app")
        lab.until(lambda: not lab.left(), "tasks and containers of a removed service go")
        refused = lab.engine.ask("GET", "/tasks", {"filters": {"service": [f"{lab.stack}_app"]}})

    assert seen.looked("app") == ["null"]
    assert seen.slots("app") == [1, 2, 3]
    assert seen.services("app") == ["create", "update", "update", "remove"]
    assert lab.engine.find(f"/services/{lab.stack}_app") is None
    assert (refused.status, refused.message) == (404, f"service {lab.stack}_app not found")
    assert all(seen.tasks("app", slot)[0].startswith(RUNS) for slot in (1, 2, 3))


def test_an_update_that_changes_nothing(lab: Lab) -> None:
    """The index moves, the spec does not, no task is touched, and nothing is said of an update."""
    with lab.watch() as seen:
        spec = lab.start("app")
        before = lab.inspect("app")
        assert lab.update("app", spec).status == 200
        after = lab.inspect("app")

    assert (number(after, "Version", "Index") or 0) > (number(before, "Version", "Index") or 0)
    assert spec_hash(after["Spec"]) == spec_hash(before["Spec"])
    assert "UpdateStatus" not in after
    assert spec_hash(after["PreviousSpec"]) == spec_hash(before["Spec"])
    assert seen.tasks("app") == [RUNS]
    assert seen.count("app") == 1


def test_labels_of_a_service_do_not_touch_its_tasks(lab: Lab) -> None:
    """No task is replaced; the `UpdateStatus` of an earlier update is gone; PreviousSpec has the old labels."""
    with lab.watch() as seen:
        lab.start("app", monitor=0.3)
        lab.change("app", monitor=0.3, labels={"one": "1"})
        lab.change("app", monitor=0.3, image=NEW, labels={"one": "1"})
        lab.updated("app")
        completed = lab.inspect("app")
        lab.change("app", monitor=0.3, image=NEW, labels={"two": "2"})
        relabelled = lab.inspect("app")

    assert seen.count("app") == 2
    assert text(completed, "UpdateStatus", "State") == "completed"
    assert "UpdateStatus" not in relabelled
    assert tree(relabelled, "PreviousSpec", "Labels").keys() - {"com.docker.stack.namespace"} == {"one"}


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_an_image_update(lab: Lab, order: str) -> None:
    """`updating` until the monitor has passed, then `completed`; the index moves with it, the spec's hash stays."""
    with lab.watch() as seen:
        lab.start("app", order=order, replicas=2, monitor=0.4)
        lab.change("app", order=order, replicas=2, monitor=0.4, image=NEW)
        lab.until(lambda: text(lab.inspect("app"), "UpdateStatus", "State") == "updating", "updating")
        updating = lab.inspect("app")
        lab.updated("app")
        completed = lab.inspect("app")
        lab.until(lambda: str(lab.tasks("app")).count("'State': 'shutdown'") == 2, "the old tasks end")

    assert seen.updates("app") == ["null", "updating", "completed"]
    assert seen.messages("app") == UPDATED
    assert [seen.tasks("app", slot) for slot in (1, 2)] == [[STOPPED, "v3.0.1 running"]] * 2
    assert (number(completed, "Version", "Index") or 0) > (number(updating, "Version", "Index") or 0)
    assert spec_hash(completed["Spec"]) == spec_hash(updating["Spec"])
    assert text(completed, "PreviousSpec", "TaskTemplate", "ContainerSpec", "Image") == OLD
    assert tree(completed, "UpdateStatus").keys() == {"State", "StartedAt", "CompletedAt", "Message"}
    assert tree(updating, "UpdateStatus").keys() == {"State", "StartedAt", "Message"}
    assert seen.services("app")[:2] == ["create", "update"]
    stories = seen.containers("app")
    assert len(stories) == 4
    assert all(told.startswith("create start kill(15) die(0) stop") for told in stories[:2])
    assert all(told == "create start" for told in stories[2:])


def test_updates_that_exit_at_once(lab: Lab) -> None:
    """Stop-first and start-first, with rollback, pause and continue: states, messages, tasks, what runs at the end.

    The start-first ones have a health check: a task that was `running` for a moment could end its predecessor.
    """

    def how(order: str, action: str) -> dict[str, object]:
        return {"order": order, "on_failure": action, "healthcheck": order == "start-first"}

    names = {pair: "-".join(pair) for pair in FAILING}
    with lab.watch() as seen:
        for (order, action), name in names.items():
            lab.create(name, **how(order, action))
        for name in names.values():
            lab.settled(name)
        time.sleep(2 * LOOK)
        for (order, action), name in names.items():
            lab.change(name, **how(order, action), image=NEW, env={"EXIT": "1"})
        for pair, name in names.items():
            lab.updated(name, *ENDS[pair[1]])
            _in_the_end(lab, pair, name)

    assert {p: told for p, n in names.items() if (told := seen.updates(n)) not in FAILING[p][0]} == {}
    moment = "v3.0.1 running"  # a crash loop, met between two crashes
    stories = {pair: [line for line in seen.tasks(name) if line != moment] for pair, name in names.items()}
    assert {pair: told for pair, told in stories.items() if told not in FAILING[pair][1]} == {}
    for (_, action), name in names.items():
        assert (seen.messages(name) == PAUSED) == (action == "pause")
        assert seen.messages(name)[-1] == PAUSED[-1] or action != "pause"
        assert ("PreviousSpec" in lab.inspect(name)) == (action != "rollback")


def _in_the_end(lab: Lab, pair: tuple[str, str], name: str) -> None:
    """After a rollback the old image runs; else the new one crashes on, beside the old one while paused."""
    order, action = pair
    images = {text(task, "Spec", "ContainerSpec", "Image") for task in lab.running(name)}
    if action == "rollback":
        lab.until(lambda: len(lab.running(name)) == 1, f"{name} is back")
        assert text(lab.running(name)[0], "Spec", "ContainerSpec", "Image") == OLD
    elif action == "pause":
        assert (OLD in images) == (order == "start-first")
    else:
        lab.until(
            lambda: OLD not in [text(t, "Spec", "ContainerSpec", "Image") for t in lab.running(name)], name
        )


@pytest.mark.parametrize(
    ("order", "env", "end"),
    [
        pytest.param("stop-first", {}, "v3.0.1 complete exit 0", id="heeds"),
        pytest.param(
            "start-first",
            {"IGNORE_TERM": "1"},
            "v3.0.1 failed exit 137 (task: non-zero exit (137): dockerexec: unhealthy container)",
            id="ignores",
        ),
    ],
)
def test_a_health_check_that_never_turns_green(lab: Lab, order: str, env: dict[str, str], end: str) -> None:
    """It stays `starting`, is stopped (0 where it heeds SIGTERM: then `complete`), and Swarm goes back."""
    how = {"order": order, "on_failure": "rollback", "healthcheck": True, "grace": 1.0}
    with lab.watch() as seen:
        lab.start("app", **how)
        lab.change("app", **how, image=NEW, env={"HEALTHY": "never", **env})
        lab.updated("app", "rollback_completed")
        lab.until(
            lambda: [text(t, "Spec", "ContainerSpec", "Image") for t in lab.running("app")] == [OLD], "back"
        )

    assert seen.updates("app")[:4] == BACK
    assert end in seen.tasks("app")
    assert "health_status=unhealthy" in seen.containers("app")[1]
    assert "health_status=healthy" in seen.containers("app")[0]


def test_green_and_then_a_crash_after_the_monitor(lab: Lab) -> None:
    """Nothing is undone: `completed` stays while the app crashes again and again."""
    with lab.watch() as seen:
        lab.start("app", on_failure="rollback", monitor=0.3)
        lab.change("app", on_failure="rollback", monitor=0.3, image=NEW, env={"CRASH_AFTER": "1"})
        lab.updated("app")
        lab.until(lambda: len(lab.tasks("app")) == 3, "a crash, and the next task")

    assert seen.updates("app") == ["null", "updating", "completed"]
    crashed = "v3.0.1 failed exit 3 (task: non-zero exit (3))"
    assert seen.tasks("app")[:2] == [STOPPED, crashed]


def test_a_rollback_onto_newer_data(lab: Lab) -> None:
    """The old version refuses what the new one wrote: `rollback_paused`, and it crashes for ever."""
    how = {"mounts": [volume(f"{lab.stack}_data", labels={STACK: lab.stack})], "env": {"DATA_DIR": "/data"}}
    with lab.watch() as seen:
        lab.start("app", **how)
        spec = lab.change("app", **how, image=NEWER)
        lab.updated("app")
        assert lab.update("app", spec, rollback=True).status == 200
        lab.updated("app", "rollback_paused")
        after = lab.inspect("app")

    assert seen.updates("app") == ["null", "updating", "completed", "rollback_started", "rollback_paused"]
    assert seen.messages("app")[-1] == "update paused due to failure or early termination of task <id>"
    assert text(after, "Spec", "TaskTemplate", "ContainerSpec", "Image") == OLD
    refused = "v3.0.0 failed exit 1 (task: non-zero exit (1))"
    assert seen.tasks("app")[:3] == [STOPPED, "v3.1.0 running shutdown exit 0", refused]
    assert tree(after, "UpdateStatus").keys() == {"State", "StartedAt", "Message"}


def test_a_global_service(lab: Lab) -> None:
    """One task for the node, without a slot; updated like others."""
    with lab.watch() as seen:
        spec = lab.spec("app", monitor=0.3)
        spec["Mode"] = {"Global": {}}
        lab.post("/services/create", spec, status=201)
        lab.until(lambda: lab.running("app"), "it runs")
        time.sleep(2 * LOOK)
        update = lab.spec("app", monitor=0.3, image=NEW)
        update["Mode"] = {"Global": {}}
        assert lab.update("app", update).status == 200
        lab.updated("app")

    assert seen.updates("app") == ["null", "updating", "completed"]
    assert seen.slots("app") == [0]
    assert seen.tasks("app", 0) == [STOPPED, "v3.0.1 running"]


def test_back_by_hand(lab: Lab) -> None:
    """`rollback=previous` ends as `rollback_completed`, with the spec of before and no PreviousSpec."""
    with lab.watch() as seen:
        lab.start("app", monitor=0.3)
        first = spec_hash(lab.inspect("app")["Spec"])
        spec = lab.change("app", monitor=0.3, image=NEW)
        lab.updated("app")
        assert lab.update("app", spec, rollback=True).status == 200
        lab.updated("app", "rollback_completed")
        after = lab.inspect("app")

    assert seen.updates("app") == ["null", "updating", "completed", "rollback_started", "rollback_completed"]
    assert spec_hash(after["Spec"]) == first
    assert seen.tasks("app") == [STOPPED, "v3.0.1 running shutdown exit 0", RUNS]
