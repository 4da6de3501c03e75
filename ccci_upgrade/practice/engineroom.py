"""The practice engine as a process in the background: start it, ask it, end it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from types import FrameType

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.practice.world.place import Mark, Place
from ccci_upgrade.process import alive, child_env, end_group, run
from ccci_upgrade.text import decode
from ccci_upgrade.tools.engine import Json
from ccci_upgrade.tools.unixhttp import UnixConnection

MODULE = "ccci_upgrade.practice.engine"
START_SECONDS = 15.0
STOP_SECONDS = 10.0
_PATIENCE = 5.0
_POLL = 0.05
_MOST = 4 * 1024 * 1024
_PACKAGE = str(Path(__file__).parents[2])


def ask(mark: Mark, method: str, path: str, body: Mapping[str, Json] | None = None) -> Json:
    """Ask the Engine on a connection of its own; gives the JSON in its answer, None where it is none.

    Not through `tools.engine`: that one says hello first, and a frozen Engine answers nobody but practice.
    EngineError where it is gone or refuses.
    """
    connection = UnixConnection(Path(mark.socket), timeout=_PATIENCE)
    data = None if body is None else json.dumps(body)
    try:
        connection.bound(_PATIENCE)
        connection.request(method, path, body=data, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        read, status = answer.read(_MOST), answer.status
    except (OSError, HTTPException) as error:
        raise EngineError(
            f"the practice engine does not answer: {error}", hint="ccci-upgrade practice starts one"
        ) from error
    finally:
        connection.close()
    if status >= HTTPStatus.BAD_REQUEST:
        raise EngineError(f"the practice engine refused {method} {path}: {decode(read)[:300]}")
    try:
        found: Json = json.loads(read)
    except ValueError:
        return None
    return found


def start(place: Place, mark: Mark) -> int:
    """Start it in a process group of its own, and wait until it answers. Gives its pid.

    NotReadyError, with the end of its log, where it does not; nothing is left running then.
    """
    more = os.environ.get("PYTHONPATH", "")
    env = child_env({"PYTHONPATH": f"{_PACKAGE}{os.pathsep}{more}" if more else _PACKAGE})
    child: subprocess.Popen[bytes] | None = None
    try:
        with place.log.open("ab") as log, _undisturbed():
            child = subprocess.Popen(
                _argv(mark),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd="/",
                start_new_session=True,
            )
        _wait_for(child, place, mark)
    except BaseException:
        if child is not None:
            end_group(child.pid, signal.SIGKILL)
            child.wait()
        raise
    child.returncode = 0  # it goes on without us: nobody waits for it, and nobody is warned of it
    return child.pid


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Ctrl-C back for a moment: a child that was started must be known before anything is raised."""
    pressed: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: pressed.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed and callable(before):
            before(*pressed[0])


def _wait_for(child: "subprocess.Popen[bytes]", place: Place, mark: Mark) -> None:
    deadline = clock.ticks() + START_SECONDS
    while not answers(mark):
        if child.poll() is not None or clock.ticks() > deadline:
            raise NotReadyError(f"the practice engine did not start: {_last_line(place.log)}", code="engine")
        clock.sleep(_POLL)


def answers(mark: Mark) -> bool:
    """Whether an Engine is there at all; one that is slow or frozen on purpose is."""
    try:
        ask(mark, "GET", "/_practice")
    except EngineError:
        return False
    return True


def running(mark: Mark) -> bool:
    """Whether the Engine's process lives: it may be too busy to answer."""
    return answers(mark) or (mark.pid > 0 and alive(mark.pid) and is_ours(mark))


def fault(mark: Mark, what: Mapping[str, Json]) -> None:
    """Cause a fault, or clear all. EngineError where it is refused."""
    ask(mark, "POST", "/_practice/fault", what)


def stop(mark: Mark) -> None:
    """End it through its socket, else by a signal where the pid is provably it; NotReadyError if it stays."""
    with contextlib.suppress(EngineError):  # gone already, or too stuck to listen
        pid = _pid(ask(mark, "GET", "/_practice"))
        mark = replace(mark, pid=pid or mark.pid)
        ask(mark, "POST", "/_practice/stop")
    if _ended(mark, STOP_SECONDS):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_ours(mark) and end_group(mark.pid, number) and _ended(mark, 3.0):
            return
    if not _ended(mark, 0.0):
        raise NotReadyError(f"the practice engine (pid {mark.pid}) did not end", code="engine")


def is_ours(mark: Mark) -> bool:
    """Whether the process of that number is this host's Engine, by its command line."""
    if mark.pid <= 0:
        return False
    done = run(["ps", "-ww", "-o", "args=", "-p", str(mark.pid)], seconds=5.0)
    said = decode(done.out)
    return MODULE in said and str(Path(mark.socket).parent) in said


def _argv(mark: Mark) -> list[str]:
    """The folder as the socket has it: the Engine puts its socket there, and the path must stay short."""
    return [sys.executable, "-m", MODULE, str(Path(mark.socket).parent)]


def _pid(said: Json) -> int:
    """The pid an Engine says it has, 0 where it says none."""
    pid = said.get("pid") if isinstance(said, dict) else None
    return pid if isinstance(pid, int) else 0


def _ended(mark: Mark, seconds: float) -> bool:
    deadline = clock.ticks() + seconds
    while True:
        if not is_ours(mark) and not answers(mark):
            return True
        if clock.ticks() >= deadline:
            return False
        clock.sleep(_POLL)


def _last_line(log: Path) -> str:
    lines = [line for line in decode(log.read_bytes()[-4000:]).splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
