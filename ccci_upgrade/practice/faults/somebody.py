"""Somebody else at work: a process that waits for an upgrade, and changes the app in the middle of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.practice import engineroom
from ccci_upgrade.practice.faults.kinds import Caused, Fault, live, subject, table
from ccci_upgrade.practice.world.place import Mark, Place, app, service
from ccci_upgrade.process import child_env, end_group, run
from ccci_upgrade.text import decode
from ccci_upgrade.tools.engine import Json

WAITS = 600.0
"""Seconds after which nobody comes any more."""

_MODULE = "ccci_upgrade.practice.faults.somebody"
_PACKAGE = str(Path(__file__).parents[3])
_POLL = 0.1


def _cause(place: Place, mark: Mark) -> Caused:
    recipe = subject(mark)
    more = os.environ.get("PYTHONPATH", "")
    env = child_env({"PYTHONPATH": f"{_PACKAGE}{os.pathsep}{more}" if more else _PACKAGE})
    with place.log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", _MODULE, str(place.root), recipe],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            cwd="/",
            start_new_session=True,
        )
    child.returncode = 0  # it goes on without us: nobody waits for it, and nobody is warned of it
    return Caused(
        did=f"somebody waits for the next upgrade of {app(recipe)} (for {WAITS / 60:.0f} minutes), and scales it then",
        see=(f"ccci-upgrade upgrade {recipe}",),
        kept={"pid": str(child.pid), "recipe": recipe},
    )


def _mend(_place: Place, mark: Mark, kept: Mapping[str, str]) -> None:
    pid = int(kept["pid"])
    done = run(["ps", "-ww", "-o", "args=", "-p", str(pid)], seconds=5.0)
    if _MODULE in decode(done.out):
        end_group(pid, signal.SIGTERM)
    _scale(mark, kept["recipe"], 1)


def meddle(place: Place, recipe: str) -> None:
    """Wait until the app was upgraded, and scale it; end quietly when the host is gone."""
    mark = place.mark()
    if mark is None:
        return
    before, deadline = live(mark, recipe), clock.ticks() + WAITS
    while clock.ticks() < deadline:
        if live(mark, recipe) != before and _update_state(mark, recipe) != "updating":
            _scale(mark, recipe, 2)
            return
        clock.sleep(_POLL)


def _update_state(mark: Mark, recipe: str) -> object:
    found = engineroom.ask(mark, "GET", f"/services/{service(recipe)}")
    return table(found, "UpdateStatus").get("State")


def _scale(mark: Mark, recipe: str, replicas: int) -> None:
    found = engineroom.ask(mark, "GET", f"/services/{service(recipe)}")
    spec = table(found, "Spec")
    if table(table(spec, "Mode"), "Replicated").get("Replicas") == replicas:
        return
    mode: dict[str, Json] = {"Replicated": {"Replicas": replicas}}
    body: dict[str, Json] = {**spec, "Mode": mode}
    index = table(found, "Version").get("Index")
    engineroom.ask(mark, "POST", f"/services/{service(recipe)}/update?version={index}", body)


FAULTS = (
    Fault(
        name="foreign-change",
        summary="somebody else changes an app during its next upgrade",
        cause=_cause,
        mend=_mend,
    ),
)

if __name__ == "__main__":
    try:
        meddle(Place(root=Path(sys.argv[1])), sys.argv[2])
    except EngineError as gone:
        sys.exit(f"somebody: {gone}")
