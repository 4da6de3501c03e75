"""The stand-in's command line, without an Engine: help, arguments, habits and refusals before anything is read."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ccci_upgrade.practice import habits
from ccci_upgrade.practice.commandline import COMMANDS, Call, parse
from ccci_upgrade.practice.console import FatalError
from tests.gitrepo import GitRepo

APP = "traefik.ci.example.org"
ROOT = Path(__file__).parents[2]


def abra(folder: Path, *words: str, stdin: str | None = None) -> tuple[int, str, str]:
    """Run it as a program; no Engine can be found."""
    env = os.environ | {"ABRA_DIR": str(folder), "DOCKER_HOST": "unix:///nonexistent.sock"}
    ran = subprocess.run(
        [sys.executable, "-m", "ccci_upgrade.practice.abra", *words],
        env=env,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture
def abra_dir(tmp_path: Path) -> Path:
    """Give a directory with one app and its recipe."""
    server = tmp_path / "servers" / "ci.example.org"
    server.mkdir(parents=True)
    (server / f"{APP}.env").write_text(f"TYPE=traefik:1.0.0+3.0.0\nDOMAIN={APP}\n")
    recipe = GitRepo(tmp_path / "recipes" / "traefik")
    compose = (
        "version: '3.8'\nservices:\n  app:\n    image: traefik:v3\nsecrets:\n  key:\n    external: true\n"
    )
    recipe.release("1.0.0+3.0.0", {"compose.yml": compose})
    recipe.release("1.10.0+3.0.0", {"compose.yml": compose})
    recipe.release("1.9.0+3.0.0", {"compose.yml": compose})
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.words))
def test_every_command_shows_its_flags(command: object, tmp_path: Path) -> None:
    """Help needs no ABRA_DIR, ends with 0, and names usage and every flag in both spellings."""
    found = next(known for known in COMMANDS if known is command)
    shown = parse([*found.words, "--help"])
    assert isinstance(shown, str)
    assert f"abra {' '.join(found.words)} " in shown
    for short, long, _ in found.flags:
        assert f"-{short}, --{long}" in shown
    assert "-n, --no-input" in shown
    assert parse([*found.words, "-h"]) == shown
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--version"], "abra version 0.13"),
        (["--help"], "Available Commands:"),
        ([], "Available Commands:"),
        (["app", "--help"], "upgrade "),
        (["app", "secret", "--help"], "generate "),
    ],
)
def test_groups_and_version_are_shown(words: list[str], expected: str) -> None:
    """As a program: standard output, exit 0, nothing on standard error."""
    assert abra(Path("/nonexistent"), *words)[0::2] == (0, "")
    shown = parse(words)
    assert isinstance(shown, str)
    assert expected in shown


@pytest.mark.parametrize(
    "words",
    [
        ["app", "upgrade", APP, "1.0.1", "-n", "-f"],
        ["-n", "app", "upgrade", "-f", APP, "1.0.1"],
        ["app", "-nf", "upgrade", APP, "1.0.1"],
        ["app", "upgrade", APP, "--force", "1.0.1", "--no-input"],
    ],
)
def test_flags_may_stand_anywhere(words: list[str]) -> None:
    """Long, short and joined, before and behind."""
    call = parse(words)
    assert isinstance(call, Call)
    assert (call.verb, call.arguments) == ("upgrade", (APP, "1.0.1"))
    assert call.flags == {"no-input", "force"}


def test_list_and_ls_are_one_command() -> None:
    """Both spellings are in use."""
    for words in (["app", "list"], ["app", "ls"], ["app", "secret", "list", APP], ["server", "list", "-m"]):
        call = parse(words)
        assert isinstance(call, Call)
        assert call.verb == "ls"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["app", "upgrade", APP, "--chaos"], "unknown flag: --chaos"),
        (["app", "upgrade", APP, "-nC"], "unknown flag: -C"),
        (["app", "upgrade"], "accepts 1 to 2 args, received 0"),
        (["app", "upgrade", APP, "1", "2"], "received 3"),
        (["app", "explode"], 'unknown command "app explode"'),
        (["app", "upgrade", "nope.example.org", "-n"], "cannot find app with name nope.example.org"),
        (["recipe", "fetch", "nope"], "recipe does not exist"),
        (["app", "upgrade", APP, "-n"], "`/nonexistent.sock` did not answer"),
    ],
)
def test_a_fatal_line_is_on_standard_output(abra_dir: Path, words: list[str], complaint: str) -> None:
    """Exit 1, one `FATA` line on stdout, and nothing on stderr: no traceback."""
    code, out, err = abra(abra_dir, *words)
    assert (code, err) == (1, "")
    assert out.startswith("FATA ")
    assert complaint in out


def test_it_needs_no_docker_client(abra_dir: Path) -> None:
    """Another server's Engine is found by its Docker context; without one that is said, and nothing is tried."""
    ran = subprocess.run(
        [sys.executable, "-m", "ccci_upgrade.practice.abra", "app", "ps", APP],
        env={"ABRA_DIR": str(abra_dir), "PATH": "", "HOME": str(abra_dir), "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (ran.returncode, ran.stderr) == (1, "")
    assert "unable to reach the Docker daemon of ci.example.org at no known place" in ran.stdout


def test_reading_commands_speak_json(abra_dir: Path) -> None:
    """The shapes other users of abra decode; versions in their own order, newest first."""
    listed = json.loads(abra(abra_dir, "app", "ls", "-m")[1])
    assert [app["appName"] for app in listed["ci.example.org"]["apps"]] == [APP]
    assert all(isinstance(value, str) for value in listed["ci.example.org"]["apps"][0].values())
    assert json.loads(abra(abra_dir, "server", "ls", "-m")[1]) == [
        {"name": "ci.example.org", "host": "ci.example.org"}
    ]
    versions = json.loads(abra(abra_dir, "recipe", "versions", "traefik", "-m")[1])
    assert [row["version"] for row in versions] == ["1.10.0+3.0.0", "1.9.0+3.0.0", "1.0.0+3.0.0"]


def test_a_dirty_recipe_is_not_fetched(abra_dir: Path) -> None:
    """As abra: an untracked file is enough."""
    assert abra(abra_dir, "recipe", "fetch", "traefik")[:2] == (0, "")
    (abra_dir / "recipes" / "traefik" / "new.yml").touch()
    code, out, _ = abra(abra_dir, "recipe", "fetch", "traefik")
    assert code == 1
    assert "has locally unstaged changes" in out


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"hanng": true}',
        '{"hang": "yes"}',
        '{"delay_before": "1"}',
        '{"commands": "upgrade"}',
        '{"noise_bytes": true}',
    ],
)
def test_habits_with_a_mistake_are_refused(tmp_path: Path, content: str) -> None:
    """A fault that silently did not happen would make its test worthless."""
    path = tmp_path / "practice.json"
    path.write_text(content)
    with pytest.raises(FatalError, match=r"practice\.json"):
        habits.read(path, "upgrade")


