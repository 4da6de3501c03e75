"""`lock`: what runs, kept in a file under git, and how far the server has drifted from it.

The lock is a file. Who is at work on a Swarm is the lease (`ccci-upgrade lease`).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from ccci_upgrade.cli import completion
from ccci_upgrade.errors import Exit

if TYPE_CHECKING:
    from ccci_upgrade.cli.commands import Shared

app = typer.Typer(
    name="lock",
    help="Keep what runs in infra.lock.toml, and see what has drifted from it. Alone it shows the drift.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

File = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="FILE", help="The lock; else the configured `lock_file`, else ./infra.lock.toml."
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Do not ask whether a tag has moved upstream.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; implied without a terminal.")]

_NO_DIFF: dict[str, object] = {"file": None, "drift": [], "info": [], "unknown": []}
_NOT_WRITTEN: dict[str, object] = {"file": None, "written": False, "apps": []}


class _Before(NamedTuple):
    """What was said between `lock` and the subcommand's name."""

    shared: "Shared"
    file: Path | None
    offline: bool


@app.callback()
def lock(
    context: typer.Context,
    *,
    file: File = None,
    offline: Offline = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Keep what runs in infra.lock.toml, and see what has drifted from it. Alone it shows the drift."""
    shared = _shared(context, json=json, no_input=no_input)
    if context.invoked_subcommand is None:
        raise typer.Exit(_diff("lock", shared, file, offline=offline))
    context.obj = _Before(shared=shared, file=file, offline=offline)


@app.command()
def write(
    context: typer.Context,
    apps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="APP", help="Record only these; else all that run.", autocompletion=completion.apps
        ),
    ] = None,
    file: File = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="APP", help="Take an app out of the lock; repeatable."),
    ] = None,
    *,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Record what runs: versions, commits, images, names of variables, secrets, configs and volumes."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    def work(call: commands.Call) -> Exit:
        from ccci_upgrade.flows import lock as flow  # noqa: PLC0415 - start-up time is measured

        path = flow.lock_path(call.config, file or context.obj.file)
        done = flow.write(commands.open_for(call), path, tuple(apps or ()), drop=tuple(drop or ()))
        if call.json:
            from ccci_upgrade.ui import envelope, lockdata  # noqa: PLC0415 - same

            envelope.write("lock write", Exit.OK, lockdata.written(done))
        else:
            from ccci_upgrade.ui import lock as screens  # noqa: PLC0415 - same

            call.terminal.show(screens.written(done))
        return Exit.OK

    shared = _shared(context, json=json, no_input=no_input)
    raise typer.Exit(commands.run_command("lock write", shared, _NOT_WRITTEN, work))


@app.command()
def diff(
    context: typer.Context,
    file: File = None,
    *,
    offline: Offline = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Compare the lock with each `.env`, each recipe and what runs. Exit 20 where they drifted apart."""
    shared = _shared(context, json=json, no_input=no_input)
    before: _Before = context.obj
    raise typer.Exit(_diff("lock diff", shared, file or before.file, offline=offline or before.offline))


def _diff(command: str, shared: "Shared", file: Path | None, *, offline: bool) -> Exit:
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    def work(call: commands.Call) -> Exit:
        from ccci_upgrade.flows import lock as flow  # noqa: PLC0415 - start-up time is measured

        found = flow.diff(commands.open_for(call), flow.lock_path(call.config, file), offline=offline)
        if call.json:
            from ccci_upgrade.ui import envelope, lockdata  # noqa: PLC0415 - same

            envelope.write(command, found.exit, lockdata.diffed(found))
        else:
            from ccci_upgrade.ui import lock as screens  # noqa: PLC0415 - same

            call.terminal.show(screens.diffed(found))
        for note in found.notes:
            call.terminal.note(note)
        return found.exit

    return commands.run_command(command, shared, _NO_DIFF, work)


def _shared(context: typer.Context, *, json: bool, no_input: bool) -> "Shared":
    if isinstance(context.obj, _Before):
        config, server, json_before, no_input_before = context.obj.shared
        return config, server, json or json_before, no_input or no_input_before
    given: tuple[Path | None, str | None] = context.obj
    return (*given, json, no_input)
