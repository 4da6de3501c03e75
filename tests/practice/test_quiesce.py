"""Stopping an app for a copy and bringing it back, in this process: order, clean ends, every refusal."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pytest

from ccci_upgrade import clock
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.flows.quiesce import Quiesced, as_noted, wait_healthy
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.tools import scaling
from ccci_upgrade.tools.engine import Json
from ccci_upgrade.tools.swarm import Swarm
from tests.practice.enginehost import Host, Tree, at, host, service, until
from tests.unit.test_steps import Told

APP = "blog"
DB_IMAGE = "mariadb:10.6"


class Place:
    """A practice engine with one stack: an app before its database."""

    def __init__(self, engine: Host) -> None:
        """Nothing is deployed yet."""
        self.host = engine
        self.swarm = Swarm(engine.engine)
        self.told = Told()

    def deploy(self, *, db: str = DB_IMAGE, app: dict[str, str] | None = None, **env: str) -> Stack:
        """Deploy it, with these variables for the database and those for the app; gives the stack as it runs."""
        for name, image, more in (("app", "traefik:v3.0.0", app or {}), ("db", db, env)):
            spec = service(f"{APP}_{name}", image=image, env=more, volume=f"{APP}_{name}", labels=LABELS)
            container = cast("Tree", at(spec, "TaskTemplate", "ContainerSpec"))
            container["StopGracePeriod"] = 3 * 10**8
            self.host.runs(spec)
        return self.swarm.stack(APP)

    def quiesced(self, before: Stack, *, strict: bool = True) -> Quiesced:
        """One that has not begun."""
        return Quiesced(swarm=self.swarm, before=before, reporter=self.told, strict=strict)

    def replicas(self) -> list[Json]:
        """What both services are meant to have: app, database."""
        return [
            at(self.host.tree(f"/services/{APP}_{name}"), "Spec", "Mode", "Replicated", "Replicas")
            for name in ("app", "db")
        ]


LABELS = {"com.docker.stack.namespace": APP}


def go_on() -> None:
    """Nobody pressed Ctrl-C."""


@pytest.fixture
def place() -> Iterator[Place]:
    """Give an engine of its own."""
    with host() as made:
        yield Place(made)


def test_the_app_stops_before_its_database_and_starts_after_it(place: Place) -> None:
    """How each ended is known, and the counts come back as they were."""
    stopped = place.quiesced(place.deploy())
    assert stopped.noted == "blog_db=1 blog_app=1"

    assert stopped.stop(go_on) == "stopped with exit app 0, db 0"
    assert (place.replicas(), list(stopped.codes)) == ([0, 0], ["app", "db"])
    stopped.still()
    stopped.start()

    assert place.replicas() == [1, 1]
    assert wait_healthy(
        place.swarm, APP, place.told, settle=0.3, deadline=clock.ticks() + 20, stop=lambda: False
    ).service("db")


def test_where_nothing_runs_nothing_is_stopped(place: Place) -> None:
    """It is said so."""
    place.deploy()
    for name in ("app", "db"):
        scaling.scale(place.host.engine, f"{APP}_{name}", 0)
    stopped = place.quiesced(place.swarm.stack(APP))

    assert (stopped.noted, stopped.stop(go_on)) == ("", "nothing ran")


def test_a_database_that_was_killed_is_started_and_stopped_once_more_then_refused(place: Place) -> None:
    """It repairs itself at its next start; one that is killed again has no whole files."""
    stopped = place.quiesced(place.deploy(IGNORE_TERM="1"))

    with pytest.raises(NotReadyError, match="does not stop cleanly: exit 137, then 137") as caught:
        stopped.stop(go_on)

    assert caught.value.code == "unclean-stop"
    assert any("it is started and stopped once more" in line for line in place.told.said)


def test_a_failed_state_is_kept_as_it_is(place: Place) -> None:
    """What is broken already cannot be made to end well."""
    stopped = place.quiesced(place.deploy(IGNORE_TERM="1"), strict=False)

    assert stopped.stop(go_on) == "stopped with exit app 0, db 137"


def test_an_app_before_a_database_may_be_killed(place: Place) -> None:
    """Its files are not what counts."""
    stopped = place.quiesced(place.deploy(app={"IGNORE_TERM": "1"}))

    assert stopped.stop(go_on) == "stopped with exit app 137, db 0"


def test_without_a_database_who_keeps_a_volume_must_not_be_killed(place: Place) -> None:
    """Any code of its own will do, and so will SIGTERM's; 137 will not."""
    stopped = place.quiesced(place.deploy(db="traefik:v3.0.0", IGNORE_TERM="1"))

    with pytest.raises(NotReadyError, match="blog_db does not stop cleanly"):
        stopped.stop(go_on)


def test_ctrl_c_is_asked_for_while_it_waits(place: Place) -> None:
    """What was stopped by then can be brought back."""
    stopped = place.quiesced(place.deploy(app={"IGNORE_TERM": "1"}))
    asked = []

    def pressed() -> None:
        asked.append(True)
        if len(asked) > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.stop(pressed)
    assert stopped.touched
    stopped.start()

    assert place.replicas() == [1, 1]


