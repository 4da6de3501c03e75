"""Asking probes: all at once, each with its own deadline, and again while an app is still coming up.

Every probe runs in a thread of its own that nobody waits for past the deadline: a resolver cannot be
interrupted. Answers are judged in `model`; here they are only fetched.
"""

import queue
import socket
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ccci_upgrade.clock import now, sleep, ticks
from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.model.answer import read_answer
from ccci_upgrade.model.certificate import judge_leaf
from ccci_upgrade.model.probe import Gap, Probe, ProbeKind, ProbeResult, differences
from ccci_upgrade.process import run
from ccci_upgrade.text import decode, tame_line

if TYPE_CHECKING:
    from ccci_upgrade.tools.tls import Door

MOST_THREADS = 32
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin"
_TICK = 0.1
_STILL = 0.05
"""Seconds a connection must stay open: a proxy without its app behind it accepts, and closes at once."""
_GOING = 0.3
_STILL_FAR = 1.0
"""The same through ssh, which accepts before it knows whether the far side will."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Round:
    """What the threads of one round share."""

    todo: queue.Queue[tuple[int, Probe]]
    done: queue.Queue[tuple[int, ProbeResult]]
    deadline: float
    stop: threading.Event
    door: "Door | None"


def run_probes(
    probes: Sequence[Probe], *, seconds_total: float, cancelled: threading.Event, door: "Door | None" = None
) -> tuple[ProbeResult, ...]:
    """Ask all probes at once and give their results in the same order, `seconds_total` at the latest.

    What is not answered by then, or when `cancelled` is set, is a result with the gap `not_run`. Addresses are
    reached through the `door` where there is one; what it cannot lead to was not asked either.
    """
    if any(probe.kind is ProbeKind.HTTP for probe in probes):
        import ccci_upgrade.tools.exchange  # noqa: F401, PLC0415 - once, before the clock of any probe runs

    started = ticks()
    shared = _Round(
        todo=queue.Queue(),
        done=queue.Queue(),
        deadline=started + seconds_total,
        stop=threading.Event(),
        door=door,
    )
    for entry in enumerate(probes):
        shared.todo.put(entry)
    for _ in range(min(len(probes), MOST_THREADS)):
        threading.Thread(target=_work, args=(shared,), daemon=True).start()
    results = _collect(shared, len(probes), cancelled)
    shared.stop.set()
    why = "cancelled" if cancelled.is_set() else "no time was left"
    return tuple(results.get(at) or _not_run(probe, why, started) for at, probe in enumerate(probes))


def wait_probes(
    probes: Sequence[Probe],
    before: Sequence[ProbeResult],
    *,
    deadline: float,
    cancelled: threading.Event,
    interval: float = 0.5,
    gone: Collection[str] = (),
    door: "Door | None" = None,
) -> tuple[ProbeResult, ...]:
    """Ask until nothing is worse than `before`, or until `deadline` (of `clock.ticks`) or cancellation.

    Swarm calls an app running that needs another half minute to answer. Only what is worse is asked again;
    when that is fine at last, all is asked once more, for one moment must hold for all of them.
    """
    results = _ask(probes, deadline, cancelled, door)
    names = {probe.name for probe in probes}
    whole = True
    while not cancelled.is_set() and ticks() < deadline:
        worse = {d.probe for d in differences(before, results, gone=gone)} & names
        if not worse and whole:
            break
        if worse:
            cancelled.wait(min(interval, max(0.0, deadline - ticks())))
        again = [probe for probe in probes if probe.name in worse] if worse else list(probes)
        if cancelled.is_set() or ticks() >= deadline:
            break
        fresh = {result.name: result for result in _ask(again, deadline, cancelled, door)}
        results = tuple(_newer(result, fresh.get(result.name)) for result in results)
        whole = len(again) == len(probes)
    return results


def _newer(known: ProbeResult, fresh: ProbeResult | None) -> ProbeResult:
    """Prefer the fresh result, but not one that only says there was no time to ask again."""
    lost = fresh is not None and fresh.gap is Gap.NOT_RUN and known.gap is not Gap.NOT_RUN
    return known if fresh is None or lost else fresh


def _ask(
    probes: Sequence[Probe], deadline: float, cancelled: threading.Event, door: "Door | None"
) -> tuple[ProbeResult, ...]:
    return run_probes(probes, seconds_total=max(0.0, deadline - ticks()), cancelled=cancelled, door=door)


def _collect(shared: _Round, count: int, cancelled: threading.Event) -> dict[int, ProbeResult]:
    results: dict[int, ProbeResult] = {}
    while len(results) < count and not cancelled.is_set():
        left = shared.deadline - ticks()
        try:
            at, result = shared.done.get(timeout=max(0.0, min(left, _TICK)))
        except queue.Empty:
            if left <= 0:
                break
        else:
            results[at] = result
    return results


def _work(shared: _Round) -> None:
    while not shared.stop.is_set():
        try:
            at, probe = shared.todo.get_nowait()
        except queue.Empty:
            return
        started = ticks()
        deadline = min(started + probe.seconds, shared.deadline)
        if deadline <= started:
            return
        try:
            result = _through(probe, deadline, shared.door)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not take the other results with it
            result = _not_run(probe, f"{type(error).__name__}: {tame_line(str(error))}", started)
        took = ticks() - started
        if result.red and took < probe.seconds and ticks() >= deadline:  # cut short by the round, not slow
            result = _not_run(probe, "no time was left", started)
        shared.done.put((at, replace(result, seconds=took)))


def _through(probe: Probe, deadline: float, door: "Door | None") -> ProbeResult:
    """Ask; an answer that a lost connection cut off is none, neither good nor bad."""
    if door is None or not probe.address:
        return _ASK[probe.kind](probe, deadline, None)
    used: list[Path] = []

    def noted(host: str, port: int) -> Path:
        used.append(door(host, port))
        return used[-1]

    try:
        result = _ASK[probe.kind](probe, deadline, noted)
    except EngineError as error:
        return _not_run(probe, error.message, ticks())
    if result.red and _lost(used):
        return _not_run(probe, "the connection to the server was lost meanwhile", ticks())
    return result


def _lost(sockets: Sequence[Path]) -> bool:
    """Whether the way was lost: its sockets go with ssh, a moment after the connections through them."""
    until = ticks() + _GOING
    while all(path.exists() for path in sockets):
        if ticks() >= until:
            return False
        sleep(0.02)
    return True


def _http(probe: Probe, deadline: float, door: "Door | None") -> ProbeResult:
    from ccci_upgrade.tools.exchange import NoAnswerError, NotAskedError, ask  # noqa: PLC0415 - start-up time

    try:
        return read_answer(probe, ask(probe, deadline, door), seconds=0.0)
    except NotAskedError as error:
        return _not_run(probe, str(error), ticks())
    except NoAnswerError as error:
        return _red(probe, str(error))


def _certificate(probe: Probe, deadline: float, door: "Door | None") -> ProbeResult:
    from ccci_upgrade.tools.tls import read_leaf  # noqa: PLC0415 - start-up time is measured

    parts = urlsplit(probe.url)
    host = parts.hostname or ""
    try:
        leaf = read_leaf(host, parts.port or 443, probe.address, max(0.0, deadline - ticks()), door)
    except EngineError:
        raise
    except NotReadyError as error:
        return _red(probe, error.message)
    return judge_leaf(probe.name, host, leaf, now=now(), seconds=0.0)


def _tcp(probe: Probe, deadline: float, door: "Door | None") -> ProbeResult:
    from ccci_upgrade.tools.tls import connect  # noqa: PLC0415 - start-up time is measured

    parts = urlsplit(probe.url)
    for _ in range(probe.connects):
        try:
            with connect(parts.hostname or "", parts.port or 0, probe.address, deadline, door) as stream:
                problem = _closes(stream, _STILL if door is None else _STILL_FAR)
        except TimeoutError:
            problem = f"no connection within {probe.seconds:g} s"
        except (OSError, ValueError) as error:
            problem = str(error)
        if problem:
            return _red(probe, problem)
    return ProbeResult(name=probe.name, ok=True, detail=f"{probe.connects} connections held", seconds=0.0)


def _closes(stream: socket.socket, seconds: float) -> str:
    stream.settimeout(seconds)
    try:
        return "" if stream.recv(1) else "the connection is accepted and closed at once"
    except TimeoutError:
        return ""


def _command(probe: Probe, deadline: float, door: "Door | None") -> ProbeResult:
    """Run a command with a clean environment: nothing of ours, no secret above all, is handed on."""
    del door  # a command runs here, whatever it asks
    clean = ("env", "-i", "--", f"PATH={_PATH}", "LC_ALL=C")
    done = run([*clean, *probe.command], seconds=max(0.0, deadline - ticks()))
    said = tame_line((decode(done.err).strip() or decode(done.out).strip()).split("\n")[-1])[:200]
    if done.timed_out:
        return _red(probe, f"the command did not end within {probe.seconds:g} s")
    if done.code in (126, 127):
        return _not_run(probe, f"the command cannot be started: {said}", ticks())
    return _red(probe, f"exit {done.code}: {said}") if done.code else _fine(probe, said or "exit 0")


def _fine(probe: Probe, detail: str) -> ProbeResult:
    return ProbeResult(name=probe.name, ok=True, detail=tame_line(detail), seconds=0.0)


def _red(probe: Probe, detail: str) -> ProbeResult:
    return ProbeResult(name=probe.name, ok=False, detail=tame_line(detail), seconds=0.0)


def _not_run(probe: Probe, why: str, since: float) -> ProbeResult:
    seconds = max(0.0, ticks() - since)
    return ProbeResult(name=probe.name, ok=False, detail=tame_line(why), seconds=seconds, gap=Gap.NOT_RUN)


_ASK: dict[ProbeKind, "Callable[[Probe, float, Door | None], ProbeResult]"] = {
    ProbeKind.HTTP: _http,
    ProbeKind.CERTIFICATE: _certificate,
    ProbeKind.TCP: _tcp,
    ProbeKind.COMMAND: _command,
}
