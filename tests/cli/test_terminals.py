"""Every command at every kind of terminal, and at none: nothing hangs, nothing is accepted that nobody said."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pexpect
import pytest

from tests.cli.scene import ACK, Ran, Scene, ended

COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "status": (("status",), 0),
    "notes": (("notes", "keycloak"), 0),
    "plan": (("plan",), 0),
    "upgrade": (("upgrade", "keycloak", "--lease-wait", "60"), 12),
    "upgrade --all": (("upgrade", "--all", "--lease-wait", "60"), 12),
    "upgrade --json": (("upgrade", "keycloak", "--json", "--lease-wait", "60"), 12),
    "menu": (("upgrade",), 18),
    "health": (("health",), 0),
    "history": (("history",), 0),
    "doctor": (("doctor",), 0),
}
"""Arguments, and the exit code where nobody can answer."""

BOUND = 5.0
"""Seconds nothing may hang, on a machine that has nothing else to do."""

BUSY = 12
"""How many times the start of the tool a command may take besides: a busy machine is slow with both."""

_COLOUR = re.compile(r"\x1b\[[\d;]*\b(?:[349]\d|10\d)\b[\d;]*m")
_ESCAPE = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]")


def _silent_pipe(scene: Scene, words: tuple[str, ...]) -> Ran:
    reading, writing = os.pipe()
    try:
        return scene.run(*words, stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)


NOWHERE: dict[str, Callable[[Scene, tuple[str, ...]], Ran]] = {
    "stdin /dev/null": lambda scene, words: scene.run(*words),
    "closed stdin": lambda scene, words: scene.run(*words, script='exec "$@" <&-'),
    "silent pipe": _silent_pipe,
    "piped y": lambda scene, words: scene.run(*words, data=b"y\n" * 50),
    "piped name": lambda scene, words: scene.run(*words, data=b"keycloak.ci.example.org\n" * 50),
    "--no-input": lambda scene, words: scene.run(*words, "--no-input"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_terminal_nothing_is_asked_accepted_or_waited_for(calm: Scene, command: str) -> None:
    """Held is held, whatever stdin is; and what is printed holds no control character."""
    words, code = COMMANDS[command]

    def run(way: Callable[[Scene, tuple[str, ...]], Ran]) -> Ran:
        return way(calm, words)

    with ThreadPoolExecutor(max_workers=2) as pool:
        start = pool.submit(calm.run, "--version")
        ran = dict(zip(NOWHERE, pool.map(run, NOWHERE.values()), strict=True))
    bound = BOUND + BUSY * start.result().seconds

    for way, each in ran.items():
        assert each.code == code, (way, each)
        assert each.seconds < bound, way
        assert not _ESCAPE.search(each.out + each.err), (way, each)
        assert b"Traceback" not in each.err, way
        if code:
            assert each.last.startswith(f"ccci-upgrade --config {calm.config} upgrade "), (way, each.last)
    assert calm.untouched()


@pytest.mark.parametrize("terminal", ["plain", "NO_COLOR", "dumb", "narrow"])
@pytest.mark.parametrize("command", [c for c, (_, code) in COMMANDS.items() if code == 0])
def test_reading_commands_end_by_themselves_at_every_terminal(
    calm: Scene, command: str, terminal: str
) -> None:
    """They ask nothing; versions and names are never folded; NO_COLOR and a dumb terminal have no colour."""
    env = {"NO_COLOR": {"NO_COLOR": "1"}, "dumb": {"TERM": "dumb"}}.get(terminal, {})
    child = calm.pty(*COMMANDS[command][0], env=env, columns=40 if terminal == "narrow" else 80)
    assert ended(child) == 0
    said = str(child.before)
    assert "Traceback" not in said
    assert terminal in ("plain", "narrow") or not _COLOUR.search(said)
    assert terminal != "dumb" or "\x1b" not in said
    if command not in ("history", "doctor"):
        assert "keycloak.ci.example.org" in said
    if command in ("status", "notes", "plan"):
        assert "1.1.0+1.1.0" in said


@pytest.mark.parametrize("command", ["upgrade", "menu", "upgrade --json"])
def test_a_dumb_terminal_is_no_terminal(calm: Scene, command: str) -> None:
    """It cannot show a question: held, with the command that goes on."""
    words, code = COMMANDS[command]
    child = calm.pty(*words, env={"TERM": "dumb"}, columns=500)
    assert ended(child) == code
    assert str(child.before).rstrip().splitlines()[-1].startswith("ccci-upgrade --config ")
    assert calm.untouched()


@pytest.mark.parametrize("stop", ["\x03", "\x04", "\r", "\x1b\x1b"])
@pytest.mark.parametrize(
    ("command", "question"),
    [("upgrade", "the app's name:"), ("upgrade --json", "the app's name:"), ("menu", "which apps")],
)
def test_ctrl_c_ctrl_d_and_enter_decline(calm: Scene, command: str, question: str, stop: str) -> None:
    """At a question each of them is a no: exit 17, and nothing was changed."""
    if stop == "\x1b\x1b":
        stop += "\r"
    child = calm.pty(*COMMANDS[command][0], columns=100)
    child.expect_exact(question)
    child.expect(pexpect.TIMEOUT, timeout=0.3)  # so that the question reads keys, and throws none away
    child.send(stop)
    assert ended(child) == 17
    assert "Traceback" not in str(child.before)
    assert "nothing was changed" in str(child.before)
    assert calm.untouched()


def test_an_acknowledgement_takes_the_apps_name_and_nothing_else(calm: Scene) -> None:
    """`y`, `yes` and the recipe's name acknowledge nothing; the evidence stands above the question."""
    for answer in ("y", "yes", "keycloak", "KEYCLOAK.CI.EXAMPLE.ORG"):
        child = calm.pty("upgrade", "keycloak", columns=100)
        child.expect_exact("release/1.1.0+1.1.0:1: ATTENTION: a manual migration is needed.")
        child.expect_exact("to accept this, type keycloak.ci.example.org")
        child.expect_exact("the app's name:")
        child.expect(pexpect.TIMEOUT, timeout=0.3)
        child.send(f"{answer}\r")
        assert ended(child) == 17, answer
    assert calm.untouched()


