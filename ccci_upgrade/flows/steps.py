"""A run is a list of steps as data; one runner journals intent and result around each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.model.run import DONE_BEFORE, Phase, Run
from ccci_upgrade.store.journal import Journal


class Progress(StrEnum):
    """What a step's probe says before the step is taken."""

    DONE = "done"
    OPEN = "open"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step. `act` gives a line of detail or raises CcciError.

    `probe` decides whether it is done already: a done step is journaled and passed over. `always` steps are
    taken even after an earlier one failed, so that a verdict is reached and recorded in any case. `intent` gives
    what the journal must hold before the act: all that is needed to put things back. An `unguarded` step needs
    no leave to be taken: it changes nothing, or only gives back what this run took away.
    """

    id: str
    title: str
    act: Callable[[], str]
    probe: Callable[[], Progress] = lambda: Progress.OPEN
    always: bool = False
    intent: Callable[[], str] = str
    unguarded: bool = False


def no_guard() -> None:
    """Let every step be taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Walked:
    """How a list of steps went: each phase, and the first error."""

    phases: tuple[Phase, ...]
    error: CcciError | None


def walk(
    steps: Sequence[Step],
    *,
    run: Run,
    journal: Journal,
    reporter: Reporter,
    guard: Callable[[], None] = no_guard,
) -> Walked:
    """Take the steps in order; after an error only the `always` ones.

    `guard` is called between the intent and the act of each step that changes something, and raises CcciError
    where that must not be done any more: the lease is lost.
    """
    phases: list[Phase] = []
    first: CcciError | None = None
    if journal.mended:
        reporter.note(
            f"marked a torn line of {journal.mended} bytes in the journal `{journal.path}`; it is kept"
        )
    for step in steps:
        if first is not None and not step.always:
            continue
        phase, error = _take(step, run, journal, reporter, guard)
        phases.append(phase)
        first = first or error
    return Walked(phases=tuple(phases), error=first)


def _take(
    step: Step, run: Run, journal: Journal, reporter: Reporter, guard: Callable[[], None]
) -> tuple[Phase, CcciError | None]:
    started = clock.ticks()
    if step.probe() is Progress.DONE:
        detail, error = DONE_BEFORE, None
    else:
        reporter.phase(run.app, step.title)
        detail, error = _acted(step, run, journal, reporter, no_guard if step.unguarded else guard)
    seconds = clock.ticks() - started
    _noted(
        reporter, lambda: journal.end(run.run_id, step.id, ok=error is None, seconds=seconds, detail=detail)
    )
    return Phase(name=step.id, seconds=seconds, ok=error is None, detail=detail), error


def _acted(
    step: Step, run: Run, journal: Journal, reporter: Reporter, guard: Callable[[], None]
) -> tuple[str, CcciError | None]:
    """Journal the intent, then act. Without the intent on disk nothing is changed, but a verdict is reached."""
    try:
        if step.always:
            _noted(reporter, lambda: journal.begin(run.run_id, step.id, detail=step.intent()))
        else:
            journal.begin(run.run_id, step.id, detail=step.intent())
        guard()
        return step.act(), None
    except CcciError as error:
        return error.message, error


def _noted(reporter: Reporter, write: Callable[[], None]) -> None:
    """Write to the journal; a disk that is full after the act must not cost the verdict."""
    try:
        write()
    except CcciError as error:
        reporter.note(error.message)
