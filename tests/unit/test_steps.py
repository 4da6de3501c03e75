"""The runner of steps: intent before act, and a verdict in any case."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ccci_upgrade.errors import CcciError, NotReadyError
from ccci_upgrade.flows.steps import Progress, Step, Walked, walk
from ccci_upgrade.model.card import Card
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import Run
from ccci_upgrade.store.journal import Journal, read_all

RUN = Run(
    run_id="run-1",
    command="upgrade",
    app="keycloak.ci.example.org",
    recipe="keycloak",
    server="ci.example.org",
    cluster="abc",
    from_version="1.0.0+1",
    to_version="1.1.0+1",
    started="2026-03-01T12:00:00.000Z",
    operator="mia",
    host="laptop",
    pid=1,
)


@dataclass(kw_only=True)
class Told:
    """A Reporter that remembers."""

    said: list[str] = field(default_factory=list)

    def plan(self, plan: Plan) -> None:
        """A plan."""
        self.said.append(f"plan {plan.app}")

    def card(self, card: Card) -> None:
        """A rollback card."""
        self.said.append(f"card {card.app}")

    def phase(self, app: str, text: str) -> None:
        """A phase begins."""
        self.said.append(f"phase {app} {text}")

    def command(self, argv: tuple[str, ...]) -> None:
        """A command."""
        self.said.append(" ".join(argv))

    def output(self, line: str) -> None:
        """A line."""
        self.said.append(line)

    def waiting(self, text: str) -> None:
        """A wait."""
        self.said.append(text)

    def progress(self, text: str, done: int, total: int) -> None:
        """Bytes."""
        self.said.append(f"{text} {done} of {total}")

    def note(self, text: str) -> None:
        """A note."""
        self.said.append(f"note {text}")

    def verdict(self, run: Run) -> None:
        """An end."""
        self.said.append(run.run_id)


@dataclass(kw_only=True)
class Walk:
    """Steps on a real journal."""

    folder: Path
    acted: list[str] = field(default_factory=list)
    told: Told = field(default_factory=Told)

    def step(
        self,
        name: str,
        *,
        fails: CcciError | None = None,
        done: bool = False,
        always: bool = False,
        then: Callable[[], None] = lambda: None,
    ) -> Step:
        """One step that notes that it was taken."""

        def act() -> str:
            self.acted.append(name)
            then()
            if fails is not None:
                raise fails
            return f"{name} was taken"

        probe = Progress.DONE if done else Progress.OPEN
        return Step(id=name, title=f"to {name}", act=act, probe=lambda: probe, always=always)

    def take(self, *steps: Step) -> Walked:
        """Walk them."""
        journal = Journal(self.folder, "abc")
        journal.open(RUN)
        return walk(steps, run=RUN, journal=journal, reporter=self.told)

    def journaled(self) -> list[tuple[str, bool | None]]:
        """The phases as they can be read back."""
        return [(phase.name, phase.ok) for phase in read_all(self.folder).runs[0].phases]


@pytest.fixture
def way(tmp_path: Path) -> Walk:
    """Nothing taken yet."""
    return Walk(folder=tmp_path)


def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Fill the disk from then on."""

    def write(handle: int, data: bytes) -> int:
        del handle, data
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(os, "write", write)


def test_steps_are_taken_in_order_and_journaled(way: Walk) -> None:
    """Each with its detail and its seconds."""
    walked = way.take(way.step("pull"), way.step("act"))

    assert way.acted == ["pull", "act"]
    assert [(p.name, p.ok, p.detail) for p in walked.phases] == [
        ("pull", True, "pull was taken"),
        ("act", True, "act was taken"),
    ]
    assert walked.error is None
    assert way.journaled() == [("pull", True), ("act", True)]
    assert "phase keycloak.ci.example.org to pull" in way.told.said


def test_the_intent_is_on_the_disk_before_the_act(way: Walk) -> None:
    """A kill at this very moment would leave a named step."""
    seen: list[list[tuple[str, bool | None]]] = []

    way.take(way.step("act", then=lambda: seen.append(way.journaled())))

    assert seen == [[("act", None)]]


def test_what_is_done_already_is_not_done_again(way: Walk) -> None:
    """It is journaled and passed over."""
    walked = way.take(way.step("pull", done=True), way.step("act"))

    assert way.acted == ["act"]
    assert (walked.phases[0].ok, walked.phases[0].detail) == (True, "was done already")


def test_after_an_error_only_what_must_happen_in_any_case_happens(way: Walk) -> None:
    """A verdict is reached and recorded."""
    error = NotReadyError("no such image")

    walked = way.take(way.step("pull", fails=error), way.step("act"), way.step("verify", always=True))

    assert way.acted == ["pull", "verify"]
    assert walked.error is error
    assert way.journaled() == [("pull", False), ("verify", True)]


def test_the_first_error_is_the_one_that_counts(way: Walk) -> None:
    """Those after it are its consequences."""
    first, second = NotReadyError("first"), NotReadyError("second")

    walked = way.take(way.step("act", fails=first), way.step("verify", fails=second, always=True))

    assert walked.error is first
    assert [p.detail for p in walked.phases] == ["first", "second"]


def test_without_a_journaled_intent_nothing_is_changed(way: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full before the act: it is not begun."""
    walked = way.take(way.step("pull", then=full(monkeypatch)), way.step("act"))

    assert way.acted == ["pull"]
    assert walked.error is not None
    assert "cannot write the journal" in walked.error.message


def test_a_disk_that_fills_up_in_the_act_does_not_cost_the_verdict(
    way: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images fill disks. What cannot be written is said instead."""
    walked = way.take(way.step("act", then=full(monkeypatch)), way.step("verify", always=True))

    assert way.acted == ["act", "verify"]
    assert [(p.name, p.ok) for p in walked.phases] == [("act", True), ("verify", True)]
    assert walked.error is None
    assert any("cannot write the journal" in line for line in way.told.said)


def test_a_torn_line_is_reported_by_the_run_that_marked_it(way: Walk) -> None:
    """Once: a run after it finds nothing torn."""
    journal = Journal(way.folder, "abc")
    journal.open(RUN)
    with journal.path.open("ab") as file:
        file.write(b'{"word": "en')
    way.take(way.step("act"))
    way.take(way.step("act"))

    assert [line for line in way.told.said if "torn" in line] == [
        f"note marked a torn line of 12 bytes in the journal `{journal.path}`; it is kept"
    ]
