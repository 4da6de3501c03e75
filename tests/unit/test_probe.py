"""What counts as worse between two rounds of probes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.probe import (
    Difference,
    Gap,
    Probe,
    ProbeResult,
    differences,
    probes_after,
    split_address,
    wildcard_covers,
)


def result(name: str = "page", *, ok: bool = True, gap: Gap = Gap.NONE, **facts: str) -> ProbeResult:
    """A result whose detail is its state."""
    detail = "fine" if ok else gap or "broken"
    named = {key.replace("_", " "): value for key, value in facts.items()}
    return ProbeResult(name=name, ok=ok, detail=detail, seconds=0.1, facts=named, gap=gap)


GREEN = result()
RED = result(ok=False)
NOT_RUN = result(ok=False, gap=Gap.NOT_RUN)
UNTOLD = result(ok=False, gap=Gap.UNTOLD)


@pytest.mark.parametrize(
    ("before", "after", "worse", "gap"),
    [
        (GREEN, GREEN, False, Gap.NONE),
        (GREEN, RED, True, Gap.NONE),
        (GREEN, NOT_RUN, True, Gap.NOT_RUN),
        (GREEN, UNTOLD, False, Gap.NONE),
        (RED, GREEN, False, Gap.NONE),
        (RED, RED, False, Gap.NONE),
        (RED, NOT_RUN, False, Gap.NONE),
        (RED, UNTOLD, False, Gap.NONE),
        (NOT_RUN, GREEN, False, Gap.NONE),
        (NOT_RUN, RED, True, Gap.NONE),
        (NOT_RUN, NOT_RUN, False, Gap.NONE),
        (UNTOLD, RED, True, Gap.NONE),
        (UNTOLD, GREEN, False, Gap.NONE),
        (None, GREEN, False, Gap.NONE),
        (None, RED, True, Gap.NONE),
        (None, NOT_RUN, True, Gap.NOT_RUN),
        (None, UNTOLD, False, Gap.NONE),
        (GREEN, None, True, Gap.NOT_RUN),
        (RED, None, False, Gap.NONE),
    ],
)
def test_only_what_got_worse_is_a_difference(
    *, before: ProbeResult | None, after: ProbeResult | None, worse: bool, gap: Gap
) -> None:
    """Red that stays red is not the upgrade's doing; what could not be asked is never taken as fine."""
    found = differences([before] if before else [], [after] if after else [])

    assert len(found) == worse
    assert all(d.gap is gap for d in found)


@pytest.mark.parametrize(
    ("fact", "old", "new", "worse"),
    [
        ("issuer", "https://a", "https://a", False),
        ("issuer", "https://a", "http://a", True),
        ("redirect", "git.example.org", "github.com", True),
        ("redirect", "", "login.example.org", True),
        ("client id", "one", "two", True),
        ("keys", "k1 k2", "k2 k1 k3", False),
        ("keys", "k1 k2", "k1 k3", True),
        ("repositories", "12", "12", False),
        ("repositories", "12", "13", False),
        ("repositories", "12", "9", True),
        ("repositories", "12", "", True),
        ("names", "a.example.org b.example.org", "*.example.org", False),
        ("names", "*.example.org", "a.example.org", True),
        ("names", "a.b.example.org", "*.example.org", True),
        ("real certificate", "yes", "no", True),
        ("real certificate", "no", "yes", False),
        ("trusted", "no", "no", False),
        ("status", "200", "204", False),
        ("status", "302", "307", False),
        ("status", "200", "302", True),
        ("status", "200", "404", True),
        ("status", "401", "200", True),
        ("status", "401", "403", True),
        ("status", "404", "200", False),
        ("status", "404", "403", True),
        ("status", "404", "404", False),
        ("status", "503", "404", False),
        ("status", "200", "junk", True),
    ],
)
def test_fact_has_its_own_rule(*, fact: str, old: str, new: str, worse: bool) -> None:
    """Each named fact may move in one direction only; an unknown one not at all."""
    before = ProbeResult(name="p", ok=True, detail="", seconds=0, facts={fact: old})
    after = ProbeResult(name="p", ok=True, detail="", seconds=0, facts={fact: new})

    assert bool(differences([before], [after])) is worse


def test_fact_that_is_not_told_any_more_is_a_difference() -> None:
    """An issuer that vanished from a page that is still 200 is worse."""
    found = differences([result(issuer="https://a")], [result()])

    assert found == (Difference(probe="page", text="issuer was https://a and is not told any more"),)


def test_default_certificate_counts_even_where_it_was_red_before() -> None:
    """A real certificate that was not trusted, then traefik's own: red to red, and yet worse."""
    before = result(ok=False, real_certificate="yes", trusted="no")
    after = result(ok=False, real_certificate="no", trusted="no")

    assert [d.text for d in differences([before], [after])] == ["real certificate was yes, is no"]


def test_probe_of_an_app_that_left_is_not_compared() -> None:
    """A test app that somebody took away meanwhile is not a lost route."""
    assert differences([GREEN], [], gone={"page"}) == ()
    assert differences([GREEN], [RED], gone={"page"}) == ()


def test_foreign_text_in_a_difference_is_tamed_and_short() -> None:
    """Facts come from answers: no control character and no flood reaches a line."""
    found = differences([result(issuer="a")], [result(issuer="\x1b]0;x\x07\n" + "y" * 5000)])

    assert found[0].text.isprintable()
    assert len(found[0].text) < 300


def test_lost_route_is_asked_for_again_and_a_stack_that_left_is_not() -> None:
    """The labels of after cannot show what they lost: the list of before is asked, and what is new."""
    kept, gone = Probe(name="a", stack="drone"), Probe(name="b", stack="test-1")
    own, new = Probe(name="api"), Probe(name="c", stack="new")

    assert probes_after([own, kept, gone], [own, new], {"drone", "new"}) == (own, kept, new)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1", ("127.0.0.1", None)),
        ("127.0.0.1:8443", ("127.0.0.1", 8443)),
        ("::1", ("::1", None)),
        ("[::1]", ("::1", None)),
        ("[::1]:8443", ("::1", 8443)),
        ("node-1.example.org:80", ("node-1.example.org", 80)),
    ],
)
def test_address_is_split_into_host_and_port(text: str, expected: tuple[str, int | None]) -> None:
    """IPv6 takes brackets where a port follows."""
    assert split_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a b", "127.0.0.1:0", "127.0.0.1:65536", "http://x", "x:y", "[::1", "-\n"]
)
def test_address_that_is_none_is_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match=r"no (address|port)"):
        split_address(text)


def test_wildcard_covers_one_label_only() -> None:
    """As browsers do."""
    assert wildcard_covers("*.example.org", "A.example.org")
    assert not wildcard_covers("*.example.org", "example.org")
    assert not wildcard_covers("*.example.org", "a.b.example.org")
    assert not wildcard_covers("*", "example.org")


results = st.builds(
    ProbeResult,
    name=st.sampled_from("abc"),
    ok=st.booleans(),
    detail=st.just("x"),
    seconds=st.just(0.0),
    facts=st.dictionaries(
        st.sampled_from(["status", "keys", "issuer", "repositories", "names"]), st.text(max_size=3)
    ),
)


@given(st.lists(results, unique_by=lambda r: r.name))
def test_nothing_is_worse_than_itself(found: list[ProbeResult]) -> None:
    """Two equal rounds have no difference, whatever they saw, but numbers that are none."""
    clean = [r for r in found if r.facts.get("repositories", "1").isdecimal()]

    assert differences(clean, clean) == ()
