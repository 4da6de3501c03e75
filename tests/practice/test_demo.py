"""`make demo`: the main job, start to end, on a machine with Python and git only."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from tests.practice.test_command import ROOT, engines, environment

DEMO = (sys.executable, "-m", "ccci_upgrade.practice.demo")
SHOWN = [
    "practice",
    "status",
    "plan drone",
    "upgrade drone --no-input",
    "upgrade keycloak --no-input",
    "upgrade traefik --no-input",
    "history",
]


def check(out: str) -> None:
    """The whole play is there, in its order, with its end."""
    typed = re.findall(r"^\$ ccci-upgrade (.*?)\s*$", out, re.MULTILINE)
    assert typed == SHOWN
    assert "exit 0: upgraded" in out
    assert "exit 12: held" in out
    assert "db-major:db, major, notes-migration:11.0.0+26.2.0" in out
    assert "exit 14: " in out
    assert "All as it must be" in out
    assert "$ ccci-upgrade practice break" in out


def test_without_a_terminal(tmp_path: Path) -> None:
    """Under a minute, no escapes, nothing left behind."""
    started = time.monotonic()
    ran = subprocess.run(
        DEMO, env=environment(TMPDIR=str(tmp_path)), capture_output=True, text=True, check=False, timeout=120
    )
    took = time.monotonic() - started

    assert ran.returncode == 0, ran.stdout + ran.stderr
    check(ran.stdout)
    assert "\x1b" not in ran.stdout + ran.stderr
    assert took < 60
    assert list(tmp_path.iterdir()) == []
    assert engines(tmp_path) == []


def test_at_a_narrow_terminal(tmp_path: Path) -> None:
    """In colour at 80 columns; it asks nothing."""
    env = environment(TMPDIR=str(tmp_path), TERM="xterm-256color", LC_ALL="C.UTF-8")
    child = pexpect.spawn(
        DEMO[0], list(DEMO[1:]), env=env, dimensions=(24, 80), encoding="utf-8", timeout=120
    )
    child.expect(pexpect.EOF)
    child.close()
    out = str(child.before)

    assert child.exitstatus == 0, out
    check(re.sub(r"\x1b\[[0-9;]*m|\r", "", out))
    assert "\x1b[1m" in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", ["deploy keycloak", "abra app upgrade drone"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cleans_up(tmp_path: Path, after: str, number: signal.Signals) -> None:
    """Ctrl-C (which reaches the whole group) and SIGTERM, while the host is made and while abra acts."""
    with subprocess.Popen(
        DEMO,
        env=environment(TMPDIR=str(tmp_path)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if after in line:
                break
        os.killpg(child.pid, number)
        rest = child.stdout.read()
        child.wait(timeout=30)

    assert child.returncode == 130, rest
    assert "interrupted; all is removed" in rest
    assert list(tmp_path.iterdir()) == []
    assert engines(tmp_path) == []


def test_what_is_not_as_it_must_be_fails_the_demo(tmp_path: Path) -> None:
    """Where the program cannot even make its host: exit 1 and a sentence, nothing left behind."""
    (tmp_path / "bin").mkdir()
    ran = subprocess.run(
        DEMO,
        env=environment(TMPDIR=str(tmp_path), PATH=str(tmp_path / "bin")),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 1
    assert "git cannot be started" in ran.stderr
    assert "the demo failed: `ccci-upgrade practice` must end with 0, it ended with 13" in ran.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_demo_is_a_target() -> None:
    """It does its own set-up."""
    done = subprocess.run(
        ["make", "--dry-run", "demo"],  # noqa: S607 - make from PATH
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "-m ccci_upgrade.practice.demo" in done.stdout
