"""Snapshots on disk: private, whole or not there, read back in full, never pruned too far."""

import errno
import gzip
import hashlib
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
from ccci_upgrade.model.keptsecrets import KeptSecrets
from ccci_upgrade.model.snapshot import (
    Kind,
    Manifest,
    ManifestError,
    ServiceFact,
    VolumeCopy,
    from_json,
    to_json,
    warnings,
)
from ccci_upgrade.store.snapshots import Kept, Store, Written, clusters, opened, to_remove, verify

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


# -- every way that a disk or a manifest can be wrong -----------------------------------------------------


def changed(**change: Any) -> Any:
    """A manifest as JSON with other parts; `volume` and `service` change the one there is."""
    raw: Any = to_json(manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=1, size=1, entries=2)))
    raw = json.loads(json.dumps(raw))
    raw["volumes"][0] |= change.pop("volume", {})
    raw["services"][0] |= change.pop("service", {})
    return raw | change


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (changed(volumes=changed()["volumes"] * 2), "named twice"),
        (changed(volume={"labels": {"a": 1}}), "labels of a volume are no texts"),
        (changed(volume={"labels": []}), "labels of a volume are no texts"),
        (changed(volume={"size": -1}), "size is no count"),
        (changed(volume={"entries": True}), "entries is no count"),
        (changed(service={"exit_codes": None}), "exit_codes is no list of numbers"),
        (changed(service={"exit_codes": [True]}), "exit_codes is no list of numbers"),
        (changed(recipe=1), "recipe is no text"),
    ],
)
def test_the_first_thing_that_is_wrong_is_named(raw: object, said: str) -> None:
    """A person can find it in the file."""
    with pytest.raises(ManifestError, match=said):
        from_json(raw)


def test_a_manifest_may_say_nothing_of_replicas_and_knows_its_sums() -> None:
    """A global service has none."""
    made = from_json(changed(service={"replicas": None}, volume={"compressed": 7, "size": 9}))

    assert (made.services[0].replicas, made.compressed, made.size) == (None, 7, 9)


def test_a_small_volume_may_shrink() -> None:
    """Below 64 KiB its size says nothing; at the limit it does."""

    def sized(size: int) -> Manifest:
        return manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=1, size=size, entries=2))

    assert warnings(sized(10), sized(64 * 1024 - 1)) == ()
    assert warnings(sized(10), sized(64 * 1024)) != ()


def test_free_space_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    """Nothing is made to ask; a place that cannot be asked is one clear error."""
    there = os.statvfs(tmp_path)

    assert abs(Store(tmp_path / "not" / "yet", "abc").free() - there.f_bavail * there.f_frsize) < 2**30
    assert not (tmp_path / "not").exists()


