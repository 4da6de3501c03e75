"""Containers as the API shows them, and the filters of their list."""

from collections.abc import Callable

from ccci_upgrade import clock
from ccci_upgrade.practice.engine.images import plain
from ccci_upgrade.practice.engine.routes import has_labels
from ccci_upgrade.practice.engine.things import Container
from ccci_upgrade.practice.engine.tree import Json, Tree, rows, sub, text
from ccci_upgrade.practice.engine.world import World


def fits(world: World, container: Container, given: dict[str, list[str]]) -> bool:
    """Whether a container passes the filters of a list."""
    tests: dict[str, Callable[[list[str]], bool]] = {
        "label": lambda words: has_labels(container.labels, words),
        "id": lambda words: any(container.id.startswith(word) for word in words),
        "name": lambda words: any(word.lstrip("/") in container.name for word in words),
        "status": lambda words: container.state in words,
        "volume": lambda words: any(word in {m.source, m.target} for m in container.mounts for word in words),
        "ancestor": lambda words: any(plain(word) == plain(container.image) for word in words),
        "health": lambda words: (container.health or "none") in words,
        "is-task": lambda words: bool(container.task_id) == (words[:1] in (["true"], ["1"])),
        "network": lambda words: _networked(world, container, words),
    }
    return all(tests[key](words) for key, words in given.items() if key in tests)


def _networked(world: World, container: Container, names: list[str]) -> bool:
    service = world.services.get(container.service_id)
    used = (
        {text(each, "Target") for each in rows(service.spec, "TaskTemplate", "Networks")}
        if service
        else set()
    )
    return any(network.id in used for name in names if (network := world.network(name)))


def summary(world: World, container: Container) -> Tree:
    """A container as lists show it."""
    words = {"created": "Created", "running": "Up", "exited": f"Exited ({container.code})"}
    health = f" ({container.health})" if container.health and container.state == "running" else ""
    known = world.images.local(container.image)
    moment = clock.parse_stamp(container.created)
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image,
        "ImageID": known.id if known else "",
        "Command": "/app",
        "Created": int(moment.timestamp()) if moment else 0,
        "Ports": [],
        "Labels": dict(container.labels),
        "State": container.state,
        "Status": words[container.state] + health,
        "HostConfig": {"NetworkMode": "default"},
        "NetworkSettings": {"Networks": {}},
        "Mounts": _mounted(world, container),
    }


def _mounted(world: World, container: Container) -> list[Json]:
    shown: list[Json] = []
    for mount in container.mounts:
        volume = world.volumes.get(mount.source) if mount.kind == "volume" else None
        one: Tree = {
            "Type": mount.kind,
            "Source": str(volume.folder) if volume else mount.source,
            "Destination": mount.target,
            "Mode": "z" if volume else "",
            "RW": not mount.read_only,
            "Propagation": "",
        }
        shown.append(one | {"Name": mount.source, "Driver": "local"} if mount.kind == "volume" else one)
    return shown


def shown(world: World, container: Container) -> Tree:
    """A container as it is inspected."""
    running = container.state == "running"
    known = world.images.local(container.image)
    state: Tree = {
        "Status": container.state,
        "Running": running,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": container.pid,
        "ExitCode": container.code,
        "Error": "",
        "StartedAt": container.started,
        "FinishedAt": container.finished,
    }
    if container.health:
        state["Health"] = {"Status": container.health, "FailingStreak": container.failing, "Log": []}
    env: list[Json] = [f"{name}={value}" for name, value in container.env.items()]
    return {
        "Id": container.id,
        "Created": container.created,
        "Path": "/app",
        "Args": [],
        "State": state,
        "Image": known.id if known else "",
        "Name": f"/{container.name}",
        "RestartCount": 0,
        "Driver": "practice",
        "Platform": "linux",
        "HostConfig": {"NetworkMode": "default"},
        "Config": {
            "Image": container.image,
            "Env": env,
            "Labels": dict(container.labels),
            "Tty": False,
            "Healthcheck": sub(container.spec, "Healthcheck") or None,
            "WorkingDir": "",
            "Cmd": ["/app"],
        },
        "Mounts": _mounted(world, container),
        "NetworkSettings": {"Networks": {}, "Ports": {}},
    }
