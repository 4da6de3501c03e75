"""A volume put back as it was: made anew with its labels, filled through a container that never ran."""

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.errors import CcciError
from ccci_upgrade.tools import volumes
from tests.contract.jsontree import Tree, rows, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import OLD, STACK, volume

WHEN = 1_600_000_000
_ROOT = os.geteuid() == 0  # only root can give files away


def test_a_volume_is_replaced_by_an_archive(lab: Lab) -> None:
    """Owners, modes (the root's too), links, empty folders, whole-second times, content; nothing old is left."""
    name, labels = f"{lab.stack}_data", {STACK: lab.stack, "mine": "x"}
    fill(lab, name, archive({"old": b"1", "both": b"old"}))
    put_back(lab, name, hard_to_keep(), labels=labels)
    found = tree(lab.engine.get(f"/volumes/{name}"))
    there = seen(whole(lab, name))

    assert there == seen(hard_to_keep())
    assert tree(found, "Labels") == labels
    assert text(found, "Driver") == "local"
    assert not rows(lab.engine.get("/containers/json", {"all": "1", "filters": {"volume": [name]}}))


@pytest.mark.parametrize("there", ["nothing", "part", "same"])
def test_it_ends_the_same_from_wherever_it_begins(lab: Lab, there: str) -> None:
    """A volume that is not there, one that holds a part with a carrier left by a killed run, the right one."""
    name = f"{lab.stack}_data"
    if there == "part":
        fill(lab, name, archive({"sub/data": b"half", "other": b"2"}))
        mount: Tree = {"Type": "volume", "Source": name, "Target": "/__v"}
        left: Tree = {"Image": OLD, "Labels": {volumes.MARK: lab.stack}, "HostConfig": {"Mounts": [mount]}}
        lab.post("/containers/create", left, status=201)
    elif there == "same":
        put_back(lab, name, hard_to_keep())
    put_back(lab, name, hard_to_keep())

    assert seen(whole(lab, name)) == seen(hard_to_keep())


def test_ended_tasks_go_and_a_running_one_refuses(lab: Lab) -> None:
    """Before anything is touched; an ended container that is no task is somebody's, and refuses too."""
    name = f"{lab.stack}_data"
    lab.start("app", mounts=[volume(name)], restart="none")
    fill(lab, name, archive({"old": b"1"}))
    holder = text(lab.containers("app")[0], "Id")
    running = refused(lab, name)
    lab.engine.ask("POST", f"/containers/{holder}/kill", {"signal": "KILL"})
    lab.until(lambda: text(lab.containers("app")[0], "State") == "exited", "it has exited")
    body: Tree = {"Image": OLD, "Labels": {STACK: lab.stack}, "HostConfig": {"Mounts": [volume(name)]}}
    mine = text(lab.post("/containers/create", body, status=201), "Id")
    foreign = refused(lab, name)
    before = names(whole(lab, name))
    lab.engine.ask("DELETE", f"/containers/{mine}")
    put_back(lab, name, archive({"new": b"2"}))

    assert (running.code, running.message) == (
        "volume-in-use",
        f"the volume {name} is in use: container {holder[:12]} is running",
    )
    assert f"container {mine[:12]} is no task of a service" in foreign.message
    assert "__v/old" in before
    assert names(whole(lab, name)) == {"__v", "__v/new"}
    assert lab.containers("app") == []


def test_what_is_no_plain_volume_is_never_touched(lab: Lab) -> None:
    """A share, a folder of the host, memory: as the volume is now, or as it was."""
    now, was = f"{lab.stack}_now", f"{lab.stack}_was"
    options = {"type": "none", "o": "bind", "device": "/srv/data"}
    lab.post("/volumes/create", {"Name": now, "DriverOpts": dict(options)}, status=201)
    fill(lab, was, archive({"old": b"1"}))
    with pytest.raises(CcciError) as caught:
        put_back(lab, now, hard_to_keep())
    with pytest.raises(CcciError) as memory:
        put_back(lab, was, hard_to_keep(), options={"type": "tmpfs", "device": "tmpfs"})

    assert (caught.value.code, memory.value.code) == ("volume-kind", "volume-kind")
    assert caught.value.message.startswith(
        f"the volume {now} is a folder of the host behind the driver local"
    )
    assert tree(lab.engine.get(f"/volumes/{now}"), "Options") == options
    assert names(whole(lab, was)) == {"__v", "__v/old"}