def test_who_changed_it_meanwhile_is_noticed_and_left_alone(place: Place) -> None:
    """The copy is of no use, and their count stays."""
    stopped = place.quiesced(place.deploy())
    stopped.stop(go_on)
    scaling.scale(place.host.engine, f"{APP}_app", 2)

    with pytest.raises(NotReadyError, match="somebody changed blog_app") as caught:
        stopped.still()
    stopped.start()

    assert caught.value.code == "foreign-change"
    assert place.replicas() == [2, 1]
    assert [line for line in place.told.said if "left as it is" in line]


def test_a_service_that_was_removed_meanwhile_is_not_made_anew(place: Place) -> None:
    """It is said, and the others come back."""
    stopped = place.quiesced(place.deploy())
    stopped.stop(go_on)
    place.host.engine.ask("DELETE", f"/services/{APP}_app")

    with pytest.raises(NotReadyError, match="somebody changed blog_app"):
        stopped.still()
    stopped.start()

    assert at(place.host.tree(f"/services/{APP}_db"), "Spec", "Mode", "Replicated", "Replicas") == 1


class Later:
    """A clock that jumps by a minute at each look for Ctrl-C that comes after `begin` others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, begin: int) -> None:
        """Take the place of the system's."""
        self.real, self.added, self.left = time.monotonic, 0.0, begin
        monkeypatch.setattr(time, "monotonic", lambda: self.real() + self.added)

    def __call__(self) -> None:
        """Look."""
        self.left -= 1
        self.added += 60.0 if self.left < 0 else 0.0


def test_a_container_of_somebody_else_on_the_volume_refuses(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes during the copy would be half in it."""
    before = place.deploy()
    place.host.runs(service("other", volume=f"{APP}_db"))
    stopped = place.quiesced(before)

    def unless_stopped() -> None:
        if len(stopped.codes) == 2:
            later()

    later = Later(monkeypatch, begin=1)
    with pytest.raises(NotReadyError, match="not of blog uses the volume blog_db") as caught:
        stopped.stop(unless_stopped)
    assert caught.value.code == "volume-in-use"


def test_a_service_that_does_not_stop_is_given_up_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its own grace and the time that Swarm needs."""
    before = place.deploy(app={"IGNORE_TERM": "1"})

    with pytest.raises(NotReadyError, match="blog_app did not stop within 30 s") as caught:
        place.quiesced(before).stop(Later(monkeypatch, begin=1))
    assert caught.value.code == "unclean-stop"


def test_an_app_that_is_not_whole_is_never_taken_for_healthy(place: Place) -> None:
    """At the deadline, or when somebody stops the waiting, the reason is said."""
    place.deploy()
    scaling.scale(place.host.engine, f"{APP}_app", 0)
    until(lambda: "running" not in place.host.states(f"{APP}_app"))

    for seconds, stop in ((0.3, bool), (60.0, lambda: True)):
        deadline = clock.ticks() + seconds
        with pytest.raises(NotReadyError, match="scaled to 0 replicas") as caught:
            wait_healthy(place.swarm, APP, place.told, settle=0.1, deadline=deadline, stop=stop)
        assert caught.value.code == "unsettled"


def test_an_engine_that_is_away_is_waited_for(place: Place) -> None:
    """Until the deadline; what it said last is the reason."""
    gone = Swarm(type(place.host.engine)(place.host.practice.socket.with_name("gone.sock")))

    with pytest.raises(NotReadyError, match="did not answer"):
        wait_healthy(gone, APP, place.told, settle=0.1, deadline=clock.ticks() + 0.3, stop=lambda: False)


def test_what_a_killed_run_noted_is_put_back_only_where_nothing_runs(place: Place) -> None:
    """A service that somebody started again is theirs."""
    before = place.deploy()
    down = replace(
        before,
        services=tuple(replace(s, replicas=0, wanted=0) for s in before.services[:1]) + before.services[1:],
    )

    found = as_noted(down, f"{APP}_app=3 {APP}_db=5 {APP}_gone=1")

    assert [(s.name, s.replicas) for s in found.services] == [("app", 3), ("db", 1)]


class Mending(Told):
    """Somebody who mends the database's image as soon as it is told of."""

    def __init__(self, place: Place) -> None:
        """Nothing is mended yet."""
        super().__init__()
        self.place = place

    def note(self, text: str) -> None:
        """Let it end by itself from now on."""
        super().note(text)
        spec = cast("Tree", at(self.place.host.tree(f"/services/{APP}_db"), "Spec"))
        cast("Tree", at(spec, "TaskTemplate", "ContainerSpec"))["Env"] = []
        assert self.place.host.update(spec).status == 200


def test_a_database_that_stops_cleanly_the_second_time_is_stopped(place: Place) -> None:
    """It has repaired itself: its files are whole."""
    before = place.deploy(IGNORE_TERM="1")
    stopped = Quiesced(swarm=place.swarm, before=before, reporter=Mending(place))

    assert stopped.stop(go_on) == "stopped with exit app 0, db 0"
