"""Replicas from 0: Swarm takes that for no update at all."""

from ccci_upgrade.tools.swarm import spec_hash
from tests.contract.jsontree import number, text
from tests.contract.lab import Lab
from tests.contract.specs import NEW, OLD


def test_an_update_from_zero_replicas_has_no_status(lab: Lab) -> None:
    """`UpdateStatus` stays null, PreviousSpec has 0 replicas, and the new image simply runs."""
    with lab.watch() as seen:
        lab.start("app", on_failure="rollback")
        lab.change("app", on_failure="rollback", replicas=0)
        lab.until(lambda: not lab.running("app"), "stopped")
        stopped = spec_hash(lab.inspect("app")["Spec"])
        lab.change("app", on_failure="rollback", image=NEW)
        lab.settled("app")
        after = lab.inspect("app")

    assert seen.updates("app") == ["null"]
    assert seen.tasks("app")[-1] == "v3.0.1 running"
    assert number(after, "PreviousSpec", "Mode", "Replicated", "Replicas") == 0
    assert spec_hash(after["PreviousSpec"]) == stopped
    assert text(after, "PreviousSpec", "TaskTemplate", "ContainerSpec", "Image") == OLD


def test_a_crash_loop_from_zero_just_loops(lab: Lab) -> None:
    """No failure action fires, nothing shows but failed tasks, and only the last five or so of a slot are kept."""
    with lab.watch() as seen:
        lab.create("app", on_failure="rollback", replicas=0, delay=0.1)
        lab.change("app", on_failure="rollback", delay=0.1, image=NEW, env={"EXIT": "1"})
        lab.until(lambda: seen.count("app") >= 8, "it loops")
        kept, after = lab.tasks("app"), lab.inspect("app")

    assert seen.updates("app") == ["null"]
    told = [line for line in seen.tasks("app") if line != "v3.0.1 running"]  # met between two crashes
    assert set(told) == {"v3.0.1 failed exit 1 (task: non-zero exit (1))"}
    assert 5 <= len(kept) <= 7
    assert text(after, "Spec", "TaskTemplate", "ContainerSpec", "Image") == NEW
    assert number(after, "PreviousSpec", "Mode", "Replicated", "Replicas") == 0


def test_a_status_of_before_goes_with_the_scaling(lab: Lab) -> None:
    """A `completed` of an earlier update is not there any more once the replicas were changed."""
    with lab.watch() as seen:
        lab.start("app", monitor=0.1)
        lab.change("app", monitor=0.1, image=NEW)
        lab.updated("app")
        lab.change("app", monitor=0.1, image=NEW, replicas=0)
        scaled = lab.inspect("app")
        lab.until(lambda: not lab.running("app"), "stopped")
        lab.change("app", monitor=0.1, image=NEW)
        lab.settled("app")

    assert seen.updates("app") == ["null", "updating", "completed"]
    assert "UpdateStatus" not in scaled
    assert "UpdateStatus" not in lab.inspect("app")
