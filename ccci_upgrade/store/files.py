"""Writing that survives a crash: atomic replacement and durable appends."""

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make a folder and its parents; the folder itself is for its owner only."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)


def append_line(path: Path, line: str) -> None:
    """Append one line and see it on the disk before returning. A torn line before it is ended first."""
    # A lone surrogate (a file name, an Engine's word) becomes JSON's own escape for it.
    data = line.encode(errors="backslashreplace") + b"\n"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":
            data = b"\n" + data
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    if not size:
        sync_folder(path.parent)  # a new file's name is not on the disk with its content


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
