"""Reading certificates without trusting them, and judging them."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from ccci_upgrade.model.certificate import TRAEFIK_DEFAULT, Leaf, judge_leaf, parse_leaf
from ccci_upgrade.model.probe import Gap
from tests.webserver import self_signed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def der(certificate: trustme.LeafCert) -> bytes:
    """The certificate's bytes."""
    return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


def read(certificate: trustme.LeafCert) -> Leaf:
    """Read it as one whose chain was found good."""
    return parse_leaf(der(certificate), chain_ok=True, chain_problem="")


LEAF = Leaf(
    fingerprint="ab" * 32,
    subject="CN=app.example.org",
    common_name="app.example.org",
    issuer="CN=ca",
    names=("app.example.org",),
    not_before=NOW - timedelta(days=1),
    not_after=NOW + timedelta(days=30, hours=1),
    self_signed=False,
    chain_ok=True,
    chain_problem="",
)


@pytest.mark.parametrize("kind", [trustme.KeyType.RSA, trustme.KeyType.ECDSA])
def test_fields_agree_with_a_whole_x509_library(kind: trustme.KeyType) -> None:
    """Names of both kinds, times, issuer and subject, for both kinds of keys."""
    made = trustme.CA(key_type=kind).issue_cert(
        "app.example.org",
        "*.ci.example.org",
        "127.0.0.1",
        "::1",
        common_name="Büro, app",
        organization_name="Org",
    )
    known = x509.load_der_x509_certificate(der(made))
    alternative = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    leaf = read(made)

    assert leaf.names == tuple(str(name.value) for name in alternative)
    assert leaf.not_before == known.not_valid_before_utc
    assert leaf.not_after == known.not_valid_after_utc
    assert leaf.common_name == "Büro, app"
    assert "O=Org" in leaf.subject
    assert "O=trustme" in leaf.issuer
    assert not leaf.self_signed


def test_certificate_as_traefik_makes_it_is_known_by_its_common_name() -> None:
    """Its alternative name is made up anew at every start."""
    leaf = read(self_signed(TRAEFIK_DEFAULT, ["0f.traefik.default"]))

    assert leaf.default_cert
    assert leaf.self_signed


@pytest.mark.parametrize("days", [10, 365 * 40])
def test_both_forms_of_time_are_read(days: int) -> None:
    """From 2050 on X.509 writes the century."""
    made = self_signed("x", ["x"], days=days)

    assert read(made).not_after == x509.load_der_x509_certificate(der(made)).not_valid_after_utc


def test_certificate_without_names_covers_nothing() -> None:
    """No browser takes the common name for one."""
    key_only = replace(LEAF, names=())

    assert not key_only.covers("app.example.org")


@pytest.mark.parametrize(
    ("host", "ok"), [("127.0.0.1", True), ("::1", True), ("[::1]", True), ("127.0.0.2", False)]
)
def test_addresses_are_covered_as_addresses(*, host: str, ok: bool) -> None:
    """An IP address is compared as one."""
    assert replace(LEAF, names=("127.0.0.1", "::1")).covers(host) is ok


CERTIFICATE = der(trustme.CA(key_type=trustme.KeyType.ECDSA).issue_cert("a.example.org", "127.0.0.1"))


@settings(max_examples=300)
@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(0, 255), st.integers(0, len(CERTIFICATE)))
def test_damaged_certificate_is_read_or_a_value_error(at: int, byte: int, length: int) -> None:
    """One byte changed or the end cut off: a server may send anything."""
    for data in (CERTIFICATE[:at] + bytes([byte]) + CERTIFICATE[at + 1 :], CERTIFICATE[:length]):
        try:
            leaf = parse_leaf(data, chain_ok=None, chain_problem="")
        except ValueError:
            continue
        assert isinstance(leaf.names, tuple)


@given(st.binary(max_size=80))
def test_junk_is_a_value_error(data: bytes) -> None:
    """Nothing short is a certificate."""
    with pytest.raises(ValueError, match="no certificate"):
        parse_leaf(data, chain_ok=None, chain_problem="")


def test_good_certificate_tells_names_and_days_left() -> None:
    """The facts are its qualities; a renewed one differs in none of them."""
    judged = judge_leaf("c", "app.example.org", LEAF, now=NOW, seconds=0.1)

    assert judged.ok
    assert "30 days left" in judged.detail
    assert judged.facts == {
        "real certificate": "yes",
        "covers the host": "yes",
        "in date": "yes",
        "trusted": "yes",
        "names": "app.example.org",
    }


@pytest.mark.parametrize(
    ("leaf", "host", "said"),
    [
        (replace(LEAF, common_name=TRAEFIK_DEFAULT), "app.example.org", TRAEFIK_DEFAULT),
        (LEAF, "other.example.org", "not made out for other.example.org"),
        (replace(LEAF, not_after=NOW - timedelta(days=3)), "app.example.org", "expired 3 days ago"),
        (replace(LEAF, not_before=NOW + timedelta(days=1)), "app.example.org", "out of date"),
        (
            replace(LEAF, chain_ok=False, chain_problem="self-signed"),
            "app.example.org",
            "not trusted: self-signed",
        ),
    ],
)
def test_bad_certificate_is_red_and_says_why(leaf: Leaf, host: str, said: str) -> None:
    """Each fault has its own words."""
    judged = judge_leaf("c", host, leaf, now=NOW, seconds=0.1)

    assert judged.red
    assert said in judged.detail


def test_chain_that_could_not_be_checked_is_a_gap() -> None:
    """Without trusted roots here the certificate is not called good, and not bad."""
    judged = judge_leaf("c", "app.example.org", replace(LEAF, chain_ok=None), now=NOW, seconds=0.1)

    assert (judged.ok, judged.gap) == (False, Gap.NOT_RUN)
    assert "trusted" not in judged.facts


def test_foreign_names_are_tamed() -> None:
    """A certificate may hold any text."""
    judged = judge_leaf("c", "h", replace(LEAF, names=("\x1b[2J\n",) * 9), now=NOW, seconds=0.1)

    assert judged.detail.isprintable()
