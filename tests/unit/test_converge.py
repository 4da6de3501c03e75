"""The watch after an act: every state it can end in, and every trap it must not fall into."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.converge import Kind, Reading, Watcher
from ccci_upgrade.model.goal import Goal, Wanted
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.look import FAILURES_END
from ccci_upgrade.model.swarm import Port, Service, Stack, Task, UpdateState
from ccci_upgrade.model.verdict import State
from tests.builders import (
    DB_IMAGE,
    NEW,
    NEW_IMAGE,
    OLD,
    OLD_IMAGE,
    failed,
    goal,
    service,
    stack,
    task,
    update,
)

APP_OLD = service(version=OLD)
APP_NEW = service(version=NEW, image=NEW_IMAGE)
DB = service("db", image=DB_IMAGE)
DB_TASK = task(DB)
OLD_TASK = task(APP_OLD)
GONE = replace(OLD_TASK, state="shutdown", desired="shutdown")
BEFORE = stack(APP_OLD, DB)
FRESH = task(APP_NEW, "new", created=2)


def now(app: Service, *tasks: Task, db: Service = DB) -> Stack:
    """A look at both services; the database's own task runs unless others of it are given."""
    own = () if any(t.service_id == DB.id for t in tasks) else (DB_TASK,)
    return stack(app, db, tasks=(*own, *tasks))


def in_state(app: Service, state: UpdateState, message: str = "") -> Service:
    """The same service with an UpdateStatus that began after the act."""
    return replace(app, update=update(state, message=message))


UPDATING = now(in_state(APP_NEW, UpdateState.UPDATING), OLD_TASK)
GREEN = now(in_state(APP_NEW, UpdateState.COMPLETED), GONE, FRESH)
ROLLED = in_state(APP_OLD, UpdateState.ROLLBACK_COMPLETED, "update rolled back due to failure")
BACK = now(ROLLED, GONE, task(APP_OLD, "again", created=9))


@dataclass(kw_only=True)
class Looks:
    """A watcher and what it said, look by look."""

    before: Stack = BEFORE
    goal: Goal = field(default_factory=goal)
    said: list[Reading] = field(default_factory=list)

    def see(self, *looks: tuple[float, Stack] | tuple[float, Stack, bool]) -> Reading:
        """Take looks (second, stack, whether abra runs), give the last reading."""
        watcher = Watcher(before=self.before, goal=self.goal)
        for at, seen, *acting in looks:
            self.said.append(watcher.see(seen, at=at, acting=bool(acting and acting[0])))
        return self.said[-1]


def see(*looks: tuple[float, Stack] | tuple[float, Stack, bool]) -> Reading:
    """Watch the usual upgrade."""
    return Looks().see(*looks)


def words(reading: Reading) -> str:
    """All evidence as one text."""
    return "\n".join(e.text for e in reading.evidence)


def crashed(app: Service, count: int, *, first: float = 2.0) -> tuple[Task, ...]:
    """So many tasks that crashed, and one that is about to."""
    gone = tuple(failed(app, f"crash{n}", created=first + n) for n in range(count))
    return (*gone, task(app, "next", state="starting", created=first + count))


# -- the good way ------------------------------------------------------------------------------------------


def test_a_clean_update_is_converged_after_the_stability_window() -> None:
    """Waiting for abra, for Swarm, for the window; then the proof names label, image and status."""
    looks = Looks()
    last = looks.see((0, BEFORE, True), (1, UPDATING, True), (5, GREEN), (9.9, GREEN), (10, GREEN))

    assert [r.kind for r in looks.said] == [*[Kind.WAITING] * 4, Kind.SETTLED]
    assert looks.said[0].waiting_for == "abra"
    assert "updating" in looks.said[1].waiting_for
    assert "stability window" in looks.said[3].waiting_for
    assert last.state is State.CONVERGED
    assert f"version label {NEW}" in words(last)
    assert "app: 1/1 running keycloak/keycloak:25.1.0, UpdateStatus completed" in words(last)


