"""Writing that survives a crash: atomic replacement and durable appends."""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

_TAIL = 1024 * 1024
"""Bytes of a torn last line that are looked at."""


def make_private(folder: Path) -> None:
    """Make a folder and its parents, and see their names on the disk; the folder itself is for its owner only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True, mode=0o700 if each == folder else 0o777)
        try:
            sync_folder(each.parent)
        except OSError:
            with contextlib.suppress(OSError):
                each.rmdir()  # else the next try would take its name to be on the disk
            raise
    folder.mkdir(exist_ok=True)  # and no file in its place


def append_line(path: Path, line: str, *, torn: Callable[[bytes], str] | None = None) -> None:
    """Append one line and see it on the disk before returning.

    A line before it that has no end is ended first. `torn` is given that line, or its last `_TAIL` bytes, and
    gives what is to be written behind it, "" for nothing.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        data = _bytes(line)
        if tail := _tail(handle, size):
            said = torn(tail) if torn else ""
            data = b"\n" + (_bytes(said) if said else b"") + data
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    if not size:
        sync_folder(path.parent)  # a new file's name is not on the disk with its content


def _bytes(line: str) -> bytes:
    # A lone surrogate (a file name, an Engine's word) becomes JSON's own escape for it.
    return line.encode(errors="backslashreplace") + b"\n"


def _tail(handle: int, size: int) -> bytes:
    """What stands behind the last end of a line."""
    begin = max(0, size - _TAIL)
    # Nearly always the last byte ends a line, and nothing more is read.
    if not size or os.pread(handle, 1, size - 1) == b"\n":
        return b""
    return os.pread(handle, size - begin, begin).rpartition(b"\n")[2]


def replace(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put a whole file in place, or leave the old one: written beside, fsynced, renamed, folder fsynced.

    What is there and no plain file (a device, a link) is left alone: renaming over `/dev/null` would be the
    end of it.
    """
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, "it is there, and no plain file", str(path))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """See a folder's names on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
