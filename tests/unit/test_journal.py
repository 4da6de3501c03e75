"""The journal on real disks and under real kills."""

import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.run import Phase, Run, to_json
from ccci_upgrade.model.verdict import Evidence, Outcome, State, Verdict
from ccci_upgrade.store.journal import Journal, read_all

ROOT = Path(__file__).parent.parent.parent
CLUSTER = "abcdefghijklmnopqrstuvwxy"


def run(name: str = "run-1", *, started: str = "2026-03-01T12:00:00.000Z") -> Run:
    """A run that has begun."""
    return Run(
        run_id=name,
        command="upgrade",
        app="keycloak.ci.example.org",
        recipe="keycloak",
        server="ci.example.org",
        cluster=CLUSTER,
        from_version="1.0.0+1",
        to_version="1.1.0+1",
        started=started,
        operator="mia",
        host="laptop",
        pid=1,
    )


def ended(begun: Run) -> Run:
    """The same run, upgraded."""
    verdict = Verdict(state=State.CONVERGED, evidence=(Evidence(text="1/1 running", service="app"),))
    phase = Phase(name="act", seconds=1.5, ok=True, detail="abra exited 0")
    return replace(
        begun, outcome=Outcome.UPGRADED, finished="2026-03-01T12:01:00.000Z", verdict=verdict, phases=(phase,)
    )


def test_a_run_is_gone_on_with_in_its_own_folder(tmp_path: Path) -> None:
    """By whoever ends it: nothing is opened a second time."""
    folder = Journal(tmp_path, CLUSTER).open(run())
    journal = Journal(tmp_path, CLUSTER)

    assert journal.reopen(run()) == folder
    journal.close(ended(run()))

    assert read_all(tmp_path).runs == (ended(replace(run(), phases=())),)


def test_a_whole_run_is_read_back(tmp_path: Path) -> None:
    """And lies beside its own folder's results, as the contract has them."""
    journal = Journal(tmp_path, CLUSTER)
    folder = journal.open(run())
    journal.begin("run-1", "act")
    journal.end("run-1", "act", ok=True, seconds=1.5, detail="abra exited 0")
    journal.close(ended(run()))

    reading = read_all(tmp_path)

    assert (reading.runs, reading.damaged, reading.open) == ((ended(run()),), 0, ())
    assert json.loads((folder / "results.json").read_bytes()) == {"schema_version": 1} | to_json(ended(run()))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_every_line_says_when_and_of_which_run(tmp_path: Path) -> None:
    """A person can read it with nothing but `less`."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    journal.begin("run-1", "act")

    opened, began = (json.loads(line) for line in journal.path.read_text().splitlines())

    assert (opened["word"], opened["run_id"]) == ("opened", "run-1")
    assert (began["word"], began["step"]) == ("begin", "act")
    assert began["at"].endswith("Z")


def test_an_open_run_is_named_with_its_step(tmp_path: Path) -> None:
    """Whatever killed it."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    journal.begin("run-1", "act")

    (found,) = read_all(tmp_path).open

    assert found.phases == (Phase(name="act", seconds=0.0, ok=None),)


def test_runs_of_all_swarms_come_oldest_first(tmp_path: Path) -> None:
    """One state folder may serve several."""
    Journal(tmp_path, "b").open(run("later", started="2026-03-02T00:00:00.000Z"))
    Journal(tmp_path, "a").open(run("middle", started="2026-03-01T00:00:00.000Z"))
    Journal(tmp_path, "b").open(run("first", started="2026-02-01T00:00:00.000Z"))

    assert [r.run_id for r in read_all(tmp_path).runs] == ["first", "middle", "later"]


JUNK = pytest.mark.parametrize(
    "junk",
    [
        b'{"word": "end", "run_id": "run-1", "st',
        b"\0" * 64,
        b"\xff\xfe not text",
        b"[1, 2]",
        b"{}",
        b'{"word": "closed", "run_id": "run-1", "run": {"app": 5}}',
        b'{"word": "begun", "run_id": "run-1"}',
        b"[" * 100_000,
        b"1" * 10_000,
        b"x" * (2 * 1024 * 1024),
    ],
    ids=[
        "torn", "zeros", "no text", "a list", "empty", "no run", "no word", "deep", "long number", "huge",
    ],
)  # fmt: skip


