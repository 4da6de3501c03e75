"""Volumes: who makes them, who holds them, what a new name does to an app, and how their content is moved."""

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager

from ccci_upgrade.tools.engine import Json
from tests.contract.jsontree import Tree, rows, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import NEW, OLD, STACK, volume


def test_a_volume_lives_from_the_first_task_on(lab: Lab) -> None:
    """Swarm makes it for the first task, an update keeps its content, and no service deletes it."""
    name = f"{lab.stack}_data"
    how = {"mounts": [volume(name, labels={STACK: lab.stack})], "env": {"DATA_DIR": "/data"}}
    lab.create("app", replicas=0, **how)
    assert lab.engine.ask("GET", f"/volumes/{name}").status == 404
    lab.change("app", **how)
    lab.settled("app")
    found = tree(lab.engine.get(f"/volumes/{name}"))
    lab.until(lambda: "kid" in content(lab, name), "the app has written")
    first = content(lab, name)["kid"]
    lab.change("app", **how, image=NEW)
    lab.until(lambda: [image(task) for task in lab.running("app")] == [NEW], "the new one runs")
    lab.until(lambda: content(lab, name).get("version") == b"3.0.1\n", "it has written")

    assert (text(found, "Name"), text(found, "Driver"), text(found, "Scope")) == (name, "local", "local")
    assert tree(found, "Labels") == {STACK: lab.stack}
    assert text(found, "CreatedAt")
    assert content(lab, name)["kid"] == first
    assert b"migrated from 3.0.0 to 3.0.1" in content(lab, name)["migrations"]


def test_exited_containers_hold_a_volume(lab: Lab) -> None:
    """409 while any container has it, `force` or not; 204 when none has; 404 when it is gone."""
    name = f"{lab.stack}_held"
    lab.start("app", mounts=[volume(name)], restart="none")
    holder = text(lab.containers("app")[0], "Id")
    running = lab.engine.ask("DELETE", f"/volumes/{name}")
    lab.engine.ask("POST", f"/containers/{holder}/kill", {"signal": "KILL"})
    lab.until(lambda: text(lab.containers("app")[0], "State") == "exited", "it has exited")
    exited = lab.engine.ask("DELETE", f"/volumes/{name}")
    forced = lab.engine.ask("DELETE", f"/volumes/{name}", {"force": "1"})
    lab.remove("app")
    lab.until(lambda: not lab.left(), "no container is left")

    message = f"remove {name}: volume is in use - [{holder}]"
    assert {(answer.status, answer.message) for answer in (running, exited, forced)} == {(409, message)}
    assert lab.engine.ask("DELETE", f"/volumes/{name}").status == 204
    assert lab.engine.ask("DELETE", f"/volumes/{name}").status == 404


def test_a_renamed_volume_is_an_empty_one_and_nothing_says_so(lab: Lab) -> None:
    """The update is `completed`, the app runs, its data stayed in the volume of the old name."""
    old, new = f"{lab.stack}_old", f"{lab.stack}_new"
    env = {"DATA_DIR": "/data"}
    with lab.watch() as seen:
        lab.start("app", mounts=[volume(old)], env=env, monitor=0.2)
        lab.until(lambda: "kid" in content(lab, old), "the app has written")
        lab.change("app", mounts=[volume(new)], env=env, monitor=0.2)
        lab.updated("app")
        lab.until(lambda: "kid" in content(lab, new), "it has written elsewhere")

    assert seen.updates("app") == ["null", "updating", "completed"]
    assert content(lab, old)["kid"] != content(lab, new)["kid"]


def test_the_content_of_a_volume_is_moved_through_a_container_that_never_ran(lab: Lab) -> None:
    """GET `/__v` and PUT to `/` keep the root's owner and mode; PUT merges; GET `/__v/.` loses the root."""
    source, target = f"{lab.stack}_a", f"{lab.stack}_b"
    make(lab, source)
    make(lab, target)
    with carrier(lab, target) as there:
        assert put(lab, there, "/__v", archive({"kept": b"1", "both": b"old"})) == 200
    with carrier(lab, source) as here, carrier(lab, target) as there:
        root = archive({"__v/both": b"new", "__v/sub/deep": b"2"}, root=("__v", 0o2750, 7, 8))
        assert put(lab, here, "/", root) == 200
        whole = fetch(lab, here, "/__v")
        inner = fetch(lab, here, "/__v/.")
        assert put(lab, there, "/", whole) == 200
        copied = members(fetch(lab, there, "/__v"))
        assert fetch_status(lab, here, "/__v/nothing") == 404
        assert put(lab, here, "/nowhere", root) == 404
        state = text(lab.engine.get(f"/containers/{here}/json"), "State", "Status")

    assert state == "created"
    assert {name.rstrip("/") for name in members(whole)} == {"__v", "__v/both", "__v/sub", "__v/sub/deep"}
    assert {name.rstrip("/") for name in members(inner)} >= {"./both", "./sub", "./sub/deep"}
    owner = (7, 8) if os.geteuid() == 0 else (os.geteuid(), os.getegid())  # only root can give files away
    assert (copied["__v"].mode & 0o7777, copied["__v"].uid, copied["__v"].gid) == (0o2750, *owner)
    assert content(lab, target) == {"kept": b"1", "both": b"new", "sub/deep": b"2"}
    assert lab.engine.ask("GET", f"/volumes/{source}").status == 200


