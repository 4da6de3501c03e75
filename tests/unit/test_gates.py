"""The gates: their order, who is asked what, and which run gets which word."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from ccci_upgrade.errors import Exit
from ccci_upgrade.flows.gates import Gated, Planned, gated
from ccci_upgrade.flows.host import Host
from ccci_upgrade.model.card import Card
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.plan import Plan, make_plan
from ccci_upgrade.store.saved_plan import SavedPlan
from tests.builders import facts
from tests.unit.test_steps import Told

HOST = cast("Host", SimpleNamespace(cluster=SimpleNamespace(id="abc")))
"""Of a host only its Swarm's id is asked here."""

CLEAN = facts()


@dataclass(kw_only=True)
class Person:
    """A Prompter that answers as told, and remembers what it was asked."""

    interactive: bool = True
    accepts: frozenset[str] = frozenset()
    yes: bool = True
    asked: list[str] = field(default_factory=list)

    def acknowledge(self, app: str, finding: Finding) -> bool:
        """Accept what it was told to."""
        self.asked.append(f"{app} {finding.id}")
        return finding.id in self.accepts

    def confirm(self, plan: Plan) -> bool:
        """Say yes or no."""
        self.asked.append(f"{plan.app}?")
        return self.yes

    def undo(self, card: Card) -> bool:
        """Nobody asks this before the act."""
        raise AssertionError(card)

    def choose(self, apps: tuple[str, ...]) -> tuple[str, ...]:
        """Nobody asks this after apps were named."""
        raise AssertionError(apps)

    def new_passphrase(self, app: str) -> str | None:
        """Nobody asks this at the gates."""
        raise AssertionError(app)

    def passphrase(self, what: str) -> str | None:
        """Nobody asks this at the gates."""
        raise AssertionError(what)


def planned(app: str = "keycloak", *ids: str, block: str = "", done: bool = False) -> Planned:
    """One app whose plan is held by these, blocked by that, or has nothing to do."""
    made = [
        Finding(id=each, severity=Severity.ACK, title=each, evidence=("seen",), remedy="do") for each in ids
    ]
    if block:
        made.append(Finding(id=block, severity=Severity.BLOCK, title=block, evidence=("seen",), remedy="do"))
    plan = replace(make_plan(CLEAN, made, frozenset()), app=app)
    return Planned(facts=CLEAN, plan=replace(plan, to_version=None) if done else plan)


def saved(**moved: str) -> SavedPlan:
    """A saved plan that stands on the clean facts, but for these."""
    return SavedPlan(
        path=Path("plan.json"), app="keycloak", to="x", facts=planned().plan.fingerprints | moved
    )


def through(*apps: Planned, person: Person | None = None, file: SavedPlan | None = None) -> Gated:
    """What comes of them."""
    return gated(HOST, apps, file, Told(), person)


def outcomes(result: Gated) -> dict[str, str]:
    """The word of each app's run."""
    return {run.app: run.outcome.value for run in result.runs if run.outcome}


def test_open_gates_change_nothing_and_give_what_is_to_be_done() -> None:
    """Naming the app is consent to a plan without acknowledgements; a person is asked once."""
    person, told = Person(), Told()
    result = gated(HOST, (planned(),), saved(), told, person)

    assert (result.exit, result.runs, result.todo, result.error) == (Exit.OK, (), (planned(),), None)
    assert person.asked == ["keycloak?"]
    assert told.said == ["plan keycloak"]


def test_the_order_of_refusals() -> None:
    """Stale before blocked, blocked before held, held before a no."""
    bad = planned("keycloak", "major", block="downgrade")
    person = Person(yes=False)

    assert through(bad, file=saved(**{".env": "other"}), person=person).exit is Exit.STALE
    assert through(bad, person=person).exit is Exit.NOT_READY
    assert person.asked == []
    assert through(planned("keycloak", "major"), person=person).exit is Exit.DECLINED
    assert through(planned(), person=person).exit is Exit.DECLINED