def test_a_service_the_target_does_not_change_decides_nothing() -> None:
    """The database is the same before and after: neither mixed nor unchanged."""
    assert see((5, GREEN), (10, GREEN)).state is State.CONVERGED


def test_a_digest_that_swarm_pinned_is_the_same_image() -> None:
    """With a registry in reach Swarm writes `image:tag@sha256:…` into the spec."""
    pinned = replace(APP_NEW, image=f"{NEW_IMAGE}@sha256:{'0' * 64}")
    look = now(pinned, task(pinned, "new", created=2))

    assert see((5, look), (10, look)).state is State.CONVERGED


def test_a_service_that_the_target_no_longer_has_may_stay() -> None:
    """A stack deploy without prune leaves it as it was."""
    cron = service("cron", image="busybox:1")
    look = stack(APP_NEW, DB, cron, tasks=(DB_TASK, FRESH))

    assert Looks(before=stack(APP_OLD, DB, cron)).see((5, look), (10, look)).state is State.CONVERGED


def test_a_service_that_is_new_in_the_target_must_come_up_too() -> None:
    """It is waited for like the others."""
    cache = service("cache", image="redis:7")
    aim = goal(services=goal().services | {"cache": Wanted(image="redis:7", replicas=1)})
    down = stack(APP_NEW, DB, cache, tasks=(DB_TASK, FRESH))
    up = stack(APP_NEW, DB, cache, tasks=(DB_TASK, FRESH, task(cache, created=3)))

    assert Looks(goal=aim).see((5, down), (99, down)).waiting_for.startswith("cache: 0 of 1")
    assert Looks(goal=aim).see((5, down), (6, up), (11, up)).state is State.CONVERGED


def test_a_global_service_needs_a_task_on_every_node() -> None:
    """Its number is the Swarm's, not the file's."""
    before = stack(replace(APP_OLD, replicas=None, wanted=2), DB)
    both = replace(APP_NEW, replicas=None, wanted=2)
    aim = goal(services=goal().services | {"app": Wanted(image=NEW_IMAGE, version_label=NEW)})
    full = now(both, FRESH, replace(FRESH, id="other", node_id="b"))

    assert "1 of 2" in Looks(before=before, goal=aim).see((5, now(both, FRESH))).waiting_for
    assert Looks(before=before, goal=aim).see((5, full), (10, full)).state is State.CONVERGED


@pytest.mark.parametrize("known", [{}, {"app": Wanted(), "db": Wanted()}])
def test_files_that_tell_nothing_leave_the_label_to_decide(known: dict[str, Wanted]) -> None:
    """Neither a database that stays as it is nor one that changes makes such an upgrade mixed or foreign."""
    aim = goal(services=known)
    changed = service("db", image="postgres:16.9")
    other = stack(APP_NEW, changed, tasks=(FRESH, task(changed, "new", created=2)))

    assert Looks(goal=aim).see((5, GREEN), (10, GREEN)).state is State.CONVERGED
    assert Looks(goal=aim).see((5, other), (10, other)).state is State.CONVERGED
    assert Looks(goal=aim).see((5, BEFORE)).state is State.UNCHANGED


def test_a_recipe_that_forgot_to_raise_its_label_is_judged_by_the_deployed_one() -> None:
    """What abra deploys it labels so; the file's own literal may be older."""
    aim = goal(
        services=goal().services | {"app": Wanted(image=NEW_IMAGE, replicas=1, version_label="0.9.0+1")}
    )

    assert Looks(goal=aim).see((5, GREEN), (10, GREEN)).state is State.CONVERGED


# -- what UpdateStatus does not say ------------------------------------------------------------------------


def test_completed_of_an_older_update_proves_nothing() -> None:
    """It is neither taken for this run's end nor shown as its proof."""
    stale = replace(APP_NEW, update=update(UpdateState.COMPLETED, started=-500))
    starting = now(stale, GONE, task(APP_NEW, "new", state="starting", created=2))
    up = now(stale, GONE, FRESH)

    assert see((3, starting), (500, starting)).kind is Kind.WAITING
    last = see((3, up), (8, up))
    assert last.state is State.CONVERGED
    assert "no UpdateStatus of this run" in words(last)


