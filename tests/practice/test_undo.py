"""Ways back on a practice host: version and data go together, and what is refused changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.documents import problems
from tests.practice.test_command import Folder

DRONE = "drone.ci.example.org"
OLD, NEW, BAD = "1.8.0+2.25.0", "1.9.0+2.26.0", "1.9.3+2.26.0"


class Place:
    """A practice host with a short stability window."""

    def __init__(self, folder: Folder) -> None:
        """Make it."""
        self.folder = folder
        ran = folder.run("practice")
        assert ran.returncode == 0, ran.stderr
        config = folder.host / "ccci-upgrade.toml"
        config.write_text(config.read_text().replace('settle = "2s"', 'settle = "0.3s"'))

    def document(self, code: int, *words: str) -> Any:
        """The data of a command's document, which fits the schema and ends with `code`."""
        ran = self.folder.run(*words, "--json", cwd=self.folder.host)
        assert ran.stdout, ran.stderr
        document = json.loads(ran.stdout)
        assert problems(document) == []
        assert (document["exit_code"], ran.returncode) == (code, code), ran.stderr
        return document["data"]

    def said(self, code: int, *words: str) -> str:
        """What a command says that ends with `code`, both streams."""
        ran = self.folder.run(*words, cwd=self.folder.host)
        assert ran.returncode == code, ran.stderr
        return f"{ran.stdout}\n{ran.stderr}"

    @property
    def data(self) -> dict[str, str]:
        """Drone's data, by file."""
        volume = self.folder.host / "volumes" / "drone_ci_example_org_data"
        return {path.name: path.read_text() for path in volume.iterdir()}

    def runs(self) -> str:
        """The version that drone runs."""
        rows = self.document(0, "status")["apps"]
        return str(next(row["deployed"] for row in rows if row["app"] == DRONE))

    def snapshots(self) -> dict[str, Any]:
        """Drone's snapshots by id."""
        return {each["id"]: each for each in self.document(0, "snapshot", "list", "drone")["snapshots"]}

    def files(self, snapshot: str) -> Path:
        """Where a snapshot is."""
        (found,) = self.folder.host.glob(f"state/*/snapshots/{DRONE}/{snapshot}")
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a host that is made once; drone was upgraded on it, so there is a snapshot of the version before."""
    folder = Folder(tmp_path_factory.mktemp("undo"))
    yield Place(folder)
    folder.stop()


@pytest.mark.timeout(120)
def test_a_rollback_brings_version_and_data_and_can_itself_be_undone(place: Place) -> None:
    """What was written meanwhile goes, the state that was replaced is kept, and `snapshot restore` brings it back."""
    before = place.data
    (up,) = place.document(0, "upgrade", "drone", "--to", NEW)["runs"]
    newer = place.data
    held = place.document(12, "rollback", "drone")
    dry = place.document(12, "rollback", "drone", "--dry-run")
    (back,) = place.document(0, "rollback", "drone", "--ack", "data-loss")["runs"]
    as_before, there = place.data, place.runs()
    (again,) = place.document(0, "snapshot", "restore", "drone", back["failed_state"], "--ack", "data-loss")[
        "runs"
    ]

    assert newer != before
    assert up["snapshot"] is not None
    assert held["runs"][0]["holds"] == ["data-loss"]
    assert [run["phases"] for run in (*held["runs"], *dry["runs"])] == [[], []]
    assert (back["outcome"], back["snapshot"]) == ("rolled_back", up["snapshot"])
    assert (as_before, there) == (before, OLD)
    assert place.snapshots()[back["failed_state"]]["version"] == NEW
    assert (again["command"], again["outcome"]) == ("snapshot restore", "rolled_back")
    assert (place.data, place.runs()) == (newer, NEW)
    history = [run["command"] for run in place.document(0, "history", "drone")["runs"]]
    assert history[:3] == ["snapshot restore", "rollback", "upgrade"]


@pytest.mark.timeout(120)
def test_a_bad_upgrade_is_undone_without_a_terminal(place: Place) -> None:
    """It has a verified snapshot, so it goes back with it: 14, never 0; `leave` leaves it as it is: 16."""
    place.said(0, "practice", "break", "bad-version")
    before, was = place.data, place.runs()
    (undone,) = place.document(14, "upgrade", "drone")["runs"]
    after, runs = place.data, place.runs()
    (left,) = place.document(16, "upgrade", "drone", "--on-failure", "leave")["runs"]
    migrated = place.data
    (mended,) = place.document(0, "rollback", "drone", "--ack", "data-loss")["runs"]
    place.said(0, "practice", "mend")

    assert (undone["outcome"], undone["undo"]["state"]) == ("rolled_back", "converged")
    assert undone["verdict"]["state"] in {"unhealthy", "flapping"}
    assert (after, runs) == (before, was)
    assert undone["failed_state"] in place.snapshots()
    assert (left["outcome"], left["undo"]) == ("unhealthy", None)
    assert left["failed_state"] is None
    assert migrated == before  # both are of the same version of drone
    assert (mended["outcome"], place.runs()) == ("rolled_back", was)


REFUSED = [
    (("rollback", "drone", "--to", "1.7.0+2.24.0"), 13, "snapshot-missing"),
    (("rollback", "drone", "--to", "1.7.0+2.24.0", "--version-only"), 12, "data-not-restored"),
    (("rollback", "drone", "--ack", "major"), 2, "no such finding"),
    (("rollback", "nobody"), 2, "nobody"),
    (("snapshot", "restore", "drone", "20200101T000000-0000"), 2, "there is no snapshot"),
    (("upgrade", "drone", "--resume"), 2, "no open run"),
]


@pytest.mark.parametrize(("words", "code", "text"), REFUSED)
def test_what_is_refused_changes_nothing(place: Place, words: tuple[str, ...], code: int, text: str) -> None:
    """Each is said by name, no run is begun, and the data is as it was."""
    before = (place.data, len(place.document(0, "history")["runs"]))

    assert text in place.said(code, *words)
    assert (place.data, len(place.document(0, "history")["runs"])) == before


def test_a_damaged_snapshot_is_not_put_back(place: Place) -> None:
    """One flipped byte: 13, before the app is stopped."""
    (chosen,) = [made["id"] for made in place.document(0, "snapshot", "create", "drone")["snapshots"]]
    file = place.files(chosen) / "0.tar.gz"
    before, data = place.data, file.read_bytes()
    file.write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])
    try:
        said = place.said(13, "snapshot", "restore", "drone", chosen, "--ack", "data-loss")
    finally:
        file.write_bytes(data)

    assert "is damaged" in said
    assert place.data == before


def test_a_spoiled_snapshot_is_not_chosen(place: Place) -> None:
    """Where there is no other one of that version the way back is blocked, and why is in the evidence."""
    there = place.runs()
    marks = [place.files(each) / "spoiled" for each in place.snapshots()]
    for mark in marks:
        mark.write_text("somebody deployed meanwhile\n")
    try:
        said = place.said(13, "rollback", "drone", "--to", OLD, "--ack", "data-loss")
    finally:
        for mark in marks:
            mark.unlink()

    assert "snapshot-missing" in said
    assert "somebody deployed meanwhile" in said
    assert place.runs() == there
