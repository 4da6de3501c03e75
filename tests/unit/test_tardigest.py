"""One digest for one content: equal however an archive was written, different for whatever a restore could lose."""

import io
import random
import tarfile
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.tardigest import ContentDigest, content_digest
from ccci_upgrade.model.tarwalk import TarError


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """One entry."""

    name: str
    kind: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 1
    gid: int = 2
    mtime: float = 1_600_000_000
    link: str = ""
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    records: tuple[tuple[str, str], ...] = ()


ROOT = File(name="__v", kind=tarfile.DIRTYPE, mode=0o750)
TREE = (
    ROOT,
    File(name="__v/sub", kind=tarfile.DIRTYPE, mode=0o1777),
    File(name="__v/sub/data", data=b"x" * 100_000),
    File(name="__v/empty"),
    File(name="__v/soft", kind=tarfile.SYMTYPE, link="sub/data", mode=0o777),
    File(name="__v/hard", kind=tarfile.LNKTYPE, link="__v/sub/data"),
    File(name="__v/pipe", kind=tarfile.FIFOTYPE),
    File(name="__v/device", kind=tarfile.CHRTYPE, device=(1, 3)),
    File(name="__v/" + "n" * 150, data=b"long"),
    File(name="__v/far", kind=tarfile.SYMTYPE, link="l" * 150),
)


def archive(files: tuple[File, ...], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Make it, in this order."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=form) as tar:
        for file in files:
            member = tarfile.TarInfo(file.name)
            member.type, member.mode, member.uid, member.gid = file.kind, file.mode, file.uid, file.gid
            member.mtime, member.linkname, member.size = file.mtime, file.link, len(file.data)
            member.devmajor, member.devminor = file.device
            member.pax_headers = dict(file.records)
            tar.addfile(member, io.BytesIO(file.data))
    return sink.getvalue()


def digest(files: tuple[File, ...], form: int = tarfile.PAX_FORMAT, step: int = 1 << 20) -> str:
    """Its digest, fed in pieces."""
    data = archive(files, form)
    return content_digest(data[at : at + step] for at in range(0, len(data), step))


def changed(name: str, /, **how: object) -> tuple[File, ...]:
    """Change the tree in one entry."""
    assert name in {file.name for file in TREE}
    return tuple(replace(file, **how) if file.name == name else file for file in TREE)  # type: ignore[arg-type] # its own fields


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 513, 1 << 20])
def test_it_is_one_however_the_archive_was_written(form: int, step: int) -> None:
    """In whatever format, in whatever pieces, in whatever order."""
    order = list(TREE[1:])
    random.Random(step).shuffle(order)  # noqa: S311 - the same order on every run

    assert digest((ROOT, *order), form, step) == digest(TREE)


@pytest.mark.parametrize(
    "same",
    [
        changed("__v", name="__v/"),
        changed("__v/soft", mode=0o644),
        changed("__v/hard", mode=0o600, uid=99, mtime=5),
        changed("__v/empty", kind=tarfile.AREGTYPE),
        changed("__v/empty", mtime=1_600_000_000.75),
        changed("__v/empty", records=(("atime", "5"), ("comment", "x"))),
    ],
)
def test_what_may_differ_does_not_count(same: tuple[File, ...]) -> None:
    """A slash after a folder, a symlink's mode, what a hard link repeats, parts of a second, other times."""
    assert digest(same) == digest(TREE)


def test_times_before_1970_are_what_an_engine_makes_of_them() -> None:
    """It restores them as 1970."""
    assert digest(changed("__v/empty", mtime=-5.5)) == digest(changed("__v/empty", mtime=0))


@pytest.mark.parametrize(
    "other",
    [
        changed("__v", mode=0o755),
        changed("__v", uid=7),
        changed("__v", mtime=1),
        changed("__v/sub", mode=0o777),
        changed("__v/sub/data", data=b"x" * 99_999 + b"y"),
        changed("__v/sub/data", data=b"x" * 99_999),
        changed("__v/sub/data", mode=0o4644),
        changed("__v/sub/data", gid=3),
        changed("__v/sub/data", uid=1 << 22),
        changed("__v/empty", mtime=1_600_000_001),
        changed("__v/empty", name="__v/Empty"),
        changed("__v/empty", records=(("SCHILY.xattr.security.capability", "x"),)),
        changed("__v/soft", link="sub/date"),
        changed("__v/soft", kind=tarfile.REGTYPE, link=""),
        changed("__v/soft", mtime=1),
        changed("__v/hard", link="__v/empty"),
        changed("__v/hard", kind=tarfile.REGTYPE, link="", data=b"x" * 100_000),
        changed("__v/device", device=(1, 5)),
        changed("__v/far", link="l" * 149 + "m"),
        TREE[:-1],
        (*TREE, File(name="__v/more")),
    ],
)
def test_what_a_restore_could_lose_makes_another_one(other: tuple[File, ...]) -> None:
    """Names, kinds, modes, owners, times, capabilities, targets, devices, content; the root's too."""
    assert digest(other) != digest(TREE)


FILES = st.builds(
    File,
    name=st.text(alphabet="abc", min_size=1, max_size=3).map("__v/{}".format),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 1 << 33),
    mtime=st.integers(0, 1 << 34),
    data=st.binary(max_size=1100),
)


@given(
    st.lists(FILES, unique_by=lambda file: file.name, max_size=6),
    st.lists(FILES, unique_by=lambda file: file.name, max_size=6),
)
def test_two_digests_are_equal_exactly_where_the_contents_are(ours: list[File], theirs: list[File]) -> None:
    """Whatever is in them."""
    equal = sorted(ours, key=lambda file: file.name) == sorted(theirs, key=lambda file: file.name)

    assert (digest((ROOT, *ours)) == digest((ROOT, *theirs))) is equal
    assert digest((ROOT, *ours)) == digest((ROOT, *reversed(ours)), tarfile.GNU_FORMAT)


@pytest.mark.parametrize("cut", [512, 700, 1024, 50_000])
def test_a_part_has_no_digest(cut: int) -> None:
    """And what is asked twice is the same twice."""
    data = archive(TREE)
    made = ContentDigest()
    made.feed(data)

    with pytest.raises(TarError):
        content_digest([data.rstrip(b"\0")[:-cut]])
    assert made.finish() == made.finish() == digest(TREE)


def test_a_number_that_is_none_is_a_tar_error() -> None:
    """Of a hostile PAX header."""
    with pytest.raises(TarError, match="uid"):
        digest((ROOT, File(name="__v/a", records=(("uid", "12x"),))))
