"""A volume put back as it was: made anew with its labels, filled through a container that never ran."""

import io
import os
import tarfile
from collections.abc import Iterator

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
    """Whatever was unpacked before the bad part."""
    with pytest.raises(CcciError) as caught:
        put_back(lab, f"{lab.stack}_data", archive({"a": b"1"})[:512] + b"\1" * 5120)

    assert caught.value.code == "engine"


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


def put_back(lab: Lab, name: str, data: bytes, *, labels: dict[str, str] | None = None) -> None:
    """Replace a volume by an archive."""
    put_back_pieces(lab, name, iter([data[:1000], b"", data[1000:]]), labels=labels)


def put_back_pieces(
    lab: Lab, name: str, pieces: Iterator[bytes], *, labels: dict[str, str] | None = None
) -> None:
    """The same, from pieces."""
    volumes.replace(
        lab.engine,
        stack=lab.stack,
        image=OLD,
        name=name,
        driver="local",
        options={},
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
