"""An Engine that takes a write and says nothing, and the model's own faults one by one."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

import pytest

from ccci_upgrade import process
from ccci_upgrade.errors import EngineError, HeldError
from ccci_upgrade.flows.lease import (
    Lease,
    LeaseLostError,
    LeaseTakenError,
    hold,
    look_at_lease,
    release_lease,
)
from ccci_upgrade.model.lease import NAME, Claim, LeaseState, to_labels
from ccci_upgrade.tools import lease as config
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.fakeengine import FakeEngine
from tests.models.swarmlease import WRITES, Door, World
from tests.practice.enginehost import until
from tests.unit.test_steps import Told

CLAIM = Claim(
    user="mia",
    host="laptop",
    pid=1,
    boot="",
    command="upgrade keycloak",
    since="2026-03-01T12:00:00.000Z",
    heartbeat="2026-03-01T12:00:00.000Z",
    token="a" * 32,
)


class Place:
    """One operator before an Engine that fails on order."""

    def __init__(self, door: Door, engine: Engine) -> None:
        """Nothing is held yet."""
        self.world, self.swarm, self.told = door.world, Swarm(engine), Told()
        self.lease = Lease(self.swarm, CLAIM, self.told)


@pytest.fixture
def place() -> Iterator[Place]:
    """Give an Engine, and let go of everything in the end."""
    with Door(World()) as door, closing(Engine(door.path, seconds=0.5)) as engine:
        made = Place(door, engine)
        yield made
        made.lease.release()


def test_a_proof_that_the_engine_took_in_silence_is_none_and_the_next_one_is(place: Place) -> None:
    """Without an answer nothing may be done; the lease is ours all the same."""
    place.lease.take(0)
    place.world.faults["write"] = "silent"

    with pytest.raises(EngineError, match="timed out"):
        place.lease.renew()
    place.lease.renew()

    assert not place.lease.lost
    assert place.world.token == CLAIM.token


def test_a_lease_taken_in_silence_is_let_go_of(place: Place) -> None:
    """Who got no answer does not hold it, and leaves none behind."""
    place.world.faults["write"] = "silent"
    with (
        pytest.raises(EngineError, match="timed out"),
        hold(place.swarm, command="b", wait=0, reporter=place.told),
    ):
        pass

    assert look_at_lease(place.swarm).state is LeaseState.FREE
    assert place.world.labels is not None


@pytest.mark.parametrize("fault", [each for each in WRITES if each != "sequence"])
def test_no_act_after_a_proof_that_failed(place: Place, fault: str) -> None:
    """Whatever became of the write; and the next proof tells what is true."""
    place.lease.take(0)
    place.world.faults["write"] = fault

    with pytest.raises(EngineError):
        place.lease.renew()
    place.lease.renew()


def test_a_lost_race_with_ones_own_beat_is_none(place: Place) -> None:
    """The config moved between look and write, and it is still ours."""
    place.lease.take(0)
    place.world.faults["write"] = "sequence"
    place.world.meanwhile = "beaten"

    place.lease.renew()


def test_a_lease_that_was_lost_stays_lost(place: Place) -> None:
    """Even where its labels come back: somebody else may have acted in between."""
    place.lease.take(0)
    labels = place.world.labels
    assert labels is not None
    place.world.put(to_labels(None))
    for _ in range(2):
        with pytest.raises(LeaseLostError, match="it was released"):
            place.lease.renew()
        place.world.put(labels)
    assert place.lease.lost


def test_an_engine_that_never_takes_a_write_is_not_tried_for_ever(place: Place) -> None:
    """Twenty lost races in a row are no race: for a proof it is lost, for a claim the Engine is to blame."""
    place.lease.take(0)
    index = place.world.index
    place.world.every = "sequence"

    with pytest.raises(LeaseLostError, match="it changes all the time"):
        place.lease.renew()
    place.lease.release()
    assert place.world.index == index
    place.world.put(to_labels(None))
    with (
        pytest.raises(EngineError, match="neither shows"),
        hold(place.swarm, command="b", wait=0, reporter=place.told),
    ):
        pass
    place.world.every = ""


def test_a_lease_that_could_not_be_released_is_said_and_goes_stale(place: Place) -> None:
    """Whoever held it is told how long the others wait."""
    place.lease.take(0)
    place.world.faults["write"] = "refused"

    place.lease.release()

    (said,) = place.told.said
    assert said.startswith("note the lease was not released (the Engine would not write the Swarm config")
    assert said.endswith("no leader (HTTP 500)): stale after 60 s")


def test_who_waits_says_for_whom(place: Place) -> None:
    """And who never got it says nothing on letting go."""
    place.world.put(to_labels(CLAIM))
    place.world.faults["write"] = "refused"
    with (
        pytest.raises(LeaseTakenError, match="another operator is at work on this Swarm: mia@laptop"),
        hold(place.swarm, command="b", wait=0.3, reporter=place.told),
    ):
        pass

    assert place.told.said
    assert all(line.startswith("the lease, held by mia@laptop (pid 1)") for line in place.told.said)
    assert process.this_host() not in str(place.world.labels)


def test_a_beat_that_fails_is_followed_by_the_next_one_and_one_that_finds_it_lost_is_the_last(
    place: Place,
) -> None:
    """The Engine may be back by then; who lost it knows before the next act."""
    lease = Lease(place.swarm, replace(CLAIM, limit=0.3), place.told)
    lease.take(0)
    place.world.faults["write"] = "refused"
    until(lambda: not place.world.faults)
    before = place.world.index
    until(lambda: place.world.index > before)
    assert not lease.lost

    place.world.put(to_labels(None))
    until(lambda: lease.lost)
    with pytest.raises(LeaseLostError, match="it was released"):
        lease.renew()
    lease.release()


def test_taking_it_away_from_whoever_has_it_never_takes_it_from_the_next_one(place: Place) -> None:
    """It changed hands between the look and the question's answer."""
    place.world.put(to_labels(CLAIM))

    def allowed(_: Claim) -> None:
        place.world.put(to_labels(replace(CLAIM, token="b" * 32)))

    with pytest.raises(HeldError, match="changed hands meanwhile"):
        release_lease(place.swarm, allowed=allowed)
    assert place.world.token == "b" * 32


