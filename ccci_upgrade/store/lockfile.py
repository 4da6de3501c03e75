"""`infra.lock.toml` on the disk: read whole, and replaced only where it is still what was read."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.lockfile import LARGEST, LockFile, lock_text, parse_lock
from ccci_upgrade.model.locktable import LockFileError
from ccci_upgrade.store import files
from ccci_upgrade.text import tame_line

WAIT_SECONDS = 5.0
"""For another one that writes into the same folder; it takes milliseconds."""

_MODE = 0o644


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was read: both None where there is no file yet."""

    lock: LockFile | None = None
    data: bytes | None = None


def read_lock(path: Path) -> Found:
    """Read a lock; NotReadyError with file and line for what is none."""
    data = _read(path)
    if data is None:
        return Found()
    try:
        return Found(lock=parse_lock(data, name=str(path)), data=data)
    except LockFileError as error:
        raise NotReadyError(
            tame_line(str(error)),
            hint="mend it there; or move it away: it is neither used nor written over as it is",
            code="lock-unreadable",
        ) from error


def write_lock(path: Path, lock: LockFile, *, was: Found, seconds: float = WAIT_SECONDS) -> bool:
    """Write a lock in place of what was read, all at once; False where that is the same text already.

    A link stays, and its target is replaced. NotReadyError, with the file as it was, where it is not what was read
    any more, or cannot be written; its folder is waited for `seconds`.
    """
    try:
        data = lock_text(lock).encode()
    except (LockFileError, UnicodeEncodeError) as error:
        raise NotReadyError(
            f"what is to be written into {path} is no lock: {tame_line(str(error))}", code="lock-unfit"
        ) from error
    real = Path(os.path.realpath(path))
    try:
        with _alone(real.parent, seconds):
            now = _read(real)
            if now != was.data:
                raise NotReadyError(
                    f"{path} was changed by somebody else in the meantime",
                    hint="look at it, then run the same command again",
                    code="lock-changed",
                )
            if now == data:
                return False
            _put(real, data)
    except OSError as error:
        raise NotReadyError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="name another file with `--file`, or set `lock_file` in ccci-upgrade.toml",
            code="lock-unwritable",
        ) from error
    return True


def _put(real: Path, data: bytes) -> None:
    """Mode and owner stay: the file may be in somebody's repository."""
    before = real.stat() if real.exists() else None
    files.replace(real, data, mode=stat.S_IMODE(before.st_mode) if before else _MODE)
    if before is not None:
        with contextlib.suppress(PermissionError):
            os.chown(real, before.st_uid, before.st_gid)


@contextlib.contextmanager
def _alone(folder: Path, seconds: float) -> Iterator[None]:
    """Keep other processes of this program from writing into the folder between a look and a rename."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        until = clock.ticks() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if clock.ticks() > until:
                    raise OSError(errno.EBUSY, "another program holds its folder") from None
                clock.sleep(0.05)
        yield
    finally:
        os.close(handle)


def _read(path: Path) -> bytes | None:
    """The content of a plain file; None where there is none. Never waits, not even for the writer of a pipe."""
    try:
        _plain(path.stat())  # before opening: to open a device may do something
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            _plain(os.fstat(handle))
            return file.read(LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NotReadyError(
            f"{path} cannot be read: {error.strerror or error}",
            hint="it should be the file that `ccci-upgrade lock write` made",
            code="lock-unreadable",
        ) from error


def _plain(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no plain file")
