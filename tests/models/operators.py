"""Operators on one Swarm and one disk, as a machine of rules: journal, lease and runs under every fault at once.

A step of the model is one act of one operator, or one thing that happens to them. Time is the model's.
"""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ccci_upgrade import process
from ccci_upgrade.errors import CcciError, HeldError
from ccci_upgrade.flows.lease import Lease, LeaseLostError, LeaseTakenError, release_lease
from ccci_upgrade.flows.steps import Step, walk
from ccci_upgrade.model.lease import LIMIT, Claim
from ccci_upgrade.model.run import Phase, Run
from ccci_upgrade.model.verdict import Outcome, State, Verdict
from ccci_upgrade.store.journal import Journal, read_all
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.models.disk import OTHERS, WRITING, Disk, KilledError
from tests.models.swarmlease import READS, WRITES, Door, World
from tests.unit.test_steps import Told

CLUSTER = "abcdefghijklmnopqrstuvwxy"
BEAT = LIMIT / 6
NUMBERS = st.integers(0, 2)
"""Operator 0 works on the server, so that a process that is dead there is known to be dead."""


@dataclass(kw_only=True)
class Kept:
    """What one run has on the disk for sure, and what it only tried to write."""

    run: Run
    phases: dict[str, bool | None] = field(default_factory=dict)
    tried: set[str] = field(default_factory=set)
    closed: bool = False
    closing: bool = False


class Sure(Journal):
    """A journal that remembers what it acknowledged."""

    def __init__(self, state_dir: Path, known: dict[str, Kept]) -> None:
        """Share what is known of all runs."""
        super().__init__(state_dir, CLUSTER)
        self.known = known

    def open(self, run: Run) -> Path:
        """Open, then know it."""
        folder = super().open(run)
        self.known[run.run_id] = Kept(run=run)
        return folder

    def begin(self, run_id: str, step: str, *, detail: str = "") -> None:
        """Begin, then know it."""
        super().begin(run_id, step, detail=detail)
        self.known[run_id].phases[step] = None

    def end(self, run_id: str, step: str, *, ok: bool, seconds: float, detail: str) -> None:
        """End, then know it."""
        self.known[run_id].tried.add(step)
        super().end(run_id, step, ok=ok, seconds=seconds, detail=detail)
        self.known[run_id].phases[step] = ok

    def close(self, run: Run) -> None:
        """Close, then know it."""
        self.known[run.run_id].closing = True
        super().close(run)
        self.known[run.run_id].closed = True


class Operator:
    """One process: its claim, its lease, the run it has open."""

    def __init__(self, number: int, serial: int, world: World) -> None:
        """Start it; on the server it is a process of its own."""
        self.world = world
        self.child = (
            None if number else subprocess.Popen(["sleep", "600"])  # noqa: S607 - sleep from PATH
        )
        self.door = Door(world)
        self.door.__enter__()
        self.engine = Engine(self.door.path, seconds=30)
        self.swarm = Swarm(self.engine)
        self.told = Told()
        self.claim = Claim(
            user=f"operator-{number}",
            host=f"laptop-{number}" if number else process.this_host(),
            pid=self.child.pid if self.child else 1,
            boot="" if number else process.this_boot(),
            command="upgrade keycloak",
            since="2026-03-01T12:00:00.000Z",
            heartbeat="2026-03-01T12:00:00.000Z",
            token=f"{serial:032x}",
        )
        self.lease: Lease | None = None
        self.run: Run | None = None
        self.phases: list[Phase] = []
        self.awake = True
        self.lost = False
        self.beaten = world.ticks

    def leave(self) -> None:
        """End its thread and its connections; the Swarm hears nothing of it."""
        self.door.shut = True
        if self.lease is not None:
            self.lease.release()
        self.lease = None
        self.engine.close()
        self.door.__exit__()
        if self.child is not None:
            self.child.kill()
            self.child.wait()  # with a limit it would sleep, in the model's time
            self.world.dead.add(self.claim.token)


