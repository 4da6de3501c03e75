"""Verdicts: the closed list of states, their evidence, and the one table to outcome and exit code."""

from dataclasses import dataclass
from enum import StrEnum

from ccci_upgrade.errors import Exit


class State(StrEnum):
    """What is true of a stack after an act."""

    CONVERGED = "converged"
    UNCHANGED = "unchanged"
    WRONG_VERSION = "wrong_version"
    NOT_CONVERGED = "not_converged"
    UNHEALTHY = "unhealthy"
    PAUSED = "paused"
    SWARM_ROLLED_BACK = "swarm_rolled_back"
    MIXED = "mixed"
    FLAPPING = "flapping"
    ZERO_REPLICAS = "zero_replicas"
    DATA_DETACHED = "data_detached"
    DATA_SUSPECT = "data_suspect"
    FOREIGN_CHANGE = "foreign_change"


class Outcome(StrEnum):
    """How a run ended, for people and scripts."""

    UPGRADED = "upgraded"
    ROLLED_BACK = "rolled_back"
    NOOP = "noop"
    HELD = "held"
    LOCKED = "locked"
    DECLINED = "declined"
    STALE = "stale"
    NOT_READY = "not_ready"
    UNHEALTHY = "unhealthy"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    SKIPPED = "skipped"
    SAVED = "saved"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """One line of proof; `service` is the compose name where it is about one."""

    text: str
    service: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The judgement of a run."""

    state: State
    evidence: tuple[Evidence, ...]


TABLE: dict[State, tuple[Outcome, Exit]] = {
    State.CONVERGED: (Outcome.UPGRADED, Exit.OK),
    State.UNCHANGED: (Outcome.NOT_READY, Exit.NOT_READY),
    State.WRONG_VERSION: (Outcome.FAILED, Exit.FAILED),
    State.NOT_CONVERGED: (Outcome.UNHEALTHY, Exit.UNHEALTHY),
    State.UNHEALTHY: (Outcome.UNHEALTHY, Exit.UNHEALTHY),
    State.PAUSED: (Outcome.FAILED, Exit.FAILED),
    State.SWARM_ROLLED_BACK: (Outcome.ROLLED_BACK, Exit.ROLLED_BACK),
    State.MIXED: (Outcome.FAILED, Exit.FAILED),
    State.FLAPPING: (Outcome.UNHEALTHY, Exit.UNHEALTHY),
    State.ZERO_REPLICAS: (Outcome.UNHEALTHY, Exit.UNHEALTHY),
    State.DATA_DETACHED: (Outcome.FAILED, Exit.FAILED),
    State.DATA_SUSPECT: (Outcome.FAILED, Exit.FAILED),
    State.FOREIGN_CHANGE: (Outcome.FAILED, Exit.FAILED),
}
"""Every command ends by this table; a test holds it to be complete."""

OUTCOME_EXIT: dict[Outcome, Exit] = {
    Outcome.UPGRADED: Exit.OK,
    Outcome.ROLLED_BACK: Exit.ROLLED_BACK,
    Outcome.NOOP: Exit.OK,
    Outcome.HELD: Exit.HELD,
    Outcome.LOCKED: Exit.LOCKED,
    Outcome.DECLINED: Exit.DECLINED,
    Outcome.STALE: Exit.STALE,
    Outcome.NOT_READY: Exit.NOT_READY,
    Outcome.UNHEALTHY: Exit.UNHEALTHY,
    Outcome.FAILED: Exit.FAILED,
    Outcome.INTERRUPTED: Exit.INTERRUPTED,
    Outcome.SKIPPED: Exit.OK,
    Outcome.SAVED: Exit.OK,
}
"""Exit codes of outcomes that need no verdict; with one, `TABLE` gives the same."""

UNDOABLE = frozenset(
    {
        State.WRONG_VERSION,
        State.NOT_CONVERGED,
        State.UNHEALTHY,
        State.PAUSED,
        State.MIXED,
        State.FLAPPING,
        State.ZERO_REPLICAS,
        State.DATA_DETACHED,
        State.DATA_SUSPECT,
    }
)
"""Ends of an upgrade that going back can mend; what somebody else changed is theirs to decide."""
