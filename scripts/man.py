"""Write docs/man/ccci-upgrade.1 from the program's own help and the exit codes page: `python -m scripts.man`.

A test compares the page with what this gives. The macros are those of man(7).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import typer
from typer._click.core import Command
from typer.core import TyperArgument, TyperGroup, TyperOption

from ccci_upgrade import __version__
from ccci_upgrade.cli.app import app

_DOCS = Path(__file__).parents[1] / "docs"
PAGE = _DOCS / "man" / "ccci-upgrade.1"
EXIT_CODES = _DOCS / "reference" / "exit-codes.md"

_PROGRAM = "ccci-upgrade"
_ROW = re.compile(r"\| (\d+) \| \w+ \| (.*?) \|")

_DESCRIPTION = (
    (
        "leads a maintainer through `abra app upgrade` for the apps of a Docker Swarm: it shows what would change,"
        " holds the upgrade until what matters was acknowledged, lets `abra` act, and judges the result from the"
        " Swarm itself."
    ),
    (
        "An APP is the name of a `.env` file without `.env`, or the name of a recipe that only one app of the server"
        " has. Results go to standard output, everything else to standard error. Without a terminal nothing is asked:"
        " the flag that was missing is printed."
    ),
)
_FILES = (
    (
        "ccci-upgrade.toml",
        (
            "The configuration: in the working directory, else in the user's configuration directory, else in"
            " /etc/ccci-upgrade. None is needed on a plain server."
        ),
    ),
    ("~/.abra", "abra's directory: servers, `.env` files, recipes."),
    ("/var/lib/ccci-upgrade", "The journal, for root; $XDG_STATE_HOME/ccci-upgrade for others."),
)
_ENVIRONMENT = (
    ("ABRA_DIR", "abra's directory, where the configuration names none."),
    ("CCCI_UPGRADE_STATE", "Where the journal is kept, where the configuration names no place."),
    ("DOCKER_HOST", "The Engine of the server `default`."),
    ("NO_COLOR", "No colour, if set to anything."),
)


def man_page() -> str:
    """Give the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)  # noqa: S101 - a program with commands
    yield f'.TH "{_PROGRAM.upper()}" "1" "" "{_PROGRAM} {__version__}" "User Commands"'
    yield from (".SH NAME", f"{_text(_PROGRAM)} \\- {_text(_sentence(root.help or ''))}")
    yield from (".SH SYNOPSIS", f".B {_text(_PROGRAM)}")
    yield _text("[--config FILE] [--server NAME] COMMAND [OPTIONS] [APP...]")
    yield from (
        ".SH DESCRIPTION",
        f".B {_text(_PROGRAM)}",
        _text(_DESCRIPTION[0]),
        ".PP",
        _text(_DESCRIPTION[1]),
    )
    yield ".SH OPTIONS"
    yield from _options(root)
    yield ".SH COMMANDS"
    yield from _commands(root)
    yield ".SH EXIT STATUS"
    for code, meaning in _ROW.findall(EXIT_CODES.read_text(encoding="utf-8")):
        yield from _item(code, meaning)
    yield ".SH FILES"
    for name, meaning in _FILES:
        yield from _item(name, meaning)
    yield ".SH ENVIRONMENT"
    for name, meaning in _ENVIRONMENT:
        yield from _item(name, meaning)
    yield from (".SH SEE ALSO", ".BR docker (1)", ".BR ssh (1)")


def _commands(group: TyperGroup, *words: str) -> Iterator[str]:
    for name, command in group.commands.items():
        yield f'.SS "{_text(" ".join((*words, name, *_arguments(command))))}"'
        yield _text((command.help or "").strip())
        yield from _options(command)
        if isinstance(command, TyperGroup):
            yield from _commands(command, *words, name)


def _arguments(command: Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, TyperArgument):
            name = f"{parameter.metavar or (parameter.name or '').upper()}{'...' * (parameter.nargs < 0)}"
            yield name if parameter.required else f"[{name}]"


def _options(command: Command) -> Iterator[str]:
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and not parameter.hidden:
            value = "" if parameter.is_flag else f" {parameter.metavar or 'TEXT'}"
            yield from _item(", ".join(parameter.opts) + value, parameter.help or "")


def _item(term: str, meaning: str) -> Iterator[str]:
    yield from (".TP", f".B {_text(term)}", _text(meaning))


def _sentence(text: str) -> str:
    """A help text as man(1) wants it in NAME: no capital, no full stop."""
    text = text.strip().removesuffix(".")
    return text[:1].lower() + text[1:]


def _text(text: str) -> str:
    """Escape for roff: backslashes, hyphens that must stay hyphens, and a control character at the start."""
    text = " ".join(text.replace("\\", "\\e").replace("-", "\\-").replace("`", "").split())
    return f"\\&{text}" if text[:1] in ".'" else text


if __name__ == "__main__":
    PAGE.write_text(man_page(), encoding="utf-8")
