"""One command, ended at each of its points, and what must be true once the next command is through.

A point is a write to the journal (nothing of it, half of it, all of it), a request that changes something at the
Engine (not sent, answered), or a moment while abra is at work. The ways on are those that `status` offers.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ccci_upgrade.store.journal import read_all
from tests.killing import recipe
from tests.killing.lab import Lab, Picture, Ran

KILLED = -signal.SIGKILL
WRITTEN = ("before", "torn", "after")
"""The moments of a write; `torn` is `before` with a line to repair on top."""

ASKED = ("before", "after")
GOOD = {"--undo": (0, 13, 14), "--accept": (0, 13, 14)}
"""Exit codes of the ways: undone is 13 where nothing was changed yet, and 14 where the old version is back."""

ABRA_AFTER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Seconds after abra began at which the program is killed; an act takes about a second here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """What a host is when nobody is at work; `name` is for people."""

    name: str
    version: str
    data: dict[str, tuple[object, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A command in a place to start from; `end` is how it ends where nobody kills it.

    `writes` names what each write to the journal says, `requests` each request that changes something;
    it took `seconds`.
    """

    name: str
    words: tuple[str, ...]
    picture: Picture
    start: Whole
    end: Whole
    writes: tuple[str, ...]
    requests: tuple[str, ...]
    seconds: float

    def points(self, moments: Sequence[str] = WRITTEN) -> list[str]:
        """Every moment of every write to the journal."""
        return [f"{number}:{moment}" for number in range(1, len(self.writes) + 1) for moment in moments]

    def asked(self) -> list[str]:
        """Both moments of every request that changes something."""
        return [f"r{number}:{moment}" for number in range(1, len(self.requests) + 1) for moment in ASKED]

    def named(self, at: str) -> str:
        """A point as a person can find it."""
        word, _, moment = at.rpartition(":")
        if word == "time":
            return f"{self.name} {moment} s after its start"
        if word.startswith("abra"):
            return f"{self.name} {moment} s after abra began" + (", abra too" if word == "abra+" else "")
        if word[1:].isdecimal() and word.startswith("r"):
            return f"{self.name} {moment} request {word[1:]} ({self.requests[int(word[1:]) - 1]})"
        return f"{self.name} {moment} {word}" + (
            f" ({self.writes[int(word) - 1]})" if word.isdecimal() else ""
        )


@dataclass(slots=True)
class Tally:
    """What came of points: `problems` are lines for people."""

    points: int = 0
    ways: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def met(self, where: str, way: str) -> str:
        """Count a point; gives its name."""
        self.points += 1
        self.ways[way] += 1
        return where

    def line(self, name: str) -> str:
        """Sum it up."""
        ways = ", ".join(f"{count} {way}" for way, count in sorted(self.ways.items()))
        return f"kill matrix, {name}: {self.points} points ({ways}), {len(self.problems)} problems"


def seen(lab: Lab, name: str) -> Whole:
    """What is there now."""
    return Whole(name=name, version=lab.version, data=lab.data)


def job(lab: Lab, name: str, *words: str, picture: Picture) -> Job:
    """Run a command to its end once, and count its points."""
    lab.restore(picture)
    start = seen(lab, "as before")
    old = len(lab.journal.read_text().splitlines()) if lab.journal.exists() else 0
    count = lab.root / "count"
    count.unlink(missing_ok=True)
    ran = lab.run(*words, count=str(count))
    assert ran.code == 0, ran.said
    met = count.read_text().splitlines()
    writes = tuple(line.split(maxsplit=2)[2] for line in met if line.startswith("write "))
    # Were a line not written with one call, a point would be missed.
    assert len(writes) == len(lab.journal.read_text().splitlines()) - old
    requests = tuple(line.split(maxsplit=2)[2] for line in met if line.startswith("request "))
    end = seen(lab, "done")
    return Job(
        name=name,
        words=words,
        picture=picture,
        start=start,
        end=end,
        writes=writes,
        requests=requests,
        seconds=ran.seconds,
    )


def kill(lab: Lab, job: Job, at: str) -> Ran:
    """Put the host back, and end the command at a point."""
    lab.restore(job.picture)
    if at.startswith("time:"):
        return _kill_later(lab, job, float(at.partition(":")[2]))
    if at.startswith("abra"):
        return _kill_beside_abra(lab, job, seconds=float(at.partition(":")[2]), both=at.startswith("abra+"))
    return lab.run(*job.words, at=at)


def _kill_later(lab: Lab, job: Job, seconds: float) -> Ran:
    began = time.monotonic()
    with lab.begin(*job.words) as child:
        time.sleep(seconds)
        child.kill()
        return lab.ended(child, job.words, began)


def _kill_beside_abra(lab: Lab, job: Job, *, seconds: float, both: bool) -> Ran:
    began = time.monotonic()
    with lab.begin(*job.words) as child:
        lab.wait(lambda: bool(lab.abras) or child.poll() is not None, "abra was not started")
        time.sleep(seconds)
        os.kill(child.pid, signal.SIGKILL)
        if both:
            lab.kill_abra()
        return lab.ended(child, job.words, began)


