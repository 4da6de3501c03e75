"""Routes of configs, secrets, networks and volumes."""

from collections.abc import Callable

from ccci_upgrade.practice.engine.routes import Host, Route, body_of, filters, has_labels, known_filters
from ccci_upgrade.practice.engine.things import Kept, Network, Volume
from ccci_upgrade.practice.engine.tree import Tree, copied, labels, rows, sub, text
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, new_id, stamp

RPC = "rpc error: code ="


class Store:
    """Configs or secrets: `kind` is "config" or "secret". What a secret holds is never shown."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def routes(self) -> list[Route]:
        """The routes of this kind."""
        base = f"/{self.kind}s"
        return [
            Route(method="GET", path=base, answer=self.listed),
            Route(method="POST", path=f"{base}/create", answer=self.create),
            Route(method="GET", path=f"{base}/{{id}}", answer=self.inspect),
            Route(method="POST", path=f"{base}/{{id}}/update", answer=self.update),
            Route(method="DELETE", path=f"{base}/{{id}}", answer=self.remove),
        ]

    def listed(self, host: Host, request: Request, _: str) -> Answer:
        """List them."""
        given = known_filters(filters(request), "id name names label")
        ids, names = given.get("id", []), [*given.get("name", []), *given.get("names", [])]
        found = [
            each
            for each in self._all(host).values()
            if (not ids or any(each.id.startswith(word) for word in ids))
            and (not names or any(text(each.spec, "Name").startswith(word) for word in names))
            and has_labels(labels(each.spec, "Labels"), given.get("label", []))
        ]
        return as_json([self._shown(each) for each in found])

    def create(self, host: Host, request: Request, _: str) -> Answer:
        """Create one; its name must be free."""
        spec = copied(body_of(request))
        name = text(spec, "Name")
        if not name:
            raise RefusedError(400, f"{RPC} InvalidArgument desc = invalid name")
        if any(text(each.spec, "Name") == name for each in self._all(host).values()):
            raise RefusedError(409, f"{RPC} AlreadyExists desc = {self.kind} {name} already exists")
        spec.setdefault("Labels", {})
        now = stamp()
        made = Kept(id=new_id(), spec=spec, index=host.world.next_index(), created=now, updated=now)
        self._all(host)[made.id] = made
        host.world.events.tell(self.kind, "create", made.id, {"name": name})
        return as_json({"ID": made.id}, 201)

    def inspect(self, host: Host, request: Request, name: str) -> Answer:
        """Show one."""
        del request
        return as_json(self._shown(self._named(host, name)))

    def update(self, host: Host, request: Request, name: str) -> Answer:
        """Change the labels, and nothing else, with the index that was read."""
        kept = self._named(host, name)
        version = request.query.get("version", "")
        if not version.isdecimal():
            raise RefusedError(400, f"invalid {self.kind} version")
        spec = body_of(request)
        data = spec.get("Data")
        if text(spec, "Name") != text(kept.spec, "Name") or (data and data != kept.spec.get("Data")):
            raise RefusedError(400, f"{RPC} InvalidArgument desc = only updates to Labels are allowed")
        if int(version) != kept.index:
            raise RefusedError(500, f"{RPC} Unknown desc = update out of sequence")
        kept.spec = kept.spec | {"Labels": dict(labels(spec, "Labels"))}
        kept.index = host.world.next_index()
        kept.updated = stamp()
        host.world.events.tell(self.kind, "update", kept.id, {"name": text(kept.spec, "Name")})
        return Answer(kind="text/plain")

    def remove(self, host: Host, request: Request, name: str) -> Answer:
        """Delete one that no service uses."""
        del request
        kept = self._named(host, name)
        word = self.kind.capitalize()
        users = [
            text(service.spec, "Name")
            for service in host.world.services.values()
            for each in rows(sub(service.spec, "TaskTemplate", "ContainerSpec"), f"{word}s")
            if text(each, f"{word}ID") == kept.id
        ]
        if users:
            said = f"{self.kind} '{text(kept.spec, 'Name')}' is in use by the following service"
            said += f"{'s' if len(users) > 1 else ''}: {', '.join(users)}"
            raise RefusedError(400, f"{RPC} InvalidArgument desc = {said}")
        del self._all(host)[kept.id]
        host.world.events.tell(self.kind, "remove", kept.id, {"name": text(kept.spec, "Name")})
        return Answer(status=204)

    def _all(self, host: Host) -> dict[str, Kept]:
        return host.world.configs if self.kind == "config" else host.world.secrets

    def _named(self, host: Host, name: str) -> Kept:
        kept = self._all(host)
        found = [each for each in kept.values() if name in {each.id, text(each.spec, "Name")}]
        found = found or [each for each in kept.values() if each.id.startswith(name)]
        if len(found) != 1:
            raise RefusedError(404, f"{self.kind} {name} not found")
        return found[0]

    def _shown(self, kept: Kept) -> Tree:
        hidden = {"Data"} if self.kind == "secret" else set()
        return {
            "ID": kept.id,
            "Version": {"Index": kept.index},
            "CreatedAt": kept.created,
            "UpdatedAt": kept.updated,
            "Spec": {key: each for key, each in kept.spec.items() if key not in hidden},
        }


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
    return as_json(_volume(host.world.volume(name, labels(spec, "Labels"))), 201)


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
        "Options": None,
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
    *Store("config").routes(),
    *Store("secret").routes(),
    Route(method="GET", path="/networks", answer=networks),
    Route(method="POST", path="/networks/create", answer=create_network),
    Route(method="GET", path="/networks/{id}", answer=network),
    Route(method="DELETE", path="/networks/{id}", answer=remove_network),
    Route(method="GET", path="/volumes", answer=volumes),
    Route(method="POST", path="/volumes/create", answer=create_volume),
    Route(method="GET", path="/volumes/{id}", answer=volume),
    Route(method="DELETE", path="/volumes/{id}", answer=remove_volume),
]
