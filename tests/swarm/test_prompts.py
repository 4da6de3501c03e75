"""A person at a terminal on a real Swarm: choosing, acknowledging, confirming, declining, interrupting."""

import re
from typing import Any

import pexpect

from tests.swarm.host import Host

APPS = ("drone", "keycloak", "traefik")
NEWEST = {"drone": "1.9.0+2.26.0", "keycloak": "11.0.0+26.2.0", "traefik": "1.1.0+3.1.0"}
FIRST = {"drone": "1.8.0+2.25.0", "keycloak": "10.0.0+26.0.0", "traefik": "1.0.0+3.0.0"}
HOLDS = ["db-major:db", "major", "notes-migration:11.0.0+26.2.0"]


def _answer(child: "pexpect.spawn[str]", question: str, keys: str) -> None:
    """Wait for a question, give it time to listen, and type."""
    child.expect_exact(question)
    child.expect(pexpect.TIMEOUT, timeout=0.5)
    child.send(keys)


def _ended(child: "pexpect.spawn[str]") -> tuple[int | None, str]:
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", str(child.before))


def _runs(host: Host) -> list[dict[str, Any]]:
    data: Any = host.run_tool("history", "--json").document()["data"]
    return list(reversed(data["runs"]))


def test_all_three_apps_are_upgraded_by_prompts(host: Host) -> None:
    """Menu, evidence, the app's name for each hold, y for each app: label, `.env` and journal agree."""
    host.deploy()
    child = host.engine.pty(host.argv("upgrade"), seconds=180)
    _answer(child, "upgrade which apps?", "a\r")
    for hold in HOLDS:
        child.expect(rf"id: (\x1b\[[\d;]*m)*{re.escape(hold)}\b")
        _answer(child, "the app's name:", f"{host.app('keycloak')}\r")
    for recipe in ("keycloak", "drone", "traefik"):
        _answer(child, f"upgrade {host.app(recipe)} {FIRST[recipe]} → {NEWEST[recipe]} now?", "y\r")
    code, said = _ended(child)

    assert code == 0, said
    for recipe in APPS:
        assert host.label(recipe) == host.pinned(recipe) == NEWEST[recipe]
    runs = _runs(host)
    assert [run["recipe"] for run in runs] == ["keycloak", "drone", "traefik"], "traefik is the last"
    assert [run["outcome"] for run in runs] == ["upgraded"] * 3
    assert [run["to"] for run in runs] == [NEWEST[run["recipe"]] for run in runs]
    assert runs[0]["acknowledged"] == HOLDS


def test_declined_leaves_everything_as_it_was(host: Host) -> None:
    """A name typed wrong, a plain Enter, Ctrl-C: exit 17, and neither Swarm nor `.env` nor journal changed."""
    host.deploy("keycloak", "traefik")
    before = host.services("keycloak", "{{.ID}} {{.Image}}"), host.env_path("keycloak").read_bytes()
    for question, keys in (("the app's name:", "keycloak\r"), ("the app's name:", "\x03")):
        child = host.engine.pty(host.argv("upgrade", "keycloak"), seconds=60)
        _answer(child, question, keys)
        code, said = _ended(child)
        assert code == 17, said
        assert "declined; nothing was changed" in said
    child = host.engine.pty(host.argv("upgrade", "traefik"), seconds=60)
    _answer(child, "now?", "\r")
    assert _ended(child)[0] == 17
    after = host.services("keycloak", "{{.ID}} {{.Image}}"), host.env_path("keycloak").read_bytes()
    assert after == before
    assert _runs(host) == []


def test_the_command_of_a_held_run_goes_on(host: Host) -> None:
    """Without a terminal: held by name, and the printed line, run as it is, upgrades."""
    host.deploy("keycloak")
    held = host.run_tool("upgrade", "keycloak", data="y\n" * 20)
    assert held.code == 12
    last = held.err.rstrip().splitlines()[-1].split(" ")
    assert last[0] == "ccci-upgrade"
    done = host.engine.run([*host.argv()[:3], *last[1:]], seconds=180)
    assert done.code == 0, done.err
    assert _runs(host)[0]["acknowledged"] == HOLDS


def test_ctrl_c_is_abras_and_the_verdict_is_the_swarms(host: Host) -> None:
    """Abra hangs after it deployed; Ctrl-C ends it; Swarm came up, so the run is upgraded and pinned."""
    host.deploy("traefik")
    host.habits(hang_after_deploy=True)
    child = host.engine.pty(host.argv("upgrade", "traefik", "--no-input"), seconds=120)
    child.expect_exact("Updating service")
    child.sendintr()
    code, said = _ended(child)
    assert code == 0, said
    assert "SIGINT sent to abra" in said
    (run,) = _runs(host)
    assert (run["outcome"], run["verdict"]["state"]) == ("upgraded", "converged")
    assert host.label("traefik") == host.pinned("traefik") == NEWEST["traefik"]
