"""The machine's clock is set in the middle of a run: the tool's, not the Engine's."""

import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.swarm.host import Host
from tests.swarm.runs import Seen
from tests.swarm.test_snapshots import fill
from tests.swarm.test_undo import content, data, is_back, open_runs
from tests.swarm.test_undo_faults import when

DAY = 86400
_LOOKS = """
import sys
from pathlib import Path
from tests.swarm.clocked import _OFFSET, clock
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm

swarm = Swarm(Engine(Path(sys.argv[1])))
for _ in range(2):
    print(clock.stamp(clock.now()), clock.stamp(swarm.engine_time()))
    _OFFSET.write_text(sys.argv[2])
"""


class Clock:
    """The wall clock of the processes that get `env`."""

    def __init__(self, folder: Path) -> None:
        """Right, until it is set."""
        self.offset = folder / "offset"
        self.env = {"CLOCK_OFFSET": str(self.offset)}
        self.set(0)

    def set(self, seconds: int) -> None:
        """Let it be wrong by so much from now on; written beside, for it is read all the time."""
        beside = self.offset.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.replace(self.offset)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """Give a clock that can be set."""
    return Clock(tmp_path)


def clocked(host: Host, clock: Clock, *words: str) -> Seen:
    """One command that goes by this clock."""
    argv = [
        "tests.swarm.clocked" if w == "ccci_upgrade" else w for w in host.argv(*words, "--json", "--offline")
    ]
    assert "tests.swarm.clocked" in argv
    return Seen(host.engine.run(argv, env=clock.env))


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_the_engines_time_is_asked_for_anew(host: Host, clock: Clock, jump: int) -> None:
    """What was reckoned from a clock that was set since is a day off."""
    argv = (sys.executable, "-c", _LOOKS, str(host.engine.socket), str(jump))
    ran = host.engine.run(argv, env=clock.env)
    assert ran.code == 0, ran.err
    before, after = ([datetime.fromisoformat(word) for word in line.split()] for line in ran.out.splitlines())

    assert abs((after[0] - before[0]).total_seconds() - jump) < 60
    assert abs((after[1] - before[1]).total_seconds()) < 60


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_a_clock_that_is_set_in_the_middle_changes_no_verdict(host: Host, clock: Clock, jump: int) -> None:
    """An upgrade converges, and a way back too, in the time that it takes; data and version belong together."""
    host.deploy("drone")
    fill(data(host, "drone"))
    before = content(host, "drone")

    with when(host, "act", lambda: clock.set(jump)):
        up = clocked(host, clock, "upgrade", "drone")
    clock.set(0)
    with when(host, "restore", lambda: clock.set(jump)):
        down = clocked(host, clock, "rollback", "drone", "--ack", "data-loss")

    assert up.end == ("upgraded", "converged", 0)
    assert up.ran.seconds < 60
    assert down.end == ("rolled_back", "converged", 0)
    assert down.ran.seconds < 60
    assert is_back(host, "drone")
    assert content(host, "drone") == before
    assert open_runs(host) == []
