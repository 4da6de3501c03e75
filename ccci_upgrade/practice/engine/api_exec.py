"""Routes of exec. The one program that practice containers have is `cat`; any other cannot be started.

It prints the secrets that a task mounts, and the files that a container really has: those of its volumes, and what
was put into it. As on a real Engine the words of a failed start come on standard output; only the exit code tells.
"""

import base64
import binascii
import errno
import os
import struct
from collections.abc import Iterator
from pathlib import PurePosixPath

from ccci_upgrade.practice.engine.api_containers import named
from ccci_upgrade.practice.engine.data import place
from ccci_upgrade.practice.engine.routes import Host, Route, body_of
from ccci_upgrade.practice.engine.things import Container, Exec
from ccci_upgrade.practice.engine.tree import Tree, number, rows, sub, text, words
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, hex_id

CANNOT_START = 126
FRAME = 32 * 1024
STDOUT, STDERR = 1, 2
CAT = (("cat",), ("/bin/cat",), ("busybox", "cat"), ("/bin/busybox", "cat"))


def create(host: Host, request: Request, name: str) -> Answer:
    """Remember what is to be run; it is not started."""
    container = named(host, name)
    spec = body_of(request)
    argv = words(spec, "Cmd")
    if not argv:
        raise RefusedError(400, "No exec command specified")
    _running(container)
    attached = ((STDOUT, "AttachStdout"), (STDERR, "AttachStderr"))
    streams = [stream for stream, key in attached if spec.get(key) is True]
    made = Exec(id=hex_id(), container=container, argv=argv, user=text(spec, "User"), streams=streams)
    host.world.execs[made.id] = made
    host.world.tell(container, f"exec_create: {' '.join(argv)}", execID=made.id)
    return as_json({"Id": made.id}, 201)


def start(host: Host, request: Request, name: str) -> Answer:
    """Run it, and give what it prints in Docker's frames."""
    del request
    found = _named(host, name)
    if found.code is not None:
        return _answer([(STDOUT, f"Error: Exec command {found.id} has already run\r\n".encode())])
    _running(found.container)
    host.world.tell(found.container, f"exec_start: {' '.join(found.argv)}", execID=found.id)
    found.code, printed = _run(host, found)
    host.world.tell(found.container, "exec_die", execID=found.id, exitCode=str(found.code))
    return _answer([each for each in printed if each[0] in found.streams])


def inspect(host: Host, request: Request, name: str) -> Answer:
    """Say whether it ended, and how."""
    del request
    found = _named(host, name)
    return as_json(
        {
            "ID": found.id,
            "Running": False,
            "ExitCode": found.code,
            "ProcessConfig": {
                "tty": False,
                "entrypoint": found.argv[0],
                "arguments": list(found.argv[1:]),
                "privileged": False,
                "user": found.user,
            },
            "OpenStdin": False,
            "OpenStdout": STDOUT in found.streams,
            "OpenStderr": STDERR in found.streams,
            "CanRemove": False,
            "ContainerID": found.container.id,
            "DetachKeys": "",
            "Pid": 0,
        }
    )


def _named(host: Host, name: str) -> Exec:
    found = host.world.execs.get(name)
    if found is None:
        raise RefusedError(404, f"No such exec instance: {name}")
    return found


def _running(container: Container) -> None:
    if container.state != "running":
        raise RefusedError(409, f"Container {container.id} is not running")


def _run(host: Host, run: Exec) -> tuple[int, list[tuple[int, bytes]]]:
    head = next((each for each in CAT if tuple(run.argv[: len(each)]) == each), None)
    if head is None:
        name = run.argv[0]
        why = (
            f"stat {name}: no such file or directory" if "/" in name else "executable file not found in $PATH"
        )
        said = f'exec failed: unable to start container process: exec: "{name}": {why}: unknown'
        return CANNOT_START, [(STDOUT, f"OCI runtime exec failed: {said}\r\n".encode())]
    printed, code = [], 0
    for path in run.argv[len(head) :]:
        try:
            printed.append((STDOUT, _content(host, run, path)))
        except OSError as error:
            printed.append((STDERR, f"cat: can't open '{path}': {error.strerror}\n".encode()))
            code = 1
    return code, printed


def _content(host: Host, run: Exec, path: str) -> bytes:
    for each in rows(run.container.spec, "Secrets"):
        file = PurePosixPath("/run/secrets", text(each, "File", "Name"))
        if file == PurePosixPath(os.path.normpath("/" + path.lstrip("/"))):
            _allowed(run.user, sub(each, "File"))
            kept = host.world.secrets.get(text(each, "SecretID"))
            try:
                return base64.b64decode(text(kept.spec, "Data") if kept else "")
            except binascii.Error:
                return b""
    found = place(run.container, host.world, path)
    if not found.resolve().is_relative_to(
        host.world.folder.resolve()
    ):  # a link of the app's to a file of ours
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return found.read_bytes()


def _allowed(user: str, file: Tree) -> None:
    """As the kernel decides: root may, the owner, the group and others by the file's mode."""
    who, _, group = user.partition(":")
    if who in {"", "0", "root"}:
        return
    bit = 0o400 if who == text(file, "UID") else 0o040 if group == text(file, "GID") else 0o004
    if not int(number(file, "Mode")) & bit:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _answer(printed: list[tuple[int, bytes]]) -> Answer:
    body = b"".join(frame for stream, data in printed for frame in _frames(stream, data))
    return Answer(body=body, kind="application/vnd.docker.raw-stream")


def _frames(stream: int, data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), FRAME):
        piece = data[at : at + FRAME]
        yield struct.pack(">BxxxI", stream, len(piece)) + piece


ROUTES = [
    Route(method="POST", path="/containers/{id}/exec", answer=create),
    Route(method="POST", path="/exec/{id}/start", answer=start),
    Route(method="GET", path="/exec/{id}/json", answer=inspect),
]
