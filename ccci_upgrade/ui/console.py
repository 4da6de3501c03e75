"""What happens, told to a person on standard error; results on standard output."""

from __future__ import annotations

import shlex
from threading import RLock
from typing import TYPE_CHECKING, cast

from ccci_upgrade import clock
from ccci_upgrade.text import in_words, tame, tame_line
from ccci_upgrade.ui.streams import ERR, OUT, Lasting, Patient, columns

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterable
    from typing import TextIO

    from rich.console import Console

    from ccci_upgrade.errors import CcciError
    from ccci_upgrade.model.card import Card
    from ccci_upgrade.model.plan import Plan
    from ccci_upgrade.model.run import Run
    from ccci_upgrade.ui.layout import Block

STILL = 20.0
"""Seconds after which a wait that did not change is said again."""

STEP = 2.0
"""Seconds between two lines about something long."""

_OWN = "$ ccci-upgrade "


def console(stream: Lasting) -> Console:
    """A console that takes foreign text literally: no markup, no highlighting, no emoji, no links."""
    from rich.console import Console  # noqa: PLC0415 - start-up time is measured

    return Console(file=cast("TextIO", stream), markup=False, highlight=False, emoji=False, soft_wrap=True)


class Terminal:
    """The Reporter. In JSON mode results are left to the envelope; progress goes to stderr in any case.

    `options` are those given before the command: they are repeated in every command that is shown to be typed.
    Signal handlers may call it in the middle of another call.
    """

    def __init__(
        self, *, json: bool, options: tuple[str, ...] = (), out: Lasting = OUT, err: Patient = ERR
    ) -> None:
        """Open nothing yet: a command with nothing to say loads no printer."""
        self._json = json
        self._out = err if json else out
        self._err = err
        self._options = options
        self._lock = RLock()
        self._shown = 0
        self._waiting = ""
        self._since = 0.0
        self._said = 0.0
        self._moving = ""
        self._began = 0.0
        self._told = 0.0

    def show(self, blocks: Iterable[Block]) -> None:
        """Print a command's result for people."""
        self._print(self._out, blocks)

    def show_beside(self, blocks: Iterable[Block]) -> None:
        """Print what a person must see who is asked, wherever the results go."""
        self._print(self._err, blocks)

    def plan(self, plan: Plan) -> None:
        """Show a plan with all its findings and notes; to a person in any case, who will be asked about it."""
        from ccci_upgrade.ui.layout import Line  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui.screens import plan_screen  # noqa: PLC0415 - start-up time is measured

        blocks = [*([Line()] if self._shown else []), *plan_screen(plan)]
        self._shown += 1
        self.show(blocks)
        if self._err.isatty() and not self._out.isatty():
            self.show_beside(blocks)

    def phase(self, app: str, text: str) -> None:
        """A phase begins."""
        self._waiting = ""
        self._say(f"{app}: {text}", style="bold")

    def command(self, argv: tuple[str, ...]) -> None:
        """Echo a command before it is run."""
        self._say(f"$ {shlex.join(argv)}", style="bold", whole=True)

    def output(self, text: str) -> None:
        """One line of abra's."""
        self._say(f"  | {text}", style="dim", whole=True)

    def waiting(self, text: str) -> None:
        """Say what is waited for: once for each change, and again after a while."""
        now = clock.ticks()
        if text != self._waiting:
            self._waiting, self._since, self._said = text, now, now
            self._say(f"  waiting for {text}", style="dim")
        elif now - self._said >= STILL:
            self._said = now
            self._say(f"  still waiting for {text} ({now - self._since:.0f} s)", style="dim")

    def progress(self, text: str, done: int, total: int) -> None:
        """Say how far something long is, now and then: bytes, speed and the time that is left."""
        now = clock.ticks()
        if text != self._moving:
            self._moving, self._began, self._told = text, now, now
        elif now - self._told >= STEP:
            self._told = now
            speed = done / (now - self._began)
            left = f", about {max(0, total - done) / speed:.0f} s left" if speed and total else ""
            self._say(
                f"  {text}: {in_words(done)} of {in_words(total)}, {in_words(speed)}/s{left}", style="dim"
            )

    def note(self, text: str) -> None:
        """Say something a person should know."""
        self._say(text, word="note: ", style="", word_style="magenta")

    def error(self, error: CcciError) -> None:
        """Say an error and the way out."""
        first, *more = tame(error.message).split("\n")
        self._say(first, word="error: ", word_style="bold red")
        for text in more:
            self._say(f"  {text}")
        if error.hint:
            self._say(error.hint, word="hint: ", word_style="bold")

    def card(self, card: Card) -> None:
        """Show what it takes to go back; it belongs to the run, not to the results."""
        from ccci_upgrade.ui.screens import card_screen  # noqa: PLC0415 - start-up time is measured

        self._print(self._err, card_screen(card))

    def verdict(self, run: Run) -> None:
        """Show how a run ended."""
        from ccci_upgrade.ui.screens import run_screen  # noqa: PLC0415 - start-up time is measured

        self.show(run_screen(run))

    def refused(self, runs: tuple[Run, ...], plans: tuple[Plan, ...]) -> None:
        """Say of each run that did not act why it did not."""
        from ccci_upgrade.ui.screens import refusals  # noqa: PLC0415 - start-up time is measured

        self._print(self._err, refusals(runs, plans))

    def last_word(self, command: str) -> None:
        """End stderr with a command to type, whole and unwrapped."""
        self._say("to go on:")
        self._err.write(f"{tame_line(command)}\n")

    def _say(
        self, text: str, *, style: str = "", word: str = "", word_style: str = "", whole: bool = False
    ) -> None:
        from rich.text import Text  # noqa: PLC0415 - start-up time is measured

        from ccci_upgrade.ui.layout import Line  # noqa: PLC0415 - start-up time is measured

        made = Text.assemble((word, word_style), (tame_line(text), style))
        self._print(self._err, [Line(text=made, hang=2, whole=whole)])

    def _print(self, stream: Lasting, blocks: Iterable[Block]) -> None:
        from ccci_upgrade.ui.layout import lay_out  # noqa: PLC0415 - start-up time is measured

        with self._lock:
            if stream is not self._err:
                self._err.drain(1.0)
            printer = console(stream)
            for text in lay_out(map(self._with_options, blocks), columns(stream)):
                printer.print(text)

    def _with_options(self, block: Block) -> Block:
        from dataclasses import replace  # noqa: PLC0415 - start-up time is measured

        from ccci_upgrade.ui.layout import Line  # noqa: PLC0415 - start-up time is measured

        if not self._options or not isinstance(block, Line) or not block.text.plain.startswith(_OWN):
            return block
        text = block.text.copy()
        rest = text.plain.removeprefix(_OWN)
        text.plain = tame_line(f"{_OWN}{shlex.join(self._options)} {rest}")
        return replace(block, text=text)