def test_a_place_that_cannot_be_asked_for_space_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is gone."""

    def statvfs(path: object) -> os.statvfs_result:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    monkeypatch.setattr(os, "statvfs", statvfs)
    with pytest.raises(NotReadyError, match="cannot write the snapshot") as caught:
        Store(tmp_path, "abc").free()

    assert caught.value.code == "snapshot-store"


@pytest.mark.parametrize(("app", "identity"), [("../x", FIRST), ("", FIRST), (APP, "../x"), (APP, "x")])
def test_no_name_leads_out_of_the_store(tmp_path: Path, app: str, identity: str) -> None:
    """Both become folders."""
    with pytest.raises(NotReadyError, match="cannot be a folder's name"):
        Store(tmp_path, "abc").begin(app, identity)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    """Here: a file in its place."""
    (tmp_path / "abc").write_text("")

    with pytest.raises(NotReadyError, match="cannot write the snapshot"):
        Store(tmp_path, "abc").begin(APP, FIRST)
    assert Store(tmp_path, "abc").listed() == ()


def test_sealing_over_what_is_there_is_refused_and_leaves_it(tmp_path: Path) -> None:
    """Two of one name cannot both be kept."""
    kept = saved(tmp_path)
    writing = Store(tmp_path, "abc").begin(APP, FIRST)
    written = writing.archive(0, [tar()])

    with pytest.raises(NotReadyError, match="cannot write the snapshot"):
        writing.seal(manifest(written))
    writing.drop()

    assert verify(kept) == ()


def test_a_snapshot_that_is_gone_cannot_be_removed_again(tmp_path: Path) -> None:
    """Somebody was quicker."""
    kept = saved(tmp_path)
    store = Store(tmp_path, "abc")
    store.remove(kept)

    assert store.listed() == ()
    with pytest.raises(NotReadyError, match="cannot write the snapshot"):
        store.remove(kept)


def test_listing_one_app_names_no_other_and_what_is_no_snapshot_is_passed_over(tmp_path: Path) -> None:
    """A file where an app's folder should be, a folder that is none of ours."""
    kept = saved(tmp_path)
    store = Store(tmp_path, "abc")
    (store.folder / "drone.ci.example.org").write_text("")
    (store.folder / ".hidden").mkdir()
    (store.folder / APP / "lost+found").mkdir()

    assert [each.id for each in store.listed()] == [kept.id]
    assert [each.id for each in store.listed(APP)] == [kept.id]
    assert store.listed("drone.ci.example.org") == ()


def test_swarms_with_snapshots_are_found(tmp_path: Path) -> None:
    """And none where nothing can be asked."""
    saved(tmp_path)
    (tmp_path / "other").mkdir()

    assert clusters(tmp_path) == ("abc",)
    assert clusters(tmp_path / ("x" * 300)) == ()


def test_a_mark_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """Good or not, nobody would know it afterwards."""
    kept = saved(tmp_path)
    mark = kept.folder / "verified"
    mark.unlink()
    mark.mkdir()
    (kept.folder / "0.tar.gz").unlink()

    with pytest.raises(NotReadyError, match="cannot write the snapshot"):
        verify(kept)


