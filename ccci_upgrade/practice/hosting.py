"""Make a practice host in a folder, look at it, and take it away again."""

import contextlib
import fcntl
import http.client
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import LockedError, NotReadyError, UsageError
from ccci_upgrade.practice import engineroom
from ccci_upgrade.practice.world import repositories, writing
from ccci_upgrade.practice.world.place import MARK, OURS, PAGES, RECIPES, Mark, Place, app, find_place
from ccci_upgrade.process import run
from ccci_upgrade.text import decode
from ccci_upgrade.tools.engine import Json

GREEN_SECONDS = 30.0
_ABRA_SECONDS = 60.0
_POLL = 0.1

Say = Callable[[str], None]
"""Told what goes on, one line at a time."""


class Made(StrEnum):
    """What `make` found or did."""

    MADE = "made"
    RUNNING = "running"
    REMADE = "remade"


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """A practice host that is gone: whether its folder is, and what is left in it because it is not ours."""

    place: Place
    removed: bool
    kept: tuple[str, ...]


def make(place: Place, say: Say) -> tuple[Made, Mark]:
    """Make a practice host, or say that it runs. Where its Engine is gone it is made anew.

    UsageError for a folder that is something else; nothing is touched then. Whatever ends it half-way, nothing
    is left behind.
    """
    repositories.git(Path("/"), "--version")  # said before anything is made
    with _told(place):
        return _make_or_find(place, say)


def _make_or_find(place: Place, say: Say) -> tuple[Made, Mark]:
    mark = _mark_of(place)
    first = _first_new(place.root)
    place.root.mkdir(parents=True, exist_ok=True)
    with _alone(place):
        if mark is not None and engineroom.running(mark):
            return Made.RUNNING, mark
        if mark is not None:
            say(f"the engine of {place.root} is gone: making all anew, its apps and their history are lost")
            _clear(place)
        try:
            made = _make(place, say)
        except BaseException:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # pressed again, it would leave a half behind
            with contextlib.suppress(NotReadyError, OSError):
                _clear(place)
            _remove_empty(place.root, first)
            raise
    return (Made.MADE if mark is None else Made.REMADE), made


def opened(folder: Path | None) -> tuple[Place, Mark]:
    """A practice host that is there and runs, for what acts on it. UsageError where it is not."""
    place = find_place(folder)
    mark = place.mark()
    if mark is None:
        raise UsageError(
            f"there is no practice host in `{place.root}`",
            hint="`ccci-upgrade practice` makes one; --folder names another folder",
        )
    return place, mark


def running(folder: Path | None) -> tuple[Place, Mark]:
    """Like `opened`; NotReadyError where its Engine is gone."""
    place, mark = opened(folder)
    if not engineroom.running(mark):
        raise NotReadyError(
            f"the engine of the practice host in `{place.root}` is gone",
            hint="`ccci-upgrade practice` makes it anew, `ccci-upgrade practice stop` removes it",
            code="engine",
        )
    return place, mark


def remove(place: Place) -> Stopped:
    """End the Engine, remove all that is ours, and the folder where nothing else is in it."""
    with _told(place), _alone(place):
        _clear(place)
    kept = tuple(sorted(path.name for path in place.root.iterdir()))
    if not kept:
        with contextlib.suppress(OSError):
            place.root.rmdir()
    return Stopped(place=place, removed=not place.root.exists(), kept=kept)


def abra(place: Place, *words: str) -> str:
    """Run the stand-in; NotReadyError with its last words where it fails."""
    done = run([str(place.abra), *words], seconds=_ABRA_SECONDS, cwd=Path("/"))
    if done.code != 0:
        said = decode(done.out + done.err).strip().splitlines() or ["it said nothing"]
        raise NotReadyError(f"abra {' '.join(words)}: {said[-1]}", code="engine")
    return decode(done.out)


