"""What is asked of traefik, keycloak and drone without any configuration, and of every other recipe's app.

Addresses are those seen from where this program runs. For an Engine on another machine a fixed address of
that machine's own (such as `127.0.0.1`) means nothing here: such probes go by the app's name, as
everybody's do.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from ccci_upgrade.model.probe import MIB, Fact, Probe, ProbeKind, Reading, Token
from ccci_upgrade.model.routes import Route, read_routes

_AS_BEFORE = (Fact(name="status", source="status"), Fact(name="redirect", source="redirect"))
_REDIRECTS = (301, 302, 303, 307, 308)
_MANY_REPOSITORIES = 32 * MIB
_SCHEMES = ("http", "https")


def built_in_probes(
    recipe: str,
    domain: str,
    env: Mapping[str, str],
    service_labels: Iterable[Mapping[str, str]] = (),
    address: str = "",
    *,
    token: Token | None = None,
) -> tuple[Probe, ...]:
    """Give the probes of an app, certificates included, with unique names.

    `env` are the app's settings, `service_labels` the labels of every service of the Swarm (only traefik
    asks for them), `token` where Drone's token is found.
    """
    match recipe:
        case "traefik":
            probes = _traefik(domain, service_labels)
        case "keycloak":
            probes = _keycloak(domain)
        case "drone":
            probes = _drone(domain, env, token)
        case _:
            probes = [Probe(name="page", url=f"https://{domain}/", status=(), facts=_AS_BEFORE)]
    return with_certificates([replace(probe, address=address) for probe in probes])


def builds_probe(name: str, domain: str, address: str, token: Token) -> Probe:
    """Ask a Drone for the builds that run or wait, over a trusted connection only, for it sees the token."""
    return Probe(
        name=name,
        url=f"https://{domain}/api/queue",
        address=address,
        reading=Reading.DRONE_BUILDS,
        verify_tls=True,
        token=token,
    )


def with_certificates(probes: Iterable[Probe]) -> tuple[Probe, ...]:
    """Add one certificate probe for each https host (and port, and address) that is asked anyway."""
    listed = list(probes)
    seen: dict[tuple[str, str], Probe] = {}
    for probe in listed:
        parts = urlsplit(probe.url)
        if probe.kind is ProbeKind.HTTP and parts.scheme == "https":
            url = f"https://{parts.netloc.lower()}"
            certificate = Probe(
                name=f"certificate {parts.netloc.lower()}",
                kind=ProbeKind.CERTIFICATE,
                url=url,
                address=probe.address,
                stack=probe.stack,
            )
            seen.setdefault((url, probe.address), certificate)
    return (*listed, *seen.values())


def _traefik(domain: str, service_labels: Iterable[Mapping[str, str]]) -> list[Probe]:
    # `/api/version` is answered by traefik itself; any other page may be another app's.
    own = Probe(name="api", url=f"https://{domain}/api/version", json_has=("Version",))
    return [own, *(_route(route) for route in read_routes(service_labels).routes)]


def _route(route: Route) -> Probe:
    return Probe(name=f"route {route.url}", url=route.url, status=(), facts=_AS_BEFORE, stack=route.stack)


def _keycloak(domain: str) -> list[Probe]:
    realm = f"https://{domain}/realms/master"
    issuer = Fact(name="issuer", source="json:issuer")
    keys = Fact(name="keys", source="set:keys[*].kid")
    return [
        Probe(name="realm", url=realm),
        Probe(
            name="issuer",
            url=f"{realm}/.well-known/openid-configuration",
            json_has=("issuer",),
            facts=(issuer,),
        ),
        Probe(
            name="signing keys",
            url=f"{realm}/protocol/openid-connect/certs",
            json_has=("keys[0].kid",),
            facts=(keys,),
        ),
    ]


def _drone(domain: str, env: Mapping[str, str], token: Token | None) -> list[Probe]:
    forge = env.get("GITEA_DOMAIN") or env.get("DRONE_GITEA_SERVER") or ""
    client = env.get("GITEA_CLIENT_ID") or env.get("DRONE_GITEA_CLIENT_ID") or ""
    login = Probe(
        name="login",
        url=f"https://{domain}/login",
        status=_REDIRECTS,
        redirect_host=forge,
        redirect_query={"client_id": client} if client else {},
        facts=(
            Fact(name="redirect", source="redirect"),
            Fact(name="client id", source="redirect-query:client_id"),
        ),
    )
    probes = [Probe(name="healthz", url=f"https://{domain}/healthz"), login]
    return probes if token is None else [*probes, *_drone_with_token(domain, token)]


def _drone_with_token(domain: str, token: Token) -> list[Probe]:
    """Ask as Drone's user: never over a connection whose certificate is not trusted."""
    counted = (
        Fact(name="repositories", source="count:"),
        Fact(name="active repositories", source="true:[*].active"),
    )
    repositories = Probe(
        name="repositories",
        url=f"https://{domain}/api/user/repos",
        facts=counted,
        verify_tls=True,
        token=token,
        body_limit=_MANY_REPOSITORIES,
        seconds=20.0,
    )
    runner = Probe(
        name="runner",
        url=f"https://{domain}/api/queue",
        reading=Reading.DRONE_QUEUE,
        verify_tls=True,
        token=token,
    )
    return [repositories, runner]
