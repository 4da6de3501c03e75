"""Snapshots on disk: private, whole or not there, read back in full, never pruned too far."""

import errno
import gzip
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.snapshot import (
    Manifest,
    ManifestError,
    ServiceFact,
    VolumeCopy,
    from_json,
    to_json,
    warnings,
)
from ccci_upgrade.store.snapshots import Kept, Store, Written, opened, to_remove, verify

APP = "keycloak.ci.example.org"
FIRST = "20260301T120000-0001"
KEYS = ("schema_version", "volumes", "services", "id", "app", "labels")


def tar(size: int = 200_000) -> bytes:
    """An archive of a volume with one file."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as made:
        root = tarfile.TarInfo("__v")
        root.type = tarfile.DIRTYPE
        made.addfile(root)
        member = tarfile.TarInfo("__v/data")
        member.size = size
        made.addfile(member, io.BytesIO(os.urandom(size)))
    return whole.getvalue()


def manifest(written: Written, identity: str = FIRST) -> Manifest:
    """A manifest of one volume."""
    volume = VolumeCopy(
        name="mariadb",
        driver="local",
        labels={"com.docker.stack.namespace": "keycloak"},
        service="db",
        target="/var/lib/mysql",
        file=written.file,
        sha256=written.sha256,
        compressed=written.compressed,
        size=written.size,
        entries=written.entries,
    )
    service = ServiceFact(name="db", image="mariadb:10.6", image_id="sha256:1", replicas=1, exit_codes=(0,))
    return Manifest(
        id=identity,
        app=APP,
        recipe="keycloak",
        stack="keycloak",
        cluster="abc",
        server="ci.example.org",
        version="10.0.0+26.0.0",
        env_sha256="0" * 64,
        taken="2026-03-01T12:00:00.000Z",
        run_id="r",
        while_running=False,
        services=(service,),
        volumes=(volume,),
    )


def saved(folder: Path, identity: str = FIRST, data: bytes | None = None) -> Kept:
    """Write one and read it back."""
    store = Store(folder, "abc")
    writing = store.begin(APP, identity)
    written = writing.archive(0, [data or tar()])
    writing.seal(manifest(written, identity))
    kept = next(each for each in store.listed() if each.id == identity)
    assert verify(kept) == ()
    return next(each for each in store.listed() if each.id == identity)


def volume_of(kept: Kept) -> VolumeCopy:
    """The one volume of a snapshot."""
    assert kept.manifest is not None
    return kept.manifest.volumes[0]


# -- read back as it was -----------------------------------------------------------------------------------


def test_an_archive_comes_back_in_pieces(tmp_path: Path) -> None:
    """As it was written, never more at once than a piece."""
    data = tar(3_000_000)
    kept = saved(tmp_path, data=data)
    pieces = list(opened(kept, volume_of(kept)))

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 256 * 1024


@pytest.mark.parametrize("how", ["flipped", "short", "longer", "swapped", "gone", "link"])
def test_a_damaged_archive_says_so_at_its_end_at_the_latest(tmp_path: Path, how: str) -> None:
    """Whoever takes its pieces never sees a whole one; a good gzip stream that is another one is damaged too."""
    kept = saved(tmp_path)
    file = kept.folder / "0.tar.gz"
    data = file.read_bytes()
    damaged = {
        "flipped": data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
        "short": data[:-5000],
        "longer": data + b"x",
        "swapped": gzip.compress(tar()),
    }
    file.unlink()
    if how == "link":
        (tmp_path / "elsewhere").write_bytes(data)
        file.symlink_to(tmp_path / "elsewhere")
    elif how != "gone":
        file.write_bytes(damaged[how])

    with pytest.raises(NotReadyError, match=FIRST) as caught:
        list(opened(kept, volume_of(kept)))
    assert caught.value.code == "snapshot-damaged"


# -- written ----------------------------------------------------------------------------------------------


def test_what_was_written_is_private_listed_and_good(tmp_path: Path) -> None:
    """Folders 0700, files 0600, also under a loose umask; nothing is left beside it."""
    old = os.umask(0)
    try:
        kept = saved(tmp_path)
    finally:
        os.umask(old)

    assert kept.good
    assert kept.manifest is not None
    assert kept.manifest.size == 200_000
    assert stat.S_IMODE(kept.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept.folder.iterdir()} == {0o600}
    assert [each.name for each in kept.folder.parent.iterdir()] == [FIRST]


def test_before_it_is_sealed_nothing_is_listed_and_the_next_try_clears_it(tmp_path: Path) -> None:
    """Killed between writing and renaming."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ccci_upgrade.store.snapshots import Store\n"
        "from tests.unit.test_snapshots import APP, FIRST, tar\n"
        f"writing = Store(Path({str(tmp_path)!r}), 'abc').begin(APP, FIRST)\n"
        "writing.archive(0, [tar()])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=False, timeout=60)
    store = Store(tmp_path, "abc")
    left = [each.name for each in (store.folder / APP).iterdir()]

    assert left == [f".{FIRST}.partial"]
    assert store.listed() == ()
    saved(tmp_path, "20260301T120000-0002")
    assert [each.name for each in (store.folder / APP).iterdir()] == ["20260301T120000-0002"]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    """No room is told as such; nothing is listed."""

    def pieces() -> Iterator[bytes]:
        yield tar()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = Store(tmp_path, "abc")
    writing = store.begin(APP, FIRST)
    with pytest.raises(NotReadyError, match="No space left") as caught:
        writing.archive(0, pieces())
    writing.drop()

    assert caught.value.code == "snapshot-store"
    assert list((store.folder / APP).iterdir()) == []


