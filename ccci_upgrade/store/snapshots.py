"""Snapshots on disk: written beside, fsynced, renamed; read back in full before they are believed.

    state_dir/<cluster id>/snapshots/<app>/<snapshot id>/{manifest.json,<n>.tar.gz,secrets.age,verified}
    state_dir/<cluster id>/snapshots/<app>/.<snapshot id>.partial/     while it is written

Folders are 0700, files 0600. The file `verified` says that the whole was read back once and was good.
"""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.keptsecrets import FILE, KeptSecrets, SecretsFile
from ccci_upgrade.model.snapshot import (
    ROOT,
    Kind,
    Manifest,
    ManifestError,
    VolumeCopy,
    from_json,
    is_app,
    is_id,
    to_json,
)
from ccci_upgrade.model.tarwalk import TarError, TarWalk
from ccci_upgrade.store import files
from ccci_upgrade.text import decode

LEVEL = 1
"""Of gzip; measured in docs/decisions.md: higher levels cost far more time of downtime than they save in bytes."""

PIECE = 256 * 1024
MANIFEST_LIMIT = 4 * 1024 * 1024
RESERVE = 64 * 1024 * 1024
"""Bytes that must stay free beside a snapshot: the journal has to be written too."""

_PARTIAL = ".partial"
_MANIFEST = "manifest.json"
_VERIFIED = "verified"
_SPOILED = "spoiled"
SPOILED_LIMIT = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """One archive as it was written: its own checksum and length, and what is in it."""

    file: str
    sha256: str
    compressed: int
    size: int
    entries: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One snapshot that is there; `problem` says why it cannot be used, then there may be no manifest.

    `spoiled` says why nobody should go back to it though it is whole.
    """

    id: str
    app: str
    folder: Path
    manifest: Manifest | None
    verified: bool
    problem: str = ""
    spoiled: str = ""

    @property
    def good(self) -> bool:
        """Whether it was read back once, and its files still have their lengths."""
        return self.manifest is not None and self.verified and not self.problem

    @property
    def usable(self) -> bool:
        """Whether a rollback may choose it by itself: good, taken to go back to, and not spoiled since."""
        kind = self.manifest.kind if self.manifest else None
        return self.good and kind is Kind.SNAPSHOT and not self.spoiled


class Store:
    """The snapshots of one Swarm."""

    def __init__(self, state_dir: Path, cluster: str) -> None:
        """Name the place; nothing is written yet."""
        self.folder = state_dir / cluster / "snapshots"

    def free(self) -> int:
        """Bytes that are free where snapshots go."""
        place = self.folder
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            found = os.statvfs(place)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return found.f_bavail * found.f_frsize

    def begin(self, app: str, snapshot: str) -> "Writing":
        """Make the folder a snapshot is written in; what an earlier try left of this app is removed."""
        if not is_app(app) or not is_id(snapshot):
            raise NotReadyError(f"`{app}` cannot be a folder's name", code="snapshot-store")
        place = self.folder / app
        try:
            for folder in (self.folder.parent, self.folder, place):
                files.make_private(folder)
            for left in place.glob(f".*{_PARTIAL}"):
                shutil.rmtree(left)
            partial = place / f".{snapshot}{_PARTIAL}"
            partial.mkdir(mode=0o700)
        except OSError as error:
            raise _unwritable(place, error) from error
        return Writing(partial, place / snapshot)

    def listed(self, app: str | None = None) -> tuple[Kept, ...]:
        """All snapshots, or those of one app, oldest first. One that is damaged is there with its problem."""
        try:
            apps = [app] if app else sorted(each.name for each in self.folder.iterdir() if is_app(each.name))
        except OSError:
            apps = []
        found = []
        for name in apps:
            with contextlib.suppress(OSError):
                folders = sorted(each for each in (self.folder / name).iterdir() if is_id(each.name))
                found += [_kept(folder, name) for folder in folders]
        return tuple(sorted(found, key=lambda kept: (kept.id, kept.app)))

    def find(self, snapshot: str) -> Kept | None:
        """The one of that id."""
        return next((kept for kept in self.listed() if kept.id == snapshot), None)

    def spoil(self, kept: Kept, why: str) -> None:
        """Mark one that is whole and must not be gone back to: somebody changed the app behind it."""
        try:
            files.replace(kept.folder / _SPOILED, why.encode(errors="backslashreplace")[:SPOILED_LIMIT])
        except OSError as error:
            raise _unwritable(kept.folder, error) from error

    def remove(self, kept: Kept) -> None:
        """Take one away: first out of the list, then its bytes."""
        away = kept.folder.with_name(f".{kept.id}{_PARTIAL}")
        try:
            kept.folder.rename(away)
            files.sync_folder(away.parent)
            shutil.rmtree(away)
        except OSError as error:
            raise _unwritable(kept.folder, error) from error


class Writing:
    """A snapshot that is being written."""

    def __init__(self, partial: Path, final: Path) -> None:
        """Write into `partial`; `seal` makes it `final`."""
        self.partial = partial
        self.final = final

    def archive(self, number: int, pieces: Iterable[bytes]) -> Written:
        """Write one volume's archive, compressed as it comes; memory stays that of a few pieces."""
        path = self.partial / f"{number}.tar.gz"
        walk, squeeze, digest = TarWalk(ROOT), zlib.compressobj(LEVEL, wbits=31), hashlib.sha256()
        length = 0
        try:
            with os.fdopen(_private(path), "wb") as file:
                for data in _squeezed(pieces, walk, squeeze):
                    digest.update(data)
                    length += len(data)
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            walk.finish()
        except OSError as error:
            raise _unwritable(path, error) from error
        except TarError as error:
            raise NotReadyError(
                f"the Engine's archive is not whole: {error}", hint="try again", code="snapshot-archive"
            ) from error
        return Written(
            file=path.name, sha256=digest.hexdigest(), compressed=length, size=walk.size, entries=walk.entries
        )

    def secrets(self, kept: KeptSecrets, data: bytes, recipients: tuple[str, ...]) -> SecretsFile:
        """Put in the app's secrets, encrypted already; gives what the manifest must say of them."""
        path = self.partial / FILE
        try:
            files.replace(path, data)
        except OSError as error:
            raise _unwritable(path, error) from error
        return SecretsFile(
            file=FILE,
            sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            names=tuple(each.swarm_name for each in kept.secrets),
            unread=kept.unread,
            recipients=recipients,
        )

    def seal(self, manifest: Manifest) -> Manifest:
        """Put the manifest in and give the whole its name; from then on it is listed. Gives the manifest."""
        text = json.dumps(to_json(manifest), indent=2, ensure_ascii=True)
        try:
            files.replace(self.partial / _MANIFEST, text.encode() + b"\n")
            files.sync_folder(self.partial)
            self.partial.rename(self.final)
            files.sync_folder(self.final.parent)
        except OSError as error:
            raise _unwritable(self.final, error) from error
        return manifest

    def drop(self) -> None:
        """Remove what was written, where it was not sealed."""
        shutil.rmtree(self.partial, ignore_errors=True)


