"""Volumes through the Engine's archive API: no image but the app's own, no root, the same over ssh."""

import contextlib
import http
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, EngineError, NotReadyError, VolumeGoneError
from ccci_upgrade.model.snapshotscope import in_memory, strange
from ccci_upgrade.model.swarm import Volume
from ccci_upgrade.model.tardigest import ContentDigest, content_digest
from ccci_upgrade.model.tarwalk import TarError
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools.engine import Engine, Json

MARK = "ccci-upgrade.carrier"
"""The label of every container made here; its value is the stack."""

WHERE = "/__v"
"""Where the volume is mounted: a path that no image has, else the image's own files would fill an empty volume."""

SILENCE = 60.0
"""Seconds an Engine may take for the next piece of an archive."""

USAGE_SECONDS = 120.0
"""Seconds it may take to add up sizes."""


REMOVE_SECONDS = 300.0
"""Seconds it may take to remove a container or a volume with all its files."""

HELD_SECONDS = 30.0
"""Seconds that containers on their way out may go on holding a volume."""

_TASK = "com.docker.swarm.task.id"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


@contextlib.contextmanager
def carrier(engine: Engine, *, stack: str, image: str, volume: str, writable: bool = False) -> Iterator[str]:
    """A container with the volume that is never started; removed in any case, with its nameless volumes."""
    mount: dict[str, Json] = {
        "Type": "volume",
        "Source": volume,
        "Target": WHERE,
        "ReadOnly": not writable,
        "VolumeOptions": {"NoCopy": True},
    }
    body: dict[str, Json] = {
        "Image": image,
        "Cmd": ["never-started"],  # an image without a command of its own would be refused
        "Labels": {MARK: stack},
        "HostConfig": {"Mounts": [mount], "NetworkMode": "none"},
    }
    name = f"ccci-upgrade-{secrets.token_hex(6)}"
    answer = engine.ask("POST", "/containers/create", {"name": name}, body=body)
    if answer.status != 201:  # noqa: PLR2004 - HTTP Created
        raise EngineError(f"no container of {image} can be made with {volume}: {answer.message}")
    try:
        yield name
    finally:
        with contextlib.suppress(CcciError):
            _remove(engine, name)


def must_be_there(engine: Engine, volume: str) -> None:
    """VolumeGoneError where there is no such volume: for a carrier the Engine would make an empty one."""
    if engine.find(f"/volumes/{volume}") is None:
        raise VolumeGoneError(
            f"the volume {tame_line(volume)} is gone",
            hint="find out who removed it; its data is in the last snapshot, or in a backup of your own",
        )


def remove_left(engine: Engine, *, stack: str) -> None:
    """Remove carriers that a killed run left behind."""
    query: dict[str, Json] = {"all": "true", "filters": {"label": [f"{MARK}={stack}"]}}
    found = engine.get("/containers/json", query)
    for each in found if isinstance(found, list) else []:
        name = each.get("Id") if isinstance(each, dict) else None
        if isinstance(name, str) and name.isalnum():
            _remove(engine, name)


def read(engine: Engine, name: str, *, cancelled: Callable[[], bool]) -> Iterator[bytes]:
    """The volume as tar, its folder itself first, with its owner and mode (`/__v/.` would lose them)."""
    path = f"/containers/{name}/archive"
    return engine.stream(path, {"path": WHERE}, seconds=SILENCE, cancelled=cancelled)


def write(engine: Engine, name: str, pieces: Iterable[bytes], *, cancelled: Callable[[], bool]) -> None:
    """Unpack an archive that `read` gave into a writable carrier's volume.

    It goes to `/`, for the archive's folder is the volume itself, with its owner, mode and time. What is there
    already stays: only into a new volume this makes what was read.
    """
    engine.put(f"/containers/{name}/archive", {"path": "/"}, pieces, seconds=SILENCE, cancelled=cancelled)


def replace(
    engine: Engine,
    *,
    stack: str,
    image: str,
    name: str,
    driver: str,
    options: Mapping[str, str],
    labels: Mapping[str, str],
    pieces: Iterable[bytes],
    cancelled: Callable[[], bool],
) -> str:
    """Make a volume anew and put an archive in: afterwards it holds that and nothing else.

    Gives the archive's `content_digest`, for `same`: the Engine leaves out what its file system cannot hold, and
    says nothing.

    Where it did not end, for whatever reason, the volume is gone or holds a part; called again with the whole
    archive it ends the same as if nothing had happened. NotReadyError before anything is touched: `volume-in-use`
    where a container runs with it or is not ours to remove, `volume-kind` where it is no plain volume. Stop the app
    first; Swarm makes a missing volume for the first task that wants it.
    """
    if not _NAME.fullmatch(name):
        raise NotReadyError(f"`{tame_line(name)}` cannot be a volume's name", code="volume-name")
    _only_plain(engine, name, driver, options)
    _delete(engine, name, cancelled)
    body: dict[str, Json] = {
        "Name": name,
        "Driver": driver,
        "DriverOpts": dict(options),
        "Labels": dict(labels),
    }
    answer = engine.ask("POST", "/volumes/create", body=body)
    if answer.status != 201:  # noqa: PLR2004 - HTTP Created
        raise EngineError(f"the volume {name} cannot be made anew: {answer.message}")
    digest = ContentDigest()
    with carrier(engine, stack=stack, image=image, volume=name, writable=True) as container:
        write(engine, container, _digested(pieces, digest, name), cancelled=cancelled)
    if users(engine, name):
        raise _in_use(name, "a container was started with it meanwhile")
    return digest.finish()


