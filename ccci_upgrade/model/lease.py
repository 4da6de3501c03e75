"""The lease on one Swarm: what its config's labels say, whose it is, and who may take it. Pure.

Labels are foreign text: anybody who may talk to the Engine can write them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from ccci_upgrade.text import tame_line

NAME = "ccci-upgrade-lease"
"""The Swarm config's name. Names are unique in a Swarm: who creates it, has it."""

SCHEMA = "1"
LIMIT = 60.0
"""Seconds without a sign of life after which a lease may be taken over, where its labels say nothing else."""

SHORTEST, LONGEST = 0.5, 120.0
"""What a limit in the labels may be: others must neither be locked out for ever nor let in at once."""

SHOWN = 200
"""Characters of a label that are kept."""

_PREFIX = "ccci-upgrade.lease"
_TEXTS = ("user", "host", "command", "since", "heartbeat")
_SHAPES = {
    "state": "held",
    "pid": "[1-9][0-9]{0,9}",
    "boot": "[0-9a-f-]{0,36}(?::[0-9]{1,20})?",
    "token": "[0-9a-f]{32}",
    **dict.fromkeys(_TEXTS, "(?s:.+)"),
}
"""Compiled where they are used: `status` loads this each time, and seldom finds anybody at work."""
_LIMIT = "[0-9]{1,6}(?:[.][0-9]{1,3})?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine and its boot; `boot` is "" where no machine's boots can be told apart."""

    host: str
    boot: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A held lease. `since` and `heartbeat` are texts for people; what counts is when the Engine last wrote it."""

    user: str
    host: str
    pid: int
    boot: str
    command: str
    since: str
    heartbeat: str
    token: str
    limit: float = LIMIT

    @property
    def holder(self) -> str:
        """Who holds it, as `lease release --holder` wants it."""
        return f"{self.user}@{self.host}"

    @property
    def line(self) -> str:
        """Who holds it, with what, and since when."""
        return f"{self.holder} (pid {self.pid}), `{self.command}`, since {self.since}"

    def beaten(self, heartbeat: str) -> "Claim":
        """The same claim with a newer sign of life."""
        return replace(self, heartbeat=heartbeat)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """The config as the Engine has it: labels, version index, and when the Engine last wrote it."""

    labels: Mapping[str, str]
    index: int
    updated: datetime | None


class LeaseState(StrEnum):
    """What a lease is to others. `foreign`: the config of that name is no lease that this version can read."""

    FREE = "free"
    HELD = "held"
    STALE = "stale"
    FOREIGN = "foreign"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How the lease stands. `age`: seconds since its last sign of life; `why`: of `stale` and `foreign`.

    `dead`: the holder is known to be dead, and nothing needs to be waited for.
    """

    state: LeaseState
    claim: Claim | None = None
    index: int | None = None
    age: float | None = None
    why: str = ""
    dead: bool = False


def to_labels(claim: Claim | None) -> dict[str, str]:
    """The labels of a held lease, or of a free one."""
    if claim is None:
        return {_PREFIX: SCHEMA, f"{_PREFIX}.state": "free"}
    texts = {key: _short(getattr(claim, key)) for key in _TEXTS}
    exact = {"pid": str(claim.pid), "boot": claim.boot, "token": claim.token, "limit": f"{claim.limit:g}"}
    said = {"state": "held", **texts, **exact}
    return {_PREFIX: SCHEMA, **{f"{_PREFIX}.{key}": value for key, value in said.items()}}


def from_labels(labels: Mapping[str, str]) -> Claim | str | None:
    """A claim, None where the lease is free, or why these labels are none of a lease."""
    schema = labels.get(_PREFIX)
    if schema is None:
        return f"it has no label `{_PREFIX}`"
    if schema != SCHEMA:
        return f"its label `{_PREFIX}` is {_quoted(schema)}, and this version knows only `{SCHEMA}`"
    said = {
        key: labels.get(f"{_PREFIX}.{key}", "") for key in ("state", "pid", "boot", "token", "limit", *_TEXTS)
    }
    if said["state"] == "free":
        return None
    for key, shape in _SHAPES.items():
        if re.fullmatch(shape, said[key]) is None:
            return f"its label `{_PREFIX}.{key}` is {_quoted(said[key])}"
    return Claim(
        **{key: _short(said[key]) for key in _TEXTS},
        pid=int(said["pid"]),
        boot=said["boot"],
        token=said["token"],
        limit=_limit(said["limit"]),
    )


def standing(
    kept: Kept | None, *, now: datetime | None, me: Machine, dead: Callable[[int], bool]
) -> Standing:
    """Judge the lease. `now` is the Engine's clock, `dead` asks about a process of this machine and boot.

    A clock that went back, or an Engine that does not say when it wrote, makes nothing stale.
    """
    if kept is None:
        return Standing(state=LeaseState.FREE)
    claim = from_labels(kept.labels)
    if isinstance(claim, str):
        return Standing(state=LeaseState.FOREIGN, index=kept.index, why=claim)
    if claim is None:
        return Standing(state=LeaseState.FREE, index=kept.index)
    age = max(0.0, (now - kept.updated).total_seconds()) if now and kept.updated else None
    seen = Standing(state=LeaseState.HELD, claim=claim, index=kept.index, age=age)
    if me.boot and (claim.host, claim.boot) == (me.host, me.boot) and dead(claim.pid):
        why = f"process {claim.pid} on {claim.host} is dead"
        return replace(seen, state=LeaseState.STALE, why=why, dead=True)
    if age is not None and age > claim.limit:
        why = f"no sign of life for {age:.0f} s, and {claim.limit:g} s is the limit"
        return replace(seen, state=LeaseState.STALE, why=why)
    return seen


def _limit(text: str) -> float:
    return min(max(float(text), SHORTEST), LONGEST) if re.fullmatch(_LIMIT, text) else LIMIT


def _short(text: str) -> str:
    line = tame_line(text)
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"


def _quoted(text: str) -> str:
    return f"`{_short(text)[:40]}`" if text else "missing"
