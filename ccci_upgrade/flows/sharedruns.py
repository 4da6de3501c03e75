"""The journal of a run, told to the Swarm as well: a run that began on a laptop that died can be ended elsewhere."""

from collections.abc import Mapping
from pathlib import Path

from ccci_upgrade.errors import CcciError
from ccci_upgrade.model.run import Run, with_step
from ccci_upgrade.model.sharedrun import RUN_PREFIX, closed_labels, open_labels, open_run, run_config
from ccci_upgrade.store.journal import Journal
from ccci_upgrade.tools import memory as configs
from ccci_upgrade.tools.swarm import Swarm

TRIES = 5

TELL_SECONDS = 3.0
"""For each question: a run does not wait for an Engine that is silent only to tell others of it."""

TOLD = ("quiesce", "failed-state", "restore", "act", "back")
"""Steps before which it is told: from there on the app is not as it was. An `undo-` may stand before them."""


class SharedJournal(Journal):
    """A journal whose gravest intents the Swarm knows too. What cannot be told there is only not known elsewhere."""

    def __init__(self, state_dir: Path, swarm: Swarm, stack: str, run: Run) -> None:
        """Name the place of a run's journal; nothing is written yet."""
        super().__init__(state_dir, run.cluster)
        self._swarm = swarm
        self._stack = stack
        self._run = run

    def begin(self, run_id: str, step: str, *, detail: str = "") -> None:
        """Write the intent, here first."""
        super().begin(run_id, step, detail=detail)
        self._run = with_step(self._run, step, ok=None, seconds=0.0, detail=detail)
        if step.removeprefix("undo-") in TOLD:
            tell(self._swarm, self._stack, open_labels(self._run))

    def end(self, run_id: str, step: str, *, ok: bool, seconds: float, detail: str) -> None:
        """Write the result."""
        self._run = with_step(self._run, step, ok=ok, seconds=seconds, detail=detail)
        super().end(run_id, step, ok=ok, seconds=seconds, detail=detail)

    def close(self, run: Run) -> None:
        """Write the end, here first."""
        super().close(run)
        tell(self._swarm, self._stack, closed_labels())


def tell(swarm: Swarm, stack: str, labels: Mapping[str, str]) -> None:
    """Put labels into a stack's config; an Engine that does not take them is not asked again."""
    name = run_config(stack)
    try:
        for _ in range(TRIES):
            kept = configs.read(swarm.engine, name, seconds=TELL_SECONDS)
            if kept is None:
                if configs.create(swarm.engine, name, labels):
                    return
            elif kept.labels == dict(labels) or configs.swap(
                swarm.engine, name, labels, kept.index, seconds=TELL_SECONDS
            ):
                return
    except CcciError:
        return


def told_of(swarm: Swarm, stack: str) -> Run | None:
    """The open run that the Swarm knows of, of one stack."""
    kept = configs.read(swarm.engine, run_config(stack))
    return open_run(kept.labels) if kept is not None else None


def all_told(found: Mapping[str, Mapping[str, str]]) -> tuple[Run, ...]:
    """Every open run in the labels of configs by name."""
    runs = (open_run(labels) for name, labels in found.items() if name.startswith(RUN_PREFIX))
    return tuple(run for run in runs if run is not None)
