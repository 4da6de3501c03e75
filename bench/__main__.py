"""`python -m bench`: every measure in one run, one table; exit 1 where a bar is missed."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import faraway, firstdeploy, many, notes, onswarm, probes, starts, volumes
from bench.measure import Effort, NotRun, Row, say
from bench.table import as_json, as_text, machine
from tests.swarm.harness import missing


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One measure by the name that `--only` takes; `lacks` says what this machine has not got for it."""

    name: str
    title: str
    make: Callable[[Effort], list[Row]]
    lacks: Callable[[], list[str]] = list


MEASURES = (
    Measure(name="starts", title="starts against an empty interpreter", make=starts.measure),
    Measure(name="notes", title="notes of 50 versions", make=notes.measure),
    Measure(name="probes", title="12 probes of 200 ms", make=probes.measure),
    Measure(name="faraway", title="an Engine 40 ms away", make=faraway.measure),
    Measure(name="many", title="status of many servers", make=many.measure),
    Measure(name="verdict", title="verdict after ready", make=onswarm.verdict, lacks=missing),
    Measure(name="upgrade", title="a whole upgrade", make=onswarm.upgrade, lacks=missing),
    Measure(name="volumes", title="volumes taken and put back", make=volumes.measure, lacks=missing),
    Measure(
        name="deploy",
        title="a first deploy of five services",
        make=firstdeploy.measure,
        lacks=firstdeploy.lacks,
    ),
)


def run(measures: Sequence[Measure], effort: Effort) -> list[Row | NotRun]:
    """Make the measures; one that breaks is a row that says so and never a gap in the table."""
    rows: list[Row | NotRun] = []
    for measure in measures:
        if lacks := measure.lacks():
            rows.append(NotRun(measure=measure.title, needs=" and ".join(lacks)))
            continue
        say(measure.title)
        try:
            rows += measure.make(effort)
        except Exception as error:  # noqa: BLE001 - the other measures are still worth having
            rows.append(_broken(measure, error))
    return rows


def main() -> int:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [measure.name for measure in MEASURES]
    parser.add_argument("--only", action="append", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the table")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = run([m for m in MEASURES if not options.only or m.name in options.only], Effort())
    where = machine(load)
    sys.stdout.write(as_json(rows, where) if options.json else as_text(rows, where))
    return 1 if any(isinstance(row, Row) and row.met is False for row in rows) else 0


def _broken(measure: Measure, error: Exception) -> Row:
    return Row(
        measure=measure.title,
        ours=None,
        peer=None,
        value=0.0,
        bar=None,
        method="",
        failed=f"{type(error).__name__}: {error}",
    )


if __name__ == "__main__":
    sys.exit(main())
