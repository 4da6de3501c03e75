"""Keycloak 25.0.6 to 26.0.8 and back, with its MariaDB: realms come and go with the data, and only with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.real.images import NEW, OLD
from tests.real.keycloak import Keycloak, realms_in
from tests.real.recipe import NEW_VERSION, OLD_VERSION
from tests.swarm.harness import Ran
from tests.swarm.runs import Seen

BEFORE, AFTER = "made-before", "made-after"
SECONDS = 900.0
Record = Callable[[str, object], None]


def run(keycloak: Keycloak, *words: str) -> Ran:
    """Run the tool without a terminal."""
    ran = keycloak.host.run_tool(*words, "--json", seconds=SECONDS)
    print(ran.err)  # noqa: T201 - shown by pytest where the test fails
    return ran


def upgrade(keycloak: Keycloak, *words: str) -> Seen:
    """Upgrade it; the major jump is known."""
    return Seen(run(keycloak, "upgrade", "keycloak", "--offline", "--ack=major", *words))


def rollback(keycloak: Keycloak, *words: str) -> Seen:
    """Go back."""
    return Seen(run(keycloak, "rollback", "keycloak", "--offline", *words))


def snapshots(keycloak: Keycloak) -> dict[str, Any]:
    """Every snapshot there is, by id."""
    document: Any = run(keycloak, "snapshot", "list").document()
    return {each["id"]: each for each in document["data"]["snapshots"]}


def archive(keycloak: Keycloak, snapshot: str, service: str) -> Path:
    """The archive of a service's volume in a snapshot."""
    (manifest,) = keycloak.host.state_dir.glob(f"*/snapshots/*/{snapshot}/manifest.json")
    volumes = json.loads(manifest.read_text())["volumes"]
    (file,) = (str(volume["file"]) for volume in volumes if volume["service"] == service)
    return manifest.parent / file


def reason(seen: Seen, finding: str) -> str:
    """The evidence of one finding of a plan."""
    (found,) = (each for each in seen.plan["findings"] if each["id"] == finding)
    return "\n".join(found["evidence"])


def times(seen: Seen) -> str:
    """What each phase took, for the figures."""
    return ", ".join(f"{phase['name']} {phase['seconds']:.0f}" for phase in seen.run["phases"])


def test_data_goes_back_with_its_version_and_can_be_had_again(
    keycloak: Keycloak, record_property: Record
) -> None:
    """A realm made before is there throughout; one made after is gone with the way back, and kept aside."""
    keycloak.make_realm(BEFORE)
    changes = keycloak.changes()

    up = upgrade(keycloak)
    migrated = keycloak.changes()
    realms_up = keycloak.realms()
    keycloak.make_realm(AFTER)

    assert up.end == ("upgraded", "converged", 0)
    assert keycloak.image() == NEW
    assert realms_up == {"master", BEFORE}
    assert migrated > changes
    assert snapshots(keycloak)[up.run["snapshot"]]["good"]

    alone = rollback(keycloak, "--version-only")
    held = rollback(keycloak)
    assert (alone.outcome, alone.ran.code, alone.run["holds"]) == ("held", 12, ["data-not-restored"])
    assert "has run on the data" in reason(alone, "data-not-restored")
    assert (held.outcome, held.ran.code, held.run["holds"]) == ("held", 12, ["data-loss"])
    assert up.run["snapshot"] in reason(held, "data-loss")
    assert keycloak.image() == NEW
    assert keycloak.realms() == {"master", BEFORE, AFTER}

    back = rollback(keycloak, "--ack=data-loss")
    assert back.end == ("rolled_back", "converged", 0)
    assert (keycloak.image(), keycloak.host.pinned("keycloak")) == (OLD, OLD_VERSION)
    assert keycloak.realms() == {"master", BEFORE}
    assert keycloak.changes() == changes

    kept = back.run["failed_state"]
    assert snapshots(keycloak)[kept]["version"] == NEW_VERSION
    assert realms_in(keycloak, archive(keycloak, kept, "db")) == {"master", BEFORE, AFTER}

    again = Seen(run(keycloak, "snapshot", "restore", "keycloak", kept, "--ack=data-loss"))
    assert again.ran.code == 0
    assert (keycloak.image(), keycloak.host.pinned("keycloak")) == (NEW, NEW_VERSION)
    assert keycloak.realms() == {"master", BEFORE, AFTER}
    assert run(keycloak, "snapshot", "verify", kept).code == 0

    unsafe = rollback(keycloak, f"--to={OLD_VERSION}", "--version-only", "--ack=data-not-restored")
    assert unsafe.ran.code == 0, "green on data that a newer version migrated"
    assert (keycloak.image(), keycloak.changes()) == (OLD, migrated)
    assert keycloak.realms() == {"master", BEFORE, AFTER}
    assert unsafe.run["acknowledged"] == ["data-not-restored"]
    for name, seen in (("upgrade", up), ("rollback", back), ("restore", again)):
        record_property("figure", f"keycloak {name} {seen.ran.seconds:.0f} s: {times(seen)}")