def test_of_a_free_lease_nothing_is_released_and_nobody_is_asked(place: Place) -> None:
    """There is nobody to take it from."""

    def allowed(claim: Claim) -> None:
        raise AssertionError(claim)

    assert not release_lease(place.swarm, allowed=allowed).released
    assert place.world.labels is None


def test_who_creates_it_second_is_told_so(place: Place) -> None:
    """The name is taken; the first one's labels stay."""
    assert config.create(place.swarm.engine, to_labels(CLAIM))
    assert not config.create(place.swarm.engine, to_labels(None))
    assert place.world.token == CLAIM.token


@pytest.mark.parametrize(
    "junk", [[], {"Spec": {}}, {"Spec": [], "Version": {"Index": 1}}, {"Version": {}}, None]
)
def test_an_answer_that_is_no_config_is_one_error(junk: object) -> None:
    """It is never taken for a free lease."""
    with FakeEngine() as engine, closing(Engine(engine.path)) as client:
        engine.says(f"/configs/{NAME}", junk)
        with pytest.raises(EngineError, match="is no config") as caught:
            config.read(client)
    assert caught.value.code == "lease-refused"


def test_an_engine_that_refuses_to_show_it_is_one_error(place: Place) -> None:
    """With its own words."""
    place.world.faults["read"] = "refused"

    with pytest.raises(EngineError, match=r"would not read the Swarm config .*no leader"):
        config.read(place.swarm.engine)


def test_a_lease_without_signs_of_life_is_watched_and_then_taken(place: Place) -> None:
    """Past the deadline too; who had it is named."""
    place.world.put(to_labels(replace(CLAIM, limit=0.5, token="b" * 32)))
    place.world.now += timedelta(seconds=10)
    began = time.monotonic()
    place.lease.take(0)

    assert time.monotonic() - began >= 0.125
    assert place.world.token == CLAIM.token
    assert any("took over the lease of mia@laptop" in line for line in place.told.said)
