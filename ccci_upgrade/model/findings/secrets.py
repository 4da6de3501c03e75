"""The finding about an app's secrets: whether a snapshot will have them."""

from collections.abc import Iterable

from ccci_upgrade.model.finding import Finding, Severity


def secrets_not_kept(names: Iterable[str], *, has_recipient: bool) -> Finding | None:
    """A snapshot is about to be taken of an app whose secrets nobody could decrypt; None where all is well.

    `names` are those of the Swarm.
    """
    found = sorted(set(names))
    if has_recipient or not found:
        return None
    return Finding(
        id="secrets-not-kept",
        severity=Severity.WARN,
        title="the snapshot will hold the data without the secrets that open it",
        evidence=tuple(f"docker secret inspect {name}" for name in found),
        remedy=(
            "make a key with age-keygen; then add to ccci-upgrade.toml the table [snapshots] with the line "
            'age_recipients = ["age1..."]'
        ),
    )
