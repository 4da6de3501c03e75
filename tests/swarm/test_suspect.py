"""A copy of data that a newer version may have migrated never passes for the old version's."""

from typing import Any

from tests.swarm.host import Host
from tests.swarm.runs import upgrade

OLD, NEW = "10.0.0+26.0.0", "10.2.0+26.1.0"


def test_a_way_back_passes_over_what_was_copied_from_suspect_data(host: Host) -> None:
    """Swarm went back on its own: a copy taken then is kept, marked, and not chosen."""
    host.deploy("keycloak")
    clean = _create(host)
    host.release(
        "keycloak",
        NEW,
        based_on=OLD,
        images={"app": "quay.io/keycloak/keycloak:26.1.0"},
        env={"app": {"HEALTHY": "never"}},
    )

    seen = upgrade(host, "keycloak", "--to", NEW, "--ack=no-snapshot")
    suspect = _create(host)
    listed: Any = host.run_tool("snapshot", "list").out
    shown: Any = host.run_tool("status", "--json", "--offline").document()
    planned: Any = host.run_tool("rollback", "keycloak", "--dry-run", "--json", "--offline").document()

    assert seen.end == ("failed", "data_suspect", 15)
    assert f"{NEW} may have migrated the data before {OLD} came back" in listed
    assert _chosen(planned) == clean
    (row,) = (app for app in shown["data"]["apps"] if app["app"].startswith("keycloak"))
    assert f"the data is suspect: {NEW} may have migrated" in row["problem"]
    assert suspect not in str(planned["data"]["plans"])


def _create(host: Host) -> str:
    ran = host.run_tool("snapshot", "create", "keycloak", "--json")
    assert ran.code == 0, ran.err
    document: Any = ran.document()
    return str(document["data"]["snapshots"][0]["id"])


def _chosen(document: Any) -> str:
    """The snapshot that a planned way back puts back."""
    (plan,) = document["data"]["plans"]
    (loss,) = (finding for finding in plan["findings"] if finding["id"] == "data-loss")
    return str(loss["evidence"][0].split()[1])