def test_what_breaks_off_never_passes_for_the_whole(lab: Lab) -> None:
    """Pieces that end with an error: that error; no carrier is left, and another try mends all."""
    name = f"{lab.stack}_data"
    fill(lab, name, archive({"old": b"1"}))

    def broken() -> Iterator[bytes]:
        yield hard_to_keep()[:5000]
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        put_back_pieces(lab, name, broken())
    held = rows(lab.engine.get("/containers/json", {"all": "1", "filters": {"volume": [name]}}))
    put_back(lab, name, hard_to_keep())

    assert held == []
    assert seen(whole(lab, name)) == seen(hard_to_keep())


def test_an_archive_that_the_engine_cannot_read_is_an_error(lab: Lab) -> None:
    """Whatever was unpacked before the bad part; `replace` sees it before the Engine does."""
    name, bad = f"{lab.stack}_data", archive({"a": b"1"})[:512] + b"\1" * 5120
    with pytest.raises(CcciError) as caught:
        fill(lab, name, bad)
    with pytest.raises(CcciError) as ours:
        put_back(lab, name, bad)

    assert (caught.value.code, ours.value.code) == ("engine", "snapshot-damaged")


def test_what_was_put_back_is_proved_by_reading_it(lab: Lab) -> None:
    """One digest for both archives; one changed byte, mode or name makes another one."""
    name = f"{lab.stack}_data"
    digest = put_back(lab, name, hard_to_keep())

    def is_same() -> bool:
        how = {"stack": lab.stack, "image": OLD, "name": name, "digest": digest}
        return volumes.same(lab.engine, **how, cancelled=lambda: False)

    first = is_same()
    put_back(lab, name, whole(lab, name))
    second = is_same()
    fill(lab, name, archive({"sub/data": b"data" * 99_999 + b"date"}))

    assert (first, second, is_same()) == (True, True, False)


def test_whoever_is_killed_anywhere_in_it_ends_the_same_at_the_next_try(lab: Lab, tmp_path: Path) -> None:
    """SIGKILL before each request, and in the middle of the archive; nothing of it is left."""
    name, points = f"{lab.stack}_data", 0
    (tmp_path / "whole.tar").write_bytes(hard_to_keep())
    fill(lab, name, archive({"old": b"1"}))
    while killed(lab, name, tmp_path / "whole.tar", at=points):
        points += 1
        if points % 3 == 0:  # else the next one begins at what this one left
            put_back(lab, name, hard_to_keep())
            assert seen(whole(lab, name)) == seen(hard_to_keep())

    assert points >= 8
    assert seen(whole(lab, name)) == seen(hard_to_keep())
    assert not rows(lab.engine.get("/containers/json", {"all": "1", "filters": {"volume": [name]}}))


_DIES = """
import os, signal, sys
from pathlib import Path
from ccci_upgrade.tools import volumes
from ccci_upgrade.tools.engine import Engine

socket, stack, image, name, file, at = sys.argv[1:]
left = int(at)

def step():
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1

class Dying(Engine):
    def ask(self, *words, **more):
        step()
        return super().ask(*words, **more)

def pieces():
    data = Path(file).read_bytes()
    for at in range(0, len(data), len(data) // 2):
        yield data[at : at + len(data) // 2]
        step()

volumes.replace(
    Dying(Path(socket)), stack=stack, image=image, name=name, driver="local", options={}, labels={},
    pieces=pieces(), cancelled=lambda: False,
)
"""


