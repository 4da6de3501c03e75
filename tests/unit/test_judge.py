"""The last word: what overrules a watch that ended green."""

from dataclasses import replace

import pytest

from ccci_upgrade.errors import Exit
from ccci_upgrade.model.converge import Kind, Reading
from ccci_upgrade.model.judge import detached_volumes, judge, not_mounted, vanished
from ccci_upgrade.model.probe import Difference, Gap
from ccci_upgrade.model.swarm import Mount, Stack
from ccci_upgrade.model.verdict import OUTCOME_EXIT, TABLE, Evidence, State, Verdict
from ccci_upgrade.store.snapshots import Written
from tests.builders import DB_IMAGE, service, stack, volume
from tests.unit.test_snapshots import manifest

DATA = Mount(kind="volume", source="stack_data", target="/var/lib/data")
CERTS = Mount(kind="volume", source="stack_certs", target="/certs")
BEFORE = stack(service("db", image=DB_IMAGE, mounts=(DATA, CERTS)), volumes=(volume("stack_data"),))
WORSE = Difference(probe="realm", text="status was 200, is 502")
SEEN = Evidence(text="db: 1/1 running")


def green(state: State = State.CONVERGED) -> Reading:
    """A watch that settled."""
    return Reading(kind=Kind.SETTLED, state=state, evidence=(SEEN,))


def after(*mounts: Mount, created: float | None = -1000.0) -> Stack:
    """The stack with these mounts, its data volume made at `created`."""
    return stack(
        service("db", image=DB_IMAGE, mounts=mounts), volumes=(volume("stack_data", created=created),)
    )


def verdict(
    now: Stack,
    *worse: Difference,
    reading: Reading | None = None,
    acknowledged: frozenset[str] = frozenset(),
) -> Verdict:
    """Judge what the watch and the probes said."""
    detached = tuple(detached_volumes(BEFORE, now, acknowledged))
    return judge(reading or green(), detached=detached, differences=worse)


def words(judged: Verdict) -> str:
    """All evidence as one text."""
    return "\n".join(e.text for e in judged.evidence)


def test_green_with_all_data_and_no_difference_stays_green() -> None:
    """The watch's own evidence is kept."""
    judged = verdict(BEFORE)

    assert judged.state is State.CONVERGED
    assert SEEN in judged.evidence


def test_a_renamed_volume_is_detached_data() -> None:
    """The app is healthy, on an empty volume."""
    judged = verdict(after(replace(DATA, source="stack_data2"), CERTS))

    assert judged.state is State.DATA_DETACHED
    assert "/var/lib/data holds volume stack_data2 now, not stack_data" in words(judged)


def test_an_acknowledged_removal_does_not_cover_a_rename() -> None:
    """What was accepted is that a mount goes away, not that an empty volume takes its place."""
    seen = after(replace(DATA, source="stack_data2"), CERTS)

    assert verdict(seen, acknowledged=frozenset({"volume-removed:stack_data"})).state is State.DATA_DETACHED


def test_a_removed_volume_is_detached_data_unless_it_was_acknowledged() -> None:
    """By its own name, not by another's."""
    seen = after(DATA)

    assert verdict(seen).state is State.DATA_DETACHED
    assert verdict(seen, acknowledged=frozenset({"volume-removed:other"})).state is State.DATA_DETACHED
    assert verdict(seen, acknowledged=frozenset({"volume-removed:stack_certs"})).state is State.CONVERGED


def test_a_volume_at_another_path_is_not_lost() -> None:
    """An image may have moved its data folder; the volume is still mounted."""
    assert verdict(after(replace(DATA, target="/data"), CERTS)).state is State.CONVERGED


@pytest.mark.parametrize("created", [5.0, None])
def test_a_volume_of_the_same_name_made_anew_is_detached_data(created: float | None) -> None:
    """Its name is all that it shares with the old one; one that is gone altogether counts too."""
    judged = verdict(after(DATA, CERTS, created=created))

    assert judged.state is State.DATA_DETACHED
    assert "made anew" in words(judged)


def test_a_creation_time_that_was_never_known_accuses_nobody() -> None:
    """Some drivers tell none."""
    unknown = stack(
        service("db", image=DB_IMAGE, mounts=(DATA,)), volumes=(volume("stack_data", created=None),)
    )

    judged = judge(
        green(), detached=tuple(detached_volumes(unknown, after(DATA), frozenset())), differences=()
    )

    assert judged.state is State.CONVERGED


def test_a_bind_mount_is_no_volume() -> None:
    """What a recipe binds from the host is the host's."""
    bound = stack(service("db", mounts=(Mount(kind="bind", source="/srv", target="/srv"),)))

    judged = judge(
        green(), detached=tuple(detached_volumes(bound, stack(service("db")), frozenset())), differences=()
    )

    assert judged.state is State.CONVERGED


def test_an_anonymous_volume_that_gets_a_name_detaches_nothing() -> None:
    """It would not have outlived its task in any case."""
    nameless = stack(service("db", mounts=(replace(DATA, source=""),)))

    judged = judge(
        green(), detached=tuple(detached_volumes(nameless, after(DATA), frozenset())), differences=()
    )

    assert judged.state is State.CONVERGED


