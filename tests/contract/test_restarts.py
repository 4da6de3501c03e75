"""When Swarm starts a task again, and how it ends one."""

from functools import partial

from tests.contract.jsontree import text
from tests.contract.lab import Lab

CRASHED = "v3.0.0 failed exit 3 (task: non-zero exit (3))"


def test_restart_policies(lab: Lab) -> None:
    """`none` leaves a failed or finished task; `on-failure` starts failed ones again, up to the attempts."""
    cases: dict[str, dict[str, object]] = {
        "none-failed": {"restart": "none", "env": {"EXIT": "3"}},
        "none-done": {"restart": "none", "env": {"EXIT": "0"}},
        "failure-failed": {"restart": "on-failure", "attempts": 2, "env": {"EXIT": "3"}},
        "failure-done": {"restart": "on-failure", "env": {"EXIT": "0"}},
        "any-done": {"restart": "any", "env": {"EXIT": "0"}},
    }
    with lab.watch() as seen:
        for name, how in cases.items():
            lab.create(name, delay=0.1, **how)
        lab.until(
            lambda: len(lab.tasks("any-done")) > 3 and len(lab.tasks("failure-failed")) == 3, "restarts"
        )
        for name in ("none-failed", "none-done", "failure-failed", "failure-done"):
            lab.until(partial(_ended, lab, name), name)
    counts = {name: seen.count(name) for name in cases}

    assert counts.pop("any-done") > 3
    assert counts == {"none-failed": 1, "none-done": 1, "failure-failed": 3, "failure-done": 1}
    assert {name: seen.tasks(name) for name in cases} == {
        "none-failed": [CRASHED],
        "none-done": ["v3.0.0 complete exit 0"],
        "failure-failed": [CRASHED],
        "failure-done": ["v3.0.0 complete exit 0"],
        "any-done": ["v3.0.0 complete exit 0"],
    }


def test_who_ignores_sigterm_is_killed_after_the_grace(lab: Lab) -> None:
    """Exit 137, told by the `die` event: after scaling to 0 container and task are soon gone."""
    with lab.watch() as seen:
        lab.start("heeds", grace=1)
        lab.start("ignores", grace=1, env={"IGNORE_TERM": "1"})
        for name, env in (("heeds", {}), ("ignores", {"IGNORE_TERM": "1"})):
            lab.change(name, grace=1, env=env, replicas=0)
        for name in ("heeds", "ignores"):
            lab.until(partial(_gone, lab, name), f"{name}: no container")
        lab.until(lambda: not lab.tasks("ignores"), "the task is gone")

    assert seen.containers("heeds") == ["create start kill(15) die(0) stop destroy"]
    assert seen.containers("ignores") == ["create start kill(15) kill(9) die(137) stop destroy"]


def _ended(lab: Lab, name: str) -> bool:
    return all(text(task, "Status", "State") in ("failed", "complete") for task in lab.tasks(name))


def _gone(lab: Lab, name: str) -> bool:
    return not lab.containers(name)
