"""Services and tasks of the practice engine: updates, health, restarts, history."""

from collections.abc import Iterator

import pytest

from tests.practice.enginehost import NEW, OLD, Host, Tree, at, free_port, host, service, until


@pytest.fixture(scope="module")
def here() -> Iterator[Host]:
    with host() as ours:
        yield ours


@pytest.mark.parametrize("order", ["stop-first", "start-first"])
def test_an_update_replaces_every_task_one_by_one(here: Host, order: str) -> None:
    """Never more than one slot is on the move, and the status ends as `completed`."""
    name = f"roll-{order}"
    here.post("/services/create", service(name, order=order, replicas=2))
    until(lambda: here.states(name) == ["running"] * 2)
    here.update(service(name, order=order, replicas=2, image=NEW))

    fewest = 2
    while here.status(name) != "completed":
        fewest = min(fewest, here.states(name).count("running"))
    images = {
        at(t, "Spec", "ContainerSpec", "Image") for t in here.tasks(name) if t["DesiredState"] == "running"
    }

    assert images == {NEW}
    assert fewest >= (1 if order == "stop-first" else 2)
    assert at(here.tree(f"/services/{name}"), "PreviousSpec", "TaskTemplate", "ContainerSpec", "Image") == OLD


def test_a_failed_update_goes_back(here: Host) -> None:
    """The old spec is the spec again, nothing is left to go back to, and the message names the task."""
    here.runs(service("back", on_failure="rollback"))
    here.update(service("back", on_failure="rollback", image=NEW, env={"EXIT": "4"}))

    until(lambda: here.status("back") == "rollback_completed")
    after = here.tree("/services/back")
    failed = next(t for t in here.tasks("back") if at(t, "Status", "State") == "failed")

    assert at(after, "Spec", "TaskTemplate", "ContainerSpec", "Image") == OLD
    assert "PreviousSpec" not in after
    assert at(failed, "Status", "Err") == "task: non-zero exit (4)"
    assert at(failed, "Status", "ContainerStatus", "ExitCode") == 4


def test_a_failed_update_pauses(here: Host) -> None:
    here.runs(service("pause"))
    here.update(service("pause", image=NEW, env={"EXIT": "4"}))

    until(lambda: here.status("pause") == "paused")

    said = str(at(here.tree("/services/pause"), "UpdateStatus", "Message"))
    assert said.startswith("update paused due to failure or early termination of task ")


def test_from_zero_replicas_nothing_is_said_of_an_update(here: Host) -> None:
    """So a crash loop just loops, whatever `failure_action` says."""
    here.post("/services/create", service("zero", replicas=0, on_failure="rollback"))
    here.update(service("zero", on_failure="rollback", image=NEW, env={"CRASH_AFTER": "0"}))

    until(lambda: here.states("zero").count("failed") >= 3)

    assert here.status("zero") is None
    assert at(here.tree("/services/zero"), "PreviousSpec", "Mode", "Replicated", "Replicas") == 0


def test_history_is_short_and_its_containers_go_too(here: Host) -> None:
    """A crash loop leaves five tasks of a slot, and as many containers."""
    here.post("/services/create", service("loop", env={"EXIT": "1"}, delay=0.01))
    first = until(lambda: here.tasks("loop"))[0]["ID"]

    until(lambda: first not in [task["ID"] for task in here.tasks("loop")])
    wanted: Tree = {"filters": {"label": ["com.docker.swarm.service.name=loop"]}, "all": "1"}

    assert len(here.tasks("loop")) <= 7  # the oldest go in batches
    until(lambda: len(here.rows("/containers/json", wanted)) <= 7)


def test_attempts_are_counted(here: Host) -> None:
    """`max_attempts` restarts, and then none."""
    here.post("/services/create", service("three", env={"EXIT": "1"}, attempts=2, delay=0.01))

    until(lambda: here.states("three") == ["failed"] * 3)

    assert [task["DesiredState"] for task in here.tasks("three")] == ["shutdown"] * 3


def test_a_task_is_starting_until_it_is_healthy(here: Host) -> None:
    """And the health is told in an event and in the container's state."""
    spec = service("well", healthcheck=True, env={"START_DELAY": "0.4"})
    here.post("/services/create", spec)
    seen: set[object] = set()

    def runs() -> bool:
        seen.update(here.states("well"))
        return "running" in seen

    until(runs)
    container = at(here.tasks("well")[0], "Status", "ContainerStatus", "ContainerID")

    assert "starting" in seen
    assert at(here.tree(f"/containers/{container}/json"), "State", "Health", "Status") == "healthy"


@pytest.mark.parametrize(
    ("env", "state", "error"), [({}, "complete", None), ({"IGNORE_TERM": "1"}, "failed", 137)]
)
def test_a_task_that_turns_unhealthy_ends(
    here: Host, env: dict[str, str], state: str, error: int | None
) -> None:
    """It is stopped: one that ends well is `complete`, one that has to be killed failed with the cause."""
    name = f"sick-{state}"
    spec = service(name, healthcheck=True, env={"UNHEALTHY_AFTER": "0.3", **env})
    container = at(spec, "TaskTemplate", "ContainerSpec")
    assert isinstance(container, dict)
    container["StopGracePeriod"] = 10**8
    here.post("/services/create", spec)

    task = until(lambda: next((t for t in here.tasks(name) if at(t, "Status", "State") == state), None))

    words = f"task: non-zero exit ({error}): dockerexec: unhealthy container" if error else None
    assert at(task, "Status", "Err") == words


def test_a_start_first_update_waits_for_its_own_port(here: Host) -> None:
    """For ever: the port is held by the task that should go only after the new one runs."""
    port = (free_port(), "host")
    here.runs(service("hang", port=port, order="start-first", on_failure="rollback"))
    here.update(service("hang", port=port, order="start-first", on_failure="rollback", image=NEW))

    until(lambda: "pending" in here.states("hang"))
    waiting = next(t for t in here.tasks("hang") if at(t, "Status", "State") == "pending")

    until(lambda: at(here.tree(f"/tasks/{waiting['ID']}"), "Status", "Err"))
    said = at(here.tree(f"/tasks/{waiting['ID']}"), "Status", "Err")
    assert said == "no suitable node (host-mode port already in use on 1 node)"
    assert here.status("hang") == "updating"
    assert here.states("hang").count("running") == 1


def test_a_removed_service_goes_first_its_tasks_later(here: Host) -> None:
    """With its containers; its volumes stay."""
    here.runs(service("leave", volume="leave_data"))
    assert here.engine.ask("DELETE", "/services/leave").status == 200

    assert here.engine.find("/services/leave") is None
    wanted: Tree = {"filters": {"label": ["com.docker.swarm.service.name=leave"]}, "all": "1"}
    assert len(here.rows("/containers/json", wanted)) == 1
    until(lambda: not here.rows("/containers/json", wanted))
    assert here.engine.find("/volumes/leave_data") is not None
