"""The script that makes the Swarm, on real Engines of its own: as NixOS runs it, from every state it may find."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccci_upgrade.tools.engine import Engine as Client
from ccci_upgrade.tools.engine import Json
from tests.nix import nixlab
from tests.nix.conftest import need
from tests.nix.unitlab import Unit, unit
from tests.swarm.harness import Engine, Ran, missing

SEEN = "{{.Driver}} {{.Scope}} {{.Attachable}} {{range .IPAM.Config}}{{.Subnet}}{{end}}"
STATE = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """An Engine without a Swarm, and the unit."""

    engine: Engine
    unit: Unit
    folder: Path

    def run(self, **more: str) -> Ran:
        """Run the unit in the Engine's network, without anything else in its environment."""
        return self.engine.run(self.unit.argv(DOCKER_HOST=self.engine.url, **more))

    def network(self, name: str = "proxy") -> str:
        """What the network is; "" where it is not there."""
        return self.engine.docker("network", "inspect", "--format", SEEN, name, check=False)

    def state(self) -> str:
        """What the Engine says of its Swarm."""
        return self.engine.docker("info", "--format", STATE)

    def everything(self) -> tuple[str, str]:
        """What another run must not change: the Swarm's id and the network's."""
        cluster = self.engine.docker("info", "--format", "{{.Swarm.Cluster.ID}}")
        return cluster, self.engine.docker("network", "inspect", "--format", "{{.ID}}", "proxy")

    def tokens(self) -> list[str]:
        """The secrets with which machines join."""
        return [self.engine.docker("swarm", "join-token", "--quiet", role) for role in ("worker", "manager")]


@pytest.fixture(scope="module")
def bare() -> Iterator[Engine]:
    """Give an Engine that knows no Swarm yet."""
    need([*nixlab.missing(), *missing()])
    engine = Engine()
    try:
        engine.start()
        yield engine
    finally:
        engine.close()


@pytest.fixture
def lab(bare: Engine, tmp_path: Path) -> Iterator[Lab]:
    """Give it with the unit; afterwards it knows no Swarm again."""
    yield Lab(engine=bare, unit=unit("ccci-swarm-init", tmp_path), folder=tmp_path)
    bare.docker("swarm", "leave", "--force", check=False)
    bare.wait(lambda: not bare.docker("network", "ls", "-q", "--filter", "driver=overlay"), "networks stay")
    bare.docker("network", "rm", "proxy", check=False)


def test_the_first_run_makes_swarm_and_network_and_the_second_changes_nothing(lab: Lab) -> None:
    """No join token is told; one that leaks lets anybody in."""
    first = lab.run()
    before = lab.everything()
    second = lab.run()

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.out.splitlines() == [
        "ccci-swarm-init: a new Swarm was made",
        "ccci-swarm-init: the network proxy was made",
    ]
    assert (second.out, second.err) == ("", "")
    assert lab.state() == "active true"
    assert lab.network() == "overlay swarm true 10.10.0.0/16"
    assert lab.everything() == before
    said = first.out + first.err + second.out + second.err
    assert "SWMTKN" not in said
    assert not [token for token in lab.tokens() if token in said]


def test_the_swarm_is_not_for_others(lab: Lab) -> None:
    """It advertises itself and listens on loopback."""
    lab.run()

    address = lab.engine.docker("node", "inspect", "self", "--format", "{{.ManagerStatus.Addr}}")
    listening = lab.engine.run(["ss", "--no-header", "--tcp", "--listening", "--numeric", "sport = 2377"]).out

    assert address == "127.0.0.1:2377"
    assert [line.split()[3] for line in listening.splitlines()] == ["127.0.0.1:2377"]


def test_an_existing_swarm_is_kept(lab: Lab) -> None:
    """Whoever made it, and however; only the network is added."""
    lab.engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2399")
    cluster = lab.engine.docker("info", "--format", "{{.Swarm.Cluster.ID}}")

    ran = lab.run()

    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == ["ccci-swarm-init: the network proxy was made"]
    assert lab.everything()[0] == cluster
    assert lab.network() == "overlay swarm true 10.10.0.0/16"


def test_a_swarm_that_comes_back_is_waited_for(lab: Lab) -> None:
    """After a boot the Engine answers before it knows its Swarm again; its networks are missing till then."""
    lab.run()
    before = lab.everything()
    for _ in range(3):
        lab.engine.kill()
        lab.engine.start()

        ran = lab.run()

        assert (ran.code, ran.out) == (0, ""), ran.err
        assert lab.everything() == before


def test_other_settings_make_another_network(lab: Lab) -> None:
    """Its name, who may join it, and addresses that Docker chooses."""
    ran = lab.run(CCCI_NETWORK="web", CCCI_NETWORK_ATTACHABLE="false", CCCI_NETWORK_SUBNET="")

    assert ran.code == 0, ran.err
    assert lab.network("web").startswith("overlay swarm false 10.")
    assert not lab.network("web").endswith("10.10.0.0/16")
    assert lab.network() == ""


