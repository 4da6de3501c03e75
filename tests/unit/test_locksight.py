"""What the lock knows of who changed an app last, and how that was judged."""

from dataclasses import replace

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.flows.locksight import Sight, app_now, judged
from ccci_upgrade.model.appnow import AppNow
from ccci_upgrade.model.lockfile import Judged
from ccci_upgrade.model.memory import LastGood, Memory
from ccci_upgrade.model.run import Phase, Run
from ccci_upgrade.model.verdict import Outcome, State, Verdict
from tests import builders
from tests.builders import APP, NEW, OLD, STACK
from tests.unit.locks import LOCKED

FIRST, SECOND, THIRD = (f"2026-03-0{day}T12:00:00.000Z" for day in (1, 2, 3))
RUN = Run(
    run_id="run-2",
    command="upgrade",
    app=APP,
    recipe="keycloak",
    server="ci.example.org",
    cluster="c1",
    from_version=OLD,
    to_version=NEW,
    started=SECOND,
    finished=SECOND,
    operator="mia",
    host="laptop",
    pid=1,
    outcome=Outcome.UPGRADED,
    verdict=Verdict(state=State.CONVERGED, evidence=()),
    phases=(Phase(name="act", seconds=1.0, ok=True),),
)
GOOD = LastGood(
    app=APP,
    stack=STACK,
    recipe="keycloak",
    version=OLD,
    recorded=THIRD,
    operator="kim",
    host="ci",
    run_id="run-3",
)


def _sight(*runs: Run, good: LastGood | None = None, version: str = NEW) -> Sight:
    return Sight(
        stacks={STACK: builders.stack(builders.service(version=version))},
        recipe=lambda _: builders.recipe(),
        memories={STACK: Memory(stack=STACK, good=(good,))} if good else {},
        runs=runs,
    )


def _left(sight: Sight) -> tuple[set[str], str] | None:
    left = app_now(APP, builders.app(), None, sight).left
    return (set(left.versions), left.who) if left else None


def _judged(sight: Sight, old: Judged | None = None) -> Judged | None:
    locked = replace(LOCKED, version=NEW, verdict=old)
    return judged(app_now(APP, builders.app(), locked, sight), locked, sight)


# -- who left it so ---------------------------------------------------------------------------------------------------


def test_the_newest_word_counts() -> None:
    """Of this machine's journal, or of what anybody recorded in the Swarm."""
    assert _left(_sight()) is None
    assert _left(_sight(RUN)) == ({NEW}, "mia on laptop")
    assert _left(_sight(good=GOOD)) == ({OLD}, "kim on ci")
    assert _left(_sight(RUN, good=GOOD)) == ({OLD}, "kim on ci")
    assert _left(_sight(RUN, good=replace(GOOD, recorded=FIRST))) == ({NEW}, "mia on laptop")


def test_a_run_counts_from_its_end_where_it_has_one() -> None:
    """What was recorded while it went on is older; one that never ended counts from its beginning."""
    ended = replace(RUN, started=FIRST, finished=THIRD)
    never = replace(RUN, finished=None, outcome=None, verdict=None)

    assert _left(_sight(ended, good=replace(GOOD, recorded=SECOND))) == ({NEW}, "mia on laptop")
    assert _left(_sight(never, good=replace(GOOD, recorded=FIRST))) == ({OLD, NEW}, "mia on laptop")
    assert _left(_sight(never, good=GOOD)) == ({OLD}, "kim on ci")


def test_of_one_run_its_own_journal_counts() -> None:
    """What it remembered before it acted is no later word."""
    before = replace(GOOD, run_id=RUN.run_id)

    assert _left(_sight(RUN, good=before)) == ({NEW}, "mia on laptop")


