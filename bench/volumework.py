"""One volume taken and put back by the functions that snapshots use; as a program it tells its highest memory."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from ccci_upgrade.model.snapshot import Manifest, VolumeCopy
from ccci_upgrade.store import snapshots
from ccci_upgrade.store.snapshots import Kept, Store
from ccci_upgrade.tools import volumes
from ccci_upgrade.tools.engine import Engine
from tests.swarm.images import START

APP = "bench.ci.example.org"
STACK = "bench"
IMAGE = START[0]
_ID = "20260301T120000-0001"


def read_pieces(engine: Engine, volume: str) -> Iterator[bytes]:
    """A volume's archive."""
    with volumes.carrier(engine, stack=STACK, image=IMAGE, volume=volume) as container:
        yield from volumes.read(engine, container, cancelled=lambda: False)


def take(engine: Engine, state: Path, volume: str) -> Kept:
    """Take a snapshot of one volume; the one before it goes first."""
    store = Store(state, "bench")
    for kept in store.listed(APP):
        store.remove(kept)
    writing = store.begin(APP, _ID)
    written = writing.archive(0, read_pieces(engine, volume))
    copy = VolumeCopy(
        name=volume,
        driver="local",
        labels={},
        service="app",
        target="/data",
        file=written.file,
        sha256=written.sha256,
        compressed=written.compressed,
        size=written.size,
        entries=written.entries,
    )
    writing.seal(_manifest(copy))
    return store.listed(APP)[0]


def restore(engine: Engine, kept: Kept, volume: str) -> str:
    """Put its one volume back under a name; gives the content's digest."""
    if kept.manifest is None:
        raise RuntimeError(kept.problem)
    return volumes.replace(
        engine,
        stack=STACK,
        image=IMAGE,
        name=volume,
        driver="local",
        options={},
        labels={},
        pieces=snapshots.opened(kept, kept.manifest.volumes[0]),
        cancelled=lambda: False,
    )


def _manifest(copy: VolumeCopy) -> Manifest:
    return Manifest(
        id=_ID,
        app=APP,
        recipe="bench",
        stack=STACK,
        cluster="bench",
        server="ci.example.org",
        version=None,
        env_sha256="0" * 64,
        taken="2026-03-01T12:00:00.000Z",
        run_id="bench",
        while_running=False,
        services=(),
        volumes=(copy,),
    )


def main() -> None:
    """SOCKET STATE VOLUME: take it, put it back beside, prove it, and tell the memory."""
    socket, state, volume = sys.argv[1:]
    engine = Engine(Path(socket))
    back = f"{volume}back"
    digest = restore(engine, take(engine, Path(state), volume), back)
    if not volumes.same(engine, stack=STACK, image=IMAGE, name=back, digest=digest, cancelled=lambda: False):
        raise RuntimeError("what was put back is not what was taken")
    engine.close()
    found = re.search(r"VmHWM:\s+([0-9]+)", Path("/proc/self/status").read_text())
    sys.stdout.write(f"peak {found[1] if found else 0} kB\n")


if __name__ == "__main__":
    main()
