"""Certificates of real local servers."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.certificate import TRAEFIK_DEFAULT
from ccci_upgrade.tools.tls import read_leaf
from tests.webserver import Server, hang, make_tls, page, self_signed, serve

APP = "app.ci.example.org"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """One certificate authority for this module."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust that authority, by the variable everybody uses."""
    roots = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(str(roots))
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))


@pytest.fixture(scope="module")
def server(authority: trustme.CA) -> Iterator[Server]:
    """Several names, as traefik serves them, and its own certificate for all others."""
    wildcard = authority.issue_cert("*.ci.example.org", organization_name="Ours")
    certificates = {
        APP: wildcard,
        "other.ci.example.org": authority.issue_cert("other.ci.example.org"),
        "expired.ci.example.org": authority.issue_cert(
            "expired.ci.example.org", not_after=datetime.now(UTC) - timedelta(days=2)
        ),
        "wrong.ci.example.org": authority.issue_cert("right.example.org"),
        "own.ci.example.org": self_signed("own", ["own.ci.example.org"]),
    }
    default = self_signed(TRAEFIK_DEFAULT, ["0f.traefik.default"])
    with serve(page(), tls=make_tls(certificates, default=default)) as running:
        yield running


@pytest.mark.usefixtures("trusted")
def test_certificate_is_chosen_by_name_not_by_address(server: Server) -> None:
    """One address, several names: each gets its own, trusted by the given root."""
    one = read_leaf(APP, 443, server.address, 5)
    two = read_leaf("other.ci.example.org", 443, server.address, 5)

    assert (one.names, one.chain_ok) == (("*.ci.example.org",), True)
    assert (two.names, two.chain_ok) == (("other.ci.example.org",), True)
    assert one.fingerprint != two.fingerprint
    assert one.covers(APP)


@pytest.mark.usefixtures("trusted")
def test_default_certificate_of_traefik_is_known(server: Server) -> None:
    """An unknown name gets it."""
    leaf = read_leaf("nobody.example.org", 443, server.address, 5)

    assert leaf.default_cert
    assert leaf.self_signed
    assert leaf.chain_ok is False


@pytest.mark.usefixtures("trusted")
def test_expired_certificate_is_read_all_the_same(server: Server) -> None:
    """Its date is told, and the chain says why it is not good."""
    leaf = read_leaf("expired.ci.example.org", 443, server.address, 5)

    assert leaf.not_after < datetime.now(UTC)
    assert "expired" in leaf.chain_problem


@pytest.mark.usefixtures("trusted")
def test_wrong_name_is_no_fault_of_the_chain(server: Server) -> None:
    """Chain and names are judged apart."""
    leaf = read_leaf("wrong.ci.example.org", 443, server.address, 5)

    assert leaf.chain_ok is True
    assert not leaf.covers("wrong.ci.example.org")


def test_without_the_root_the_chain_is_not_good(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another authority's roots do not lead there."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))

    leaf = read_leaf(APP, 443, server.address, 5)

    assert leaf.chain_ok is False
    assert "issuer" in leaf.chain_problem


@pytest.mark.parametrize("content", [None, "junk"])
def test_roots_that_cannot_be_read_leave_the_chain_unknown(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """Not checked is not the same as bad; the certificate is read all the same."""
    roots = tmp_path / "roots.pem"
    if content is not None:
        roots.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))

    leaf = read_leaf(APP, 443, server.address, 5)

    assert leaf.chain_ok is None
    assert leaf.chain_problem
    assert leaf.covers(APP)


@pytest.mark.usefixtures("trusted")
def test_ipv6_address_with_the_name_kept(authority: trustme.CA) -> None:
    """The address may be any, the name is the app's."""
    tls = make_tls({APP: authority.issue_cert(APP)}, default=self_signed("x", ["x"]))
    with serve(page(), tls=tls, host="::1") as running:
        assert read_leaf(APP, 443, running.address, 5).names == (APP,)


def test_server_without_tls_is_one_error() -> None:
    """Plain HTTP at the port."""
    with serve(page()) as running, pytest.raises(NotReadyError) as caught:
        read_leaf(APP, 443, running.address, 5)

    assert caught.value.code == "tls"
    assert APP in caught.value.message


def test_nobody_listening_is_one_error() -> None:
    """A port that is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotReadyError, match="refused"):
        read_leaf(APP, 443, f"127.0.0.1:{port}", 5)


def test_server_that_says_nothing_is_left_in_time() -> None:
    """The time is for everything together, the handshake too."""
    started = time.monotonic()
    with serve(hang) as running, pytest.raises(NotReadyError, match="in time"):
        read_leaf(APP, 443, running.address, 0.4)

    assert time.monotonic() - started < 2


def test_handshake_that_drips_is_left_in_time() -> None:
    """A byte now and then does not begin the time anew."""
    stopping = threading.Event()

    def drip(listener: socket.socket) -> None:
        stream, _ = listener.accept()
        with stream:
            # the head of a TLS record of 16 KiB, then its content as slowly as can be
            for byte in b"\x16\x03\x03\x40\x00" + bytes(200):
                if stopping.wait(0.05):
                    return
                stream.send(bytes([byte]))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        started = time.monotonic()
        with pytest.raises(NotReadyError, match="in time"):
            read_leaf(APP, 443, f"127.0.0.1:{listener.getsockname()[1]}", 0.5)
        took = time.monotonic() - started
        stopping.set()
        thread.join(5)

    assert took < 2


def test_name_that_is_none_is_one_error() -> None:
    """Whatever stands in a label."""
    with serve(page()) as running, pytest.raises(NotReadyError):
        read_leaf("a" * 300 + ".example.org", 443, running.address, 2)
