"""The Swarm configs that remember good versions: one for each stack, and all of them in one question."""

from collections.abc import Mapping

from ccci_upgrade.model.lease import Kept
from ccci_upgrade.tools import swarmconfig
from ccci_upgrade.tools.engine import Engine

_OURS = "ccci-upgrade-"
"""The lease and every memory begin so: whoever wants both asks once."""

_PURPOSE = swarmconfig.Purpose(
    data="The last good versions of an app, in the labels: see `ccci-upgrade status`.\n",
    code="memory-refused",
    hint="what is remembered needs a Swarm manager that keeps configs: `docker config ls` tells",
)


def read(engine: Engine, name: str, *, seconds: float | None = None) -> Kept | None:
    """One config as it is; None where there is none yet. `seconds` bounds the question where it must be short."""
    return swarmconfig.read(engine, name, _PURPOSE, seconds=seconds)


def read_all(engine: Engine) -> dict[str, Kept]:
    """Every config of this program by name, the lease too."""
    return swarmconfig.listed(engine, _OURS, _PURPOSE)


def create(engine: Engine, name: str, labels: Mapping[str, str]) -> bool:
    """Create one; False where somebody was quicker."""
    return swarmconfig.create(engine, name, labels, _PURPOSE)


def swap(
    engine: Engine, name: str, labels: Mapping[str, str], index: int, *, seconds: float | None = None
) -> bool:
    """Write labels where the config still has this version index; False where somebody was quicker."""
    return swarmconfig.swap(engine, name, labels, index, _PURPOSE, seconds=seconds)
