"""A process of its own that remembers versions of one stack: socket, stack, first number, how many, when to begin."""

import sys
import time
from pathlib import Path

from ccci_upgrade.flows.memory import remember
from ccci_upgrade.model.memory import LastGood
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm


def good(stack: str, number: int) -> LastGood:
    """A version like any other."""
    return LastGood(
        app="drone.ci.example.org",
        stack=stack,
        recipe="drone",
        version=f"1.0.{number}+2",
        recorded="2026-03-01T12:00:00.000Z",
        operator="mia",
        host="laptop",
        run_id=f"run-{number}",
        snapshot=f"20260301T120000-{number:04x}",
        snapshot_host="laptop",
    )


def main(socket: str, stack: str, first: int, count: int, begin: float) -> None:
    """Remember them one after the other."""
    engine = Engine(Path(socket))
    time.sleep(max(0.0, begin - time.time()))
    for number in range(first, first + count):
        remember(Swarm(engine), good(stack, number))
    engine.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
