"""What is remembered in the Swarm, as people and scripts meet it."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccci_upgrade.flows.memory import remember
from ccci_upgrade.model.memory import LastGood, config_name
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.cli.scene import Ran, Scene, standing
from tests.documents import problems


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Give a server of its own."""
    with standing(tmp_path) as made:
        yield made


def _good(scene: Scene, **changes: Any) -> LastGood:
    made = LastGood(
        app=scene.app("traefik"),
        stack=scene.stack("traefik"),
        recipe="traefik",
        version="1.0.0+1.0.0",
        recorded="2026-03-01T12:00:00.000Z",
        operator="mia",
        host="ci",
        run_id="run-1",
        snapshot="20260301T115900-1a2b",
        snapshot_host="ci",
        rollback_seconds=61.5,
    )
    return replace(made, **changes)


def _remember(scene: Scene, *goods: LastGood) -> None:
    with closing(Engine(scene.engine.socket)) as engine:
        remember(Swarm(engine), *goods)


def _document(ran: Ran) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ran.out)
    assert problems(found) == []
    return found


def _row(scene: Scene) -> dict[str, Any]:
    rows = _document(scene.run("status", "--json", "--offline"))["data"]["apps"]
    (found,) = [row for row in rows if row["app"] == scene.app("traefik")]
    return dict(found)


def _text(scene: Scene) -> str:
    return " ".join(scene.run("status", "--offline").out.decode().split())


def test_where_nothing_is_remembered_nothing_is_shown(scene: Scene) -> None:
    """No column, no note; null for scripts, and the lease is free."""
    found = _document(scene.run("status", "--json", "--offline"))["data"]

    assert {(row["last_good"], row["back_to"], row["recorded"]) for row in found["apps"]} == {
        (None, None, False)
    }
    assert found["leases"] == [{"server": "ci.example.org", "state": "free", "holder": None, "why": None}]
    assert "last good" not in _text(scene)


def test_the_last_good_version_is_shown_with_its_snapshot(scene: Scene) -> None:
    """What runs is the last good version: no word of anything else."""
    _remember(scene, _good(scene))
    row, text = _row(scene), _text(scene)

    assert row["last_good"] == {
        "version": "1.0.0+1.0.0",
        "recorded": "2026-03-01T12:00:00.000Z",
        "operator": "mia",
        "host": "ci",
        "run_id": "run-1",
        "snapshot": "20260301T115900-1a2b",
        "snapshot_host": "ci",
        "rollback_seconds": 61.5,
    }
    assert (row["back_to"], row["recorded"], row["problem"]) == (None, True, _row(scene)["problem"])
    assert "last good" in text
    assert "recorded" not in text


@pytest.mark.parametrize(
    ("remembered", "said", "recorded"),
    [
        (("0.9.0+0.9.0",), "runs 1.0.0+1.0.0, which was not recorded as good", False),
        (("1.0.0+1.0.0", "1.1.0+1.1.0"), "runs 1.0.0+1.0.0, which was good before", True),
    ],
)
def test_what_runs_besides_the_last_good_version_is_named(
    scene: Scene, remembered: tuple[str, ...], said: str, *, recorded: bool
) -> None:
    """In plain words, with who recorded what, and exit 0: bare abra is nobody's fault."""
    _remember(scene, *(_good(scene, version=version) for version in remembered))
    ran, text, row = scene.run("status", "--offline"), _text(scene), _row(scene)

    assert ran.code == 0
    assert f"traefik {said}; the last good version is {remembered[-1]}, recorded 2026-03-01 by mia" in text
    assert row["last_good"]["version"] == remembered[-1]
    assert row["recorded"] is recorded
    assert (row["back_to"] or {}).get("version") == (None if recorded else "0.9.0+0.9.0")


def test_a_config_that_cannot_be_read_is_named_and_hides_nothing(scene: Scene) -> None:
    """In `status` at its app, in `doctor` with what to type."""
    name = config_name(scene.stack("traefik"))
    scene.engine.keep("/configs/create", "", {"Name": name, "Labels": {"mine": "1"}})
    row = _row(scene)
    checks = _document(scene.run("doctor", "--json"))["data"]["checks"]
    first, second = [check for check in checks if check["name"] == "memory"]

    assert (row["last_good"], row["deployed"]) == (None, "1.0.0+1.0.0")
    assert name in row["problem"]
    assert name in _text(scene)
    assert (first["health"], first["detail"]) == ("good", "good versions of 0 of 2 apps are remembered")
    assert second["health"] == "warn"
    assert name in second["detail"]
    assert f"docker config rm {name}" in second["remedy"]


def test_doctor_counts_what_is_remembered(scene: Scene) -> None:
    """Of apps here, and of others."""
    _remember(scene, _good(scene))
    _remember(scene, _good(scene, stack="gone", app="gone"))
    checks = _document(scene.run("doctor", "--json"))["data"]["checks"]

    assert [check["detail"] for check in checks if check["name"] == "memory"] == [
        "good versions of 1 of 2 apps are remembered, and of 1 that have no `.env` here"
    ]


def test_who_is_at_work_is_told(scene: Scene) -> None:
    """One line for people, one for scripts; a lease that cannot be read is told too."""
    labels = {
        "ccci-upgrade.lease": "1",
        "ccci-upgrade.lease.state": "held",
        "ccci-upgrade.lease.user": "noor",
        "ccci-upgrade.lease.host": "laptop",
        "ccci-upgrade.lease.pid": "7",
        "ccci-upgrade.lease.token": "a" * 32,
        "ccci-upgrade.lease.command": "upgrade drone",
        "ccci-upgrade.lease.since": "2026-03-01T12:00:00.000Z",
        "ccci-upgrade.lease.heartbeat": "2026-03-01T12:00:00.000Z",
    }
    scene.engine.keep("/configs/create", "", {"Name": "ccci-upgrade-lease", "Labels": labels})
    line = "noor@laptop (pid 7), `upgrade drone`, since 2026-03-01T12:00:00.000Z"
    (lease,) = _document(scene.run("status", "--json", "--offline"))["data"]["leases"]

    assert lease == {"server": "ci.example.org", "state": "held", "holder": line, "why": None}
    assert f"at work now: {line}" in _text(scene)

    scene.engine.configs["ccci-upgrade-lease"]["Spec"]["Labels"] = {}
    (lease,) = _document(scene.run("status", "--json", "--offline"))["data"]["leases"]
    assert (lease["state"], lease["holder"]) == ("foreign", None)
    assert "its config cannot be read" in _text(scene)
