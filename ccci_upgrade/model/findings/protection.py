"""Findings about the data: whether it can be copied before anything is done to it, and what that costs."""

from collections.abc import Iterator

from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.findings.secrets import secrets_not_kept
from ccci_upgrade.model.protection import Protect, Protection
from ccci_upgrade.model.snapshot import suspicious
from ccci_upgrade.text import in_words


def find(facts: Facts) -> Iterator[Finding]:
    """What stands against a snapshot, or should be known of it."""
    protection = facts.protection
    if protection.protect is Protect.NOTHING:
        return
    if protection.refused:
        yield Finding(
            id="no-snapshot",
            severity=Severity.ACK,
            title="its data cannot be copied before the upgrade",
            evidence=protection.refused,
            remedy="back it up by other means first; without a snapshot nothing but your backup undoes a migration",
        )
        return
    yield from _space(facts, protection)
    yield from _far(facts, protection)
    yield from _odd(facts, protection)
    secrets = secrets_not_kept(protection.secrets, has_recipient=protection.recipient)
    if secrets is not None and protection.protect is Protect.STOPPED:
        yield secrets


def _space(facts: Facts, protection: Protection) -> Iterator[Finding]:
    need = protection.size * 2 + protection.reserve
    if protection.free is not None and protection.free < need:
        yield Finding(
            id="disk-space:snapshot",
            severity=Severity.BLOCK,
            title="too little disk space for a snapshot and, should it come to that, the failed state",
            evidence=(
                f"volumes {in_words(protection.size)}, twice, and {in_words(protection.reserve)} to spare",
                f"{in_words(protection.free)} are free where snapshots go",
            ),
            remedy=f"ccci-upgrade snapshot prune {facts.app.name}  # or set `state_dir` in ccci-upgrade.toml",
        )


def _far(facts: Facts, protection: Protection) -> Iterator[Finding]:
    if not protection.remote or protection.protect is not Protect.STOPPED:
        return
    more = f", and what {', '.join(protection.unknown)} hold" if protection.unknown else ""
    yield Finding(
        id="remote-snapshot",
        severity=Severity.ACK,
        title="the snapshot goes over ssh while the app is down",
        evidence=(
            f"{in_words(protection.size)}{more}: about {protection.seconds:.0f} s down at 10 MiB/s",
            "it will be on this machine, and on no other",
        ),
        remedy=f"run it on the server instead: ssh {facts.app.server} ccci-upgrade upgrade {facts.app.name}",
    )


def _odd(facts: Facts, protection: Protection) -> Iterator[Finding]:
    """An empty database is copied as faithfully as a full one: somebody has to look."""
    lines = suspicious(
        protection.sizes,
        protection.last,
        last_id=protection.last_id,
        databases=protection.databases,
    )
    if lines and protection.protect is Protect.STOPPED:
        yield Finding(
            id="snapshot-suspect",
            severity=Severity.ACK,
            title="there is less data than there should be",
            evidence=lines,
            remedy=f"look at it before it becomes what to go back to: ccci-upgrade snapshot list {facts.app.name}",
        )