def offered(lab: Lab) -> list[str]:
    """The ways on that `status` names; empty where no run is open. AssertionError where it names two runs."""
    ran = lab.run("status", "--json", "--offline")
    runs = ran.document["data"]["open_runs"]
    assert len(runs) <= 1, ran.said
    return [command.rpartition("--")[2] for run in runs for command in run["what_can_be_done"]]


def try_point(lab: Lab, job: Job, at: str, tally: Tally, *, turn: int) -> int:
    """Kill at a point, go one of the ways on, and look; `turn` chooses the way. Gives how many there are."""
    since = time.time()
    killed = kill(lab, job, at)
    options = offered(lab)
    # Quicker than the moment it was to die at, or dead between its last write and its end: a run like any other.
    quick = at.startswith("abra") and (killed.code == 0 or not options)
    over = quick or at == f"{len(job.writes)}:after"
    way = options[turn % len(options)] if options else "over" if over else "again"
    where = tally.met(f"{job.named(at)}, then {way}", way)
    worked = lab.running()
    if worked:
        lab.work()
    # A request fewer than in the run that was counted may be: a look, a beat. A write to the journal may not.
    if killed.code != KILLED and not quick and not at.startswith(("r", "time")):
        tally.problems.append(f"{where}: was not killed: {killed.said}")
    ran, wanted = go_on(lab, job, way)
    tally.problems += [f"{where}: {each}" for each in problems(lab, ran, since=since, wanted=wanted)]
    if worked and (lost := lab.lost_work()):
        tally.problems.append(f"{where}: what was written since is lost: {lost}")
    return len(options)


def try_every_way(lab: Lab, job: Job, at: str, tally: Tally) -> None:
    """Kill at a point again and again, until each of the ways on was gone."""
    turn = 0
    while turn < try_point(lab, job, at, tally, turn=turn) - 1:
        turn += 1


def try_second_death(lab: Lab, job: Job, at: str, way: str, tally: Tally) -> None:
    """Kill at a point, kill the way on at each of its own writes, and go on from there."""
    count = lab.root / "count"
    count.unlink(missing_ok=True)
    kill(lab, job, at)
    assert way in offered(lab), f"{job.named(at)}: {way} is not offered"
    go_on(lab, job, way, count=str(count))
    writes = [line for line in count.read_text().splitlines() if line.startswith("write ")]
    for number, line in enumerate(writes, start=1):
        since = time.time()
        kill(lab, job, at)
        go_on(lab, job, way, at=f"{number}:{('before', 'after')[number % 2]}")
        options = offered(lab)
        second = options[number // 2 % len(options)] if options else "over"
        where = tally.met(f"{job.named(at)}, then {way} killed at {line}, then {second}", second)
        ran, _ = go_on(lab, job, second)
        whole = [job.start, job.end]
        tally.problems += [f"{where}: {each}" for each in problems(lab, ran, since=since, wanted=whole)]


def go_on(lab: Lab, job: Job, way: str, *, at: str = "", count: str = "") -> tuple[Ran, list[Whole]]:
    """Go a way on; gives the command, and what may be there then."""
    if way == "over":
        return lab.run("status", "--offline"), [job.end]
    if way == "again":  # nothing of it is on the disk
        return lab.run(*job.words, at=at, count=count), [job.end]
    wanted = {"resume": [job.end], "undo": [job.start]}.get(way, [job.start, job.end])
    return lab.run("upgrade", recipe.APP, "--offline", f"--{way}", at=at, count=count), wanted


def problems(lab: Lab, way: Ran, *, since: float, wanted: Sequence[Whole]) -> Iterator[str]:
    """What is not as it must be, after the way on."""
    if way.code not in GOOD.get(way.words[-1], (0,)):
        yield f"the way on failed: {way.said}"
    kept = read_all(lab.folder / "state")
    yield from (f"a run is still open: {run.run_id} {run.phases}" for run in kept.open)
    if kept.damaged > 1:
        yield f"{kept.damaged} lines of the journal are damaged"
    if not lab.lease_free(left="status" in way.words):
        yield "the lease is not free"
    if not lab.running():
        yield f"services are not all there: {lab.services()}"
    now = seen(lab, "")
    if not any((now.version, now.data) == (each.version, each.data) for each in wanted):
        yield f"{now.version} runs; {_differing(now, wanted)}"
    if lab.pinned != now.version:
        yield f"`.env` pins {lab.pinned}, and {now.version} runs"
    if lab.carriers():
        yield f"containers stay: {lab.carriers()}"
    yield from (f"half a snapshot stays: {name}" for name in lab.half_snapshots)
    yield from (f"done twice: {words}" for words in lab.twice(since))


def _differing(now: Whole, wanted: Sequence[Whole]) -> str:
    found = []
    for each in wanted:
        names = now.data.keys() | each.data.keys()
        other = sorted(name for name in names if now.data.get(name) != each.data.get(name))
        found.append(f"{each.name} would be {each.version}, its data other in {other}")
    return "; ".join(found)
