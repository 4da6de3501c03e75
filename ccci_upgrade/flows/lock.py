"""`infra.lock.toml`: written from what runs, compared with what runs. Nothing in the Swarm is changed by it."""

import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ccci_upgrade.config import Config
from ccci_upgrade.errors import CcciError, Exit, LockedError, NotReadyError, UsageError
from ccci_upgrade.flows.ground import Ground
from ccci_upgrade.flows.host import Host, read_server
from ccci_upgrade.flows.lease import look_at_lease
from ccci_upgrade.flows.locksight import Sight, apps_now, judged
from ccci_upgrade.flows.memory import recall
from ccci_upgrade.model.appnow import AppNow, UnfitError, recorded
from ccci_upgrade.model.drift import compare
from ccci_upgrade.model.driftrow import Row, Weight
from ccci_upgrade.model.lease import LeaseState
from ccci_upgrade.model.lockfile import NAME, Judged, LockedApp, LockFile
from ccci_upgrade.model.recipe import Recipe
from ccci_upgrade.model.verdict import State
from ccci_upgrade.store.journal import read_all
from ccci_upgrade.store.lockfile import Found, read_lock, write_lock
from ccci_upgrade.tools.recipes import read_versions
from ccci_upgrade.tools.shapes import read_shapes
from ccci_upgrade.tools.volumes import image_id