def test_an_upgrade_that_does_not_answer_is_undone_with_its_data(
    keycloak: Keycloak, record_property: Record
) -> None:
    """26.0.8 migrates and then answers elsewhere: back on 25.0.6 and on its data, exit 14."""
    keycloak.make_realm(BEFORE)
    changes = keycloak.changes()
    keycloak.host.release(
        "keycloak",
        f"11.0.1+{NEW}",
        env={"app": {"KC_HTTP_PORT": "8090"}},
        note="Answers at another port.\n",
        made=False,
    )
    keycloak.host.configure(budget="180s", settle="5s")

    seen = upgrade(keycloak, "--on-failure=rollback")

    assert seen.end == ("rolled_back", "unhealthy", 14)
    assert (keycloak.image(), keycloak.host.pinned("keycloak")) == (OLD, OLD_VERSION)
    assert keycloak.realms() == {"master", BEFORE}
    assert keycloak.changes() == changes
    record_property("figure", f"keycloak undone {seen.ran.seconds:.0f} s: {times(seen)}")


def test_swarms_own_way_back_is_never_taken_for_a_success(keycloak: Keycloak) -> None:
    """25.0.6 comes up green on a database that 26.0.8 migrated: suspect, until the data is back as well."""
    keycloak.make_realm(BEFORE)
    changes = keycloak.changes()
    saved: Any = run(keycloak, "snapshot", "create", "keycloak").document()
    keycloak.host.release(
        "keycloak",
        f"11.0.1+{NEW}",
        swap=((_UPDATE, _SICK + _UPDATE + "        monitor: 240s\n"),),
        note="Sick.\n",
        made=False,
    )

    seen = upgrade(keycloak, "--ack=no-snapshot")

    assert keycloak.image() == OLD, "Swarm went back by itself"
    assert keycloak.host.answers("keycloak"), "and the old version is green"
    assert keycloak.changes() > changes, "on data that the new one had migrated"
    assert seen.end == ("failed", "data_suspect", 15)
    assert "the data may have been migrated forward" in seen.evidence

    back = rollback(keycloak, f"--to={OLD_VERSION}", "--ack=data-loss")
    assert back.end == ("rolled_back", "converged", 0)
    assert saved["data"]["snapshots"][0]["id"] in snapshots(keycloak)
    assert keycloak.changes() == changes
    assert keycloak.realms() == {"master", BEFORE}


_UPDATE = "    deploy:\n      endpoint_mode: dnsrr\n      update_config:\n        failure_action: rollback\n"
_SICK = """    healthcheck:
      test: ["CMD", "bash", "-c", "! exec 3<>/dev/tcp/127.0.0.1/8080"]
      interval: 2s
      retries: 2
"""
"""Well as long as it migrates, sick as soon as it answers: the moment at which Swarm goes back."""