class Operators(RuleBasedStateMachine):
    """What may happen, and what must hold whatever happens."""

    steps: ClassVar[int] = 0
    """Rules taken by all examples of this process."""

    seen: ClassVar[dict[str, int]] = {}
    """How often something of interest came about: a model in which nothing happens proves nothing."""

    def __init__(self) -> None:
        """A new Swarm, a new disk, three operators."""
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.disk = Disk(self.folder)
        self.world = World()
        self.known: dict[str, Kept] = {}
        self.serial = 0
        self.patched = pytest.MonkeyPatch()
        self.patched.setattr(time, "monotonic", lambda: self.world.ticks)
        self.patched.setattr(time, "sleep", self._slept)
        self.operators = [self._new(number) for number in range(3)]

    def teardown(self) -> None:
        """Leave nothing behind."""
        for each in self.operators:
            each.leave()
        self.patched.undo()
        self.disk.close()
        _remove(self.folder)

    # ---- what operators do

    @rule(
        number=NUMBERS,
        times=st.sampled_from((6, 3, 1)),
        wait=st.sampled_from((0.0, 20.0)),
        fails=st.booleans(),
    )
    def goes_on(self, number: int, times: int, wait: float, *, fails: bool) -> None:
        """Do what comes next in an upgrade: lease, run, steps; after the lease is lost, end it."""
        for _ in range(times):
            who = self.operators[number]
            if not who.awake:
                return
            if who.lost:
                self.closes(number)
                self.lets_go(number)
            elif who.lease is None:
                self._takes(number, wait)
            elif who.run is None:
                self._opens(number)
            else:
                self._acts(number, fails=fails)

    def _takes(self, number: int, wait: float) -> None:
        who = self.operators[number]
        before, free = self.world.met, self.world.token == ""
        lease = Lease(who.swarm, who.claim, who.told)
        try:
            lease.take(wait)
        except LeaseTakenError:
            assert not free, "refused, and nobody had it"
            self._count("refused")
            lease.release()
        except CcciError:
            assert self.world.met > before, "an error without a fault"
            lease.release()
            self._renewed(number)  # its token may come in late; the next try is another process
        else:
            assert self.world.token == who.claim.token
            who.lease, who.beaten = lease, self.world.ticks
            self._count("taken")

    def _opens(self, number: int) -> None:
        who = self.operators[number]
        self.serial += 1
        run = _run(f"run-{self.serial}", who)
        with self._may_die(number), self._disk_may_fail():
            Sure(self.folder / "state", self.known).open(run)
            who.run, who.phases = run, []

    def _acts(self, number: int, *, fails: bool) -> None:
        """Take one step of the run, as the program does: intent, proof of the lease, act, result."""
        who = self.operators[number]
        assert who.run is not None

        def act() -> str:
            assert self.world.token == who.claim.token, "acted without the lease"
            assert not who.lost, "acted after it had lost the lease"
            self._count("acted")
            if fails:
                raise HeldError("it failed")
            return "done"

        self.serial += 1
        step = Step(id=f"step-{self.serial}", title="to act", act=act)
        with self._may_die(number):
            walked = walk(
                (step,),
                run=who.run,
                journal=Sure(self.folder / "state", self.known),
                reporter=who.told,
                guard=lambda: self._renews(who),
            )
            who.phases += walked.phases

    @rule(number=NUMBERS)
    def closes(self, number: int) -> None:
        """End the run, with or without the lease."""
        who = self.operators[number]
        if who.run is None or not who.awake:
            return
        verdict = Verdict(state=State.CONVERGED, evidence=())
        done = replace(
            who.run,
            outcome=Outcome.UPGRADED,
            finished=who.run.started,
            verdict=verdict,
            phases=tuple(who.phases),
        )
        with self._may_die(number), self._disk_may_fail():
            Sure(self.folder / "state", self.known).close(done)
            who.run = None
            self._count("closed")

    @rule(number=NUMBERS)
    def lets_go(self, number: int) -> None:
        """Release the lease; the next run is another process."""
        who = self.operators[number]
        if who.lease is not None and who.awake:
            ours, met = self.world.token == who.claim.token, self.world.met
            who.lease.release()
            if ours and self.world.met == met:
                assert self.world.token == ""
            self._renewed(number)

    # ---- what happens to them

    @rule(number=NUMBERS)
    def is_killed(self, number: int) -> None:
        """End without a word; another process comes after it."""
        self._count("killed", self.operators[number].lease is not None)
        self._renewed(number)

    @rule(number=NUMBERS)
    def is_suspended_or_wakes(self, number: int) -> None:
        """Suspended: no signs of life, no acts. It wakes where it was."""
        self.operators[number].awake = not self.operators[number].awake

    @rule(seconds=st.sampled_from((10.0, LIMIT + 1, 2 * LIMIT)))
    def time_passes(self, seconds: float) -> None:
        """Pass time, with the signs of life that belong to it."""
        while seconds > 0:
            self._slept(min(seconds, BEAT / 2))
            seconds -= BEAT / 2

    @rule(seconds=st.sampled_from((-3600.0, 3600.0)))
    def clock_jumps(self, seconds: float) -> None:
        """Set the Engine's clock."""
        self.world.now += timedelta(seconds=seconds)
        self.world.jumped = True

    @rule(fault=st.sampled_from(WRITES))
    def next_write_fails(self, fault: str) -> None:
        """Arm a fault of the Engine."""
        self.world.faults["write"] = fault

    @rule(fault=st.sampled_from(READS))
    def next_read_fails(self, fault: str) -> None:
        """Arm another."""
        self.world.faults["read"] = fault

    @rule(what=st.sampled_from(("beaten", "freed")))
    def somebody_is_quicker(self, what: str) -> None:
        """Let the config change between the next look and the write after it."""
        self.world.meanwhile = what

    @precondition(lambda self: self.world.pending)
    @rule()
    def late_writes_come_in(self) -> None:
        """Take what a client has given up on."""
        self._count("late")
        for request in self.world.pending:
            self.world.write(request)
        self.world.pending.clear()

    @rule()
    def somebody_releases_it(self) -> None:
        """`lease release`, from a fourth operator."""
        with self._fourth() as swarm, suppress(CcciError):
            release_lease(swarm, allowed=lambda _: None)

    @rule()
    def somebody_removes_it(self) -> None:
        """`docker config rm`."""
        self.world.labels = None

    @rule(fault=st.sampled_from(WRITING + OTHERS), after=st.integers(0, 700))
    def disk_fails(self, fault: str, after: int) -> None:
        """Arm a fault of the disk."""
        self.disk.arm(fault, after)

    @rule(data=st.data())
    def power_is_cut(self, data: st.DataObject) -> None:
        """End every process, and lose what was not on the disk."""
        self._count("power cuts", bool(self.known))
        self.disk.cut_power(lambda most: data.draw(st.integers(0, most)))
        for number in range(3):
            self._renewed(number)

    # ---- what must hold

    @invariant()
    def nobody_took_it_from_the_living(self) -> None:
        """Every write that changed hands was allowed to."""
        assert self.world.broken == []

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        """The file can be read, reading changes nothing, and nothing that was acknowledged is missing or other."""
        Operators.steps += 1
        path = self.folder / "state" / CLUSTER / "journal.jsonl"
        before = path.read_bytes() if path.exists() else b""
        reading = read_all(self.folder / "state")
        assert before == (path.read_bytes() if path.exists() else b"")
        self._count("torn", bool(reading.torn))
        runs = {run.run_id: run for run in reading.runs}
        for name, kept in self.known.items():
            _compare(kept, runs[name])

    @precondition(lambda self: not self.disk.armed)
    @invariant()
    def the_next_entry_mends_the_file(self) -> None:
        """A run can be opened after anything, and then no line is unread; tried on a copy."""
        path = self.folder / "state" / CLUSTER / "journal.jsonl"
        if not path.exists() or not read_all(self.folder / "state").torn:
            return
        copy = self.folder / "copy"
        (copy / CLUSTER).mkdir(parents=True)
        (copy / CLUSTER / path.name).write_bytes(path.read_bytes())
        journal = Journal(copy, CLUSTER)
        journal.open(_run("next", self.operators[0]))
        reading = read_all(copy)
        assert (journal.mended > 0, reading.torn) == (True, ())
        assert path.read_bytes() in journal.path.read_bytes()
        assert {run.run_id for run in reading.runs} >= self.known.keys() | {"next"}
        _remove(copy)

    # ---- how

    def _new(self, number: int) -> Operator:
        self.serial += 1
        return Operator(number, self.serial, self.world)

    def _renewed(self, number: int) -> None:
        self.operators[number].leave()
        self.operators[number] = self._new(number)

    def _renews(self, who: Operator) -> None:
        """Prove the lease for an act; lost once is lost for good."""
        assert who.lease is not None
        before, ours = self.world.met, self.world.token == who.claim.token
        try:
            who.lease.renew()
        except LeaseLostError:
            assert self.world.met > before or not ours or who.lost, "lost, and it was still ours"
            who.lost = True
            self._count("lost")
            raise
        except CcciError:
            assert self.world.met > before, "an error without a fault"
            raise
        who.beaten = self.world.ticks

    def _slept(self, seconds: float) -> None:
        """Somebody waits: time passes, and whoever lives gives signs of it."""
        self.world.passes(max(seconds, 2.5))
        for who in self.operators:
            if who.lease is not None and who.awake and not who.lost and self.world.ticks - who.beaten >= BEAT:
                who.beaten = self.world.ticks
                with suppress(CcciError):
                    self._renews(who)

    @contextmanager
    def _fourth(self) -> Iterator[Swarm]:
        with Door(self.world) as door:
            engine = Engine(door.path, seconds=30)
            yield Swarm(engine)
            engine.close()

    @contextmanager
    def _disk_may_fail(self) -> Iterator[None]:
        armed = self.disk.armed
        try:
            yield
        except CcciError:
            assert armed, "an error without a fault"
            self._count("disk errors")

    @contextmanager
    def _may_die(self, number: int) -> Iterator[None]:
        try:
            yield
        except KilledError:
            self._count("killed while writing")
            self._renewed(number)

    @classmethod
    def _count(cls, what: str, happened: bool = True) -> None:  # noqa: FBT001, FBT002 - reads as a sentence
        cls.seen[what] = cls.seen.get(what, 0) + happened


