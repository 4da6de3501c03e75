"""What the commands of the practice host print."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from ccci_upgrade.text import tame_line
from ccci_upgrade.ui.layout import Block, Grid, Line
from ccci_upgrade.ui.screens import command, line

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, kw_only=True, slots=True)
class Tip:
    """What could be tried, and the commands to type for it."""

    why: str
    commands: tuple[str, ...]


def guide(sentences: Iterable[str], tips: Iterable[Tip]) -> Iterator[Block]:
    """Sentences, the first of them in bold, then what to try."""
    for number, text in enumerate(sentences):
        yield line(text, "" if number else "bold")
    for number, tip in enumerate(tips):
        if not number:
            yield Line()
        yield line(f"{tip.why}:")
        for typed in tip.commands:
            yield command(typed)


def faults(rows: Sequence[tuple[str, str, bool]], tips: Iterable[Tip]) -> Iterator[Block]:
    """Every fault by name, in one line each; those that are caused now are marked."""
    cells = [
        (
            Text(tame_line(name), style="bold"),
            Text.assemble(("caused now: " if active else "", "bold magenta"), tame_line(text)),
        )
        for name, text, active in rows
    ]
    yield Grid(columns=("name", "what it does"), rows=cells)
    yield from guide((), tips)
