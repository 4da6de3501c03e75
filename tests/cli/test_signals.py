"""Ctrl-C, hang-ups, and readers that go away or stand still: a run that began ends with a recorded verdict."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pexpect
import pytest

from tests.cli.scene import ACK, Scene, ended, hang_up, plain

UPGRADE = ("upgrade", "traefik", "--no-input")


def _reads_until(handle: int, text: bytes, seconds: float = 60.0) -> bytes:
    said = b""
    deadline = time.monotonic() + seconds
    while text not in said:
        assert time.monotonic() < deadline, said
        said += os.read(handle, 4096)
    return said


def _wait(true: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


# -- before the act ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [("status",), ("plan",), ("upgrade", "traefik")])
def test_ctrl_c_while_reading_ends_it(calm: Scene, words: tuple[str, ...]) -> None:
    """Even where the Engine is silent: 130 within seconds, one sentence, nothing was changed."""
    calm.engine.silent.set()
    try:
        child = calm.pty(*words)
        child.expect(pexpect.TIMEOUT, timeout=4)
        assert child.isalive()
        pressed = time.monotonic()
        child.sendintr()
        assert ended(child) == 130
        assert time.monotonic() - pressed < 8
    finally:
        calm.engine.silent.clear()
    assert "nothing was changed" in plain(child)
    assert "Traceback" not in plain(child)
    assert calm.untouched()


def test_pressing_again_ends_it_at_once(calm: Scene) -> None:
    """The second Ctrl-C does not wait for the order that the first one waits for."""
    calm.engine.silent.set()
    try:
        child = calm.pty("status")  # waits for its workers, which wait for the Engine
        child.expect(pexpect.TIMEOUT, timeout=4)
        child.sendintr()
        child.expect(pexpect.TIMEOUT, timeout=0.2)
        pressed = time.monotonic()
        child.sendintr()
        assert ended(child) == 130
        assert time.monotonic() - pressed < 1.5
    finally:
        calm.engine.silent.clear()
    assert "Traceback" not in plain(child)


# -- during the act ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("habits", "outcome", "code"),
    [
        ({"before": 30}, "not_ready", 13),
        ({"before": 0, "after": 30}, "upgraded", 0),
    ],
    ids=["before the change", "after the change"],
)
def test_ctrl_c_during_abra_goes_to_abra(
    scene: Scene, habits: dict[str, object], outcome: str, code: int
) -> None:
    """Abra is interrupted; what is true then is read from the Swarm, and that is the exit code."""
    scene.habits(**habits)
    child = scene.pty(*UPGRADE)
    child.expect_exact("INFO deployed" if "after" in habits else "INFO deploying")
    child.sendintr()
    assert ended(child) == code, child.before
    said = plain(child)
    assert "SIGINT sent to abra" in said
    assert "FATA stopped by 2" in said
    assert "Traceback" not in said
    assert scene.signals() == [signal.SIGINT]
    assert [run["outcome"] for run in scene.runs()] == [outcome]
    assert "abra exited 130" in str(scene.runs()[0]["verdict"])


def test_presses_escalate(scene: Scene) -> None:
    """Interrupt, terminate, kill: an abra that ignores the first two is ended by the third."""
    scene.habits(before=60, ignore=[signal.SIGINT, signal.SIGTERM])
    child = scene.pty(*UPGRADE)
    child.expect_exact("INFO deploying")
    for number, name in enumerate(("SIGINT", "SIGTERM", "SIGKILL"), 1):
        child.sendintr()
        child.expect_exact(f"{name} sent to abra")
        if number < 3:
            _wait(lambda count=number: len(scene.signals()) == count)  # type: ignore[misc]
    assert ended(child) == 13, child.before
    assert scene.signals() == [signal.SIGINT, signal.SIGTERM]
    assert "SIGKILL" in str(scene.runs()[0]["verdict"])


def test_ctrl_c_during_verifying_stops_the_wait(scene: Scene) -> None:
    """Swarm's update never ends: a press judges what is true now; more presses change nothing."""
    scene.habits(unsettled=True)
    child = scene.pty(*UPGRADE)
    child.expect_exact("watch the Swarm")
    child.expect_exact("waiting for")
    for _ in range(3):
        child.sendintr()
    assert ended(child) == 16, child.before
    assert "Traceback" not in plain(child)
    assert scene.runs()[0]["verdict"]["state"] == "not_converged"
    assert "Ctrl-C" in str(scene.runs()[0]["verdict"]["evidence"])


