"""Children of this process: the only module that starts any.

Every child gets no standard input, its own session, a deadline, and an environment without git's and locale's
surprises. Output is capped where it is kept.
"""

import errno
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

KEEP = 64 * 1024 * 1024
"""Bytes of one stream that `run` keeps; what is past it is read and dropped, and `cut` says so."""

_running: set[int] = set()
"""Process groups that `run` waits for: children that only read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A child that ended. `code` is negative for a signal; 127 where none could be started."""

    argv: tuple[str, ...]
    code: int
    out: bytes
    err: bytes
    timed_out: bool
    cut: bool
    seconds: float


def child_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without `GIT_*` and with `LC_ALL=C`: abra and git translate their words otherwise."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_") and k != "LANGUAGE"}
    env |= {"LC_ALL": "C", "LANG": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    return env | dict(extra or {})


def run(
    argv: Sequence[str],
    *,
    seconds: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    data: bytes | None = None,
    keep_open: Sequence[int] = (),
) -> Completed:
    """Run a child to its end, or end its whole process group after `seconds`. Never raises for the child.

    `keep_open` are file descriptors the child inherits: a lock it must hold even when it outlives us.
    """
    started = time.monotonic()
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=child_env(env),
            start_new_session=True,
            pass_fds=tuple(keep_open),
        )
    except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
        said = error.strerror if isinstance(error, OSError) else None
        reason = f"{argv[0]}: {said or error}".encode(errors="backslashreplace")
        return Completed(
            argv=tuple(argv), code=127, out=b"", err=reason, timed_out=False, cut=False, seconds=0.0
        )
    _running.add(child.pid)
    kept: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
    cut = threading.Event()
    workers = [
        threading.Thread(target=_keep, args=(child.stdout, kept["out"], cut), daemon=True),
        threading.Thread(target=_keep, args=(child.stderr, kept["err"], cut), daemon=True),
    ]
    if data is not None:
        workers.append(threading.Thread(target=_feed, args=(child.stdin, data), daemon=True))
    for worker in workers:
        worker.start()
    try:
        timed_out = not _ends(child, seconds)
    except BaseException:
        end_group(child.pid, signal.SIGKILL)
        child.wait()
        raise
    finally:
        _running.discard(child.pid)
    if timed_out:
        end_group(child.pid, signal.SIGKILL)
        child.wait()
    _join(workers, seconds=2.0)  # a grandchild may hold the pipes open after the child is gone
    return Completed(
        argv=tuple(argv),
        code=child.returncode,
        out=bytes(kept["out"]),
        err=bytes(kept["err"]),
        timed_out=timed_out,
        cut=cut.is_set(),
        seconds=time.monotonic() - started,
    )


