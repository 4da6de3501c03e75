"""abra: the only module that knows its arguments.

What is documented of abra 0.13 and what is not: docs/explanation/abra.md. Its words are shown, never read;
its exit code ends nothing.
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade import clock, process
from ccci_upgrade.errors import LockedError, NotReadyError
from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.text import decode, tame_line
from ccci_upgrade.tools.shown import TAIL, ActResult, ShownChild

if TYPE_CHECKING:
    from ccci_upgrade.model.facts import AbraInfo
    from ccci_upgrade.redact import Masker

__all__ = ["LOCK", "TAIL", "Abra", "Act", "ActResult"]

LOCK = "ccci-upgrade.lock"
"""In `ABRA_DIR`, held by us and inherited by abra: an abra that outlives us still holds it."""

_HELP_SECONDS = 10.0
_NEEDED = {
    "app upgrade": ("--no-input",),
    "app rollback": ("--no-input",),
    "app deploy": ("--no-input", "--force"),
}


class Abra:
    """One abra binary on one `ABRA_DIR`."""

    def __init__(self, binary: str, abra_dir: Path) -> None:
        """Name both; nothing is run yet."""
        self.binary = binary
        self.abra_dir = abra_dir

    def info(self) -> "AbraInfo":
        """Ask for version and help, read-only; NotReadyError where there is no such binary."""
        from ccci_upgrade.model.facts import AbraInfo  # noqa: PLC0415 - start-up time is measured

        path = self._found()
        version = self._words("--version")
        unread: list[str] = []
        missing: list[str] = []
        for command, flags in _NEEDED.items():
            text = self._words(*command.split(), "--help")
            if not re.search(r"(?im)^\s*(usage|flags|options)", text):
                unread.append(f"abra {command} --help")
                continue
            missing += [f"abra {command}: {flag}" for flag in flags if not re.search(rf"{flag}\b", text)]
        word = re.search(r"\d+\.\d+\S*", version)
        shown = tame_line(word.group() if word else "unknown")
        return AbraInfo(path=path, version=shown, unread=tuple(unread), missing=tuple(missing))

    def backup_unread(self) -> tuple[str, ...]:
        """Commands of a backup that this abra's help does not show: it may not have them."""
        return tuple(
            f"abra {command}"
            for command in ("app backup create", "app backup snapshots")
            if not re.search(rf"abra {command}\b", self._words(*command.split(), "--help"))
        )

    @staticmethod
    def upgrade_argv(domain: str, version: str, *, live: str | None) -> tuple[str, ...]:
        """The arguments that lead to exactly one version; `app upgrade` refuses one that is `live` in part already."""
        if live == version:
            return ("app", "deploy", domain, version, "--force", "--no-input")
        return ("app", "upgrade", domain, version, "--no-input")

    @staticmethod
    def back_argv(domain: str, version: str, *, live: str | None) -> tuple[str, ...]:
        """The arguments that lead to an older version, or to `live` itself once more.

        `app rollback` refuses what is no downgrade: where Swarm itself went back, and towards a newer version,
        only `app deploy --force` acts.
        """
        now, wanted = RecipeVersion.parse(live or ""), RecipeVersion.parse(version)
        if now is not None and wanted is not None and wanted < now:
            return ("app", "rollback", domain, version, "--no-input")
        return ("app", "deploy", domain, version, "--force", "--no-input")

    @staticmethod
    def backup_argv(domain: str) -> tuple[str, ...]:
        """The arguments of `abra app backup create`; it needs a terminal."""
        return ("app", "backup", "create", domain, "--no-input")

    @staticmethod
    def backups_argv(domain: str) -> tuple[str, ...]:
        """The arguments that list an app's backups; it needs a terminal."""
        return ("app", "backup", "snapshots", domain, "--no-input")

    @contextlib.contextmanager
    def alone(self, *, seconds: float) -> Iterator[int]:
        """Hold this `ABRA_DIR` for one abra; gives the lock's descriptor, which the child inherits."""
        try:
            handle = os.open(
                self.abra_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError as error:
            raise NotReadyError(
                f"cannot write in `{self.abra_dir}`: {error.strerror}",
                hint="abra must be able to write there too",
            ) from error
        try:
            self._wait_for_lock(handle, seconds)
            yield handle
        finally:
            os.close(handle)

    def act(
        self,
        arguments: tuple[str, ...],
        *,
        lock: int,
        show: Callable[[str], None],
        log: Path,
        masker: "Masker",
        pty: bool = False,
    ) -> "Act":
        """Start an act; its raw output goes, masked, to `log`, and line by line to `show`.

        `pty` gives it a terminal of its own, at which nobody types.
        """
        return Act(
            (self._found(), *arguments),
            self.abra_dir,
            lock=lock,
            show=show,
            log=log,
            masker=masker,
            pty=pty,
        )

    def _wait_for_lock(self, handle: int, seconds: float) -> None:
        deadline = clock.ticks() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if clock.ticks() >= deadline:
                    raise LockedError(
                        f"another abra started by this tool still runs on `{self.abra_dir}`",
                        hint="wait for it; `ps -C abra` shows it, `ccci-upgrade status` shows the open run",
                    ) from None
                clock.sleep(0.1)
            else:
                return

    def _found(self) -> str:
        path = shutil.which(os.path.expanduser(self.binary))  # noqa: PTH111 - a bare name must stay one
        if path is None:
            raise NotReadyError(
                f"no `{self.binary}` found",
                hint="install abra, or set `abra` in ccci-upgrade.toml to its path",
                code="no-abra",
            )
        return path

    def _words(self, *arguments: str) -> str:
        done = process.run(
            (self._found(), *arguments),
            seconds=_HELP_SECONDS,
            env={"ABRA_DIR": str(self.abra_dir)},
            cwd=Path("/"),
        )
        return decode(done.out[:200_000]) + decode(done.err[:200_000])


class Act(ShownChild):
    """A running abra."""

    def __init__(
        self,
        argv: tuple[str, ...],
        abra_dir: Path,
        *,
        lock: int,
        show: Callable[[str], None],
        log: Path,
        masker: "Masker",
        pty: bool = False,
    ) -> None:
        """Start it in its own process group, from a folder that holds no `abra.yml`."""
        env = {"ABRA_DIR": str(abra_dir), "NO_COLOR": "1", "TERM": "dumb"}
        super().__init__(
            argv,
            called=("abra", *argv[1:]),
            env=env,
            inherit=(lock,),
            show=show,
            log=log,
            masker=masker,
            code="no-abra",
            pty=pty,
        )
