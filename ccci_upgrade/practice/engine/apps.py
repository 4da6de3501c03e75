"""What the apps answer over HTTP: a traefik that routes, a keycloak, a drone, a database, and anything else."""

import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus

from ccci_upgrade.practice.engine import data
from ccci_upgrade.practice.engine.things import Container, Service
from ccci_upgrade.practice.engine.tree import labels, rows, text, words
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import World

_HOST = re.compile(r"Host\(([^)]*)\)")
_ROUTER = re.compile(r"traefik\.http\.routers\.[^.]+\.rule")
_OIDC = "/realms/master/protocol/openid-connect"
_URL = re.compile(r"https?://([^/:]+)(?::[0-9]+)?(/.*)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pages:
    """All pages of all apps; asked under the world's lock."""

    world: World

    def at_port(self, request: Request, container: Container) -> Answer | None:
        """What comes back from a published port of a container; None where the connection just ends."""
        with self.world.clockwork.lock:
            if container.state != "running" or not container.serving:
                return None
            return (
                self._routed(request, container)
                if container.kind == "traefik"
                else self.app(request, container)
            )

    def app(self, request: Request, container: Container) -> Answer:
        """What one app answers."""
        said = self.world.faults.status.get(self.world.service_name(container))
        word = container.env.get("STATUS", "")
        status = said or (int(word) if word.isdecimal() else 0)
        if status and request.path != "/ping":
            return _plain("as configured", status)
        return self._page(request, container)

    def _routed(self, request: Request, traefik: Container) -> Answer:
        host = _host(request)
        found = [each for each in self.world.services.values() if host in _hosts(each)]
        mine = [each for each in found if each.id == traefik.service_id]
        if mine or (not found and host in {"localhost", "127.0.0.1", ""}):
            return self.app(request, traefik)
        if not found:
            return _plain("404 page not found", HTTPStatus.NOT_FOUND)
        running = self.world.running(found[0].id)
        if not running:
            return _plain("no available server", HTTPStatus.SERVICE_UNAVAILABLE)
        behind = secrets.choice(running)
        return self.app(request, behind) if behind.serving else _plain("Bad Gateway", HTTPStatus.BAD_GATEWAY)

    def _page(self, request: Request, container: Container) -> Answer:
        kind, path = container.kind, request.path
        match kind, path:
            case (_, "/ping") | ("drone", "/healthz"):
                answer = _plain("OK")
            case _, "/":
                answer = _plain(kind)
            case "traefik", "/api/version":
                answer = as_json({"Version": container.version, "Codename": "practice"})
            case "keycloak", _:
                answer = self._realm(request, container)
            case "drone", "/login":
                answer = _login(container)
            case "mariadb", "/kid":
                answer = _plain(data.kid(container, self.world))
            case _:
                answer = _plain("404 page not found", HTTPStatus.NOT_FOUND)
        return answer

    def _realm(self, request: Request, container: Container) -> Answer:
        host = request.headers.get("host", "localhost")
        issuer = f"http://{container.env.get('ISSUER_HOST') or host}/realms/master"
        if request.path == "/realms/master":
            return as_json({"realm": "master", "token-service": f"http://{host}{_OIDC}"})
        if request.path == "/realms/master/.well-known/openid-configuration":
            return as_json({"issuer": issuer, "jwks_uri": f"http://{host}{_OIDC}/certs"})
        if request.path == f"{_OIDC}/certs":
            key = self._key(container) or "none"
            return as_json({"keys": [{"kid": key, "kty": "RSA", "alg": "RS256", "use": "sig"}]})
        return _plain("404 page not found", HTTPStatus.NOT_FOUND)

    def _key(self, container: Container) -> str:
        """Ask the service that keeps the keys, within the networks both are in."""
        found = _URL.fullmatch(container.env.get("KEYS_FROM", ""))
        other = self._neighbour(container, found[1]) if found else None
        if found is None or other is None:
            return ""
        asked = Request(method="GET", path=found[2] or "/", query={}, headers={"host": found[1]}, body=b"")
        answer = self.app(asked, other)
        return answer.body.decode(errors="replace").strip() if answer.status == HTTPStatus.OK else ""

    def _neighbour(self, container: Container, alias: str) -> Container | None:
        mine = self.world.services.get(container.service_id)
        near = _networks(mine) if mine else {}
        for service in self.world.services.values():
            names = [
                name for network, given in _networks(service).items() if network in near for name in given
            ]
            if alias in names:
                serving = [each for each in self.world.running(service.id) if each.serving]
                if serving:
                    return serving[0]
        return None


def _networks(service: Service) -> dict[str, list[str]]:
    """The networks of a service, with its names in each."""
    found = rows(service.spec, "TaskTemplate", "Networks") or rows(service.spec, "Networks")
    short = text(service.spec, "Name")
    return {text(each, "Target"): [short, *words(each, "Aliases")] for each in found}


def _hosts(service: Service) -> set[str]:
    rules = [value for name, value in labels(service.spec, "Labels").items() if _ROUTER.fullmatch(name)]
    inside = [part for rule in rules for part in _HOST.findall(rule)]
    return {word.strip().lower() for part in inside for word in re.findall(r"[`\"']([^`\"']+)[`\"']", part)}


def _host(request: Request) -> str:
    return request.headers.get("host", "").rpartition("@")[2].partition(":")[0].lower()


def _login(container: Container) -> Answer:
    server, client = (container.env.get(f"DRONE_GITEA_{name}", "") for name in ("SERVER", "CLIENT_ID"))
    state = secrets.randbelow(90000) + 1000
    where = f"{server}/login/oauth/authorize?client_id={client}&state={state}"
    return Answer(status=HTTPStatus.SEE_OTHER, kind="text/plain", headers={"Location": where})


def _plain(body: str, status: int = HTTPStatus.OK) -> Answer:
    return Answer(status=status, body=body.encode(), kind="text/plain")
