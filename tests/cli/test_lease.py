"""The lease as people and scripts meet it: who comes second, who was killed, who slept."""

import copy
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cli.scene import ACK, Ran, Scene, ended, plain
from tests.documents import problems

CONFIG = "ccci-upgrade-lease"
FIRST = ("upgrade", "traefik", "--no-input")


@contextmanager
def _at_work(scene: Scene, *words: str, **habits: object) -> Iterator["subprocess.Popen[bytes]"]:
    """An upgrade that stays with abra for a while."""
    scene.habits(**habits)
    with subprocess.Popen(
        scene.argv(*(words or FIRST)),
        env=scene.environment(),
        cwd=scene.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as child:
        try:
            assert child.stderr is not None
            for line in child.stderr:
                if b"INFO deploying" in line:
                    break
            yield child
        finally:
            child.kill()


def _label(scene: Scene, key: str) -> str:
    config = scene.engine.configs.get(CONFIG)
    return str(config["Spec"]["Labels"].get(f"ccci-upgrade.lease.{key}")) if config else ""


def _colleague(scene: Scene) -> Scene:
    """The same server, seen from another machine: with an `ABRA_DIR` of its own."""
    other = copy.copy(scene)
    other.abra_dir, other.config = scene.folder / "abra2", scene.folder / "other.toml"
    shutil.copytree(scene.abra_dir, other.abra_dir, symlinks=True)
    other.config.write_text(scene.config.read_text().replace(f'"{scene.abra_dir}"', f'"{other.abra_dir}"'))
    return other


def _document(ran: Ran) -> Any:
    found = json.loads(ran.out)
    assert problems(found) == []
    assert found["exit_code"] == ran.code
    return found


def _wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_who_comes_second_is_told_who_is_first(scene: Scene) -> None:
    """Exit 11 before anything is looked at; the other app is refused too; waiting gets through."""
    with _at_work(scene, before=4) as first:
        second = scene.run("upgrade", "keycloak", "--ack", ACK, "--json")
        shown = scene.run("lease", "show", "--json")
        doctor = _document(scene.run("doctor", "--json"))
        waited = scene.run("upgrade", "traefik", "--lease-wait", "60", "--json")
        assert first.wait(60) == 0
    after = scene.run("lease", "show", "--json")

    document = _document(second)
    assert second.code == 11
    assert [run["outcome"] for run in document["data"]["runs"]] == ["locked"]
    (error,) = document["errors"]
    assert error["code"] == "locked"
    for word in (f"(pid {first.pid})", "`upgrade traefik.ci.example.org`", "since 20"):
        assert word in error["message"]
    assert "--lease-wait" in error["hint"]
    claim = _document(shown)["data"]["claim"]
    assert (claim["pid"], claim["command"]) == (first.pid, "upgrade traefik.ci.example.org")
    (check,) = [each for each in doctor["data"]["checks"] if each["name"] == "lease"]
    assert check["health"] == "warn"
    assert claim["holder"] in check["detail"]
    assert waited.code == 0
    assert [run["outcome"] for run in _document(waited)["data"]["runs"]] == ["noop"]
    assert b"waiting for the lease" in waited.err
    assert _document(after)["data"]["state"] == "free"


def test_a_killed_holder_is_followed_at_once(scene: Scene) -> None:
    """Whose lease it was is said; the abra that outlived it is waited for."""
    with _at_work(scene, before=2) as first:
        first.kill()
        first.wait(10)
        shown = _document(scene.run("lease", "show", "--json"))
        second = scene.run("upgrade", "traefik", "--accept", "--json")

    assert (shown["data"]["state"], shown["data"]["why"].split()[-1]) == ("stale", "dead")
    assert second.code == 0, second.err
    assert (
        f"took over the lease of {shown['data']['claim']['holder']} (pid {first.pid})".encode() in second.err
    )
    assert _label(scene, "state") == "free"


def test_a_holder_that_slept_too_long_stops(scene: Scene) -> None:
    """It wakes at its question, is answered yes, and does nothing: exit 11, and the journal says so."""
    env = {"CCCI_UPGRADE_LEASE_LIMIT": "1"}
    slept = scene.pty("upgrade", "keycloak", env=env, columns=100)
    slept.expect_exact("the app's name:")
    slept.kill(signal.SIGSTOP)
    time.sleep(1.2)
    other = _colleague(scene).run(*FIRST, "--json")
    slept.kill(signal.SIGCONT)
    slept.sendline("keycloak.ci.example.org")
    slept.expect_exact("now?")
    slept.sendline("y")

    assert ended(slept) == 11, slept.before
    assert "lost the lease" in plain(slept)
    assert other.code == 0, other.err
    assert {run["app"].split(".")[0]: run["outcome"] for run in scene.runs()} == {
        "traefik": "upgraded",
        "keycloak": "locked",
    }
    (lost,) = [run for run in scene.runs() if run["outcome"] == "locked"]
    assert [phase["name"] for phase in lost["phases"] if phase["ok"]] == ["verify", "pin"]
    assert "act" not in [phase["name"] for phase in lost["phases"]]
    assert "1.0.0+1.0.0" in str(scene.engine.services[f"{scene.stack('keycloak')}_app"]["Spec"]["Labels"])


def test_a_lease_lost_during_abra_ends_abra_and_is_in_the_record(scene: Scene) -> None:
    """What is true then is the verdict; the lease of whoever has it now is left alone."""
    scene.habits(before=30)
    child = scene.pty(*FIRST, env={"CCCI_UPGRADE_LEASE_LIMIT": "1"})
    child.expect_exact("INFO deploying")
    holder = _document(scene.run("lease", "show", "--json"))["data"]["claim"]["holder"]
    released = scene.run("lease", "release", "--holder", holder, "--json")

    assert _document(released)["data"]["released"] is True
    assert ended(child) == 13, child.before
    (run,) = scene.runs()
    assert (run["outcome"], run["verdict"]["state"]) == ("not_ready", "unchanged")
    assert "the lease was lost while abra was at work" in "".join(run["notices"])


def test_ctrl_c_lets_go_of_it(scene: Scene) -> None:
    """At a question, and while abra is at work."""
    child = scene.pty("upgrade", "keycloak", columns=100)
    child.expect_exact("the app's name:")
    assert _label(scene, "state") == "held"
    child.sendintr()
    assert ended(child) == 17
    assert _label(scene, "state") == "free"

    scene.habits(before=30)
    child = scene.pty(*FIRST)
    child.expect_exact("INFO deploying")
    assert _label(scene, "state") == "held"
    child.sendintr()
    assert ended(child) == 13
    assert _label(scene, "state") == "free"


def test_who_only_looks_takes_none(calm: Scene) -> None:
    """No config is made in the Swarm."""
    for words in (("status",), ("plan",), ("upgrade", "traefik", "--dry-run"), ("lease",), ("doctor",)):
        assert calm.run(*words, "--offline" if words[0] == "plan" else "--no-input").code == 0

    assert calm.engine.configs == {}
    assert b"free" in calm.run("lease").out


def test_releasing_needs_the_holders_name(scene: Scene) -> None:
    """Exit 12 and the command that would do it; another name does not; at a terminal it is typed."""
    assert _document(scene.run("lease", "release", "--json"))["data"]["released"] is False
    with _at_work(scene, before=30) as first:
        unsaid = scene.run("lease", "release")
        wrong = scene.run("lease", "release", "--holder", "nobody@nowhere", "--json")
        assert (unsaid.code, wrong.code) == (12, 12)
        assert _document(wrong)["data"]["released"] is False
        assert str(first.pid).encode() in unsaid.err
        assert _label(scene, "state") == "held"

        child = scene.pty("lease", "release", columns=100)
        child.expect_exact("the holder's name:")
        child.sendline("y")
        assert ended(child) == 17
        assert _label(scene, "state") == "held"

        pasted = scene.line(unsaid.last)
        assert pasted.code == 0, pasted.err
        assert _label(scene, "state") == "free"


def test_the_name_can_be_typed(scene: Scene) -> None:
    """What is typed is what was shown."""
    with _at_work(scene, before=30):
        child = scene.pty("lease", "release", columns=100)
        child.expect_exact("the holder's name:")
        child.sendline(f"{_label(scene, 'user')}@{_label(scene, 'host')}")
        assert ended(child) == 0, child.before
        assert _label(scene, "state") == "free"


@pytest.mark.parametrize("words", [FIRST, ("lease", "show"), ("lease", "release"), ("doctor",)], ids=" ".join)
def test_somebody_elses_config_is_an_error_with_a_way_out(scene: Scene, words: tuple[str, ...]) -> None:
    """Exit 13; it is not written over."""
    spec = {"Name": CONFIG, "Labels": {"ccci-upgrade.lease": "\x1b[31mred"}}
    scene.engine.keep("/configs/create", "", spec)

    ran = scene.run(*words, "--json")

    document = _document(ran)
    assert ran.code == 13
    assert "docker config rm ccci-upgrade-lease" in json.dumps(document)
    assert b"\x1b" not in ran.out + ran.err
    assert scene.engine.configs[CONFIG]["Spec"] == spec
    assert scene.untouched()
