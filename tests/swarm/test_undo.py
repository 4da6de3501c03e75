"""The way back on a real Swarm: version and data as one, by hand, by itself, at a terminal, and not at all."""

import json
import os
import re
import tarfile
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.swarm.host import Host
from tests.swarm.runs import Seen, findings
from tests.swarm.test_snapshots import expected, fill, kept, mountpoint

CRASHES = "1.9.1+2.26.1"
"""A version of drone that migrates its data and then crashes, again and again."""

MAJOR = ("--ack=db-major:db", "--ack=major", "--ack=notes-migration:11.0.0+26.2.0")
FIRST = {"drone": "1.8.0+2.25.0", "keycloak": "10.0.0+26.0.0", "traefik": "1.0.0+3.0.0"}
NEWEST = {"drone": "1.9.0+2.26.0", "keycloak": "11.0.0+26.2.0", "traefik": "1.1.0+3.1.0"}


def upgrade(host: Host, recipe: str, *words: str, seconds: float = 120.0) -> Seen:
    """Upgrade one app without a terminal, and have what fails undone by the rule."""
    return Seen(host.run_tool("upgrade", recipe, "--json", "--offline", *words, seconds=seconds))


def back(host: Host, recipe: str, *words: str) -> Seen:
    """Take one app back without a terminal."""
    return Seen(host.run_tool("rollback", recipe, "--json", "--offline", *words))


def data(host: Host, recipe: str) -> Path:
    """Where the Engine keeps what a database keeps."""
    return mountpoint(host, f"{host.stack(recipe)}_{'mariadb' if recipe == 'keycloak' else 'data'}")


def content(host: Host, recipe: str) -> dict[str, tuple[object, ...]]:
    """All that is in there, by digest. The file `version` is written anew at each start: its time is left out."""
    found = expected(data(host, recipe))
    found["__v/version"] = (*found["__v/version"][:4], *found["__v/version"][5:])
    return found


def archived(host: Host, snapshot: str, volume: str) -> dict[str, tuple[object, ...]]:
    """What is in a snapshot of one volume."""
    (folder,) = host.state_dir.glob(f"*/snapshots/*/{snapshot}")
    manifest = json.loads((folder / "manifest.json").read_text())
    (file,) = (each["file"] for each in manifest["volumes"] if each["name"].endswith(volume))
    return kept(folder / file)


def text_in(host: Host, snapshot: str, volume: str, name: str) -> str:
    """One file of it."""
    (folder,) = host.state_dir.glob(f"*/snapshots/*/{snapshot}")
    manifest = json.loads((folder / "manifest.json").read_text())
    (file,) = (each["file"] for each in manifest["volumes"] if each["name"].endswith(volume))
    with tarfile.open(folder / file) as archive:
        found = archive.extractfile(f"__v/{name}")
        assert found is not None
        return found.read().decode()


def replicas(host: Host, recipe: str) -> list[str]:
    """Running and wanted replicas of each service."""
    return host.services(recipe, "{{.Replicas}}")


def is_back(host: Host, recipe: str) -> bool:
    """On its first version, by label and `.env`, in full and answering."""
    host.wait_for(recipe)  # behind the mesh a name may lead to the task before for a moment
    return host.label(recipe) == host.pinned(recipe) == FIRST[recipe]


def open_runs(host: Host) -> list[Any]:
    """Runs that never ended."""
    document: Any = host.run_tool("status", "--json", "--offline").document()
    return list(document["data"]["open_runs"])


def release_crashing(host: Host) -> None:
    """Publish the version that crashes; abra does not wait long for it."""
    host.habits(commands=["upgrade"], give_up_after=4)
    host.release("drone", CRASHES, images={"app": "drone/drone:2.26.1"}, env={"app": {"CRASH_AFTER": "1"}})


def test_an_upgrade_keeps_the_data_and_rollback_brings_it_back(host: Host) -> None:
    """By digest, with owners and modes; what the new version wrote is in the failed state, which comes back too."""
    host.deploy("keycloak")
    fill(data(host, "keycloak"))
    before = content(host, "keycloak")

    up = upgrade(host, "keycloak", *MAJOR)
    migrated = (data(host, "keycloak") / "migrations").read_text()
    (data(host, "keycloak") / "new-realm").write_text("made after the upgrade\n")
    (data(host, "keycloak") / "soft").unlink()
    newer = content(host, "keycloak")
    held = back(host, "keycloak")
    down = back(host, "keycloak", "--ack", "data-loss")
    after = content(host, "keycloak")
    was_back = is_back(host, "keycloak")
    again = Seen(
        host.run_tool(
            *("snapshot", "restore", "keycloak", down.run["failed_state"]),
            *("--json", "--offline", "--ack", "data-loss"),
        )
    )

    assert up.end == ("upgraded", "converged", 0)
    assert up.run["snapshot"]
    assert migrated == "migrated from 10.6 to 10.11\n"
    assert held.end == ("held", None, 12)
    assert findings(held)["data-loss"] == "ack"
    assert down.end == ("rolled_back", "converged", 0)
    assert (down.run["from"], down.run["to"]) == (NEWEST["keycloak"], FIRST["keycloak"])
    assert down.run["snapshot"] == up.run["snapshot"]
    assert was_back
    assert after == before
    assert text_in(host, down.run["failed_state"], "mariadb", "new-realm") == "made after the upgrade\n"
    assert again.end == ("rolled_back", "converged", 0)
    assert content(host, "keycloak") == newer
    assert host.label("keycloak") == host.pinned("keycloak") == NEWEST["keycloak"]
    assert open_runs(host) == []