def test_another_subnet_is_a_warning(lab: Lab) -> None:
    """It is never made anew: that would stop all routing."""
    _swarm(lab, "--driver", "overlay", "--attachable", "--subnet", "10.77.0.0/24")
    before = lab.everything()

    ran = lab.run()

    assert (ran.code, ran.out) == (0, "")
    assert (
        "warning: the network proxy has the subnet 10.77.0.0/24, not 10.10.0.0/16; it is left as it is"
        in ran.err
    )
    assert "attachable" not in ran.err
    assert lab.everything() == before


def test_a_subnet_that_docker_chose_is_fine_where_none_is_wanted(lab: Lab) -> None:
    """Null in the configuration means just that."""
    _swarm(lab, "--driver", "overlay", "--attachable", "--subnet", "10.77.0.0/24")

    ran = lab.run(CCCI_NETWORK_SUBNET="")

    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_a_network_nobody_can_join_is_a_warning(lab: Lab) -> None:
    """Attachable or not cannot be changed either."""
    _swarm(lab, "--driver", "overlay", "--subnet", "10.10.0.0/16")
    before = lab.everything()

    ran = lab.run()

    assert (ran.code, ran.out) == (0, "")
    assert "warning: the network proxy has attachable=false, not true; it is left as it is" in ran.err
    assert lab.everything() == before


def test_a_network_of_another_kind_is_refused(lab: Lab) -> None:
    """With what to do, and it is left as it is."""
    lab.engine.docker("network", "create", "--driver", "bridge", "proxy")
    before = lab.engine.docker("network", "inspect", "--format", "{{.ID}}", "proxy")

    ran = lab.run()

    assert ran.code == 1
    assert "the network proxy is not an overlay network of the Swarm, but: bridge local false" in ran.err
    assert "docker network rm proxy" in ran.err
    assert lab.engine.docker("network", "inspect", "--format", "{{.ID}}", "proxy") == before


def test_a_network_with_a_longer_name_is_another(lab: Lab) -> None:
    """Docker's own filter would find it too."""
    lab.engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    lab.engine.docker("network", "create", "--driver", "overlay", "proxy-internal")

    ran = lab.run()

    assert ran.code == 0, ran.err
    assert lab.network() == "overlay swarm true 10.10.0.0/16"


def test_two_networks_of_one_name_are_refused(lab: Lab) -> None:
    """Nobody could say which one an app gets. Old Engines make a second one where they are not asked to look."""
    client = Client(lab.engine.socket)
    body: dict[str, Json] = {"Name": "proxy", "Driver": "bridge", "CheckDuplicate": False}
    made = [client.ask("POST", "/networks/create", body=body) for _ in range(2)]
    client.close()

    ran = lab.run()

    several = [each.status for each in made] == [201, 201]
    assert ran.code == 1
    assert ("there are several networks named proxy:" in ran.err) == several
    for each in made[1:] if several else []:
        lab.engine.docker("network", "rm", str(json.loads(each.body)["Id"]))


def test_a_network_that_has_no_driver_yet_is_waited_for(lab: Lab) -> None:
    """The Engine answers its creation before the manager has given it one; here it says so once for certain."""
    lab.run()
    before = lab.everything()
    folder = lab.folder / "shim"
    folder.mkdir()
    shim = folder / "docker"
    shim.write_text(
        f"#!/bin/sh\n[ -e {folder}/told ] || case $* in 'network inspect'*) : >{folder}/told;"
        f" echo ' swarm true'; exit ;; esac\nexec {shutil.which('docker')} \"$@\"\n"
    )
    shim.chmod(0o755)

    ran = lab.run(PATH=f"{folder}:{lab.unit.env['PATH']}")

    assert (folder / "told").exists()
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert lab.everything() == before


def test_without_an_engine_it_fails_and_says_where_to_look(lab: Lab) -> None:
    """And does not wait for one: systemd has started it before."""
    ran = lab.engine.run(lab.unit.argv(DOCKER_HOST=f"unix://{lab.folder}/none.sock"))

    assert ran.code != 0
    assert ran.seconds < 10
    assert "systemctl status docker.service" in ran.err


def test_a_locked_swarm_is_left_for_a_person(lab: Lab) -> None:
    """Nobody else has its key, and a new Swarm would lose everything."""
    lab.run()
    lab.engine.docker("swarm", "update", "--autolock")
    key = lab.engine.folder / "data" / "swarm" / "certificates" / "swarm-node.key"
    # The Engine answers before it has locked its key.
    lab.engine.wait(lambda: "ENCRYPTED" in key.read_text(), "the key is not locked")
    lab.engine.kill()
    lab.engine.start()

    ran = lab.run()

    assert lab.state() == "locked false"
    assert ran.code == 1
    assert "docker swarm unlock" in ran.err


