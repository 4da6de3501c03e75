"""`snapshot list|verify|prune`: what is on this machine's disk; no Engine is needed."""

from dataclasses import dataclass

from ccci_upgrade.config import Config
from ccci_upgrade.errors import Exit, NotReadyError, UsageError
from ccci_upgrade.model.openrun import read_open
from ccci_upgrade.model.snapshot import Manifest, warnings
from ccci_upgrade.store import snapshots
from ccci_upgrade.store.journal import read_all
from ccci_upgrade.store.snapshots import Kept, Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One snapshot, and what is suspicious about it beside the good one before it."""

    kept: Kept
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """One snapshot that was read back; no problem means it is good."""

    kept: Kept
    problems: tuple[str, ...]


def read_list(config: Config, app: str | None = None) -> tuple[Listed, ...]:
    """Every snapshot of every Swarm, or those of one app (by name or recipe), oldest first."""
    found: list[Listed] = []
    last: dict[str, Manifest] = {}
    for kept in _all(config, app):
        manifest = kept.manifest
        said = warnings(manifest, last.get(kept.app)) if manifest else ()
        found.append(Listed(kept=kept, warnings=said))
        if manifest is not None and kept.good:
            last[kept.app] = manifest
    return tuple(found)


def verify_all(config: Config, wanted: str | None = None) -> tuple[tuple[Checked, ...], Exit]:
    """Read snapshots back, one or all; 13 where one is not good."""
    found = _all(config, None)
    if wanted is not None:
        found = tuple(kept for kept in found if kept.id == wanted)
        if not found:
            raise UsageError(
                f"there is no snapshot `{wanted}`", hint="`ccci-upgrade snapshot list` names all"
            )
    checked = tuple(Checked(kept=kept, problems=snapshots.verify(kept)) for kept in found)
    return checked, Exit.NOT_READY if any(each.problems for each in checked) else Exit.OK


def prune(config: Config, app: str | None, *, keep: int) -> tuple[Kept, ...]:
    """Remove what is older than the last `keep` of each app; gives what is gone."""
    needed = _needed(config)
    gone: list[Kept] = []
    for store in _stores(config):
        going = snapshots.to_remove(_of(store, app), keep=keep, needed=needed)
        for kept in going:
            store.remove(kept)
            gone.append(kept)
    return tuple(gone)


def drop(config: Config, wanted: str) -> Kept:
    """Remove one by its id; NotReadyError where it is the last good one, or an open run needs it."""
    found = [(store, kept) for store in _stores(config) for kept in store.listed() if kept.id == wanted]
    if not found:
        raise UsageError(f"there is no snapshot `{wanted}`", hint="`ccci-upgrade snapshot list` names all")
    store, kept = found[0]
    usable = [each for each in store.listed(kept.app) if each.usable]
    if usable[-1:] == [kept] or wanted in _needed(config):
        raise NotReadyError(
            f"the snapshot {wanted} is the last good one of {kept.app}, or an open run needs it; it stays",
            hint=f"take a newer one first: ccci-upgrade snapshot create {kept.app}",
            code="snapshot-needed",
        )
    store.remove(kept)
    return kept


def _needed(config: Config) -> frozenset[str]:
    """Snapshots that open runs refer to."""
    runs = read_all(config.state_dir).open
    return frozenset(id_ for run in runs for id_ in (run.snapshot, read_open(run).failed_state) if id_)


def _all(config: Config, app: str | None) -> tuple[Kept, ...]:
    found = [kept for store in _stores(config) for kept in _of(store, app)]
    return tuple(sorted(found, key=lambda kept: (kept.id, kept.app)))


def _of(store: Store, app: str | None) -> tuple[Kept, ...]:
    return tuple(
        kept
        for kept in store.listed()
        if app is None or kept.app == app or (kept.manifest is not None and kept.manifest.recipe == app)
    )


def _stores(config: Config) -> tuple[Store, ...]:
    return tuple(Store(config.state_dir, name) for name in snapshots.clusters(config.state_dir))