def clusters(state_dir: Path) -> tuple[str, ...]:
    """The Swarms that have snapshots here."""
    try:
        return tuple(sorted(path.parent.name for path in state_dir.glob("*/snapshots")))
    except OSError:
        return ()


def verify(kept: Kept) -> tuple[str, ...]:
    """Read everything back: lengths, checksums, the archives' structure and counts. Gives what is wrong.

    A good one is marked as such; the mark of a bad one is taken away.
    """
    if kept.manifest is None:
        return (kept.problem,)
    problems = tuple(problem for volume in kept.manifest.volumes for problem in _checked(kept.folder, volume))
    if kept.manifest.secrets is not None:
        problems += tuple(_read_secrets(kept.folder, kept.manifest.secrets)[1])
    mark = kept.folder / _VERIFIED
    try:
        if problems:
            mark.unlink(missing_ok=True)
        elif not mark.exists():
            files.replace(mark, b"")
    except OSError as error:
        raise _unwritable(mark, error) from error
    return problems


def read_secrets(kept: Kept) -> bytes:
    """The encrypted secrets of a snapshot, as they were written; NotReadyError where there are none, or others."""
    about = kept.manifest.secrets if kept.manifest else None
    if about is None:
        raise NotReadyError(
            f"the snapshot {kept.id} holds no secrets",
            hint=kept.problem or "they were not kept when it was taken",
            code="no-secrets",
        )
    data, problems = _read_secrets(kept.folder, about)
    if problems:
        raise NotReadyError(
            f"the secrets of snapshot {kept.id} cannot be used: {'; '.join(problems)}",
            code="snapshot-damaged",
        )
    return data


