"""The plan: a value made from facts, shown, saved, and refused when a fact has moved."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ccci_upgrade.model.app import App
from ccci_upgrade.model.facts import Facts, fingerprints
from ccci_upgrade.model.finding import Finding, Severity, in_order
from ccci_upgrade.model.image import image_bump, strip_digest
from ccci_upgrade.model.links import migration_links
from ccci_upgrade.model.notes import Note
from ccci_upgrade.model.protection import NO_SNAPSHOT, Protect, Protection
from ccci_upgrade.model.run import UPGRADE
from ccci_upgrade.model.version import Bump, bump_between, highest


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageJump:
    """One service's image before and after; equal images are not listed."""

    service: str
    old: str
    new: str
    bump: Bump
    links: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What an upgrade of one app would do, or what another `command` would.

    `to_version` is None where there is nothing to do.
    """

    app: str
    recipe: str
    server: str
    from_version: str | None
    to_version: str | None
    bump: Bump
    images: tuple[ImageJump, ...]
    notes: tuple[Note, ...]
    findings: tuple[Finding, ...]
    fingerprints: dict[str, str]
    acknowledged: frozenset[str] = frozenset()
    command: str = UPGRADE
    protection: Protection = field(default_factory=Protection)

    @property
    def protect(self) -> Protect:
        """How the data is copied before the act; not at all where going without was acknowledged."""
        return Protect.NOTHING if NO_SNAPSHOT in self.acknowledged else self.protection.protect

    @property
    def stops(self) -> bool:
        """Whether the app is down for its copy."""
        return self.protect is Protect.STOPPED and not self.protection.refused

    @property
    def notes_found(self) -> int:
        """How many of the versions on the way have a note."""
        return sum(note.text is not None for note in self.notes)

    @property
    def blocks(self) -> tuple[Finding, ...]:
        """Findings that nothing but a remedy gets past."""
        return tuple(f for f in self.findings if f.severity is Severity.BLOCK)

    @property
    def holds(self) -> tuple[str, ...]:
        """Ids of `ack` findings nobody has acknowledged yet."""
        return tuple(
            f.id for f in self.findings if f.severity is Severity.ACK and f.id not in self.acknowledged
        )


def make_plan(
    facts: Facts, findings: Iterable[Finding], acknowledged: frozenset[str], *, command: str = UPGRADE
) -> Plan:
    """Put facts and findings together. Pure: the same facts give the same plan."""
    jumps = image_jumps(facts)
    recipe_bump = Bump.NONE
    if facts.target is not None:
        recipe_bump = (
            Bump.UNKNOWN if facts.deployed is None else bump_between(facts.deployed, facts.target.version)
        )
    return Plan(
        app=facts.app.name,
        recipe=facts.app.recipe,
        server=facts.app.server,
        from_version=facts.deployed_text,
        to_version=facts.target.version.text if facts.target else None,
        bump=highest([recipe_bump, *(jump.bump for jump in jumps)]),
        images=jumps,
        notes=facts.notes,
        findings=in_order(list(findings)),
        fingerprints=fingerprints(facts),
        acknowledged=acknowledged,
        command=command,
        protection=facts.protection,
    )


def no_plan(app: App, *, command: str, to: str | None = None) -> Plan:
    """What a run's record is made from where nothing was planned: a snapshot, or an app nobody looked at."""
    return Plan(
        app=app.name,
        recipe=app.recipe,
        server=app.server,
        from_version=None,
        to_version=to,
        bump=Bump.UNKNOWN,
        images=(),
        notes=(),
        findings=(),
        fingerprints={},
        command=command,
    )


def image_jumps(facts: Facts) -> tuple[ImageJump, ...]:
    """Every service whose image changes: what runs now against what the target's compose files say."""
    if facts.new is None:
        return ()
    jumps = []
    for service in facts.new.services:
        running = facts.stack.service(service.name)
        old = strip_digest(running.image) if running else ""
        if not old or old == service.image:
            continue
        bump = image_bump(old, service.image)
        links = migration_links(old, service.image)
        jumps.append(ImageJump(service=service.name, old=old, new=service.image, bump=bump, links=links))
    return tuple(jumps)


def moved_facts(saved: dict[str, str], now: dict[str, str]) -> tuple[str, ...]:
    """The names of facts that differ between two plans."""
    return tuple(sorted(name for name in saved.keys() | now.keys() if saved.get(name) != now.get(name)))
