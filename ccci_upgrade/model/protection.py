"""How an app's data is protected before an upgrade, and what stands against that. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum

NO_SNAPSHOT = "no-snapshot"
"""The finding of an upgrade without a snapshot; acknowledged unasked, it asks for one without."""

SUSPECT = "snapshot-suspect"
"""The finding of data that is empty, or much less than in the last snapshot."""

BYTES_A_SECOND = 50 * 1024**2
"""What a copy and its reading back make of a volume on a small server, for an estimate of the time down."""

BYTES_A_SECOND_FAR = 10 * 1024**2
STOP_SECONDS = 15
"""About what stopping and starting cost."""


class Protect(StrEnum):
    """How the data is copied: not at all, while the app runs, or while it stands still."""

    NOTHING = "nothing"
    RUNNING = "running"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True, slots=True)
class Protection:
    """What is known of it.

    `refused` are mounts that cannot be copied, in words; `sizes` bytes by volume, without those the Engine could
    not tell (`unknown`); `free` bytes where snapshots go, `reserve` those that must stay; `last` bytes by volume
    in the last snapshot; `databases` are the volumes of databases; `secrets` those that services mount, by their
    names in the Swarm, `recipient` whether the configuration says for whom they are encrypted.
    """

    protect: Protect = Protect.NOTHING
    refused: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    free: int | None = None
    reserve: int = 0
    remote: bool = False
    last: dict[str, int] = field(default_factory=dict)
    last_id: str = ""
    databases: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()
    recipient: bool = False

    @property
    def size(self) -> int:
        """Bytes of all volumes whose size is known."""
        return sum(self.sizes.values())

    @property
    def seconds(self) -> float:
        """About how long the app is down for it."""
        return STOP_SECONDS + self.size / (BYTES_A_SECOND_FAR if self.remote else BYTES_A_SECOND)
