"""Routes of services and tasks."""

from ccci_upgrade.practice.engine.logs import frames
from ccci_upgrade.practice.engine.orchestrator import wanted_slots
from ccci_upgrade.practice.engine.routes import (
    Host,
    Route,
    body_of,
    filters,
    has_labels,
    known_filters,
    ports_of,
)
from ccci_upgrade.practice.engine.things import Container, Service, State, Task
from ccci_upgrade.practice.engine.tree import Json, Tree, copied, labels, rows, sub, text
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, new_id, stamp

RPC = "rpc error: code ="


def listed(host: Host, request: Request, _: str) -> Answer:
    """List services."""
    given = known_filters(filters(request), "id name label mode runtime")
    status = request.flag("status")
    found = [each for each in host.world.services.values() if _fits(each, given)]
    return as_json([_shown(host, each, status=status) for each in found])


def create(host: Host, request: Request, _: str) -> Answer:
    """Create a service."""
    world = host.world
    spec = _spec(host, body_of(request), None)
    name = text(spec, "Name")
    if any(text(each.spec, "Name") == name for each in world.services.values()):
        said = f"name conflicts with an existing object: service {name} already exists"
        raise RefusedError(409, f"{RPC} AlreadyExists desc = {said}")
    now = stamp()
    service = Service(id=new_id(), spec=spec, index=0, created=now, updated=now)
    world.services[service.id] = service
    world.changed(service)
    service.created = service.updated
    _open_ingress(host, service)
    return as_json({"ID": service.id}, 201)


def inspect(host: Host, request: Request, name: str) -> Answer:
    """Describe a service."""
    del request
    return as_json(_shown(host, _named(host, name), status=False))


def update(host: Host, request: Request, name: str) -> Answer:
    """Give a service another spec, or its previous one."""
    service = _named(host, name)
    version = request.query.get("version", "")
    if not version.isdecimal():
        raise RefusedError(
            400,
            f"invalid service version '{version}': strconv.ParseUint: parsing \"{version}\": invalid syntax",
        )
    spec = _spec(host, body_of(request), service)
    if text(spec, "Name") != text(service.spec, "Name"):
        raise RefusedError(501, f"{RPC} Unimplemented desc = renaming services is not supported")
    if sorted(sub(spec, "Mode")) != sorted(sub(service.spec, "Mode")):
        raise RefusedError(501, f"{RPC} Unimplemented desc = service mode change is not allowed")
    back = request.query.get("rollback") == "previous"
    if back and service.previous is None:
        said = f"service {service.id} does not have a previous spec"
        raise RefusedError(400, f"{RPC} FailedPrecondition desc = {said}")
    if int(version) != service.index:
        raise RefusedError(500, f"{RPC} Unknown desc = update out of sequence")
    _replace(service, service.previous if back and service.previous else spec, back=back)
    host.world.changed(service)
    _open_ingress(host, service)
    return as_json({"Warnings": None})


def remove(host: Host, request: Request, name: str) -> Answer:
    """Delete a service; its tasks go a little later."""
    del request
    service = _named(host, name)
    del host.world.services[service.id]
    _close_ingress(host, service)
    host.reconciler.removed(service)
    host.world.events.tell("service", "remove", service.id, {"name": text(service.spec, "Name")})
    return Answer(kind="text/plain")


def logs(host: Host, request: Request, name: str) -> Answer:
    """What all containers of a service printed."""
    service = _named(host, name)
    found = [task.container for task in host.world.tasks_of(service.id) if task.container]
    return Answer(body=frames(host, request, found), kind="application/vnd.docker.raw-stream")


def tasks(host: Host, request: Request, _: str) -> Answer:
    """List tasks."""
    given = known_filters(filters(request), "id name label service node desired-state _up-to-date runtime")
    world = host.world
    services = given.get("service", [])
    for word in services:
        if world.service(word) is None and not any(task.service_id == word for task in world.tasks.values()):
            raise RefusedError(404, f"service {word} not found")
    named = {service.id for word in services if (service := world.service(word))} | set(services)
    found = [
        task
        for task in world.tasks.values()
        if (not services or task.service_id in named) and _task_fits(host, task, given)
    ]
    return as_json([task_shown(host, task) for task in found])


