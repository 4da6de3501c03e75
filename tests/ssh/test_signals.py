"""Ends of a command from afar: Ctrl-C and a kill leave no ssh and no socket, at a terminal too."""

import os
import signal
import subprocess
import time

import pytest

from tests.cli.scene import ended, plain
from tests.ssh.conftest import Far
from tests.ssh.server import ALIAS, until


def test_ctrl_c_leaves_nothing(far: Far) -> None:
    """At a terminal, while the Engine is silent: 130, and ssh goes with us though it shares the terminal."""
    far.scene.engine.silent.set()
    try:
        child = far.scene.pty("plan", env=far.env)
        until(far.server.sockets, "no connection")
        time.sleep(0.5)
        child.sendintr()
        assert ended(child) == 130
    finally:
        far.scene.engine.silent.clear()

    until(lambda: not far.server.running() and not far.server.sockets(), "something was left", 5.0)
    assert "nothing was changed" in plain(child)


def test_a_kill_leaves_nothing(far: Far) -> None:
    """Killed outright, the tool cannot clean up: it is done all the same within seconds."""
    far.scene.engine.silent.set()
    words = far.scene.argv("status")
    with subprocess.Popen(
        words,
        env=far.scene.environment(far.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as child:
        until(far.server.sockets, "no connection")
        child.kill()
        child.wait(timeout=10)
    far.scene.engine.silent.clear()

    until(lambda: not far.server.running() and not far.server.sockets(), "something was left", 5.0)


def test_ctrl_c_in_a_run_does_not_cut_the_connection(far: Far) -> None:
    """The press is abra's: ssh at the same terminal goes on, and the run ends with its verdict."""
    far.scene.habits(after=30)
    child = far.scene.pty("upgrade", "traefik", "--no-input", env=far.env)
    child.expect_exact("INFO deployed")
    child.sendintr()

    assert ended(child) == 0, child.before
    assert far.scene.runs()[0]["outcome"] == "upgraded"
    assert len(far.server.started()) == 1


def test_a_question_of_sshs_comes_before_anything_of_ours(far: Far) -> None:
    """An unknown key is asked about by ssh itself at a terminal, and `no` is one clear error."""
    far.server.known_hosts.write_text("")
    child = far.scene.pty("status", env=far.env)
    child.expect_exact("Are you sure you want to continue connecting")
    child.sendline("no")

    assert ended(child) == 13
    said = " ".join(plain(child).split())
    assert "Host key verification failed" in said
    assert f"type `ssh {ALIAS}` once" in said


@pytest.mark.parametrize("words", [("status", "--no-input"), ("doctor", "--no-input")])
def test_no_input_is_no_question_of_sshs(far: Far, words: tuple[str, ...]) -> None:
    """`--no-input` holds for ssh too."""
    far.server.known_hosts.write_text("")
    child = far.scene.pty(*words, env=far.env)

    assert ended(child) == 13
    assert "Are you sure" not in plain(child)


def test_a_run_goes_on_over_a_new_connection(far: Far) -> None:
    """Its ssh is killed while abra acts: the watch opens one new connection and reaches its verdict."""
    far.scene.habits(before=3)
    with subprocess.Popen(
        far.scene.argv("upgrade", "traefik", "--no-input", "--offline"),
        env=far.scene.environment(far.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if b"INFO deploying" in line:
                break
        far.server.signal_connections(signal.SIGKILL)
        said = child.stdout.read()
        code = child.wait(timeout=60)

    assert code == 0, said
    assert far.scene.runs()[0]["outcome"] == "upgraded"
    assert len(far.server.started()) == 2


def test_a_connection_that_does_not_come_back_is_recorded(far: Far) -> None:
    """Nobody can say what is true: no verdict, exit 15, soon after the budget, and the journal says so."""
    text = far.scene.config.read_text().replace('budget = "20s"', 'budget = "5s"')
    far.scene.config.write_text(text)
    far.scene.habits(before=2)
    with subprocess.Popen(
        far.scene.argv("upgrade", "traefik", "--no-input", "--offline"),
        env=far.scene.environment(far.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if b"INFO deploying" in line:
                break
        began = time.monotonic()
        far.server.cut()
        said = child.stdout.read()
        code = child.wait(timeout=90)

    run = far.scene.runs()[0]
    assert code == 15, said
    assert (run["outcome"], run["verdict"]) == ("failed", None)
    assert ALIAS in "\n".join(run["notices"])
    assert time.monotonic() - began < 45


def test_a_connection_that_froze_in_a_run_is_given_up(far: Far) -> None:
    """The far sshd stands still for good: ssh notices within its deadline, and a new connection ends the run."""
    text = far.scene.config.read_text().replace('budget = "20s"', 'budget = "90s"')
    far.scene.config.write_text(text)
    far.scene.habits(before=3)
    with subprocess.Popen(
        far.scene.argv("upgrade", "traefik", "--no-input", "--offline"),
        env=far.scene.environment(far.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if b"INFO deploying" in line:
                break
        frozen = far.server.children()
        far.server.signal_connections(signal.SIGSTOP)
        began = time.monotonic()
        said = child.stdout.read()
        code = child.wait(timeout=90)
        took = time.monotonic() - began
    for pid in frozen:
        os.kill(pid, signal.SIGKILL)

    assert code == 0, said
    assert far.scene.runs()[0]["outcome"] == "upgraded"
    assert len(far.server.started()) == 2
    assert took < 60
