"""Drift of what runs: images, settings, secrets, configs and volumes of one app, against its lock. Pure."""

from collections.abc import Iterator, Mapping

from ccci_upgrade.model.appnow import AppNow, Running, Shape, env_sha256
from ccci_upgrade.model.driftrow import Row, Side, Weight, deploy_again, majority, write_anew
from ccci_upgrade.model.lockfile import LockedApp

MOST = 5
"""Settings of one service that are named."""


def parts(lock: LockedApp, now: AppNow, running: Running) -> Iterator[Row]:
    """Images, specs and configs belong to their version: they are compared where that is the same."""
    if running.version == lock.version and not running.chaos:
        edited = now.app is not None and env_sha256(now.app.text, lock.version) != lock.env_sha256
        yield from _images(lock, running)
        yield from _shapes(lock, running, edited=edited)
        yield from _named(lock, now, "config", lock.configs, running.configs)
    yield from _named(lock, now, "secret", lock.secrets, running.secrets)
    yield from _volumes(lock, running)


def _images(lock: LockedApp, running: Running) -> Iterator[Row]:
    for service in sorted(lock.images.keys() | running.images.keys()):
        old, new = lock.images.get(service), running.images.get(service)
        what = f"image:{service}"
        if old is None or new is None or old.image != new.image:
            yield Row(
                app=lock.name,
                what=what,
                lock=old.image if old else None,
                running=new.image if new else None,
                wins=Side.LOCK,
                said=f"the label still says {lock.version}: the service was changed without abra",
                remedy=deploy_again(lock),
            )
        elif (old.digest, old.id) != (new.digest, new.id) and (new.digest or new.id):
            yield Row(
                app=lock.name,
                what=what,
                lock=old.digest or old.id or None,
                running=new.digest or new.id,
                weight=Weight.INFO,
                wins=Side.RUNNING,
                said=f"{new.image} is another image now than when the lock was written",
                remedy=write_anew(lock.name),
            )


def _shapes(lock: LockedApp, running: Running, *, edited: bool) -> Iterator[Row]:
    for service in sorted(lock.shapes.keys() & running.shapes.keys()):
        old, new = lock.shapes[service], running.shapes[service]
        if old == new.hash:
            continue
        why = (
            "and so did the `.env`: it may have been deployed with it"
            if edited
            else "and the `.env` did not: the service was changed without abra"
        )
        yield Row(
            app=lock.name,
            what=f"service:{service}",
            lock=old,
            running=new.hash,
            wins=Side.RUNNING if edited else Side.LOCK,
            said=f"its settings changed since the lock was written{_which(old, new)}, {why}",
            remedy=write_anew(lock.name) if edited else deploy_again(lock),
        )


def _which(old: str, new: Shape) -> str:
    """What changed, where the Engine still has the settings that the lock knows."""
    if new.previous != old or not new.changed:
        return ""
    more = f" and {len(new.changed) - MOST} more" if len(new.changed) > MOST else ""
    return f" ({', '.join(new.changed[:MOST])}{more})"


def _named(
    lock: LockedApp, now: AppNow, kind: str, old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[Row]:
    for name in sorted(old.keys() | new.keys()):
        was, runs = old.get(name), new.get(name)
        if was == runs:
            continue
        key = f"{kind}_{name}_version".upper()
        pinned = now.app.env.values.get(key) if now.app and kind == "secret" else None
        wins = majority(was, pinned, runs) if was is not None else Side.RUNNING
        yield Row(
            app=lock.name,
            what=f"{kind}:{name}",
            lock=was,
            env=pinned,
            running=runs,
            wins=wins,
            said=f"the {kind} that runs is not the lock's",
            remedy=write_anew(lock.name) if wins is Side.RUNNING else deploy_again(lock),
        )


def _volumes(lock: LockedApp, running: Running) -> Iterator[Row]:
    old, new = set(lock.volumes), set(running.volumes)
    for name in sorted(old ^ new):
        gone = name in old
        yield Row(
            app=lock.name,
            what=f"volume:{name}",
            lock=name if gone else None,
            running=None if gone else name,
            wins=Side.LOCK if gone else Side.RUNNING,
            said="no service mounts it any more: the app may run without its data"
            if gone
            else "a service mounts it, and the lock does not know it",
            remedy=f"docker volume inspect {name}" if gone else write_anew(lock.name),
        )