def test_an_archive_that_breaks_off_is_refused(tmp_path: Path) -> None:
    """An Engine that fails in the middle may end its answer in order."""
    writing = Store(tmp_path, "abc").begin(APP, FIRST)

    with pytest.raises(NotReadyError, match="not whole"):
        writing.archive(0, [tar()[:100_000]])


# -- read back --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 10, 5000, -1])
def test_one_flipped_byte_is_found(tmp_path: Path, at: int) -> None:
    """Wherever it is; the mark of a good one goes."""
    kept = saved(tmp_path)
    file = kept.folder / "0.tar.gz"
    data = bytearray(file.read_bytes())
    data[at] ^= 0x10
    file.write_bytes(data)

    assert verify(kept)
    (now,) = Store(tmp_path, "abc").listed()
    assert not now.good


def test_a_short_a_missing_and_a_foreign_file_are_found(tmp_path: Path) -> None:
    """A glance is enough for the list; a link or a pipe is never opened."""
    store = Store(tmp_path, "abc")
    file = saved(tmp_path).folder / "0.tar.gz"
    data = file.read_bytes()
    problems = []
    file.write_bytes(data[:-1])
    problems.append((store.listed()[0].problem, verify(store.listed()[0])))
    file.unlink()
    problems.append((store.listed()[0].problem, verify(store.listed()[0])))
    os.mkfifo(file)
    problems.append((store.listed()[0].problem, verify(store.listed()[0])))
    file.unlink()
    (tmp_path / "elsewhere").write_bytes(data)
    file.symlink_to(tmp_path / "elsewhere")
    problems.append((store.listed()[0].problem, verify(store.listed()[0])))

    assert all(glance and found for glance, found in problems)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../etc"},
        {"app": "other"},
        {"volumes": []},
        {"volumes": None},
        {"schema_version": 2},
        {"env_sha256": "x"},
    ],
)
def test_a_hostile_manifest_is_one_problem(tmp_path: Path, change: dict[str, Any]) -> None:
    """It is shown as damaged, whatever it says."""
    kept = saved(tmp_path)
    path = kept.folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (now,) = Store(tmp_path, "abc").listed()

    assert now.manifest is None
    assert now.problem
    assert verify(now) == (now.problem,)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"schema_version": 1}', "\x00"])
def test_a_manifest_that_is_none(tmp_path: Path, text: str) -> None:
    """No traceback for any of it."""
    kept = saved(tmp_path)
    (kept.folder / "manifest.json").write_text(text)

    assert Store(tmp_path, "abc").listed()[0].manifest is None


def test_a_file_name_in_a_manifest_never_leaves_its_folder() -> None:
    """Only numbered archives."""
    raw: Any = to_json(manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=1, size=1, entries=2)))
    for name in ("../0.tar.gz", "/etc/passwd", "0.tar.gz/..", "manifest.json", ""):
        raw["volumes"][0]["file"] = name
        with pytest.raises(ManifestError):
            from_json(json.loads(json.dumps(raw)))


@given(
    size=st.integers(0, 2**63),
    name=st.text(max_size=30),
    codes=st.lists(st.none() | st.integers(-300, 300), max_size=3),
    version=st.none() | st.text(max_size=20),
)
def test_a_manifest_comes_back_as_it_was(
    size: int, name: str, codes: list[int | None], version: str | None
) -> None:
    """Through JSON, with any names the Engine may have."""
    made = manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=size, size=size, entries=2))
    made = replace(
        made,
        version=version,
        services=(replace(made.services[0], exit_codes=tuple(codes)),),
        volumes=(replace(made.volumes[0], name=name, labels={name: name}, options={name: name}),),
    )

    assert from_json(json.loads(json.dumps(to_json(made)))) == made


def test_a_manifest_of_before_options_were_kept_has_none() -> None:
    """What is there and no text is refused as everywhere."""
    raw: Any = json.loads(
        json.dumps(
            to_json(manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=1, size=1, entries=2)))
        )
    )
    raw["volumes"][0]["options"] = {"size": 1}
    with pytest.raises(ManifestError, match="options"):
        from_json(raw)
    del raw["volumes"][0]["options"]

    assert from_json(raw).volumes[0].options == {}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(KEYS), below, max_size=5),
    )
)
def test_junk_is_refused_in_one_way(raw: object) -> None:
    """ManifestError and nothing else."""
    with pytest.raises(ManifestError):
        from_json(raw)


# -- judged and pruned ------------------------------------------------------------------------------------


def test_empty_and_much_smaller_are_suspicious() -> None:
    """An empty volume, files without content, half of what it was, one that is gone."""
    big = manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=1, size=1_000_000, entries=9))

    def with_volume(**change: Any) -> Manifest:
        return replace(big, volumes=(replace(big.volumes[0], **change),))

    assert warnings(big, None) == ()
    assert warnings(with_volume(size=600_000), big) == ()
    assert "held 1000000" in warnings(with_volume(size=400_000), big)[0]
    assert "is empty" in warnings(with_volume(size=0, entries=1), None)[0]
    assert "all files" in warnings(with_volume(size=0), None)[0]
    assert "is not in this one" in warnings(with_volume(name="other"), big)[0]


def test_pruning_spares_the_newest_good_one_and_what_a_run_needs(tmp_path: Path) -> None:
    """However few are to be kept."""
    ids = [f"20260301T12000{n}-0001" for n in range(5)]
    for identity in ids:
        saved(tmp_path, identity)
    store = Store(tmp_path, "abc")
    for identity in ids[2:]:
        (store.folder / APP / identity / "verified").unlink()
    gone = to_remove(store.listed(), keep=1, needed=frozenset({ids[0]}))
    for kept in gone:
        store.remove(kept)

    assert [kept.id for kept in gone] == [ids[2], ids[3]]
    assert [kept.id for kept in store.listed()] == [ids[0], ids[1], ids[4]]
