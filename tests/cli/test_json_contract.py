"""The documents for scripts: whole on every exit that has one, and as published, whatever happened."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccci_upgrade.errors import Exit
from ccci_upgrade.flows.gates import Result
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.notes import make_note
from ccci_upgrade.model.plan import make_plan
from ccci_upgrade.model.run import Phase, Run, to_json
from ccci_upgrade.model.verdict import OUTCOME_EXIT, TABLE, Evidence, Outcome, State, Verdict
from ccci_upgrade.store.journal import Journal
from ccci_upgrade.ui import documents
from ccci_upgrade.ui.envelope import SCHEMA_VERSION, plan_json
from tests.builders import APP, NEW, OLD, compose, compose_service, facts
from tests.documents import problems

RUN = Run(
    run_id="20260301T120000-keycloak-1a2b",
    command="upgrade",
    app=APP,
    recipe="keycloak",
    server="ci.example.org",
    cluster="abc",
    from_version=OLD,
    to_version=NEW,
    started="2026-03-01T12:00:00.000Z",
    operator="mia",
    host="laptop",
    pid=1,
    phases=(Phase(name="act", seconds=1.5, ok=True),),
)
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("notes", "keycloak"),
    ("plan",),
    ("upgrade", "keycloak"),
    ("health",),
    ("doctor",),
)


class Place:
    """A machine with one app and no Engine."""

    def __init__(self, folder: Path) -> None:
        """Write its configuration and one `.env`."""
        self.folder = folder
        self.state = folder / "state"
        server = folder / "abra" / "servers" / "ci.example.org"
        server.mkdir(parents=True)
        (server / f"{APP}.env").write_text(f"TYPE=keycloak:{OLD}\nDOMAIN={APP}\n")
        self.config = folder / "ccci-upgrade.toml"
        self.config.write_text(
            'abra_dir = "abra"\nstate_dir = "state"\ncache_dir = "cache"\n'
            f'[servers."ci.example.org"]\ndocker_host = "unix://{folder}/none.sock"\n'
        )

    def call(self, *arguments: str, **more: Any) -> "subprocess.CompletedProcess[bytes]":
        """Run the tool to its end."""
        return subprocess.run(
            (sys.executable, "-m", "ccci_upgrade", "--config", str(self.config), *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            env=os.environ | {"HOME": str(self.folder), "FORCE_COLOR": "1", "COLUMNS": "20", **more},
        )

    def document(self, *arguments: str) -> dict[str, Any]:
        """The one document that stdout holds, checked against the process's own end."""
        done = self.call(*arguments, "--json")
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["exit_code"] == done.returncode
        assert found["command"] == arguments[0]
        assert problems(found) == []
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give one."""
    return Place(tmp_path)


# -- calls ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_an_engine_there_is_a_document_with_the_reason(place: Place, command: Sequence[str]) -> None:
    """Exit 13; the error or the check says which socket did not answer."""
    found = place.document(*command)

    assert found["schema_version"] == SCHEMA_VERSION
    assert found["exit_code"] == Exit.NOT_READY
    assert "none.sock" in json.dumps(found)
    if command[0] != "doctor":
        assert [error["code"] for error in found["errors"]] == ["engine-unreachable"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_stdout_has_the_document_alone_and_nobody_colours_or_wraps_it(
    place: Place, command: Sequence[str]
) -> None:
    """Not at 20 columns, not where colours are forced; people's words go to stderr."""
    done = place.call(*command, "--json")

    assert b"\x1b" not in done.stdout
    assert done.stdout.startswith(b"{\n")
    assert done.stdout.endswith(b"}\n")
    assert json.loads(done.stdout)
    if command[0] != "doctor":
        assert b"error:" in done.stderr


def test_status_still_names_the_apps_of_a_silent_server(place: Place) -> None:
    """Their state is unknown, which is not fine."""
    (row,) = place.document("status")["data"]["apps"]

    assert (row["app"], row["state"], row["bump"], row["deployed"]) == (APP, "unknown", "unknown", None)


def test_the_history_needs_no_engine(place: Place) -> None:
    """Newest first; open runs have no outcome yet; as many as asked for."""
    journal = Journal(place.state, "abc")
    for number, outcome in enumerate((Outcome.UPGRADED, Outcome.FAILED, None)):
        run = replace(RUN, run_id=f"run-{number}", started=f"2026-03-0{number + 1}T12:00:00.000Z")
        journal.open(run)
        if outcome is not None:
            journal.close(replace(run, outcome=outcome, finished=run.started))

    found = place.document("history")["data"]["runs"]

    assert [run["run_id"] for run in found] == ["run-2", "run-1", "run-0"]
    assert [run["outcome"] for run in found] == [None, "failed", "upgraded"]
    assert [run["run_id"] for run in place.document("history", "--limit", "1")["data"]["runs"]] == ["run-2"]
    assert place.document("history", "another.example.org")["data"]["runs"] == []


