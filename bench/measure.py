"""What all measures share: one row of the table, the numbers behind it, and paired timing."""

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of the table.

    `ours` and `peer` are seconds, None where there is no such number. `value` is what is held against `bar`:
    a ratio, or seconds where `unit` is "s". `bar` is None where a number is only reported.
    """

    measure: str
    ours: float | None
    peer: float | None
    value: float
    unit: str = "x"
    bar: float | None
    method: str
    failed: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.failed:
            return False
        return None if self.bar is None else self.value <= self.bar


@dataclass(frozen=True, kw_only=True, slots=True)
class NotRun:
    """A measure that this machine cannot make, and why."""

    measure: str
    needs: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How hard to measure: the number of runs is `full` of a measure's own, or `tiny` in its test."""

    tiny: bool = False

    def runs(self, full: int) -> int:
        """How many of `full` runs to make."""
        return min(2, full) if self.tiny else full


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Seconds of ours and of the peer, measured one right after the other."""

    ours: float
    peer: float

    @property
    def ratio(self) -> float:
        """How many times the peer ours took."""
        return self.ours / self.peer


def say(text: str) -> None:
    """Tell on standard error what is being done: the table is the only thing on standard output."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def seconds(work: Callable[[], object]) -> float:
    """How long something took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def paired(runs: int, ours: Callable[[], object], peer: Callable[[], object]) -> list[Pair]:
    """Measure both in turn, the first of each pair alternating, so that a busy moment meets both."""
    pairs = []
    for number in range(runs):
        if number % 2:
            mine = seconds(ours)
            pairs.append(Pair(ours=mine, peer=seconds(peer)))
        else:
            theirs = seconds(peer)
            pairs.append(Pair(ours=seconds(ours), peer=theirs))
    return pairs


def ratio_row(measure: str, pairs: Sequence[Pair], *, bar: float | None, method: str) -> Row:
    """The median of the pairs' ratios, beside the median of each side."""
    return Row(
        measure=measure,
        ours=statistics.median(pair.ours for pair in pairs),
        peer=statistics.median(pair.peer for pair in pairs),
        value=statistics.median(pair.ratio for pair in pairs),
        bar=bar,
        method=f"{method}; median ratio of {len(pairs)} interleaved pairs",
    )


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def program(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, code: int = 0) -> Callable[[], None]:
    """A program to be timed: nothing is read, and an exit code that was not expected ends the measure."""

    def run() -> None:
        done = subprocess.run(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
        if done.returncode != code:
            raise RuntimeError(f"{argv} ended with {done.returncode}: {done.stderr.decode()[-500:]}")

    return run
