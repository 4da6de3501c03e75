"""Secrets written out for somebody who asked: a new folder 0700, files 0600, never into what is there already."""

import os
from collections.abc import Mapping
from pathlib import Path

from ccci_upgrade.errors import NotReadyError, UsageError
from ccci_upgrade.model.keptsecrets import Hidden
from ccci_upgrade.store import files


def check(folder: Path) -> None:
    """Refuse a folder that holds something, and what is no folder."""
    try:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise UsageError(f"`{folder}` is no folder", hint="name one that does not exist yet")
        if folder.is_dir() and any(folder.iterdir()):
            raise UsageError(f"`{folder}` is not empty", hint="name a folder that does not exist yet")
        if (
            folder.is_dir() and folder.lstat().st_uid != os.geteuid()
        ):  # whoever owns it can read what comes in
            raise UsageError(
                f"`{folder}` belongs to somebody else", hint="name a folder that does not exist yet"
            )
    except OSError as error:
        raise UsageError(
            f"`{folder}` cannot be used: {error.strerror or error}", hint="name another folder"
        ) from error


def write(folder: Path, values: Mapping[str, Hidden]) -> tuple[Path, ...]:
    """Write each value to a file of its name, in order; the folder is checked again before."""
    check(folder)
    written = []
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        for name, value in values.items():
            path = folder.absolute() / name
            files.replace(path, value.reveal())
            written.append(path)
    except OSError as error:
        raise NotReadyError(
            f"cannot write to `{folder}`: {error.strerror or error}",
            hint="name another folder",
            code="secrets-out",
        ) from error
    return tuple(written)