def test_what_could_not_be_proven_counts_and_says_so() -> None:
    """Unknown is not fine, and not the same as seen to be worse."""
    judged = verdict(BEFORE, replace(WORSE, gap=Gap.NOT_RUN))

    assert judged.state is State.UNHEALTHY
    assert "could not be proven as before" in judged.evidence[0].text


def test_a_probe_that_got_worse_makes_it_unhealthy() -> None:
    """The Swarm sees running tasks, a person would see an error page."""
    judged = verdict(BEFORE, WORSE)

    assert judged.state is State.UNHEALTHY
    assert judged.evidence[0].text == "probe realm: status was 200, is 502"
    assert SEEN in judged.evidence


def test_detached_data_is_told_before_a_red_probe() -> None:
    """The empty volume is why the page is red."""
    assert verdict(after(CERTS), WORSE).state is State.DATA_DETACHED


def test_rolled_back_with_a_red_probe_is_not_back_and_healthy() -> None:
    """Exit 14 promises a healthy old version."""
    judged = verdict(BEFORE, WORSE, reading=green(State.SWARM_ROLLED_BACK))

    assert judged.state is State.UNHEALTHY
    assert verdict(BEFORE, reading=green(State.SWARM_ROLLED_BACK)).state is State.SWARM_ROLLED_BACK


def test_suspect_data_stays_suspect_whatever_the_probes_say() -> None:
    """That is the graver word; the difference is kept beside it."""
    judged = verdict(BEFORE, WORSE, reading=green(State.DATA_SUSPECT))

    assert judged.state is State.DATA_SUSPECT
    assert "probe realm" in words(judged)


@pytest.mark.parametrize(
    "state", sorted(set(State) - {State.CONVERGED, State.SWARM_ROLLED_BACK, State.DATA_SUSPECT})
)
def test_what_the_watch_found_wrong_is_never_overruled(state: State) -> None:
    """Neither by probes nor by volumes."""
    reading = Reading(kind=Kind.FINAL, state=state, evidence=(SEEN,))

    assert verdict(after(), WORSE, reading=reading) == Verdict(state=state, evidence=(SEEN,))


def test_a_watch_without_an_end_did_not_converge() -> None:
    """Nobody may call that green."""
    reading = Reading(kind=Kind.WAITING, waiting_for="abra")

    assert verdict(BEFORE, reading=reading).state is State.NOT_CONVERGED


@pytest.mark.parametrize("state", State)
def test_every_state_has_one_outcome_whose_exit_code_is_the_same_with_and_without_a_verdict(
    state: State,
) -> None:
    """One table for every command."""
    outcome, code = TABLE[state]

    assert OUTCOME_EXIT[outcome] is code


def test_only_converged_is_a_success() -> None:
    """No other state may exit 0."""
    assert [state for state in State if TABLE[state][1] is Exit.OK] == [State.CONVERGED]


def test_a_service_that_is_gone_has_lost_no_volume() -> None:
    """A target may drop one; the next service's data is still looked at."""
    before = stack(service("cache", mounts=(CERTS,)), *BEFORE.services, volumes=BEFORE.volumes)
    gone = stack(*BEFORE.services, volumes=BEFORE.volumes)

    assert list(detached_volumes(before, gone, frozenset())) == []
    assert [each.service for each in detached_volumes(before, after(CERTS), frozenset())] == ["db"]


def test_another_volume_made_during_the_run_says_nothing_of_ours() -> None:
    """Each volume is compared with itself."""
    mine = volume("stack_data")
    before = stack(*BEFORE.services, volumes=(volume("other"), mine))
    now = stack(*BEFORE.services, volumes=(volume("other", created=5.0), mine))

    assert list(detached_volumes(before, now, frozenset())) == []
    anew = stack(*BEFORE.services, volumes=(volume("other"), volume("stack_data", created=5.0)))
    assert [each.service for each in detached_volumes(before, anew, frozenset())] == ["db"]


def test_a_volume_of_a_snapshot_that_is_mounted_no_more_is_named() -> None:
    """The wrong one, none at all, or no service: what is put back would be seen by nobody."""
    copied = manifest(Written(file="0.tar.gz", sha256="0" * 64, compressed=1, size=1, entries=2))
    at = Mount(kind="volume", source="mariadb", target="/var/lib/mysql")

    assert list(not_mounted(copied, after(at))) == []
    for now, said in (
        (after(replace(at, source="other")), "holds other, not mariadb"),
        (after(), "holds no volume, not mariadb"),
        (stack(service("app")), "holds no volume, not mariadb"),
    ):
        (line,) = not_mounted(copied, now)
        assert (line.service, line.text) == ("db", f"db: /var/lib/mysql {said}")


def test_a_volume_that_is_away_is_named_only_where_it_was_there_and_is_still_mounted() -> None:
    """Certificates' volume was never there in `BEFORE`; one that nothing mounts any more is somebody's decision."""
    away = stack(service("db", image=DB_IMAGE, mounts=(DATA, CERTS, replace(CERTS, kind="bind"))))

    assert list(vanished(BEFORE, BEFORE)) == []
    assert list(vanished(BEFORE, replace(away, services=()))) == []
    (line,) = vanished(BEFORE, away)
    assert (line.service, line.text) == ("db", "db: volume stack_data was removed during the run")
    bound = stack(service("db", image=DB_IMAGE, mounts=(replace(DATA, kind="bind"),)))
    assert list(vanished(BEFORE, bound)) == []