@pytest.mark.parametrize("state", [UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED, UpdateState.UPDATING])
def test_a_state_of_an_older_update_does_not_end_or_hold_the_watch(state: UpdateState) -> None:
    """A service that an earlier upgrade left paused is upgraded like any other."""
    stale = replace(APP_NEW, update=update(state, started=-500))
    look = now(stale, GONE, FRESH)

    assert see((3, look), (8, look)).state is State.CONVERGED


def test_from_zero_replicas_a_good_start_needs_no_update_status() -> None:
    """After scaling to 0 there is none at all."""
    before = stack(replace(APP_OLD, replicas=0, wanted=0, spec_hash="zero"), DB, tasks=(DB_TASK,))

    last = Looks(before=before).see((3, now(APP_NEW, FRESH)), (8, now(APP_NEW, FRESH)))

    assert last.state is State.CONVERGED
    assert "no UpdateStatus of this run" in words(last)


def test_from_zero_replicas_a_crash_loop_is_ended_by_its_failures() -> None:
    """`failure_action` never fires there: Swarm would loop until the budget is used up."""
    before = stack(replace(APP_OLD, replicas=0, wanted=0, spec_hash="zero"), DB, tasks=(DB_TASK,))
    two = now(APP_NEW, *crashed(APP_NEW, FAILURES_END - 1))
    three = now(APP_NEW, *crashed(APP_NEW, FAILURES_END))
    looks = Looks(before=before)

    last = looks.see((5, two), (6, three))

    assert looks.said[0].kind is Kind.WAITING
    assert (last.kind, last.state) == (Kind.FINAL, State.UNHEALTHY)
    assert "non-zero exit (1)" in words(last)


def test_an_app_may_crash_while_its_database_is_not_up() -> None:
    """Failures count only from when all others were up, and only those of tasks made after that."""
    slow_db = task(DB, "slow", state="starting", created=2)
    waiting = now(APP_NEW, slow_db, *crashed(APP_NEW, 6))
    db_up = now(APP_NEW, task(DB, "slow", created=2, changed=20), *crashed(APP_NEW, 6))
    still = now(APP_NEW, task(DB, "slow", created=2, changed=20), *crashed(APP_NEW, 3, first=21))

    assert see((10, waiting)).kind is Kind.WAITING
    assert see((10, waiting), (21, db_up)).kind is Kind.WAITING
    assert see((10, waiting), (21, db_up), (30, still)).state is State.UNHEALTHY


def test_a_program_that_ends_with_0_again_and_again_is_a_crash_loop_too() -> None:
    """Swarm calls such a task complete, not failed."""
    ended = tuple(replace(t, state="complete", exit_code=0) for t in crashed(APP_NEW, 3)[:3])

    assert see((9, now(APP_NEW, *ended))).state is State.UNHEALTHY


# -- Swarm goes back, or stops ------------------------------------------------------------------------------


def test_a_rollback_is_waited_for_and_then_told() -> None:
    """The old version must have been green for a whole window before it is called healthy."""
    rolling = now(in_state(APP_OLD, UpdateState.ROLLBACK_STARTED), GONE, failed(APP_NEW, "bad", created=2))
    looks = Looks(goal=goal(holds_data=False))

    last = looks.see((1, UPDATING), (5, rolling), (10, BACK), (15, BACK))

    assert [r.kind for r in looks.said] == [Kind.WAITING, Kind.WAITING, Kind.WAITING, Kind.SETTLED]
    assert last.state is State.SWARM_ROLLED_BACK
    assert "update rolled back due to failure" in words(last)


def test_a_silent_rollback_is_seen_by_the_spec_going_back() -> None:
    """Labels go back as well, and the page stayed green all the time."""
    aim = goal(holds_data=False)
    back = now(APP_OLD, OLD_TASK)

    last = Looks(goal=aim).see((1, now(APP_NEW, OLD_TASK)), (9, back), (14, back))

    assert last.state is State.SWARM_ROLLED_BACK
    assert "silently" in words(last)


