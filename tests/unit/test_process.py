"""Children: their output, their deadlines and their ends, with real ones."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.process import KEEP, Child, alive, child_env, end_all, run

BOTH = """
import sys, threading
def write(stream, word):
    for _ in range(2048):
        stream.write(word * 1024)
threads = [threading.Thread(target=write, args=a) for a in ((sys.stdout.buffer, b"o"), (sys.stderr.buffer, b"e"))]
[t.start() for t in threads]; [t.join() for t in threads]
sys.exit(3)
"""


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """A file for the numbers of grandchildren, which are ended afterwards."""
    path = tmp_path / "pids"
    yield path
    for pid in path.read_text().split() if path.exists() else ():
        if alive(int(pid)):
            os.kill(int(pid), signal.SIGKILL)


def gone(pid: int, within: float = 5.0) -> bool:
    """Whether a process ends soon; one that nobody has waited for yet counts as ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def sh(script: str, *arguments: object, seconds: float = 30.0) -> "tuple[int, bytes, bytes, bool]":
    """Run a shell script to its end."""
    done = run(("sh", "-c", script, "sh", *map(str, arguments)), seconds=seconds)
    return done.code, done.out, done.err, done.timed_out


def test_both_streams_are_read_to_their_end_at_once() -> None:
    """2 MB on each: a reader that took them one after the other would wait for ever."""
    done = run((sys.executable, "-c", BOTH), seconds=60)

    assert (done.code, done.out, done.err) == (3, b"o" * 2**21, b"e" * 2**21)
    assert not done.cut
    assert not done.timed_out


def test_what_is_too_much_to_keep_is_read_and_dropped() -> None:
    """The child never waits for us, and the cut is told."""
    done = run(("head", "-c", str(KEEP + 10_000_000), "/dev/zero"), seconds=60)

    assert done.code == 0
    assert done.cut
    assert KEEP <= len(done.out) < KEEP + 2**17


@pytest.mark.parametrize("argv", [("/nonexistent/program",), ("sh", "-c", "a\0b"), ("/",), ("\ud800",)])
def test_what_cannot_be_started_ends_with_127(argv: tuple[str, ...]) -> None:
    """It is an answer like any other: no exception for the caller to forget."""
    done = run(argv, seconds=5)

    assert (done.code, done.out, done.timed_out) == (127, b"", False)
    assert done.err


def test_no_standard_input_is_an_end_of_input() -> None:
    """A child that asks gets an end of file at once."""
    assert sh("cat; echo over") == (0, b"over\n", b"", False)


def test_data_is_given_to_a_child_that_may_not_want_it() -> None:
    """All of it, or as much as it reads."""
    echoed = run(("cat",), data=b"x" * 300_000, seconds=30)
    ignored = run(("true",), data=b"x" * 3_000_000, seconds=30)

    assert (echoed.code, len(echoed.out)) == (0, 300_000)
    assert ignored.code == 0


def test_a_deadline_ends_the_whole_group(pids: Path) -> None:
    """Those that ignore every polite signal too, and their children."""
    begun = time.monotonic()

    code, out, _, timed_out = sh(
        'trap "" TERM INT HUP; sleep 300 & echo $! > "$1"; echo begun; wait', pids, seconds=0.5
    )

    assert (code, out, timed_out) == (-signal.SIGKILL, b"begun\n", True)
    assert time.monotonic() - begun < 10
    assert gone(int(pids.read_text()))


def test_a_grandchild_that_keeps_the_pipes_is_not_waited_for(pids: Path) -> None:
    """The child's own end and output count."""
    begun = time.monotonic()

    code, out, _, timed_out = sh('sleep 300 & echo $! > "$1"; echo done; exit 4', pids)

    assert (code, out, timed_out) == (4, b"done\n", False)
    assert time.monotonic() - begun < 15


def test_a_signals_end_is_a_negative_code() -> None:
    """As `subprocess` has it."""
    assert sh("kill -TERM $$")[0] == -signal.SIGTERM


