"""Findings about the server around the app: owners, disk, builds, the `.env`'s history, abra itself."""

from collections.abc import Iterator

from ccci_upgrade.model.facts import Facts, OwnerKind
from ccci_upgrade.model.finding import Finding, Severity

DISK_NEEDED = 1024**3
"""Bytes that must be free where the Engine keeps its data: an image is unpacked beside the old one."""


def find(facts: Facts) -> Iterator[Finding]:
    """What stands around the app."""
    yield from _owners(facts)
    yield from _env(facts)
    yield from _drift(facts)
    if facts.busy:
        yield Finding(
            id="busy",
            severity=Severity.ACK,
            title="the server is at work",
            evidence=facts.busy,
            remedy="wait until builds and test stacks are done: an upgrade now makes them fail",
        )
    if facts.disk_free is not None and facts.disk_free < DISK_NEEDED:
        yield Finding(
            id="disk-space",
            severity=Severity.BLOCK,
            title="too little disk space for new images",
            evidence=(f"{facts.disk_free / 1024**2:.0f} MiB free, {DISK_NEEDED / 1024**2:.0f} MiB needed",),
            remedy="docker system df  # never prune volumes; `docker image prune` frees dangling images",
        )
    if facts.unseen:
        yield Finding(
            id="unseen",
            severity=Severity.WARN,
            title="not all of the server can be seen from here",
            evidence=facts.unseen,
            remedy="ccci-upgrade doctor  # on the server itself",
        )
    if facts.abra is not None and (facts.abra.unread or facts.abra.missing):
        yield Finding(
            id="abra-unverified",
            severity=Severity.WARN,
            title=f"abra {facts.abra.version} could not be checked against what this tool needs",
            evidence=(*facts.abra.unread, *facts.abra.missing),
            remedy="ccci-upgrade doctor",
        )


def _owners(facts: Facts) -> Iterator[Finding]:
    acting = [o for o in facts.owners if o.kind is OwnerKind.ACTING]
    later = [o for o in facts.owners if o.kind is OwnerKind.MAY_ACT]
    if acting:
        yield Finding(
            id="other-owner-acting",
            severity=Severity.BLOCK,
            title="somebody else is deploying on this server now",
            evidence=tuple(f"{o.name}: {line}" for o in acting for line in o.evidence),
            remedy="wait for it, or stop it: systemctl status " + " ".join(o.name for o in acting),
        )
    if later:
        yield Finding(
            id="other-owner",
            severity=Severity.ACK,
            title="something else deploys or upgrades this app too",
            evidence=tuple(f"{o.name}: {line}" for o in later for line in o.evidence),
            remedy="two owners undo each other's work: disable it, or leave the app to it",
        )


def _env(facts: Facts) -> Iterator[Finding]:
    if facts.env_history.upstream:
        yield Finding(
            id="env-upstream",
            severity=Severity.ACK,
            title="a colleague pushed a newer `.env`",
            evidence=(facts.env_history.upstream,),
            remedy=f"git -C {facts.app.path.parent} pull --ff-only",
        )
    if facts.env_history.uncommitted:
        yield Finding(
            id="env-uncommitted",
            severity=Severity.WARN,
            title="the `.env` has changes that are not committed",
            evidence=(facts.env_history.uncommitted,),
            remedy=f"git -C {facts.app.path.parent} commit -m 'Record settings' {facts.app.path.name}",
        )


def _drift(facts: Facts) -> Iterator[Finding]:
    """A floating tag may run another image than a new pull would give: only said, it changes nothing."""
    for service in facts.stack.services:
        images = {task.image for task in facts.stack.tasks_of(service) if task.running}
        if len(images) > 1:
            yield Finding(
                id=f"image-drift:{service.name}",
                severity=Severity.INFO,
                title=f"tasks of {service.name} run different images",
                evidence=tuple(sorted(images)),
                remedy=f"docker service ps {service.full_name}",
            )