def test_a_rollback_that_happened_between_two_looks_is_no_unchanged() -> None:
    """Only the UpdateStatus of this run tells it from an act that did nothing."""
    assert Looks(goal=goal(holds_data=False)).see((9, BACK), (14, BACK)).state is State.SWARM_ROLLED_BACK


def test_a_rollback_that_ended_as_completed_is_a_rollback() -> None:
    """A start-first rollback can end so on a real Swarm; a look may have missed all before."""
    back = now(in_state(APP_OLD, UpdateState.COMPLETED), GONE, task(APP_OLD, "again", created=9))

    assert see((0, back), (5, back)).state is State.SWARM_ROLLED_BACK


def test_a_rollback_after_the_window_had_opened_is_no_flapping() -> None:
    """While the Engine was silent Swarm went back: what that means for the data must not get lost."""
    last = see((2, now(APP_NEW, FRESH)), (60, BACK), (65, BACK))

    assert last.state is State.DATA_SUSPECT


def test_a_new_task_that_ran_on_the_data_makes_the_old_version_suspect() -> None:
    """It may have migrated what the old server now reads, although that looks healthy."""
    rolling = now(in_state(APP_OLD, UpdateState.ROLLBACK_STARTED), GONE, failed(APP_NEW, "bad", created=2))

    last = see((5, rolling), (10, BACK), (15, BACK))

    assert (last.kind, last.state) == (Kind.SETTLED, State.DATA_SUSPECT)
    assert "migrated forward" in words(last)


@pytest.mark.parametrize("state", ["rejected", "failed", "preparing", "pending"])
def test_a_new_task_that_never_started_leaves_the_data_alone(state: str) -> None:
    """An image that is missing on the node never had a container."""
    never = task(APP_NEW, "never", state=state, desired="shutdown", created=2, container=False)
    rolling = now(in_state(APP_OLD, UpdateState.ROLLBACK_STARTED), OLD_TASK, never)

    assert see((5, rolling), (10, BACK), (15, BACK)).state is State.SWARM_ROLLED_BACK


def test_a_crashed_old_task_makes_no_data_suspect() -> None:
    """Only the new version can have migrated anything."""
    look = now(ROLLED, failed(APP_OLD, "old", created=2), task(APP_OLD, "again", created=9))

    assert see((10, look), (15, look)).state is State.SWARM_ROLLED_BACK


def test_the_old_version_crashing_after_a_rollback_is_not_called_healthy() -> None:
    """Nothing settles while its tasks do not run."""
    down = now(ROLLED, GONE, task(APP_OLD, "again", state="starting", created=9))

    assert see((10, down), (15, down), (500, down)).kind is Kind.WAITING


def test_a_rollback_to_zero_replicas_is_not_healthy() -> None:
    """What ran before the act was nothing: going back there leaves the app down."""
    empty = replace(APP_OLD, replicas=0, wanted=0, spec_hash="zero")
    back = now(in_state(empty, UpdateState.ROLLBACK_COMPLETED), GONE)

    last = Looks(before=stack(empty, DB, tasks=(DB_TASK,))).see((5, back), (10, back))

    assert last.state is State.ZERO_REPLICAS


@pytest.mark.parametrize("state", [UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED])
def test_paused_is_a_verdict_and_no_wait(state: UpdateState) -> None:
    """Neither ever moves on by itself."""
    look = now(in_state(APP_NEW, state, "update paused due to failure of task abc"), GONE)

    last = see((1, UPDATING, True), (5, look))

    assert (last.kind, last.state) == (Kind.FINAL, State.PAUSED)
    assert "update paused due to failure of task abc" in words(last)


def test_one_service_back_and_one_on_the_target_is_mixed() -> None:
    """Each is named with where it is."""
    new_db = service("db", image="postgres:16.9")
    aim = goal(services=goal().services | {"db": Wanted(image="postgres:16.9", replicas=1)})
    look = stack(ROLLED, new_db, tasks=(task(APP_OLD, "again", created=9), task(new_db, "new", created=2)))

    last = Looks(goal=aim).see((10, look))

    assert (last.kind, last.state) == (Kind.FINAL, State.MIXED)
    assert "app: went back" in words(last)
    assert "db: on target (postgres:16.9)" in words(last)


