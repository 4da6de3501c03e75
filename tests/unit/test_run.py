"""Runs to JSON and back, and journals replayed, whatever is in them."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.run import Phase, Run, from_json, is_line, replay, to_json, version_left
from ccci_upgrade.model.verdict import Evidence, Outcome, State, Verdict

texts = st.text(max_size=20)
verdicts = st.builds(
    Verdict,
    state=st.sampled_from(State),
    evidence=st.lists(st.builds(Evidence, text=texts, service=texts), max_size=3).map(tuple),
)
phases = st.builds(
    Phase,
    name=texts,
    seconds=st.integers(0, 10**6).map(lambda ms: ms / 1000),
    ok=st.sampled_from((True, False, None)),
    detail=texts,
)
runs = st.builds(
    Run,
    run_id=texts,
    command=texts,
    app=texts,
    recipe=texts,
    server=texts,
    cluster=texts,
    from_version=st.none() | texts,
    to_version=texts,
    started=texts,
    operator=texts,
    host=texts,
    pid=st.integers(0, 2**22),
    finished=st.none() | texts,
    outcome=st.none() | st.sampled_from(Outcome),
    verdict=st.none() | verdicts,
    holds=st.lists(texts, max_size=2).map(tuple),
    acknowledged=st.lists(texts, max_size=2).map(tuple),
    phases=st.lists(phases, max_size=3).map(tuple),
    next_steps=st.lists(texts, max_size=2).map(tuple),
    notices=st.lists(texts, max_size=2).map(tuple),
    logs=st.lists(texts, max_size=2).map(tuple),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)

RUN = Run(
    run_id="20260301T120000-keycloak-1a2b",
    command="upgrade",
    app="keycloak.ci.example.org",
    recipe="keycloak",
    server="ci.example.org",
    cluster="abc",
    from_version="1.0.0+25.0.6",
    to_version="1.1.0+25.1.0",
    started="2026-03-01T12:00:00.000Z",
    operator="mia",
    host="laptop",
    pid=4711,
)


def line(word: str, **more: object) -> dict[str, object]:
    """One line of RUN's journal."""
    return {"word": word, "run_id": RUN.run_id} | more


OPENED = line("opened", run=to_json(RUN))


@given(run=runs)
def test_a_run_comes_back_from_json_as_it_was(run: Run) -> None:
    """Through real JSON text, with every field of the contract."""
    assert from_json(json.loads(json.dumps(to_json(run)))) == run


def test_the_contract_has_its_keys() -> None:
    """Scripts rely on these names; until there are snapshots, `snapshot` is null."""
    raw = to_json(RUN)

    assert {
        "run_id",
        "app",
        "from",
        "to",
        "outcome",
        "verdict",
        "holds",
        "acknowledged",
        "phases",
    } <= raw.keys()
    assert {"started", "finished", "operator", "host", "next"} <= raw.keys()
    assert raw["snapshot"] is None


@given(data=st.data())
def test_a_damaged_record_is_none_and_never_an_error(data: st.DataObject) -> None:
    """Any key with any value, or none at all."""
    raw = to_json(RUN)
    for key in data.draw(st.lists(st.sampled_from(sorted(raw)), max_size=3)):
        raw[key] = data.draw(values)
    raw.pop(data.draw(st.sampled_from(["", *sorted(raw)])), None)

    run = from_json(raw)

    assert run is None or json.dumps(to_json(run), allow_nan=False)


@given(
    lines=st.lists(
        st.dictionaries(st.sampled_from(["word", "run_id", "run", "step", "ok", "seconds"]), values)
    )
)
def test_foreign_lines_never_break_a_replay(lines: list[Mapping[str, object]]) -> None:
    """They are passed over; the run that is there stays there."""
    assert [run.run_id for run in replay([OPENED, *lines])][:1] == [RUN.run_id]


@given(damaged=st.dictionaries(st.sampled_from(["word", "run_id", "run", "step"]), values))
def test_what_counts_as_a_line_can_be_replayed(damaged: Mapping[str, object]) -> None:
    """A word that is none, or a run that cannot be read, is counted as damage instead."""
    if is_line(damaged):
        assert damaged["word"] in ("opened", "begin", "end", "closed")


def test_a_run_that_only_opened_is_open() -> None:
    """It has no outcome and no phase."""
    (run,) = replay([OPENED])

    assert (run.outcome, run.phases) == (None, ())


def test_a_killed_run_shows_the_step_it_was_at() -> None:
    """Ended steps keep their results, the begun one has none."""
    lines = [
        OPENED,
        line("begin", step="pull"),
        line("end", step="pull", ok=True, seconds=1.5, detail="1 pulled"),
        line("begin", step="act"),
    ]

    (run,) = replay(lines)

    assert run.phases == (
        Phase(name="pull", seconds=1.5, ok=True, detail="1 pulled"),
        Phase(name="act", seconds=0.0, ok=None),
    )


def test_the_closing_line_has_the_last_word() -> None:
    """It carries the whole run."""
    closed = to_json(RUN) | {"outcome": "upgraded", "finished": "2026-03-01T12:01:00.000Z"}

    (run,) = replay([OPENED, line("begin", step="act"), line("closed", run=closed)])

    assert (run.outcome, run.phases) == (Outcome.UPGRADED, ())


def test_a_closing_line_that_cannot_be_read_leaves_the_run_open() -> None:
    """Better named once too often than forgotten."""
    (run,) = replay([OPENED, line("closed", run={"outcome": "from the future"})])

    assert run.outcome is None


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 10**400, True, "1", None])
def test_seconds_no_clock_can_give_are_read_as_none_or_0(seconds: object) -> None:
    """JSON has no limits; a document that is written again must be JSON."""
    (run,) = replay([OPENED, line("begin", step="act"), line("end", step="act", ok=True, seconds=seconds)])

    json.dumps(to_json(run), allow_nan=False)


@pytest.mark.parametrize(
    ("state", "left"),
    [
        (State.CONVERGED, RUN.to_version),
        (State.SWARM_ROLLED_BACK, RUN.from_version),
        (State.UNCHANGED, RUN.from_version),
        (State.MIXED, None),
        (None, None),
    ],
)
def test_the_version_a_run_left_is_known_from_clear_verdicts_only(
    state: State | None, left: str | None
) -> None:
    """Of a mixed stack nobody can say what runs."""
    verdict: object = None if state is None else {"state": state.value, "evidence": []}
    run = from_json(to_json(RUN) | {"verdict": verdict})

    assert run is not None
    assert version_left(run) == left
