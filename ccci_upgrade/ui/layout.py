"""Lines and tables laid out for a width, or not at all where no terminal reads them.

Prose is folded between words. What is copied or compared is never folded: commands, links, versions, names.
No line ends in blanks. Texts are tamed by whoever makes them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.text import Text

WIDEST = 110
"""Columns of prose at most: longer lines are hard to read."""

NARROWEST = 24
"""Columns the last column of a table needs; with less, the table becomes a list."""

GAP = "  "
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line. `indent` columns stand before it, `hang` more before what is folded; `whole` is never folded."""

    text: Text = field(default_factory=Text)
    indent: int = 0
    hang: int = 0
    whole: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """A table. Only the last column may fold; where there is no room, each row becomes a small list."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]
    indent: int = 0


Block = Line | Grid


def lay_out(blocks: Iterable[Block], width: int | None) -> Iterator[Text]:
    """Give the lines of blocks, none of which needs folding any more. `width` None: as wide as it takes."""
    for block in blocks:
        lines = _line(block, width) if isinstance(block, Line) else _grid(block, width)
        for line in lines:
            line.rstrip()
            yield line


def _line(line: Line, width: int | None) -> Iterator[Text]:
    if width is None or line.whole:
        yield _indented(line.text, line.indent)
        return
    room = max(1, min(width, WIDEST) - line.indent)
    for number, part in enumerate(_folded(line.text, room, line.hang)):
        yield _indented(part, line.indent + (line.hang if number else 0))


def _folded(text: Text, first: int, hang: int) -> Iterable[Text]:
    """Cut a text between words, `first` columns for the first line and less for the others."""
    plain = text.plain
    cuts: list[int] = []
    start, used, room = 0, 0, first
    for match in _WORD.finditer(plain):
        before = cell_len(plain[start : match.start()])
        length = cell_len(match.group())
        if used and used + before + length > room:
            cuts.append(match.start())
            used, room = length, max(1, first - hang)
        else:
            used += before + length
        start = match.end()
    return text.divide(cuts) if cuts else [text]


def _grid(grid: Grid, width: int | None) -> Iterator[Text]:
    table = [[Text(name, style="bold") for name in grid.columns], *grid.rows]
    widths = [max(cell_len(row[at].plain) for row in table) for at in range(len(grid.columns))]
    before = grid.indent + sum(widths[:-1]) + len(GAP) * (len(widths) - 1)
    if width is not None and before + min(widths[-1], NARROWEST) > width:
        yield from _listed(grid, width)
        return
    for row in table:
        head = Text(" " * grid.indent)
        for cell, wide in zip(row[:-1], widths, strict=False):
            head.append_text(cell)
            head.append(" " * (wide - cell_len(cell.plain)) + GAP)
        room = widths[-1] if width is None else max(1, width - before)
        for number, part in enumerate(_folded(row[-1], room, 0)):
            yield (head if number == 0 else Text(" " * before)).append_text(part)


def _listed(grid: Grid, width: int) -> Iterator[Text]:
    """One row after another: the first cell alone, the others as `name value` below it."""
    names = [*grid.columns]
    for row in grid.rows:
        first = next(at for at, cell in enumerate(row) if cell.plain)
        yield _indented(row[first], grid.indent)
        units = [
            Text.assemble((f"{name} ", "dim"), cell)
            for name, cell in zip(names[first + 1 :], row[first + 1 :], strict=True)
            if cell.plain
        ]
        for line in _joined(units, max(1, width - grid.indent - 2)):
            yield from _line(Line(text=line, indent=grid.indent + 2, hang=2), width)


def _joined(units: Iterable[Text], room: int) -> Iterator[Text]:
    """Put as many units on a line as fit; a unit that does not fit on one has it alone."""
    line: Text | None = None
    for unit in units:
        if line is not None and cell_len(line.plain) + len(GAP) + cell_len(unit.plain) > room:
            yield line
            line = None
        line = unit if line is None else line.append(GAP).append_text(unit)
    if line is not None:
        yield line


def _indented(text: Text, columns: int) -> Text:
    return Text(" " * columns).append_text(text)