def test_an_abra_that_died_between_two_services_leaves_them_mixed() -> None:
    """The second one is as before, though the target changes it."""
    aim = goal(services=goal().services | {"db": Wanted(image="postgres:16.9", replicas=1)})

    assert Looks(goal=aim).see((2, GREEN, True), (3, GREEN)).state is State.MIXED


def test_an_unchanged_image_with_another_number_of_replicas_is_not_the_target_yet() -> None:
    """The target runs the database twice; an abra that died before that left the stack mixed."""
    aim = goal(services=goal().services | {"db": Wanted(image=DB_IMAGE, replicas=2)})
    twice = service("db", image=DB_IMAGE, replicas=2)
    done = now(APP_NEW, FRESH, DB_TASK, task(DB, "second", created=3), db=twice)

    assert Looks(goal=aim).see((3, GREEN)).state is State.MIXED
    assert Looks(goal=aim).see((3, GREEN, True), (5, done), (10, done)).state is State.CONVERGED


def test_a_start_first_task_waiting_for_its_predecessors_port_is_a_deadlock() -> None:
    """Swarm stays at `updating` for ever: ten seconds of that are enough."""
    ports = (Port(target=80, published=80, mode="host"),)
    before = stack(service(version=OLD, ports=ports, order="start-first"), DB)
    app = in_state(
        service(version=NEW, image=NEW_IMAGE, ports=ports, order="start-first"), UpdateState.UPDATING
    )
    error = "host-mode port already in use on 1 node"
    hanging = now(app, OLD_TASK, task(app, "new", state="pending", created=1, error=error))
    looks = Looks(before=before)

    last = looks.see((1, hanging), (10.9, hanging), (11, hanging))

    assert [r.kind for r in looks.said] == [Kind.WAITING, Kind.WAITING, Kind.FINAL]
    assert last.state is State.NOT_CONVERGED
    assert "holds host port 80" in words(last)


def test_a_port_that_gets_free_in_time_is_no_deadlock() -> None:
    """The clock starts anew with each time it is taken."""
    ports = (Port(target=80, published=80, mode="host"),)
    before = stack(service(version=OLD, ports=ports, order="start-first"), DB)
    app = in_state(
        service(version=NEW, image=NEW_IMAGE, ports=ports, order="start-first"), UpdateState.UPDATING
    )
    taken = task(app, "new", state="pending", created=1, error="host-mode port already in use on 1 node")
    looks = ((1, now(app, taken)), (9, now(app, task(app, "new", created=1))), (12, now(app, taken)))

    assert Looks(before=before).see(*looks).kind is Kind.WAITING


def test_zero_replicas_on_the_target_is_its_own_state() -> None:
    """A stack with nothing running is as green as can be for a count of 0 of 0."""
    none = replace(APP_NEW, replicas=0, wanted=0)

    last = see((5, now(none, GONE)))

    assert (last.kind, last.state) == (Kind.FINAL, State.ZERO_REPLICAS)
    assert "app: 0 replicas, 1 in the recipe" in words(last)


def test_zero_replicas_that_the_recipe_asks_for_are_fine() -> None:
    """A service that is only started by hand."""
    aim = goal(services=goal().services | {"cron": Wanted(image="busybox:1", replicas=0)})
    cron = service("cron", image="busybox:1", replicas=0)
    look = stack(APP_NEW, DB, cron, tasks=(DB_TASK, FRESH))

    assert Looks(goal=aim).see((5, look), (10, look)).state is State.CONVERGED


# -- nothing, or something else -----------------------------------------------------------------------------


def test_an_abra_that_changed_nothing_is_unchanged() -> None:
    """Whatever it printed and however it ended."""
    last = see((1, BEFORE, True), (2, BEFORE))

    assert (last.kind, last.state) == (Kind.FINAL, State.UNCHANGED)
    assert OLD in words(last)


def test_nothing_is_called_unchanged_while_abra_still_runs() -> None:
    """It may pull for minutes before it touches the stack."""
    assert see((1, BEFORE, True), (500, BEFORE, True)).waiting_for == "abra"


