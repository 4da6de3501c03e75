"""One look at a stack: where each service is, what is lacking, what waits for a port, each rule by itself."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from ccci_upgrade.model.goal import Goal, Wanted
from ccci_upgrade.model.look import PORT_TAKEN, Look, Place
from ccci_upgrade.model.swarm import Port, Stack, Task, UpdateState
from tests.builders import DB_IMAGE, NEW, NEW_IMAGE, OLD, failed, goal, service, stack, task, update

OLD_APP = service(version=OLD)
NEW_APP = service(version=NEW, image=NEW_IMAGE)
DB = service("db", image=DB_IMAGE)
BEFORE = stack(OLD_APP, DB)
CACHE = service("cache", image="redis:7")
WITH_CACHE = goal(services=goal().services | {"cache": Wanted(image="redis:7", replicas=1)})
HOST = (Port(target=80, published=80, mode="host"),)
INGRESS = (Port(target=80, published=80, mode="ingress"),)


def look(
    now: Stack, *, before: Stack = BEFORE, aim: Goal | None = None, reached: Mapping[str, str] | None = None
) -> Look:
    """The usual upgrade, seen now."""
    return Look(before=before, goal=aim or goal(), now=now, reached=reached or {})


def of_app(*tasks: Task) -> Stack:
    """The new app with these tasks, beside its database."""
    return stack(NEW_APP, DB, tasks=(task(DB), *tasks))


# -- who is gone -------------------------------------------------------------------------------------------


def test_who_was_there_before_or_was_reached_and_is_gone_was_removed() -> None:
    """Either will do: a service that is new in the target was not there before."""
    both = stack(NEW_APP, DB)

    assert look(stack(DB)).removed() == ["app"]
    assert look(both, aim=WITH_CACHE, reached={"cache": "x"}).removed() == ["cache"]
    assert look(stack(DB), reached={"app": "x"}).removed() == ["app"]


def test_who_is_there_or_never_was_is_not_removed() -> None:
    """What the target has and abra has not made yet is waited for."""
    assert look(stack(NEW_APP, DB, CACHE), aim=WITH_CACHE, reached={"cache": "x"}).removed() == []
    assert look(stack(NEW_APP, DB), aim=WITH_CACHE).removed() == []


# -- where a service is ------------------------------------------------------------------------------------


def test_a_service_that_is_not_there_is_as_before_only_where_it_was_not_there_before() -> None:
    """Gone is elsewhere."""
    assert look(stack(NEW_APP, DB), aim=WITH_CACHE).places()["cache"] is Place.AS_BEFORE
    assert look(stack(NEW_APP)).places()["db"] is Place.ELSEWHERE


def test_a_new_service_with_another_image_is_elsewhere() -> None:
    """There is nothing before that it could be as."""
    now = stack(NEW_APP, DB, service("cache", image="redis:6"))

    assert look(now, aim=WITH_CACHE).places()["cache"] is Place.ELSEWHERE


def test_the_spec_of_before_is_a_way_back_where_something_happened_in_between() -> None:
    """It was on target once, or Swarm has updated it since the act."""
    rolled = replace(OLD_APP, update=update(UpdateState.ROLLBACK_COMPLETED))
    stale = replace(OLD_APP, update=update(UpdateState.COMPLETED, started=-5))

    assert look(stack(OLD_APP, DB)).places()["app"] is Place.AS_BEFORE
    assert look(stack(stale, DB)).places()["app"] is Place.AS_BEFORE
    assert look(stack(rolled, DB)).places()["app"] is Place.WENT_BACK
    assert look(stack(OLD_APP, DB), reached={"app": "x"}).places()["app"] is Place.WENT_BACK
    assert look(stack(replace(OLD_APP, spec_hash="other"), DB)).places()["app"] is Place.ELSEWHERE


def test_the_image_alone_is_not_the_target_where_the_files_name_a_version_label() -> None:
    """What abra deployed it as decides."""
    unlabelled = service(image=NEW_IMAGE)
    plain = goal(services={"app": Wanted(image=NEW_IMAGE)})

    assert look(stack(unlabelled)).places()["app"] is Place.ELSEWHERE
    assert look(stack(unlabelled), aim=plain).places()["app"] is Place.ON_TARGET
    assert look(stack(NEW_APP)).places()["app"] is Place.ON_TARGET


def test_a_service_the_files_say_nothing_of_is_where_the_stack_is() -> None:
    """The stack's label is all there is to go by."""
    silent = goal(services={"app": Wanted(), "db": Wanted()})

    assert look(stack(NEW_APP, DB), aim=silent).places()["db"] is Place.ON_TARGET
    assert look(stack(OLD_APP, DB), aim=silent).places()["db"] is Place.AS_BEFORE


