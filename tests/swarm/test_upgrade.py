"""The main job on a real Swarm, without a terminal: from status to a recorded verdict."""

import getpass
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.swarm.host import SERVER, Host
from tests.swarm.runs import Seen, findings, soon, upgrade

ACKS = ("db-major:db", "major", "notes-migration:11.0.0+26.2.0")


def test_all_three_apps_from_status_to_verdict(host: Host) -> None:
    """Label, `.env` and journal agree afterwards; traefik went last; a second run has nothing to do."""
    host.deploy()
    before: Any = host.run_tool("status", "--json", "--offline").document()
    acks = [f"--ack=keycloak.{SERVER}:{ack}" for ack in ACKS]

    held = host.run_tool("upgrade", "--all", "--json", "--offline")
    done = host.run_tool("upgrade", "--all", "--json", "--offline", *acks)
    again = host.run_tool("upgrade", "--all", "--json", "--offline")

    assert {row["state"] for row in before["data"]["apps"]} == {"converged"}
    assert held.code == 12
    assert {run["outcome"] for run in json.loads(held.out)["data"]["runs"]} == {"held", "skipped"}
    runs = json.loads(done.out)["data"]["runs"]
    assert done.code == 0, done.err
    assert [run["recipe"] for run in runs] == ["keycloak", "drone", "traefik"]
    assert {run["verdict"]["state"] for run in runs} == {"converged"}
    newest = {"keycloak": "11.0.0+26.2.0", "drone": "1.9.0+2.26.0", "traefik": "1.1.0+3.1.0"}
    assert {recipe: host.label(recipe) for recipe in newest} == newest
    assert {recipe: host.pinned(recipe) for recipe in newest} == newest
    journal: Any = host.run_tool("history", "--json").document()
    assert {run["recipe"]: run["to"] for run in journal["data"]["runs"]} == newest
    assert {run["outcome"] for run in journal["data"]["runs"]} == {"upgraded"}
    acknowledged = {run["recipe"]: run["acknowledged"] for run in journal["data"]["runs"]}
    assert acknowledged == {"keycloak": sorted(ACKS), "drone": [], "traefik": []}
    assert again.code == 0
    assert {run["outcome"] for run in json.loads(again.out)["data"]["runs"]} == {"noop"}


def test_the_command_printed_when_held_goes_on(host: Host) -> None:
    """The last line of stderr can be pasted."""
    host.deploy("keycloak")

    held = host.run_tool("upgrade", "keycloak", "--offline")
    last = held.err.rstrip().splitlines()[-1]
    words = last.split()
    done = host.run_tool(*words[words.index("upgrade") :])

    assert held.code == 12
    assert last.startswith("ccci-upgrade --config ")
    assert done.code == 0, done.err
    assert host.label("keycloak") == "11.0.0+26.2.0"


def test_a_saved_plan_is_acted_on_once_and_refused_when_a_fact_moved(host: Host) -> None:
    """The fact that moved is named; nothing is changed."""
    host.deploy("traefik")
    saved = str(host.folder / "plan.json")
    env = host.env_path("traefik")
    text = env.read_text()

    written = host.run_tool("plan", "traefik", "--out", saved, "--offline")
    env.write_text(text + "LOG_LEVEL=DEBUG\n")
    moved = host.run_tool("upgrade", "--plan", saved, "--json", "--offline")
    env.write_text(text)
    fits = Seen(host.run_tool("upgrade", "--plan", saved, "--json", "--offline"))
    stale = host.run_tool("upgrade", "--plan", saved, "--json", "--offline")

    assert written.code == 0
    assert moved.code == 19
    assert json.loads(moved.out)["data"]["runs"][0]["outcome"] == "stale"
    assert ".env moved" in moved.err
    assert fits.end == ("upgraded", "converged", 0)
    assert stale.code == 19
    assert host.label("traefik") == "1.1.0+3.1.0"


def test_dry_run_and_reading_commands_change_nothing(host: Host) -> None:
    """Not in the Swarm, not in recipes, not in `.env`s, not in the state folder."""
    host.deploy("traefik")
    trees = (host.abra_dir, host.state_dir)
    before = [_fingerprint(tree) for tree in trees]
    services = host.engine.docker("service", "inspect", f"{host.stack('traefik')}_app")

    codes = {
        words: host.run_tool(*words).code
        for words in (
            ("status", "--json"),
            ("status", "--exit-code", "--json"),
            ("notes", "traefik"),
            ("plan", "--json"),
            ("upgrade", "traefik", "--dry-run"),
            ("health", "traefik"),
            ("history",),
            ("doctor",),
        )
    }

    assert codes[("status", "--exit-code", "--json")] == 10
    assert {code for words, code in codes.items() if "--exit-code" not in words} == {0}
    assert [_fingerprint(tree) for tree in trees] == before
    assert host.engine.docker("service", "inspect", f"{host.stack('traefik')}_app") == services


