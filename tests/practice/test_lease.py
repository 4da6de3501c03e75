"""The lease between real processes, on the practice engine: one holder, whatever happens to it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccci_upgrade import process
from ccci_upgrade.errors import EngineError, HeldError, NotReadyError
from ccci_upgrade.flows.lease import LeaseTakenError, hold, look_at_lease, release_lease
from ccci_upgrade.model.lease import NAME, Claim, LeaseState, Machine, to_labels
from ccci_upgrade.tools import lease as config
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.fakeengine import FakeEngine
from tests.practice.enginehost import Host, host

RACES = int(os.environ.get("CCCI_UPGRADE_RACES", "200"))


class Racer:
    """Another process; its words come one for each order."""

    def __init__(self, socket: Path, **env: str) -> None:
        """Start it."""
        self.child = subprocess.Popen(
            [sys.executable, "-m", "tests.practice.lease_racer", str(socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **env},
            text=True,
        )
        assert self.hear() == "ready"

    def say(self, order: str) -> None:
        """Give an order."""
        assert self.child.stdin is not None
        self.child.stdin.write(f"{order}\n")
        self.child.stdin.flush()

    def hear(self) -> str:
        """What came of it."""
        assert self.child.stdout is not None
        return self.child.stdout.readline().strip()

    def ask(self, order: str) -> str:
        """Both."""
        self.say(order)
        return self.hear()

    def kill(self) -> None:
        """End it, and wait until it is gone."""
        self.child.kill()
        self.child.wait(10)

    def close(self) -> None:
        """Let it end, whatever state it is in."""
        self.child.send_signal(signal.SIGCONT)
        self.child.kill()
        self.child.communicate()


@pytest.fixture
def place() -> Iterator[Host]:
    """Give a practice engine of its own."""
    with host() as made:
        yield made


@contextmanager
def racers(place: Host, count: int, **env: str) -> Iterator[list[Racer]]:
    """Start processes, and end them."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Racer(place.practice.socket, **env))) for _ in range(count)]


class Told:
    """A reporter that keeps what it was told."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.lines: list[str] = []

    def __getattr__(self, _: str) -> Any:
        return self.lines.append


def _claim(**changes: Any) -> Claim:
    made = Claim(
        user="mia",
        host=process.this_host(),
        pid=os.getpid(),
        boot=process.this_boot(),
        command="upgrade traefik",
        since="2026-03-01T12:00:00.000Z",
        heartbeat="2026-03-01T12:00:00.000Z",
        token="a" * 32,
    )
    return replace(made, **changes)


def _dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    return child.pid


def test_two_processes_race_and_one_wins_each_time(place: Host) -> None:
    """From no lease, a free one and one left by the dead, in turn; both start at the same moment."""
    dead = to_labels(_claim(pid=_dead_pid()))
    with racers(place, 2) as pair:
        outcomes = []
        for number in range(RACES):
            if number % 3 == 0:
                place.engine.ask("DELETE", f"/configs/{NAME}")
            elif number % 3 == 1:
                kept = config.read(place.engine)
                assert kept is not None
                assert config.swap(place.engine, dead, kept.index)
            start = time.time() + 0.005
            for each in pair:
                each.say(f"take {start}")
            said = [each.hear() for each in pair]
            assert [each.ask("act") for each, word in zip(pair, said, strict=True) if word == "won"] == [
                "acted"
            ]
            outcomes.append(tuple(said))
            for each in pair:
                assert each.ask("free") == "freed"

    assert all(sorted(said) == ["lost", "won"] for said in outcomes)
    assert len(outcomes) == RACES
    # Were it always the same one, nothing would have been raced for.
    assert len(set(outcomes)) == 2


def test_a_dead_holder_is_taken_over_within_a_second_and_a_living_one_never(place: Host) -> None:
    """Its process is gone on this boot: nothing is waited for."""
    swarm, told = Swarm(place.engine), Told()
    with racers(place, 1) as (holder,):
        assert holder.ask("take") == "won"
        with pytest.raises(LeaseTakenError) as caught, hold(swarm, command="b", wait=0.6, reporter=Told()):
            pass
        assert f"pid {holder.child.pid}" in caught.value.message
        assert "`race`" in caught.value.message
        holder.kill()
        began = time.monotonic()
        with hold(swarm, command="b", wait=0, reporter=told):
            assert time.monotonic() - began < 1
            seen = look_at_lease(swarm)
    assert seen.claim is not None
    assert seen.claim.pid == os.getpid()
    assert "is dead" in told.lines[-1]
    assert look_at_lease(swarm).state is LeaseState.FREE


def test_an_unreaped_child_is_dead_too(place: Host) -> None:
    """Its number is still taken, and signals still reach it."""
    del place
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        deadline = time.monotonic() + 20
        while not process.dead(child.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.alive(child.pid)
    assert not process.dead(os.getpid())


def test_a_suspended_holder_never_acts_after_it_lost_the_lease(place: Host) -> None:
    """It wakes, asks before its act, and stops; before its limit nobody gets in."""
    with racers(place, 2, CCCI_UPGRADE_LEASE_LIMIT="1") as (slept, other):
        assert slept.ask("take") == "won"
        slept.child.send_signal(signal.SIGSTOP)
        assert other.ask("take") == "lost"
        time.sleep(1.2)
        assert other.ask("take") == "won"
        slept.child.send_signal(signal.SIGCONT)
        assert slept.ask("act") == "stopped"
        assert other.ask("act") == "acted"
        assert slept.ask("free") == "freed"
        assert other.ask("act") == "acted"
        assert other.ask("free") == "freed"
        assert slept.ask("act") == "stopped"


def test_a_living_holder_keeps_it_past_its_limit(place: Host) -> None:
    """Its thread gives signs of life while it does nothing."""
    swarm = Swarm(place.engine)
    with racers(place, 1, CCCI_UPGRADE_LEASE_LIMIT="0.5") as (holder,):
        assert holder.ask("take") == "won"
        first = look_at_lease(swarm)
        with pytest.raises(LeaseTakenError), hold(swarm, command="b", wait=1.5, reporter=Told()):
            pass
        last = look_at_lease(swarm)
        assert first.claim is not None
        assert last.claim is not None
        assert last.claim.heartbeat > first.claim.heartbeat
        assert holder.ask("act") == "acted"


def test_a_clock_that_jumped_takes_nothing_from_the_living() -> None:
    """By the Engine's clock the lease is an hour old; its next beat proves the holder alive."""
    labels = to_labels(_claim(host="laptop", limit=1.0))
    shown = {"Spec": {"Labels": labels}, "UpdatedAt": "2026-03-01T11:00:00Z"}
    with FakeEngine() as engine, closing(Engine(engine.path)) as client:
        engine.says("/info", {"SystemTime": "2026-03-01T12:00:00Z"})
        engine.says(f"/configs/{NAME}", shown | {"Version": {"Index": 1}})
        beat = threading.Timer(
            0.1, lambda: engine.says(f"/configs/{NAME}", shown | {"Version": {"Index": 2}})
        )
        beat.start()
        with pytest.raises(LeaseTakenError), hold(Swarm(client), command="b", wait=0, reporter=Told()):
            pass
        beat.join()
        assert not engine.asked(f"/configs/{NAME}/update")


