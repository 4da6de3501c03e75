"""Volumes read out and put back, against `tar` in a container, and what memory that takes."""

import hashlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Effort, Pair, Row, paired, ratio_row, say
from bench.volumework import IMAGE, read_pieces, restore, take
from ccci_upgrade.model.snapshot import ROOT
from ccci_upgrade.model.tarwalk import TarWalk
from ccci_upgrade.tools.engine import Engine as Client
from tests.swarm.harness import Engine, running_engine

MEGABYTE = 1024 * 1024
SPEED_BAR = 1.43
"""Of the peer's seconds: 0.7 of its speed."""

MEMORY_BAR = 1.5
_SIZE = 200
_SMALL, _LARGE = 100, 2048
_TINY = 8
_PAIRS = 5
_GZIP = "busybox chroot /host gzip"  # busybox's own knows no levels
_WORK = Path(__file__).with_name("volumework.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An Engine, its client, and a folder for what is written."""

    engine: Engine
    client: Client
    folder: Path

    def fill(self, volume: str, megabytes: int) -> None:
        """Make a volume with files of 1 MB: half noise, half text that compresses well."""
        self.engine.docker("volume", "create", volume)
        at = Path(self.engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume))
        line = b"".join(
            b"INSERT INTO event VALUES (%d, 'realm', 'login');\n" % number for number in range(500)
        )
        for number in range(megabytes):
            half = os.urandom(MEGABYTE // 2)
            (at / f"file{number}").write_bytes(half + (line * 24)[: MEGABYTE // 2])

    def peer(self, name: str, volume: str) -> None:
        """Start a container with a volume at `/v`, our folder at `/out`, and the machine's own gzip in `/host`."""
        mounts = ("-v", f"{volume}:/v", "-v", f"{self.folder}:/out", "-v", "/:/host:ro")
        self.engine.docker("run", "-d", "--name", name, "--network", "none", *mounts, IMAGE, "sleep", "86400")

    def inside(self, name: str, script: str) -> None:
        """Run a shell's words in such a container."""
        self.engine.docker("exec", name, "sh", "-c", script)


def measure(effort: Effort) -> list[Row]:
    """Four rows: compressed, uncompressed, restored, memory."""
    size = _TINY if effort.tiny else _SIZE
    with _place() as place:
        place.fill("source", size)
        place.engine.docker("volume", "create", "target")
        place.peer("reader", "source")
        place.peer("writer", "target")
        say(f"volumes of {size} MB, compressed")
        rows = [_compressed(place, effort, size)]
        say("uncompressed")
        rows.append(_uncompressed(place, effort, size))
        say("restored")
        rows.append(_restored(place, effort, size))
        say("memory")
        rows.append(_memory(place, effort))
    return rows


def _compressed(place: Place, effort: Effort, size: int) -> Row:
    pairs = paired(
        effort.runs(_PAIRS),
        lambda: take(place.client, place.folder / "state", "source"),
        lambda: place.inside("reader", f"tar -C /v -cf - . | {_GZIP} -1 >/out/peer.tar.gz "),
    )
    method = (
        f"{_speeds(size, pairs)}: {size} MB "
        f"in files of 1 MB, half noise; ours: archive API, headers looked at, gzip level 1, checksum, fsync; peer: "
        f"busybox `tar` and GNU `gzip -1` in a container that has the volume"
    )
    return ratio_row("snapshot over tar | gzip", pairs, bar=SPEED_BAR, method=method)


def _uncompressed(place: Place, effort: Effort, size: int) -> Row:
    pairs = paired(effort.runs(_PAIRS), lambda: _plain(place), lambda: _docker_cp(place))
    method = (
        f"{_speeds(size, pairs)}: ours: the same without gzip; peer: `docker cp CONTAINER:/v -` into a file"
    )
    return ratio_row("snapshot without gzip over docker cp", pairs, bar=SPEED_BAR, method=method)


def _restored(place: Place, effort: Effort, size: int) -> Row:
    kept = take(place.client, place.folder / "state", "source")
    shutil.copy(kept.folder / "0.tar.gz", place.folder / "whole.tar.gz")
    pairs = paired(
        effort.runs(_PAIRS),
        lambda: restore(place.client, kept, "restored"),
        lambda: place.inside(
            "writer", f"find /v -mindepth 1 -delete; {_GZIP} -dc </out/whole.tar.gz | tar -C /v -xf -"
        ),
    )
    method = (
        f"{_speeds(size, pairs)}: ours: the volume removed and made anew, the snapshot's checksum and a digest of the "
        f"content taken on the way; peer: the folder emptied, `gzip -d | tar x` in a container"
    )
    return ratio_row("restore over gzip -d | tar x", pairs, bar=SPEED_BAR, method=method)


def _memory(place: Place, effort: Effort) -> Row:
    small, large = (_TINY, 4 * _TINY) if effort.tiny else (_SMALL, _LARGE)
    peaks = []
    for size in (small, large):
        volume = f"memory{size}"
        place.fill(volume, size)
        peaks.append(_peak(place, volume))
        shutil.rmtree(place.folder / "state", ignore_errors=True)
        place.engine.docker("volume", "rm", volume, f"{volume}back")
    method = (
        f"highest resident memory of a process that takes a snapshot and restores it: {peaks[0] / 1024:.1f} MB for a "
        f"volume of {small} MB, {peaks[1] / 1024:.1f} MB for {large} MB"
    )
    return Row(
        measure=f"memory at {large} MB over {small} MB",
        ours=None,
        peer=None,
        value=peaks[1] / peaks[0],
        bar=MEMORY_BAR,
        method=method,
    )


def _peak(place: Place, volume: str) -> int:
    """Kilobytes at the highest. Not `ru_maxrss`, which begins with the peak of who started it."""
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            f"bench.{_WORK.stem}",
            str(place.engine.socket),
            str(place.folder / "state"),
            volume,
        ],
        cwd=_WORK.parent.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )
    found = re.fullmatch(r"peak ([0-9]+) kB\n", ran.stdout)
    if ran.returncode or found is None:
        raise RuntimeError(f"the snapshot of {volume} ended with {ran.returncode}: {ran.stderr[-2000:]}")
    return int(found[1])


def _plain(place: Place) -> None:
    walk, digest = TarWalk(ROOT), hashlib.sha256()
    with (place.folder / "ours.tar").open("wb") as file:
        for piece in read_pieces(place.client, "source"):
            walk.feed(piece)
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    walk.finish()


def _docker_cp(place: Place) -> None:
    with (place.folder / "peer.tar").open("wb") as file:
        subprocess.run(
            ["docker", "-H", place.engine.url, "cp", "reader:/v", "-"],  # noqa: S607 - docker from PATH
            stdin=subprocess.DEVNULL,
            stdout=file,
            check=True,
            timeout=600,
        )
        os.fsync(file.fileno())


def _speeds(megabytes: int, pairs: Sequence[Pair]) -> str:
    ours, peer = (statistics.median(side) for side in zip(*((p.ours, p.peer) for p in pairs), strict=True))
    return f"{megabytes / ours:.0f} MB/s against {megabytes / peer:.0f} MB/s"


@contextmanager
def _place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name, running_engine() as engine:
        client = Client(engine.socket)
        try:
            yield Place(engine=engine, client=client, folder=Path(name))
        finally:
            client.close()