def test_no_history_is_an_empty_list(place: Place) -> None:
    """And exit 0."""
    found = place.document("history")

    assert (found["exit_code"], found["data"]["runs"]) == (0, [])
    assert not place.state.exists()


def test_every_document_names_an_open_run(place: Place) -> None:
    """On stderr, where it is in nobody's way."""
    Journal(place.state, "abc").open(RUN)

    done = place.call("health", "--json")

    assert RUN.run_id.encode() in done.stderr.replace(b"\n", b"").replace(b" ", b"")
    assert [run["run_id"] for run in place.document("status")["data"]["open_runs"]] == [RUN.run_id]


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--no-such-flag", "--json"),
        ("--no-such-flag", "status", "--json"),
        ("--server", "elsewhere.example.org", "plan", "--json"),
        ("history", "--limit", "-1", "--json"),
        ("no-such-command", "--json"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2_without_a_document(place: Place, arguments: Sequence[str]) -> None:
    """Nothing on stdout that a script could take for one."""
    done = place.call(*arguments)

    assert (done.returncode, done.stdout) == (Exit.USAGE, b"")
    assert done.stderr


def test_a_wrong_configuration_is_exit_2_with_file_and_key(place: Place) -> None:
    """For every command alike."""
    place.config.write_text("abra_dri = 'x'\n")

    for command in (*COMMANDS, ("history",)):
        done = place.call(*command, "--json")
        assert (done.returncode, done.stdout) == (Exit.USAGE, b"")
        assert b"abra_dri" in done.stderr


# -- values ----------------------------------------------------------------------------------------------------------


def upgraded(*runs: Run) -> dict[str, object]:
    """The document of an upgrade that ended with these runs."""
    result = Result(runs=runs, plans=(make_plan(facts(), (), frozenset()),), exit=Exit.OK)
    return _document("upgrade", documents.upgrade(result))


def _document(command: str, data: object) -> dict[str, object]:
    made = {"schema_version": SCHEMA_VERSION, "command": command, "exit_code": 0, "data": data, "errors": []}
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


@pytest.mark.parametrize("state", State)
def test_every_verdict_fits_the_schema(state: State) -> None:
    """Evidence with and without a service."""
    verdict = Verdict(state=state, evidence=(Evidence(text="label"), Evidence(text="x", service="app")))

    assert problems(upgraded(replace(RUN, outcome=TABLE[state][0], verdict=verdict))) == []


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_fits_the_schema(outcome: Outcome) -> None:
    """Also those that end before anything happened."""
    assert outcome in OUTCOME_EXIT
    assert problems(upgraded(replace(RUN, outcome=outcome, phases=(), from_version=None))) == []


def test_a_run_has_every_key_of_the_contract() -> None:
    """Under the names that runbooks use; there are no snapshots yet."""
    raw = to_json(RUN)

    assert raw["snapshot"] is None
    assert (raw["from"], raw["to"]) == (OLD, NEW)
    assert raw["phases"] == [{"name": "act", "seconds": 1.5, "ok": True, "detail": ""}]


def test_a_plan_has_every_key_of_the_contract() -> None:
    """Holds name exactly the unacknowledged `ack` findings."""
    found = [
        Finding(id=f"{severity.value}:x", severity=severity, title="t", evidence=("e",), remedy="r")
        for severity in Severity
    ]
    seen = replace(
        facts(),
        notes=(make_note("1.0.1+25.0.6", None), make_note(NEW, b"text")),
        new=compose(compose_service(image="keycloak/keycloak:26.0.0")),
    )

    raw = plan_json(make_plan(seen, found, frozenset()))

    assert problems(_document("plan", {"plans": [raw]})) == []
    assert (raw["bump"], raw["holds"], raw["notes_found"], raw["notes_total"]) == ("major", ["ack:x"], 1, 2)
    assert plan_json(make_plan(seen, found, frozenset({"ack:x"})))["holds"] == []


def test_nothing_to_do_is_a_plan_without_a_target() -> None:
    """`to` is null, and there is nothing to acknowledge."""
    raw = plan_json(make_plan(replace(facts(), target=None, new=None), (), frozenset()))

    assert problems(_document("plan", {"plans": [raw]})) == []
    assert (raw["to"], raw["bump"], raw["holds"]) == (None, "none", [])


def test_making_documents_prints_nothing() -> None:
    """Only the envelope writes."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        upgraded(RUN)

    assert out.getvalue() == ""
