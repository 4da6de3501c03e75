"""The tool of the kill matrix itself: a killer that misses its points would let every matrix pass."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.killing import killer

WRITES = 3
LINES = [f'{{"word": "begin", "step": "{number}"}}\n' for number in range(WRITES)]
_CODE = """
import os, pathlib, sys
from ccci_upgrade.store.files import append_line
assert not {"KILL_AT", "KILL_COUNT"} & set(os.environ)
for number in range(3):
    append_line(pathlib.Path(sys.argv[1]), f'{{"word": "begin", "step": "{number}"}}')
append_line(pathlib.Path(sys.argv[1]).with_name("other.jsonl"), "over")
"""


def ended(folder: Path, **named: str) -> tuple[int, str]:
    """Write three lines with a point to die at; gives the exit code and what is in the file."""
    (folder / "child").mkdir(exist_ok=True)
    shutil.copy(killer.__file__, folder / "child" / "sitecustomize.py")
    journal = folder / "journal.jsonl"
    ran = subprocess.run(
        [sys.executable, "-c", _CODE, str(journal)],
        env={"PYTHONPATH": f"{folder / 'child'}:{Path(__file__).parents[2]}", **named},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert ran.stderr == b""
    return ran.returncode, journal.read_text() if journal.exists() else ""


@pytest.mark.parametrize("number", range(1, WRITES + 1))
@pytest.mark.parametrize("moment", ["before", "torn", "after"])
def test_it_ends_the_process_at_exactly_that_write(tmp_path: Path, number: int, moment: str) -> None:
    """What was acknowledged before is there; of the line itself nothing, half, or all."""
    own = {"before": "", "torn": LINES[0][: len(LINES[0]) // 2], "after": LINES[number - 1]}[moment]

    for at in (f"{number}:{moment}", f"begin {number - 1}:{moment}"):
        code, text = ended(tmp_path, KILL_AT=at)

        assert code == -signal.SIGKILL
        assert text == "".join(LINES[: number - 1]) + own
        (tmp_path / "journal.jsonl").unlink(missing_ok=True)


def test_it_counts_what_it_met_and_lets_live(tmp_path: Path) -> None:
    """Other files do not count; a point past the end is not reached."""
    count = tmp_path / "count"

    code, text = ended(tmp_path, KILL_AT="4:before", KILL_COUNT=str(count))

    assert code == 0
    assert text == "".join(LINES)
    assert count.read_text() == "write 1 begin 0\nwrite 2 begin 1\nwrite 3 begin 2\n"