def killed(lab: Lab, name: str, file: Path, *, at: int) -> bool:
    """Have a process replace it that is killed at a point; False where it came to its end."""
    words = (str(lab.socket), lab.stack, OLD, name, str(file), str(at))
    done = subprocess.run(
        [sys.executable, "-c", _DIES, *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


# -- archives ---------------------------------------------------------------------------------------------


def hard_to_keep() -> bytes:
    """An archive of a volume with all that a restore may lose."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:

        def add(name: str, kind: bytes, mode: int, *, data: bytes = b"", link: str = "") -> None:
            member = tarfile.TarInfo(f"__v{name}")
            member.type, member.mode, member.linkname = kind, mode, link
            number = len(link.removeprefix("__v") if kind == tarfile.LNKTYPE else name)
            member.uid, member.gid = (number, 2 * number) if _ROOT else (os.geteuid(), os.getegid())
            member.mtime = WHEN + number
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        add("", tarfile.DIRTYPE, 0o2750)
        add("/empty", tarfile.DIRTYPE, 0o1777)
        add("/sub", tarfile.DIRTYPE, 0o700)
        add("/sub/data", tarfile.REGTYPE, 0o4640, data=b"data" * 100_000)
        add("/sub/nothing", tarfile.REGTYPE, 0o600)
        add("/twice", tarfile.LNKTYPE, 0o4640, link="__v/sub/data")
        add("/soft", tarfile.SYMTYPE, 0o777, link="sub/data")
        add("/away", tarfile.SYMTYPE, 0o777, link="/etc/passwd")
        add("/" + "ä" * 90, tarfile.REGTYPE, 0o644, data=b"a long name")
        add("/" + "n" * 200, tarfile.REGTYPE, 0o644, data=b"a longer name")
    return sink.getvalue()


def archive(files: dict[str, bytes]) -> bytes:
    """An archive of a volume with these files."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        root = tarfile.TarInfo("__v")
        root.type, root.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(root)
        for name, data in files.items():
            member = tarfile.TarInfo(f"__v/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return sink.getvalue()


def seen(data: bytes) -> dict[str, tuple[object, ...]]:
    """What an archive says of each of its entries; a hard link says what its file does, with all their names."""
    found: dict[str, tuple[object, ...]] = {}
    groups: dict[str, set[str]] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            name = member.name.rstrip("/")
            groups.setdefault(member.linkname if member.islnk() else name, set()).add(name)
            if not member.islnk():
                file = tar.extractfile(member) if member.isfile() else None
                body = file.read() if file is not None else member.linkname
                mode = None if member.issym() else member.mode & 0o7777
                found[name] = (member.type, mode, member.uid, member.gid, int(member.mtime), body)
    for first, group in groups.items():
        found |= {name: (*found[first], tuple(sorted(group))) for name in sorted(group)}
    return found


def names(data: bytes) -> set[str]:
    """The names in an archive."""
    return set(seen(data))


# -- through the Engine -----------------------------------------------------------------------------------


def put_back(
    lab: Lab,
    name: str,
    data: bytes,
    *,
    labels: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> str:
    """Replace a volume by an archive; gives its digest."""
    return put_back_pieces(lab, name, iter([data[:1000], b"", data[1000:]]), labels=labels, options=options)


def put_back_pieces(
    lab: Lab,
    name: str,
    pieces: Iterator[bytes],
    *,
    labels: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> str:
    """The same, from pieces."""
    return volumes.replace(
        lab.engine,
        stack=lab.stack,
        image=OLD,
        name=name,
        driver="local",
        options=options or {},
        labels={STACK: lab.stack} if labels is None else labels,
        pieces=pieces,
        cancelled=lambda: False,
    )


def refused(lab: Lab, name: str) -> CcciError:
    """Why it cannot be replaced."""
    with pytest.raises(CcciError) as caught:
        put_back(lab, name, hard_to_keep())
    return caught.value


def fill(lab: Lab, name: str, data: bytes) -> None:
    """Put an archive into a volume, merging."""
    with volumes.carrier(lab.engine, stack=lab.stack, image=OLD, volume=name, writable=True) as there:
        volumes.write(lab.engine, there, [data], cancelled=lambda: False)


def whole(lab: Lab, name: str) -> bytes:
    """All of a volume as an archive."""
    with volumes.carrier(lab.engine, stack=lab.stack, image=OLD, volume=name) as here:
        return b"".join(volumes.read(lab.engine, here, cancelled=lambda: False))
