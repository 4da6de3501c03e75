"""An open run as the Swarm keeps it for others: whoever comes next, from whatever machine, can end it.

One config for each stack, its labels hold the run with its phases as the journal has them, or nothing.
"""

import json
from collections.abc import Mapping

from ccci_upgrade.model.memory import PREFIX, config_name
from ccci_upgrade.model.run import Run, from_json, to_json

RUN_PREFIX = "ccci-upgrade-run-"
_LABEL = "ccci-upgrade.run"
LONGEST = 32_000
"""Characters of a label that are written or read."""


def run_config(stack: str) -> str:
    """The config's name; as long as that of the stack's memory, and as safe."""
    return RUN_PREFIX + config_name(stack).removeprefix(PREFIX)


def open_labels(run: Run) -> dict[str, str]:
    """The labels for a run that is open; nothing of one whose record is absurdly long."""
    text = json.dumps(to_json(run))
    return {_LABEL: text if len(text) <= LONGEST else ""}


def closed_labels() -> dict[str, str]:
    """The labels where no run is open."""
    return {_LABEL: ""}


def open_run(labels: Mapping[str, str]) -> Run | None:
    """The open run in a config's labels; None where there is none that can be read."""
    text = labels.get(_LABEL, "")
    if not text or len(text) > LONGEST:
        return None
    try:
        raw: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    run = from_json(raw) if isinstance(raw, dict) else None
    return run if run is not None and run.outcome is None else None
