"""Shapes of services: a hash of a spec that stays the same when an app is deployed anew, on another Swarm too.

A spec names networks, secrets and configs by ids that every Swarm makes anew, and holds what is no setting: a counter
of forced updates, the runtime. Left out as well is what a lock records on its own: images, the names of secrets, of
configs and of volumes, and abra's own labels. What is empty counts as missing, for Engines differ in it.
"""

from collections.abc import Iterator, Mapping

from ccci_upgrade.errors import EngineError
from ccci_upgrade.model.appnow import Shape
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools.engine import Engine, Json
from ccci_upgrade.tools.swarm import spec_hash

_DROPPED = {
    "TaskTemplate": ("ForceUpdate", "Runtime"),
    "ContainerSpec": ("Image", "Isolation"),
    "Placement": ("Platforms",),  # as a registry told that deploy, where one answered
    "Secrets": ("SecretID", "SecretName"),
    "Configs": ("ConfigID", "ConfigName"),
}
"""Keys that are left out, by the key of the object (or of the list of objects) that has them."""

_OURS = ("com.docker.stack.image", "coop-cloud.")
"""How labels begin that say nothing of how a service runs."""

_UNORDERED = ("Networks", "Secrets", "Configs", "Mounts", "Ports", "Env", "Aliases")


def read_shapes(engine: Engine) -> dict[str, Shape]:
    """The shape of every service of the Swarm, by its full name; two questions."""
    networks = {_text(raw, "Id"): _text(raw, "Name") for raw in _objects(engine.get("/networks"))}
    found = {}
    for raw in _objects(engine.get("/services")):
        spec, previous = raw.get("Spec"), raw.get("PreviousSpec")
        if isinstance(spec, dict):
            before = previous if isinstance(previous, dict) else None
            found[_text(spec, "Name")] = shape_of(spec, networks, before)
    return found


def shape_of(
    spec: Mapping[str, Json], networks: Mapping[str, str], previous: Mapping[str, Json] | None = None
) -> Shape:
    """The shape of one spec, and what makes it differ from the one before; `networks` are names by id."""
    try:
        now = _plain(_mode(dict(spec)), "Spec", networks)
        before = None if previous is None else _plain(_mode(dict(previous)), "Spec", networks)
        return Shape(
            hash=spec_hash(now),
            previous="" if before is None else spec_hash(before),
            changed=() if before is None else tuple(_changed(before, now)),
        )
    except RecursionError:
        raise EngineError("the Engine's answer is nested too deeply") from None


def _changed(old: Json, new: Json, path: str = "") -> Iterator[str]:
    """The keys that lead to what differs; never a value."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _changed(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield tame_line(path.removeprefix("TaskTemplate."))


def _mode(spec: dict[str, Json]) -> dict[str, Json]:
    """Where the number of replicas is not said, it is one."""
    mode = spec.get("Mode")
    replicated = mode.get("Replicated") if isinstance(mode, dict) else None
    if isinstance(replicated, dict) and "Replicas" not in replicated:
        return spec | {"Mode": {"Replicated": {"Replicas": 1}}}
    return spec


def _plain(value: Json, key: str, networks: Mapping[str, str]) -> Json:
    if isinstance(value, dict):
        kept = {k: _plain(v, k, networks) for k, v in value.items() if _counts(key, k, value)}
        return {k: v for k, v in kept.items() if v not in (None, "", [], {})}
    if isinstance(value, list):
        items = [_plain(each, key, networks) for each in value]
        return sorted(items, key=spec_hash) if key in _UNORDERED else items
    if isinstance(value, str) and key == "Target":
        return networks.get(value, value)
    return value


def _counts(parent: str, key: str, inside: Mapping[str, Json]) -> bool:
    if parent == "Labels":
        return not key.startswith(_OURS)
    if parent == "Mounts" and key == "Source":
        return inside.get("Type") != "volume"
    return key not in _DROPPED.get(parent, ())


def _objects(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Mapping[str, Json], key: str) -> str:
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""
