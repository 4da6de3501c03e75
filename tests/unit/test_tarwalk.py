"""A tar stream is counted as it passes, and one that is not whole or leads elsewhere is refused."""

import contextlib
import io
import random
import tarfile

import pytest

from ccci_upgrade.model.tarwalk import TarError, TarWalk


def archive(entries: list[tuple[str, bytes | None]], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Make one: a name with None is a folder."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=form) as tar:
        for name, data in entries:
            member = tarfile.TarInfo(name)
            if data is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(data)
            tar.addfile(member, io.BytesIO(data or b""))
    return whole.getvalue()


def walked(data: bytes, step: int = 1 << 20) -> TarWalk:
    """Feed it in pieces of `step` bytes."""
    walk = TarWalk("__v")
    for at in range(0, len(data), step):
        walk.feed(data[at : at + step])
    walk.finish()
    return walk


LONG = "__v/" + "d" * 90 + "/" + "ä" * 120
WHOLE: list[tuple[str, bytes | None]] = [
    ("__v", None),
    ("__v/a", b"x" * 1000),
    ("__v/empty", b""),
    (LONG, b"long"),
]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("step", [1, 511, 512, 513, 1 << 20])
def test_entries_and_bytes_are_counted_however_the_pieces_fall(form: int, step: int) -> None:
    """Folder, files, an empty one, one with a name no header holds."""
    walk = walked(archive(WHOLE, form), step)

    assert (walk.entries, walk.size) == (4, 1004)


def test_links_have_no_content() -> None:
    """A hard link's header may carry its file's size."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, kind in (
            ("__v", tarfile.DIRTYPE),
            ("__v/soft", tarfile.SYMTYPE),
            ("__v/hard", tarfile.LNKTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "__v/a"
            member.size = 700 if kind == tarfile.LNKTYPE else 0
            tar.addfile(member)
    walk = walked(whole.getvalue())

    assert (walk.entries, walk.size) == (3, 0)


@pytest.mark.parametrize("cut", [0, 100, 512, 1024, 2048])
def test_a_part_never_passes_for_the_whole(cut: int) -> None:
    """Wherever it ends before the end mark."""
    data = archive(WHOLE)
    end = data.rstrip(b"\0")

    with pytest.raises(TarError):
        walked(data[: len(end) - cut])


@pytest.mark.parametrize(
    "names", [["etc/passwd"], ["__v", "__v/../../etc"], ["__v/a"], ["__v", "/__v/a"], ["__v", "__vx/a"]]
)
def test_what_leads_out_of_the_volume_is_refused(names: list[str]) -> None:
    """A name from elsewhere, or no root at first."""
    with pytest.raises(TarError, match="__v"):
        walked(archive([(name, None) for name in names]))


def test_one_flipped_bit_in_a_header_is_seen_and_noise_never_breaks_it() -> None:
    """A checksum, or any other rule; nothing but TarError ever comes of junk."""
    data = bytearray(archive(WHOLE))
    data[512 + 3] ^= 1
    with pytest.raises(TarError, match="checksum"):
        walked(bytes(data))
    chance = random.Random(7)  # noqa: S311 - no secret
    for _ in range(200):
        noisy = bytearray(archive(WHOLE))
        for _ in range(8):
            noisy[chance.randrange(len(noisy))] = chance.randrange(256)
        with contextlib.suppress(TarError):
            walked(bytes(noisy))
