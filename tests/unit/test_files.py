"""Writing that survives a full disk, a torn line and a kill."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ccci_upgrade.store.files import append_line, make_private, replace

ROOT = Path(__file__).parent.parent.parent


LIMITED = """
import resource, sys
from pathlib import Path
from ccci_upgrade.store.files import replace

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
replace(Path(sys.argv[1]), b"x" * 9999)
"""


def write_until(limit: int, error: int) -> Callable[[int, bytes], int]:
    """An `os.write` on a disk that has room for so many bytes more."""
    real, left = os.write, limit

    def write(handle: int, data: bytes) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(error, os.strerror(error))
        count = real(handle, data[:left])
        left -= count
        return count

    return write


def failing(error: int) -> Callable[[int], None]:
    """An `os.fsync` of a disk that is broken."""

    def fsync(handle: int) -> None:
        del handle
        raise OSError(error, os.strerror(error))

    return fsync


def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    """One line each, readable by the owner alone."""
    path = tmp_path / "journal"
    append_line(path, "one")
    append_line(path, "two ↑")

    assert path.read_text(encoding="utf-8") == "one\ntwo ↑\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_torn_line_is_ended_before_the_next_one(tmp_path: Path) -> None:
    """What was lost is lost alone."""
    path = tmp_path / "journal"
    path.write_bytes(b'{"whole": 1}\n{"tor')

    append_line(path, '{"next": 1}')

    assert path.read_bytes() == b'{"whole": 1}\n{"tor\n{"next": 1}\n'


def test_a_torn_line_is_shown_to_who_writes_the_next_one(tmp_path: Path) -> None:
    """And their word about it stands right behind it; without a torn line nobody is asked."""
    path, seen = tmp_path / "journal", []

    def torn(tail: bytes) -> str:
        seen.append(tail)
        return f"{len(tail)} torn"

    path.write_bytes(b"whole\ntor")
    append_line(path, "next", torn=torn)
    append_line(path, "last", torn=torn)

    assert seen == [b"tor"]
    assert path.read_bytes() == b"whole\ntor\n3 torn\nnext\nlast\n"


@pytest.mark.parametrize("piece", [1, 3, 7])
def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """The system may take fewer bytes than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:piece]))
    append_line(tmp_path / "journal", "a line of some length")

    assert (tmp_path / "journal").read_text() == "a line of some length\n"


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("room", [0, 5])
def test_a_full_disk_is_an_error_and_costs_nothing_but_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, room: int
) -> None:
    """Lines before it stay, lines after it (once there is room) are whole."""
    path = tmp_path / "journal"
    append_line(path, "before")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_until(room, error))
        with pytest.raises(OSError, match=os.strerror(error)):
            append_line(path, "lost in part")
    append_line(path, "after")

    lines = path.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert len(lines) == (3 if room else 2)


def test_a_line_that_is_not_on_the_disk_is_not_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fsync's error is the caller's to know."""
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        append_line(tmp_path / "journal", "x")


def test_a_new_files_name_is_synced_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content without a name is lost with the power; an old file's name is there already."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    append_line(tmp_path / "journal", "one")
    append_line(tmp_path / "journal", "two")

    file, folder = (tmp_path / "journal").stat().st_ino, tmp_path.stat().st_ino
    assert synced == [file, folder, file]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_device_says_so() -> None:
    """The kernel's own full disk."""
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        append_line(Path("/dev/full"), "x")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A journal that leads elsewhere is not ours."""
    (tmp_path / "journal").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        append_line(tmp_path / "journal", "x")
    assert not (tmp_path / "elsewhere").exists()


def test_a_lone_surrogate_is_written_as_jsons_escape(tmp_path: Path) -> None:
    """An Engine may say one; the journal must take it."""
    append_line(tmp_path / "journal", '"\ud800"')

    assert (tmp_path / "journal").read_bytes() == b'"\\ud800"\n'


def test_a_file_is_replaced_whole_and_private(tmp_path: Path) -> None:
    """Nothing is left beside it."""
    path = tmp_path / "results.json"
    path.write_text("old")

    replace(path, b"new")

    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_failed_replacement_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole or not at all."""
    path = tmp_path / "results.json"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        replace(path, b"new")

    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_file_over_the_limit_leaves_the_old_one(tmp_path: Path) -> None:
    """A real limit of the kernel, in a process of its own."""
    path = tmp_path / "results.json"
    path.write_text("old")
    done = subprocess.run(
        (sys.executable, "-c", LIMITED, str(path)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "File too large" in done.stderr
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_what_is_no_plain_file_is_left_alone(tmp_path: Path) -> None:
    """`--out /dev/stdout` must not put a file in the place of a device."""
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "target"
    os.mkfifo(pipe)
    target.write_text("old")
    link.symlink_to(target)

    for path in (pipe, link, Path(os.devnull)):
        with pytest.raises(OSError, match="no plain file"):
            replace(path, b"new")

    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    assert target.read_text() == "old"
    assert not Path(os.devnull).is_file()


def test_the_names_of_new_folders_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each new folder's name stands in the folder above it; those that were there are left in peace."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    make_private(tmp_path / "a" / "b")
    make_private(tmp_path / "a" / "b")

    assert synced == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]


def test_a_folder_whose_name_did_not_reach_the_disk_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try would not see that it has to be synced."""
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            make_private(tmp_path / "a" / "b")

    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path: Path) -> None:
    """It is not taken for one."""
    (tmp_path / "a").write_text("")

    with pytest.raises(FileExistsError):
        make_private(tmp_path / "a")


def test_private_folders_are_for_their_owner_only(tmp_path: Path) -> None:
    """Made with all parents; there already is fine."""
    make_private(tmp_path / "a" / "b")
    make_private(tmp_path / "a" / "b")

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
