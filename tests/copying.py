"""What tests of second copies need: somebody who is told, and a run's surroundings."""

from dataclasses import dataclass, field
from pathlib import Path

from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.secondcopy import CopyMade, second_copies
from ccci_upgrade.model.app import App
from ccci_upgrade.model.card import Card
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import Run
from ccci_upgrade.redact import Masker


@dataclass(kw_only=True)
class Told:
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    commands: list[tuple[str, ...]] = field(default_factory=list)

    def plan(self, plan: Plan) -> None:
        """Not told."""

    def card(self, card: Card) -> None:
        """Nothing is kept of it."""

    def phase(self, app: str, text: str) -> None:
        """Not told."""

    def command(self, argv: tuple[str, ...]) -> None:
        """A command."""
        self.commands.append(argv)

    def output(self, line: str) -> None:
        """A line."""
        self.lines.append(line)

    def waiting(self, text: str) -> None:
        """Not kept."""

    def progress(self, text: str, done: int, total: int) -> None:
        """Not told."""

    def note(self, text: str) -> None:
        """A note."""
        self.notes.append(text)

    def verdict(self, run: Run) -> None:
        """Not told."""


def copy(
    host: Host,
    app: App,
    folder: Path,
    *,
    told: Told | None = None,
    interrupts: Interrupts | None = None,
    secrets: tuple[str, ...] = (),
) -> tuple[CopyMade, ...]:
    """Make an app's second copies as a run does, with `ABRA_DIR` held."""
    folder.mkdir(exist_ok=True)
    with host.abra.alone(seconds=5) as lock:
        return second_copies(
            host,
            app,
            run_folder=folder,
            run_id="run-1",
            version="1.0.0+25.0.6",
            reporter=told or Told(),
            interrupts=interrupts or Interrupts(),
            masker=Masker(secrets),
            lock=lock,
        )
