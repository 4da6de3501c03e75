"""Help is complete, and starting is cheap: nothing heavy is loaded before it is needed."""

import json

import pytest
import typer

from ccci_upgrade.cli.app import app
from tests.cli.scene import Scene

HEAVY = ("rich", "httpx", "questionary", "prompt_toolkit", "yaml", "ssl", "cryptography", "markdown_it")
_LOADED = (
    "import sys, atexit, json\n"
    "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=open({file!r}, 'w')))\n"
    "from ccci_upgrade.cli.start import main\n"
    "sys.argv = ['ccci-upgrade', *{words!r}]\n"
    "main()\n"
)


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--version"], ()),
        (["--help"], ()),
        (["upgrade", "--help"], ()),
        (["status", "--json", "--offline"], ("ssl",)),  # http.client loads it
        (["history", "--json"], ()),
        (["status", "--offline"], ("ssl", "rich")),
    ],
)
def test_nothing_heavy_is_loaded(calm: Scene, words: list[str], allowed: tuple[str, ...]) -> None:
    """`--version` and `--help` load no printer, and a document none either; questions are loaded to ask."""
    if words[0] in ("status", "history"):
        words = ["--config", str(calm.config), *words]
    file = calm.folder / "modules"
    script = _LOADED.format(file=str(file), words=words)
    ran = calm.python(script)
    assert ran.code == 0, ran.err
    loaded = {name.split(".")[0] for name in json.loads(file.read_text())}
    assert loaded & set(HEAVY) <= set(allowed)
    assert "ccci_upgrade" in loaded


def _commands() -> dict[str, "typer.core.TyperCommand"]:
    group = typer.main.get_command(app)
    return dict(getattr(group, "commands"))  # noqa: B009 - typer's own class has no public type


@pytest.mark.parametrize("name", sorted(_commands()))
def test_every_option_has_help(name: str) -> None:
    """A person must not guess what an option does; every command says what it is for."""
    command = _commands()[name]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{name}: {parameter.name}"


@pytest.mark.parametrize("name", sorted(_commands()))
def test_scripts_find_their_options_everywhere(name: str) -> None:
    """`--json` and `--no-input` on every command, as the contract says."""
    said = {word for parameter in _commands()[name].params for word in parameter.opts}
    assert {"--json", "--no-input"} <= said


def test_wrong_usage_is_exit_2(calm: Scene) -> None:
    """A flag or a command that is not there: one sentence, no traceback, no document."""
    for words in (
        ("upgrade", "--frobnicate"),
        ("frobnicate",),
        ("notes",),
        ("plan", "--to"),
        ("status", "x"),
    ):
        ran = calm.run(*words)
        assert (ran.code, ran.out) == (2, b""), words
        assert b"Error" in ran.err
        assert b"Traceback" not in ran.err