def test_a_stale_plan_says_what_moved_and_how_to_look_again() -> None:
    """With the file that was given."""
    result = through(planned(), file=saved(**{".env": "other"}))

    assert outcomes(result) == {"keycloak": "stale"}
    assert result.error is not None
    assert ".env moved" in result.error.message
    assert "--out plan.json" in result.error.hint


@pytest.mark.parametrize("person", [None, Person(interactive=False)])
def test_without_a_terminal_what_is_held_stays_held(person: Person | None) -> None:
    """Nobody is asked, and the app that is held is named by its run."""
    result = through(planned("keycloak", "major"), planned("drone"), person=person)

    assert result.exit is Exit.HELD
    assert outcomes(result) == {"keycloak": "held", "drone": "skipped"}
    assert person is None or person.asked == []


def test_a_person_who_accepts_everything_is_asked_about_each_then_once_more() -> None:
    """And what was accepted is in the plan that is carried out."""
    person = Person(accepts=frozenset({"major", "busy"}))
    result = through(planned("keycloak", "major", "busy"), planned("drone", "busy"), person=person)

    assert result.exit is Exit.OK
    assert person.asked == ["keycloak busy", "keycloak major", "drone busy", "keycloak?", "drone?"]
    assert [sorted(each.plan.acknowledged) for each in result.todo] == [["busy", "major"], ["busy"]]


def test_the_first_no_ends_the_asking() -> None:
    """For this finding, this app and those after it."""
    person = Person(accepts=frozenset({"major"}))
    result = through(planned("keycloak", "major", "busy"), planned("drone", "busy"), person=person)

    assert result.exit is Exit.DECLINED
    assert person.asked == ["keycloak busy"]
    assert outcomes(result) == {"keycloak": "declined", "drone": "declined"}


def test_what_was_acknowledged_before_is_not_asked_again() -> None:
    """A flag said so."""
    held = planned("keycloak", "major", "busy")
    said = replace(held, plan=replace(held.plan, acknowledged=frozenset({"major"})))
    person = Person(accepts=frozenset({"busy"}))

    assert through(said, person=person).exit is Exit.OK
    assert person.asked == ["keycloak busy", "keycloak?"]


def test_warnings_and_infos_are_never_asked_about() -> None:
    """They are shown."""
    shown = [
        Finding(id=each.value, severity=each, title="t", evidence=("seen",), remedy="do")
        for each in (Severity.WARN, Severity.INFO)
    ]
    person = Person()

    assert (
        through(Planned(facts=CLEAN, plan=make_plan(CLEAN, shown, frozenset())), person=person).exit
        is Exit.OK
    )
    assert len(person.asked) == 1


def test_an_app_that_has_nothing_to_do_is_neither_asked_about_nor_in_the_way() -> None:
    """Whatever was found about it."""
    idle = planned("drone", "busy", block="undeployed", done=True)
    person = Person()

    assert through(idle, planned(), person=person).exit is Exit.OK
    assert person.asked == ["keycloak?"]
    refused = through(idle, planned("keycloak", block="downgrade"), planned("traefik"))
    assert outcomes(refused) == {"drone": "noop", "keycloak": "not_ready", "traefik": "skipped"}
    assert outcomes(through(idle, planned("keycloak", "major"))) == {"drone": "noop", "keycloak": "held"}


def test_an_idle_app_that_is_held_does_not_end_the_asking_of_others() -> None:
    """It holds nothing."""
    idle = planned("drone", "busy", done=True)
    person = Person(accepts=frozenset({"major"}))

    assert through(idle, planned("keycloak", "major"), person=person).exit is Exit.OK
    assert person.asked == ["keycloak major", "keycloak?"]


def test_a_no_to_the_last_question_declines_all() -> None:
    """Every gate is passed by all apps before the first one is changed."""
    result = through(planned(), planned("drone"), person=Person(yes=False))

    assert (result.exit, outcomes(result)) == (
        Exit.DECLINED,
        {"keycloak": "declined", "drone": "declined"},
    )