class Change(StrEnum):
    """What became of an app's entry. `kept`: it does not run, so what was recorded of it stays."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    KEPT = "kept"
    DROPPED = "dropped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A lock that was written; `written` is False where the file says the same already."""

    path: Path
    written: bool
    apps: tuple[tuple[str, Change], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """A lock compared with what is there. `notes`: what could not be asked and does not count."""

    path: Path
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def of(self, weight: Weight) -> tuple[Row, ...]:
        """The rows that weigh so."""
        return tuple(row for row in self.rows if row.weight is weight)

    @property
    def exit(self) -> Exit:
        """20 for drift; 13 where there is none, but something could not be checked."""
        if self.of(Weight.DRIFT):
            return Exit.DRIFT
        return Exit.NOT_READY if self.of(Weight.UNKNOWN) else Exit.OK


def lock_path(config: Config, said: Path | None) -> Path:
    """The file: as said, as configured, else the usual name in the working directory."""
    return said or config.lock_file or Path(NAME)


def write(host: Host, path: Path, names: tuple[str, ...] = (), *, drop: tuple[str, ...] = ()) -> Written:
    """Record these apps as they run, or all that run. All or nothing: NotReadyError names each that cannot be.

    An app of the lock that does not run keeps its entry; only `drop` takes one out.
    """
    seen = look_at_lease(host.swarm)
    if seen.state is LeaseState.HELD and seen.claim is not None:
        raise LockedError(
            f"somebody is at work on this Swarm: {seen.claim.line}",
            hint="what runs now may not be what stays: run this again when they are done",
        )
    was = read_lock(path)
    _only_known(was, drop)
    _same_server(host, path, was)
    sight = look(host, offline=True)
    found = apps_now(host, sight, was.lock)
    chosen = (
        {app.name for app in host.find(names)} if names else {n.name for n in found if n.running or n.problem}
    )
    new = _recorded([now for now in found if now.name in chosen - set(drop)], was, sight)
    return _merged(host, path, was, new, drop)


def diff(host: Host, path: Path, *, offline: bool) -> Diff:
    """Compare a lock with what runs, with each `.env` and each recipe; NotReadyError where there is no lock."""
    was = read_lock(path)
    if was.lock is None:
        raise NotReadyError(
            f"there is no lock at {path}",
            hint=f"write it: ccci-upgrade lock write --file {shlex.quote(str(path))}",
            code="no-lock",
        )
    sight = look(host, offline=offline)
    found = apps_now(host, sight, was.lock)
    stale = (
        {n.recipe.name: n.recipe.stale for n in found if n.recipe and n.recipe.stale} if not offline else {}
    )
    notes = tuple(
        f"{name}: {why}: a tag that moved upstream would not be seen" for name, why in stale.items()
    )
    return Diff(path=path, rows=compare(was.lock, found), notes=notes)


def look(host: Host, *, offline: bool) -> Sight:
    """Ask everything that a lock is made of, or compared with."""
    folders = {app.recipe_folder for app in host.apps}
    runs = read_all(host.config.state_dir).runs
    with ThreadPoolExecutor(max_workers=4) as pool:
        reading = {name: pool.submit(_recipe, host.config, name, offline=offline) for name in folders}
        stacks = host.swarm.stacks()
        shapes = read_shapes(host.swarm.engine)
        memories = recall(host.swarm)
        recipes = {name: each.result() for name, each in reading.items()}
    return Sight(
        stacks=stacks,
        shapes=shapes,
        recipe=recipes.__getitem__,
        memories=memories,
        runs=tuple(run for run in runs if run.cluster == host.cluster.id),
        image_id=lambda image: image_id(host.swarm.engine, image),
    )


def record_run(ground: Ground) -> str:
    """After a good end of a run: record its app where a lock is configured. "" where none is.

    That the lock cannot be written does not change how the run ended: it is told.
    """
    path = ground.host.config.lock_file
    if path is None:
        return ""
    try:
        changed = _record_run(ground, path)
    except CcciError as error:
        ground.reporter.note(f"the lock was not written: {error.message}")
        return f"the lock was not written: {error.message}"
    return f"recorded in {path}" if changed else f"{path} says so already"


def _record_run(ground: Ground, path: Path) -> bool:
    """The `.env` is read anew: the version was pinned in it since the run began."""
    host, name = ground.host, ground.app.name
    apps, broken = read_server(host.config, host.server)
    host = replace(host, apps=apps, broken=broken)
    was = read_lock(path)
    _same_server(host, path, was)
    sight = look(replace(host, apps=tuple(app for app in apps if app.name == name)), offline=True)
    now = next(iter(apps_now(host, sight, None, only=name)), AppNow(name=name))
    verdict = Judged(state=State.CONVERGED, at=ground.record.started, run=ground.record.run_id)
    return _merged(host, path, was, _recorded([now], was, sight, verdict), ()).written


def _recorded(
    found: Iterable[AppNow], was: Found, sight: Sight, verdict: Judged | None = None
) -> tuple[LockedApp, ...]:
    made, bad = [], []
    for now in found:
        old = was.lock.app(now.name) if was.lock else None
        try:
            made.append(recorded(now, verdict or judged(now, old, sight)))
        except UnfitError as error:
            bad.append(f"{now.name}: {error}")
    if bad:
        raise NotReadyError(
            "\n".join(("nothing was written, for this cannot be recorded:", *bad)),
            hint="mend that; or name the apps to record: `ccci-upgrade lock write APP…`",
            code="lock-app",
        )
    return tuple(made)


def _merged(host: Host, path: Path, was: Found, new: tuple[LockedApp, ...], drop: tuple[str, ...]) -> Written:
    old = was.lock or LockFile(server=host.server)
    lock = old.without(drop).having(*new)
    written = write_lock(path, lock, was=was)
    changes = [(name, Change.DROPPED) for name in dict.fromkeys(drop)]
    changes += [(app.name, _change(old.app(app.name), app, new)) for app in lock.apps]
    return Written(path=path, written=written, apps=tuple(sorted(changes)))


def _change(old: LockedApp | None, now: LockedApp, new: tuple[LockedApp, ...]) -> Change:
    if now not in new:
        return Change.KEPT
    return Change.NEW if old is None else Change.SAME if old == now else Change.CHANGED


def _same_server(host: Host, path: Path, was: Found) -> None:
    """One file is one server's. Names of servers differ from machine to machine, names of apps do not."""
    known = {app.name for app in was.lock.apps} if was.lock else set()
    here = {app.name for app in host.apps} | {each.name for each in host.broken}
    if was.lock and known and here and not known & here:
        raise NotReadyError(
            f"{path} is the lock of another server, {was.lock.server}: none of its apps is here",
            hint="name another file with `--file`",
            code="lock-elsewhere",
        )


def _only_known(was: Found, drop: tuple[str, ...]) -> None:
    for name in drop:
        if was.lock is None or was.lock.app(name) is None:
            raise UsageError(f"`--drop {name}`: there is no such app in the lock")


def _recipe(config: Config, name: str, *, offline: bool) -> Recipe | CcciError:
    try:
        return read_versions(name, config.abra_dir, config.cache_dir, offline=offline)
    except CcciError as error:
        return error