@pytest.mark.parametrize(
    ("changes", "versions"),
    [
        ({"verdict": Verdict(state=State.UNCHANGED, evidence=())}, {OLD}),
        ({"verdict": Verdict(state=State.UNHEALTHY, evidence=())}, {OLD, NEW}),
        ({"undo": Verdict(state=State.CONVERGED, evidence=())}, {OLD}),
        ({"undo": Verdict(state=State.UNHEALTHY, evidence=())}, {OLD, NEW}),
        ({"verdict": None, "outcome": None, "finished": None}, {OLD, NEW}),
        ({"verdict": Verdict(state=State.UNHEALTHY, evidence=()), "from_version": None}, {NEW}),
    ],
)
def test_a_run_that_did_not_end_well_may_have_left_either(
    changes: dict[str, object], versions: set[str]
) -> None:
    """So neither is another owner's."""
    left = _left(_sight(replace(RUN, **changes)))  # type: ignore[arg-type]

    assert left == (versions, "mia on laptop")


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": None, "outcome": Outcome.HELD, "phases": ()},
        {"verdict": None, "outcome": Outcome.NOT_READY},
        {"verdict": None, "outcome": None, "phases": ()},
        {"app": "drone.ci.example.org"},
    ],
)
def test_a_run_that_did_nothing_says_nothing(changes: dict[str, object]) -> None:
    """Nor does one of another app."""
    assert _left(_sight(replace(RUN, **changes))) is None  # type: ignore[arg-type]


# -- how it was judged ------------------------------------------------------------------------------------------------


def test_the_newest_verdict_on_what_runs_counts() -> None:
    """Of a run, of the Swarm's memory, or of the lock itself."""
    mine = Judged(state=State.CONVERGED, at=SECOND, run="run-2")
    theirs = Judged(state=State.CONVERGED, at=THIRD, run="run-3")
    old = Judged(state=State.CONVERGED, at=FIRST, run="run-1")
    good = replace(GOOD, version=NEW)

    assert _judged(_sight()) is None
    assert _judged(_sight(), old) == old
    assert _judged(_sight(RUN), old) == mine
    assert _judged(_sight(RUN, good=good), old) == theirs
    assert _judged(_sight(RUN, good=replace(good, run_id="run-2"))) == mine
    assert _judged(_sight(RUN, good=replace(good, run_id="run-1")), old) == mine


def test_a_verdict_on_another_version_does_not_count() -> None:
    """The lock's own neither."""
    old = Judged(state=State.CONVERGED, at=FIRST, run="run-1")

    assert _judged(_sight(RUN, good=GOOD, version="9.9.9+1"), old) is None
    assert _judged(_sight(good=GOOD)) is None
    assert judged(AppNow(name=APP), LOCKED, _sight(RUN)) is None


def test_an_undone_upgrade_is_judged_by_its_undo() -> None:
    """That is what runs."""
    undone = replace(
        RUN,
        verdict=Verdict(state=State.UNHEALTHY, evidence=()),
        undo=Verdict(state=State.CONVERGED, evidence=()),
    )
    sight = _sight(undone, version=OLD)
    found = judged(app_now(APP, builders.app(), None, sight), None, sight)

    assert found == Judged(state=State.CONVERGED, at=SECOND, run="run-2")


# -- what is here -----------------------------------------------------------------------------------------------------


def test_without_an_env_the_lock_knows_the_stack() -> None:
    """What runs is compared all the same; of a recipe nothing is known then."""
    now = app_now(APP, None, LOCKED, _sight(version=OLD), problem="line 3: junk")

    assert now.running is not None
    assert (now.running.version, now.problem, now.recipe, now.recipe_problem) == (
        OLD,
        "line 3: junk",
        None,
        "",
    )
    assert app_now("other", None, None, _sight()).running is None


def test_a_recipe_that_cannot_be_read_says_why() -> None:
    """It is the recipe's trouble, and hides nothing else."""
    sight = replace(_sight(), recipe=lambda _: NotReadyError("no checkout"))
    now = app_now(APP, builders.app(), None, sight)

    assert (now.recipe, now.recipe_problem, now.running is None) == (None, "no checkout", False)
