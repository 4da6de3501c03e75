"""What goes wrong while data is copied or put back: the right end, in time, and the data as it was, by digest."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.swarm.host import Host
from tests.swarm.runs import findings, soon
from tests.swarm.test_snapshots import fill
from tests.swarm.test_undo import FIRST, NEWEST, back, content, data, is_back, open_runs, replicas, upgrade

MEGABYTE = 1 << 20


@contextmanager
def when(host: Host, step: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something as soon as a step was begun; what fails there fails the test."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        meddling = pool.submit(_once, host, step, act)
        yield
        meddling.result(timeout=60)


def snapshots(host: Host) -> list[str]:
    """All that lies where snapshots go, half ones too."""
    return sorted(path.name for path in host.state_dir.glob("*/snapshots/*/*"))


def stack_deploy(host: Host, version: str) -> None:
    """Deploy a version of drone past abra and past us."""
    compose = host.recipe("drone").git("show", f"{version}:compose.yml")
    path = host.folder / "compose.foreign.yml"
    path.write_text(compose)
    env = {
        "STACK_NAME": host.stack("drone"),
        "DOMAIN": host.app("drone"),
        "SECRET_RPC_SECRET_VERSION": "v1",
    }
    argv = ["docker", "-H", host.engine.url, "stack", "deploy", "-c", str(path), host.stack("drone")]
    ran = host.engine.run(argv, env=env)
    assert ran.code == 0, ran.err


def take_away(host: Host, recipe: str, volume: str) -> None:
    """Remove a volume as soon as nothing runs with it, with the ended containers that hold it."""
    name = f"{host.stack(recipe)}_{volume}"

    def gone() -> bool:
        if host.engine.docker("ps", "-q", "--filter", f"volume={name}"):
            return False
        left = host.engine.docker("ps", "-aq", "--filter", f"volume={name}").split()
        host.engine.docker("rm", *left, check=False)
        host.engine.docker("volume", "rm", name, check=False)
        return name not in host.engine.docker("volume", "ls", "--quiet").split()

    host.engine.wait(gone, f"{name} is held")


@pytest.fixture
def small(host: Host) -> Iterator[None]:
    """Give the state folder a disk of its own, of 100 MB."""
    host.state_dir.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", host.state_dir], check=True)  # noqa: S607 - from PATH
    yield
    subprocess.run(["umount", "--lazy", host.state_dir], check=True)  # noqa: S607 - from PATH


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("left", [MEGABYTE, 0])
def test_a_disk_that_gets_full_during_the_copy_costs_nothing(host: Host, left: int) -> None:
    """There was room when it was looked at: the app comes back, and no half of a snapshot stays."""
    host.deploy("drone")
    (data(host, "drone") / "large").write_bytes(os.urandom(8 * MEGABYTE))
    before = content(host, "drone")
    filler = host.state_dir / "filler"

    with when(host, "quiesce", lambda: _fill_disk(host, left)):
        seen = upgrade(host, "drone")
    filler.unlink()
    kept = snapshots(host)
    unfinished = [run["phase"] for run in open_runs(host)]

    assert seen.end == ("not_ready", None, 13)
    assert "No space left on device" in "\n".join(seen.run["notices"])
    assert seen.run["snapshot"] is None
    assert kept == []
    assert is_back(host, "drone")
    assert content(host, "drone") == before
    assert unfinished == [] or left == 0  # its end could not be written; the next command ends it
    assert seen.ran.seconds < 90


def test_a_database_that_does_not_stop_cleanly_is_not_upgraded(host: Host) -> None:
    """Killed twice: its files may be of no use, so nothing is done to it, and it is back."""
    host.deploy("drone")
    ignoring = ("--env-add", "IGNORE_TERM=1", "--stop-grace-period", "1s")
    host.engine.docker("service", "update", "--detach", *ignoring, f"{host.stack('drone')}_app")
    host.wait_for("drone")

    seen = upgrade(host, "drone")

    assert seen.end == ("not_ready", None, 13)
    assert "exit 137, then 137" in "\n".join(seen.run["notices"])
    assert snapshots(host) == []
    assert is_back(host, "drone")
    assert open_runs(host) == []


def test_a_volume_that_vanishes_before_it_is_copied_is_told(host: Host) -> None:
    """The Engine makes an empty one without a word: that is no copy of anything, and no app as before."""
    host.deploy("keycloak")
    before = content(host, "keycloak")

    with when(host, "quiesce", lambda: take_away(host, "keycloak", "providers")):
        seen = upgrade(host, "keycloak", "--to", "10.1.0+26.1.0")

    said = "\n".join(seen.run["notices"])
    assert seen.end == ("failed", None, 15)
    assert "keycloak_ci_example_org_providers" in said
    assert "runs again without its data" in said
    assert snapshots(host) == []
    assert replicas(host, "keycloak") == ["1/1", "1/1"]
    assert host.label("keycloak") == FIRST["keycloak"]
    assert content(host, "keycloak") == before


def test_a_volume_that_vanishes_after_it_was_copied_comes_back_from_the_copy(host: Host) -> None:
    """The new version comes up green on an empty volume: seen, undone, and the data is there."""
    host.deploy("drone")
    fill(data(host, "drone"))
    before = content(host, "drone")
    host.habits(delay_before=4, commands=["upgrade"])

    with when(host, "act", lambda: take_away(host, "drone", "data")):
        seen = upgrade(host, "drone")

    assert seen.end == ("rolled_back", "data_detached", 14)
    assert seen.run["undo"]["state"] == "converged"
    assert is_back(host, "drone")
    assert content(host, "drone") == before


def test_data_comes_back_where_no_volume_is_left(host: Host) -> None:
    """As after an Engine that died between removing it and making it anew: no failed state, but a way back."""
    host.deploy("drone")
    fill(data(host, "drone"))
    before = content(host, "drone")
    up = upgrade(host, "drone")
    host.engine.docker("service", "scale", f"{host.stack('drone')}_app=0")
    take_away(host, "drone", "data")

    down = back(host, "drone", "--ack", "data-loss")

    assert up.end == ("upgraded", "converged", 0)
    assert down.end == ("rolled_back", "converged", 0)
    assert down.run["failed_state"] is None
    assert is_back(host, "drone")
    assert content(host, "drone") == before
    assert len(snapshots(host)) == 1


def test_an_engine_restarted_in_the_middle_of_the_update(mortal: Host) -> None:
    """However it ends, the exit says what is true, and data and version belong together."""
    mortal.deploy("drone")
    fill(data(mortal, "drone"))
    before = content(mortal, "drone")
    mortal.configure(budget="60s")

    def restart() -> None:
        time.sleep(1.5)
        mortal.engine.kill()
        mortal.engine.restart()

    with when(mortal, "act", restart):
        seen = upgrade(mortal, "drone", seconds=240)

    if seen.ran.code == 0:
        assert seen.end == ("upgraded", "converged", 0)
        assert mortal.label("drone") == mortal.pinned("drone") == NEWEST["drone"]
        assert (data(mortal, "drone") / "version").read_text() == "2.26.0\n"
    elif "port is already allocated" in str(seen.run["undo"]):
        # An Engine that was killed while it gave a task its port may never give it away again: hands are needed.
        assert (seen.outcome, seen.ran.code) == ("failed", 15)
        assert mortal.label("drone") == FIRST["drone"]
        assert content(mortal, "drone") == before
    else:
        assert (seen.outcome, seen.ran.code) == ("rolled_back", 14)
        assert is_back(mortal, "drone")
        assert content(mortal, "drone") == before
    assert open_runs(mortal) == []


def test_an_engine_gone_while_data_is_put_back(mortal: Host) -> None:
    """Exit 15, the app stays down with half its data; the same command again ends it."""
    mortal.deploy("drone")
    fill(data(mortal, "drone"))
    (data(mortal, "drone") / "large").write_bytes(os.urandom(48 * MEGABYTE))
    before = content(mortal, "drone")
    up = upgrade(mortal, "drone")

    with when(mortal, "restore", mortal.engine.kill):
        broken = back(mortal, "drone", "--ack", "data-loss")
    mortal.engine.restart()
    again = back(mortal, "drone", "--ack", "data-loss")

    assert up.end == ("upgraded", "converged", 0)
    assert broken.end == ("failed", None, 15)
    assert "ccci-upgrade rollback" in broken.next
    assert broken.ran.seconds < 60
    assert again.end == ("rolled_back", "converged", 0)
    assert is_back(mortal, "drone")
    assert content(mortal, "drone") == before
    assert open_runs(mortal) == []


def test_old_images_outlive_a_prune(host: Host) -> None:
    """What runs was kept before the act; afterwards nothing uses it, and a prune takes all that nothing uses."""
    host.deploy("drone")
    before = content(host, "drone")
    up = upgrade(host, "drone")

    with host.engine.pruned():
        down = back(host, "drone", "--ack", "data-loss")

    assert up.end == ("upgraded", "converged", 0)
    assert down.end == ("rolled_back", "converged", 0)
    assert is_back(host, "drone")
    assert content(host, "drone") == before


def test_a_stack_deploy_during_the_copy_spoils_it(host: Host) -> None:
    """What was copied while somebody else started the app is no snapshot; theirs is left as it is."""
    host.deploy("drone")
    (data(host, "drone") / "large").write_bytes(os.urandom(64 * MEGABYTE))

    with when(host, "copy", lambda: stack_deploy(host, NEWEST["drone"])):
        seen = upgrade(host, "drone")

    assert seen.end == ("not_ready", None, 13)
    assert "somebody changed" in "\n".join(seen.run["notices"])
    assert seen.run["snapshot"] is None
    assert host.label("drone") == NEWEST["drone"], "theirs was overwritten"
    assert replicas(host, "drone") == ["1/1"]
    assert open_runs(host) == []


def test_a_stack_deploy_after_the_act_is_theirs_and_spoils_the_snapshot(host: Host) -> None:
    """Nothing is undone unasked, and no rollback chooses the copy by itself; a person can, by its id."""
    host.deploy("drone")
    host.configure(settle="8s")

    # One without what the other compose file says.
    with when(host, "verify", lambda: stack_deploy(host, NEWEST["drone"])):
        seen = upgrade(host, "drone")
    theirs = host.inspect("drone", "app", "{{json .Spec}}")
    refused = back(host, "drone", "--to", FIRST["drone"])

    assert seen.end == ("failed", "foreign_change", 15)
    assert seen.run["undo"] is None
    assert "is marked as spoiled" in "\n".join(seen.run["notices"])
    assert host.inspect("drone", "app", "{{json .Spec}}") == theirs
    assert refused.end == ("not_ready", None, 13)
    assert findings(refused)["snapshot-missing"] == "block"
    assert "somebody else changed the app" in refused.ran.err


def test_an_empty_database_is_nothing_to_go_back_to(host: Host) -> None:
    """Known before: held by name. Emptied after it was looked at: not upgraded, and the app is back."""
    host.release(
        "keycloak",
        "10.0.1+26.0.0",
        based_on=FIRST["keycloak"],
        swap=(("      - DATA_DIR=/var/lib/mysql\n", "      - DATA_DIR=/tmp/mysql\n"),),
    )
    host.deploy("keycloak", version="10.0.1+26.0.0")
    (data(host, "keycloak") / "ibdata1").write_bytes(b"")
    to = ("--to", "10.1.0+26.1.0")

    held = upgrade(host, "keycloak", *to)
    (data(host, "keycloak") / "ibdata1").write_bytes(b"data")
    with when(host, "quiesce", lambda: (data(host, "keycloak") / "ibdata1").write_bytes(b"")):
        seen = upgrade(host, "keycloak", *to)

    assert held.end == ("held", None, 12)
    assert findings(held)["snapshot-suspect"] == "ack"
    assert seen.end == ("not_ready", None, 13)
    assert "of a database is empty" in "\n".join(seen.run["notices"])
    assert host.label("keycloak") == "10.0.1+26.0.0"
    assert host.converged("keycloak")
    assert host.answers("keycloak")


def _once(host: Host, step: str, act: Callable[[], object]) -> None:
    soon(host, step)
    act()


def _fill_disk(host: Host, left: int) -> None:
    with (host.state_dir / "filler").open("wb", buffering=0) as file:
        while (free := _free(host) - left) > 0:
            file.write(bytes(min(free, MEGABYTE)))


def _free(host: Host) -> int:
    found = os.statvfs(host.state_dir)
    return found.f_bavail * found.f_frsize