def test_a_release_without_new_images_is_not_converged_before_its_label_is_there() -> None:
    """The images are the target's from the start: only the label tells."""
    aim = goal(
        services={"app": Wanted(image=OLD_IMAGE, replicas=1), "db": Wanted(image=DB_IMAGE, replicas=1)}
    )
    relabelled = replace(service(version=NEW), update=update(UpdateState.COMPLETED))
    done = now(relabelled, OLD_TASK)

    assert Looks(goal=aim).see((1, BEFORE, True), (6, BEFORE, True)).waiting_for == "abra"
    assert Looks(goal=aim).see((1, BEFORE), (6, BEFORE)).state is State.UNCHANGED
    assert Looks(goal=aim).see((1, done), (6, done)).state is State.CONVERGED


def test_the_targets_images_under_the_old_label_are_the_wrong_version() -> None:
    """A stack that changed without its label is not what was asked for."""
    aim = goal(
        services={"app": Wanted(image=NEW_IMAGE, replicas=1), "db": Wanted(image=DB_IMAGE, replicas=1)}
    )
    look = now(service(version=OLD, image=NEW_IMAGE), FRESH)

    assert Looks(goal=aim).see((5, look)).state is State.WRONG_VERSION


def test_the_targets_label_on_another_image_is_the_wrong_version() -> None:
    """What runs is told by image, not by what the label claims."""
    odd = service(version=NEW, image="keycloak/keycloak:24.0.0")

    last = see((5, now(odd, task(odd, "new", created=2))))

    assert (last.kind, last.state) == (Kind.FINAL, State.WRONG_VERSION)
    assert "keycloak/keycloak:24.0.0" in words(last)


@pytest.mark.parametrize(
    "look",
    [
        pytest.param(now(replace(APP_NEW, replicas=3, wanted=3, spec_hash="scaled"), FRESH), id="scaled"),
        pytest.param(now(replace(APP_NEW, spec_hash="edited"), FRESH), id="edited"),
        pytest.param(now(service(version="1.2.0+1", image=NEW_IMAGE), FRESH), id="other label"),
        pytest.param(stack(DB, tasks=(DB_TASK,)), id="removed"),
        pytest.param(stack(), id="undeployed"),
    ],
)
def test_somebody_elses_change_after_the_target_was_reached_is_its_own_outcome(look: Stack) -> None:
    """The verdict would be about their work, not about this run's."""
    last = see((5, GREEN), (6, look))

    assert (last.kind, last.state) == (Kind.FINAL, State.FOREIGN_CHANGE)


def test_a_scaling_says_how_many_and_how_many_there_should_be() -> None:
    """The evidence names both numbers."""
    scaled = now(replace(APP_NEW, replicas=3, wanted=3, spec_hash="scaled"), FRESH)

    assert "replicas to 3 during the run (1 in the recipe)" in words(see((5, GREEN), (6, scaled)))


def test_a_scaling_between_deploy_and_first_look_is_seen_too() -> None:
    """The recipe says how many there should be."""
    look = now(service(version=NEW, image=NEW_IMAGE, replicas=2), FRESH)

    assert see((1, BEFORE, True), (5, look)).state is State.FOREIGN_CHANGE


def test_a_stack_removed_before_the_target_was_reached_is_not_unchanged() -> None:
    """Exit 13 says that nothing was changed; an app that is gone is the contrary."""
    assert see((1, BEFORE, True), (5, stack())).state is State.FOREIGN_CHANGE
    assert Looks(goal=goal(services={})).see((1, BEFORE, True), (5, stack())).state is State.WRONG_VERSION


def test_a_changed_service_that_is_no_part_of_the_target_is_somebody_elses() -> None:
    """The act cannot have done it."""
    cron = service("cron", image="busybox:1")
    looks = Looks(before=stack(APP_OLD, DB, cron))
    other = service("cron", image="busybox:2")

    last = looks.see((5, stack(APP_NEW, DB, other, tasks=(DB_TASK, FRESH))))

    assert last.state is State.FOREIGN_CHANGE
    assert "cron" in words(last)


