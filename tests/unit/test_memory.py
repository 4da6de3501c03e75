"""The shared memory's rules: what is kept, where a way back leads, and what foreign labels may do (nothing)."""

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccci_upgrade.model.memory import (
    KEPT,
    LONGEST,
    LONGEST_IMAGE,
    MOST_IMAGES,
    PREFIX,
    SHOWN,
    LastGood,
    Memory,
    Unreadable,
    config_name,
    from_labels,
    to_labels,
    with_good,
)
from ccci_upgrade.text import tame_line

STACK = "keycloak_ci_example_org"
NAME = config_name(STACK)
GOOD = LastGood(
    app="keycloak.ci.example.org",
    stack=STACK,
    recipe="keycloak",
    version="1.0.0+25.0.6",
    recorded="2026-03-01T12:00:00.000Z",
    operator="mia",
    host="ci",
    run_id="20260301T120000-keycloak-1a2b",
    snapshot="20260301T120000-1a2b",
    snapshot_host="ci",
    images=(("app", "keycloak:25.0.6@sha256:" + "a" * 64), ("db", "sha256:" + "b" * 64)),
    rollback_seconds=61.5,
)
NEXT = replace(GOOD, version="2.0.0+26.0.8", snapshot=None, snapshot_host="", rollback_seconds=None)
LABELS = to_labels(Memory(stack=STACK, good=(NEXT, GOOD)))
GOOD_LABEL = next(key for key in LABELS if key.endswith(".good"))

