"""The lock as `status` shows it: compared with what `status` has asked anyway, where one is configured."""

from dataclasses import dataclass, replace
from pathlib import Path

from ccci_upgrade.errors import CcciError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.locksight import Sight, apps_now
from ccci_upgrade.model.drift import compare
from ccci_upgrade.model.driftrow import Row
from ccci_upgrade.model.lockfile import LockFile
from ccci_upgrade.store.lockfile import read_lock
from ccci_upgrade.tools.shapes import read_shapes


@dataclass(frozen=True, kw_only=True, slots=True)
class LockStatus:
    """The configured lock: how it differs from what is there, and why that cannot be told, where it cannot."""

    path: Path
    lock: LockFile | None = None
    rows: tuple[Row, ...] = ()
    problem: str = ""
    compared: bool = False

    @property
    def why(self) -> str:
        """Why nothing is told; empty where it was compared."""
        if self.problem or self.compared:
            return self.problem
        return f"{self.path} was not compared: no server that has its apps could be asked"


def begin(path: Path) -> LockStatus:
    """Read the lock; nothing is compared yet."""
    try:
        lock = read_lock(path).lock
    except CcciError as error:
        return LockStatus(path=path, problem=error.message)
    missing = "" if lock else f"there is none at {path} yet: ccci-upgrade lock write"
    return LockStatus(path=path, lock=lock, problem=missing)


def compared(found: LockStatus, host: Host, sight: Sight, *, alone: bool) -> LockStatus:
    """With the differences on one server. `sight` lacks shapes, and local ids, which would only make information.

    Of several servers only one that has apps of the lock is told of; `alone` it is the only one asked.
    """
    lock = found.lock
    here = {app.name for app in host.apps} | {each.name for each in host.broken}
    if lock is None or not (alone or here & {app.name for app in lock.apps}):
        return found
    try:
        whole = replace(sight, shapes=read_shapes(host.swarm.engine))
    except CcciError as error:
        return replace(found, problem=error.message)
    return replace(found, compared=True, rows=compare(lock, apps_now(host, whole, lock)))