@JUNK
def test_a_damaged_line_is_counted_and_costs_no_other(tmp_path: Path, junk: bytes) -> None:
    """It has an end, so nobody was cut off: it is counted for as long as it is there."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    with journal.path.open("ab") as file:
        file.write(junk + b"\n")
    journal.close(ended(run()))

    reading = read_all(tmp_path)

    assert (reading.runs, reading.damaged, reading.torn) == ((ended(run()),), 1, ())


@JUNK
def test_a_torn_last_line_is_named_then_marked_and_kept(tmp_path: Path, junk: bytes) -> None:
    """Reading leaves it; the next run that opens marks it, says how much it is, and nobody hears of it again."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    with journal.path.open("ab") as file:
        file.write(junk)
    before = journal.path.read_bytes()

    reading = read_all(tmp_path)
    assert (reading.damaged, reading.torn) == (1, (journal.path,))
    assert journal.path.read_bytes() == before

    later = Journal(tmp_path, CLUSTER)
    later.open(run("run-2"))
    again = Journal(tmp_path, CLUSTER)
    again.open(run("run-3"))

    assert (later.mended, again.mended) == (min(len(junk), 1024 * 1024), 0)
    reading = read_all(tmp_path)
    assert (reading.damaged, reading.torn, len(reading.runs)) == (0, (), 3)
    assert journal.path.read_bytes().startswith(before + b"\n")


def test_a_mark_that_was_cut_off_too_is_marked_with_the_line_before_it(tmp_path: Path) -> None:
    """A disk may be full twice."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    with journal.path.open("ab") as file:
        file.write(b'{"word": "en\n{"word": "torn", "by')

    assert read_all(tmp_path).damaged == 2
    Journal(tmp_path, CLUSTER).close(ended(run()))

    reading = read_all(tmp_path)
    assert (reading.damaged, reading.torn, reading.open) == (0, (), ())


def test_a_mark_excuses_nothing_before_a_whole_line(tmp_path: Path) -> None:
    """What was damaged by something else stays counted."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    with journal.path.open("ab") as file:
        file.write(b"junk\n")
    journal.begin("run-1", "act")
    with journal.path.open("ab") as file:
        file.write(b"torn")
    journal.close(ended(run()))

    assert (read_all(tmp_path).damaged, read_all(tmp_path).torn) == (1, ())


def test_a_last_line_that_lacks_only_its_end_is_an_entry(tmp_path: Path) -> None:
    """It is ended, and there is nothing to mark."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    journal.begin("run-1", "act")
    journal.path.write_bytes(journal.path.read_bytes()[:-1])

    assert (read_all(tmp_path).torn, len(read_all(tmp_path).open[0].phases)) == ((), 1)
    later = Journal(tmp_path, CLUSTER)
    later.open(run("run-2"))

    assert (later.mended, len(read_all(tmp_path).runs), len(journal.path.read_bytes().splitlines())) == (
        0,
        2,
        3,
    )


def test_zeros_before_an_entry_do_not_cost_it(tmp_path: Path) -> None:
    """What a power cut may leave of a line that was never on the disk, with the end it had in memory."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(run())
    whole = journal.path.read_bytes()
    journal.path.write_bytes(b"\0" * 100 + whole)

    assert (len(read_all(tmp_path).runs), read_all(tmp_path).damaged) == (1, 0)


def test_a_run_is_not_open_before_the_names_of_its_folders_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody made them before and died: the journal's folder, and the one it is in."""
    for _ in range(2):
        synced: list[int] = []
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", lambda handle, into=synced: into.append(os.fstat(handle).st_ino))
            journal = Journal(tmp_path / "state", CLUSTER)
            journal.open(run())
        folders = {each.stat().st_ino for each in (journal.folder, tmp_path / "state")}
        assert folders <= set(synced[: synced.index(journal.path.stat().st_ino)])


def test_no_state_folder_means_no_runs(tmp_path: Path) -> None:
    """The first `status` on a server writes nothing."""
    assert read_all(tmp_path / "none").runs == ()
    assert not (tmp_path / "none").exists()


def test_a_journal_that_cannot_be_read_is_damage_and_no_crash(tmp_path: Path) -> None:
    """Here: a folder where the file should be."""
    (tmp_path / CLUSTER / "journal.jsonl").mkdir(parents=True)

    assert (read_all(tmp_path).runs, read_all(tmp_path).damaged) == ((), 1)