def answers(mark: Mark, recipe: str) -> bool:
    """Whether an app's page is there, asked through traefik."""
    connection = http.client.HTTPConnection("127.0.0.1", mark.port, timeout=2.0)
    try:
        connection.request("GET", PAGES[recipe], headers={"Host": app(recipe)})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def _told(place: Place) -> Iterator[None]:
    """Make one sentence of whatever the disk says no to."""
    try:
        yield
    except OSError as error:
        raise NotReadyError(
            f"cannot work in `{place.root}`: {error.filename or ''}: {error.strerror or error}",
            hint="name another folder with --folder",
        ) from error


@contextlib.contextmanager
def _alone(place: Place) -> Iterator[None]:
    """Hold the folder while it is made or removed. LockedError where another one does."""
    handle = os.open(place.root, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise LockedError(
            f"another `ccci-upgrade practice` is at work in `{place.root}`", hint="wait for it"
        ) from error
    finally:
        os.close(handle)


def _clear(place: Place) -> None:
    """End the Engine and remove every name that is ours."""
    mark = place.mark()
    if mark is not None:
        engineroom.stop(mark)
        writing.sweep(mark.private)
    for name in OURS:
        path = place.root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _make(place: Place, say: Say) -> Mark:
    mark = writing.new_mark(place)
    place.write_mark(mark)
    say("recipes, apps and abra")
    writing.fill(place, mark)
    say("engine")
    mark = replace(mark, pid=engineroom.start(place, mark))
    place.write_mark(mark)
    engineroom.ask(
        mark, "POST", "/networks/create", {"Name": "proxy", "Driver": "overlay", "Attachable": True}
    )
    for recipe in RECIPES:
        say(f"deploy {app(recipe)}")
        abra(place, "app", "secret", "generate", app(recipe), "--all", "--no-input")
        abra(place, "app", "deploy", app(recipe), "--no-input", "--no-converge-checks")
    say("wait until all three answer")
    _wait_until_green(mark)
    return mark


def _wait_until_green(mark: Mark) -> None:
    deadline = clock.ticks() + GREEN_SECONDS
    while missing := [recipe for recipe in RECIPES if not (full(mark, recipe) and answers(mark, recipe))]:
        if clock.ticks() > deadline:
            raise NotReadyError(
                f"{', '.join(missing)} did not come up within {GREEN_SECONDS:g} s", code="engine"
            )
        clock.sleep(_POLL)


def full(mark: Mark, recipe: str) -> bool:
    """Whether every service of an app runs the replicas it wants."""
    listed = engineroom.ask(mark, "GET", "/services?status=true")
    rows = [row for row in listed if isinstance(row, dict)] if isinstance(listed, list) else []
    states = [_status(row) for row in rows if _name(row).startswith(app(recipe).replace(".", "_"))]
    return bool(states) and all(wanted and wanted == there for wanted, there in states)


def _name(row: dict[str, Json]) -> str:
    spec = row.get("Spec")
    return str(spec.get("Name")) if isinstance(spec, dict) else ""


def _status(row: dict[str, Json]) -> tuple[object, object]:
    status = row.get("ServiceStatus")
    return (status.get("DesiredTasks"), status.get("RunningTasks")) if isinstance(status, dict) else (0, 0)


def _mark_of(place: Place) -> Mark | None:
    """The mark of a host; None for a folder that may become one. UsageError for anything else."""
    if not place.root.exists():
        return None
    if not place.root.is_dir():
        raise UsageError(f"`{place.root}` is no folder", hint="name another with --folder")
    if (place.root / MARK).exists():
        return place.mark()
    if any(place.root.iterdir()):
        raise UsageError(
            f"`{place.root}` is not empty and no practice host; nothing was touched",
            hint="name a new folder: ccci-upgrade practice --folder FOLDER",
        )
    return None


def _first_new(root: Path) -> Path | None:
    """The topmost folder that has to be made; None where the folder is there."""
    missing = [path for path in (root, *root.parents) if not path.exists()]
    return missing[-1] if missing else None


def _remove_empty(root: Path, first: Path | None) -> None:
    """Remove the folders that were made on the way, from below."""
    if first is None:
        return
    for path in (root, *root.parents):
        with contextlib.suppress(OSError):
            path.rmdir()
        if path == first:
            return