# -- the stability window ------------------------------------------------------------------------------------


def test_green_then_gone_within_the_window_is_flapping() -> None:
    """The last failure is part of the evidence."""
    down = now(APP_NEW, GONE, failed(APP_NEW, "new", created=2), task(APP_NEW, "2", state="ready", created=7))

    last = see((5, GREEN), (7, down))

    assert (last.kind, last.state) == (Kind.FINAL, State.FLAPPING)
    assert "non-zero exit (1)" in words(last)


def test_a_task_replaced_between_two_looks_is_flapping_though_the_count_is_right() -> None:
    """One look sees one running task, the next another one."""
    other = now(APP_NEW, GONE, failed(APP_NEW, "new", created=2), task(APP_NEW, "2", created=7))

    last = see((5, GREEN), (8, other), (11, other))

    assert last.state is State.FLAPPING
    assert "replaced" in words(last)


def test_one_window_is_shared_by_all_services() -> None:
    """A database that falls over resets nothing: it ends the watch like the app itself."""
    down = now(APP_NEW, FRESH, failed(DB, "1", created=-100), task(DB, "2", state="starting", created=8))

    assert see((5, GREEN), (8, down)).state is State.FLAPPING


def test_an_old_task_that_still_runs_keeps_the_window_shut() -> None:
    """Start-first: the page may still be answered by it."""
    both = now(APP_NEW, OLD_TASK, FRESH)

    assert "old spec" in see((5, both), (50, both)).waiting_for


def test_a_window_that_a_later_update_cut_short_begins_again() -> None:
    """Swarm moving once more is no flapping of what was green before it."""
    moving = now(in_state(APP_NEW, UpdateState.UPDATING), FRESH)
    other = now(in_state(APP_NEW, UpdateState.COMPLETED), task(APP_NEW, "2", created=7))

    assert see((5, GREEN), (6, moving), (8, other)).kind is Kind.WAITING
    assert see((5, GREEN), (6, moving), (8, other), (13, other)).state is State.CONVERGED


def test_no_window_at_all_settles_at_the_first_green_look() -> None:
    """`settle = "0s"` is allowed."""
    assert Looks(goal=goal(settle=0)).see((5, GREEN)).state is State.CONVERGED


# -- what holds for every sequence of looks ------------------------------------------------------------------

_IMAGES = {"app": (OLD_IMAGE, NEW_IMAGE, "keycloak/keycloak:1"), "db": (DB_IMAGE, "postgres:16.9", "x")}
_STATES = ("running", "starting", "failed", "rejected", "shutdown", "complete", "pending", "preparing")


@st.composite
def services(draw: st.DrawFn, name: str) -> Service:
    """Any service a look may show: some version of it, any number, any status."""
    made = service(
        name,
        image=draw(st.sampled_from(_IMAGES[name])),
        version=draw(st.sampled_from((OLD, NEW, "9.9.9+9", None))) if name == "app" else None,
        replicas=draw(st.sampled_from((0, 1, 1, 1, 2, None))),
        order=draw(st.sampled_from(("stop-first", "start-first"))),
        tweak=draw(st.sampled_from(("", "", "tweak"))),
        ports=draw(st.sampled_from(((), (Port(target=80, published=80, mode="host"),)))),
    )
    status = draw(
        st.one_of(st.none(), st.builds(update, st.sampled_from(UpdateState), started=st.integers(-9, 9)))
    )
    return replace(
        made, update=status, wanted=draw(st.integers(0, 2)) if made.replicas is None else made.wanted
    )


@st.composite
def tasks(draw: st.DrawFn, of: Service) -> Task:
    """Any task of a service."""
    made = task(
        of,
        draw(st.sampled_from("abc")),
        state=draw(st.sampled_from(_STATES)),
        desired=draw(st.sampled_from(("running", "running", "shutdown", "ready"))),
        created=draw(st.integers(-5, 20)),
        error=draw(st.sampled_from(("", "boom", "host-mode port already in use"))),
        container=draw(st.booleans()),
    )
    return replace(made, template_hash=draw(st.sampled_from((of.template_hash, of.template_hash, "other"))))


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """Any stack, down to none at all."""
    members = [draw(services(name)) for name in ("app", "db") if draw(st.integers(0, 9))]
    drawn = [t for member in members for t in draw(st.lists(tasks(member), max_size=3))]
    return stack(*members, tasks=tuple({t.id: t for t in drawn}.values()))


