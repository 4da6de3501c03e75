"""On a real Swarm: when the verdict comes, what it adds to bare abra, and how soon a first deploy is known good."""

import json
import random
import statistics
import time
from dataclasses import dataclass

from bench.measure import Effort, Row, p95, say
from bench.swarmhost import APP, Witness, publish, swarm_host
from ccci_upgrade import clock
from tests.swarm.host import PAGES, PORTS, Host

SETTLE = 1.0
SEED = 20261123
SLOWEST_START = 4.0
VERDICT_BAR = 1.0
UPGRADE_BAR = 2.0
_UPGRADES = 20
_PAIRS = 5
_PAGE = f"{PORTS[APP]}{PAGES[APP]}"
_AFTER = 2.0
"""Seconds that the witness goes on after a verdict: an app that becomes ready then was judged too early."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One upgrade, in seconds since its start: the app was ready, Swarm was done, the verdict was there."""

    ready: float
    completed: float
    verdict: float

    @property
    def late(self) -> float:
        """Seconds after the earliest moment at which the verdict could be there."""
        return self.verdict - max(self.ready, self.completed) - SETTLE

    @property
    def early(self) -> bool:
        """Whether it was there before the app was ready."""
        return self.verdict < self.ready


def verdict(effort: Effort) -> list[Row]:
    """Upgrades of an app that needs 0 to 4 s to answer, every other one without a health check."""
    chance = random.Random(SEED)  # noqa: S311 - the same delays on every run
    with swarm_host() as host:
        found = []
        for number in range(1, effort.runs(_UPGRADES) + 1):
            delay = round(chance.uniform(0.0, SLOWEST_START), 1)
            version = publish(host, number, start_delay=delay, checked=number % 2 == 1)
            found.append(_judged(host, version))
            say(f"upgrade {number}: starts in {delay} s, verdict {found[-1].late:+.2f} s")
    early = sum(each.early for each in found)
    method = (
        f"{len(found)} upgrades, the app needs 0 to {SLOWEST_START:g} s to answer (seed {SEED}), every other one has "
        f"no health check; ours: median until the command ended; peer: median until the app answered a poller of "
        f"its own and Swarm's update was completed, whichever was later; held to the bar: p95 of the seconds from "
        f"then plus the window of {SETTLE:g} s to our end; {early} verdicts before the app was ready"
    )
    row = Row(
        measure="verdict after ready + settle",
        ours=statistics.median(each.verdict for each in found),
        peer=statistics.median(max(each.ready, each.completed) for each in found),
        value=p95([each.late for each in found]),
        unit="s",
        bar=VERDICT_BAR,
        method=method,
        failed=f"{early} verdicts before the app was ready" if early else "",
    )
    return [row]


def upgrade(effort: Effort) -> list[Row]:
    """A whole `upgrade` from start to exit, against bare abra from start to exit plus the window."""
    with swarm_host() as host:
        extra, ours, bare = [], [], []
        for number in range(effort.runs(_PAIRS)):
            first, second = publish(host, 2 * number + 1), publish(host, 2 * number + 2)
            if number % 2:
                mine = _ours(host, first)
                theirs = _bare(host, second)
            else:
                theirs = _bare(host, first)
                mine = _ours(host, second)
            extra.append(mine - theirs - SETTLE)
            ours.append(mine)
            bare.append(theirs)
    method = (
        f"`upgrade` from start to exit (planning, gates, abra, watching, window of {SETTLE:g} s, probes, journal) "
        f"against the stand-in's `abra app upgrade` alone; held to the bar: median of ours - bare - window; "
        f"{len(extra)} pairs in alternating order; a real abra was not to be had"
    )
    row = Row(
        measure="whole upgrade over bare abra + settle",
        ours=statistics.median(ours),
        peer=statistics.median(bare),
        value=statistics.median(extra),
        unit="s",
        bar=UPGRADE_BAR,
        method=method,
    )
    return [row]


def _judged(host: Host, version: str) -> Judged:
    witness = Witness(host.engine, [_PAGE])
    time.sleep(0.5)  # so that it has seen the old version answer
    started = time.time()
    ran = host.run_tool("upgrade", APP, "--to", version, "--json", "--offline")
    ended = time.time()
    time.sleep(_AFTER)
    witness.end()
    if ran.code != 0:
        raise RuntimeError(f"the upgrade to {version} ended with {ran.code}: {ran.err[-2000:]}")
    ready = witness.up_since(_PAGE)
    if ready is None or ready < started:
        raise RuntimeError(f"the witness saw no restart: {witness.changes}")
    status = json.loads(host.inspect(APP, "app", "{{json .UpdateStatus}}"))
    completed = clock.parse_stamp(status["CompletedAt"])
    if status["State"] != "completed" or completed is None:
        raise RuntimeError(f"Swarm's update is not completed: {status}")
    return Judged(ready=ready - started, completed=completed.timestamp() - started, verdict=ended - started)


def _ours(host: Host, version: str) -> float:
    ran = host.run_tool("upgrade", APP, "--to", version, "--json", "--offline")
    if ran.code != 0:
        raise RuntimeError(f"the upgrade to {version} ended with {ran.code}: {ran.err[-2000:]}")
    return ran.seconds


def _bare(host: Host, version: str) -> float:
    ran = host.abra("app", "upgrade", host.app(APP), version, "--no-input", check=True)
    host.wait_for(APP)
    return ran.seconds
