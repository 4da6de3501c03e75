"""`lease`: who is at work on the Swarm, and taking it away from somebody who is not any more."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ccci_upgrade.cli.commands import Shared

app = typer.Typer(
    name="lease",
    help="Show who is at work on the Swarm, or end a lease that nobody stands behind.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; implied without a terminal.")]


@app.callback()
def lease(context: typer.Context, *, json: Json = False, no_input: NoInput = False) -> None:
    """Show who is at work on the Swarm, or end a lease that nobody stands behind."""
    if context.invoked_subcommand is not None:
        return
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    raise typer.Exit(commands.lease_show(_shared(context, json=json, no_input=no_input), "lease"))


@app.command()
def show(context: typer.Context, *, json: Json = False, no_input: NoInput = False) -> None:
    """Show whose the lease is, since when, and when its holder gave the last sign of life."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    raise typer.Exit(commands.lease_show(_shared(context, json=json, no_input=no_input), "lease show"))


@app.command()
def release(
    context: typer.Context,
    *,
    holder: Annotated[
        str | None,
        typer.Option("--holder", metavar="NAME", help="Whose lease to end, as `lease show` names them."),
    ] = None,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Take the lease away from its holder: their run stops before its next act."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    shared = _shared(context, json=json, no_input=no_input)
    raise typer.Exit(commands.lease_release(shared, holder=holder))


def _shared(context: typer.Context, *, json: bool, no_input: bool) -> "Shared":
    given: tuple[Path | None, str | None] = context.find_root().obj
    return (*given, json, no_input)
