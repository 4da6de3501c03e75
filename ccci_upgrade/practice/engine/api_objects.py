"""Routes of networks and volumes."""

from collections.abc import Callable

from ccci_upgrade.practice.engine.routes import Host, Route, body_of, filters, has_labels
from ccci_upgrade.practice.engine.specs import RPC
from ccci_upgrade.practice.engine.things import Network, Volume
from ccci_upgrade.practice.engine.tree import Tree, labels, rows, text
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, new_id


def networks(host: Host, request: Request, _: str) -> Answer:
    """List networks."""
    given = filters(request)
    tests: dict[str, Callable[[Network, list[str]], bool]] = {
        "id": lambda each, words: any(each.id.startswith(word) for word in words),
        "name": lambda each, words: any(word in each.name for word in words),
        "label": lambda each, words: has_labels(each.labels, words),
        "driver": lambda each, words: each.driver in words,
        "scope": lambda each, words: _scope(each) in words,
    }
    found = [
        each
        for each in host.world.networks.values()
        if all(tests[key](each, words) for key, words in given.items() if key in tests)
    ]
    return as_json([_network(each) for each in found])


def create_network(host: Host, request: Request, _: str) -> Answer:
    """Create a network."""
    spec = body_of(request)
    name = text(spec, "Name")
    if not name:
        raise RefusedError(400, "invalid network name: a name is needed")
    if host.world.network(name) is not None:
        raise RefusedError(409, f"network with name {name} already exists")
    network = host.world.add_network(
        name,
        text(spec, "Driver") or "bridge",
        labels(spec, "Labels"),
        attachable=spec.get("Attachable") is True,
    )
    return as_json({"Id": network.id, "Warning": ""}, 201)


def network(host: Host, request: Request, name: str) -> Answer:
    """Describe a network."""
    del request
    return as_json(_network(_network_named(host, name)))


def remove_network(host: Host, request: Request, name: str) -> Answer:
    """Delete a network that no service uses."""
    del request
    found = _network_named(host, name)
    for service in host.world.services.values():
        used = [*rows(service.spec, "TaskTemplate", "Networks"), *rows(service.spec, "Networks")]
        if found.id in {text(each, "Target") for each in used}:
            said = f"network {found.id} is in use by service {service.id}"
            raise RefusedError(400, f"{RPC} FailedPrecondition desc = {said}")
    if found.name in {"bridge", "host", "none"}:
        raise RefusedError(403, f"{found.name} is a pre-defined network and cannot be removed")
    del host.world.networks[found.id]
    host.world.events.tell("network", "remove", found.id, {"name": found.name, "type": found.driver})
    return Answer(status=204)


def volumes(host: Host, request: Request, _: str) -> Answer:
    """List volumes."""
    given = filters(request)
    found = [
        each
        for each in host.world.volumes.values()
        if has_labels(each.labels, given.get("label", []))
        and (not given.get("name") or any(word in each.name for word in given["name"]))
        and ("dangling" not in given or _idle(host, each) == (given["dangling"][:1] in (["true"], ["1"])))
    ]
    return as_json({"Volumes": [_volume(each) for each in found], "Warnings": None})


def create_volume(host: Host, request: Request, _: str) -> Answer:
    """Create a volume, or give the one of that name."""
    spec = body_of(request) if request.body.strip() else {}
    name = text(spec, "Name") or new_id()
    driver, options = text(spec, "Driver") or "local", labels(spec, "DriverOpts")
    if driver != "local":
        said = f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        raise RefusedError(404, said)
    if unknown := sorted(options.keys() - {"type", "o", "device", "size"}):
        raise RefusedError(400, f'create {name}: invalid option: "{unknown[0]}"')
    return as_json(_volume(host.world.volume(name, labels(spec, "Labels"), options)), 201)


def volume(host: Host, request: Request, name: str) -> Answer:
    """Describe a volume."""
    del request
    return as_json(_volume(_volume_named(host, name)))


def remove_volume(host: Host, request: Request, name: str) -> Answer:
    """Delete a volume that no container mounts; one that never ran or has ended counts too."""
    if request.flag("force") and name not in host.world.volumes:
        return Answer(status=204)
    found = _volume_named(host, name)
    if users := [each.id for each in host.world.users_of(name)]:
        raise RefusedError(409, f"remove {name}: volume is in use - [{', '.join(users)}]")
    host.world.remove_volume(found.name)
    return Answer(status=204)


def _idle(host: Host, volume: Volume) -> bool:
    return not host.world.users_of(volume.name)


def _volume_named(host: Host, name: str) -> Volume:
    if name not in host.world.volumes:
        raise RefusedError(404, f"get {name}: no such volume")
    return host.world.volumes[name]


def _network_named(host: Host, name: str) -> Network:
    found = host.world.network(name)
    if found is None:
        begun = [each for each in host.world.networks.values() if each.id.startswith(name)]
        found = begun[0] if len(begun) == 1 else None
    if found is None:
        raise RefusedError(404, f"network {name} not found")
    return found


def _volume(volume: Volume) -> Tree:
    return {
        "CreatedAt": f"{volume.created[:19]}Z",
        "Driver": "local",
        "Labels": dict(volume.labels) or None,
        "Mountpoint": str(volume.folder),
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }


def _scope(network: Network) -> str:
    return "swarm" if network.driver == "overlay" else "local"


def _network(network: Network) -> Tree:
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": _scope(network),
        "Driver": network.driver,
        "EnableIPv6": False,
        "IPAM": {"Driver": "default", "Options": None, "Config": []},
        "Internal": False,
        "Attachable": network.attachable,
        "Ingress": network.ingress,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": None,
        "Options": None,
        "Labels": dict(network.labels),
    }


ROUTES = [
    Route(method="GET", path="/networks", answer=networks),
    Route(method="POST", path="/networks/create", answer=create_network),
    Route(method="GET", path="/networks/{id}", answer=network),
    Route(method="DELETE", path="/networks/{id}", answer=remove_network),
    Route(method="GET", path="/volumes", answer=volumes),
    Route(method="POST", path="/volumes/create", answer=create_volume),
    Route(method="GET", path="/volumes/{id}", answer=volume),
    Route(method="DELETE", path="/volumes/{id}", answer=remove_volume),
]
