"""One difference between the lock, the `.env` and what runs, and who wins. Pure.

Of three, two that agree win over the third. Where all three differ nobody wins: a person decides. Where only two speak,
each kind of difference has its own rule, told with it.
"""

from dataclasses import dataclass
from enum import StrEnum

from ccci_upgrade.model.lockfile import LockedApp


class Side(StrEnum):
    """Who speaks."""

    LOCK = "lock"
    ENV = "env"
    RUNNING = "running"


class Weight(StrEnum):
    """Whether it counts: drift does, information does not, and what could not be checked is neither."""

    DRIFT = "drift"
    INFO = "info"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One difference. `what` is a word, or a word and a name (`image:app`); a side that says nothing is None.

    `recipe` is what the recipe's tag names now. `wins` is None where a person must decide. `said` is one sentence,
    `remedy` a command or another sentence. `other_owner`: the version was changed, and by no run that is known.
    """

    app: str
    what: str
    lock: str | None = None
    env: str | None = None
    running: str | None = None
    recipe: str | None = None
    weight: Weight = Weight.DRIFT
    wins: Side | None = None
    said: str = ""
    remedy: str = ""
    other_owner: bool = False


def majority(lock: str, env: str | None, running: str | None) -> Side | None:
    """What runs is the truth wherever another side says the same, or the `.env` says nothing."""
    if env is None or running in (lock, env):
        return Side.RUNNING if running is not None else Side.LOCK
    return Side.LOCK if env == lock else None


def write_anew(app: str) -> str:
    """The command that records an app as it is now."""
    return f"ccci-upgrade lock write {app}"


def deploy_again(lock: LockedApp) -> str:
    """The command that brings what runs back to the lock's version as its recipe has it."""
    return f"abra app deploy {lock.name} {lock.version} --force"
