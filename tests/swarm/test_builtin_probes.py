"""The built-in probes through a TLS front on a real Swarm: only what an upgrade made worse counts against it."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.swarm.front import ADDRESS, Front, front
from tests.swarm.host import Host
from tests.swarm.runs import Seen, findings

TRAEFIK = "traefik.ci.example.org"
KEYCLOAK = "keycloak.ci.example.org"
DRONE = "drone.ci.example.org"
NEW_TRAEFIK = "3.1.0"
"""What the newest release's traefik answers."""


@pytest.fixture
def before(host: Host) -> Iterator[Front]:
    """Stand a front before the host's apps, and leave their probes to the profiles."""
    text, found = re.subn(
        r"\n\[\[apps\.[^\n]*probes\]\]\n(?:[a-z]+ = [^\n]*\n)+", "", host.config.read_text()
    )
    assert found == 3
    text = text.replace('address = "127.0.0.1"', f'address = "{ADDRESS}"').replace("40s", "25s")
    host.config.write_text(text)
    with front(host) as made:
        yield made


def test_a_clean_upgrade_of_traefik_is_green(host: Host, before: Front) -> None:
    """Its own page, every route of the Swarm and every certificate are asked, before and after."""
    host.deploy("traefik", "keycloak")

    healthy = host.run_tool("health", "traefik", "--json", env=before.env)
    asked_before = before.log.read_text().splitlines()
    seen = _upgrade(host, before, "traefik")

    (found,) = json.loads(healthy.out)["data"]["apps"]
    assert healthy.code == 0, found
    assert {check["name"] for check in found["checks"] if check["ok"]} == {
        "stack",
        "api",
        f"route https://{KEYCLOAK}/",
        f"route https://{TRAEFIK}/",
        f"certificate {KEYCLOAK}",
        f"certificate {TRAEFIK}",
    }
    assert seen.end == ("upgraded", "converged", 0)
    asked = before.log.read_text().splitlines()[len(asked_before) :]
    assert asked.count(f"{TRAEFIK}/api/version 200") >= 2
    assert asked.count(f"{KEYCLOAK}/ 200") >= 2


def test_a_route_that_the_upgrade_lost_is_named(host: Host, before: Front) -> None:
    """The new traefik does not know keycloak any more: 404 where a page was."""
    host.deploy("traefik", "keycloak")
    before.behave(lost=(KEYCLOAK,), once=NEW_TRAEFIK)

    seen = _upgrade(host, before, "traefik")

    assert seen.end == ("unhealthy", "unhealthy", 16)
    assert f"probe route https://{KEYCLOAK}/: status was 200, is 404" in seen.evidence
    assert f"https://{TRAEFIK}/" not in seen.evidence
    assert host.label("traefik") == "1.1.0+3.1.0"


def test_traefiks_own_certificate_after_an_upgrade_is_named(host: Host, before: Front) -> None:
    """A certificate that traefik made for itself stands where a real one stood."""
    host.deploy("traefik", "keycloak")
    before.behave(default=(KEYCLOAK,), once=NEW_TRAEFIK)

    seen = _upgrade(host, before, "traefik")

    assert seen.end == ("unhealthy", "unhealthy", 16)
    assert f"probe certificate {KEYCLOAK}" in seen.evidence
    assert "TRAEFIK DEFAULT CERT is served" in seen.evidence
    assert f"certificate {TRAEFIK}" not in seen.evidence


def test_what_was_red_before_and_stays_red_does_not_count(host: Host, before: Front) -> None:
    """It is held by `unhealthy-before`; acknowledged, the upgrade is judged by what it did itself."""
    host.deploy("traefik", "keycloak")
    before.behave(default=(KEYCLOAK,))

    held = _upgrade(host, before, "traefik")
    seen = _upgrade(host, before, "traefik", "--ack", "unhealthy-before")

    assert held.end == ("held", None, 12)
    assert findings(held)["unhealthy-before"] == "ack"
    assert seen.end == ("upgraded", "converged", 0)
    assert seen.run["acknowledged"] == ["unhealthy-before"]


