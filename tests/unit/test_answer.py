"""Judging HTTP answers."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.answer import Answer, host_of, needs_body, parse_path, read_answer
from ccci_upgrade.model.probe import Fact, Gap, Probe, ProbeResult, Reading, Scalar, Token

URL = "https://app.ci.example.org/x"


def judge(
    probe: Probe,
    *,
    status: int = 200,
    body: object = b"",
    headers: Mapping[str, str] | None = None,
    cut: bool = False,
) -> ProbeResult:
    """Judge an answer made up on the spot."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = Answer(url=URL, status=status, headers=dict(headers or {}), body=data, cut=cut)
    return read_answer(probe, answer, seconds=1.5)


@pytest.mark.parametrize(
    ("wanted", "status", "ok"),
    [((200,), 200, True), ((200,), 204, False), ((200, 302), 302, True), ((), 404, True), ((), 500, False)],
)
def test_status_is_one_of_those_or_below_500(*, wanted: tuple[int, ...], status: int, ok: bool) -> None:
    """No status named means: answered."""
    assert judge(Probe(name="p", status=wanted), status=status).ok is ok


@pytest.mark.parametrize(
    ("wanted", "ok"), [("hello", True), ("Hello", False), ("/h.l+o/", True), ("/^lo/", False), ("/", False)]
)
def test_body_is_searched_for_text_or_regex(*, wanted: str, ok: bool) -> None:
    """Slashes around it make a regex."""
    assert judge(Probe(name="p", body=wanted), body=b"well, hello there").ok is ok


@pytest.mark.parametrize(
    ("wanted", "ok"),
    [("text/html", False), ("text/html; charset=utf-8", True), ("/^text/", True), ("/json/", False)],
)
def test_header_is_the_whole_value_or_a_regex(*, wanted: str, ok: bool) -> None:
    """Names are found in any case."""
    probe = Probe(name="p", headers={"Content-Type": wanted})

    assert judge(probe, headers={"content-type": "text/html; charset=utf-8"}).ok is ok


def test_header_that_is_missing_is_named() -> None:
    """The detail says what was missed."""
    assert judge(Probe(name="p", headers={"X-Up": "1"})).detail == "no header X-Up"


@pytest.mark.parametrize(
    ("path", "value", "ok"),
    [
        ("a.b[0].c", 1, True),
        ("a.b[0].c", True, False),
        ("a.b[0].c", "1", False),
        ("a.b[1].c", 1, False),
        ("a.t", True, True),
        ("a.t", 1, False),
        ("a.x.y", 1, False),
        ("a.b[*].c", 1, True),
    ],
)
def test_json_value_is_compared_with_its_type(*, path: str, value: Scalar, ok: bool) -> None:
    """`true` is not 1, and "1" is neither."""
    assert judge(Probe(name="p", json={path: value}), body={"a": {"b": [{"c": 1}], "t": True}}).ok is ok


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000, b"\xff\xfe", b"1" * 10_000, b"NaN,"])
def test_page_that_is_no_json_is_red_and_no_crash(body: bytes) -> None:
    """A page of another app answering 200 is not traefik's version."""
    judged = judge(Probe(name="p", json_has=("Version",)), body=body)

    assert judged.red
    assert "JSON" in judged.detail


def test_json_beyond_the_limit_is_said_to_be_too_long() -> None:
    """Half a document tells nothing."""
    judged = judge(
        Probe(name="p", facts=(Fact(name="n", source="count:"),), json_has=("",)), body=b"[1", cut=True
    )

    assert "longer than 2 bytes" in judged.detail
    assert judged.facts == {}


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("https://git.example.org/login/oauth/authorize?client_id=abc&state=1", ""),
        ("https://GIT.example.org:443/login?client_id=abc", ""),
        ("https://github.com/login?client_id=abc", "redirects to github.com"),
        ("https://git.example.org/login?client_id=other", "another client_id"),
        ("https://git.example.org/login", "another client_id"),
        ("https://git.example.org/login?client_id=abc&client_id=x", "another client_id"),
        ("/login/form", "redirects to app.ci.example.org"),
        ("", "redirects to app.ci.example.org"),
        ("http://[::1", "no redirect"),
        ("https://git.example.org/?" + "a=1&" * 500, "another client_id"),
    ],
)
def test_redirect_must_lead_to_the_configured_place(location: str, problem: str) -> None:
    """Drone without its Gitea sends people to GitHub, with a page that is green."""
    probe = Probe(
        name="login", status=(303,), redirect_host="git.example.org", redirect_query={"client_id": "abc"}
    )
    judged = judge(probe, status=303, headers={"location": location})

    assert judged.ok is (not problem)
    assert problem in judged.detail


