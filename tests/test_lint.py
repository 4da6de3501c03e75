"""The checks of format, rules and types, run as tests so that `make test` is the one thing to run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("ruff", "format", "--check", "--diff", "."), id="format"),
        pytest.param(("ruff", "check", "--output-format", "concise", "."), id="rules"),
        pytest.param(("mypy", "--no-color-output"), id="types"),
    ],
)
def test_the_tree_is_clean(command: tuple[str, ...]) -> None:
    """Each check ends with 0; what it printed is the failure's text."""
    done = subprocess.run(
        (sys.executable, "-m", *command),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
