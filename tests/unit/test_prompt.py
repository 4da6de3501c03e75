"""Who is asked, and what nobody at all answers. Real questions at real terminals: tests/cli/test_terminals.py."""

import io

import pytest

from ccci_upgrade.errors import Exit
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.version import Bump
from ccci_upgrade.ui.console import Terminal
from ccci_upgrade.ui.prompt import Nobody, NobodyChoseError, Person, at_terminal, prompter
from ccci_upgrade.ui.streams import Lasting, Patient

HOLD = Finding(id="major", severity=Severity.ACK, title="a major version jump")
TERMINAL = Terminal(json=False, out=Lasting(io.StringIO()), err=Patient(io.StringIO()))


def plan(*findings: Finding, acknowledged: frozenset[str] = frozenset()) -> Plan:
    """A plan with findings."""
    return Plan(
        app="a", recipe="a", server="s", from_version="1", to_version="2", bump=Bump.PATCH, images=(),
        notes=(), findings=findings, fingerprints={}, acknowledged=acknowledged,
    )  # fmt: skip


def test_nobody_acknowledges_nothing() -> None:
    """Without a terminal no finding is acknowledged."""
    assert Nobody().acknowledge("a", HOLD) is False


def test_naming_an_app_is_consent_to_a_plan_without_holds_and_to_nothing_more() -> None:
    """A plan that is held is not confirmed by nobody, but by an acknowledgement."""
    assert Nobody().confirm(plan())
    assert not Nobody().confirm(plan(HOLD))
    assert Nobody().confirm(plan(HOLD, acknowledged=frozenset({"major"})))


def test_nobody_chooses_no_app() -> None:
    """The error is the one that says a terminal is needed, and carries what would have been offered."""
    with pytest.raises(NobodyChoseError) as caught:
        Nobody().choose(("a", "b"))
    assert caught.value.exit is Exit.NO_TERMINAL
    assert caught.value.apps == ("a", "b")


def test_no_input_means_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--no-input` holds at a terminal too."""
    terminal = _Tty()
    monkeypatch.setattr("sys.stdin", terminal)
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(prompter(TERMINAL, no_input=False), Person)
    assert isinstance(prompter(TERMINAL, no_input=True), Nobody)


@pytest.mark.parametrize("name", ["sys.stdin", "sys.stderr"])
@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_both_ends_must_be_a_terminal(
    name: str, stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is closed, or something else, cannot be asked at; stdout does not matter."""
    monkeypatch.setattr("sys.stdin", _Tty())
    monkeypatch.setattr("sys.stderr", _Tty())
    monkeypatch.setenv("TERM", "xterm")
    assert at_terminal()
    monkeypatch.setattr(name, stream)
    assert not at_terminal()


def test_a_closed_file_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream object that was closed raises when asked; that is a no."""
    closed = _Tty()
    closed.close()
    monkeypatch.setattr("sys.stdin", closed)
    assert not at_terminal()


class _Tty(io.StringIO):
    def isatty(self) -> bool:
        if self.closed:
            raise ValueError
        return True
