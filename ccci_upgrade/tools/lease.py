"""The lease's Swarm config: read, create, compare-and-swap. It is never deleted."""

from collections.abc import Mapping
from datetime import datetime

from ccci_upgrade import clock
from ccci_upgrade.model.lease import NAME, Kept
from ccci_upgrade.tools import swarmconfig
from ccci_upgrade.tools.engine import Engine

_PURPOSE = swarmconfig.Purpose(
    data="One operator at a time: see `ccci-upgrade lease show`.\n",
    code="lease-refused",
    hint="nothing was changed; the lease needs a Swarm manager that keeps configs: `docker config ls` tells",
)


def read(engine: Engine, *, seconds: float | None = None) -> Kept | None:
    """The config as it is; None where there is none yet. `seconds` bounds the question where it must be short."""
    return swarmconfig.read(engine, NAME, _PURPOSE, seconds=seconds)


def create(engine: Engine, labels: Mapping[str, str]) -> bool:
    """Create the config; False where somebody was quicker."""
    return swarmconfig.create(engine, NAME, labels, _PURPOSE)


def swap(engine: Engine, labels: Mapping[str, str], index: int, *, seconds: float | None = None) -> bool:
    """Write labels where the config still has this version index; False where somebody was quicker."""
    return swarmconfig.swap(engine, NAME, labels, index, _PURPOSE, seconds=seconds)


def engine_clock(engine: Engine) -> datetime | None:
    """The Engine's own clock, asked now: ours may jump, and may be another machine's."""
    info = engine.get("/info")
    said = info.get("SystemTime") if isinstance(info, dict) else None
    return clock.parse_stamp(said) if isinstance(said, str) else None
