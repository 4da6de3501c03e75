"""The table of all routes: what is spoken here, and by whom it is answered. Everything else is 501."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ccci_upgrade.practice.engine.clockwork import Clockwork
from ccci_upgrade.practice.engine.containers import Containers
from ccci_upgrade.practice.engine.doors import Doors
from ccci_upgrade.practice.engine.orchestrator import Tasks
from ccci_upgrade.practice.engine.reconcile import Reconciler
from ccci_upgrade.practice.engine.tree import PORTS, Json, rows, sub
from ccci_upgrade.practice.engine.wire import Answer, Request
from ccci_upgrade.practice.engine.world import RefusedError, World


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """Everything a route may need."""

    world: World
    containers: Containers
    tasks: Tasks
    reconciler: Reconciler
    doors: Doors
    stop: Callable[[], None]

    @property
    def clockwork(self) -> Clockwork:
        """The clockwork, whose lock routes are called under."""
        return self.world.clockwork


Handler = Callable[[Host, Request, str], Answer]


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """One route. `{id}` stands for one part of a path, `{ref}` for what may hold slashes too."""

    method: str
    path: str
    answer: Handler

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a path must look like; at most one group."""
        text = re.escape(self.path).replace(r"\{id\}", "([^/]+)").replace(r"\{ref\}", "(.+)")
        return re.compile(text)


class Table:
    """Routes in the order they are tried."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self._compiled = [(route, route.pattern) for route in routes]

    def find(self, method: str, path: str) -> tuple[Route, str] | None:
        """The route for a request, and its id; None where there is none."""
        for route, pattern in self._compiled:
            found = pattern.fullmatch(path) if route.method == method else None
            if found is not None:
                return route, found[1] if found.groups() else ""
        return None


def filters(request: Request) -> dict[str, list[str]]:
    """The `filters` of a query, in both shapes Docker takes: lists of words, or words that are true."""
    if not request.query.get("filters"):
        return {}
    given = Request(
        method="", path="", query={}, headers={}, body=request.query["filters"].encode(errors="replace")
    ).json
    if not isinstance(given, dict):
        raise RefusedError(400, "invalid filter")
    found: dict[str, list[str]] = {}
    for key, value in given.items():
        several = list(value) if isinstance(value, dict) else value if isinstance(value, list) else []
        found[key] = [word for word in several if isinstance(word, str)]
    return found


def has_labels(labels: dict[str, str], wanted: list[str]) -> bool:
    """Whether labels hold every `name` or `name=value`."""
    for word in wanted:
        name, equals, value = word.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    return True


def known_filters(given: dict[str, list[str]], known: str) -> dict[str, list[str]]:
    """Refuse a filter that is not known, as the Engine does."""
    for key in given:
        if key not in known.split():
            raise RefusedError(400, f"invalid filter '{key}'")
    return given


def body_of(request: Request) -> dict[str, Json]:
    """The body as an object. RefusedError where it is none."""
    value = request.json
    if not isinstance(value, dict):
        raise RefusedError(400, "invalid JSON: the body is not an object")
    return value


def ports_of(spec: dict[str, Json], mode: str) -> list[int]:
    """The published ports of an endpoint spec, of one mode."""
    found = rows(sub(spec, "EndpointSpec"), "Ports")
    ports = [each.get("PublishedPort") for each in found if (each.get("PublishMode") or "ingress") == mode]
    return [port for port in ports if isinstance(port, int) and port in PORTS]