@contextlib.contextmanager
def _joined(lab: Lab, role: str) -> Iterator[Engine]:
    """Let the Engine join a Swarm of another one, over a cable between the two."""
    manager = Engine()
    try:
        manager.start()
        _cable(manager, lab.engine)
        manager.docker("swarm", "init", "--advertise-addr", "192.0.2.1")
        token = manager.docker("swarm", "join-token", "--quiet", role)
        lab.engine.docker(
            "swarm", "join", "--token", token, "--advertise-addr", "192.0.2.2", "192.0.2.1:2377"
        )
        yield manager
    finally:
        manager.close()


def test_a_worker_is_left_alone(lab: Lab) -> None:
    """It belongs to another manager; it never leaves a Swarm."""
    with _joined(lab, "worker"):
        ran = lab.run(CCCI_WAIT="2")

        assert ran.code == 1
        assert "this machine is a worker in a Swarm" in ran.err
        assert "SWMTKN" not in ran.out + ran.err
        assert lab.state() == "active false"
        assert lab.network() == ""


def test_a_swarm_without_a_leader_is_waited_for(lab: Lab) -> None:
    """It lists no networks, not even those it has; none is made then."""
    with _joined(lab, "manager") as other:
        lab.engine.wait(lambda: lab.state() == "active true", "it does not manage")
        other.kill()

        ran = lab.run(CCCI_WAIT="2")

        assert ran.code == 1
        assert "the Swarm does not come up (docker info: active true )" in ran.err
        assert ran.out == ""


# -- killed ------------------------------------------------------------------------------------------------

SHIM = """#!/bin/sh
count=$(cat {folder}/count); count=$((count + 1)); echo $count >{folder}/count
{docker} "$@"; code=$?
[ "$KILL" != $count ] || kill -KILL $PPID
exit $code
"""


def _shimmed(lab: Lab) -> dict[str, str]:
    """Give a `docker` that kills whoever called it, after the call whose number is said."""
    folder = lab.folder / "shim"
    folder.mkdir(exist_ok=True)
    (folder / "count").write_text("0")
    shim = folder / "docker"
    shim.write_text(SHIM.format(folder=folder, docker=shutil.which("docker")))
    shim.chmod(0o755)
    return {"PATH": f"{folder}:{lab.unit.env['PATH']}"}


def test_killed_at_any_point_it_ends_the_same(lab: Lab) -> None:
    """After each call of Docker's client; the next run ends it, and one more changes nothing."""
    whole = lab.run(**_shimmed(lab))
    assert whole.code == 0, whole.err
    calls = int((lab.folder / "shim" / "count").read_text())
    assert calls >= 6
    for number in range(1, calls + 1):
        lab.engine.docker("swarm", "leave", "--force")
        killed = lab.run(**_shimmed(lab), KILL=str(number))
        again = lab.run()
        before = lab.everything()
        quiet = lab.run()

        assert killed.code != 0, number
        assert (again.code, quiet.code) == (0, 0), (number, again.err, quiet.err)
        assert (quiet.out, quiet.err) == ("", "")
        assert lab.network() == "overlay swarm true 10.10.0.0/16"
        assert lab.everything() == before


@pytest.mark.parametrize("delay", [0.1, 0.3, 0.5, 0.8])
def test_killed_in_the_middle_of_a_call_it_ends_the_same(lab: Lab, delay: float) -> None:
    """With all its children, as systemd does it, the Engine being in the middle of it."""
    with lab.engine.popen(lab.unit.argv(DOCKER_HOST=lab.engine.url)) as child:
        try:
            child.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()

    again = lab.run()

    assert again.code == 0, again.err
    assert lab.network() == "overlay swarm true 10.10.0.0/16"


def _swarm(lab: Lab, *network: str) -> None:
    lab.engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
    lab.engine.docker("network", "create", *network, "proxy")
    # The manager gives it driver and addresses some time after it has answered.
    lab.engine.wait(lambda: lab.network().startswith("overlay"), "the network does not come up")


def _cable(one: Engine, other: Engine) -> None:
    pids = [json.loads(_netns(engine)) for engine in (one, other)]
    end = ["name", "cable", "netns"]
    words = ["ip", "link", "add", *end, str(pids[0]), "type", "veth", "peer", *end, str(pids[1])]
    subprocess.run(words, check=True, capture_output=True)
    for number, engine in enumerate((one, other), start=1):
        for more in (
            ["address", "add", f"192.0.2.{number}/24", "dev", "cable"],
            ["link", "set", "cable", "up"],
        ):
            ran = engine.run(["ip", *more])
            assert ran.code == 0, ran.err


def _netns(engine: Engine) -> str:
    """The number of a process in the Engine's network."""
    return engine.beside([])[1].removeprefix("--net=/proc/").removesuffix("/ns/net")