def test_habits_hold_for_the_commands_they_name(tmp_path: Path) -> None:
    """No file means none; `commands` limits them."""
    path = tmp_path / "practice.json"
    assert habits.read(path, "upgrade") == habits.Habits()
    path.write_text('{"hang": true, "give_up_after": 0.5, "commands": ["upgrade"]}')
    shown = habits.read(path, "upgrade")
    assert (shown.hang, shown.give_up_after) == (True, 0.5)
    assert habits.read(path, "rollback") == habits.Habits()


def test_help_is_not_touched_by_habits(abra_dir: Path) -> None:
    """A preflight that asks for help or a list must not hang with the act."""
    (abra_dir / "practice.json").write_text('{"hang": true, "fail_before": true}')
    assert abra(abra_dir, "app", "upgrade", "--help")[0] == 0
    assert abra(abra_dir, "app", "ls", "-m")[0] == 0


def test_a_closed_pipe_ends_it_quietly(abra_dir: Path) -> None:
    """As a program that gets SIGPIPE: no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        ran = subprocess.run(
            [sys.executable, "-m", "ccci_upgrade.practice.abra", "server", "ls"],
            env=os.environ | {"ABRA_DIR": str(abra_dir)},
            stdin=subprocess.DEVNULL,
            stdout=closed,
            stderr=subprocess.PIPE,
            check=False,
            timeout=30,
        )
    assert (ran.returncode, ran.stderr) == (-signal.SIGPIPE, b"")


def test_a_signal_ends_it_while_the_engine_hangs(abra_dir: Path, tmp_path: Path) -> None:
    """It does not wait for an Engine that took the question and says nothing: 130, and one line."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "engine.sock"))
        silent.listen()
        silent.settimeout(20)
        with subprocess.Popen(
            [sys.executable, "-m", "ccci_upgrade.practice.abra", "app", "ps", APP],
            env=os.environ | {"ABRA_DIR": str(abra_dir), "DOCKER_HOST": f"unix://{tmp_path}/engine.sock"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            asked, _ = silent.accept()
            with asked:
                assert asked.recv(100)
                child.send_signal(signal.SIGINT)
                out, err = child.communicate(timeout=10)
    assert (child.returncode, err) == (130, "")
    assert out.startswith("FATA stopped by signal 2")
