"""The rollback card: what it takes to go back, said before the act and asked about after a bad verdict."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """How an app would go back to `version`.

    `images` by service, as they run now; `snapshot` is None where no data is put back, `restores` whether it
    must be; `seconds` what it took before, None where nobody did it; `command` is what to type.
    """

    app: str
    version: str
    images: dict[str, str]
    snapshot: str | None
    restores: bool
    seconds: float | None
    command: str
