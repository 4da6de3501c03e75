"""`snapshot` on a practice host: order, what is kept, every way to fail; the replicas come back in each."""

import json
import os
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ccci_upgrade.tools.engine import Engine, Json
from tests.documents import problems
from tests.practice.test_command import TOOL, Folder, environment, wait

KEYCLOAK = "keycloak.ci.example.org"
STACK = "keycloak_ci_example_org"
BOTH = [f"{STACK}_app", f"{STACK}_db"]


class Place:
    """A practice host with a shorter stability window, its Engine, and a first snapshot of all."""

    def __init__(self, folder: Folder) -> None:
        """Make it."""
        self.folder = folder
        ran = folder.run("practice")
        assert ran.returncode == 0, ran.stderr
        self.host = folder.host
        mark = json.loads((self.host / ".ccci-practice.json").read_text())
        self.engine = Engine(Path(mark["socket"]))
        config = self.host / "ccci-upgrade.toml"
        config.write_text(config.read_text().replace('settle = "2s"', 'settle = "0.3s"'))
        self.began = time.time()
        self.first = self.document("snapshot", "create", "keycloak", "traefik", "drone")
        self.ended = time.time()

    def tool(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the program there."""
        return self.folder.run(*words, cwd=self.host)

    def document(self, *words: str) -> Any:
        """Its document, which fits the schema."""
        ran = self.tool(*words, "--json")
        assert ran.stdout, ran.stderr
        document = json.loads(ran.stdout)
        assert problems(document) == []
        assert document["exit_code"] == ran.returncode
        return document

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        """Start the program there."""
        return subprocess.Popen(
            [*TOOL, *words],
            cwd=self.host,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def replicas(self) -> list[Json]:
        """What keycloak's two services are meant to have."""
        found = []
        for name in BOTH:
            at: Json = self.engine.get(f"/services/{name}")
            for key in ("Spec", "Mode", "Replicated", "Replicas"):
                at = at.get(key) if isinstance(at, dict) else None
            found.append(at)
        return found

    def carriers(self) -> Json:
        """Containers made for copying that are still there."""
        query: dict[str, Json] = {"all": "true", "filters": {"label": ["ccci-upgrade.carrier"]}}
        return self.engine.get("/containers/json", query)

    @property
    def snapshots(self) -> Path:
        """Where keycloak's are."""
        (cluster,) = (path.parent for path in self.host.glob("state/*/journal.jsonl"))
        return cluster / "snapshots" / KEYCLOAK

    def stopping(self) -> bool:
        """Whether the last run's journal says that it begins to stop the app."""
        paths = list(self.host.glob("state/*/journal.jsonl"))
        return bool(paths) and json.loads(paths[0].read_text().splitlines()[-1]).get("step") == "quiesce"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a host that is made once."""
    folder = Folder(tmp_path_factory.mktemp("snapshots"))
    made = Place(folder)
    yield made
    made.engine.close()
    folder.stop()


def test_all_three_apps_are_copied_and_come_back(place: Place) -> None:
    """The app stops before its database and starts after it; traefik never stops; archives hold the folders."""
    document = place.first
    query: dict[str, Json] = {
        "since": f"{place.began:.3f}",
        "until": f"{place.ended:.3f}",
        "type": "container",
    }
    events = [
        (str(event["Action"]), str(attributes.get("com.docker.swarm.service.name")))
        for event in place.engine.lines("GET", "/events", query, seconds=5)
        if isinstance(actor := event.get("Actor"), dict)
        and isinstance(attributes := actor["Attributes"], dict)
    ]
    moved = [event for event in events if event[0] in ("die", "start")]

    assert document["exit_code"] == 0
    assert [run["outcome"] for run in document["data"]["runs"]] == ["saved"] * 3
    assert [made["good"] for made in document["data"]["snapshots"]] == [True] * 3
    assert [made["while_running"] for made in document["data"]["snapshots"]] == [False, True, False]
    ours = [event for event in moved if event[1].startswith(STACK)]
    assert ours[:3] == [("die", BOTH[0]), ("die", BOTH[1]), ("start", BOTH[1])]
    assert not [event for event in moved if event[1].startswith("traefik")]
    assert place.replicas() == [1, 1]
    assert place.carriers() == []
    folder = place.snapshots / document["data"]["snapshots"][0]["id"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [service["exit_codes"] for service in manifest["services"]] == [[0], [0]]
    (db,) = (volume for volume in manifest["volumes"] if volume["service"] == "db")
    with tarfile.open(folder / db["file"]) as archive:
        kept = {member.name for member in archive}
        kid = archive.extractfile("__v/kid")
        assert kid is not None
        data = kid.read()
    source = place.host / "volumes" / f"{STACK}_mariadb"
    assert kept == {"__v", *(f"__v/{path.name}" for path in source.iterdir())}
    assert data == (source / "kid").read_bytes()


def test_list_verify_and_prune_need_no_engine_and_find_what_is_damaged(place: Place) -> None:
    """One flipped byte: 13, by name."""
    before = place.document("snapshot", "list", "drone")["data"]["snapshots"]
    good = place.document("snapshot", "verify")
    (file,) = place.snapshots.parent.glob("drone.*/*/0.tar.gz")
    data = file.read_bytes()
    file.write_bytes(data[:50] + bytes([data[50] ^ 1]) + data[51:])
    bad = place.document("snapshot", "verify", before[0]["id"])
    listed = place.document("snapshot")["data"]["snapshots"]
    pruned = place.document("snapshot", "prune", "--keep", "1")

    assert (good["exit_code"], bad["exit_code"]) == (0, 13)
    assert bad["data"]["snapshots"][0]["problems"]
    assert {each["app"]: each["good"] for each in listed}["drone.ci.example.org"] is False
    assert pruned["data"]["removed"] == []
    assert place.tool("snapshot", "verify", "nothing").returncode == 2


def test_a_failure_in_the_middle_brings_the_app_back(place: Place) -> None:
    """Where snapshots cannot be written: 13, the replicas are there, the app is healthy."""
    folder = place.snapshots
    shutil.move(folder, folder.with_suffix(".away"))
    folder.write_text("no folder")
    try:
        document = place.document("snapshot", "create", "keycloak")
    finally:
        folder.unlink()
        shutil.move(folder.with_suffix(".away"), folder)
    (run,) = document["data"]["runs"]

    assert document["exit_code"] == 13
    assert document["errors"][0]["code"] == "snapshot-store"
    assert (run["outcome"], run["snapshot"]) == ("not_ready", None)
    assert {phase["name"]: phase["ok"] for phase in run["phases"]}["back"] is True
    assert place.replicas() == [1, 1]


def test_ctrl_c_brings_the_app_back_before_130(place: Place) -> None:
    """Nothing half of a snapshot stays."""
    count = len(list(place.snapshots.iterdir()))
    with place.begin("snapshot", "create", "keycloak") as child:
        wait(place.stopping)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=90)

    assert child.returncode == 130, said
    assert place.replicas() == [1, 1]
    assert place.document("health", "keycloak")["exit_code"] == 0
    assert len(list(place.snapshots.iterdir())) == count


def test_after_a_kill_every_command_says_what_was_there_before(place: Place) -> None:
    """The replicas by service; the next snapshot is refused until `--undo` brings the app back."""
    with place.begin("snapshot", "create", "keycloak") as child:
        wait(lambda: place.stopping() and 0 in place.replicas())
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=30)
    told = place.tool("status", "--offline").stderr
    (run,) = place.document("status", "--offline")["data"]["open_runs"]
    refused = place.document("snapshot", "create", "keycloak")
    ended = place.tool("upgrade", "keycloak", "--undo")

    assert f"Replicas before: {BOTH[1]}=1 {BOTH[0]}=1" in " ".join(told.split())
    assert run["command"] == "snapshot create"
    assert refused["exit_code"] == 13
    assert refused["errors"][0]["code"] == "open-run"
    assert f"{BOTH[0]}: stopped by this run" in refused["errors"][0]["message"]
    assert ended.returncode == 13  # all is as before the run
    assert place.replicas() == [1, 1]
    assert place.document("status", "--offline")["data"]["open_runs"] == []
