"""Write docs/reference/cli.md from the program's own help: `python -m scripts.docs`.

A test compares the page with what this gives.
"""

from collections.abc import Iterator
from pathlib import Path

import typer
from typer.testing import CliRunner

from ccci_upgrade.cli.app import app

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

_PROGRAM = "ccci-upgrade"
_HEAD = """# Command line

<!-- Written by `python -m scripts.docs`; do not edit. -->

`--config` and `--server` come before the command. An `APP` is the name of a `.env` file without `.env`, or the
name of a recipe that only one app of the server has. Results go to standard output, all else to standard error.
See [exit codes](exit-codes.md), [documents for scripts](json.md) and [configuration](configuration.md).
"""


def cli_page() -> str:
    """Give the whole page: the program's help, then each command's, in the program's order."""
    names = command_names(app)
    return "\n".join([_HEAD, *_section(), *(line for name in names for line in _section(*name.split()))])


def command_names(group: typer.Typer) -> list[str]:
    """Every command that can be typed, in the program's order; those of groups with the group before them."""
    names = [info.name or _callback_name(info.callback) for info in group.registered_commands]
    for below in group.registered_groups:
        inner = below.typer_instance
        if inner is not None:
            name = str(inner.info.name)
            names += [name, *(f"{name} {each}" for each in command_names(inner))]
    return names


def _section(*words: str) -> Iterator[str]:
    ran = CliRunner().invoke(app, [*words, "--help"], prog_name=_PROGRAM, env={"COLUMNS": "100"})
    if ran.exit_code != 0:
        raise RuntimeError(f"{_PROGRAM} {' '.join(words)} --help: exit {ran.exit_code}")
    yield f"## {' '.join(words) or _PROGRAM}\n"
    yield f"```console\n$ {' '.join((_PROGRAM, *words, '--help'))}\n{ran.stdout.rstrip()}\n```\n"


def _callback_name(callback: object) -> str:
    return str(getattr(callback, "__name__", ""))


if __name__ == "__main__":
    PAGE.write_text(cli_page(), encoding="utf-8")
