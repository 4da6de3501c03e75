"""Routes of services."""

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
from ccci_upgrade.practice.engine.specs import RPC, read_spec
from ccci_upgrade.practice.engine.things import Container, Service, State
from ccci_upgrade.practice.engine.tree import Json, Tree, copied, labels, rows, sub, text
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, new_id, stamp


def listed(host: Host, request: Request, _: str) -> Answer:
    """List services."""
    given = known_filters(filters(request), "id name label mode runtime")
    status = request.flag("status")
    found = [each for each in host.world.services.values() if _fits(each, given)]
    return as_json([_shown(host, each, status=status) for each in found])


def create(host: Host, request: Request, _: str) -> Answer:
    """Create a service."""
    world = host.world
    spec = read_spec(host, body_of(request), None)
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
    spec = read_spec(host, body_of(request), service)
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
]