def test_a_released_holder_stops_before_its_next_act(place: Host) -> None:
    """And its own letting go frees nobody else's."""
    swarm = Swarm(place.engine)
    with racers(place, 2) as (holder, other):
        assert holder.ask("take") == "won"
        done = release_lease(swarm, allowed=lambda _: None)
        assert done.released
        assert holder.ask("act") == "stopped"
        assert other.ask("take") == "won"
        assert holder.ask("free") == "freed"
        assert other.ask("act") == "acted"

    def refused(_: Claim) -> None:
        raise HeldError("no")

    with pytest.raises(HeldError):
        release_lease(swarm, allowed=refused)
    assert look_at_lease(swarm).claim is not None


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"a": "b"},
        {"ccci-upgrade.lease": "1"},
        {"ccci-upgrade.lease": "\x1b[31m" * 99},
        {"x": "y" * 10**6},
    ],
    ids=["none", "others", "no state", "escapes", "huge"],
)
def test_somebody_elses_config_is_never_written_over(place: Host, labels: dict[str, str]) -> None:
    """One error with what to type; the same for holding and releasing."""
    assert config.create(place.engine, labels)
    swarm = Swarm(place.engine)

    with (
        pytest.raises(NotReadyError, match=NAME) as caught,
        hold(swarm, command="b", wait=0, reporter=Told()),
    ):
        pass
    with pytest.raises(NotReadyError):
        release_lease(swarm, allowed=lambda _: None)

    assert (caught.value.code, caught.value.hint.count(NAME)) == ("lease-foreign", 2)
    assert len(caught.value.message) < 400
    kept = config.read(place.engine)
    assert kept is not None
    assert kept.labels == labels


@pytest.mark.parametrize("status", [403, 500, 501, 503])
def test_an_engine_that_refuses_configs_is_one_error(status: int) -> None:
    """Its own words are in it; nothing is held."""
    with FakeEngine() as engine:
        engine.says("/info", {"SystemTime": "2026-03-01T12:00:00Z"})
        engine.says("/configs/create", {"message": "no configs here"}, status=status)
        client = Engine(engine.path)
        with (
            pytest.raises(EngineError, match="no configs here") as caught,
            hold(
                Swarm(client),
                command="b",
                wait=0,
                reporter=Told(),
            ),
        ):
            pass
        client.close()
    assert caught.value.code == "lease-refused"


def test_the_machine_is_known() -> None:
    """On Linux a boot has an id, the same for all processes of one space of numbers."""
    me = Machine(host=process.this_host(), boot=process.this_boot())
    said = subprocess.run(
        [sys.executable, "-c", "from ccci_upgrade import process; print(process.this_boot())"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert me.boot
    assert said.stdout.strip() == me.boot