def test_ctrl_c_in_one_run_begins_no_other(scene: Scene) -> None:
    """With several apps the next one is not begun, even though the first came out well."""
    scene.habits(after=30)
    child = scene.pty("upgrade", "--all", "--no-input", "--ack", f"keycloak:{ACK}")
    child.expect_exact("INFO deployed")
    child.sendintr()
    assert ended(child) == 0, child.before
    assert "traefik.ci.example.org: not begun" in plain(child)
    assert [run["app"] for run in scene.runs()] == ["keycloak.ci.example.org"]


def test_sigterm_is_a_press(scene: Scene) -> None:
    """A service manager that ends the tool ends abra in order, and the verdict is recorded."""
    scene.habits(after=30)
    with _popen(scene, *UPGRADE) as child:
        assert child.stderr is not None
        _reads_until(child.stderr.fileno(), b"INFO deployed")
        child.terminate()
        assert child.wait(timeout=60) == 0
    assert scene.signals() == [signal.SIGINT]
    assert scene.runs()[0]["outcome"] == "upgraded"


# -- readers that are gone, or stand still ----------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    ['exec "$@" >&-', 'exec "$@" 2>&-', 'exec "$@" >&- 2>&- <&-', 'exec "$@" >/dev/full 2>/dev/full'],
)
def test_closed_streams_end_no_run(scene: Scene, script: str) -> None:
    """With stdout and stderr closed, or on a full disk, the run is done and recorded all the same."""
    ran = scene.run(*UPGRADE, script=script)
    assert ran.code == 0, ran
    assert b"Traceback" not in ran.err
    assert [run["outcome"] for run in scene.runs()] == ["upgraded"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_pipe_whose_reader_left_ends_no_run(scene: Scene, stream: str) -> None:
    """EPIPE in the middle of a run is not its end."""
    scene.habits(after=1, say=["x"] * 50)
    with _popen(scene, *UPGRADE) as child:
        pipe = child.stdout if stream == "stdout" else child.stderr
        other = child.stderr if stream == "stdout" else child.stdout
        assert pipe is not None
        assert other is not None
        if stream == "stderr":
            _reads_until(pipe.fileno(), b"INFO deploying")
        pipe.close()
        said = other.read()
        assert child.wait(timeout=60) == 0
    assert b"Traceback" not in said
    assert [run["outcome"] for run in scene.runs()] == ["upgraded"]


def test_a_reader_that_stands_still_holds_up_no_run(scene: Scene) -> None:
    """Nobody reads progress, and abra prints more than a pipe holds: the run is recorded all the same."""
    scene.habits(say=["y" * 200] * 6000)
    with _popen(scene, *UPGRADE) as child:
        run = scene.wait_for_run()
        assert run["outcome"] == "upgraded"
        assert child.poll() is None  # it still has something to say
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0
    assert b"upgraded" in out
    assert b"lines were not shown: nobody read them" in err


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGPIPE])
def test_a_hang_up_ends_no_run(scene: Scene, number: signal.Signals) -> None:
    """SIGHUP means that the terminal is gone, not that the run should be."""
    scene.habits(after=1)
    with _popen(scene, *UPGRADE) as child:
        assert child.stderr is not None
        _reads_until(child.stderr.fileno(), b"INFO deployed")
        child.send_signal(number)
        assert child.wait(timeout=60) == 0
    assert scene.signals() == []
    assert scene.runs()[0]["outcome"] == "upgraded"


def test_a_terminal_that_is_closed_ends_no_run(scene: Scene) -> None:
    """The window is closed in the middle of abra: the run goes on until its verdict is recorded."""
    scene.habits(after=2)
    pid, handle = hang_up(scene.argv(*UPGRADE), scene.environment(), scene.folder)
    _reads_until(handle, b"INFO deployed")
    os.close(handle)  # the kernel sends SIGHUP to the session, and every write fails from now on
    run = scene.wait_for_run()
    _, status = os.waitpid(pid, 0)
    assert run["outcome"] == "upgraded"
    assert scene.signals() == []
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_terminal_that_is_closed_at_a_question_changes_nothing(calm: Scene) -> None:
    """Nobody is left to answer: the tool ends by itself, and nothing was accepted."""
    pid, handle = hang_up(calm.argv("upgrade", "traefik"), calm.environment(), calm.folder)
    _reads_until(handle, b"now?")
    os.close(handle)
    _wait(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid)
    assert calm.untouched()


def test_help_to_a_closed_pipe_is_quiet(calm: Scene) -> None:
    """`--help | true` prints no traceback."""
    ran = calm.run("--help", script='set -o pipefail; "$@" | true')
    assert ran.err == b""


@contextlib.contextmanager
def _popen(scene: Scene, *words: str) -> "Iterator[subprocess.Popen[bytes]]":
    child = subprocess.Popen(
        scene.argv(*words),
        env=scene.environment(),
        cwd=scene.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
