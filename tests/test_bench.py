"""The measures of `make bench` still work: each is made with tiny counts, its numbers are not looked at."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import faraway, firstdeploy, many, notes, onswarm, probes, starts, volumes
from bench.__main__ import MEASURES, Measure, run
from bench.measure import Effort, NotRun, Row, p95
from bench.table import Machine, as_json, as_text

ROOT = Path(__file__).parent.parent
TINY = Effort(tiny=True)
HERE = Machine(cores=2, python="3.11.7", system="Linux 6", git="2.39.5", load=(0.1, 0.2))
GOOD = Row(measure="good", ours=0.2, peer=0.1, value=2.0, bar=3.0, method="twice")
MISSED = Row(measure="missed", ours=4.0, peer=None, value=4.0, unit="s", bar=3.0, method="late")
ABSENT = NotRun(measure="absent", needs="root")


@pytest.mark.parametrize(
    ("measure", "rows"),
    [(starts.measure, 7), (notes.measure, 1), (probes.measure, 1), (faraway.measure, 3), (many.measure, 3)],
    ids=["starts", "notes", "probes", "faraway", "many"],
)
def test_a_measure_that_needs_no_engine_works(measure: Callable[[Effort], list[Row]], rows: int) -> None:
    """It gives its rows, with numbers of something that ran."""
    found = measure(TINY)

    assert len(found) == rows
    assert all(row.ours and row.peer and not row.failed for row in found)


def test_every_measure_is_in_the_table() -> None:
    """What is written is also run."""
    made = {measure.make for measure in MEASURES}

    assert made == {
        starts.measure,
        notes.measure,
        probes.measure,
        faraway.measure,
        many.measure,
        onswarm.verdict,
        onswarm.upgrade,
        volumes.measure,
        firstdeploy.measure,
    }


def test_what_cannot_be_run_or_breaks_is_a_row() -> None:
    """Nothing is left out: neither what this machine lacks something for, nor what ends with an error."""

    def broken(_: Effort) -> list[Row]:
        raise RuntimeError("no such thing")

    absent = Measure(name="a", title="absent", make=broken, lacks=lambda: ["root", "docker"])
    rows = run([absent, Measure(name="b", title="broken", make=broken)], TINY)

    assert rows[0] == NotRun(measure="absent", needs="root and docker")
    assert isinstance(rows[1], Row)
    assert rows[1].met is False
    assert "RuntimeError: no such thing" in as_text(rows, HERE)
    assert "not run: needs root and docker" in as_text(rows, HERE)


def test_the_table_says_which_bars_are_met() -> None:
    """One line for each measure, with bar and answer; the same in JSON."""
    text = as_text([GOOD, MISSED, ABSENT], HERE)
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines()[2:5]}
    document = json.loads(as_json([GOOD, MISSED, ABSENT], HERE))

    assert lines["good"] == ["200.0", "ms", "100.0", "ms", "2.00x", "≤", "3x", "yes"]
    assert lines["missed"] == ["4.00", "s", "-", "+4.00", "s", "≤", "3", "s", "NO"]
    assert lines["absent"] == ["-", "-", "-", "-", "not", "run"]
    assert [row.get("met") for row in document["rows"]] == [True, False, None]
    assert document["machine"]["cores"] == 2


def test_the_95th_of_a_hundred() -> None:
    """Nearest rank: of 20 values the 19th."""
    assert p95([float(n) for n in range(20)]) == 18.0
    assert p95([float(n) for n in range(100)]) == 94.0
    assert p95([1.0]) == 1.0


def test_a_wrong_name_is_refused_with_the_names() -> None:
    """The command says what it knows."""
    done = subprocess.run(
        (sys.executable, "-m", "bench", "--only", "nothing"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )

    assert done.returncode == 2
    assert all(measure.name in done.stderr for measure in MEASURES)