def test_the_version_alone_goes_back_only_where_somebody_says_so(host: Host) -> None:
    """Held by name; said, it acts, and an older version that cannot read the data is no success."""
    host.deploy("drone")
    up = upgrade(host, "drone")
    host.configure(budget="15s")

    held = back(host, "drone", "--version-only")
    done = back(host, "drone", "--version-only", "--ack", "data-not-restored")

    assert up.end == ("upgraded", "converged", 0)
    assert held.end == ("held", None, 12)
    assert findings(held)["data-not-restored"] == "ack"
    assert done.ran.code in (15, 16)
    assert done.outcome in ("failed", "unhealthy")
    assert "the data was written by 2.26.0" in done.logs
    assert done.run["snapshot"] is None
    assert (data(host, "drone") / "migrations").exists()


def test_swarms_own_way_back_is_suspect_and_without_a_snapshot_the_data_stays(host: Host) -> None:
    """Going without a snapshot is said by name; then nothing brings the data back, and nothing pretends to."""
    host.release("drone", CRASHES, env={"app": {"EXIT": "7"}}, swap=((HOST_PORT, ""),))
    host.deploy("drone")

    host.configure(budget="90s")  # Swarm's own way back takes its time where the machine is busy
    up = upgrade(host, "drone", "--to", CRASHES, "--ack", "no-snapshot")
    refused = back(host, "drone", "--to", FIRST["drone"])

    assert up.end == ("failed", "data_suspect", 15)
    assert up.run["snapshot"] is None
    assert up.run["undo"] is None
    assert refused.end == ("not_ready", None, 13)
    assert findings(refused)["snapshot-missing"] == "block"


def test_a_bad_version_is_undone_with_its_data_without_anybody(host: Host) -> None:
    """It migrated the data and crashed: the old version runs on the old data, and the exit says what happened."""
    release_crashing(host)
    host.deploy("drone")
    fill(data(host, "drone"))
    before = content(host, "drone")

    seen = upgrade(host, "drone", "--to", CRASHES)

    assert (seen.outcome, seen.ran.code) == ("rolled_back", 14)
    assert seen.state in ("unhealthy", "flapping")
    assert seen.run["undo"]["state"] == "converged"
    assert is_back(host, "drone")
    assert content(host, "drone") == before
    assert text_in(host, seen.run["failed_state"], "data", "version") == "2.26.1\n"
    assert open_runs(host) == []


def test_a_bad_version_is_left_where_that_was_said(host: Host) -> None:
    """Exit 16, nothing is undone; the command it names brings everything back."""
    release_crashing(host)
    host.deploy("drone")
    before = content(host, "drone")

    seen = upgrade(host, "drone", "--to", CRASHES, "--on-failure", "leave")
    left = host.label("drone")
    down = back(host, "drone", "--ack", "data-loss")

    assert (seen.outcome, seen.ran.code) == ("unhealthy", 16)
    assert (left, seen.run["undo"]) == (CRASHES, None)
    assert "ccci-upgrade rollback drone.ci.example.org" in seen.next
    assert down.end == ("rolled_back", "converged", 0)
    assert is_back(host, "drone")
    assert content(host, "drone") == before


def test_at_a_terminal_somebody_is_asked(host: Host) -> None:
    """After the card: version, images, snapshot, command."""
    release_crashing(host)
    host.deploy("drone")
    child = host.engine.pty(host.argv("upgrade", "drone", "--to", CRASHES, "--offline"), seconds=120)
    _answer(child, "now?", "y\r")
    child.expect_exact("watch the Swarm")
    child.expect_exact(f"To go back to {FIRST['drone']}:")
    child.expect_exact(f"go back to {FIRST['drone']} now?")
    shown = str(child.before)
    child.expect(pexpect.TIMEOUT, timeout=0.5)
    child.send("y\r")
    code, said = _ended(child)

    assert code == 14, said
    for part in (
        "drone/drone:2.25.0",
        "data: snapshot",
        "is put back with it",
        "rollback drone.ci.example.org",
    ):
        assert part in shown, shown
    assert is_back(host, "drone")