def test_an_upgrade_takes_no_longer_than_bare_abra_and_the_window(
    host: Host, record_property: Callable[[str, object], None]
) -> None:
    """Beside abra's own time the stability window + 2 s; both are printed, `make bench` compares them."""
    host.deploy("traefik")
    host.configure(settle="1s")
    started = time.monotonic()
    host.abra("app", "upgrade", host.app("traefik"), "1.0.1+3.0.1", "--no-input", check=True)
    bare = time.monotonic() - started

    seen = upgrade(host, "traefik")
    record_property(
        "figure", f"bare abra {bare:.1f} s; whole upgrade {seen.ran.seconds:.1f} s; stability window 1 s"
    )

    assert seen.end == ("upgraded", "converged", 0)
    phases = {phase["name"]: phase["seconds"] for phase in seen.run["phases"]}
    assert sum(phases.values()) - phases["act"] < 1 + 2


def test_two_upgrades_at_once_never_run_two_abras(host: Host) -> None:
    """The second one is refused before it looks, and is told who is at work."""
    host.deploy("traefik")
    host.habits(delay_before=10)
    with host.engine.popen(host.argv("upgrade", "traefik", "--offline")) as first:
        soon(host, "act")
        second = host.run_tool("upgrade", "traefik", "--json", "--offline")
        out, err = first.communicate(timeout=90)

    assert first.returncode == 0, out + err
    assert second.code == 11
    assert f"another operator is at work on this Swarm: {getpass.getuser()}@" in second.err
    assert f"(pid {first.pid})" in second.err


def test_a_killed_run_is_named_by_every_command(host: Host) -> None:
    """SIGKILL in the middle: what was open is said, with what to type."""
    host.deploy("traefik")
    host.habits(delay_before=5)
    with host.engine.popen(host.argv("upgrade", "traefik", "--offline")) as child:
        soon(host, "act")
        child.kill()
        child.communicate(timeout=30)

    status = host.run_tool("status", "--json", "--offline")

    assert "never ended" in status.err
    (open_run,) = json.loads(status.out)["data"]["open_runs"]
    assert open_run["app"] == f"traefik.{SERVER}"
    assert open_run["phase"] == "act"


def test_findings_of_a_real_swarm(host: Host) -> None:
    """What the Engine, git and the `.env` say against an upgrade, seen through the real ones."""
    host.deploy("keycloak")
    host.release(
        "keycloak",
        "10.2.0+26.1.0",
        based_on="10.1.0+26.1.0",
        swap=(("- db_password\n", "- db_password\n      - smtp_password\n"), ("\nsecrets:\n", _SMTP)),
        note="Nothing to do.",
        annotated=False,
    )
    (host.abra_dir / "recipes" / "keycloak" / "local.txt").write_text("mine\n")

    seen = upgrade(host, "keycloak", "--to", "10.2.0+26.1.0")

    found = findings(seen)
    assert seen.end == ("not_ready", None, 13)
    assert found["secret-missing:smtp_password"] == "block"
    assert found["lightweight-tag:10.2.0+26.1.0"] == "block"
    assert found["dirty-recipe"] == "block"


def test_compose_files_that_cannot_be_read_hold_the_upgrade(host: Host) -> None:
    """Nothing in them was checked: held by name, and judged by the label where it is acknowledged."""
    host.deploy("traefik")
    host.release(
        "traefik", "1.3.0+3.1.0", swap=(("    networks:\n      - proxy\n", "    networks: [proxy, {\n"),)
    )

    held = upgrade(host, "traefik")

    assert held.end == ("held", None, 12)
    assert findings(held)["compose-unreadable"] == "ack"


_SMTP = "\nsecrets:\n  smtp_password:\n    external: true\n    name: ${STACK_NAME}_smtp_password_v1\n"


def _fingerprint(tree: object) -> str:
    tool = shutil.which("find") or "find"
    done = subprocess.run(
        [tool, str(tree), "-type", "f", "-printf", "%p %s %T@\n"], capture_output=True, check=False, text=True
    )
    return "\n".join(sorted(done.stdout.splitlines()))
