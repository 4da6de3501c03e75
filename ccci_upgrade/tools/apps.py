"""abra's `servers/` folder: which servers and apps there are, and the one write into an app's `.env`."""

import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.envfile import EnvFile, EnvFileError, parse_env
from ccci_upgrade.text import tame_line

LARGEST_ENV = 1024 * 1024
"""Bytes of an `.env` that are read; real ones have a few thousand."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_SUFFIX = ".env"


@dataclass(frozen=True, kw_only=True, slots=True)
class AppFile:
    """One `.env` file. `name` is the file's without `.env`; `env` is None where `error` says why."""

    name: str
    server: str
    path: Path
    text: str = ""
    env: EnvFile | None = None
    error: str = ""


def find_servers(abra_dir: Path) -> list[str]:
    """The servers abra knows, sorted; none where there is no such folder. Folders may be links."""
    root = abra_dir / "servers"
    return [name for name in _names(root) if _NAME.fullmatch(name) and (root / name).is_dir()]


def read_apps(abra_dir: Path, server: str) -> list[AppFile]:
    """The apps of a server, by name. One that cannot be read is an entry with its error."""
    if not _NAME.fullmatch(server):
        raise NotReadyError(f"{server!r} cannot be the name of a server", code="server-name")
    folder = abra_dir / "servers" / server
    files = [name for name in _names(folder) if name.endswith(_SUFFIX) and name != _SUFFIX]
    return sorted((_app(folder / name, server) for name in files), key=lambda app: app.name)


def read_env_text(path: Path) -> str:
    """One `.env` as text; raises NotReadyError for what is no readable, plain, small UTF-8 file."""
    try:
        return _bytes(path).decode()
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _refused(path, f"it is not UTF-8 (byte {error.start})") from error


def write_pin(path: Path, old_text: str, new_text: str) -> None:
    """Replace a `.env` that still holds `old_text`, all at once; a link stays and its target is replaced.

    Mode, owner, extended attributes stay. Raises NotReadyError, with the file as it was, where it was changed
    by somebody else in the meantime or cannot be written.
    """
    real = Path(os.path.realpath(path))
    try:
        _replace(real, old_text, new_text)
    except OSError as error:
        raise NotReadyError(
            f"{path} cannot be written: {error.strerror or error}",
            hint=f"pin the version there by hand: {real}",
            code="env-unwritable",
        ) from error


def _replace(real: Path, old_text: str, new_text: str) -> None:
    _still(real, old_text)
    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".ccci-upgrade", dir=real.parent)
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(new_text.encode())
            _dress(real, fresh)
            file.flush()
            os.fsync(file.fileno())
        _still(real, old_text)
        fresh.replace(real)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    folder = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _dress(real: Path, fresh: Path) -> None:
    """Give the new file the owner, mode and attributes of the old one; its times are its own."""
    before = real.stat()
    mine = fresh.stat()
    if (mine.st_uid, mine.st_gid) != (before.st_uid, before.st_gid):
        os.chown(fresh, before.st_uid, before.st_gid)
    shutil.copystat(real, fresh)
    os.utime(fresh)


def _still(real: Path, old_text: str) -> None:
    if read_env_text(real) != old_text:
        raise NotReadyError(
            f"{real} was changed by somebody else in the meantime",
            hint="look at it, then run the same command again",
            code="env-changed",
        )


def _app(path: Path, server: str) -> AppFile:
    name = path.name.removesuffix(_SUFFIX)
    if not _NAME.fullmatch(name):
        shown = tame_line(os.fsencode(name).decode(errors="backslashreplace"))
        return AppFile(name=shown, server=server, path=path, error="its name cannot be an app's")
    text = ""
    try:
        text = read_env_text(path)
        env = parse_env(text, name=path.name)
    except (NotReadyError, EnvFileError) as error:
        return AppFile(name=name, server=server, path=path, text=text, error=str(error))
    return AppFile(name=name, server=server, path=path, text=text, env=env)


def _bytes(path: Path) -> bytes:
    """The content of a plain file; never waits, not even for the writer of a pipe."""
    _plain(path.stat(), path)  # before opening: to open a device may do something
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        _plain(os.fstat(handle), path)
        data = file.read(LARGEST_ENV + 1)
    if len(data) > LARGEST_ENV:
        raise _refused(path, f"it has more than {LARGEST_ENV} bytes")
    return data


def _plain(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _refused(path, "it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "it is a pipe, a socket or a device")
    if status.st_size > LARGEST_ENV:
        raise _refused(path, f"it has {status.st_size} bytes, more than the {LARGEST_ENV} that are read")


def _refused(path: Path, why: str) -> NotReadyError:
    return NotReadyError(f"{path} cannot be read: {why}", hint="mend that file", code="env-unreadable")


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotReadyError(
            f"{folder} cannot be read: {error.strerror or error}",
            hint="run this as the user who runs abra, or set abra_dir",
            code="abra-dir",
        ) from error