@st.composite
def sequences(draw: st.DrawFn) -> Sequence[tuple[Stack, bool]]:
    """Looks in which most often the same stack is seen again, as in life."""
    seen = draw(
        st.lists(
            st.one_of(stacks(), st.sampled_from((BEFORE, UPDATING, GREEN, BACK))), min_size=1, max_size=4
        )
    )
    return [(look, draw(st.booleans())) for look in seen for _ in range(draw(st.integers(1, 3)))]


goals = st.builds(
    goal,
    services=st.sampled_from(
        (
            goal().services,
            {},
            {"app": Wanted(), "db": Wanted()},
            {"app": Wanted(image=NEW_IMAGE), "db": Wanted(image=DB_IMAGE, replicas=2)},
            {"app": Wanted(image=OLD_IMAGE, replicas=1)},
        )
    ),
    was=st.sampled_from((OLD, None)),
    settle=st.sampled_from((0.0, 5.0)),
    holds_data=st.booleans(),
)


@given(before=st.one_of(stacks(), st.just(BEFORE)), aim=goals, looks=sequences(), data=st.data())
def test_whatever_is_seen_the_watch_never_raises_and_never_flatters(
    before: Stack, aim: Goal, looks: Sequence[tuple[Stack, bool]], data: st.DataObject
) -> None:
    """An end always has a state and evidence, and `converged` is only said of what was asked for."""
    watcher = Watcher(before=before, goal=aim)
    at = 0.0
    for look, acting in looks:
        at += data.draw(st.sampled_from((0.25, 3.0, 12.0)))
        reading = watcher.see(look, at=at, acting=acting)

        if reading.kind is Kind.WAITING:
            assert reading.waiting_for
            assert reading.state is None
            continue
        assert reading.state is not None
        assert reading.evidence
        assert all(e.text for e in reading.evidence)
        assert not (acting and reading.state is State.UNCHANGED)
        if reading.state is State.CONVERGED:
            _is_what_was_asked_for(look, aim)


def _is_what_was_asked_for(look: Stack, aim: Goal) -> None:
    assert look.label("version") == aim.version
    for name, wanted in aim.services.items():
        there = look.service(name)
        assert there is not None
        assert not wanted.image or bare_image(there.image) == wanted.image
        running = [t for t in look.tasks_of(there) if t.running and t.template_hash == there.template_hash]
        assert len(running) >= there.wanted
        assert wanted.replicas is None or there.replicas is None or len(running) >= wanted.replicas


def test_every_state_of_the_list_but_the_judges_own_is_reached_here() -> None:
    """`data_detached` is said by the judge, who sees volumes; a new state must get its case above."""
    none = now(replace(APP_NEW, replicas=0, wanted=0), GONE)
    ends = {
        see((5, GREEN), (10, GREEN)).state,
        see((2, BEFORE)).state,
        see((5, now(service(version=NEW, image="x"), FRESH))).state,
        see((9, now(APP_NEW, *crashed(APP_NEW, 3)))).state,
        see((5, now(in_state(APP_NEW, UpdateState.PAUSED), GONE))).state,
        Looks(goal=goal(holds_data=False)).see((1, BACK), (6, BACK)).state,
        see((1, UPDATING), (2, now(APP_NEW, FRESH)), (5, BACK), (10, BACK)).state,
        Looks(goal=goal(services=goal().services | {"db": Wanted(image="x")})).see((3, GREEN)).state,
        see((5, GREEN), (8, now(APP_NEW, task(APP_NEW, "2", created=7)))).state,
        see((5, none)).state,
        see((5, GREEN), (6, stack())).state,
        State.NOT_CONVERGED,
    }

    assert ends == set(State) - {State.DATA_DETACHED}
