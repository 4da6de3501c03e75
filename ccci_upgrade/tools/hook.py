"""People's own backup command: found, held to be theirs, and run."""

import os
import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.tools.shown import ShownChild

if TYPE_CHECKING:
    from ccci_upgrade.redact import Masker


def find_hook(command: tuple[str, ...], source: Path | None) -> str:
    """The path of the program; NotReadyError where there is none, or where others could have named or made it.

    Whoever can write the configuration or the program decides what is run here, as root in most cases.
    """
    found = shutil.which(command[0])
    if found is None:
        raise NotReadyError(
            f"no program `{command[0]}` that can be run (`backup_command`)",
            hint="mend its path in ccci-upgrade.toml, or make it executable",
            code="backup-command",
        )
    path = Path(found).absolute()  # a PATH may have relative folders, and the child starts in `/`
    for name in ([source] if source else []) + [path]:
        for place in {name, Path(os.path.realpath(name))}:
            why = _others(place) or _others(place.parent)
            if why:
                raise NotReadyError(
                    f"`backup_command` is not run: {why}",
                    hint="give that to root or to yourself, and take the right to write from others",
                    code="backup-command",
                )
    return str(path)


def start_hook(
    path: str,
    command: tuple[str, ...],
    *,
    env: Mapping[str, str],
    show: Callable[[str], None],
    log: Path,
    masker: "Masker",
) -> ShownChild:
    """Start it without input or terminal; NotReadyError where it cannot be started."""
    return ShownChild(
        (path, *command[1:]),
        called=command,
        env=env,
        show=show,
        log=log,
        masker=masker,
        code="backup-command",
    )


def _others(place: Path) -> str:
    """Who else can change a file or folder, as a sentence; "" where nobody.

    A person's own group has that person only on most systems, and folders of programs belong to a group of
    administrators on some; so a group's right to write counts for root's files only. In a sticky folder others
    cannot replace what is not theirs.
    """
    try:
        status = place.stat()
    except OSError as error:
        return f"`{place}` cannot be looked at: {error.strerror}"
    mine = os.geteuid()
    if status.st_uid not in (0, mine):
        return f"`{place}` belongs to user {status.st_uid}"
    folder = stat.S_ISDIR(status.st_mode)
    if folder and status.st_mode & stat.S_ISVTX:
        return ""
    if status.st_mode & stat.S_IWOTH:
        return f"everybody can write `{place}`"
    if mine == 0 and not folder and status.st_gid != 0 and status.st_mode & stat.S_IWGRP:
        return f"group {status.st_gid} can write `{place}`"
    return ""