def test_a_state_folder_that_cannot_be_asked_is_damage_and_no_crash(tmp_path: Path) -> None:
    """Here: a name too long for any disk."""
    assert read_all(tmp_path / ("x" * 300)).damaged == 1


def test_foreign_text_of_any_kind_is_kept(tmp_path: Path) -> None:
    """Newlines, controls and lone surrogates of a label or an error go in and come out."""
    journal = Journal(tmp_path, CLUSTER)
    journal.open(replace(run(), from_version="a\nb\x1b\u2028\ud800"))
    journal.end("run-1", "act", ok=False, seconds=0, detail="\udcff\n{}")
    journal.close(replace(ended(run()), notices=("\ud800",)))

    reading = read_all(tmp_path)

    assert (reading.damaged, reading.runs[0].notices) == (0, ("\ud800",))


@pytest.mark.parametrize("cluster", ["", "..", "a/b", "a\nb", "-x", "x" * 65])
def test_a_swarms_id_never_leads_elsewhere(tmp_path: Path, cluster: str) -> None:
    """It becomes a folder's name."""
    with pytest.raises(NotReadyError):
        Journal(tmp_path, cluster)


def test_a_state_folder_that_cannot_be_made_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    """The hint says which setting leads out."""
    (tmp_path / "file").write_text("")

    with pytest.raises(NotReadyError) as caught:
        Journal(tmp_path / "file", CLUSTER).open(run())

    assert "state_dir" in caught.value.hint
    assert caught.value.code == "journal"


def test_a_journal_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Root must not be led to write into another file."""
    (tmp_path / CLUSTER).mkdir()
    (tmp_path / CLUSTER / "journal.jsonl").symlink_to("/dev/full")

    with pytest.raises(NotReadyError, match="cannot write the journal"):
        Journal(tmp_path, CLUSTER).open(run())


def test_results_that_cannot_be_written_are_an_expected_error(tmp_path: Path) -> None:
    """The journal has the run's end already; only its copy is missing."""
    journal = Journal(tmp_path, CLUSTER)
    folder = journal.open(run())
    (folder / "results.json").mkdir()

    with pytest.raises(NotReadyError, match=r"results\.json"):
        journal.close(ended(run()))

    assert read_all(tmp_path).runs == (ended(run()),)


CHILD = """
import resource, sys
from pathlib import Path
from tests.unit.test_journal import CLUSTER, run
from ccci_upgrade.store.journal import Journal

if limit := int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
journal = Journal(Path(sys.argv[1]), CLUSTER)
journal.open(run())
for number in range(200):
    journal.end("run-1", f"step {number}", ok=True, seconds=0, detail="x" * 500)
    print(number, flush=True)
"""


def child(state: Path, limit: int | None = None) -> "subprocess.Popen[str]":
    """A process that appends 200 steps and says each number once it is on the disk."""
    return subprocess.Popen(
        (sys.executable, "-c", CHILD, str(state), str(limit or 0)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("after", [1, 40, 120])
def test_what_was_acknowledged_before_a_kill_is_there(tmp_path: Path, after: int) -> None:
    """SIGKILL in the middle of appends: the file parses, and no acknowledged step is missing."""
    with child(tmp_path) as process:
        assert process.stdout is not None
        for _ in range(after):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        said = [after - 1, *map(int, process.stdout.read().split())]

    reading = read_all(tmp_path)
    (found,) = reading.open
    names = [phase.name for phase in found.phases]

    assert names[: said[-1] + 1] == [f"step {number}" for number in range(said[-1] + 1)]
    assert reading.damaged <= 1


def test_a_disk_that_fills_up_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """A real limit on the file's size: the error comes with the line that did not fit, and all before it stay."""
    with child(tmp_path, limit=20_000) as process:
        out, err = process.communicate(timeout=60)
    last = int(out.split()[-1])

    reading = read_all(tmp_path)

    assert "cannot write the journal" in err
    assert 0 < last < 199
    assert reading.open[0].phases[-1].name == f"step {last}"
    assert (reading.damaged, len(reading.torn)) == (1, 1)

    Journal(tmp_path, CLUSTER).close(ended(run()))

    reading = read_all(tmp_path)
    assert (reading.runs, reading.damaged, reading.torn) == ((ended(run()),), 0, ())
