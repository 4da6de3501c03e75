"""The plan as a value: its size, its holds, and the facts it stands on."""

from dataclasses import replace

import pytest

from ccci_upgrade.model.facts import AbraInfo, Facts, fingerprints
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.notes import make_note
from ccci_upgrade.model.plan import image_jumps, make_plan, moved_facts, no_plan
from ccci_upgrade.model.protection import NO_SNAPSHOT, Protect, Protection
from ccci_upgrade.model.swarm import UpdateState
from ccci_upgrade.model.version import Bump
from tests.builders import (
    DB_IMAGE,
    NEW,
    NEW_IMAGE,
    OLD,
    OLD_IMAGE,
    STACK,
    app,
    compose,
    compose_service,
    facts,
    release,
    service,
    stack,
    update,
    version,
)

CLEAN = facts()
NONE: frozenset[str] = frozenset()


def finding(name: str, severity: Severity) -> Finding:
    """One finding."""
    return Finding(id=name, severity=severity, title=name, evidence=("seen",), remedy="do")


def stepping(target: str, image: str) -> Facts:
    """The clean facts to another version and image."""
    new = compose(compose_service(image=image), compose_service("db", image=DB_IMAGE))
    return replace(CLEAN, target=release(target), new=new)


@pytest.mark.parametrize(
    ("target", "image", "bump"),
    [
        ("1.0.1+25.0.6", OLD_IMAGE, Bump.PATCH),
        ("1.1.0+25.0.6", OLD_IMAGE, Bump.MINOR),
        ("2.0.0+25.0.6", OLD_IMAGE, Bump.MAJOR),
        ("1.0.1+25.1.0", "keycloak/keycloak:25.1.0", Bump.MINOR),
        ("1.0.1+26.0.0", "keycloak/keycloak:26.0.0", Bump.MAJOR),
        ("2.0.0+25.0.7", "keycloak/keycloak:25.0.7", Bump.MAJOR),
        ("1.0.1+25.0.6", "keycloak/keycloak:latest", Bump.UNKNOWN),
    ],
)
def test_the_bump_is_the_highest_of_recipe_and_images(target: str, image: str, bump: Bump) -> None:
    """A recipe's patch may bring another major of what it runs."""
    assert make_plan(stepping(target, image), (), NONE).bump is bump


def test_an_unknown_version_makes_an_unknown_bump() -> None:
    """Nobody can say how big that step is."""
    seen = replace(CLEAN, deployed=None, deployed_text="main", new=None)

    assert make_plan(seen, (), NONE).bump is Bump.UNKNOWN


def test_nothing_to_do_is_no_bump_and_no_target() -> None:
    """Up to date is not an error."""
    plan = make_plan(replace(CLEAN, target=None, new=None), (), NONE)

    assert (plan.to_version, plan.bump, plan.images) == (None, Bump.NONE, ())


def test_only_images_that_change_are_jumps() -> None:
    """What runs counts, without the digest that Swarm pins; a service that is new has no step."""
    running = stack(
        service(version=OLD, image=f"{OLD_IMAGE}@sha256:{'0' * 64}"),
        service("db", image=f"{DB_IMAGE}@sha256:{'1' * 64}"),
    )
    new = compose(
        compose_service(), compose_service("db", image=DB_IMAGE), compose_service("cache", image="redis:7")
    )

    (jump,) = image_jumps(replace(CLEAN, stack=running, new=new))

    assert (jump.service, jump.old, jump.new, jump.bump) == ("app", OLD_IMAGE, NEW_IMAGE, Bump.MINOR)


def test_a_major_jump_carries_the_upstream_page() -> None:
    """So that a person can read what the recipe's note left out."""
    (jump,) = image_jumps(stepping("2.0.0+26.0.0", "keycloak/keycloak:26.0.0"))

    assert any(link.startswith("https://www.keycloak.org/") for link in jump.links)


def test_holds_are_ack_findings_that_nobody_acknowledged() -> None:
    """Warnings hold nothing, and blocks are not for acknowledging."""
    found = [finding(s.value, s) for s in reversed(Severity)]

    plan = make_plan(CLEAN, found, NONE)

    assert plan.holds == ("ack",)
    assert [f.id for f in plan.blocks] == ["block"]
    assert [f.id for f in plan.findings] == ["block", "ack", "warn", "info"]
    assert make_plan(CLEAN, found, frozenset({"ack", "block"})).holds == ()


