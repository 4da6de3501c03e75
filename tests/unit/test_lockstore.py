"""The lock on the disk: whole or not at all, and never in place of what is not it."""

import fcntl
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.lockfile import LARGEST, LockFile, lock_text
from ccci_upgrade.store.lockfile import Found, read_lock, write_lock
from tests.unit.locks import LOCK, LOCKED

TEXT = lock_text(LOCK)
OTHER = LOCK.having(replace(LOCKED, order=7))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lock is to be."""
    return tmp_path / "infra.lock.toml"


def _refused(path: Path, lock: LockFile = LOCK, was: Found | None = None) -> NotReadyError:
    with pytest.raises(NotReadyError) as caught:
        write_lock(path, lock, was=was or Found())
    return caught.value


def test_what_was_written_is_read(path: Path) -> None:
    """Nothing before; a file that everybody may read after, and nothing beside it."""
    assert read_lock(path) == Found()
    assert write_lock(path, LOCK, was=Found())

    assert read_lock(path) == Found(lock=LOCK, data=TEXT.encode())
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_the_same_text_is_not_written_again(path: Path) -> None:
    """Whoever watches the file sees no change."""
    write_lock(path, LOCK, was=Found())
    before = path.stat()

    assert not write_lock(path, LOCK, was=read_lock(path))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_mode_and_owner_stay(path: Path) -> None:
    """It may be in somebody's repository."""
    path.write_text(TEXT)
    path.chmod(0o640)
    owner = (1234, 1235) if os.geteuid() == 0 else (os.getuid(), os.getgid())
    os.chown(path, *owner)

    assert write_lock(path, OTHER, was=read_lock(path))
    assert path.stat().st_mode & 0o777 == 0o640
    assert (path.stat().st_uid, path.stat().st_gid) == owner


def test_a_link_stays_and_its_target_is_written(path: Path, tmp_path: Path) -> None:
    """The file is in a checkout, and linked to where this program looks."""
    (tmp_path / "repository").mkdir()
    target = tmp_path / "repository" / "infra.lock.toml"
    path.symlink_to(target)

    assert read_lock(path) == Found()
    assert write_lock(path, LOCK, was=Found())
    assert path.is_symlink()
    assert target.read_text() == TEXT


@pytest.mark.parametrize("meanwhile", [lock_text(OTHER), "", "junk", None])
def test_what_changed_since_it_was_read_is_left(path: Path, meanwhile: str | None) -> None:
    """Somebody's edit, or their removal of it, is not undone."""
    path.write_text(TEXT)
    was = read_lock(path)
    path.unlink() if meanwhile is None else path.write_text(meanwhile)

    assert _refused(path, OTHER, was).code == "lock-changed"
    assert (path.read_text() if path.exists() else None) == meanwhile


def test_a_file_that_appeared_is_left(path: Path) -> None:
    """There was none when it was read."""
    path.write_text("mine")

    assert _refused(path).code == "lock-changed"
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    "text", ["", "mine", '{"json": 1}', "schema = 1\n<<<<<<< HEAD\n", "\0", "[package]\nname = 'x'\n"]
)
def test_what_is_no_lock_is_not_read_and_so_not_written_over(path: Path, text: str) -> None:
    """With file and line."""
    path.write_text(text)
    with pytest.raises(NotReadyError) as caught:
        read_lock(path)

    assert caught.value.code == "lock-unreadable"
    assert caught.value.message.startswith(f"{path}, line ")
    assert _refused(path).code == "lock-changed"
    assert path.read_text() == text


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_neither_read_nor_replaced(path: Path, tmp_path: Path) -> None:
    """A pipe is not waited for."""
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(NotReadyError) as caught:
            read_lock(odd)
        assert caught.value.code == "lock-unreadable"
        assert _refused(odd).code == "lock-unreadable"
    (tmp_path / "file").touch()
    with pytest.raises(NotReadyError):
        read_lock(tmp_path / "file" / "below")
    path.write_bytes(b" " * (LARGEST + 9))
    with pytest.raises(NotReadyError, match="larger"):
        read_lock(path)


def test_where_nothing_can_be_written_nothing_is(tmp_path: Path) -> None:
    """One error with the folder's trouble."""
    error = _refused(tmp_path / "no" / "infra.lock.toml")

    assert error.code == "lock-unwritable"
    assert "--file" in error.hint


def test_what_cannot_be_read_back_is_not_written(path: Path) -> None:
    """A name that an Engine made up."""
    error = _refused(path, LOCK.having(replace(LOCKED, stack="a\nb")))

    assert (error.code, path.exists()) == ("lock-unfit", False)


def test_of_two_that_write_at_once_one_is_refused(path: Path) -> None:
    """Both have read the same; the second finds what it did not read."""
    path.write_text(TEXT)
    was = read_lock(path)
    begin, ended = threading.Barrier(8), list[str]()

    def write(order: int) -> None:
        begin.wait()
        try:
            write_lock(path, LOCK.having(replace(LOCKED, order=order)), was=was)
        except NotReadyError as error:
            ended.append(error.code)
        else:
            ended.append(f"wrote {order}")

    threads = [threading.Thread(target=write, args=(order,)) for order in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    assert sorted(ended)[:7] == ["lock-changed"] * 7
    found = read_lock(path).lock
    assert found is not None
    assert ended.count(f"wrote {found.apps[0].order}") == 1


def test_a_folder_that_another_program_holds_is_given_up(path: Path) -> None:
    """Not waited for without end."""
    handle = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(NotReadyError, match="another program") as caught:
            write_lock(path, LOCK, was=Found(), seconds=0.2)
    finally:
        os.close(handle)

    assert (caught.value.code, path.exists()) == ("lock-unwritable", False)
