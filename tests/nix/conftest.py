"""Fixtures of the Nix tests; where a tool is missing they are skipped in one line per file, and fail in CI."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.nix import nixlab
from tests.swarm.harness import missing

HERE = Path(__file__).parent
ENGINE = frozenset({"test_prune.py", "test_swarm_init.py"})
"""Files whose tests run on an Engine of their own."""

Evaluate = Callable[..., object]
"""`evaluate(wanted, modules)`: a value of a host with `ccci.host.enable`, or of one that is described otherwise."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs an Engine, and skip what this machine cannot run (not in CI: there it fails where it begins)."""
    for item in items:
        if not item.path.is_relative_to(HERE):
            continue
        engine = item.path.name in ENGINE
        lacks = [*nixlab.missing(), *(missing() if engine else [])]
        if engine:
            item.add_marker(pytest.mark.swarm)
        if lacks and not nixlab.IN_CI:
            item.add_marker(pytest.mark.skip(reason=f"Nix tests need {', '.join(lacks)}"))


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Give what evaluates a host; an error of Nix fails the test."""
    _need_nix()

    def value(wanted: str, modules: str = "", *, enabled: bool = True) -> object:
        said = "{ ccci.host.enable = true; }" if enabled else ""
        answer = nixlab.ask(nixlab.host(f"{said} {modules}", wanted), tmp_path)
        assert not answer.error, answer.error
        return answer.value

    return value


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """Give what evaluates a host that Nix itself refuses; gives the reason."""
    _need_nix()

    def reason(wanted: str, modules: str) -> str:
        answer = nixlab.ask(nixlab.host(f"{{ ccci.host.enable = true; }} {modules}", wanted), tmp_path)
        assert answer.error, f"it was accepted: {answer.value}"
        return answer.error

    return reason


@pytest.fixture
def ask(tmp_path: Path) -> Callable[[str], nixlab.Answer]:
    """Give what evaluates any expression."""
    _need_nix()
    return lambda expression: nixlab.ask(expression, tmp_path)


def _need_nix() -> None:
    need(nixlab.missing())


def need(lacks: list[str]) -> None:
    """Skip a test by name where a tool is missing; fail it in CI."""
    if lacks and nixlab.IN_CI:
        pytest.fail(f"Nix tests need {', '.join(lacks)}", pytrace=False)
    if lacks:
        pytest.skip(f"Nix tests need {', '.join(lacks)}")
