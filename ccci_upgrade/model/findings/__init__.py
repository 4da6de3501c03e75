"""Everything that could hold an upgrade, found purely from facts.

Severities and ids are a contract with runbooks (docs/reference/findings.md). A false block or a needless
acknowledgement sends people back to bare abra: each rule fires only on evidence that it prints.
"""

from collections.abc import Iterator

from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.finding import Finding
from ccci_upgrade.model.findings import host, protection, recipe, state, versions

ACK_KINDS = frozenset(
    {
        "busy",
        "chaos-deployed",
        "compose-unreadable",
        "db-major",
        "env-behind",
        "env-missing",
        "env-upstream",
        "host-port-start-first",
        "major",
        "no-snapshot",
        "notes-migration",
        "other-owner",
        "remote-snapshot",
        "snapshot-suspect",
        "unhealthy-before",
        "unknown-version",
        "volume-removed",
    }
)
"""What stands before the colon in ids that can be acknowledged."""


def find(facts: Facts) -> Iterator[Finding]:
    """All findings of one app's upgrade."""
    yield from state.find(facts)
    if facts.target is None:
        return
    yield from versions.find(facts, facts.target)
    yield from recipe.find(facts)
    yield from host.find(facts)
    yield from protection.find(facts)
