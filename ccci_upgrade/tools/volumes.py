"""Volumes read out through the Engine's archive API: no image but the app's own, no root, the same over ssh."""

import contextlib
import secrets
from collections.abc import Callable, Iterator

from ccci_upgrade.errors import CcciError, EngineError
from ccci_upgrade.tools.engine import Engine, Json

MARK = "ccci-upgrade.carrier"
"""The label of every container made here; its value is the stack."""

WHERE = "/__v"
"""Where the volume is mounted: a path that no image has, else the image's own files would fill an empty volume."""

SILENCE = 60.0
"""Seconds an Engine may take for the next piece of an archive."""

USAGE_SECONDS = 120.0
"""Seconds it may take to add up sizes."""


@contextlib.contextmanager
def carrier(engine: Engine, *, stack: str, image: str, volume: str) -> Iterator[str]:
    """A container with the volume that is never started; removed in any case, with its nameless volumes."""
    mount: dict[str, Json] = {
        "Type": "volume",
        "Source": volume,
        "Target": WHERE,
        "ReadOnly": True,
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
        raise EngineError(f"no container of {image} can be made to read {volume}: {answer.message}")
    try:
        yield name
    finally:
        with contextlib.suppress(CcciError):
            _remove(engine, name)


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


def sizes(engine: Engine) -> dict[str, int]:
    """The bytes that the Engine says are in each volume, by apparent size; those it cannot tell are absent."""
    try:
        answer = engine.get("/system/df", seconds=USAGE_SECONDS)
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


def _remove(engine: Engine, name: str) -> None:
    engine.ask("DELETE", f"/containers/{name}", {"v": "1", "force": "1"})
