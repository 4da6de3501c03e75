"""Routes of configs and secrets."""

import re

from ccci_upgrade.practice.engine.routes import Host, Route, body_of, filters, has_labels, known_filters
from ccci_upgrade.practice.engine.specs import RPC
from ccci_upgrade.practice.engine.things import Kept
from ccci_upgrade.practice.engine.tree import Tree, copied, labels, rows, sub, text
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, new_id, stamp

_NAME = re.compile("[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
_NAME_RULE = (
    "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, "
    "and the start and end character must be [a-zA-Z0-9]"
)


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
        if _NAME.fullmatch(name) is None:
            raise RefusedError(400, f"{RPC} InvalidArgument desc = {_NAME_RULE}")
        if any(text(each.spec, "Name").lower() == name.lower() for each in self._all(host).values()):
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


ROUTES = [*Store("config").routes(), *Store("secret").routes()]
