"""What abra's listings of backups are taken for, and what two of them prove."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.backups import Backup, compare, parse_backups

BEGAN = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
OLD = Backup(id="0ld00001", taken=BEGAN - timedelta(days=1), size=1000)


def backup(seconds: float = 5, *, size: int | None = 1000, zone: bool = True) -> Backup:
    """A backup that was not there before."""
    taken = BEGAN + timedelta(seconds=seconds)
    return Backup(id="fe000001", taken=taken if zone else taken.replace(tzinfo=None), size=size)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "2026-03-01T12:00:00 1a2b3c4d 10.0.0+26.0.0",
            Backup(id="1a2b3c4d", taken=datetime(2026, 3, 1, 12)),  # noqa: DTZ001 - the listing names no zone
        ),
        (
            f"\x1b[1;32m2026-03-01T12:00:00.123456789Z\x1b[0m {'1a2b3c4d' * 8}\r",
            Backup(id="1a2b3c4d", taken=BEGAN),
        ),
        (
            "┃ 2026-03-01 13:00:00+01:00 ┃ 1a2b3c4d ┃",
            Backup(id="1a2b3c4d", taken=datetime(2026, 3, 1, 13, tzinfo=BEGAN.astimezone().tzinfo)),
        ),
    ],
    ids=["plain", "coloured", "table"],
)
def test_a_line_has_a_time_and_an_id(line: str, expected: Backup) -> None:
    """Whatever stands around them."""
    (found,) = parse_backups(f"INFO listing\n{line}\nWARN No Snapshots found\n")

    assert found.id == expected.id
    assert found.size is None
    assert found.taken is not None
    if line.startswith("┃"):
        assert found.taken == BEGAN
    else:
        assert found.taken == expected.taken


def test_restics_own_json_has_sizes() -> None:
    """Nanoseconds are cut, the size is that of the files; what is not as restic writes it is passed over."""
    rows = [
        {
            "time": "2026-03-01T14:00:00.123456789+02:00",
            "id": "ab" * 32,
            "summary": {"total_bytes_processed": 42},
        },
        {"time": "2026-03-01T14:00:01+02:00", "id": "cd" * 32},
        {"time": 5, "id": "ef" * 32, "summary": {"total_bytes_processed": -1}},
        {"id": "../../etc"},
        "nonsense",
    ]

    found = parse_backups(f"INFO listing\n{json.dumps(rows)}\n")

    assert [(b.id, b.size) for b in found] == [("abababab", 42), ("cdcdcdcd", None), ("efefefef", None)]
    assert found[0].taken == BEGAN
    assert found[2].taken is None


@given(st.text(alphabet=st.sampled_from('2026-03-01T12:00:00Z+ abcdef[]{}":,\x1b[;m\n'), max_size=300))
def test_no_text_is_too_odd(text: str) -> None:
    """Foreign text never raises, and ids are hexadecimal."""
    for found in parse_backups(text):
        assert len(found.id) == 8
        assert set(found.id) <= set("0123456789abcdef")


def test_a_long_listing_takes_no_long_time() -> None:
    """A megabyte of what nearly is a backup."""
    began = datetime.now(UTC)
    assert parse_backups("2026-03-01T12:00:00 " * 50_000) == ()
    assert parse_backups("[" * 1_000_000) == ()
    assert (datetime.now(UTC) - began).total_seconds() < 5


def test_all_that_is_seen_makes_it_proven() -> None:
    """It is new, of this run, and as large as the one before."""
    seen = compare((OLD,), (OLD, backup()), began=BEGAN)

    assert (seen.backup, seen.refused, seen.doubts) == (backup(), "", ())


@pytest.mark.parametrize(
    ("after", "why"),
    [
        ((), "no new backup"),
        ((OLD,), "no new backup"),
        ((OLD, backup(size=0)), "empty"),
        ((OLD, backup(-3)), "older than this run"),
    ],
    ids=["none", "same", "empty", "stale"],
)
def test_what_is_of_no_use_is_refused(after: tuple[Backup, ...], why: str) -> None:
    """Success was said, and the data is missing."""
    assert why in compare((OLD,), after, began=BEGAN).refused


@pytest.mark.parametrize(
    ("before", "new", "doubt"),
    [
        ((OLD,), backup(size=None), "its size is not listed"),
        ((OLD,), backup(size=499), "it has 499 bytes, the one before 1000"),
        ((OLD,), backup(-7200, zone=False), "its time cannot be compared"),
        (None, backup(), "what there was before could not be listed"),
    ],
    ids=["no size", "much smaller", "no zone", "no list before"],
)
def test_what_cannot_be_seen_is_a_doubt(before: tuple[Backup, ...] | None, new: Backup, doubt: str) -> None:
    """Never called good, and not refused either."""
    seen = compare(before, (OLD, new), began=BEGAN)

    assert (seen.backup, seen.refused, seen.doubts) == (new, "", (doubt,))


def test_a_listing_that_cuts_the_second_is_allowed_for() -> None:
    """Two seconds, and no more."""
    assert compare((OLD,), (OLD, backup(-2)), began=BEGAN).doubts == ()
    assert compare((OLD,), (OLD, backup(-2, zone=False)), began=BEGAN).doubts == ()
    assert compare((OLD,), (OLD, backup(-2.1)), began=BEGAN).refused


def test_half_the_size_is_enough() -> None:
    """The limit itself is no doubt, and a backup before without a size does not count."""
    unknown = Backup(id="0ld00002", taken=BEGAN - timedelta(hours=1))

    assert compare((OLD, unknown), (OLD, unknown, backup(size=500)), began=BEGAN).doubts == ()


def test_without_a_list_before_only_its_time_makes_it_new() -> None:
    """An old one is not taken for what was just made, with or without a zone."""
    assert "older" in compare(None, (OLD,), began=BEGAN).refused
    assert "older" in compare(None, (backup(-10, zone=False),), began=BEGAN).refused
    assert compare(None, (backup(zone=False), OLD), began=BEGAN).backup == backup(zone=False)


def test_the_newest_of_several_is_judged() -> None:
    """A timer's backup may come in between; the order of a listing says nothing."""
    other = Backup(id="fe000002", taken=BEGAN + timedelta(seconds=9), size=900)

    assert compare((OLD,), (other, backup(), OLD), began=BEGAN).backup == other