def test_a_service_as_it_was_with_the_wrong_number_of_replicas_is_not_the_target() -> None:
    """One that was changed is: who scaled it then is somebody else."""
    aim = goal(services={"db": Wanted(image=DB_IMAGE, replicas=2)})
    three = service("db", image=DB_IMAGE, replicas=3)

    assert look(stack(DB), aim=aim).places()["db"] is Place.AS_BEFORE
    assert look(stack(three), aim=aim).places()["db"] is Place.ON_TARGET
    assert [s.name for s in look(stack(three), aim=aim).changed_again()] == ["db"]
    assert look(stack(three), aim=aim, reached={"db": three.spec_hash}).changed_again() == []


# -- tasks -------------------------------------------------------------------------------------------------


def test_only_a_task_of_another_spec_made_after_the_act_that_had_a_container_ran_as_new() -> None:
    """Of a service that is gone nothing ran."""
    ran = task(NEW_APP, "new", created=2)

    assert look(of_app(ran)).new_ran("app")
    assert look(of_app(failed(NEW_APP, "new", created=2))).new_ran("app")
    assert not look(of_app(replace(ran, created=task(NEW_APP, created=-2).created))).new_ran("app")
    assert not look(of_app(replace(ran, template_hash=OLD_APP.template_hash))).new_ran("app")
    assert not look(of_app(task(NEW_APP, state="rejected", created=2, container=False))).new_ran("app")
    assert not look(stack(DB)).new_ran("app")


def test_every_task_of_a_service_that_was_not_there_is_new() -> None:
    """It has no spec of before."""
    assert look(stack(CACHE, tasks=(task(CACHE, created=2),)), aim=WITH_CACHE).new_ran("cache")


def test_what_is_lacking_is_said_with_the_states_of_those_that_are_to_run() -> None:
    """A task that Swarm shut down says nothing of what is awaited; without any there is nothing to say."""
    gone = task(NEW_APP, "gone", state="failed", desired="shutdown", created=1)
    comes = task(NEW_APP, "a", state="starting", created=2)
    soon = task(NEW_APP, "b", state="assigned", desired="ready", created=3)

    assert look(of_app(gone)).lacking() == "app: 0 of 1 tasks running"
    assert look(of_app(gone, soon, comes)).lacking() == "app: 0 of 1 tasks running (assigned, starting)"
    assert look(of_app(task(NEW_APP, created=2))).lacking() == ""


def test_a_running_task_of_the_old_spec_is_lacking_its_end() -> None:
    """Only while it runs."""
    new = task(NEW_APP, "new", created=2)

    assert look(of_app(task(OLD_APP), new)).lacking() == "app: a task of the old spec still runs"
    assert look(of_app(task(OLD_APP, state="shutdown", desired="shutdown"), new)).lacking() == ""


# -- a host port -------------------------------------------------------------------------------------------


def waiting(app_task: Task, *, order: str = "start-first", ports: tuple[Port, ...] = HOST) -> Task | None:
    """The task that a service with these ports waits with."""
    app = replace(NEW_APP, order=order, ports=ports)
    return look(stack(app, tasks=(task(app, "up"), app_task))).waits_for_port(app)


BLOCKED = task(NEW_APP, "new", state="pending", created=2, error=f"{PORT_TAKEN} on 1 node")


def test_a_start_first_task_that_finds_its_host_port_taken_waits_for_it() -> None:
    """The newest such task is shown."""
    app = replace(NEW_APP, order="start-first", ports=(*INGRESS, *HOST))
    two = look(stack(app, tasks=(BLOCKED, replace(BLOCKED, id="newer"))))

    assert waiting(BLOCKED) == BLOCKED
    assert getattr(two.waits_for_port(app), "id", None) == "newer"


@pytest.mark.parametrize(
    ("found", "order", "ports"),
    [
        pytest.param(BLOCKED, "stop-first", HOST, id="stop-first"),
        pytest.param(BLOCKED, "start-first", INGRESS, id="ingress"),
        pytest.param(BLOCKED, "start-first", (), id="no port"),
        pytest.param(replace(BLOCKED, desired="shutdown"), "start-first", HOST, id="given up"),
        pytest.param(replace(BLOCKED, error="no space"), "start-first", HOST, id="another error"),
    ],
)
def test_nothing_else_is_a_wait_for_a_port(found: Task, order: str, ports: tuple[Port, ...]) -> None:
    """Swarm ends those by itself, or never can."""
    assert waiting(found, order=order, ports=ports) is None
