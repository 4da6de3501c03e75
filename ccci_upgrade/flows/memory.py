"""What every maintainer of a Swarm should know: each app's last good versions, and who is at work."""

from typing import NamedTuple

from ccci_upgrade import process
from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.flows.sharedruns import all_told
from ccci_upgrade.model import lease
from ccci_upgrade.model.memory import (
    PREFIX,
    LastGood,
    Memory,
    Unreadable,
    config_name,
    from_labels,
    to_labels,
    with_good,
)
from ccci_upgrade.model.run import Run
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools import memory as configs
from ccci_upgrade.tools.swarm import Swarm

TRIES = 20
"""Lost races in a row before the Engine is not believed."""


class Shared(NamedTuple):
    """What one question to the Swarm told: the lease, memories by stack, configs that are neither, and open runs."""

    lease: lease.Standing
    memories: dict[str, Memory]
    unreadable: tuple[Unreadable, ...]
    runs: tuple[Run, ...] = ()

    def trouble_of(self, stack: str) -> NotReadyError | None:
        """Why this stack's memory cannot be read, where there is one."""
        name = config_name(stack)
        return next((foreign(each) for each in self.unreadable if each.name == name), None)


def look_at_shared(swarm: Swarm) -> Shared:
    """Read all of it. The lease's age is by the Engine's clock as it was when this command first asked."""
    found = configs.read_all(swarm.engine)
    read = [from_labels(name, kept.labels) for name, kept in found.items() if name.startswith(PREFIX)]
    return Shared(
        lease=_standing(swarm, found.get(lease.NAME)),
        memories={each.stack: each for each in read if isinstance(each, Memory)},
        unreadable=tuple(each for each in read if isinstance(each, Unreadable)),
        runs=all_told({name: kept.labels for name, kept in found.items()}),
    )


def recall(swarm: Swarm) -> dict[str, Memory]:
    """Every memory that can be read, by stack."""
    return look_at_shared(swarm).memories


def recall_one(swarm: Swarm, stack: str) -> Memory | None:
    """What is remembered of one stack; NotReadyError (`memory-foreign`) where it cannot be read."""
    name = config_name(stack)
    kept = configs.read(swarm.engine, name)
    return None if kept is None else _checked(from_labels(name, kept.labels))


def remember(swarm: Swarm, *goods: LastGood) -> Memory:
    """Add good versions of one stack, oldest first, to what is remembered; gives what is remembered now.

    Doing it again changes nothing but the time. A config of that name that is not ours is left alone.
    """
    (stack,) = {good.stack for good in goods}
    name = config_name(stack)
    for _ in range(TRIES):
        kept = configs.read(swarm.engine, name)
        old = _checked(from_labels(name, kept.labels)) if kept else None
        labels = to_labels(with_good(old, *goods))
        new = from_labels(name, labels)
        if isinstance(new, Unreadable):
            raise NotReadyError(
                f"what is to be remembered of `{tame_line(stack)}` is no memory: {new.why}",
                code="memory-unfit",
            )
        won = (
            configs.create(swarm.engine, name, labels)
            if kept is None
            else configs.swap(swarm.engine, name, labels, kept.index)
        )
        if won:
            return new
    raise EngineError(
        f"the Engine neither shows the Swarm config `{name}` as it is nor takes a new one",
        hint=f"look: docker config inspect {name}",
        code="memory-refused",
    )


def foreign(found: Unreadable) -> NotReadyError:
    """The config of that name is none of ours: it is neither used nor overwritten."""
    return NotReadyError(
        f"the Swarm config `{found.name}` is no memory that this version can read: {found.why}",
        hint=f"look: docker config inspect {found.name}; where nobody needs it: docker config rm {found.name}",
        code="memory-foreign",
    )


def _checked(found: Memory | Unreadable) -> Memory:
    if isinstance(found, Unreadable):
        raise foreign(found)
    return found


def _standing(swarm: Swarm, kept: lease.Kept | None) -> lease.Standing:
    free = lease.Machine(host="", boot="")
    if kept is None or not isinstance(lease.from_labels(kept.labels), lease.Claim):
        return lease.standing(kept, now=None, me=free, dead=process.dead)
    me = lease.Machine(host=tame_line(process.this_host()), boot=process.this_boot())
    return lease.standing(kept, now=swarm.engine_time(), me=me, dead=process.dead)
