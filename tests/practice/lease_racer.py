"""A process of its own that takes the lease on order, and says what came of it: one word for each line it reads.

`take` gives `won`, or `lost`; `act` gives `acted` where the lease was still its own, else `stopped`; `free` lets go.
"""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from ccci_upgrade.errors import LockedError
from ccci_upgrade.flows.lease import Lease, hold
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm


class Quiet:
    """A reporter to whom nothing matters but takeovers."""

    def __getattr__(self, name: str) -> object:
        return lambda text: sys.stderr.write(f"{name}: {text}\n")


def main() -> None:
    """Obey until the input ends."""
    engine = Engine(Path(sys.argv[1]))
    swarm = Swarm(engine)
    stack = ExitStack()
    lease: Lease | None = None
    _say("ready")
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        said = "freed"
        try:
            if word == "take":
                time.sleep(max(0.0, float(argument or 0) - time.time()))
                lease = stack.enter_context(hold(swarm, command="race", wait=0, reporter=Quiet()))  # type: ignore[arg-type]
                said = "won"
            elif word == "act" and lease is not None:
                lease.renew()
                said = "acted"
            else:
                stack.close()
        except LockedError as error:
            said = "lost" if word == "take" else "stopped"
            sys.stderr.write(f"{error.message}\n")
        _say(said)
    stack.close()
    engine.close()


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
