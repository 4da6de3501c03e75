"""Builds that run in Drone, asked of a real local server."""

import ssl
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from ccci_upgrade.flows.surroundings import BUILDS_SECONDS, running_builds
from ccci_upgrade.model.app import App
from ccci_upgrade.model.envfile import parse_env
from tests.webserver import Script, hang, make_tls, page, routes, self_signed, serve

DRONE = "drone.ci.example.org"
TOKEN = "s3ntinel-of-the-queue"


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A certificate for Drone from an authority that is trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    return make_tls({DRONE: authority.issue_cert(DRONE)}, default=self_signed("other", ["other"]))


def drone(tmp_path: Path, address: str, token: str | None = TOKEN) -> App:
    """An app of recipe drone at that address; its token is in a file."""
    file = tmp_path / "token"
    if token is not None:
        file.write_text(f"{token}\n")
    return App(
        name=DRONE,
        server="ci.example.org",
        recipe="drone",
        recipe_folder="drone",
        domain=DRONE,
        stack="drone_ci_example_org",
        env=parse_env("TYPE=drone\n"),
        path=tmp_path / f"{DRONE}.env",
        text="TYPE=drone\n",
        order=30,
        upgrade_last=False,
        holds_data=True,
        address=address,
        budget=600.0,
        settle=5.0,
        token_file=str(file),
        probes=None,
    )


def builds(tmp_path: Path, tls: ssl.SSLContext, body: bytes, **more: str | None) -> tuple[str, ...]:
    """What is said where Drone's queue answers with that body."""
    with serve(routes({"/api/queue": page(body)}), tls=tls) as server:
        told = running_builds([drone(tmp_path, server.address, **more)])
        assert [talk.path for talk in server.asked] == ["/api/queue"]
        assert server.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    return told


def test_each_stage_that_runs_or_waits_is_one_line(tmp_path: Path, tls: ssl.SSLContext) -> None:
    """With what Drone tells of it; finished ones and junk are passed over."""
    queue = (
        b'[{"status": "running", "machine": "ci", "name": "test", "build_id": 41, "repo_id": 7},'
        b' {"status": "pending", "build_id": 42, "repo_id": 7}, {"status": "running"},'
        b' {"status": "success", "build_id": 40}, 3, null]'
    )

    assert builds(tmp_path, tls, queue) == (
        f"{DRONE}: a build runs on ci (stage test of build id 41 of repository id 7)",
        f"{DRONE}: a build waits for a runner (of build id 42 of repository id 7)",
        f"{DRONE}: a build runs on an unnamed machine",
    )


def test_a_long_queue_and_hostile_names_stay_short(tmp_path: Path, tls: ssl.SSLContext) -> None:
    """Names come from people's build files."""
    stage = b'{"status": "running", "machine": "\\u001b[2Jci\\n' + b"x" * 5000 + b'"}'

    lines = builds(tmp_path, tls, b"[" + b",".join([stage] * 25) + b"]")

    assert len(lines) == 21
    assert lines[-1] == f"{DRONE}: and 5 more"
    assert all(line.isprintable() and len(line) < 250 for line in lines)


@pytest.mark.parametrize("body", [b"[]", b"{}", b"null", b"no JSON", b'{"message": "Unauthorized"}'])
def test_an_answer_without_builds_says_nothing(tmp_path: Path, tls: ssl.SSLContext, body: bytes) -> None:
    """Nothing runs, or nothing can be read."""
    assert builds(tmp_path, tls, body) == ()


@pytest.mark.parametrize(("status", "script"), [(401, None), (403, None), (500, None), (0, hang)])
def test_a_drone_that_does_not_tell_holds_nobody(
    *, tmp_path: Path, tls: ssl.SSLContext, status: int, script: Script | None
) -> None:
    """Refused, broken or silent: in bounded time."""
    with serve(script or page(b'[{"status": "running"}]', status), tls=tls) as server:
        assert running_builds([drone(tmp_path, server.address)]) == ()
        assert server.asked


@pytest.mark.usefixtures("tls")
def test_the_token_is_kept_from_a_server_that_is_not_trusted(tmp_path: Path) -> None:
    """Whoever answers there does not learn it, and tells nothing."""
    own = make_tls({}, default=self_signed(DRONE, [DRONE]))
    with serve(page(b'[{"status": "running"}]'), tls=own) as server:
        assert running_builds([drone(tmp_path, server.address)]) == ()
        assert not server.asked


def test_without_a_token_or_a_drone_nobody_is_asked(tmp_path: Path, tls: ssl.SSLContext) -> None:
    """Only a Drone with a token that can be read."""
    with serve(page(b'[{"status": "running"}]'), tls=tls) as server:
        app = drone(tmp_path, server.address, None)
        others: Mapping[str, App] = {
            "no token": app,
            "none configured": replace(app, token_file=""),
            "no drone": replace(app, recipe="keycloak"),
        }
        assert running_builds(others.values()) == ()
        assert server.connections == 0
    assert BUILDS_SECONDS <= 5