def test_certificates_are_copied_while_traefik_runs_and_never_put_back_unasked(host: Host) -> None:
    """Mode 0600 is kept; the way back changes the version alone."""
    host.deploy("traefik")
    place = mountpoint(host, f"{host.stack('traefik')}_letsencrypt")
    (place / "acme.json").write_text("old\n")
    (place / "acme.json").chmod(0o600)
    up = upgrade(host, "traefik")
    (place / "acme.json").write_text("renewed since\n")
    down = back(host, "traefik")

    assert up.end == ("upgraded", "converged", 0)
    assert "quiesce" not in {phase["name"] for phase in up.run["phases"]}
    saved = archived(host, up.run["snapshot"], "letsencrypt")["__v/acme.json"]
    assert saved[1] == 0o600
    assert text_in(host, up.run["snapshot"], "letsencrypt", "acme.json") == "old\n"
    assert down.end == ("rolled_back", "converged", 0)
    assert down.run["snapshot"] is None
    assert is_back(host, "traefik")
    assert (place / "acme.json").read_text() == "renewed since\n"
    assert (place / "acme.json").stat().st_mode & 0o7777 == 0o600


def test_abra_refuses_after_the_app_was_stopped(host: Host) -> None:
    """The replicas come back by themselves: nothing was changed, exit 13."""
    host.deploy("drone")
    before = content(host, "drone")
    host.habits(fail_before=True)

    seen = upgrade(host, "drone")

    assert seen.end == ("not_ready", "unchanged", 13)
    assert "abra exited 1" in seen.evidence
    assert is_back(host, "drone")
    assert replicas(host, "drone") == ["1/1"]
    assert content(host, "drone") == before
    assert open_runs(host) == []


# -- Ctrl-C -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["stop it for the copy", "copy its volumes"])
def test_ctrl_c_before_abra_changes_nothing(host: Host, moment: str) -> None:
    """The app comes back, no snapshot is half there, exit 130."""
    host.deploy("drone")
    (data(host, "drone") / "large").write_bytes(os.urandom(24 << 20))
    before = content(host, "drone")
    child = host.engine.pty(host.argv("upgrade", "drone", "--no-input", "--offline"), seconds=120)
    child.expect_exact(moment)
    child.sendintr()
    code, said = _ended(child)

    assert code == 130, said
    assert is_back(host, "drone")
    assert content(host, "drone") == before
    assert not list(host.state_dir.glob("*/snapshots/*/.*.partial"))
    assert open_runs(host) == []


def test_ctrl_c_while_abra_runs_is_abras(host: Host) -> None:
    """It is ended before it changed anything: the stopped app comes back."""
    host.deploy("drone")
    host.habits(delay_before=20)
    child = host.engine.pty(host.argv("upgrade", "drone", "--no-input", "--offline"), seconds=120)
    child.expect_exact("$ abra app upgrade")
    child.expect(pexpect.TIMEOUT, timeout=1)
    child.sendintr()
    code, said = _ended(child)

    assert code == 13, said
    assert is_back(host, "drone")
    assert open_runs(host) == []


@pytest.mark.parametrize(
    ("moment", "end"), [("keep the state that is replaced", 15), ("put the snapshot's data back", 14)]
)
def test_ctrl_c_during_the_undo_leaves_nothing_half_done(host: Host, moment: str, end: int) -> None:
    """Before data is put back it ends there, with the new version as it was; from then on nothing stops it."""
    release_crashing(host)
    host.deploy("drone")
    (data(host, "drone") / "large").write_bytes(os.urandom(64 << 20))
    before = content(host, "drone")
    words = ("upgrade", "drone", "--no-input", "--offline", "--to", CRASHES)
    child = host.engine.pty(host.argv(*words), seconds=120)
    child.expect_exact(moment)
    carriers = ("ps", "-aq", "--filter", "label=ccci-upgrade.carrier")
    host.engine.wait(lambda: bool(host.engine.docker(*carriers)), "no volume is touched")
    child.sendintr()
    code, said = _ended(child)

    assert code == end, said
    assert open_runs(host) == []
    if end == 14:
        assert is_back(host, "drone")
        assert content(host, "drone") == before
    else:
        assert "interrupted before any data was put back" in said
        assert host.label("drone") == CRASHES
        assert replicas(host, "drone")[0].endswith("/1")
        assert (data(host, "drone") / "version").read_text() == "2.26.1\n"


HOST_PORT = (
    "    ports:\n      - target: 8080\n        published: 8082\n        protocol: tcp\n        mode: host\n"
)


def _answer(child: "pexpect.spawn[str]", question: str, keys: str) -> None:
    """Wait for a question, give it time to listen, and type."""
    child.expect_exact(question)
    child.expect(pexpect.TIMEOUT, timeout=0.5)
    child.send(keys)


def _ended(child: "pexpect.spawn[str]") -> tuple[int | None, str]:
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", str(child.before))
