"""What happens, told to a person on standard error; results on standard output."""

from threading import Lock
from typing import TYPE_CHECKING, cast

from ccci_upgrade.errors import CcciError
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import Run
from ccci_upgrade.text import tame, tame_line
from ccci_upgrade.ui.streams import ERR, OUT, Lasting

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console, RenderableType


def console(stream: Lasting) -> "Console":
    """A console that takes foreign text literally: no markup, no highlighting, no emoji, no links."""
    from rich.console import Console  # noqa: PLC0415 - start-up time is measured

    return Console(file=cast("TextIO", stream), markup=False, highlight=False, emoji=False, soft_wrap=False)


class Terminal:
    """The Reporter. In JSON mode results are left to the envelope; progress goes to stderr in any case."""

    def __init__(self, *, json: bool) -> None:
        """Open both streams."""
        self._json = json
        self._err = console(ERR)
        self._out = self._err if json else console(OUT)
        self._lock = Lock()
        self._waiting = ""

    def show(self, *what: "RenderableType") -> None:
        """Print a command's result for people."""
        with self._lock:
            for each in what:
                self._out.print(each)

    def plan(self, plan: Plan) -> None:
        """Show a plan with all its findings and notes."""
        from ccci_upgrade.ui.screens import plan_screen  # noqa: PLC0415 - start-up time is measured

        self.show(plan_screen(plan))

    def phase(self, app: str, text: str) -> None:
        """A phase begins."""
        self._say(f"{tame_line(app)}: {tame_line(text)}", "bold")

    def command(self, argv: tuple[str, ...]) -> None:
        """Echo a command before it is run."""
        self._say(f"$ {' '.join(tame_line(word) for word in argv)}", "cyan")

    def output(self, text: str) -> None:
        """One line of abra's."""
        self._say(f"  | {tame(text)}", "dim")

    def waiting(self, text: str) -> None:
        """Say what is waited for, once for each change."""
        if text != self._waiting:
            self._waiting = text
            self._say(f"  waiting for {tame_line(text)}", "dim")

    def note(self, text: str) -> None:
        """Say something a person should know."""
        self._say(f"note: {tame_line(text)}", "yellow")

    def error(self, error: CcciError) -> None:
        """Say an error and the way out."""
        self._say(f"error: {tame(error.message)}", "bold red")
        if error.hint:
            self._say(f"hint: {tame(error.hint)}", "cyan")

    def verdict(self, run: Run) -> None:
        """Show how a run ended."""
        from ccci_upgrade.ui.screens import run_screen  # noqa: PLC0415 - start-up time is measured

        self.show(run_screen(run))

    def refused(self, runs: "tuple[Run, ...]", plans: tuple[Plan, ...]) -> None:
        """Say of each run that did not act why it did not."""
        from ccci_upgrade.ui.screens import refusals  # noqa: PLC0415 - start-up time is measured

        for text, style in refusals(runs, plans):
            self._say(text, style)

    def last_word(self, command: str) -> None:
        """End stderr with a command to type, whole and unwrapped."""
        ERR.write(f"{tame_line(command)}\n")
        ERR.flush()

    def _say(self, text: str, style: str) -> None:
        from rich.text import Text  # noqa: PLC0415 - start-up time is measured

        with self._lock:
            self._err.print(Text(text, style=style))
