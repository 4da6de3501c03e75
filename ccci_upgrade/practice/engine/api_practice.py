"""Routes that no real Engine has: what this one is, faults on purpose, and its end."""

import os
from collections.abc import Callable

from ccci_upgrade import clock
from ccci_upgrade.practice.engine.routes import Host, Route, body_of
from ccci_upgrade.practice.engine.things import Service
from ccci_upgrade.practice.engine.tree import Json, Tree, number, sub
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError

LONGEST = 3600.0
"""Seconds a freeze or a delay may last."""


def state(host: Host, request: Request, _: str) -> Answer:
    """Say what this is and what is wrong on purpose."""
    del request
    world, faults = host.world, host.world.faults
    status: Tree = dict(faults.status)
    ports: list[Json] = [*host.doors.ports]
    missing: list[Json] = [*host.doors.missing]
    bugs: list[Json] = [*host.clockwork.bugs]
    return as_json(
        {
            "pid": os.getpid(),
            "folder": str(world.folder),
            "started": world.started,
            "ports": ports,
            "ports_missing": missing,
            "bugs": bugs,
            "faults": {
                "frozen": max(0.0, faults.frozen_until - clock.ticks()),
                "slow": faults.slow,
                "status": status,
                "loop": [*sorted(faults.loops)],
                "unhealthy": [*sorted(_sick(host))],
            },
        }
    )


def stop(host: Host, request: Request, _: str) -> Answer:
    """End, after this was answered."""
    del request
    host.clockwork.after(0.1, host.stop)
    return as_json({"stopping": True})


def fault(host: Host, request: Request, _: str) -> Answer:
    """Break something, or heal what can be healed."""
    given = body_of(request)
    named = [name for name in FAULTS if name in given]
    if len(named) != 1:
        raise RefusedError(400, f"name one fault: {', '.join(sorted(FAULTS))}")
    FAULTS[named[0]](host, given)
    host.clockwork.touch()
    return state(host, request, "")


def _sick(host: Host) -> list[str]:
    """Services whose health is bad on purpose: until their next deploy."""
    specs = {str(each.spec["Name"]): each.spec_version for each in host.world.services.values()}
    return [name for name, version in host.world.faults.unhealthy.items() if specs.get(name) == version]


def _crash(host: Host, given: Tree) -> None:
    service = _service(host, given["crash"])
    running = host.world.running(service.id)
    if not running:
        raise RefusedError(400, f"service {given['crash']} has no running task")
    for container in running:
        host.containers.crash(container, _code(given, 3))


def _unhealthy(host: Host, given: Tree) -> None:
    service = _service(host, given["unhealthy"])
    if not sub(service.spec, "TaskTemplate", "ContainerSpec", "Healthcheck"):
        raise RefusedError(400, f"service {given['unhealthy']} has no health check")
    host.world.faults.unhealthy[str(service.spec["Name"])] = service.spec_version


def _loop(host: Host, given: Tree) -> None:
    service = _service(host, given["loop"])
    host.world.faults.loops[str(service.spec["Name"])] = _code(given, 3)


def _freeze(host: Host, given: Tree) -> None:
    seconds = _seconds(given, "freeze")
    host.world.faults.frozen_until = clock.ticks() + seconds
    host.clockwork.after(seconds + 0.01, host.clockwork.touch)


def _slow(host: Host, given: Tree) -> None:
    host.world.faults.slow = _seconds(given, "slow")


def _status(host: Host, given: Tree) -> None:
    wanted = sub(given, "status")
    codes = {name: code for name, code in wanted.items() if isinstance(code, int) and 100 <= code <= 599}  # noqa: PLR2004 - HTTP
    if not wanted or len(codes) != len(wanted):
        raise RefusedError(400, 'status must be {"SERVICE": HTTP STATUS}')
    for name in codes:
        _service(host, name)
    host.world.faults.status.update(codes)


def _remove_volume(host: Host, given: Tree) -> None:
    name = given["remove_volume"]
    if not isinstance(name, str) or name not in host.world.volumes:
        raise RefusedError(404, f"no such volume: {name}")
    host.world.remove_volume(name)


def _forget_image(host: Host, given: Tree) -> None:
    ref = given["forget_image"]
    if not isinstance(ref, str) or host.world.images.local(ref) is None:
        raise RefusedError(404, f"no such image here: {ref}")
    host.world.images.remove(ref)


def _clear(host: Host, given: Tree) -> None:
    if given["clear"] is not True:
        raise RefusedError(400, "clear must be true")
    faults = host.world.faults
    faults.frozen_until, faults.slow = 0.0, 0.0
    faults.status.clear()
    faults.loops.clear()
    faults.unhealthy.clear()
    host.world.images.restore()


FAULTS: dict[str, Callable[[Host, Tree], None]] = {
    "crash": _crash,
    "unhealthy": _unhealthy,
    "freeze": _freeze,
    "slow": _slow,
    "remove_volume": _remove_volume,
    "status": _status,
    "loop": _loop,
    "forget_image": _forget_image,
    "clear": _clear,
}


def _service(host: Host, name: Json) -> Service:
    service = host.world.service(name) if isinstance(name, str) else None
    if service is None:
        raise RefusedError(404, f"service {name} not found")
    return service


def _code(given: Tree, default: int) -> int:
    return int(number(given, "code", default=default)) & 255 or default


def _seconds(given: Tree, name: str) -> float:
    value = number(given, name, default=-1.0)
    if not 0 <= value <= LONGEST:
        raise RefusedError(400, f"{name} must be seconds, 0 to {LONGEST:.0f}")
    return value


ROUTES = [
    Route(method="GET", path="/_practice", answer=state),
    Route(method="POST", path="/_practice/fault", answer=fault),
    Route(method="POST", path="/_practice/stop", answer=stop),
]