def test_a_manifest_without_end_is_not_read(tmp_path: Path) -> None:
    """Four megabytes are more than any."""
    kept = saved(tmp_path)
    (kept.folder / "manifest.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))

    assert "it is too long" in Store(tmp_path, "abc").listed()[0].problem


def test_a_manifest_that_is_gone_is_said(tmp_path: Path) -> None:
    """The folder is still shown."""
    kept = saved(tmp_path)
    (kept.folder / "manifest.json").unlink()

    assert Store(tmp_path, "abc").listed()[0].problem == "manifest.json: No such file or directory"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"entries": 3}, "not 3 with"), ({"size": 1}, "with 1"), ({"sha256": "0" * 64}, "checksum is not")],
)
def test_an_archive_that_is_not_the_manifests_is_found(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """Whole in itself, and not what was written down."""
    kept = saved(tmp_path)
    assert kept.manifest is not None
    other = replace(kept.manifest, volumes=(replace(kept.manifest.volumes[0], **change),))

    (problem,) = verify(replace(kept, manifest=other))
    assert said in problem


@pytest.mark.parametrize("tail", [b"more", b""], ids=["something follows", "it breaks off"])
def test_a_stream_that_is_not_whole_is_found_though_its_checksum_fits(tmp_path: Path, tail: bytes) -> None:
    """The checksum is of the bytes that were written, whatever they were."""
    kept = saved(tmp_path)
    file = kept.folder / "0.tar.gz"
    data = file.read_bytes() + tail if tail else file.read_bytes()[:-4]
    file.write_bytes(data)
    assert kept.manifest is not None
    volume = replace(kept.manifest.volumes[0], compressed=len(data), sha256=hashlib.sha256(data).hexdigest())

    assert verify(replace(kept, manifest=replace(kept.manifest, volumes=(volume,)))) == (
        "volume mariadb (0.tar.gz): its gzip stream is not whole",
    )


def test_one_that_must_not_be_gone_back_to_is_marked_and_says_why(tmp_path: Path) -> None:
    """It stays whole, and no rollback chooses it; a mark that says nothing or cannot be read counts, too."""
    kept = saved(tmp_path)
    store = Store(tmp_path, "abc")
    assert (kept.usable, kept.spoiled) == (True, "")
    store.spoil(kept, "somebody changed the app")
    (found,) = store.listed()
    assert (found.good, found.usable, found.spoiled) == (True, False, "somebody changed the app")

    (kept.folder / "spoiled").write_bytes(b"")
    assert store.listed()[0].spoiled == "no reason is given"
    (kept.folder / "spoiled").unlink()
    (kept.folder / "spoiled").symlink_to("0.tar.gz")
    assert "cannot be read" in store.listed()[0].spoiled
    with pytest.raises(NotReadyError) as caught:
        store.spoil(replace(kept, folder=tmp_path / "gone"), "x")
    assert caught.value.code == "snapshot-store"


def test_a_failed_state_is_never_pruned(tmp_path: Path) -> None:
    """It is neither counted nor taken."""
    kept = saved(tmp_path)
    assert kept.manifest is not None
    failed = replace(kept, id="20260301T130000-0001", manifest=replace(kept.manifest, kind=Kind.FAILED_STATE))

    assert to_remove([kept, failed], keep=0, needed=frozenset()) == ()
    assert not failed.usable


def test_secrets_that_cannot_be_written_are_one_clear_error(tmp_path: Path) -> None:
    """As an archive that cannot."""
    writing = Store(tmp_path, "abc").begin(APP, FIRST)
    writing.drop()
    with pytest.raises(NotReadyError) as caught:
        writing.secrets(KeptSecrets(secrets=(), unread=()), b"x", ())
    assert caught.value.code == "snapshot-store"


def test_what_is_no_plain_file_is_a_problem_at_a_glance(tmp_path: Path) -> None:
    """Nothing of it is read."""
    kept = saved(tmp_path)
    (kept.folder / "0.tar.gz").unlink()
    (kept.folder / "0.tar.gz").mkdir()

    assert "it is no plain file" in Store(tmp_path, "abc").listed()[0].problem


def test_pieces_of_any_size_make_the_same_snapshot(tmp_path: Path) -> None:
    """The compressor gives nothing for most small ones."""
    data = tar(4000)
    writing = Store(tmp_path, "abc").begin(APP, FIRST)
    written = writing.archive(0, [data[at : at + 100] for at in range(0, len(data), 100)])
    writing.seal(manifest(written))
    (kept,) = Store(tmp_path, "abc").listed()

    assert verify(kept) == ()
    assert b"".join(opened(kept, volume_of(kept))) == data


def test_a_piece_of_a_file_that_gives_no_bytes_yet_is_no_end(tmp_path: Path) -> None:
    """An empty piece would end what an Engine is sent; a name of any length may stand before the data."""
    data, kept = tar(4000), saved(tmp_path)
    plain = gzip.compress(data, mtime=0)
    named = plain[:3] + b"\x08" + plain[4:10] + b"n" * 300_000 + b"\0" + plain[10:]
    (kept.folder / "0.tar.gz").write_bytes(named)
    pieces = list(opened(kept, replace(volume_of(kept), sha256=hashlib.sha256(named).hexdigest())))

    assert b"".join(pieces) == data
    assert all(pieces)


@pytest.mark.parametrize(
    ("change", "said"), [({"kind": "junk"}, "kind is not"), ({"secrets": {"file": 5}}, "sha256")]
)
def test_a_manifest_of_an_unknown_kind_or_with_odd_secrets_is_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    """As any other that cannot be used."""
    writing = Store(tmp_path, "abc").begin(APP, FIRST)
    raw = json.loads(json.dumps(to_json(manifest(writing.archive(0, [tar()])))))
    assert from_json(raw).id == FIRST

    with pytest.raises(ManifestError, match=said):
        from_json(raw | change)
