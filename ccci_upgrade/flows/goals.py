"""Where an act should lead, from a version's compose files."""

from datetime import datetime

from ccci_upgrade.model.compose import Compose
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.goal import Goal, Wanted


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
