"""Reading traefik's rules out of service labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.routes import Route, parse_rule, read_routes, stacks_of


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("Host(`a.example.org`)", [("a.example.org", "/")]),
        ('Host("a.example.org")', [("a.example.org", "/")]),
        ("host(`A.Example.org`)", [("a.example.org", "/")]),
        ("HOST(`a`)", [("a", "/")]),
        ("Host(`a`,`b`)", [("a", "/"), ("b", "/")]),
        ("Host(`a`) || Host(`b`)", [("a", "/"), ("b", "/")]),
        ("Host(`a`)||Host(`a`)", [("a", "/")]),
        ("Host(`a`) && PathPrefix(`/api`)", [("a", "/api")]),
        ("PathPrefix(`/api`, `/b`) && Host(`a`)", [("a", "/api")]),
        ("(Host(`a`) || Host(`b`)) && Path(`/x`)", [("a", "/x"), ("b", "/x")]),
        ("Host(`a`) && PathPrefix(`/x`) || Host(`b`)", [("a", "/x"), ("b", "/")]),
        ("Host(`a`) && (PathPrefix(`/x`) || PathPrefix(`/y`))", [("a", "/x"), ("a", "/y")]),
        ("HostHeader(`a`)", [("a", "/")]),
        ("!(!Host(`a`))", [("a", "/")]),
        ("!(!Host(`a`) && !Host(`b`))", [("a", "/"), ("b", "/")]),
        ("Host(`a.`)", [("a", "/")]),
        ("\n Host( `a` ) ", [("a", "/")]),
    ],
)
def test_rule_gives_hosts_and_paths(rule: str, expected: list[tuple[str, str]]) -> None:
    """`&&` binds tighter than `||`; each alternative is one question."""
    assert parse_rule(rule) == (tuple(expected), ())


@pytest.mark.parametrize(
    ("rule", "hosts", "said"),
    [
        ("HostRegexp(`^.+\\.example\\.org$`)", [], "HostRegexp"),
        ("HostRegexp(`{sub:[a-z]+}.example.org`) || Host(`a`)", [("a", "/")], "HostRegexp"),
        ("HostSNI(`a`)", [], "HostSNI"),
        ("!Host(`a`)", [], "not Host"),
        ("Host(`*.example.org`)", [], "*.example.org"),
        ("Host(`a`) && PathPrefix(`/{id:[0-9]+}`)", [("a", "/")], "PathPrefix"),
        ("Host(`a`) && Headers(`X`, `y`)", [("a", "/")], "Headers"),
        ("Host(`a/../b`)", [], "cannot be asked for"),
        ("Host(`a b`)", [], "cannot be asked for"),
    ],
)
def test_what_cannot_be_asked_is_listed(rule: str, hosts: list[tuple[str, str]], said: str) -> None:
    """Nothing is guessed, nothing is silently passed over."""
    found, skipped = parse_rule(rule)

    assert list(found) == hosts
    assert any(said in line for line in skipped)


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "Host",
        "Host(",
        "Host()",
        "Host(a)",
        "Host(`a`",
        "Host(`a`) &&",
        "Host(`a`) Host(`b`)",
        "Host(`a`) & Host(`b`)",
        "((((",
        "Host(`a`))",
        "`a`",
        "!" * 1000 + "Host(`a`)",
        "(" * 5000 + "Host(`a`)",
        "Host(`a`) ||" * 3000,
        " && ".join(["(Host(`a`) || Host(`b`))"] * 12),
    ],
)
def test_rule_that_is_none_is_a_value_error(rule: str) -> None:
    """Labels are foreign text: they neither crash nor exhaust the reader."""
    with pytest.raises(ValueError, match=r"."):
        parse_rule(rule)


@given(st.one_of(st.text(), st.text(alphabet='Hostc()`"&|!, a\\')))
def test_any_text_is_read_or_refused(rule: str) -> None:
    """Only ValueError, and only hosts that can stand in a URL."""
    try:
        found, _ = parse_rule(rule)
    except ValueError:
        return
    assert all(host.isascii() and "/" not in host and path[0] == "/" for host, path in found)


def labels(rule: str, *, stack: str = "keycloak", **more: str) -> dict[str, str]:
    """A service's labels with one router `r`."""
    return {
        "com.docker.stack.namespace": stack,
        "traefik.enable": "true",
        "traefik.http.routers.r.rule": rule,
        **{f"traefik.http.routers.r.{key.replace('_', '.')}": value for key, value in more.items()},
    }


@pytest.mark.parametrize(
    ("more", "scheme"),
    [
        ({}, "https"),
        ({"entrypoints": "web-secure"}, "https"),
        ({"entrypoints": "web,web-secure"}, "https"),
        ({"entrypoints": "web"}, "http"),
        ({"entrypoints": "web", "tls": "true"}, "https"),
        ({"entrypoints": "web", "tls": "false"}, "http"),
        ({"tls_certresolver": "production"}, "https"),
    ],
)
def test_scheme_follows_entry_points_and_tls(more: dict[str, str], scheme: str) -> None:
    """A router without either answers on all entry points, the secure one among them."""
    assert read_routes([labels("Host(`a`)", **more)]).routes == (
        Route(scheme=scheme, host="a", path="/", stack="keycloak"),
    )


def test_all_services_are_read_and_one_bad_rule_hides_no_other() -> None:
    """Every stack's routes count, disabled services and other entry points aside."""
    found = read_routes(
        [
            labels("Host(`b`)", stack="drone"),
            labels("Host(`a`)"),
            labels("Host(`a`)", stack="other"),
            labels("Host(((", stack="broken"),
            labels("Host(`c`)", entrypoints="matrix-federation"),
            labels("Host(`d`)") | {"traefik.enable": "false"},
            {"unrelated": "Host(`e`)", "traefik.tcp.routers.r.rule": "HostSNI(`f`)"},
        ]
    )

    assert [route.url for route in found.routes] == ["https://a/", "https://b/"]
    assert len(found.skipped) == 2
    assert "cannot be read" in found.skipped[0]
    assert "entry points" in found.skipped[1]


def test_stacks_are_those_with_any_service() -> None:
    """Also services without routes keep their stack alive."""
    assert stacks_of([{"com.docker.stack.namespace": "a"}, {}, {"com.docker.stack.namespace": "b"}]) == {
        "a",
        "b",
    }
