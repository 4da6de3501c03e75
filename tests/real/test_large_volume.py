"""2 GB in 50,000 files: copied, read back and put back; the same to the last bit, in little memory."""

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.swarm.harness import Ran
from tests.swarm.host import Host
from tests.swarm.test_snapshots import mountpoint

FILES = 50_000
BYTES = 2_000_000_000
PER_FOLDER = 250
MEMORY_KB = 150 * 1024
"""What the program may have at its highest, whatever the volume's size."""

_MODES = (0o644, 0o600, 0o640, 0o755, 0o4755, 0o000)
_SIZES = (0, 1, 511, 512, 4096)
"""The first file of each folder has one of these, the others share what is left."""

_MEASURED = (
    "import re, sys\n"
    "from ccci_upgrade.cli.start import main\n"
    "try:\n"
    "    main()\n"
    "finally:\n"
    "    print('peak', re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)\n"
)
"""Not `ru_maxrss`: that begins with the peak of who started the program."""


def fill(place: Path) -> None:
    """Make the files: noise and text by turns, modes and owners of many kinds, links of both kinds."""
    place.chmod(0o2750)
    os.chown(place, 1234, 5678)
    noise = os.urandom(8_000_000)
    text = b"2026-01-02 03:04:05 INFO a line as logs have it, again and again\n" * 2000
    usual = BYTES // (FILES - FILES // PER_FOLDER)
    for number in range(FILES):
        folder = place / f"{number // PER_FOLDER % 16:x}" / f"folder {number // PER_FOLDER}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True)
            os.chown(folder, number % 7, number % 11)
        first = number % PER_FOLDER == 0
        size = _SIZES[number // PER_FOLDER % len(_SIZES)] if first else usual
        _write(folder / f"file-{number}", number, noise if number % 4 else text, size)
    last = place / "hard"
    last.hardlink_to(place / "0" / "folder 0" / "file-1")
    (place / "soft").symlink_to("0/folder 0/file-1")


def _write(path: Path, number: int, source: bytes, size: int) -> None:
    at = number * 97 % (len(source) - size) if len(source) > size else 0
    path.write_bytes(source[at : at + size])
    os.chown(path, number % 13, number % 17)
    path.chmod(_MODES[number % len(_MODES)])
    seconds = 1_600_000_000 + number
    os.utime(path, (seconds, seconds))


def fingerprint(place: Path) -> tuple[int, str]:
    """How many entries, and a checksum of every path, kind, mode, owner, time, size, target and content."""
    whole = hashlib.sha256()
    lines = sorted(_lines(place))
    for line in lines:
        whole.update(line)
    return len(lines), whole.hexdigest()


def _lines(place: Path) -> Iterator[bytes]:
    for path in (place, *place.rglob("*")):
        if path == place / "version":
            continue  # the app writes it anew at every start
        about = path.lstat()
        what = [stat.filemode(about.st_mode), about.st_uid, about.st_gid, int(about.st_mtime), about.st_nlink]
        content = ""
        if stat.S_ISLNK(about.st_mode):
            content = str(path.readlink())
        elif stat.S_ISREG(about.st_mode):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        yield f"{path.relative_to(place)}|{what}|{content}\n".encode()


def measured(host: Host, *words: str) -> tuple[Ran, int]:
    """Run the tool; gives its peak of memory in kilobytes too."""
    argv = host.argv(*words)
    ran = host.engine.run([argv[0], "-c", _MEASURED, *argv[3:]], seconds=900)
    peak = re.search(r"^peak (\d+)$", ran.err, re.MULTILINE)
    assert ran.code == 0, ran.err + ran.out
    assert peak is not None, ran.err
    return ran, int(peak[1])


def test_many_files_come_back_the_same(host: Host, record_property: Callable[[str, object], None]) -> None:
    """What was spoilt after the copy is as it was; no step takes more memory than the bar."""
    host.deploy("drone")
    volume = f"{host.stack('drone')}_data"
    place = mountpoint(host, volume)
    fill(place)
    before = fingerprint(place)

    created, memory_create = measured(host, "snapshot", "create", "drone", "--json")
    document: Any = created.document()
    (made,) = document["data"]["snapshots"]
    verified, memory_verify = measured(host, "snapshot", "verify", made["id"])
    spoil(place)
    spoilt = fingerprint(place)
    words = ("snapshot", "restore", "drone", made["id"], "--ack=data-loss", "--offline", "--json")
    restored, memory_restore = measured(host, *words)

    figures = {
        "create": (created, memory_create),
        "verify": (verified, memory_verify),
        "restore": (restored, memory_restore),
    }
    record_property(
        "figure",
        f"{before[0]} entries, {made['size'] / 1e6:.0f} MB, {made['compressed'] / 1e6:.0f} MB kept: "
        + "; ".join(f"{k} {ran.seconds:.0f} s, peak {kb / 1024:.0f} MB" for k, (ran, kb) in figures.items())
        + f"; of the restore {times(restored)}",
    )
    assert before[0] > FILES
    assert made["good"]
    assert made["size"] >= BYTES
    assert spoilt != before
    assert fingerprint(mountpoint(host, volume)) == before
    assert host.answers("drone")
    assert max(memory_create, memory_verify, memory_restore) < MEMORY_KB


def spoil(place: Path) -> None:
    """Take away, change, add: what is there now must not shine through."""
    shutil.rmtree(place / "3")
    (place / "0" / "folder 0" / "file-1").write_text("changed")
    (place / "0" / "folder 0" / "new").write_text("new")
    (place / "1").chmod(0o700)
    place.chmod(0o755)


def times(ran: Ran) -> str:
    """What each phase took."""
    document: Any = ran.document()
    return ", ".join(
        f"{phase['name']} {phase['seconds']:.0f}" for phase in document["data"]["runs"][0]["phases"]
    )
