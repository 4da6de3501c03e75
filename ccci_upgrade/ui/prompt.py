"""Questions. The only module that knows questionary, and the only one that decides whether anyone is there."""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from typing import TYPE_CHECKING

from ccci_upgrade.errors import DeclinedError, TerminalError
from ccci_upgrade.model.openrun import Way
from ccci_upgrade.text import tame_line
from ccci_upgrade.ui.console import Terminal
from ccci_upgrade.ui.streams import ERR

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterator

    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output
    from questionary import Question, Style

    from ccci_upgrade.model.card import Card
    from ccci_upgrade.model.finding import Finding
    from ccci_upgrade.model.openrun import Situation
    from ccci_upgrade.model.plan import Plan
    from ccci_upgrade.ui.layout import Line


TRIES = 3
"""How often a new passphrase is asked for before it is given up."""

SHORTEST_PASSPHRASE = 10


class Nobody:
    """No terminal: nothing is asked, nothing is accepted. Naming an app is consent to a plan without holds."""

    interactive = False

    def acknowledge(self, app: str, finding: Finding) -> bool:
        """Nobody acknowledged anything."""
        del app, finding
        return False

    def confirm(self, plan: Plan) -> bool:
        """The command line named the app; holds were dealt with before."""
        return not plan.holds

    def undo(self, card: Card) -> bool:
        """Nobody decides: the rule without a terminal does."""
        return card.snapshot is not None

    def end(self, found: Situation) -> Way | None:
        """Nobody can say."""
        del found
        return None

    def release(self, holder: str) -> bool:
        """Nobody said so."""
        del holder
        return False

    def new_passphrase(self, app: str) -> None:
        """Nobody types one."""

    def passphrase(self, what: str) -> None:
        """Nobody types one."""

    def choose(self, apps: tuple[str, ...]) -> tuple[str, ...]:
        """Nobody can choose."""
        raise NobodyChoseError(apps)


class NobodyChoseError(TerminalError):
    """No app is named, and there is nobody to offer a menu; `apps` is what it would have offered."""

    def __init__(self, apps: tuple[str, ...]) -> None:
        """Take the menu."""
        super().__init__(
            "no app is named, and there is no terminal to ask at", hint="name apps, or say `--all`"
        )
        self.apps = apps


class Person:
    """Somebody at a terminal."""

    interactive = True

    def __init__(self, terminal: Terminal) -> None:
        """Show evidence through `terminal`."""
        self._terminal = terminal

    def acknowledge(self, app: str, finding: Finding) -> bool:
        """Show the evidence, then have the app's name typed: a y would be typed blindly."""
        import questionary  # noqa: PLC0415 - start-up time is measured

        from ccci_upgrade.ui.layout import Line  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui.screens import finding_block  # noqa: PLC0415 - start-up time is measured

        self._terminal.show_beside([Line(), *finding_block(finding)])
        self._terminal.show_beside(_sentence(f"to accept this, type {app}; to stop, press Enter"))
        with _ends() as (source, output):
            question = questionary.text("the app's name:", style=_style(), input=source, output=output)
            answer = _ask(question)
        return isinstance(answer, str) and answer.strip() == app

    def confirm(self, plan: Plan) -> bool:
        """Ask whether to upgrade now; y must be followed by Enter."""
        step = f"{tame_line(plan.from_version or 'unknown')} → {tame_line(plan.to_version or '')}"
        verb = "upgrade" if plan.command == "upgrade" else "take back"
        return _yes(f"{verb} {tame_line(plan.app)} {step} now?")

    def undo(self, card: Card) -> bool:
        """Ask whether to go back, after the card was shown once more."""
        from ccci_upgrade.ui.screens import card_screen  # noqa: PLC0415 - start-up time is measured

        self._terminal.show_beside(card_screen(card))
        return _yes(f"go back to {tame_line(card.version)} now?")

    def end(self, found: Situation) -> Way | None:
        """Show what an open run had done and what is true now, and offer the ways to end it."""
        import questionary  # noqa: PLC0415 - start-up time is measured

        from ccci_upgrade.ui.screens import open_run_screen  # noqa: PLC0415 - start-up time is measured

        self._terminal.show_beside(open_run_screen(found))
        words = {
            Way.RESUME: "go on with it",
            Way.UNDO: "take it back",
            Way.ACCEPT: "record what is there as its end",
        }
        choices = [questionary.Choice(words[way], value=way) for way in found.ways]
        choices.append(questionary.Choice("leave it for now", value="leave"))
        with _ends() as (source, output):
            question = questionary.select(
                "how does it end?", choices, instruction=" ", style=_style(), input=source, output=output
            )
            _stop_at_end_of_input(question)
            chosen = _ask(question)
        return chosen if isinstance(chosen, Way) else None

    def release(self, holder: str) -> bool:
        """Have the holder's name typed: what it says was shown before."""
        import questionary  # noqa: PLC0415 - start-up time is measured

        self._terminal.show_beside(_sentence(f"to end this lease, type {holder}; to stop, press Enter"))
        with _ends() as (source, output):
            question = questionary.text("the holder's name:", style=_style(), input=source, output=output)
            answer = _ask(question)
        return isinstance(answer, str) and answer.strip() == holder

    def new_passphrase(self, app: str) -> str | None:
        """Have a passphrase typed twice, for an app's secrets; None where nothing is typed: they are not kept."""
        self._terminal.show_beside(
            _sentence(
                f"the secrets of {tame_line(app)} can be kept with its snapshot, encrypted with a passphrase; "
                "without one (press Enter) they are not kept"
            )
        )
        for _ in range(TRIES):
            first = _hidden("passphrase:")
            if not first:
                return None
            if len(first) < SHORTEST_PASSPHRASE:
                said = f"at least {SHORTEST_PASSPHRASE} characters, for whoever has the file can try them all"
                self._terminal.show_beside(_sentence(said))
            elif first == _hidden("the same again:"):
                return first
            else:
                self._terminal.show_beside(_sentence("the two are not the same"))
        raise DeclinedError("no passphrase was typed twice the same; nothing was changed")

    def passphrase(self, what: str) -> str | None:
        """Have a passphrase typed that was set before."""
        self._terminal.show_beside(_sentence(f"a passphrase opens {tame_line(what)}"))
        return _hidden("passphrase:")

    def choose(self, apps: tuple[str, ...]) -> tuple[str, ...]:
        """A menu of the apps that have something newer."""
        import questionary  # noqa: PLC0415 - start-up time is measured

        choices = [questionary.Choice(tame_line(app), value=app) for app in apps]
        self._terminal.show_beside(_sentence("space selects, Enter goes on, Ctrl-C stops"))
        with _ends() as (source, output):
            question = questionary.checkbox(
                "upgrade which apps?", choices, instruction=" ", style=_style(), input=source, output=output
            )
            _stop_at_end_of_input(question)
            chosen = _ask(question)
        if not isinstance(chosen, list) or not chosen:
            raise DeclinedError("no app was chosen; nothing was changed")
        return tuple(chosen)


