"""The table, for people and for programs."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from bench.measure import NotRun, Row

_HEAD = ("measure", "ours", "peer", "ratio", "bar", "met")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where it was measured; `load` is the average of the last minute, before and after."""

    cores: int
    python: str
    system: str
    git: str
    load: tuple[float, float]


def machine(load_before: float) -> Machine:
    """Describe this machine."""
    git = subprocess.run(("git", "--version"), capture_output=True, text=True, check=True)  # noqa: S607 - from PATH
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}",
        git=git.stdout.split()[2],
        load=(round(load_before, 2), round(os.getloadavg()[0], 2)),
    )


def as_text(rows: Sequence[Row | NotRun], where: Machine) -> str:
    """The table, the methods below it, and the machine."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    lines += ["", "How:"]
    lines += [f"- {row.measure}: {_how(row)}" for row in rows]
    load = " → ".join(f"{each:.1f}" for each in where.load)
    machine_line = f"{where.cores} cores, Python {where.python}, {where.system}, git {where.git}, load {load}"
    return "\n".join(line.rstrip() for line in [*lines, "", f"Machine: {machine_line}"]) + "\n"


def as_json(rows: Sequence[Row | NotRun], where: Machine) -> str:
    """The same as one document."""
    listed = [asdict(row) | ({"met": row.met} if isinstance(row, Row) else {}) for row in rows]
    return json.dumps({"machine": asdict(where), "rows": listed}, indent=2) + "\n"


def _cells(row: Row | NotRun) -> tuple[str, ...]:
    if isinstance(row, NotRun):
        return (row.measure, "-", "-", "-", "-", "not run")
    met = {True: "yes", False: "NO", None: "(reported)"}[row.met]
    bar = "-" if row.bar is None else f"≤ {row.bar:g} {row.unit}".replace(" x", "x")
    return (row.measure, _seconds(row.ours), _seconds(row.peer), _value(row), bar, met)


def _how(row: Row | NotRun) -> str:
    if isinstance(row, NotRun):
        return f"not run: needs {row.needs}"
    return f"FAILED: {row.failed}; {row.method}" if row.failed else row.method


def _value(row: Row) -> str:
    return f"{row.value:+.2f} s" if row.unit == "s" else f"{row.value:.2f}x"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.1f} ms"