def test_answer_without_redirect_is_red() -> None:
    """200 at /login is Drone with no forge at all."""
    probe = Probe(name="login", status=(200, 303), redirect_host="https://git.example.org")

    assert judge(probe).detail == "no redirect to https://git.example.org"


def test_facts_are_taken_from_every_source() -> None:
    """Sets are sorted, so order in the answer does not matter."""
    sources = {
        "status": "status",
        "redirect": "redirect",
        "client id": "redirect-query:client_id",
        "server": "header:Server",
        "issuer": "json:issuer",
        "keys": "set:keys[*].kid",
        "count": "count:keys",
        "active": "true:keys[*].on",
        "missing": "json:nothing.here",
        "none": "count:issuer",
    }
    probe = Probe(name="p", status=(), facts=tuple(Fact(name=n, source=s) for n, s in sources.items()))
    body = {"issuer": "https://k", "keys": [{"kid": "b c", "on": True}, {"kid": "a", "on": False}, 3]}

    judged = judge(
        probe, status=302, body=body, headers={"location": "https://g:8443/?client_id=7", "server": "drone"}
    )

    assert judged.facts == {
        "status": "302",
        "redirect": "g:8443",
        "client id": "7",
        "server": "drone",
        "issuer": "https://k",
        "keys": "a b_c",
        "count": "3",
        "active": "1",
    }


def test_body_is_needed_only_where_it_is_read() -> None:
    """A page without an end does no harm to a probe of its status."""
    assert not needs_body(Probe(name="p", facts=(Fact(name="status", source="status"),)))
    assert needs_body(Probe(name="p", facts=(Fact(name="n", source="count:"),)))
    assert needs_body(Probe(name="p", body="x"))
    assert needs_body(Probe(name="p", reading=Reading.DRONE_QUEUE))


@pytest.mark.parametrize("status", [401, 403])
def test_refused_token_is_a_gap_and_not_red(status: int) -> None:
    """A token that may not ask tells nothing of the app."""
    judged = judge(Probe(name="p", token=Token(env="T")), status=status)

    assert judged.gap is Gap.NOT_RUN
    assert not judged.ok


@pytest.mark.parametrize("text", ["a..b", ".a", "a.", "a[", "a[x]", "a[-1]", "[0]b", "a[1", "a]b", "a.[0]"])
def test_path_that_is_none_is_refused(text: str) -> None:
    """The configuration says so before anything is asked."""
    with pytest.raises(ValueError, match="no JSON path"):
        parse_path(text)


def test_path_is_read_step_by_step() -> None:
    """Keys are text, indexes numbers, and the empty path is the whole document."""
    assert parse_path("a.b[0][*].c-d") == ("a", "b", 0, "*", "c-d")
    assert parse_path("[2].x") == (2, "x")
    assert parse_path("") == ()


def test_host_is_given_without_the_schemes_own_port() -> None:
    """Bare hosts and URLs compare alike."""
    assert host_of("https://A.example.org:443/x") == "a.example.org"
    assert host_of("a.example.org:3000") == "a.example.org:3000"
    assert host_of("http://a:99999") == ""


@given(st.binary(max_size=200), st.integers(100, 599), st.text(max_size=30))
def test_any_answer_is_judged_in_one_printable_line(body: bytes, status: int, location: str) -> None:
    """No answer crashes a probe, none brings a control character into its detail."""
    probe = Probe(
        name="p",
        headers={"Location": "nowhere"},
        body="x",
        json={"a": "b"},
        redirect_host="h",
        redirect_query={"q": "1"},
        facts=(Fact(name="f", source="json:a"), Fact(name="g", source="redirect-query:q")),
    )
    judged = judge(probe, status=status, body=body, headers={"location": location})

    assert "\n" not in judged.detail
    assert "\x1b" not in judged.detail


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda s: st.lists(s) | st.dictionaries(st.text(max_size=2), s),
    )
)
def test_any_json_can_be_walked(document: object) -> None:
    """Types that do not fit a path give nothing."""
    sources = ("json:a.b[0]", "set:[*].a", "count:", "true:[*]", "set:a")
    facts = tuple(Fact(name=s, source=s) for s in sources)
    judged = judge(Probe(name="p", facts=facts), body=document)

    assert all(isinstance(v, str) for v in judged.facts.values())
