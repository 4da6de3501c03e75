"""Routes of containers."""

from ccci_upgrade.practice.engine.containerviews import fits, shown, summary
from ccci_upgrade.practice.engine.images import plain
from ccci_upgrade.practice.engine.logs import frames
from ccci_upgrade.practice.engine.routes import Host, Route, body_of, filters
from ccci_upgrade.practice.engine.things import Container, Mount
from ccci_upgrade.practice.engine.tree import Json, Tree, copied, env_of, labels, rows, sub, text, words
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, World, hex_id

GRACE = 10.0


def listed(host: Host, request: Request, _: str) -> Answer:
    """List containers: those that run, or all."""
    given = filters(request)
    everything = request.flag("all") or bool(given.get("status"))
    found = [
        each
        for each in reversed(host.world.containers.values())
        if (everything or each.state == "running") and fits(host.world, each, given)
    ]
    return as_json([summary(host.world, each) for each in found])


def create(host: Host, request: Request, _: str) -> Answer:
    """Create a container; it is not started."""
    spec = copied(body_of(request))
    image = text(spec, "Image")
    if host.world.images.local(image) is None:
        raise RefusedError(404, f"No such image: {plain(image)}")
    name = request.query.get("name", "").lstrip("/") or f"practice_{hex_id()[:8]}"
    for each in host.world.containers.values():
        if each.name == name:
            said = f'The container name "/{name}" is already in use by container "{each.id}".'
            raise RefusedError(409, f"Conflict. {said} You have to remove (or rename) that container.")
    mounts = _mounts(host.world, sub(spec, "HostConfig"))
    spec["Labels"] = dict(labels(spec, "Labels"))
    container = host.world.add_container(name, spec, mounts, env_of(spec.get("Env")))
    return as_json({"Id": container.id, "Warnings": []}, 201)


def inspect(host: Host, request: Request, name: str) -> Answer:
    """Describe a container."""
    del request
    return as_json(shown(host.world, _named(host, name)))


def start(host: Host, request: Request, name: str) -> Answer:
    """Start a container."""
    del request
    container = _named(host, name)
    if container.state == "running":
        return Answer(status=304)
    host.containers.start(container, [])
    return Answer(status=204)


def stop(host: Host, request: Request, name: str) -> Answer:
    """Stop a container, and answer when it has ended."""
    container = _named(host, name)
    if container.state != "running":
        return Answer(status=304)
    grace = request.query.get("t", "")
    host.clockwork.go(host.containers.stop(container, float(grace) if grace.isdecimal() else GRACE))
    host.clockwork.wait_for(lambda: container.state != "running")
    return Answer(status=204)


def kill(host: Host, request: Request, name: str) -> Answer:
    """Kill a container; only TERM lets it end by itself."""
    container = _named(host, name)
    if container.state != "running":
        raise RefusedError(409, f"Cannot kill container: {name}: container {container.id} is not running")
    signal = request.query.get("signal", "KILL").removeprefix("SIG").upper()
    polite = signal in {"TERM", "15", "INT", "2"}
    host.world.tell(container, "kill", signal="15" if polite else "9")
    if not polite:
        host.containers.exit(container, 137)
    elif not container.env.get("IGNORE_TERM"):
        host.containers.exit(container, 0)
    return Answer(status=204)


def wait(host: Host, request: Request, name: str) -> Answer:
    """Answer when a container has ended."""
    container = _named(host, name)
    began = container.state == "running" or request.query.get("condition") == "next-exit"
    if began:
        host.clockwork.wait_for(lambda: container.state == "exited")
    return as_json({"StatusCode": container.code, "Error": None})


def remove(host: Host, request: Request, name: str) -> Answer:
    """Remove a container, with `v` its unnamed volumes too."""
    container = _named(host, name)
    if container.state == "running":
        if not request.flag("force"):
            said = f"You cannot remove a running container {container.id}."
            raise RefusedError(409, f"{said} Stop the container before attempting removal or force remove")
        host.containers.exit(container, 137)
    host.world.remove_container(container)
    for mount in container.mounts if request.flag("v") else []:
        unnamed = mount.kind == "volume" and len(mount.source) == 64  # noqa: PLR2004 - the length of an id
        if unnamed and mount.source in host.world.volumes and not host.world.users_of(mount.source):
            host.world.remove_volume(mount.source)
    return Answer(status=204)


def logs(host: Host, request: Request, name: str) -> Answer:
    """What a container printed."""
    body = frames(host, request, [_named(host, name)])
    return Answer(body=body, kind="application/vnd.docker.raw-stream")


def prune(host: Host, request: Request, _: str) -> Answer:
    """Remove every container that does not run."""
    del request
    idle = [each for each in host.world.containers.values() if each.state != "running"]
    for each in idle:
        host.world.remove_container(each)
    names: list[Json] = [each.id for each in idle]
    return as_json({"ContainersDeleted": names, "SpaceReclaimed": 0})


def named(host: Host, name: str) -> Container:
    """A container by id or name. RefusedError where there is none."""
    return _named(host, name)


def _named(host: Host, name: str) -> Container:
    container = host.world.container(name)
    if container is None:
        raise RefusedError(404, f"No such container: {name}")
    return container


def _mounts(world: World, how: Tree) -> list[Mount]:
    found = [
        Mount(
            kind=text(each, "Type") or "volume",
            source=text(each, "Source") or hex_id(),
            target=text(each, "Target"),
            read_only=each.get("ReadOnly") is True,
        )
        for each in rows(how, "Mounts")
    ]
    for word in words(how, "Binds"):
        source, _, rest = word.partition(":")
        target, _, mode = rest.partition(":")
        kind = "bind" if source.startswith("/") else "volume"
        found.append(Mount(kind=kind, source=source, target=target, read_only="ro" in mode.split(",")))
    for mount in found:
        if mount.kind == "volume":
            world.volume(mount.source, {})
    return found


ROUTES = [
    Route(method="GET", path="/containers/json", answer=listed),
    Route(method="POST", path="/containers/create", answer=create),
    Route(method="POST", path="/containers/prune", answer=prune),
    Route(method="GET", path="/containers/{id}/json", answer=inspect),
    Route(method="POST", path="/containers/{id}/start", answer=start),
    Route(method="POST", path="/containers/{id}/stop", answer=stop),
    Route(method="POST", path="/containers/{id}/kill", answer=kill),
    Route(method="POST", path="/containers/{id}/wait", answer=wait),
    Route(method="DELETE", path="/containers/{id}", answer=remove),
    Route(method="GET", path="/containers/{id}/logs", answer=logs),
]
