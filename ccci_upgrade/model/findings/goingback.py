"""Findings about a way back: what of the data goes, what of it does not come, and what Swarm or abra would refuse."""

from collections.abc import Iterator
from dataclasses import dataclass

from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.findings import host, recipe, state
from ccci_upgrade.model.snapshot import Manifest

ACK_KINDS = frozenset({"data-loss", "data-not-restored"})
"""Ids that can be acknowledged on a way back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Back:
    """What was asked for. `age` of the snapshot in words; `others` are the snapshots there are, in words."""

    version: str
    manifest: Manifest | None
    version_only: bool
    age: str = ""
    others: tuple[str, ...] = ()


def find(facts: Facts, back: Back) -> Iterator[Finding]:
    """All that speaks against it. What only an upgrade must be asked about does not hold a way back."""
    if not facts.stack.services:
        yield from state.find(facts)
        return
    around = [*recipe.find(facts), *host.find(facts)]
    yield from (each for each in around if each.severity in (Severity.BLOCK, Severity.WARN))
    if not facts.holds_data:
        return
    if back.version_only:
        yield _not_restored(facts, back)
    elif back.manifest is None:
        yield _missing(facts, back)
    else:
        yield _loss(facts, back, back.manifest)


def _loss(facts: Facts, back: Back, manifest: Manifest) -> Finding:
    return Finding(
        id="data-loss",
        severity=Severity.ACK,
        title=f"what was written since the snapshot of {manifest.taken} goes",
        evidence=(
            f"snapshot {manifest.id} of {manifest.version}, taken {back.age} ago",
            *(f"volume {volume.name} becomes what it was then" for volume in manifest.volumes),
            f"the present state of {facts.deployed_text or 'an unknown version'} is kept as a snapshot of its own",
        ),
        remedy=f"another one: ccci-upgrade snapshot list {facts.app.name}",
    )


def _not_restored(facts: Facts, back: Back) -> Finding:
    return Finding(
        id="data-not-restored",
        severity=Severity.ACK,
        title="the data stays as it is, and an older version may break it or hide that it cannot read it",
        evidence=(
            f"{facts.deployed_text or 'an unknown version'} has run on the data; {back.version} may not know its form",
            "an older keycloak came up green on a database that the newer one had migrated",
        ),
        remedy=f"put the data back too: ccci-upgrade rollback {facts.app.name} --to {back.version}",
    )


def _missing(facts: Facts, back: Back) -> Finding:
    return Finding(
        id="snapshot-missing",
        severity=Severity.BLOCK,
        title=f"there is no verified snapshot of {back.version} here: version and data go back together",
        evidence=back.others or ("there are no snapshots of this app on this machine",),
        remedy=f"the version alone, where its data was never migrated: "
        f"ccci-upgrade rollback {facts.app.name} --to {back.version} --version-only",
    )