def test_an_issuer_that_changed_is_named(host: Host, before: Front) -> None:
    """Every client of keycloak has it configured: the page may be as green as it likes."""
    host.release(
        "keycloak", "10.2.0+26.1.0", based_on="10.1.0+26.1.0", env={"app": {"ISSUER_HOST": "keycloak:8080"}}
    )
    host.deploy("keycloak")

    seen = _upgrade(host, before, "keycloak", "--to", "10.2.0+26.1.0")

    assert seen.end == ("unhealthy", "unhealthy", 16)
    assert (
        f"probe issuer: issuer was http://{KEYCLOAK}/realms/master, is http://keycloak:8080" in seen.evidence
    )
    assert "probe realm" not in seen.evidence
    assert "probe signing keys" not in seen.evidence


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("https://${GITEA_DOMAIN}", "https://elsewhere.example.org", "redirects to elsewhere.example.org"),
        ("${GITEA_CLIENT_ID}", "somebody-else", "redirects with another client_id"),
    ],
)
def test_a_login_that_leads_elsewhere_is_named(
    host: Host, before: Front, *, old: str, new: str, told: str
) -> None:
    """The Gitea and the client id of the `.env` are what people log in with."""
    overlay = (host.recipe("drone").path / "compose.gitea.yml").read_text()
    assert old in overlay
    host.release("drone", "1.9.9+2.26.0", files={"compose.gitea.yml": overlay.replace(old, new)})
    host.deploy("drone")

    seen = _upgrade(host, before, "drone", "--to", "1.9.9+2.26.0")

    assert seen.end == ("unhealthy", "unhealthy", 16)
    assert f"probe login: was fine before: {told}" in seen.evidence
    assert "probe healthz" not in seen.evidence


def test_a_build_that_runs_holds_the_upgrade_of_any_app(host: Host, before: Front) -> None:
    """Drone's own queue says so, over a certificate that is trusted; the token is in no output."""
    token = _give_token(host)
    host.deploy("traefik")
    stage = {"id": 3, "repo_id": 7, "build_id": 41, "number": 1, "name": "test", "status": "running"}
    before.behave(pages={f"{DRONE}/api/queue": [stage | {"machine": "ci"}]})

    held = _upgrade(host, before, "traefik")
    before.behave(pages={f"{DRONE}/api/queue": []})
    seen = _upgrade(host, before, "traefik")

    assert held.end == ("held", None, 12)
    (busy,) = [finding for finding in held.plan["findings"] if finding["id"] == "busy"]
    assert busy["evidence"] == [f"{DRONE}: a build runs on ci (stage test of build id 41 of repository id 7)"]
    assert "busy" not in findings(seen)
    assert seen.end == ("upgraded", "converged", 0)
    assert token not in held.ran.out + held.ran.err


def test_repositories_that_drone_lost_are_named(host: Host, before: Front) -> None:
    """With a token they are counted; a build queue that is empty tells nothing, and holds nothing."""
    token = _give_token(host)
    queue: dict[str, object] = {f"{DRONE}/api/queue": []}
    repositories = [{"slug": f"ci/{name}", "active": True} for name in ("one", "two")]
    before.behave(pages=queue | {f"{DRONE}/api/user/repos": repositories})
    host.deploy("drone")
    lose = threading.Thread(
        target=_once_upgraded,
        args=(host, lambda: before.behave(pages=queue | {f"{DRONE}/api/user/repos": repositories[:1]})),
    )

    healthy = host.run_tool("health", "drone", "--json", env=before.env)
    lose.start()
    seen = _upgrade(host, before, "drone")
    lose.join(timeout=30)

    (found,) = json.loads(healthy.out)["data"]["apps"]
    assert (healthy.code, found["verdict"]) == (0, "healthy"), found
    assert {check["name"]: check["ok"] for check in found["checks"]}["runner"] is None
    assert "unhealthy-before" not in findings(seen)
    assert seen.end == ("unhealthy", "unhealthy", 16)
    assert "probe repositories: repositories was 2, is 1" in seen.evidence
    assert "probe runner" not in seen.evidence
    assert token not in seen.ran.out + seen.ran.err
    assert not [p for p in host.state_dir.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]


def _give_token(host: Host) -> str:
    """Configure a token for drone; gives it."""
    token = "s3ntinel-of-the-queue"
    file = host.folder / "drone-token"
    file.write_text(f"{token}\n")
    table = f'[apps."{DRONE}"]\n'
    text = host.config.read_text()
    assert table in text
    host.config.write_text(text.replace(table, f'{table}token_file = "{file}"\n'))
    return token


def _once_upgraded(host: Host, act: Callable[[], None]) -> None:
    deadline = time.monotonic() + 90
    while host.label("drone") != "1.9.0+2.26.0" and time.monotonic() < deadline:
        time.sleep(0.1)
    act()


def _upgrade(host: Host, before: Front, recipe: str, *words: str) -> Seen:
    left = ("--on-failure", "leave")
    return Seen(host.run_tool("upgrade", recipe, "--json", "--offline", *left, *words, env=before.env))
