"""The page of the practice engine says what it speaks and what was compared, and no more."""

import ast
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PAGE = (ROOT / "docs" / "reference" / "practice-engine.md").read_text(encoding="utf-8")


def test_the_page_has_every_route() -> None:
    """Word for word what the program prints."""
    argv = [sys.executable, "-m", "ccci_upgrade.practice.engine", "--routes"]
    printed = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, text=True, timeout=30).stdout
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

    assert printed == shown


def test_the_page_has_every_scenario() -> None:
    """Each scenario of this folder with the rule it holds both Engines to."""
    shown = re.findall(r"^\| ([a-z0-9 -]+) \| (.*) \|$", PAGE, re.MULTILINE)

    assert [row for row in shown if row[0] != "scenario"] == _scenarios()


def _scenarios() -> list[tuple[str, str]]:
    """Every test that takes a laboratory: its name in words, the first line of its docstring."""
    found = []
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_bytes()).body:
            if (
                isinstance(node, ast.FunctionDef)
                and node.name.startswith("test_")
                and "lab" in [each.arg for each in node.args.args]
            ):
                rule = (ast.get_docstring(node) or "").partition("\n")[0]
                found.append((node.name.removeprefix("test_").replace("_", " "), rule))
    return found
