"""Routes of tasks."""

from ccci_upgrade.practice.engine.routes import Host, Route, filters, has_labels, known_filters
from ccci_upgrade.practice.engine.things import Container, State, Task
from ccci_upgrade.practice.engine.tree import Json, Tree, labels, rows, text
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError


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


ROUTES = [
    Route(method="GET", path="/tasks", answer=tasks),
    Route(method="GET", path="/tasks/{id}", answer=task),
]