def test_a_nameless_volume_goes_with_its_container(lab: Lab) -> None:
    """`v=1` takes anonymous volumes and leaves named ones."""
    name = f"{lab.stack}_named"
    make(lab, name)
    body: Tree = {
        "Image": OLD,
        "Labels": {STACK: lab.stack},
        "HostConfig": {"Mounts": [{"Type": "volume", "Target": "/anonymous"}, volume(name)]},
    }
    identity = text(lab.post("/containers/create", body, status=201), "Id")
    mounts = rows(tree(lab.engine.get(f"/containers/{identity}/json")).get("Mounts"))
    names = {text(mount, "Destination"): text(mount, "Name") for mount in mounts}
    assert lab.engine.ask("DELETE", f"/containers/{identity}", {"v": "1"}).status == 204

    assert names["/data"] == name
    assert lab.engine.ask("GET", f"/volumes/{names['/anonymous']}").status == 404
    assert lab.engine.ask("GET", f"/volumes/{name}").status == 200
    assert lab.engine.ask("GET", f"/containers/{identity}/json").status == 404


def test_a_volume_has_the_options_it_was_made_with(lab: Lab) -> None:
    """None says null; making it once more changes nothing; drivers and options that are unknown are refused."""
    name, plain = f"{lab.stack}_memory", f"{lab.stack}_plain"
    options: Tree = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    lab.post("/volumes/create", {"Name": name, "Driver": "local", "DriverOpts": options}, status=201)
    lab.post("/volumes/create", {"Name": plain, "Driver": "local", "DriverOpts": {}}, status=201)
    lab.post("/volumes/create", {"Name": name, "DriverOpts": options, "Labels": {"a": "b"}}, status=201)
    # The real Engine looks for a plugin for 15 s before it says that there is none.
    strange = lab.engine.ask("POST", "/volumes/create", body={"Name": "xx", "Driver": "nothing"}, seconds=60)
    wrong = lab.engine.ask("POST", "/volumes/create", body={"Name": "xx", "DriverOpts": {"odd": "1"}})

    assert tree(lab.engine.get(f"/volumes/{name}"), "Options") == options
    assert tree(lab.engine.get(f"/volumes/{name}")).get("Labels") is None
    assert tree(lab.engine.get(f"/volumes/{plain}")).get("Options") in (None, {})
    assert (strange.status, wrong.status) == (404, 400)
    assert strange.message.endswith('error looking up volume plugin nothing: plugin "nothing" not found')
    assert wrong.message == 'create xx: invalid option: "odd"'


# -- moving content ---------------------------------------------------------------------------------------


def make(lab: Lab, name: str) -> None:
    """Make a volume with the stack's label."""
    lab.post("/volumes/create", {"Name": name, "Labels": {STACK: lab.stack}}, status=201)


@contextmanager
def carrier(lab: Lab, name: str) -> Iterator[str]:
    """A container of the app's image with the volume at `/__v`, never started; gone afterwards."""
    mount: Json = [{"Type": "volume", "Source": name, "Target": "/__v"}]
    body: Tree = {"Image": OLD, "Labels": {STACK: lab.stack}, "HostConfig": {"Mounts": mount}}
    identity = text(lab.post("/containers/create", body, status=201), "Id")
    try:
        yield identity
    finally:
        assert lab.engine.ask("DELETE", f"/containers/{identity}", {"v": "1"}).status == 204


def content(lab: Lab, name: str) -> dict[str, bytes]:
    """The files of a volume by their paths."""
    with (
        carrier(lab, name) as identity,
        tarfile.open(fileobj=io.BytesIO(fetch(lab, identity, "/__v"))) as tar,
    ):
        files = {
            member.name.removeprefix("__v/"): tar.extractfile(member) for member in tar if member.isfile()
        }
        return {path: file.read() for path, file in files.items() if file is not None}


def fetch(lab: Lab, identity: str, path: str) -> bytes:
    """The archive of a path."""
    status, body, headers = lab.raw("GET", f"/containers/{identity}/archive", {"path": path})
    assert status == 200, body
    assert headers["content-type"] == "application/x-tar"
    assert headers["x-docker-container-path-stat"]
    return body


def fetch_status(lab: Lab, identity: str, path: str) -> int:
    """How the Engine answers for a path."""
    return lab.raw("GET", f"/containers/{identity}/archive", {"path": path})[0]


def put(lab: Lab, identity: str, path: str, data: bytes) -> int:
    """Unpack an archive there."""
    return lab.raw("PUT", f"/containers/{identity}/archive", {"path": path}, data=data)[0]


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    """An archive's members by name."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {member.name: member for member in tar}


def archive(files: dict[str, bytes], root: tuple[str, int, int, int] | None = None) -> bytes:
    """Make an archive: first a folder with mode, owner and group where one is given, then files."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        if root is not None:
            folder = tarfile.TarInfo(root[0])
            folder.type, folder.mode, folder.uid, folder.gid = tarfile.DIRTYPE, *root[1:]
            tar.addfile(folder)
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return whole.getvalue()


def image(task: Tree) -> str:
    """A task's image."""
    return text(task, "Spec", "ContainerSpec", "Image")