WORDS = st.text(min_size=1, max_size=SHOWN * 2)
VERSIONS = st.from_regex(r"[0-9]\.[0-9]\.[0-9]\+[0-9a-z.]{1,9}", fullmatch=True)
GOODS = st.builds(
    lambda version, words, snapshot, images, seconds: replace(
        GOOD,
        version=version,
        operator=words[0],
        host=words[1],
        recipe=words[2],
        run_id=words[3],
        snapshot=snapshot,
        snapshot_host=words[4] if snapshot else "",
        images=tuple(sorted(images.items())),
        rollback_seconds=seconds,
    ),
    VERSIONS,
    st.lists(WORDS, min_size=5, max_size=5),
    st.none() | st.from_regex(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{4}", fullmatch=True).filter(str.isascii),
    st.dictionaries(WORDS, st.text(max_size=LONGEST_IMAGE + 9), max_size=MOST_IMAGES + 3),
    st.none() | st.floats(0, 1e6),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def _labels(*entries: object) -> dict[str, str]:
    return LABELS | {GOOD_LABEL: json.dumps(list(entries))}


def _entry() -> dict[str, object]:
    first: dict[str, object] = json.loads(LABELS[GOOD_LABEL])[1]
    return first


def _why(labels: dict[str, str], name: str = NAME) -> str:
    found = from_labels(name, labels)
    assert isinstance(found, Unreadable)
    assert tame_line(found.why) == found.why
    return found.why


# -- what is kept -----------------------------------------------------------------------------------------------------


def test_a_memory_reads_back_as_it_was_written() -> None:
    """Every field of every version."""
    assert from_labels(NAME, LABELS) == Memory(stack=STACK, good=(NEXT, GOOD))


@given(st.lists(GOODS, min_size=1, max_size=KEPT + 2))
def test_whatever_is_remembered_reads_back_tame_and_bounded(goods: list[LastGood]) -> None:
    """Newest first, each version once; writing what was read changes nothing; images are whole or left out."""
    memory = with_good(None, *goods)
    labels = to_labels(memory)
    found = from_labels(NAME, labels)

    assert isinstance(found, Memory)
    assert [each.version for each in found.good] == [each.version for each in memory.good][: len(found.good)]
    assert found.last.version == goods[-1].version
    assert to_labels(found) == labels
    assert len(labels[GOOD_LABEL]) <= LONGEST
    for read, kept in zip(found.good, memory.good, strict=False):
        assert set(read.images) <= set(kept.images)
        assert (read.snapshot, read.rollback_seconds) == (kept.snapshot, kept.rollback_seconds)
        for text in (read.operator, read.host, read.recipe, read.run_id, read.snapshot_host):
            assert len(text) <= SHOWN
            assert tame_line(text) == text


def test_the_longest_version_fits_and_the_oldest_are_left_out() -> None:
    """Quotes and backslashes are the longest in JSON."""
    texts = dict.fromkeys(("operator", "host", "recipe", "run_id", "snapshot_host"), '"' * SHOWN)
    images = tuple((f"{n:02}" + '"' * (LONGEST_IMAGE - 2), '"' * LONGEST_IMAGE) for n in range(MOST_IMAGES))
    longest = replace(GOOD, images=images, **texts)  # type: ignore[arg-type]
    memory = with_good(None, *(replace(longest, version=f"1.0.{n}+1") for n in range(KEPT)))

    found = from_labels(NAME, to_labels(memory))

    assert isinstance(found, Memory)
    assert found.good == memory.good[:1]


def test_a_version_recorded_again_moves_up_and_keeps_what_only_the_old_record_knew() -> None:
    """Its snapshot is still the newest copy of that version's data."""
    again = replace(
        GOOD,
        recorded="2026-03-02T12:00:00.000Z",
        snapshot=None,
        snapshot_host="",
        rollback_seconds=None,
        images=(),
    )

    found = with_good(Memory(stack=STACK, good=(NEXT, GOOD)), again)

    assert found.good == (replace(GOOD, recorded=again.recorded), NEXT)
    newer = replace(again, snapshot="20260302T120000-ffff", snapshot_host="laptop", rollback_seconds=5.0)
    assert with_good(found, newer).last == replace(newer, images=GOOD.images)


def test_the_last_versions_are_kept_and_their_snapshots_named() -> None:
    """As many as `KEPT`, the newest."""
    goods = [replace(GOOD, version=f"1.0.{n}+1", snapshot=f"20260301T12000{n}-1a2b") for n in range(KEPT + 2)]

    found = with_good(None, *goods)

    assert found.good == tuple(reversed(goods[2:]))
    assert found.snapshots == {each.snapshot for each in goods[2:]}
    assert Memory(stack=STACK, good=(NEXT,)).snapshots == frozenset()
    assert found.of("1.0.4+1") == goods[4]
    assert found.of("1.0.0+1") is None
    assert found.of(None) is None


# -- where a way back leads -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("running", "back"),
    [
        ("2.0.0+26.0.8", GOOD),
        ("3.0.0+27.0.0", NEXT),
        ("1.0.0+25.0.6", None),
        ("0.9.0+24.0.0", None),
        ("main", NEXT),
        (None, NEXT),
    ],
)
def test_a_way_back_leads_to_the_last_good_version_below(running: str | None, back: LastGood | None) -> None:
    """Never up; where what runs cannot be compared, to the last good one."""
    assert Memory(stack=STACK, good=(NEXT, GOOD)).before(running) == back


def test_after_going_back_the_failed_version_is_no_way_back() -> None:
    """The order is that of the records, the direction that of the versions."""
    older = replace(GOOD, version="0.5.0+24.0.0")
    memory = Memory(stack=STACK, good=(GOOD, NEXT, replace(GOOD, version="main"), older))

    assert memory.before(GOOD.version) == older
    assert Memory(stack=STACK, good=(replace(GOOD, version="main"), older)).before("main") is None


# -- names ------------------------------------------------------------------------------------------------------------


@given(st.text(max_size=80))
@example("")
@example("-")
@example("a" * 47)
@example("a" * 48)
@example("Keycloak")
@example("\ud800")
def test_every_stack_has_a_name_that_swarm_takes(stack: str) -> None:
    """Letters, digits, `-_.`, beginning and ending with one of the first two; at most 64; without capitals."""
    name = config_name(stack)

    assert name.startswith(PREFIX)
    assert len(name) <= 64
    assert name[-1].isalnum()
    assert name.isascii()
    assert name == name.lower()
    assert not set(name) - set("abcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_stacks_that_do_not_fit_have_names_of_their_own() -> None:
    """What is cut off is in the hash; a plain stack stands as it is."""
    long = [f"{'a' * 60}{n}" for n in range(9)]

    assert config_name(STACK) == PREFIX + STACK
    assert len({config_name(each) for each in [*long, "Drone", "drone", "dr-ne", "dr one", "dr/one"]}) == 14


# -- what others write there --------------------------------------------------------------------------------------


@given(st.dictionaries(st.sampled_from([*LABELS, "a"]), st.text(max_size=40) | JSON.map(json.dumps)))
@example({})
def test_any_labels_are_a_memory_or_none(labels: dict[str, str]) -> None:
    """Never an exception."""
    assert isinstance(from_labels(NAME, LABELS | labels), Memory | Unreadable)
    assert _why({key: value for key, value in labels.items() if key != "ccci-upgrade.app"})


@given(key=st.sampled_from(sorted(_entry())), value=JSON)
@example(key="rollback_seconds", value=float("nan"))
@example(key="rollback_seconds", value=10**400)
@example(key="rollback_seconds", value=True)
@example(key="recorded", value="٢٠٢٦-03-01T12:00:00.000Z")
@example(key="version", value="1.0.0\n")
@example(key="app", value="../../etc")
@example(key="images", value={"app": "\x1b[31m"})
@example(key="images", value={"": "x"})
def test_one_value_changed_by_somebody_else(key: str, value: object) -> None:
    """It reads as something harmless, or the whole is unreadable and says which value is to blame."""
    found = from_labels(NAME, _labels(_entry() | {key: value}))

    if isinstance(found, Unreadable):
        assert f"`{key}`" in found.why
    else:
        assert isinstance(found, Memory)
        assert from_labels(NAME, to_labels(found)) == found


@pytest.mark.parametrize("key", sorted(_entry()))
def test_what_may_be_missing_is_what_may_be_unknown(key: str) -> None:
    """A snapshot and a time; without anything else it is no memory."""
    found = from_labels(NAME, _labels({k: v for k, v in _entry().items() if k != key}))

    assert isinstance(found, Memory if key in ("snapshot", "rollback_seconds") else Unreadable)


def test_a_key_of_a_later_version_is_passed_over() -> None:
    """Keys may be added without a new schema."""
    assert isinstance(from_labels(NAME, _labels(_entry() | {"later": 1})), Memory)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"ccci-upgrade.app": "2"}, "knows only `1`"),
        ({"ccci-upgrade.app": "\x1b[31m" * 99}, "knows only `1`"),
        ({"ccci-upgrade.app.stack": "another"}, "another stack"),
        ({"ccci-upgrade.app.stack": ""}, "another stack"),
        ({GOOD_LABEL: "[" * 20000}, "no JSON"),
        ({GOOD_LABEL: " " * LONGEST + "[]"}, "too long"),
        ({GOOD_LABEL: "[]"}, "no list"),
        ({GOOD_LABEL: "{}"}, "no list"),
        ({GOOD_LABEL: json.dumps([_entry()] * 2)}, "twice"),
        ({GOOD_LABEL: json.dumps([_entry()] * (KEPT + 1))}, "no list"),
    ],
)
def test_what_is_no_memory_says_why(change: dict[str, str], why: str) -> None:
    """In words for the one who has to look."""
    assert why in _why(LABELS | change)


def test_a_copy_under_another_name_is_no_memory() -> None:
    """Else one app could be given the past of another."""
    assert "another stack" in _why(LABELS, config_name("drone_ci_example_org"))
    assert "missing" in _why({key: value for key, value in LABELS.items() if key != GOOD_LABEL})