def test_what_was_typed_before_a_question_answers_nothing(calm: Scene) -> None:
    """Keys pressed while the plan was made are thrown away: the question still waits."""
    child = calm.pty("upgrade", "traefik", columns=100)
    child.send("y\r")
    child.expect_exact("now?")
    child.expect(pexpect.TIMEOUT, timeout=1.0)
    assert child.isalive()
    child.send("\r")
    assert ended(child) == 17
    assert calm.untouched()


def test_a_y_needs_an_enter(calm: Scene) -> None:
    """A key pressed once too often must not answer the next question."""
    child = calm.pty("upgrade", "traefik", columns=100)
    child.expect_exact("now?")
    child.expect(pexpect.TIMEOUT, timeout=0.3)
    child.send("y")
    child.expect(pexpect.TIMEOUT, timeout=0.7)
    assert child.isalive()
    assert calm.untouched()
    child.send("n\r")
    assert ended(child) == 17


def test_questions_leave_stdout_to_the_document(calm: Scene) -> None:
    """With `--json` at a terminal everything a person sees is on stderr; stdout is one document."""
    child = calm.pty("upgrade", "keycloak", "--json", columns=100, script='exec "$@" >document')
    child.expect_exact("to accept this, type keycloak.ci.example.org")
    child.expect_exact("the app's name:")
    child.expect(pexpect.TIMEOUT, timeout=0.3)
    child.send("keycloak.ci.example.org\r")
    child.expect_exact("now?")
    child.expect(pexpect.TIMEOUT, timeout=0.3)
    child.send("n\r")
    assert ended(child) == 17
    document = (calm.folder / "document").read_bytes()
    assert document.startswith(b"{\n")
    assert b'"exit_code": 17' in document
    assert not _ESCAPE.search(document)


