"""The lease's rules: what labels mean, and who may take it. Labels are foreign text."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccci_upgrade.model.lease import (
    LIMIT,
    LONGEST,
    SHORTEST,
    SHOWN,
    Claim,
    Kept,
    LeaseState,
    Machine,
    Standing,
    from_labels,
    standing,
    to_labels,
)
from ccci_upgrade.text import tame_line

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOT = "0f9b1c5e-8a4e-4a52-9d59-27f5b1a0c3d2:4026531836"
ME = Machine(host="server", boot=BOOT)
CLAIM = Claim(
    user="mia",
    host="server",
    pid=4711,
    boot=BOOT,
    command="upgrade keycloak",
    since="2026-03-01T11:59:00.000Z",
    heartbeat="2026-03-01T11:59:50.000Z",
    token="0" * 32,
)
KEYS = sorted(to_labels(CLAIM))


def _stand(
    labels: dict[str, str], *, age: float = 1.0, me: Machine = ME, dead: bool = False, clock: bool = True
) -> Standing:
    kept = Kept(labels=labels, index=7, updated=NOW - timedelta(seconds=age))
    return standing(kept, now=NOW if clock else None, me=me, dead=lambda _: dead)


def test_a_claim_reads_back_as_it_was_written() -> None:
    """And free is free, with nothing of a holder left."""
    assert from_labels(to_labels(CLAIM)) == CLAIM
    assert from_labels(to_labels(None)) is None
    assert "mia" not in str(to_labels(None))


@given(st.dictionaries(st.sampled_from([*KEYS, "a"]), st.text(max_size=SHOWN * 2)))
@example({})
def test_any_labels_are_a_claim_free_or_none_of_ours(labels: dict[str, str]) -> None:
    """Never an exception; what is not understood is said in one tame line, and never taken for free."""
    found = from_labels(labels)

    if isinstance(found, str):
        assert found
        assert tame_line(found) == found
    if found is None:
        assert labels["ccci-upgrade.lease.state"] == "free"


@given(st.sampled_from(KEYS), st.text(max_size=SHOWN * 2))
@example("ccci-upgrade.lease.limit", "1" * 6)
@example("ccci-upgrade.lease.user", "\x1b[31m" * 100)
@example("ccci-upgrade.lease.pid", "٣")
def test_one_label_changed_by_somebody_else(key: str, value: str) -> None:
    """A claim has tame texts of bounded length, a process number, and a limit that lets others in some day."""
    found = from_labels(to_labels(CLAIM) | {key: value})

    if isinstance(found, Claim):
        for text in (found.user, found.host, found.command, found.since, found.heartbeat):
            assert 0 < len(text) <= SHOWN
            assert tame_line(text) == text
        assert found.pid > 0
        assert SHORTEST <= found.limit <= LONGEST


@pytest.mark.parametrize("key", [key for key in KEYS if not key.endswith((".limit", ".boot"))])
def test_a_missing_label_makes_it_foreign(key: str) -> None:
    """Foreign is neither held nor free: nobody may write over it."""
    labels = {name: value for name, value in to_labels(CLAIM).items() if name != key}

    seen = _stand(labels, age=1e6, dead=True)

    assert (seen.state, seen.claim, seen.dead) == (LeaseState.FOREIGN, None, False)
    assert key in seen.why


def test_a_newer_schema_is_not_read() -> None:
    """What a later version keeps there is not guessed at."""
    assert _stand(to_labels(CLAIM) | {"ccci-upgrade.lease": "2"}).state is LeaseState.FOREIGN


def test_where_there_is_none_it_is_free() -> None:
    """Nobody ever worked here."""
    assert standing(None, now=NOW, me=ME, dead=lambda _: True) == Standing(state=LeaseState.FREE)


@pytest.mark.parametrize(("age", "state"), [(LIMIT - 1, LeaseState.HELD), (LIMIT + 1, LeaseState.STALE)])
def test_silence_makes_it_stale_by_the_engines_clock(age: float, state: LeaseState) -> None:
    """Past the limit; that alone does not say that the holder is dead."""
    seen = _stand(to_labels(CLAIM), age=age)

    assert (seen.state, seen.dead) == (state, False)


def test_the_holders_own_limit_counts() -> None:
    """Held to bounds: nobody can lock others out for ever."""
    labels = to_labels(CLAIM)

    assert _stand(labels | {"ccci-upgrade.lease.limit": "2"}, age=3).state is LeaseState.STALE
    assert _stand(labels | {"ccci-upgrade.lease.limit": "999999"}, age=LONGEST + 1).state is LeaseState.STALE
    assert _stand(labels | {"ccci-upgrade.lease.limit": "0"}, age=SHORTEST / 2).state is LeaseState.HELD
    assert _stand(labels | {"ccci-upgrade.lease.limit": "soon"}, age=LIMIT - 1).state is LeaseState.HELD


@pytest.mark.parametrize(
    ("me", "dead", "state"),
    [
        (ME, True, LeaseState.STALE),
        (ME, False, LeaseState.HELD),
        (Machine(host="laptop", boot=BOOT), True, LeaseState.HELD),
        (Machine(host="server", boot=BOOT.replace("0", "1")), True, LeaseState.HELD),
        (Machine(host="server", boot=""), True, LeaseState.HELD),
    ],
)
def test_a_dead_process_counts_on_its_own_machine_and_boot_alone(
    *, me: Machine, dead: bool, state: LeaseState
) -> None:
    """Elsewhere the same number is another process, and a boot without an id is no boot known."""
    seen = _stand(to_labels(CLAIM), me=me, dead=dead)

    assert (seen.state, seen.dead) == (state, state is LeaseState.STALE)


def test_a_holder_without_boot_is_never_dead_by_its_number() -> None:
    """Two unknown boots are not the same boot."""
    labels = to_labels(CLAIM) | {"ccci-upgrade.lease.boot": ""}

    assert _stand(labels, me=Machine(host="server", boot=""), dead=True).state is LeaseState.HELD


def test_a_clock_that_went_back_makes_nothing_stale() -> None:
    """Nor does an Engine that says no time."""
    assert _stand(to_labels(CLAIM), age=-1e6).age == 0
    assert _stand(to_labels(CLAIM), age=-1e6).state is LeaseState.HELD
    assert _stand(to_labels(CLAIM), age=1e6, clock=False).state is LeaseState.HELD


def test_a_holder_is_named_as_release_wants_it() -> None:
    """And in one line for people."""
    assert CLAIM.holder == "mia@server"
    assert CLAIM.line == "mia@server (pid 4711), `upgrade keycloak`, since 2026-03-01T11:59:00.000Z"


def test_a_beat_changes_nothing_but_its_own_time() -> None:
    """The token stays, by which a holder knows its own."""
    assert CLAIM.beaten("later") == replace(CLAIM, heartbeat="later")


def test_no_config_is_a_free_lease_that_has_to_be_made() -> None:
    """It has no version index; one that was let go of has."""
    none = standing(None, now=NOW, me=ME, dead=lambda _: True)

    assert (none.state, none.index, none.claim) == (LeaseState.FREE, None, None)
    assert (_stand(to_labels(None)).state, _stand(to_labels(None)).index) == (LeaseState.FREE, 7)


def test_labels_of_others_are_said_to_be_none_of_ours() -> None:
    """In words that tell a missing label from one with another text."""
    assert from_labels({}) == "it has no label `ccci-upgrade.lease`"
    assert from_labels({"ccci-upgrade.lease": "2"}) == (
        "its label `ccci-upgrade.lease` is `2`, and this version knows only `1`"
    )
    assert from_labels(to_labels(CLAIM) | {"ccci-upgrade.lease.pid": ""}) == (
        "its label `ccci-upgrade.lease.pid` is missing"
    )
