"""What to type next: one true way on for every end, safe to paste."""

import shlex
from dataclasses import replace

import pytest

from ccci_upgrade.model.next_steps import next_steps
from ccci_upgrade.model.verdict import TABLE, UNDOABLE, Evidence, Outcome, State, Verdict
from tests.builders import APP, NEW, OLD, STACK, app

LOG = "/var/lib/ccci-upgrade/abc/runs/r/abra.log"


def steps(
    state: State, *, was: str | None = OLD, to: str = NEW, service: str = "db", log: str = LOG
) -> tuple[str, ...]:
    """The commands after a run that ended so."""
    verdict = Verdict(state=state, evidence=(Evidence(text="label"), Evidence(text="x", service=service)))
    return next_steps(TABLE[state][0], verdict, app=app(), was=was, to=to, log=log)


BAD = [state for state in State if state is not State.CONVERGED]


@pytest.mark.parametrize("state", BAD)
def test_every_bad_end_has_commands_and_the_log(state: State) -> None:
    """At least one to look, and where abra's words are."""
    *commands, last = steps(state)

    assert commands
    assert last.startswith(f"less {LOG}")
    assert all(command.split()[0] in {"docker", "abra", "ccci-upgrade"} for command in commands)


@pytest.mark.parametrize("state", BAD)
def test_every_command_can_be_typed(state: State) -> None:
    """A shell takes it apart into words; no empty one, no rest of a format."""
    for command in steps(state):
        words = shlex.split(command, comments=True)
        assert all(words)
        assert "None" not in words


@pytest.mark.parametrize("state", BAD)
def test_the_service_of_the_evidence_is_the_one_to_look_at(state: State) -> None:
    """Not always `app`."""
    looking = [step for step in steps(state) if "docker service" in step]

    assert all(f"{STACK}_db" in step for step in looking)


@pytest.mark.parametrize("state", sorted(UNDOABLE))
def test_the_way_back_takes_the_data_along(state: State) -> None:
    """Bare `abra app rollback` leaves the data as it is, and refuses where Swarm went back already."""
    text = "\n".join(steps(state))

    assert f"ccci-upgrade rollback {APP} --to {OLD}" in text
    assert "abra app" not in text


def test_suspect_data_is_never_answered_with_a_version() -> None:
    """Neither way is safe before somebody looked at the data."""
    assert not any("abra" in step and "less" not in step for step in steps(State.DATA_SUSPECT))


@pytest.mark.parametrize("state", BAD)
def test_without_a_known_old_version_there_is_no_way_back_to_type(state: State) -> None:
    """Better no command than one with a hole in it."""
    assert not any(step.startswith("abra") for step in steps(state, was=None))


@pytest.mark.parametrize("state", BAD)
def test_foreign_text_stays_one_word(state: State) -> None:
    """A label may say anything, and these lines are there to be pasted."""
    evil = "1.0; touch /tmp/x $(id)"

    for step in steps(state, was=evil, to=evil, service=evil, log=f"/{evil}"):
        words = shlex.split(step, comments=True)
        assert not {"touch", "/tmp/x", "$(id)"} & set(words)


def test_without_a_verdict_the_way_on_is_to_look() -> None:
    """Nothing was done: plan again. Something was done and nobody could look: health."""
    undone = next_steps(Outcome.NOT_READY, None, app=app(), was=OLD, to=NEW, log="")
    unseen = next_steps(Outcome.FAILED, None, app=app(), was=OLD, to=NEW, log=LOG)

    assert undone == (f"ccci-upgrade plan {APP}",)
    assert unseen[0].startswith(f"ccci-upgrade health {APP}")
    assert LOG in unseen[1]


def test_an_odd_stack_name_stays_one_word() -> None:
    """It comes from the `.env`."""
    verdict = Verdict(state=State.MIXED, evidence=(Evidence(text="x"),))
    found = next_steps(Outcome.FAILED, verdict, app=replace(app(), stack="a; id"), was=None, to=NEW, log="")

    assert shlex.split(found[0]) == ["docker", "stack", "services", "a; id"]
