"""Volumes put back on a real Engine: killed in the middle, cancelled, a damaged snapshot, real files."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.errors import CcciError
from ccci_upgrade.model.snapshot import Manifest, VolumeCopy
from ccci_upgrade.store.snapshots import Kept, Store, opened
from ccci_upgrade.tools import volumes
from ccci_upgrade.tools.engine import Engine as Client
from tests.swarm.harness import Engine
from tests.swarm.images import START
from tests.swarm.test_snapshots import expected, fill

STACK = "restored"
MEGABYTE = 1024 * 1024


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    """Give a client of the Engine; what a test made of volumes goes with it."""
    made = Client(engine.socket, seconds=30)
    yield made
    made.close()
    engine.reset()


def made(engine: Engine, name: str) -> Path:
    """Make a volume with what is hard to keep; gives its place."""
    engine.docker("volume", "create", name)
    place = mountpoint(engine, name)
    fill(place)
    return place


def mountpoint(engine: Engine, name: str) -> Path:
    """Where the Engine keeps a volume."""
    return Path(engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", name))


def pieces_of(client: Client, name: str) -> Iterator[bytes]:
    """A volume's archive."""
    with volumes.carrier(client, stack=STACK, image=START[0], volume=name) as container:
        yield from volumes.read(client, container, cancelled=lambda: False)


def taken(client: Client, folder: Path, name: str) -> Kept:
    """A snapshot of one volume."""
    store = Store(folder, "abc")
    writing = store.begin("app.ci.example.org", "20260301T120000-0001")
    written = writing.archive(0, pieces_of(client, name))
    copy = VolumeCopy(
        name=name,
        driver="local",
        labels={},
        service="app",
        target="/data",
        file=written.file,
        sha256=written.sha256,
        compressed=written.compressed,
        size=written.size,
        entries=written.entries,
    )
    manifest = Manifest(
        id="20260301T120000-0001",
        app="app.ci.example.org",
        recipe="app",
        stack=STACK,
        cluster="abc",
        server="ci.example.org",
        version=None,
        env_sha256="0" * 64,
        taken="2026-03-01T12:00:00.000Z",
        run_id="r",
        while_running=False,
        services=(),
        volumes=(copy,),
    )
    writing.seal(manifest)
    return store.listed()[0]


def replaced(client: Client, name: str, pieces: Iterator[bytes], stop: list[int] | None = None) -> str:
    """Put a volume back; `stop` cancels as soon as it is not empty."""
    return volumes.replace(
        client,
        stack=STACK,
        image=START[0],
        name=name,
        driver="local",
        options={},
        labels={"a": "b"},
        pieces=pieces,
        cancelled=lambda: bool(stop),
    )


def proved(client: Client, name: str, digest: str) -> bool:
    """Whether the volume is what was put in."""
    return volumes.same(
        client, stack=STACK, image=START[0], name=name, digest=digest, cancelled=lambda: False
    )


def archive(kept: Kept) -> Iterator[bytes]:
    """Its one volume."""
    assert kept.manifest is not None
    return opened(kept, kept.manifest.volumes[0])


def test_files_come_back_as_they_were(engine: Engine, client: Client, tmp_path: Path) -> None:
    """Compared on the disk, not in archives; a hard link is one file again."""
    place = made(engine, "real_data")
    os.utime(place / "soft", (5, 5), follow_symlinks=False)
    before = expected(place)
    kept = taken(client, tmp_path, "real_data")
    digest = replaced(client, "real_data", archive(kept))
    place = mountpoint(engine, "real_data")

    assert expected(place) == before
    assert (place / "twice").stat().st_ino == (place / "sub" / "data").stat().st_ino
    assert int((place / "soft").lstat().st_mtime) == 5
    assert proved(client, "real_data", digest)
    assert engine.docker("volume", "inspect", "--format", "{{.Labels}}", "real_data") == "map[a:b]"


def test_an_engine_killed_in_the_middle_is_an_error_and_the_next_try_mends_it(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    """Its carrier is left behind, for nobody answers any more; the next try removes it."""
    place = made(engine, "real_data")
    (place / "large").write_bytes(os.urandom(8 * MEGABYTE))
    before = expected(place)
    kept = taken(client, tmp_path, "real_data")

    def killing() -> Iterator[bytes]:
        for number, piece in enumerate(archive(kept)):
            yield piece
            if number == 10:
                engine.kill()

    with pytest.raises(CcciError) as caught:
        replaced(client, "real_data", killing())
    engine.restart()
    left = engine.docker("ps", "-aq", "--filter", f"label={volumes.MARK}")
    digest = replaced(client, "real_data", archive(kept))

    assert caught.value.code == "engine-unreachable"
    assert left
    assert engine.docker("ps", "-aq", "--filter", f"label={volumes.MARK}") == ""
    assert expected(mountpoint(engine, "real_data")) == before
    assert proved(client, "real_data", digest)


def test_cancelled_in_the_middle_it_leaves_no_carrier_and_can_be_taken_up(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    """Also while the Engine takes nothing."""
    place = made(engine, "real_data")
    (place / "large").write_bytes(os.urandom(8 * MEGABYTE))
    kept = taken(client, tmp_path, "real_data")
    stop: list[int] = []

    def stopping() -> Iterator[bytes]:
        for number, piece in enumerate(archive(kept)):
            yield piece
            if number == 10:
                stop.append(number)

    with pytest.raises(CcciError) as caught:
        replaced(client, "real_data", stopping(), stop)
    left = engine.docker("ps", "-aq", "--filter", f"label={volumes.MARK}")
    digest = replaced(client, "real_data", archive(kept))

    assert (caught.value.code, left) == ("engine-cancelled", "")
    assert proved(client, "real_data", digest)


def test_a_damaged_snapshot_is_never_the_end_of_a_restore(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    """One flipped byte: an error, whatever the Engine had unpacked by then."""
    place = made(engine, "real_data")
    (place / "large").write_bytes(os.urandom(2 * MEGABYTE))
    kept = taken(client, tmp_path, "real_data")
    file = kept.folder / "0.tar.gz"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)

    with pytest.raises(CcciError) as caught:
        replaced(client, "real_data", archive(kept))

    assert caught.value.code == "snapshot-damaged"
    assert engine.docker("ps", "-aq", "--filter", f"label={volumes.MARK}") == ""