def test_the_environment_has_no_surprises(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a hook's GIT_DIR nor a locale that translates words."""
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")

    env = child_env({"ABRA_DIR": "/abra"})

    assert (env["LC_ALL"], env["GIT_TERMINAL_PROMPT"], env["ABRA_DIR"]) == ("C", "0", "/abra")
    assert not {"GIT_DIR", "LANGUAGE"} & env.keys()


def test_a_child_has_its_own_session() -> None:
    """Ctrl-C at the terminal reaches us alone."""
    done = run((sys.executable, "-c", "import os; print(os.getsid(0), os.getpid())"), seconds=30)
    session, pid = done.out.split()

    assert session == pid


def test_everything_that_run_waits_for_can_be_ended_at_once() -> None:
    """From another thread, as a Ctrl-C needs it; an act goes on."""
    codes: list[int] = []
    act = Child(("sleep", "300"), sink=lambda _: None, env={}, cwd=Path("/"))
    waiting = [threading.Thread(target=lambda: codes.append(sh("sleep 300")[0])) for _ in range(2)]
    try:
        for each in waiting:
            each.start()
        deadline = time.monotonic() + 20
        while any(each.is_alive() for each in waiting) and time.monotonic() < deadline:
            end_all()
            time.sleep(0.05)

        assert codes == [-signal.SIGKILL, -signal.SIGKILL]
        assert act.poll() is None
    finally:
        act.signal(signal.SIGKILL)
        while act.poll() is None:
            time.sleep(0.01)
        act.finish(5)


def test_a_live_process_is_told_from_a_dead_one() -> None:
    """Numbers that no process has are dead, too large ones are not ours to judge."""
    with subprocess.Popen((sys.executable, "-c", "")) as child:
        child.wait()

    assert alive(os.getpid())
    assert alive(1)
    assert not alive(child.pid)
    assert not alive(0)
    assert not alive(-1)
    assert alive(2**70)


def test_a_childs_output_comes_while_it_runs() -> None:
    """Both streams, one piece at a time, to their end."""
    pieces: list[bytes] = []
    first = threading.Event()

    def sink(chunk: bytes) -> None:
        pieces.append(chunk)
        first.set()

    child = Child(
        ("sh", "-c", "echo one; read -r _ </dev/null; sleep 0.3; echo two >&2"),
        sink=sink,
        env={},
        cwd=Path("/"),
    )
    assert first.wait(20)
    early = child.poll()
    while child.poll() is None:
        time.sleep(0.02)
    child.finish(5)

    assert early is None
    assert pieces == [b"one\n", b"two\n"]


def test_a_child_that_cannot_be_started_is_an_error_of_the_two_named() -> None:
    """The caller turns it into words."""
    with pytest.raises(OSError, match="nonexistent"):
        Child(("/nonexistent",), sink=lambda _: None, env={}, cwd=Path("/"))
    with pytest.raises(ValueError, match="null byte"):
        Child(("a\0b",), sink=lambda _: None, env={}, cwd=Path("/"))


AT_TERMINAL = """
import os, sys
assert all(os.isatty(handle) for handle in (0, 1, 2))
assert os.getsid(0) == os.getpid() == os.tcgetpgrp(0), "no session of its own"
assert os.open("/dev/tty", os.O_RDWR) and os.get_terminal_size().columns == 200
assert os.fstat(int(sys.argv[1]))
print("out", flush=True); print("err", file=sys.stderr, flush=True); print("x" * 300000)
sys.exit(5)
"""


def test_a_child_can_have_a_terminal_of_its_own(tmp_path: Path) -> None:
    """The session's own, both streams in one, lines as they were written, descriptors inherited, its code."""
    got = bytearray()
    with (tmp_path / "lock").open("wb") as lock:
        child = Child(
            (sys.executable, "-c", AT_TERMINAL, str(lock.fileno())),
            sink=got.extend,
            env={},
            cwd=Path("/"),
            inherit=(lock.fileno(),),
            pty=True,
        )
        ended(child)
    child.finish(5)

    assert child.poll() == 5, got[:2000]
    assert bytes(got) == b"out\nerr\n" + b"x" * 300000 + b"\n"


def test_nobody_types_at_a_childs_terminal_and_a_signal_ends_it() -> None:
    """A question waits for its deadline; Ctrl-C reaches the whole group."""
    child = Child(("sh", "-c", "read answer"), sink=lambda _: None, env={}, cwd=Path("/"), pty=True)
    time.sleep(0.3)
    assert child.poll() is None
    child.signal(signal.SIGINT)
    ended(child)
    child.finish(5)

    assert child.poll() in (-signal.SIGINT, 130)


def test_a_program_that_is_not_there_is_127_at_a_terminal() -> None:
    """The shell in between says so; what cannot be given to a program is a ValueError as always."""
    got = bytearray()
    child = Child(("/nonexistent",), sink=got.extend, env={}, cwd=Path("/"), pty=True)
    ended(child)
    child.finish(5)

    assert child.poll() == 127
    assert b"/nonexistent" in got
    with pytest.raises(ValueError, match="null byte"):
        Child(("a\0b",), sink=lambda _: None, env={}, cwd=Path("/"), pty=True)


def ended(child: Child) -> None:
    """Wait for a child's end."""
    deadline = time.monotonic() + 20
    while child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