def test_notes_are_counted() -> None:
    """`n of m versions have notes`."""
    notes = (make_note("1.0.1+1", b"text"), make_note("1.0.2+1", None), make_note("1.1.0+1", b" \n"))

    plan = make_plan(replace(CLEAN, notes=notes), (), NONE)

    assert (plan.notes_found, len(plan.notes)) == (1, 3)


def test_the_same_facts_give_the_same_plan() -> None:
    """A plan is a value."""
    assert make_plan(facts(), (), NONE) == make_plan(facts(), (), NONE)


@pytest.mark.parametrize(
    ("moved", "name"),
    [
        (replace(CLEAN, deployed_text=NEW, deployed=version(NEW)), "deployed version"),
        (replace(CLEAN, target=replace(release(), commit="f" * 40)), "recipe commit"),
        (replace(CLEAN, app=app(f"TYPE=keycloak:{OLD}\nMEMORY=2G\n")), ".env"),
        (replace(CLEAN, notes=(make_note(NEW, b"now with a note"),)), "release notes"),
        (replace(CLEAN, abra=AbraInfo(path="/usr/bin/abra", version="0.14.0")), "abra version"),
        (
            replace(CLEAN, stack=stack(service(version=OLD, tweak="x"), service("db", image=DB_IMAGE))),
            f"service {STACK}_app",
        ),
        (replace(CLEAN, stack=stack(service(version=OLD))), f"service {STACK}_db"),
    ],
)
def test_a_fact_that_moved_is_named(moved: Facts, name: str) -> None:
    """And no other one is."""
    assert moved_facts(fingerprints(CLEAN), fingerprints(moved)) == (name,)


def test_an_update_status_alone_moves_no_fact() -> None:
    """Swarm's version index moves with it, which is why hashes of specs are compared."""
    finished = stack(
        *(replace(s, update=update(UpdateState.COMPLETED)) for s in CLEAN.stack.services), tasks=()
    )

    assert moved_facts(fingerprints(CLEAN), fingerprints(replace(CLEAN, stack=finished))) == ()


def test_notes_that_trade_places_are_not_the_same() -> None:
    """The print covers which version says what."""
    one, two = make_note("1.0.1+1", b"a"), make_note("1.0.2+1", b"b")
    traded = (replace(one, sha256=two.sha256), replace(two, sha256=one.sha256))

    prints = [fingerprints(replace(CLEAN, notes=notes)) for notes in ((one, two), traded)]

    assert moved_facts(*prints) == ("release notes",)


def test_where_nothing_was_planned_the_record_has_the_app_and_nothing_else() -> None:
    """A snapshot's run, or one that found the lease taken."""
    plan = no_plan(CLEAN.app, command="rollback", to=OLD)

    assert (plan.app, plan.recipe, plan.to_version, plan.command) == (
        CLEAN.app.name,
        "keycloak",
        OLD,
        "rollback",
    )
    assert (plan.from_version, plan.bump, plan.findings, plan.images) == (None, Bump.UNKNOWN, (), ())


@pytest.mark.parametrize(
    ("protect", "refused", "acknowledged", "way", "stops"),
    [
        (Protect.STOPPED, (), (), Protect.STOPPED, True),
        (Protect.STOPPED, ("a bind mount",), (), Protect.STOPPED, False),
        (Protect.STOPPED, (), (NO_SNAPSHOT,), Protect.NOTHING, False),
        (Protect.STOPPED, (), ("major",), Protect.STOPPED, True),
        (Protect.RUNNING, (), (), Protect.RUNNING, False),
        (Protect.NOTHING, (), (), Protect.NOTHING, False),
    ],
)
def test_an_app_is_down_only_for_a_copy_that_is_made_of_it_stopped(
    protect: Protect, refused: tuple[str, ...], acknowledged: tuple[str, ...], way: Protect, *, stops: bool
) -> None:
    """Not for one that cannot be made, or that was acknowledged to be gone without."""
    seen = replace(CLEAN, protection=Protection(protect=protect, refused=refused))
    plan = make_plan(seen, (), frozenset(acknowledged))
    assert (plan.protect, plan.stops) == (way, stops)
