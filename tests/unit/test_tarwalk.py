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


def entry(kind: bytes, data: bytes, *, name: str = "__v/x", size: int | None = None) -> bytes:
    """One entry of any type with its content, as a tar holds it."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data) if size is None else size
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


LARGE = entry(b"x", b"29 size=" + b"9" * 20 + b"\n")
ROOT_ENTRY = entry(tarfile.DIRTYPE, b"", name="__v")
END = bytes(1024)


def mended(header: bytes) -> bytes:
    """A header with the checksum that it should have."""
    blank = header[:148] + b" " * 8 + header[156:512]
    return blank[:148] + f"{sum(blank):06o}\0 ".encode() + blank[156:] + header[512:]


def sized(field: bytes) -> bytes:
    """A plain file whose header has this field for its size."""
    plain = entry(b"0", b"")
    return mended(plain[:124] + field + plain[136:])


def in_two_parts() -> bytes:
    """A plain file whose name stands in two fields."""
    plain = entry(b"0", b"", name="x")
    return mended(plain[:257] + b"ustar\x0000" + plain[265:345] + b"__v".ljust(155, b"\0") + bytes(12))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends too early"),
        (END, "nothing in it"),
        (ROOT_ENTRY + bytes(512), "ends too early"),
        (ROOT_ENTRY + END + ROOT_ENTRY, "something follows its end"),
        (ROOT_ENTRY + bytes(512) + ROOT_ENTRY + END, "an empty block stands in the middle"),
        (ROOT_ENTRY + entry(b"V", b"") + END, "unknown type 86"),
        (ROOT_ENTRY + entry(b"x", b"", size=2 * 1024 * 1024) + END, "header that is too long"),
        (ROOT_ENTRY + entry(b"x", b"11 size=-1\n") + entry(b"0", b"") + END, "size of an entry is no number"),
        (ROOT_ENTRY + LARGE + entry(b"0", b"") + END, "size of an entry is no number"),
        (ROOT_ENTRY + entry(b"x", b"junk") + END, "PAX header cannot be read"),
        (ROOT_ENTRY + entry(b"x", b"9 path=a") + END, "PAX header cannot be read"),
        (ROOT_ENTRY + entry(b"x", b"7 path\n") + END, "PAX header cannot be read"),
        (ROOT_ENTRY + entry(b"x", b"1 path=a\n") + END, "PAX header cannot be read"),
        (ROOT_ENTRY + sized(b"9" * 11 + b"\0") + END, "is none"),
        (ROOT_ENTRY + entry(b"x", b"20 path=/etc/passwd\n") + entry(b"0", b"") + END, "is not below"),
        (ROOT_ENTRY + entry(b"L", b"/etc/passwd\0") + entry(b"0", b"") + END, "is not below"),
    ],
)  # fmt: skip
def test_each_way_to_be_no_archive_is_named(data: bytes, said: str) -> None:
    """In a few words, for a person."""
    with pytest.raises(TarError, match=said):
        walked(data)


@pytest.mark.parametrize(
    ("extra", "size"),
    [
        (entry(b"x", b"13 size=1000\n") + entry(b"0", b"x" * 1000, size=5), 1000),
        (entry(b"x", b"") + entry(b"0", b"12345"), 5),
        (entry(b"g", b"15 path=nowhere\n") + entry(b"0", b"12345"), 5),
        (entry(b"x", b"11 mtime=1\n") + entry(b"0", b"12345"), 5),
        (entry(b"K", b"target\0") + entry(b"2", b"", size=700), 0),
        (sized(b"\x80" + bytes(10) + b"\x05") + b"12345" + bytes(507), 5),
        (sized(bytes(12)), 0),
        (in_two_parts(), 0),
    ],
    ids=["size in PAX", "no records", "global", "another key", "long link", "binary size", "no size", "prefix"],
)  # fmt: skip
def test_every_form_that_an_engine_writes_is_counted(extra: bytes, size: int) -> None:
    """Sizes that no octal number holds, names in two parts, headers that say nothing."""
    walk = walked(ROOT_ENTRY + extra + END)

    assert (walk.entries, walk.size) == (2, size)


def test_a_name_longer_than_a_block_is_put_together() -> None:
    """Its header's content has more blocks than one."""
    long = f"__v/{'d' * 600}"

    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert walked(archive([("__v", None), (long, b"12345")], form)).size == 5
