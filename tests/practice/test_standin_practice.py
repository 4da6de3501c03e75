"""The stand-in's acts on the practice engine: no Docker, no root, the same program as on a real Swarm."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ccci_upgrade.practice.engine.server import PracticeEngine
from ccci_upgrade.practice.world import writing
from ccci_upgrade.practice.world.place import Place
from ccci_upgrade.tools.engine import Engine, Json

DRONE = "drone.ci.example.org"
STACK = "drone_ci_example_org"
INSTALLED, NEXT = "1.8.0+2.25.0", "1.8.1+2.25.1"
REFUSED = (
    (("deploy", DRONE), "is already deployed"),
    (("upgrade", DRONE, INSTALLED), "is not an upgrade"),
    (("upgrade", DRONE, "9.9.9+9"), "unable to find tag"),
    (("rollback", DRONE, NEXT), "is not a downgrade"),
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Give a practice host with an engine that runs, a network, and nothing deployed."""
    made = Place(root=tmp_path / "host")
    made.root.mkdir()
    mark = writing.new_mark(made)
    made.write_mark(mark)
    writing.fill(made, mark)
    socket = Path(mark.socket)
    with PracticeEngine(socket.parent), closing(Engine(socket)) as engine:
        proxy: Json = {"Name": "proxy", "Driver": "overlay", "Attachable": True}
        assert engine.ask("POST", "/networks/create", body=proxy).status == 201
        yield made
    writing.sweep(mark.private)


@pytest.fixture
def drone(place: Place) -> Place:
    """Give a host on which drone runs, in the version its `.env` pins."""
    assert abra(place, "app", "secret", "generate", DRONE, "--all", "-n")[0] == 0
    code, out = abra(place, "app", "deploy", DRONE, "-n")
    assert code == 0, out
    return place


def abra(place: Place, *words: str) -> tuple[int, str]:
    """Run the host's own abra; gives exit code and output."""
    ran = subprocess.run(
        [str(place.abra), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def row(place: Place) -> dict[str, str]:
    """What `app ls` says of drone."""
    (rows,) = json.loads(abra(place, "app", "ls", "-S", "-m")[1]).values()
    found = next(each for each in rows["apps"] if each["recipe"] == "drone")
    assert isinstance(found, dict)
    return found


def pinned(place: Place) -> str:
    """What the `.env` pins."""
    found = re.search(r"^TYPE=\w+:(\S+)", place.env("drone").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_an_app_goes_up_and_back(drone: Place) -> None:
    """Label and `.env` follow each act, and the words are the docker client's."""
    assert (row(drone)["version"], pinned(drone)) == (INSTALLED, INSTALLED)

    code, out = abra(drone, "app", "upgrade", DRONE, NEXT, "-n")
    assert code == 0, out
    assert re.search(rf"^Updating service {STACK}_app \(id: \w+\)$", out, re.MULTILINE)
    assert (row(drone)["version"], row(drone)["status"], pinned(drone)) == (NEXT, "deployed", NEXT)

    code, out = abra(drone, "app", "rollback", DRONE, INSTALLED, "-n")
    assert code == 0, out
    assert (row(drone)["version"], pinned(drone)) == (INSTALLED, INSTALLED)


def test_undeploy_removes_the_services(drone: Place) -> None:
    """What it was is no longer deployed, and deploys again without new secrets."""
    tasks = json.loads(abra(drone, "app", "ps", DRONE, "-m")[1])
    assert tasks["app"]["status"] == "1/1"
    assert abra(drone, "app", "undeploy", DRONE, "-n")[0] == 0
    assert row(drone)["status"] == "unknown"
    assert "is not deployed" in abra(drone, "app", "upgrade", DRONE, "-n")[1]
    deadline = time.monotonic() + 20
    while (last := abra(drone, "app", "deploy", DRONE, "-n"))[0] != 0:
        assert time.monotonic() < deadline, last[1]
    assert row(drone)["version"] == INSTALLED


def test_secrets_are_made_once(place: Place) -> None:
    """What is there is left alone, and a taken name is the Engine's refusal."""
    named = json.loads(abra(place, "app", "secret", "generate", DRONE, "--all", "-n", "-m")[1])
    assert {each["name"] for each in named} == {"client_secret", "rpc_secret"}
    listed = json.loads(abra(place, "app", "secret", "ls", DRONE, "-m")[1])
    assert {each["created on server"] for each in listed} == {"true"}
    assert "no secrets generated" in abra(place, "app", "secret", "generate", DRONE, "--all", "-n")[1]
    code, out = abra(place, "app", "secret", "insert", DRONE, "rpc_secret", "v1", "value", "-n")
    assert code == 1
    assert out.startswith("FATA Error response from daemon: ")


def test_refusals_change_nothing(drone: Place) -> None:
    """Each is one fatal line and exit 1."""
    for words, complaint in REFUSED:
        code, out = abra(drone, "app", *words, "-n")
        assert code == 1
        assert complaint in out.splitlines()[-1]
    assert (row(drone)["version"], pinned(drone)) == (INSTALLED, INSTALLED)


def test_a_key_that_is_not_known_is_refused_by_name(drone: Place) -> None:
    """Before anything is changed: a key dropped in silence would be another service than the file says."""
    compose = drone.checkout("drone") / "compose.yml"
    compose.write_text(
        compose.read_text().replace("    secrets:\n", "    credential_spec: x\n    secrets:\n", 1)
    )
    code, out = abra(drone, "app", "deploy", DRONE, "--chaos", "-n")
    assert code == 1
    assert out.splitlines()[-1] == (
        "FATA deploy failed: compose.yml services.app: the key 'credential_spec' is not supported"
    )
    assert row(drone)["version"] == INSTALLED