def same(
    engine: Engine, *, stack: str, image: str, name: str, digest: str, cancelled: Callable[[], bool]
) -> bool:
    """Whether a volume's content is what `replace` put in: it is read back in full."""
    with carrier(engine, stack=stack, image=image, volume=name) as container:
        try:
            return content_digest(read(engine, container, cancelled=cancelled)) == digest
        except TarError as error:
            raise EngineError(f"the Engine's archive of {name} is not whole: {error}") from error


def against(engine: Engine, name: str) -> tuple[str, ...]:
    """What would refuse `replace` now: containers that run with the volume, and ended ones that are somebody's."""
    return tuple(why for each in _containers(engine, name) if (why := _why_not(each)))


def sizes(engine: Engine, *, seconds: float = USAGE_SECONDS) -> dict[str, int]:
    """The bytes that the Engine says are in each volume, by apparent size; those it cannot tell are absent."""
    try:
        answer = engine.get("/system/df", seconds=seconds)
    except EngineError:
        return {}
    listed = answer.get("Volumes") if isinstance(answer, dict) else None
    found: dict[str, int] = {}
    for each in listed if isinstance(listed, list) else []:
        usage = each.get("UsageData") if isinstance(each, dict) else None
        size = usage.get("Size") if isinstance(usage, dict) else None
        name = each.get("Name") if isinstance(each, dict) else None
        if isinstance(name, str) and isinstance(size, int) and size >= 0:
            found[name] = size
    return found


def users(engine: Engine, volume: str) -> int:
    """How many containers run that mount it."""
    found = engine.get("/containers/json", {"filters": {"volume": [volume]}})
    return len(found) if isinstance(found, list) else 0


def image_id(engine: Engine, image: str) -> str:
    """The local id of an image; empty where it is not here."""
    found = engine.find(f"/images/{image}/json")
    value = found.get("Id") if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def _digested(pieces: Iterable[bytes], digest: ContentDigest, name: str) -> Iterator[bytes]:
    """Look at each piece before the Engine gets it, and at the end before it is told that this was all."""
    try:
        for piece in pieces:
            digest.feed(piece)
            yield piece
        digest.finish()
    except TarError as error:
        raise NotReadyError(
            f"the archive for the volume {name} is damaged: {error}",
            hint="`ccci-upgrade snapshot verify` tells which snapshots are good",
            code="snapshot-damaged",
        ) from error


_LIVE = frozenset({"running", "paused", "restarting"})


def _containers(engine: Engine, volume: str) -> list[dict[str, Json]]:
    """All containers that mount a volume, whatever their state."""
    query: dict[str, Json] = {"all": "true", "filters": {"volume": [volume]}}
    found = engine.get("/containers/json", query)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _why_not(container: dict[str, Json]) -> str:
    """Why a container is not removed; empty for ended tasks and for our own carriers."""
    state, labels = container.get("State"), container.get("Labels")
    short = tame_line(str(container.get("Id")))[:12]
    if state in _LIVE:
        return f"container {short} is {state}"
    if isinstance(labels, dict) and {_TASK, MARK} & labels.keys():
        return ""
    return f"container {short} is no task of a service (`docker rm {short}` removes it)"


def _only_plain(engine: Engine, name: str, driver: str, options: Mapping[str, str]) -> None:
    """Refuse what lives elsewhere, as it was and as it is now: deleting such a volume leaves its data there."""
    found = engine.find(f"/volumes/{name}")
    now = found if isinstance(found, dict) else {}
    said = now.get("Options")
    for each, how in (
        (driver, options),
        (str(now.get("Driver") or driver), said if isinstance(said, dict) else {}),
    ):
        texts = {key: str(value) for key, value in how.items()}
        volume = Volume(name=name, driver=each, created=None, labels={}, options=texts)
        why = strange(volume) or ("is kept in memory" if in_memory(volume) else "")
        if why:
            raise NotReadyError(
                f"the volume {name} {why}", hint="restore it by its own means", code="volume-kind"
            )


def _delete(engine: Engine, name: str, cancelled: Callable[[], bool]) -> None:
    """Delete a volume and the ended containers that hold it."""
    deadline = clock.ticks() + HELD_SECONDS
    while True:
        if cancelled():
            raise EngineError(f"replacing the volume {name} was cancelled", code="engine-cancelled")
        found = _containers(engine, name)
        if refused := [why for each in found if (why := _why_not(each))]:
            raise _in_use(name, "; ".join(refused))
        for each in found:
            identity = each.get("Id")
            if isinstance(identity, str) and identity.isalnum():
                engine.ask("DELETE", f"/containers/{identity}", {"v": "1"}, seconds=REMOVE_SECONDS)
        answer = engine.ask("DELETE", f"/volumes/{name}", seconds=REMOVE_SECONDS)
        if answer.status in _GONE:
            return
        if answer.status != http.HTTPStatus.CONFLICT or clock.ticks() >= deadline:
            raise EngineError(f"the volume {name} cannot be removed: {answer.message}")
        clock.sleep(0.2)


_GONE = frozenset({http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_FOUND})


def _in_use(name: str, why: str) -> NotReadyError:
    return NotReadyError(
        f"the volume {name} is in use: {why}", hint="stop what uses it, then try again", code="volume-in-use"
    )


def _remove(engine: Engine, name: str) -> None:
    engine.ask("DELETE", f"/containers/{name}", {"v": "1", "force": "1"})
