"""Swarm secrets read where they are to be had: in the running containers that mount them.

They lie on a tmpfs in the container's mount namespace, which the archive API does not see, and the Engine gives
none out. So `cat` of the container's own image prints them. Only containers on this node can be asked.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from ccci_upgrade.errors import EngineError
from ccci_upgrade.model.keptsecrets import (
    LARGEST,
    Hidden,
    KeptSecret,
    OpenSecret,
    SecretFile,
    Unread,
    split_name,
)
from ccci_upgrade.model.swarm import Stack, Task
from ccci_upgrade.tools.engine import Engine, Json
from ccci_upgrade.tools.execs import run

FOLDER = PurePosixPath("/run/secrets")

SECONDS = 10.0
"""Seconds for one program."""

PROGRAMS = (("cat",), ("/bin/cat",), ("/bin/busybox", "cat"))
"""What may print a file, in the order it is tried."""

CANNOT_START = (126, 127)


def mounted(engine: Engine, stack: Stack) -> tuple[KeptSecret, ...]:
    """The secrets that the stack's services mount, by name."""
    named: dict[str, list[SecretFile]] = {}
    for service in stack.services:
        found = engine.find(f"/services/{service.id}") if service.secrets else None
        for name, file in _references(found, service.name):
            named.setdefault(name, []).append(file)
    labels = _labels(engine) if named else {}
    return tuple(
        _kept(stack.name, name, labels.get(name, {}), files) for name, files in sorted(named.items())
    )


def read(engine: Engine, stack: Stack, *, node: str) -> tuple[tuple[OpenSecret, ...], tuple[Unread, ...]]:
    """Read every secret of a running stack from a container on `node`; what cannot be read is there by name.

    EngineError where the Engine itself is gone.
    """
    opened, reasons = [], _unnamed(stack)
    for about in mounted(engine, stack):
        reasons[about.swarm_name] = []
        value = _read(engine, stack, about, node, reasons[about.swarm_name])
        if value is not None:
            del reasons[about.swarm_name]
            opened.append(OpenSecret(about=about, value=value))
    unread = (Unread(swarm_name=name, reason="; ".join(why)) for name, why in sorted(reasons.items()))
    return tuple(opened), tuple(unread)


def _unnamed(stack: Stack) -> dict[str, list[str]]:
    """Why each secret of the stack is not read, until something better is known."""
    gone = "its spec names it no longer, or not as a file"
    return {name: [f"{each.name}: {gone}"] for each in stack.services for name in each.secrets}


def _read(engine: Engine, stack: Stack, about: KeptSecret, node: str, reasons: list[str]) -> Hidden | None:
    for file in about.files:
        tasks = list(_tasks(stack, file.service))
        here = [task for task in tasks if task.node_id == node and task.container_id.isalnum()]
        if not here:
            reasons.append(
                f"{file.service}: {'its tasks run on another node' if tasks else 'no task of it runs'}"
            )
        for task in here[:1]:
            try:
                return _of(engine, task.container_id, file)
            except EngineError as error:
                if error.code == "engine-unreachable":
                    raise
                reasons.append(f"{file.service}: {error.message}")
    return None


def _of(engine: Engine, container: str, file: SecretFile) -> Hidden:
    """Read it twice: where an answer that broke off passed for a whole one, the other shows it."""
    first = _printed(engine, container, file)
    if not first or first != _printed(engine, container, file):
        raise EngineError("it could not be read whole")
    return Hidden(first)


def _printed(engine: Engine, container: str, file: SecretFile) -> bytes:
    """Have it printed as root, then as its owner: a container's root may be without rights.

    What the program says goes into no message: it may be the secret itself.
    """
    path = str(FOLDER / file.file)
    owner = [f"{file.uid}:{file.gid}"] if file.uid.isdecimal() and file.gid.isdecimal() else []
    users = dict.fromkeys(("0:0", *owner))
    code = CANNOT_START[0]
    for program in PROGRAMS:
        for user in users:
            ended = run(engine, container, [*program, path], user=user, limit=LARGEST, seconds=SECONDS)
            if ended.code == 0:
                return ended.out
            if ended.code in CANNOT_START:
                break
            code = ended.code
    if code in CANNOT_START:
        raise EngineError("its image has no program that prints a file (cat)")
    raise EngineError(f"cat in its container ended with exit {code}")


def _tasks(stack: Stack, service: str) -> Iterator[Task]:
    """The running tasks of a service that were made from its spec of now, the newest first."""
    of = stack.service(service)
    found = stack.tasks_of(of) if of else ()
    tasks = [each for each in found if of and each.running and each.template_hash == of.template_hash]
    yield from sorted(tasks, key=lambda task: task.created, reverse=True)


def _references(service: Json, name: str) -> Iterator[tuple[str, SecretFile]]:
    spec = _sub(_sub(_sub(service, "Spec"), "TaskTemplate"), "ContainerSpec")
    for each in _rows(spec.get("Secrets")):
        swarm_name, file = _object(each).get("SecretName"), _sub(each, "File")
        path, mode = file.get("Name"), file.get("Mode")
        if isinstance(swarm_name, str) and isinstance(path, str):
            yield (
                swarm_name,
                SecretFile(
                    service=name,
                    file=path,
                    uid=str(file.get("UID", "0")),
                    gid=str(file.get("GID", "0")),
                    mode=mode if isinstance(mode, int) else 0o444,
                ),
            )


def _labels(engine: Engine) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for each in _rows(engine.get("/secrets")):
        spec = _sub(each, "Spec")
        name, labels = spec.get("Name"), _sub(spec, "Labels")
        if isinstance(name, str):
            found[name] = {key: value for key, value in labels.items() if isinstance(value, str)}
    return found


def _kept(stack: str, swarm_name: str, labels: dict[str, str], files: list[SecretFile]) -> KeptSecret:
    name, version = split_name(stack, swarm_name)
    return KeptSecret(swarm_name=swarm_name, name=name, version=version, labels=labels, files=tuple(files))


def _rows(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _object(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _sub(value: Json, key: str) -> dict[str, Json]:
    return _object(_object(value).get(key))
