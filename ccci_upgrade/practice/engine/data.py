"""What an app keeps in its volume: who it is, which version wrote it, which migrations were made."""

import base64
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ccci_upgrade.practice.engine.things import Container
from ccci_upgrade.practice.engine.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """How it went, and what the app prints about it."""

    good: bool
    lines: list[str]


def open_data(container: Container, world: World) -> Opened:
    """Make the data, or migrate it; data of a newer version is refused."""
    folder = place(container, world, container.env["DATA_DIR"])
    version = container.version
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "kid").exists():
            kid = base64.urlsafe_b64encode(os.urandom(9)).decode()
            (folder / "kid").write_text(f"{kid}\n")
        was = _read(folder / "version") or version
        if _numbers(was) > _numbers(version):
            return Opened(good=False, lines=[f"fatal: the data was written by {was}, this is {version}"])
        lines = [] if was == version else [f"migrated from {was} to {version}"]
        if lines:
            with (folder / "migrations").open("a") as log:
                log.write(f"{lines[0]}\n")
        (folder / "version").write_text(f"{version}\n")
    except OSError as error:
        return Opened(good=False, lines=[f"fatal: cannot use the data: {error.strerror}"])
    return Opened(good=True, lines=lines)


def kid(container: Container, world: World) -> str:
    """The key id an app made once for its data; "" where there is none."""
    at = container.env.get("DATA_DIR")
    return _read(place(container, world, at) / "kid") if at else ""


def place(container: Container, world: World, path: str) -> Path:
    """Where a path inside a container is on this machine: in a volume, else in a folder of its own."""
    inside = PurePosixPath("/") / path
    parts = [part for part in inside.parts[1:] if part not in {"", ".", ".."}]
    best = max(
        (mount for mount in container.mounts if _covers(mount.target, parts)),
        key=lambda mount: len(mount.target),
        default=None,
    )
    if best is None or best.kind != "volume":
        return world.folder.joinpath("roots", container.id, *parts)
    depth = len([part for part in best.target.split("/") if part])
    return world.folder.joinpath("volumes", best.source, *parts[depth:])


def _covers(target: str, parts: list[str]) -> bool:
    head = [part for part in target.split("/") if part]
    return parts[: len(head)] == head


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""


def _numbers(version: str) -> tuple[int, int]:
    found = [int(each) for each in re.findall("[0-9]{1,9}", version)[:2]]
    major, minor = [*found, 0, 0][:2]
    return major, minor
