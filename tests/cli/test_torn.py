"""A journal that was cut off: commands that only read say so, and leave it as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from ccci_upgrade.store.journal import Journal
from tests.unit.test_journal import CLUSTER, run


@pytest.mark.parametrize("command", ["history", "doctor", "status"])
def test_who_reads_a_torn_journal_is_told_and_writes_nothing(tmp_path: Path, command: str) -> None:
    """One sentence with the file; the run that was cut off is named beside it."""
    (tmp_path / "ccci-upgrade.toml").write_text('abra = "none"\nabra_dir = "abra"\nstate_dir = "state"\n')
    journal = Journal(tmp_path / "state", CLUSTER)
    journal.open(run())
    with journal.path.open("ab") as file:
        file.write(b'{"word": "en')
    before = journal.path.read_bytes()

    done = subprocess.run(
        (sys.executable, "-m", "ccci_upgrade", command),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said = " ".join((done.stdout if command == "doctor" else done.stderr).split())
    assert said.count("was cut off; it is kept, and the next run marks it") == 1
    assert "run-1" in said
    assert journal.path.read_bytes() == before
