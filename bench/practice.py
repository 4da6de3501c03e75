"""Practice Engines for a measure, each a process of its own with apps deployed on it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.contract.specs import OLD, service

DEPLOYED = "1.0.0+1.0.0"
"""The version that every app is at."""

_ROOT = Path(__file__).parents[1]
_PATIENCE = 60.0


@contextmanager
def practice_engine(folder: Path, apps: Iterable[str]) -> Iterator[Path]:
    """Give the socket of an Engine on which these apps run, each with one service."""
    folder.mkdir()
    (folder / "registry.json").write_text(json.dumps({"images": {OLD: {"local": True}}}))
    argv = (sys.executable, "-m", "ccci_upgrade.practice.engine", str(folder))
    with subprocess.Popen(argv, cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        try:
            if child.stdout is None or not child.stdout.readline().startswith(b"ready at "):
                raise RuntimeError(f"the practice engine in {folder} did not start")
            socket = folder / "engine.sock"
            _deploy(socket, [app.replace(".", "_") for app in apps])
            yield socket
        finally:
            child.terminate()


def _deploy(socket: Path, stacks: list[str]) -> None:
    engine = Engine(socket)
    for stack in stacks:
        labels = {f"coop-cloud.{stack}.version": DEPLOYED}
        answer = engine.ask("POST", "/services/create", body=service(stack, "app", labels=labels))
        if answer.status >= 300:  # noqa: PLR2004 - no success
            raise RuntimeError(f"{stack} cannot be deployed: {answer.message}")
    swarm = Swarm(engine)
    deadline = time.monotonic() + _PATIENCE
    while not all(task.running for stack in swarm.stacks().values() for task in stack.tasks):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the apps of {socket} do not run")
        time.sleep(0.1)
    if len(swarm.stacks()) != len(stacks):
        raise RuntimeError(f"{socket} has {len(swarm.stacks())} stacks instead of {len(stacks)}")
    engine.close()