def task(host: Host, request: Request, name: str) -> Answer:
    """Describe a task."""
    del request
    found = [each for each in host.world.tasks.values() if each.id == name or each.id.startswith(name)]
    if len(found) != 1:
        raise RefusedError(404, f"task {name} not found")
    return as_json(task_shown(host, found[0]))


def task_shown(host: Host, task: Task) -> Tree:
    """A task as the API shows it."""
    status: Tree = {"Timestamp": task.stamp, "State": task.state.name.lower(), "Message": task.message}
    if task.err:
        status["Err"] = task.err
    if task.container is not None:
        status["ContainerStatus"] = _container_status(task.container)
    ports = rows(task.endpoint, "Ports") if task.state == State.RUNNING else []
    bound: list[Json] = [dict(each) for each in ports if each.get("PublishMode") == "host"]
    status["PortStatus"] = {"Ports": bound} if bound else {}
    shown: Tree = {
        "ID": task.id,
        "Version": {"Index": task.index},
        "CreatedAt": task.created,
        "UpdatedAt": task.updated,
        "Labels": {},
        "Spec": task.spec,
        "ServiceID": task.service_id,
        "Slot": task.slot,
        "Status": status,
        "DesiredState": task.desired.name.lower(),
    }
    if not task.slot:
        del shown["Slot"]
    if task.state >= State.ASSIGNED:
        shown["NodeID"] = host.world.node_id
    return shown


def _container_status(container: Container) -> Tree:
    return {"ContainerID": container.id, "PID": container.pid, "ExitCode": container.code}


def _task_fits(host: Host, task: Task, given: dict[str, list[str]]) -> bool:
    service = host.world.services.get(task.service_id)
    name = f"{text(service.spec, 'Name')}.{task.slot}" if service else ""
    states = given.get("desired-state", [])
    begun = [word for key in ("id",) for word in given.get(key, [])]
    names = given.get("name", [])
    # A task's labels are its service's: the Engine filters by them, though it shows none.
    held = labels(service.spec, "Labels") if service else task.labels
    return (
        (not states or task.desired.name.lower() in states)
        and (not begun or any(task.id.startswith(word) for word in begun))
        and (not names or any(name.startswith(word) or task.id.startswith(word) for word in names))
        and has_labels(held, given.get("label", []))
    )


def _fits(service: Service, given: dict[str, list[str]]) -> bool:
    ids, names = given.get("id", []), given.get("name", [])
    return (
        (not ids or any(service.id.startswith(word) for word in ids))
        and (not names or any(text(service.spec, "Name").startswith(word) for word in names))
        and has_labels(labels(service.spec, "Labels"), given.get("label", []))
    )


def _named(host: Host, name: str) -> Service:
    service = host.world.service(name)
    if service is None:
        raise RefusedError(404, f"service {name} not found")
    return service


def _shown(host: Host, service: Service, *, status: bool) -> Tree:
    ports: list[Json] = [dict(each) for each in rows(service.spec, "EndpointSpec", "Ports")]
    shown: Tree = {
        "ID": service.id,
        "Version": {"Index": service.index},
        "CreatedAt": service.created,
        "UpdatedAt": service.updated,
        "Spec": service.spec,
        "Endpoint": {"Spec": sub(service.spec, "EndpointSpec"), **({"Ports": ports} if ports else {})},
    }
    if service.previous is not None:
        shown["PreviousSpec"] = service.previous
    if service.update is not None:
        shown["UpdateStatus"] = service.update
    if status:
        found = host.world.tasks_of(service.id)
        shown["ServiceStatus"] = {
            "RunningTasks": sum(each.state == State.RUNNING for each in found),
            "DesiredTasks": wanted_slots(service),
            "CompletedTasks": 0,
        }
    return shown


