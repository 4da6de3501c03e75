"""Where an act should lead, from a version's compose files."""

from datetime import datetime

from ccci_upgrade.model.compose import Compose
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.goal import Goal, Wanted
from ccci_upgrade.model.look import Look, Place
from ccci_upgrade.model.swarm import Stack


def goal_of(facts: Facts, compose: Compose | None, version: str, *, was: str | None, acted: datetime) -> Goal:
    """What `version` asks of the stack; without readable files only its label is known."""
    services = {}
    for service in compose.services if compose else ():
        replicas = None if service.mode == "global" else (1 if service.replicas is None else service.replicas)
        label = service.labels.get(f"coop-cloud.{facts.app.stack}.version", "")
        services[service.name] = Wanted(image=service.image, replicas=replicas, version_label=label)
    return Goal(
        version=version,
        was=was,
        services=services,
        acted=acted,
        settle=facts.app.settle,
        holds_data=facts.holds_data,
    )


def reached(facts: Facts, compose: Compose | None, version: str, now: Stack) -> bool:
    """Whether a stack is what `version` asks for, as far as its files tell, and nothing of it is stopped."""
    goal = goal_of(facts, compose, version, was=None, acted=now.taken)
    look = Look(before=now, goal=goal, now=now, reached={})
    there = all(place is Place.ON_TARGET for place in look.places().values())
    return there and now.label("version") == version and not any(s.replicas == 0 for s in look.services())