def test_a_person_sees_the_plan_wherever_the_results_go(calm: Scene) -> None:
    """With stdout in a file, who is asked must still see what it is about."""
    child = calm.pty("upgrade", "traefik", columns=100, script='exec "$@" >results')
    child.expect_exact("Fixes two bugs. Nothing to do.")
    child.expect_exact("now?")
    child.send("\x03")
    assert ended(child) == 17
    assert b"Fixes two bugs" in (calm.folder / "results").read_bytes()


def test_plain_output_keeps_its_lines_whole(calm: Scene) -> None:
    """Not at a terminal nothing is folded at 80 columns, and no line ends in blanks."""
    for words in (("plan",), ("status",), ("doctor",), ("notes", "keycloak"), ("upgrade", "--all")):
        ran = calm.run(*words, env={"COLUMNS": "60"})
        lines = (ran.out + ran.err).decode().splitlines()
        assert not [line for line in lines if line != line.rstrip()]
        if words[0] in ("plan", "upgrade"):
            assert any("#migrating-to-1-1-0" in line for line in lines)


def test_the_printed_line_goes_on(scene: Scene) -> None:
    """The last line of a held run, given to a shell as it is, upgrades."""
    held = scene.run("upgrade", "keycloak")
    assert held.code == 12
    assert held.last.endswith(f" upgrade keycloak --ack {ACK}")

    done = scene.line(held.last)

    assert done.code == 0, done.err
    assert [run["outcome"] for run in scene.runs()] == ["upgraded"]


def test_the_printed_lines_lead_from_no_name_to_the_end(scene: Scene) -> None:
    """Exit 18 names the apps; that line is held; the line it prints upgrades both."""
    first = scene.run("upgrade", "--json", "--offline")
    assert first.code == 18
    second = scene.line(first.last)
    assert second.code == 12, second.err
    assert "--offline --json" in second.last
    third = scene.line(second.last)
    assert third.code == 0, third.err
    assert {run["app"] for run in scene.runs()} == {"keycloak.ci.example.org", "traefik.ci.example.org"}


def test_nothing_newer_needs_no_answer(scene: Scene) -> None:
    """Without anything to choose from, `upgrade` says so and is done, with a terminal and without."""
    for recipe in ("traefik", "keycloak"):
        scene.engine.put(scene.stack(recipe), f"{recipe}:1.1.0", "1.1.0+1.1.0")
    ran = scene.run("upgrade")
    assert ran.code == 0, ran.err
    assert b"up to date" in ran.out
    child = scene.pty("upgrade")
    assert ended(child) == 0


def test_three_apps_by_prompts(scene: Scene) -> None:
    """Choose all in the menu, acknowledge, confirm each: both are upgraded, traefik last."""
    child = scene.pty("upgrade", columns=120)
    child.expect_exact("which apps")
    child.expect(pexpect.TIMEOUT, timeout=0.3)
    child.send("a\r")
    child.expect_exact("the app's name:")
    child.expect(pexpect.TIMEOUT, timeout=0.3)
    child.send("keycloak.ci.example.org\r")
    for app in ("keycloak", "traefik"):
        child.expect_exact(f"upgrade {app}.ci.example.org 1.0.0+1.0.0 → 1.1.0+1.1.0 now?")
        child.expect(pexpect.TIMEOUT, timeout=0.3)
        child.send("y\r")
    assert ended(child, 30) == 0
    assert [(run["recipe"], run["outcome"]) for run in scene.runs()] == [
        ("keycloak", "upgraded"),
        ("traefik", "upgraded"),
    ]
    assert scene.runs()[0]["acknowledged"] == [ACK]