def _ends(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a child's end; False when it did not come in time.

    Linux says at once when a child ends. `Popen.wait` looks again and again with growing pauses: it notices a
    git of 4 ms after 7.
    """
    if (handle := _handle(child.pid)) is not None:
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            if not poll.poll(seconds * 1000):
                return False
        finally:
            os.close(handle)
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _handle(pid: int) -> int | None:
    """A descriptor that is readable once the child ended; None where the system has none."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # no descriptor left, or a kernel before 5.3
        return None


def _join(workers: Sequence[threading.Thread], *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for worker in workers:
        worker.join(timeout=max(0.0, deadline - time.monotonic()))


def end_all() -> None:
    """End every child that `run` waits for, from whichever thread; an act (`Child`) goes on."""
    for pid in tuple(_running):
        end_group(pid, signal.SIGKILL)


def this_host() -> str:
    """This machine's name, as runs are recorded with it."""
    return socket.gethostname()


def alive(pid: int) -> bool:
    """Whether a process of that number lives on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return pid > 0


def dead(pid: int) -> bool:
    """Whether a process of this machine has ended for sure: gone, or only waiting for its parent to look."""
    if not alive(pid):
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[:1]
    except OSError:
        return not alive(pid)
    return state in ([b"Z"], [b"X"])


def this_boot() -> str:
    """An id of this boot and this space of process numbers; "" where the system has none (it is Linux's).

    Containers share boot and name with their host, but not its process numbers.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - the link's target is no path
    except (OSError, UnicodeDecodeError):
        return ""
    return f"{boot}:{space}"


def end_group(pid: int, number: signal.Signals) -> bool:
    """Signal a process group we started; False when it is gone already."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _keep(stream: IO[bytes] | None, into: bytearray, cut: threading.Event) -> None:
    _pump(stream, lambda chunk: into.extend(chunk) if len(into) < KEEP else cut.set())


def _pump(stream: IO[bytes] | None, sink: Callable[[bytes], None]) -> None:
    if stream is None:
        return
    with stream:
        while chunk := _read(stream.fileno()):
            sink(chunk)


def _read(handle: int) -> bytes:
    """The next bytes; none at the end, which a terminal tells by an error."""
    try:
        return os.read(handle, 65536)
    except OSError as error:
        if error.errno == errno.EIO:
            return b""
        raise


def _feed(stream: IO[bytes] | None, data: bytes) -> None:
    if stream is None:
        return
    try:
        with stream:
            stream.write(data)
    except BrokenPipeError:
        return  # the child did not want it all; its exit code tells


class Child:
    """A child whose output is given on as it comes: for an act that may take minutes.

    Both streams are read to their end, whatever their size. `inherit` are descriptors the child keeps, such
    as a lock that must outlive us with it.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        sink: Callable[[bytes], None],
        env: Mapping[str, str],
        cwd: Path,
        inherit: Sequence[int] = (),
        pty: bool = False,
    ) -> None:
        """Start it; OSError or ValueError (a NUL in an argument) where it cannot be started.

        `sink` is called from two threads, one at a time. With `pty` it has a terminal of its own at which
        nobody ever types, and both streams come as one.
        """
        self._lock = threading.Lock()
        self._sink = sink
        streams: tuple[IO[bytes] | None, ...]
        if pty:
            self._process, master = _at_terminal(argv, env=child_env(env), cwd=cwd, inherit=inherit)
            streams = (master,)
        else:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=child_env(env),
                cwd=cwd,
                pass_fds=tuple(inherit),
                start_new_session=True,
            )
            streams = (self._process.stdout, self._process.stderr)
        self._readers = [threading.Thread(target=_pump, args=(s, self._give), daemon=True) for s in streams]
        for reader in self._readers:
            reader.start()

    def poll(self) -> int | None:
        """The exit code once it ended; negative for a signal."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> bool:
        """Signal its whole group; False when it is gone."""
        return end_group(self._process.pid, number)

    def finish(self, seconds: float) -> None:
        """After its end: read what is left in the pipes; a grandchild that keeps them open is not waited for."""
        _join(self._readers, seconds=seconds)

    def _give(self, chunk: bytes) -> None:
        with self._lock:
            self._sink(chunk)


_OWN_TERMINAL = '{ :; } <"$1"; shift; exec "$@"'
"""A shell that opens its terminal by name: so it becomes its controlling terminal, and its child's."""


def _at_terminal(
    argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, inherit: Sequence[int]
) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
    """Start a child on a new terminal, and give the other end of it; a program that is not there is exit 127."""
    master, slave = os.openpty()
    try:
        _plain_terminal(slave)
        child = subprocess.Popen(
            ["/bin/sh", "-c", _OWN_TERMINAL, "sh", os.ttyname(slave), *argv],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(env),
            cwd=cwd,
            pass_fds=tuple(inherit),
            start_new_session=True,
        )
    except BaseException:
        os.close(master)
        raise
    finally:
        os.close(slave)
    return child, os.fdopen(master, "rb", buffering=0)


def _plain_terminal(slave: int) -> None:
    """No carriage return before each newline, no echo, and room enough that lines are not broken."""
    output, local = 1, 3
    modes = termios.tcgetattr(slave)
    modes[output] &= ~termios.OPOST
    modes[local] &= ~termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))


WORDS = 16 * 1024
"""Bytes of a companion's last words that are kept."""

_TEND = """
folder=$1 terminal=$2; shift 2
[ -z "$terminal" ] || trap '' INT QUIT HUP
exec 3<&0 4>&2 </dev/null 2>/dev/null
"$@" 2>&4 3<&- 4>&- & child=$!
exec 4>&-
{ read -r nothing <&3; kill -TERM "$child"; sleep 2; kill -KILL "$child"; } &
watch=$!
wait "$child"; code=$?
kill "$watch"
rm -rf -- "$folder"
exit "$code"
"""
"""A shell that ends its child when its own standard input ends, which is when we are gone, however we went."""


class Companion:
    """A child that goes on beside us and never outlives us for long, not even when we are killed.

    It has a folder of its own that goes with it. What it says on standard error is kept, the end of it.
    """

    def __init__(self, argv: Sequence[str], *, folder: Path, terminal: bool) -> None:
        """Start it; OSError where that fails. With `terminal` it may ask at ours, and no key pressed ends it."""
        self._folder = folder
        self._words = bytearray()
        self._process = subprocess.Popen(
            ("/bin/sh", "-c", _TEND, "sh", str(folder), "yes" if terminal else "", *argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=child_env(),
            bufsize=0,
            start_new_session=not terminal,
        )
        self._own_group = not terminal
        self._reader = threading.Thread(target=_pump, args=(self._process.stderr, self._hear), daemon=True)
        self._reader.start()

    @property
    def words(self) -> bytes:
        """What it said on standard error so far, the end of it."""
        return bytes(self._words)

    @property
    def ended(self) -> bool:
        """Whether it is gone, with all it had to say."""
        if self._process.poll() is None:
            return False
        self._reader.join(timeout=0.5)
        return True

    def close(self, seconds: float = 5.0) -> None:
        """End it and wait for that; what does not go by itself is killed. Closing twice is fine."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            if self._own_group:
                end_group(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)
        self._reader.join(timeout=0.5)

    def _hear(self, chunk: bytes) -> None:
        self._words += chunk
        del self._words[:-WORDS]
