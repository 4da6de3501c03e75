"""A stand-in for the backup bot behind `abra app backup`: it really copies the volumes of services marked for it.

Its repository is a folder in `$ABRA_DIR`. As with abra, a terminal is needed, and a bot must run in the Swarm.
"""

import json
import os
import secrets
import tarfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade import clock
from ccci_upgrade.practice.acts import Scene, hang
from ccci_upgrade.practice.apps import App, find
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.practice.engineclient import EngineClient, table

if TYPE_CHECKING:
    from ccci_upgrade.model.yamltree import Tree

REPOSITORY = "practice-backups"
"""In ABRA_DIR: one folder for each backup, with one tar for each volume and what is known of it."""

BOT = "coop-cloud.backupbot.enabled"
_MARKED = "backupbot.backup"
_KNOWN = "backup.json"


def create(scene: Scene) -> None:
    """`app backup create`: copy what is marked, and say so."""
    app, engine = _opened(scene)
    try:
        if scene.habits.fail_before:
            raise FatalError("unable to open the repository: wrong password")
        if scene.habits.backup_conflict:
            raise FatalError(
                f"Error response from daemon: container {secrets.token_hex(6)} is not running (409)"
            )
        time.sleep(scene.habits.delay_before)
        if scene.habits.hang:
            hang()
        if scene.habits.secret_leak:
            scene.console.plain(scene.habits.secret_leak)
        if not scene.habits.noop:
            _store(scene, app, engine)
        scene.console.info("backup finished")
    finally:
        engine.close()


def snapshots(scene: Scene) -> None:
    """`app backup snapshots`: what the repository has of the app, oldest first."""
    app, engine = _opened(scene)
    engine.close()
    rows = _rows(scene.abra_dir, app.domain)
    if scene.habits.backup_json:
        scene.console.plain(json.dumps([_for_programs(row) for row in rows]))
        return
    if not rows:
        scene.console.warn(f"No Snapshots found for app {app.domain}")
    for row in rows:
        scene.console.plain(f"{str(row['time']).partition('.')[0]} {row['id']} {row['version']}")


def _opened(scene: Scene) -> tuple[App, EngineClient]:
    """Find the app and its Engine with a bot. FatalError without one, or without a terminal."""
    if scene.habits.needs_terminal and not (os.isatty(0) and os.isatty(1)):
        raise FatalError("the input device is not a TTY")
    app = find(scene.abra_dir, scene.call.arguments[0])
    engine = EngineClient(server=app.server)
    services = engine.of_stack("/services")
    if not any(_labels(service).get(BOT) == "true" for service in services):
        engine.close()
        raise FatalError("no backupbot discovered, is it deployed?")
    return app, engine


def _store(scene: Scene, app: App, engine: EngineClient) -> None:
    """Write one backup, all at once."""
    root = scene.abra_dir / REPOSITORY
    name = secrets.token_hex(4)
    fresh = root / f".{name}"
    fresh.mkdir(parents=True)
    marked = [s for s in engine.of_stack("/services", app.stack) if _labels(s).get(_MARKED) == "true"]
    size = 0
    for service in marked if not scene.habits.backup_empty else []:
        for volume in _volumes(service):
            size += _copy(
                engine, app.stack, str(_container(service)["Image"]), volume, fresh / f"{volume}.tar"
            )
    version = app.env.pinned or "unknown"
    known = {"id": name, "time": clock.now().isoformat(), "app": app.domain, "version": version, "size": size}
    (fresh / _KNOWN).write_text(json.dumps(known))
    fresh.rename(root / name)


def _copy(engine: EngineClient, stack: str, image: str, volume: str, file: Path) -> int:
    """Copy one volume; gives the bytes of its files."""
    from ccci_upgrade.tools import volumes  # noqa: PLC0415 - start-up time is measured

    found = engine.engine()
    with volumes.carrier(found, stack=stack, image=image, volume=volume) as name, file.open("wb") as out:
        for piece in volumes.read(found, name, cancelled=lambda: False):
            out.write(piece)
    with tarfile.open(file) as archive:
        return sum(member.size for member in archive)


def _rows(abra_dir: Path, domain: str) -> "list[dict[str, Tree]]":
    """What is known of an app's backups, oldest first."""
    rows = [table(json.loads(path.read_text())) for path in (abra_dir / REPOSITORY).glob(f"*/{_KNOWN}")]
    return sorted((row for row in rows if row["app"] == domain), key=lambda row: str(row["time"]))


def _for_programs(row: "dict[str, Tree]") -> "dict[str, Tree]":
    """A row of `restic snapshots --json`; restic writes nanoseconds and its own zone."""
    taken = (datetime.fromisoformat(str(row["time"])) + timedelta(hours=2)).replace(tzinfo=None)
    return {
        "time": f"{taken.isoformat()}000+02:00",
        "id": f"{row['id']}{'0' * 56}",
        "short_id": row["id"],
        "tags": [f"{row['app']}:{row['version']}"],
        "summary": {"total_bytes_processed": row["size"]},
    }


def _labels(service: "dict[str, Tree]") -> "dict[str, Tree]":
    return table(table(service.get("Spec")).get("Labels"))


def _container(service: "dict[str, Tree]") -> "dict[str, Tree]":
    return table(table(table(service.get("Spec")).get("TaskTemplate")).get("ContainerSpec"))


def _volumes(service: "dict[str, Tree]") -> Iterator[str]:
    mounts = _container(service).get("Mounts")
    for mount in mounts if isinstance(mounts, list) else []:
        if table(mount).get("Type") == "volume":
            yield str(table(mount)["Source"])