def _replace(service: Service, spec: Tree, *, back: bool) -> None:
    was, was_version = service.spec, service.spec_version
    service.spec = copied(spec)
    service.spec_version = service.previous_version if back else service.index
    service.previous, service.previous_version = was, was_version
    service.update = None
    if back:
        service.update = {
            "State": "rollback_started",
            "StartedAt": stamp(),
            "Message": "manually requested rollback",
        }


def _spec(host: Host, given: Tree, service: Service | None) -> Tree:
    """The spec as it is kept: defaults filled in, networks by id, everything it names looked up."""
    spec = copied(given)
    if not text(spec, "Name"):
        raise RefusedError(400, f"{RPC} InvalidArgument desc = meta: name must be provided")
    template = sub(spec, "TaskTemplate")
    container = sub(template, "ContainerSpec")
    if not text(container, "Image"):
        raise RefusedError(
            400, f"{RPC} InvalidArgument desc = ContainerSpec: image reference must be provided"
        )
    spec.setdefault("Labels", {})
    spec.setdefault("Mode", {"Replicated": {"Replicas": 1}})
    replicated = sub(spec, "Mode").get("Replicated")
    if isinstance(replicated, dict):
        replicated.setdefault("Replicas", 1)
    container.setdefault("Isolation", "default")
    template.setdefault("ForceUpdate", 0)
    template.setdefault("Runtime", "container")
    for each in [*rows(template, "Networks"), *rows(spec, "Networks")]:
        network = host.world.network(text(each, "Target"))
        if network is None:
            raise RefusedError(404, f"network {text(each, 'Target')} not found")
        each["Target"] = network.id
    _check_kept(host, container)
    _check_ports(host, spec, service)
    return spec


def _check_kept(host: Host, container: Tree) -> None:
    for key, kept in (("Secret", host.world.secrets), ("Config", host.world.configs)):
        names = [
            text(each, f"{key}Name")
            for each in rows(container, f"{key}s")
            if text(each, f"{key}ID") not in kept
        ]
        if names:
            word = key.lower() if len(names) == 1 else f"{key.lower()}s"
            raise RefusedError(400, f"{RPC} InvalidArgument desc = {word} not found: {', '.join(names)}")


def _check_ports(host: Host, spec: Tree, service: Service | None) -> None:
    for mode in ("ingress", "host"):
        for port in ports_of(spec, mode):
            for other in host.world.services.values():
                taken = ports_of(other.spec, "ingress") + (
                    ports_of(other.spec, "host") if mode == "ingress" else []
                )
                if other is not service and port in taken:
                    said = f"port '{port}' is already in use by service '{text(other.spec, 'Name')}' ({other.id})"
                    raise RefusedError(400, f"{RPC} InvalidArgument desc = {said} as an ingress port")


def _open_ingress(host: Host, service: Service) -> None:
    wanted = set(ports_of(service.spec, "ingress"))
    _close_ingress(host, service, keep=wanted)
    turn = [0]

    def pick() -> Container | None:
        running = [each for each in host.world.running(service.id) if each.serving]
        turn[0] += 1
        return running[turn[0] % len(running)] if running else None

    for port in wanted - set(host.doors.shared(service.id)):
        host.doors.share(service.id, port, pick)


def _close_ingress(host: Host, service: Service, *, keep: set[int] | None = None) -> None:
    for port in host.doors.shared(service.id):
        if port not in (keep or set()):
            host.doors.unshare(service.id, port)


ROUTES = [
    Route(method="GET", path="/services", answer=listed),
    Route(method="POST", path="/services/create", answer=create),
    Route(method="GET", path="/services/{id}", answer=inspect),
    Route(method="POST", path="/services/{id}/update", answer=update),
    Route(method="DELETE", path="/services/{id}", answer=remove),
    Route(method="GET", path="/services/{id}/logs", answer=logs),
    Route(method="GET", path="/tasks", answer=tasks),
    Route(method="GET", path="/tasks/{id}", answer=task),
]