def play(*, examples: int, steps: int) -> str:
    """Run the model; gives a line that says what came about in it."""
    Operators.steps = 0
    Operators.seen.clear()
    chosen = settings(max_examples=examples, stateful_step_count=steps, deadline=None, print_blob=True)
    run_state_machine_as_test(Operators, settings=chosen)
    said = ", ".join(f"{count} {what}" for what, count in sorted(Operators.seen.items()))
    return f"model of operators: {Operators.steps} steps; {said}"


def _compare(kept: Kept, found: Run) -> None:
    if kept.closed:
        assert found.outcome is Outcome.UPGRADED
    if not kept.closing:
        assert found.outcome is None
    phases = {phase.name: phase.ok for phase in found.phases}
    for step, ok in kept.phases.items():
        if found.outcome is None and (ok is not None or step not in kept.tried):
            assert phases[step] is ok
        assert step in phases


def _run(name: str, who: Operator) -> Run:
    return Run(
        run_id=name,
        command="upgrade",
        app="keycloak.ci.example.org",
        recipe="keycloak",
        server="ci.example.org",
        cluster=CLUSTER,
        from_version="1.0.0+1",
        to_version="1.1.0+1",
        started="2026-03-01T12:00:00.000Z",
        operator=who.claim.user,
        host=who.claim.host,
        pid=who.claim.pid,
    )


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
