"""The shared memory on a practice engine: writers at once, others' configs, engines that refuse."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.flows.lease import look_at_lease
from ccci_upgrade.flows.memory import look_at_shared, recall, recall_one, remember
from ccci_upgrade.model.lease import LeaseState
from ccci_upgrade.model.lease import to_labels as lease_labels
from ccci_upgrade.model.memory import KEPT, Memory, config_name, to_labels
from ccci_upgrade.tools import lease as lease_config
from ccci_upgrade.tools import memory as configs
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.fakeengine import FakeEngine
from tests.practice.enginehost import Host, host
from tests.practice.memory_writer import good
from tests.practice.test_lease import _claim

STACK = "drone_ci_example_org"


@pytest.fixture
def place() -> Iterator[Host]:
    """Give a practice engine of its own."""
    with host() as made:
        yield made


@pytest.fixture
def swarm(place: Host) -> Swarm:
    """Give its Swarm."""
    return Swarm(place.engine)


def _write(socket: Path, first: int, count: int, begin: float) -> "subprocess.Popen[bytes]":
    numbers = [str(first), str(count), str(begin)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.practice.memory_writer", str(socket), STACK, *numbers]
    )


# -- remembering ------------------------------------------------------------------------------------------------------


def test_what_one_remembers_another_recalls(place: Host, swarm: Swarm) -> None:
    """The whole of it, on a connection and in an object of its own; nothing before anybody wrote."""
    assert recall(swarm) == {}
    assert recall_one(swarm, STACK) is None

    written = remember(swarm, good(STACK, 1), good(STACK, 2))

    with closing(Engine(place.practice.socket)) as other:
        assert recall(Swarm(other)) == {STACK: written}
        assert recall_one(Swarm(other), STACK) == written
    assert written == Memory(stack=STACK, good=(good(STACK, 2), good(STACK, 1)))


def test_remembering_again_changes_nothing_but_the_time(swarm: Swarm) -> None:
    """A run that was resumed does it twice."""
    first = remember(swarm, good(STACK, 1))
    later = replace(good(STACK, 1), recorded="2026-03-02T12:00:00.000Z")

    assert remember(swarm, later) == replace(first, good=(later,))


def test_apps_do_not_share_a_memory(swarm: Swarm) -> None:
    """Stacks whose names must be cut are told apart too."""
    stacks = [f"{'a' * 50}{number}" for number in range(3)]
    for number, stack in enumerate(stacks):
        remember(swarm, good(stack, number))

    assert {stack: memory.good for stack, memory in recall(swarm).items()} == {
        stack: (good(stack, number),) for number, stack in enumerate(stacks)
    }


def test_all_that_is_shared_is_one_question() -> None:
    """`status` is measured: the lease and every memory come together."""
    names = [config_name(STACK), config_name("b"), "ccci-upgrade-lease", "ccci-upgradeable"]
    labels = to_labels(Memory(stack=STACK, good=(good(STACK, 1),)))
    rows = [{"Spec": {"Name": name, "Labels": labels}, "Version": {"Index": 1}} for name in names]
    with FakeEngine() as engine, closing(Engine(engine.path)) as client:
        engine.says("/configs", [*rows, None, {}, {"Spec": {"Name": 3}, "Version": {"Index": 1}}])
        shared = look_at_shared(Swarm(client))

        assert [request.path for request in engine.requests] == ["/_ping", "/configs"]
    assert set(shared.memories) == {STACK}
    assert [each.name for each in shared.unreadable] == [config_name("b")]
    assert shared.lease.state is LeaseState.FOREIGN


# -- at once ----------------------------------------------------------------------------------------------------------


def test_two_processes_lose_nothing(place: Host, swarm: Swarm) -> None:
    """From no config at all, at the same moment; as many versions as are kept, so that a lost one is missed."""
    for _ in range(3):
        begin = time.time() + 1.0
        writers = [_write(place.practice.socket, first, count, begin) for first, count in ((0, 3), (100, 2))]
        assert [each.wait(30) for each in writers] == [0, 0]

        found = recall(swarm)[STACK]

        assert {each.version for each in found.good} == {f"1.0.{n}+2" for n in (0, 1, 2, 100, 101)}
        assert len(found.good) == KEPT
        place.engine.ask("DELETE", f"/configs/{config_name(STACK)}")


def test_many_writers_at_once_lose_nothing(place: Host, swarm: Swarm) -> None:
    """Threads with connections of their own, over and over: each of their last words is there."""
    begin = threading.Barrier(KEPT)

    def write(writer: int) -> None:
        begin.wait()
        for number in range(4):
            again = replace(good(STACK, writer), run_id=f"run-{writer}-{number}")
            remember(swarm, again)
        place.engine.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(KEPT)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)

    found = recall(swarm)[STACK]
    assert sorted(each.run_id for each in found.good) == [f"run-{writer}-3" for writer in range(KEPT)]


# -- what is not ours -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "labels",
    [{}, {"a": "b"}, {"ccci-upgrade.app": "2"}, {"ccci-upgrade.app": "\x1b[31m" * 99}, {"x": "y" * 10**6}],
    ids=["none", "others", "a later version's", "escapes", "huge"],
)
def test_somebody_elses_config_is_never_written_over(
    place: Host, swarm: Swarm, labels: dict[str, str]
) -> None:
    """One error with what to type; other apps are remembered all the same."""
    name = config_name(STACK)
    assert configs.create(place.engine, name, labels)
    other = remember(swarm, good("other", 1))

    with pytest.raises(NotReadyError, match=name) as caught:
        remember(swarm, good(STACK, 1))
    with pytest.raises(NotReadyError, match=name):
        recall_one(swarm, STACK)

    assert (caught.value.code, caught.value.hint.count(name)) == ("memory-foreign", 2)
    assert len(caught.value.message) < 400
    kept = configs.read(place.engine, name)
    assert kept is not None
    assert kept.labels == labels
    shared = look_at_shared(swarm)
    assert shared.memories == {"other": other}
    trouble = shared.trouble_of(STACK)
    assert trouble is not None
    assert trouble.message == caught.value.message
    assert shared.trouble_of("other") is None


def test_what_cannot_be_read_back_is_not_written(place: Host, swarm: Swarm) -> None:
    """A label that is no version: nothing is in the Swarm afterwards."""
    with pytest.raises(NotReadyError, match="version") as caught:
        remember(swarm, replace(good(STACK, 1), version="a version\n"))

    assert caught.value.code == "memory-unfit"
    assert configs.read_all(place.engine) == {}


@pytest.mark.parametrize("status", [403, 500, 503])
def test_an_engine_that_refuses_configs_is_one_error(status: int) -> None:
    """Its own words are in it, for reading and for writing."""
    with FakeEngine() as engine, closing(Engine(engine.path)) as client:
        for path in ("/configs", "/configs/create"):
            engine.says(path, {"message": "no configs here"}, status=status)
        for ask in (recall, lambda swarm: remember(swarm, good(STACK, 1))):
            with pytest.raises(EngineError, match="no configs here") as caught:
                ask(Swarm(client))
            assert caught.value.code == "memory-refused"


@pytest.mark.parametrize(
    ("path", "said"),
    [("/configs", {}), (f"/configs/{config_name(STACK)}", {"Spec": {}})],
    ids=["list", "one"],
)
def test_an_answer_that_is_none_is_one_error(path: str, said: object) -> None:
    """Never read as "nothing is remembered"."""
    with FakeEngine() as engine, closing(Engine(engine.path)) as client:
        engine.says(path, said)
        with pytest.raises(EngineError) as caught:
            recall(Swarm(client)) if path == "/configs" else recall_one(Swarm(client), STACK)
    assert caught.value.code == "memory-refused"


def test_an_engine_that_never_agrees_is_given_up() -> None:
    """It says the config is there, and that every write comes too late."""
    labels = to_labels(Memory(stack=STACK, good=(good(STACK, 1),)))
    name = config_name(STACK)
    with FakeEngine() as engine, closing(Engine(engine.path)) as client:
        engine.says(f"/configs/{name}", {"Spec": {"Name": name, "Labels": labels}, "Version": {"Index": 1}})
        engine.says(f"/configs/{name}/update", {"message": "update out of sequence"}, status=500)
        with pytest.raises(EngineError) as caught:
            remember(Swarm(client), good(STACK, 2))
    assert (caught.value.code, name in caught.value.hint) == ("memory-refused", True)


# -- who is at work ---------------------------------------------------------------------------------------------------


def test_the_lease_stands_as_lease_show_has_it(place: Host, swarm: Swarm) -> None:
    """Free without a config, held, and free again."""
    assert look_at_shared(swarm).lease == look_at_lease(swarm)
    claim = _claim()
    assert lease_config.create(place.engine, lease_labels(claim))

    seen, shown = look_at_lease(swarm), look_at_shared(swarm).lease

    assert (shown.state, shown.claim, shown.index) == (LeaseState.HELD, claim, seen.index)
    assert shown.age is not None
    kept = lease_config.read(place.engine)
    assert kept is not None
    assert lease_config.swap(place.engine, lease_labels(None), kept.index)
    assert look_at_shared(swarm).lease == look_at_lease(swarm)