def opened(kept: Kept, volume: VolumeCopy) -> Iterator[bytes]:
    """One volume's archive, uncompressed, in pieces; memory stays that of one.

    The checksum is known at the end only: NotReadyError `snapshot-damaged` there at the latest, so that whoever takes
    the pieces must not believe them before the last one came. `verify` first, where that matters.
    """
    digest, expand = hashlib.sha256(), zlib.decompressobj(wbits=31)
    try:
        with _opened(kept.folder / volume.file) as file:
            while data := file.read(PIECE):
                digest.update(data)
                while data and not expand.eof:
                    if piece := expand.decompress(data, PIECE):
                        yield piece
                    data = expand.unconsumed_tail
    except OSError as error:
        raise _damaged(kept, volume, error.strerror or str(error)) from error
    except zlib.error as error:
        raise _damaged(kept, volume, str(error)) from error
    if digest.hexdigest() != volume.sha256 or not expand.eof:
        raise _damaged(kept, volume, "its checksum is not the manifest's")


def to_remove(snapshots: Iterable[Kept], *, keep: int, needed: frozenset[str]) -> tuple[Kept, ...]:
    """What may go so that `keep` of each app stay: never the newest good one, never one that is `needed`.

    A failed state is neither counted nor taken: it stays until somebody drops it by its id.
    """
    by_app: dict[str, list[Kept]] = {}
    for kept in sorted(snapshots, key=lambda each: each.id, reverse=True):
        if kept.manifest is None or kept.manifest.kind is Kind.SNAPSHOT:
            by_app.setdefault(kept.app, []).append(kept)
    found: list[Kept] = []
    for each in by_app.values():
        last_good = next((kept for kept in each if kept.usable), None)
        found += [kept for kept in each[keep:] if kept is not last_good and kept.id not in needed]
    return tuple(sorted(found, key=lambda kept: kept.id))


def _squeezed(pieces: Iterable[bytes], walk: TarWalk, squeeze: "zlib._Compress") -> Iterator[bytes]:
    for piece in pieces:
        walk.feed(piece)
        if data := squeeze.compress(piece):
            yield data
    yield squeeze.flush()


def _checked(folder: Path, volume: VolumeCopy) -> Iterator[str]:
    walk, digest, expand = TarWalk(ROOT), hashlib.sha256(), zlib.decompressobj(wbits=31)
    where = f"volume {volume.name} ({volume.file})"
    try:
        with _opened(folder / volume.file) as file:
            length = os.fstat(file.fileno()).st_size
            if length != volume.compressed:
                yield f"{where}: {length} bytes, not {volume.compressed}"
                return
            while data := file.read(PIECE):
                digest.update(data)
                while data:
                    walk.feed(expand.decompress(data, PIECE))
                    data = expand.unconsumed_tail
        walk.finish()
    except OSError as error:
        yield f"{where}: {error.strerror or error}"
        return
    except (TarError, zlib.error) as error:
        yield f"{where}: {error}"
    if digest.hexdigest() != volume.sha256:
        yield f"{where}: its checksum is not the manifest's"
    elif not expand.eof or expand.unused_data:
        yield f"{where}: its gzip stream is not whole"
    elif (walk.entries, walk.size) != (volume.entries, volume.size):
        yield (
            f"{where}: {walk.entries} entries with {walk.size} bytes, not {volume.entries} with {volume.size}"
        )


