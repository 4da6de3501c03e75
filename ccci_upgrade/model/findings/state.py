"""Findings about what runs now."""

from collections.abc import Iterator

from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.probe import Gap
from ccci_upgrade.model.stackstate import unhealthy_lines
from ccci_upgrade.model.swarm import Stack


def find(facts: Facts) -> Iterator[Finding]:
    """What the running stack itself says against an upgrade."""
    if not facts.stack.services:
        yield Finding(
            id="undeployed",
            severity=Severity.BLOCK,
            title="not deployed",
            evidence=(f"no service carries com.docker.stack.namespace={facts.stack.name}",),
            remedy=f"abra app deploy {facts.app.name} <version>",
        )
        return
    yield from _moving(facts.stack)
    yield from _unhealthy(facts)
    yield from _chaos(facts)
    yield from _unknown(facts)
    yield from _behind(facts)


def _moving(stack: Stack) -> Iterator[Finding]:
    moving = [s for s in stack.services if s.update and s.update.state.in_flight]
    if moving:
        yield Finding(
            id="updating-now",
            severity=Severity.BLOCK,
            title="an update is under way",
            evidence=tuple(f"{s.name}: UpdateStatus {s.update.state.value}" for s in moving if s.update),
            remedy=f"wait, then look: docker stack services {stack.name}",
        )


def _unhealthy(facts: Facts) -> Iterator[Finding]:
    lines = list(unhealthy_lines(facts.stack))
    # An answer that does not tell (an empty build queue says nothing of a runner) is no sign of illness.
    sick = [r for r in facts.before if not r.ok and r.gap is not Gap.UNTOLD]
    lines += [f"probe {result.name}: {result.detail}" for result in sick]
    if lines:
        yield Finding(
            id="unhealthy-before",
            severity=Severity.ACK,
            title="not healthy before the upgrade",
            evidence=tuple(lines),
            remedy=f"mend it first (ccci-upgrade health {facts.app.name}); what is red now cannot prove the upgrade",
        )


def _chaos(facts: Facts) -> Iterator[Finding]:
    if facts.chaos:
        label = f"coop-cloud.{facts.stack.name}.chaos-version"
        yield Finding(
            id="chaos-deployed",
            severity=Severity.ACK,
            title="deployed from a commit, not from a version",
            evidence=(f"label {label}={facts.chaos}",),
            remedy="what the commit changed on top of its version is lost by the upgrade: compare with `git log`",
        )


def _unknown(facts: Facts) -> Iterator[Finding]:
    if facts.deployed is not None:
        return
    said = f"it says {facts.deployed_text!r}" if facts.deployed_text else "it is missing"
    yield Finding(
        id="unknown-version",
        severity=Severity.ACK,
        title="the deployed version is unknown",
        evidence=(f"label coop-cloud.{facts.stack.name}.version: {said}", *_images(facts.stack)),
        remedy="read all notes up to the target; compare the images above with the recipe's versions",
    )


def _behind(facts: Facts) -> Iterator[Finding]:
    pinned = facts.app.env.pinned_version
    if pinned is not None and facts.deployed is not None and pinned < facts.deployed:
        line = facts.app.env.lines.get("RECIPE") or facts.app.env.lines.get("TYPE")
        yield Finding(
            id="env-behind",
            severity=Severity.ACK,
            title="the `.env` pins an older version than what runs",
            evidence=(f"{facts.app.path.name}:{line} pins {pinned}", f"running: {facts.deployed}"),
            remedy="somebody upgraded with another `.env`: find it before this one overwrites its settings",
        )


def _images(stack: Stack) -> Iterator[str]:
    for service in stack.services:
        yield f"{service.name} runs {bare_image(service.image)}"
