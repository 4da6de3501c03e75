"""What stands against a way back: each finding on its facts, and how long an app is down for its data."""

from dataclasses import replace

import pytest

from ccci_upgrade.model.facts import AbraInfo, EnvHistory, Facts
from ccci_upgrade.model.finding import Severity
from ccci_upgrade.model.findings.goingback import ACK_KINDS, Back, find
from ccci_upgrade.model.protection import (
    BYTES_A_SECOND,
    BYTES_A_SECOND_FAR,
    STOP_SECONDS,
    Protection,
)
from ccci_upgrade.model.snapshot import Manifest
from ccci_upgrade.store.snapshots import Written
from tests.builders import OLD, app, facts, stack
from tests.unit.test_snapshots import FIRST, manifest

CLEAN = facts()
KEPT: Manifest = manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=1, size=1, entries=1))
WHOLE = Back(version=OLD, manifest=KEPT, version_only=False, age="2 h 3 min")
ALONE = Back(version=OLD, manifest=KEPT, version_only=True)
NOTHING = Back(version=OLD, manifest=None, version_only=False)


def said(back: Back, seen: Facts = CLEAN) -> list[tuple[str, Severity]]:
    """Ids and severities."""
    return [(each.id, each.severity) for each in find(seen, back)]


def test_data_that_goes_must_be_acknowledged_with_what_and_how_old() -> None:
    """What is there now is kept, and that is said."""
    (found,) = find(CLEAN, WHOLE)

    assert (found.id, found.severity) == ("data-loss", Severity.ACK)
    assert found.evidence == (
        f"snapshot {FIRST} of {KEPT.version}, taken 2 h 3 min ago",
        "volume mariadb becomes what it was then",
        f"the present state of {OLD} is kept as a snapshot of its own",
    )


def test_data_that_stays_must_be_acknowledged_even_where_there_is_a_snapshot() -> None:
    """An older version may not know its form."""
    assert said(ALONE) == [("data-not-restored", Severity.ACK)]


def test_without_a_snapshot_of_that_version_it_is_refused() -> None:
    """Whatever else there is, is shown."""
    (found,) = find(CLEAN, NOTHING)
    (other,) = find(CLEAN, replace(NOTHING, others=("snapshot x of 1.0.0: good",)))

    assert (found.id, found.severity) == ("snapshot-missing", Severity.BLOCK)
    assert found.evidence == ("there are no snapshots of this app on this machine",)
    assert other.evidence == ("snapshot x of 1.0.0: good",)


@pytest.mark.parametrize("back", [WHOLE, ALONE])
def test_an_unknown_version_has_run_on_the_data(back: Back) -> None:
    """No `None` is shown to anybody."""
    (found,) = find(replace(CLEAN, deployed=None, deployed_text=None), back)

    assert any("an unknown version" in line for line in found.evidence)


@pytest.mark.parametrize("back", [WHOLE, ALONE, NOTHING])
def test_an_app_without_data_only_changes_its_version(back: Back) -> None:
    """Nothing of it can be lost."""
    assert said(back, replace(CLEAN, app=app(holds_data=False))) == []


def test_an_app_that_is_not_deployed_is_only_that() -> None:
    """Nobody is asked about data then."""
    assert said(NOTHING, facts(running=stack())) == [("undeployed", Severity.BLOCK)]


def test_of_the_surroundings_only_blocks_and_warnings_count() -> None:
    """What an upgrade must be asked about, and what is only of interest, does not hold a way back."""
    unread = AbraInfo(path="/usr/bin/abra", version="0.13.0", unread=("abra app deploy --help",))
    dirty = EnvHistory(uncommitted=" M x.env")
    around = replace(CLEAN, abra=unread, env_history=dirty, disk_free=0, app=app(holds_data=False))
    severities = {severity for _, severity in said(WHOLE, around)}

    assert severities == {Severity.WARN, Severity.BLOCK}


def test_exactly_its_ack_findings_can_be_acknowledged() -> None:
    """An acknowledgement of anything else is a mistake."""
    acks = {id_ for back in (WHOLE, ALONE, NOTHING) for id_, how in said(back) if how is Severity.ACK}

    assert acks == ACK_KINDS


# -- how the data is protected -----------------------------------------------------------------------------


def test_the_time_down_grows_with_the_size_and_the_way() -> None:
    """Over ssh it is longer."""
    sizes = {"a": BYTES_A_SECOND, "b": BYTES_A_SECOND}

    assert Protection(sizes=sizes).size == 2 * BYTES_A_SECOND
    assert Protection(sizes=sizes).seconds == STOP_SECONDS + 2
    assert (
        Protection(sizes=sizes, remote=True).seconds == STOP_SECONDS + 2 * BYTES_A_SECOND / BYTES_A_SECOND_FAR
    )