def _read_secrets(folder: Path, about: SecretsFile) -> tuple[bytes, list[str]]:
    """The file and what is wrong with it; never more than the manifest says is held."""
    try:
        with _opened(folder / about.file) as file:
            data = file.read(about.size + 1)
    except OSError as error:
        return b"", [f"{about.file}: {error.strerror or error}"]
    if len(data) != about.size:
        return b"", [f"{about.file}: it has not {about.size} bytes"]
    if hashlib.sha256(data).hexdigest() != about.sha256:
        return b"", [f"{about.file}: its checksum is not the manifest's"]
    return data, []


def _kept(folder: Path, app: str) -> Kept:
    verified = (folder / _VERIFIED).exists()
    try:
        manifest = _manifest(folder / _MANIFEST)
        if (manifest.id, manifest.app) != (folder.name, app):
            raise ManifestError("it belongs to another snapshot")
    except OSError as error:
        said = f"{_MANIFEST}: {error.strerror or error}"
        return Kept(id=folder.name, app=app, folder=folder, manifest=None, verified=False, problem=said)
    except (ValueError, RecursionError) as error:
        said = f"{_MANIFEST} cannot be used: {error}"
        return Kept(id=folder.name, app=app, folder=folder, manifest=None, verified=False, problem=said)
    problem = _misfit(folder, manifest)
    return Kept(
        id=manifest.id,
        app=app,
        folder=folder,
        manifest=manifest,
        verified=verified,
        problem=problem,
        spoiled=_spoiled(folder / _SPOILED),
    )


def _spoiled(path: Path) -> str:
    try:
        with _opened(path) as file:
            return decode(file.read(SPOILED_LIMIT)) or "no reason is given"
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{_SPOILED} cannot be read: {error.strerror or error}"


def _misfit(folder: Path, manifest: Manifest) -> str:
    """The first thing that a glance at the files shows, without reading them; empty where all fit."""
    lengths = [(volume.file, volume.compressed) for volume in manifest.volumes]
    if manifest.secrets is not None:
        lengths.append((manifest.secrets.file, manifest.secrets.size))
    for name, length in lengths:
        try:
            found = (folder / name).lstat()
        except OSError as error:
            return f"{name}: {error.strerror or error}"
        if not stat.S_ISREG(found.st_mode):
            return f"{name}: it is no plain file"
        if found.st_size != length:
            return f"{name}: {found.st_size} bytes, not {length}"
    return ""


def _manifest(path: Path) -> Manifest:
    with _opened(path) as file:
        data = file.read(MANIFEST_LIMIT + 1)
    if len(data) > MANIFEST_LIMIT:
        raise ManifestError("it is too long")
    return from_json(json.loads(data))


def _opened(path: Path) -> BufferedReader:
    """A plain file to read, never a link, a pipe or a device."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(handle, "rb")
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no plain file", str(path))
    return file


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _damaged(kept: Kept, volume: VolumeCopy, why: str) -> NotReadyError:
    return NotReadyError(
        f"the snapshot {kept.id} of {kept.app} is damaged: {volume.file}: {why}",
        hint="`ccci-upgrade snapshot list` shows the others",
        code="snapshot-damaged",
    )


def _unwritable(path: Path, error: OSError) -> NotReadyError:
    return NotReadyError(
        f"cannot write the snapshot `{path}`: {error.strerror or error}",
        hint="free space, or set `state_dir` in ccci-upgrade.toml to a folder with more",
        code="snapshot-store",
    )
