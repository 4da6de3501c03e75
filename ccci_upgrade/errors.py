"""Every error a person can meet; one class per exit code.

    CcciError                 1   (never raised itself)
    ├── UsageError            2   a flag, the configuration or an app name is wrong
    ├── LockedError          11   somebody else is at work
    ├── HeldError            12   an `ack` finding is not acknowledged
    ├── NotReadyError        13   a `block` finding, an engine out of reach: nothing was changed
    ├── DeclinedError        17   the person said no
    ├── TerminalError        18   a question no flag answers, and nobody to ask
    └── StaleError           19   the saved plan no longer fits the facts

Messages say what and where, hints say what to type; both may hold foreign text, which `ui` tames.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    OK = 0
    BUG = 1
    USAGE = 2
    UPGRADES = 10
    LOCKED = 11
    HELD = 12
    NOT_READY = 13
    ROLLED_BACK = 14
    FAILED = 15
    UNHEALTHY = 16
    DECLINED = 17
    NO_TERMINAL = 18
    STALE = 19
    DRIFT = 20
    INTERRUPTED = 130


class CcciError(Exception):
    """An expected failure: `message` (what, where), `hint` (what to do), `code` (stable, for scripts)."""

    exit: Exit = Exit.BUG
    code: str = "error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        """Take the sentence, the way out, and a code more exact than the class's own."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class UsageError(CcciError):
    """A flag, the configuration or an app name is wrong."""

    exit = Exit.USAGE
    code = "usage"


class LockedError(CcciError):
    """Another run or another abra holds what this one needs."""

    exit = Exit.LOCKED
    code = "locked"


class HeldError(CcciError):
    """An `ack` finding is not acknowledged."""

    exit = Exit.HELD
    code = "held"


class NotReadyError(CcciError):
    """Something outside is not as it must be; nothing was changed."""

    exit = Exit.NOT_READY
    code = "not-ready"


class ForeignChangeError(NotReadyError):
    """Somebody else changed the app while it was stopped."""

    code = "foreign-change"


class VolumeGoneError(NotReadyError):
    """A volume that was there is not there any more."""

    code = "volume-gone"


class EngineError(NotReadyError):
    """The Docker Engine cannot be reached, or answered with an error."""

    code = "engine"


class DeclinedError(CcciError):
    """The person said no; nothing was changed."""

    exit = Exit.DECLINED
    code = "declined"


class TerminalError(CcciError):
    """A question that no flag answers, and no terminal to ask it at."""

    exit = Exit.NO_TERMINAL
    code = "no-terminal"


class StaleError(CcciError):
    """A fact the saved plan stands on has moved."""

    exit = Exit.STALE
    code = "stale"
