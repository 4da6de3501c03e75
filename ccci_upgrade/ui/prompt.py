"""Questions. The only module that knows questionary, and the only one that decides whether anyone is there."""

import os
import sys

from ccci_upgrade.errors import DeclinedError, TerminalError
from ccci_upgrade.model.finding import Finding
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.text import tame_line
from ccci_upgrade.ui.console import Terminal


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

    def choose(self, apps: tuple[str, ...]) -> tuple[str, ...]:
        """Nobody can choose."""
        raise TerminalError(
            "no app is named, and there is no terminal to ask at",
            hint=f"name apps, or say --all: ccci-upgrade upgrade {' '.join(apps[:1]) or 'APP'}",
        )


class Person:
    """Somebody at a terminal."""

    interactive = True

    def __init__(self, terminal: Terminal) -> None:
        """Show evidence through `terminal`."""
        self._terminal = terminal

    def acknowledge(self, app: str, finding: Finding) -> bool:
        """Show the evidence, then have the app's name typed: a y would be typed blindly."""
        import questionary  # noqa: PLC0415 - start-up time is measured

        from ccci_upgrade.ui.screens import finding_block  # noqa: PLC0415 - start-up time is measured

        self._terminal.show(finding_block(finding))
        question = questionary.text(
            f"type {tame_line(app)} to accept {tame_line(finding.id)}, or press Enter to stop:"
        )
        return str(_ask(question)).strip() == app

    def confirm(self, plan: Plan) -> bool:
        """Ask whether to upgrade now."""
        import questionary  # noqa: PLC0415 - start-up time is measured

        step = f"{tame_line(plan.from_version or 'unknown')} → {tame_line(plan.to_version or '')}"
        return _ask(questionary.confirm(f"upgrade {tame_line(plan.app)} {step} now?", default=False)) is True

    def choose(self, apps: tuple[str, ...]) -> tuple[str, ...]:
        """A menu of the apps that have something newer."""
        import questionary  # noqa: PLC0415 - start-up time is measured

        chosen = _ask(questionary.checkbox("upgrade which apps?", choices=list(apps)))
        if not isinstance(chosen, list) or not chosen:
            raise DeclinedError("no app was chosen; nothing was changed")
        return tuple(chosen)


def prompter(terminal: Terminal, *, no_input: bool) -> Nobody | Person:
    """Somebody is there only where stdin and stderr are terminals and `--no-input` was not said."""
    return Nobody() if no_input or not at_terminal() else Person(terminal)


def at_terminal() -> bool:
    """Whether questions can be asked: a closed stdin counts as no terminal."""
    try:
        return sys.stdin.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    except (AttributeError, ValueError):
        return False


def _ask(question: object) -> object:
    """Ask; Ctrl-C and Ctrl-D are a no. questionary's own `ask` would swallow the first."""
    ask = getattr(question, "unsafe_ask")  # noqa: B009 - questionary has no type that all its questions share
    try:
        return ask()
    except (KeyboardInterrupt, EOFError) as stop:
        raise DeclinedError("declined; nothing was changed") from stop