def _hidden(text: str) -> str | None:
    """Ask for what must not be seen; None after Ctrl-C and Ctrl-D."""
    import questionary  # noqa: PLC0415 - start-up time is measured

    with _ends() as (source, output):
        question = questionary.password(text, style=_style(), input=source, output=output)
        answer = _ask(question)
    return answer if isinstance(answer, str) else None


def prompter(terminal: Terminal, *, no_input: bool) -> Nobody | Person:
    """Somebody is there only where stdin and stderr are terminals and `--no-input` was not said."""
    return Nobody() if no_input or not at_terminal() else Person(terminal)


def at_terminal() -> bool:
    """Whether questions can be asked: a closed stdin counts as no terminal, and so does a dumb one."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def _ask(question: Question) -> object:
    """Ask; Ctrl-C and Ctrl-D answer with None, which is a no. questionary's own `ask` knows only the first."""
    try:
        return question.unsafe_ask()
    except (KeyboardInterrupt, EOFError):
        return None


@contextlib.contextmanager
def _ends() -> Iterator[tuple[Input, Output]]:
    """The terminal's two ends: stdin, and stderr, for stdout belongs to the document.

    What was typed before the question could be read is thrown away: it answers nothing. The terminal is not
    asked where its cursor is: an answer that comes late, over a slow line, would be typed into the shell.
    """
    from prompt_toolkit.input import create_input  # noqa: PLC0415 - start-up time is measured
    from prompt_toolkit.input.typeahead import clear_typeahead  # noqa: PLC0415 - same
    from prompt_toolkit.output.vt100 import Vt100_Output  # noqa: PLC0415 - same

    ERR.drain(1.0)
    source = create_input(sys.stdin)
    output = Vt100_Output.from_pty(sys.stderr, term=os.environ.get("TERM"))
    output.enable_cpr = False
    with contextlib.suppress(termios.error, OSError, ValueError):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    clear_typeahead(source)
    yield source, output


def _style() -> Style:
    import questionary  # noqa: PLC0415 - start-up time is measured

    plain = ("qmark", "answer", "pointer", "selected", "highlighted", "instruction", "text")
    return questionary.Style([("question", "bold"), *((name, "noinherit") for name in plain)])


def _stop_at_end_of_input(question: Question) -> None:
    """Make Ctrl-D end a menu too: questionary's does nothing there."""
    from prompt_toolkit.key_binding import (  # noqa: PLC0415 - start-up time is measured
        KeyBindings,
        merge_key_bindings,
    )
    from prompt_toolkit.key_binding.key_processor import KeyPressEvent  # noqa: PLC0415 - same

    bindings = KeyBindings()

    @bindings.add("c-d", eager=True)
    def _end(event: KeyPressEvent) -> None:
        event.app.exit(exception=EOFError)

    own = question.application.key_bindings
    question.application.key_bindings = merge_key_bindings([own, bindings] if own else [bindings])


def _yes(text: str) -> bool:
    """Ask a question whose default is no."""
    import questionary  # noqa: PLC0415 - start-up time is measured

    with _ends() as (source, output):
        question = questionary.confirm(
            text, default=False, auto_enter=False, style=_style(), input=source, output=output
        )
        return _ask(question) is True


def _sentence(text: str) -> list[Line]:
    from ccci_upgrade.ui.screens import line  # noqa: PLC0415 - start-up time is measured

    return [line(text, "", 2)]
