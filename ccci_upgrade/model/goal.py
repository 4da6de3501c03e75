"""Where an act should lead: what a target version asks of a stack."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the target version asks of one service; empty or None means the compose file could not tell."""

    image: str = ""
    replicas: int | None = None
    version_label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """Where an act should lead. `was` is the version label before it (None where there was none)."""

    version: str
    was: str | None
    services: dict[str, Wanted]
    acted: datetime
    settle: float
    holds_data: bool
