"""Files of a container as tar: volumes are real folders, everything else is a small root of its own.

As in the Engine: `GET /__v` keeps the folder's own entry under its name, `GET /__v/.` has its content only;
`PUT` merges; an entry for a volume's folder sets that folder's mode.
"""

import base64
import contextlib
import io
import json
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ccci_upgrade.practice.engine.api_containers import named
from ccci_upgrade.practice.engine.data import place
from ccci_upgrade.practice.engine.routes import Host, Route
from ccci_upgrade.practice.engine.things import Container
from ccci_upgrade.practice.engine.wire import Answer, Request
from ccci_upgrade.practice.engine.world import RefusedError

PIECE = 256 * 1024
GO_DIRECTORY = 1 << 31
"""Go's bit for a folder in a file mode."""


def head(host: Host, request: Request, name: str) -> Answer:
    """Say what is at a path."""
    container = named(host, name)
    found = _found(host, container, request)
    return Answer(headers={"X-Docker-Container-Path-Stat": _stat(found, request)})


def get(host: Host, request: Request, name: str) -> Answer:
    """Give what is at a path as tar."""
    container = named(host, name)
    found = _found(host, container, request)
    path = request.query.get("path", "")
    top = "." if path.endswith("/.") else PurePosixPath("/", path).name or "."
    return Answer(
        stream=_packed(found, top),
        kind="application/x-tar",
        headers={"X-Docker-Container-Path-Stat": _stat(found, request)},
    )


def put(host: Host, request: Request, name: str) -> Answer:
    """Unpack a tar into a folder that is there."""
    container = named(host, name)
    folder = _found(host, container, request)
    if not folder.is_dir():
        raise RefusedError(400, "extraction point is not a directory")
    base = PurePosixPath("/", request.query.get("path", "/"))
    try:
        with tarfile.open(fileobj=io.BytesIO(request.body), mode="r:*") as tar:
            _unpack(host, container, base, tar)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise RefusedError(400, f"cannot read the archive: {error}") from error
    except OSError as error:
        raise RefusedError(500, f"cannot write: {error.strerror or error}") from error
    return Answer(kind="text/plain")


def _found(host: Host, container: Container, request: Request) -> Path:
    path = request.query.get("path", "")
    if not path:
        raise RefusedError(400, "missing path")
    for mount in container.mounts:
        if mount.kind == "volume" and mount.source in host.world.volumes:
            place(container, host.world, mount.target).mkdir(parents=True, exist_ok=True)
    found = place(container, host.world, path)
    if PurePosixPath("/", path) == PurePosixPath("/"):
        found.mkdir(parents=True, exist_ok=True)
    if not os.path.lexists(found):
        raise RefusedError(404, f"Could not find the file {path} in container {container.id}")
    return found


def _stat(path: Path, request: Request) -> str:
    found = path.lstat()
    mode = found.st_mode & 0o7777 | (GO_DIRECTORY if path.is_dir() else 0)
    link = str(path.readlink()) if path.is_symlink() else ""
    name = PurePosixPath("/", request.query.get("path", "")).name or "/"
    said = {"name": name, "size": found.st_size, "mode": mode, "linkTarget": link}
    said["mtime"] = f"{_moment(found.st_mtime)}Z"
    return base64.b64encode(json.dumps(said).encode()).decode()


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def _packed(path: Path, top: str) -> Iterator[bytes]:
    """A tar in pieces; files come one after another, so that no large volume is held in memory."""
    sink = _Sink()
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT, bufsize=PIECE) as tar:
        for each, name in _walk(path, top):
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                tar.add(each, arcname=name, recursive=False, filter=_whole_seconds)
            yield from sink.take()
    yield from sink.take()


def _whole_seconds(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = int(member.mtime)
    return member


def _walk(path: Path, name: str) -> Iterator[tuple[Path, str]]:
    yield path, name
    if path.is_dir() and not path.is_symlink():
        for each in sorted(path.iterdir()):
            yield from _walk(each, f"{name}/{each.name}")


class _Sink(io.RawIOBase):
    """Takes what tarfile writes, to be sent on."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else b""
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> Iterator[bytes]:
        pieces, self._pieces = self._pieces, []
        yield from (piece for piece in pieces if piece)


def _unpack(host: Host, container: Container, base: PurePosixPath, tar: tarfile.TarFile) -> None:
    folders: list[tuple[tarfile.TarInfo, Path]] = []
    for member in tar:
        target = place(container, host.world, str(base / member.name.lstrip("/")))
        root = place(container, host.world, str(base))
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            folders.append((member, target))
        elif member.isfile() or member.issym() or member.islnk():
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target) and not target.is_dir():
                target.unlink()
            first = place(container, host.world, str(base / member.linkname.lstrip("/")))
            _write(tar, member, target, root, first)
    for member, folder in reversed(folders):
        _own(member, folder)
    if tar.fileobj is not None:  # tarfile passes a header that is none for the end
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise RefusedError(
                500, "Error processing tar file(exit status 1): archive/tar: invalid tar header"
            )


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path, root: Path, first: Path) -> None:
    """Write a file, a link, or another name of the file `first`."""
    home = _home(target, root).resolve()
    near = (target, first) if member.islnk() else (target,)
    if not all(each.parent.resolve().is_relative_to(home) for each in near):
        raise RefusedError(400, f"{member.name} leads out of the container")
    if member.issym():
        target.symlink_to(member.linkname)
        _own(member, target)
        return
    if member.islnk():
        target.hardlink_to(first)
        _own(member, target)
        return
    source = tar.extractfile(member)
    if source is None:
        return
    with source, target.open("wb") as into:
        while piece := source.read(PIECE):
            into.write(piece)
    _own(member, target)


def _home(target: Path, root: Path) -> Path:
    """The folder a target must stay in: the volume's, or the container's own root."""
    for parent in target.parents:
        if parent.parent.name in {"volumes", "roots"}:
            return parent
    return root


def _own(member: tarfile.TarInfo, path: Path) -> None:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.lchown(path, member.uid, member.gid)
    if not member.issym():
        path.chmod(member.mode & 0o7777)
    os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)


ROUTES = [
    Route(method="HEAD", path="/containers/{id}/archive", answer=head),
    Route(method="GET", path="/containers/{id}/archive", answer=get),
    Route(method="PUT", path="/containers/{id}/archive", answer=put),
]
