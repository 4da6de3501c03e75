"""The built-in knowledge of traefik, keycloak, drone, and of every other recipe."""

import pytest

from ccci_upgrade.model.builtin_probes import built_in_probes, with_certificates
from ccci_upgrade.model.probe import Probe, ProbeKind, Token
from ccci_upgrade.model.profile import profile

ROUTES = [
    {"com.docker.stack.namespace": "kc", "traefik.http.routers.kc.rule": "Host(`keycloak.ci.example.org`)"},
    {
        "com.docker.stack.namespace": "old",
        "traefik.http.routers.old.rule": "Host(`old.ci.example.org`)",
        "traefik.http.routers.old.entrypoints": "web",
    },
]


def test_traefik_goes_last_and_others_by_their_order() -> None:
    """Deploy order is traefik, keycloak, drone, the rest; only traefik is upgraded last."""
    order = sorted(["ghost", "drone", "traefik", "keycloak"], key=lambda r: profile(r).order)

    assert order == ["traefik", "keycloak", "drone", "ghost"]
    assert [r for r in order if profile(r).upgrade_last] == ["traefik"]


@pytest.mark.parametrize(
    ("recipe", "holds"), [("traefik", False), ("keycloak", True), ("drone", True), ("x", None)]
)
def test_data_is_known_for_three_recipes_only(*, recipe: str, holds: bool | None) -> None:
    """Others hold data where they mount volumes."""
    assert profile(recipe).holds_data is holds


@pytest.mark.parametrize("recipe", ["traefik", "keycloak", "drone", "ghost"])
def test_every_probe_has_its_own_name_and_the_address(recipe: str) -> None:
    """Results are matched by name; the fixed address is used by all, certificates too."""
    probes = built_in_probes(recipe, "app.ci.example.org", {}, ROUTES * 2, "127.0.0.1", token=Token(env="T"))

    assert len({p.name for p in probes}) == len(probes)
    assert {p.address for p in probes} == {"127.0.0.1"}


def test_traefik_asks_itself_every_route_and_their_certificates() -> None:
    """The routes of all stacks, each with the stack it belongs to."""
    probes = built_in_probes("traefik", "traefik.ci.example.org", {}, ROUTES, "")

    assert [(p.kind, p.url, p.stack) for p in probes] == [
        (ProbeKind.HTTP, "https://traefik.ci.example.org/api/version", ""),
        (ProbeKind.HTTP, "http://old.ci.example.org/", "old"),
        (ProbeKind.HTTP, "https://keycloak.ci.example.org/", "kc"),
        (ProbeKind.CERTIFICATE, "https://traefik.ci.example.org", ""),
        (ProbeKind.CERTIFICATE, "https://keycloak.ci.example.org", "kc"),
    ]
    assert probes[0].json_has == ("Version",)


def test_keycloak_keeps_issuer_and_keys() -> None:
    """What every client has configured must stay."""
    probes = built_in_probes("keycloak", "k.ci.example.org", {}, ROUTES, "")

    assert probes[0].url == "https://k.ci.example.org/realms/master"
    assert [f.name for p in probes for f in p.facts] == ["issuer", "keys"]


@pytest.mark.parametrize(
    "env",
    [
        {"GITEA_DOMAIN": "git.example.org", "GITEA_CLIENT_ID": "abc"},
        {"DRONE_GITEA_SERVER": "https://git.example.org", "DRONE_GITEA_CLIENT_ID": "abc"},
    ],
)
def test_drone_logs_in_where_it_is_configured(env: dict[str, str]) -> None:
    """By the recipe's names or by Drone's own; without a token nothing is asked that needs one."""
    probes = {p.name: p for p in built_in_probes("drone", "d.ci.example.org", env, (), "")}

    assert set(probes) == {"healthz", "login", "certificate d.ci.example.org"}
    assert probes["login"].redirect_host.removeprefix("https://") == "git.example.org"
    assert probes["login"].redirect_query == {"client_id": "abc"}


def test_drones_token_is_given_to_a_trusted_server_only() -> None:
    """Whoever asks with a token verifies the certificate."""
    probes = built_in_probes("drone", "d.ci.example.org", {}, (), "", token=Token(file="/run/secrets/t"))

    assert [p.name for p in probes if p.token] == ["repositories", "runner"]
    assert all(p.verify_tls for p in probes if p.token)


def test_certificates_are_asked_once_for_each_https_host() -> None:
    """Not for http, TCP or commands."""
    probes = with_certificates(
        [
            Probe(name="a", url="https://H.example.org/x"),
            Probe(name="b", url="https://h.example.org/y"),
            Probe(name="c", url="https://h.example.org:8443/"),
            Probe(name="d", url="http://p.example.org/"),
            Probe(name="e", kind=ProbeKind.TCP, url="tcp://t.example.org:1"),
            Probe(name="f", kind=ProbeKind.COMMAND, command=("true",)),
        ]
    )

    assert [p.url for p in probes[6:]] == ["https://h.example.org", "https://h.example.org:8443"]
