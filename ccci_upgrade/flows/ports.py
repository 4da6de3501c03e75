"""All that flows know of the human: somebody who is told, and somebody who may be asked."""

from typing import Protocol

from ccci_upgrade.flows.keptsecrets import Asker
from ccci_upgrade.model.card import Card
from ccci_upgrade.model.finding import Finding
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import Run


class Reporter(Protocol):
    """Is told what happens. Never raises, not even when the terminal is gone."""

    def plan(self, plan: Plan) -> None:
        """Show a plan with all its findings and notes."""

    def phase(self, app: str, text: str) -> None:
        """A phase begins."""

    def command(self, argv: tuple[str, ...]) -> None:
        """A command is about to be run."""

    def output(self, line: str) -> None:
        """One line that abra printed, tamed already."""

    def waiting(self, text: str) -> None:
        """What is being waited for; called again and again, printed when it changes."""

    def progress(self, text: str, done: int, total: int) -> None:
        """How far something long is, in bytes; called again and again, `total` is an estimate."""

    def note(self, text: str) -> None:
        """Something a person should know, not an error."""

    def card(self, card: Card) -> None:
        """What it would take to go back, before anything is changed."""

    def verdict(self, run: Run) -> None:
        """A run ended, or came to a verdict that something may still be done about."""


class Prompter(Asker, Protocol):
    """Is asked. Every method raises TerminalError or answers no where nobody can be asked."""

    def acknowledge(self, app: str, finding: Finding) -> bool:
        """Show a finding's evidence and have the app's name typed."""

    def confirm(self, plan: Plan) -> bool:
        """Ask whether to upgrade; no is the default."""

    def undo(self, card: Card) -> bool:
        """Show what going back takes, and ask whether to; no is the default."""

    def choose(self, apps: tuple[str, ...]) -> tuple[str, ...]:
        """Offer a menu of apps."""
