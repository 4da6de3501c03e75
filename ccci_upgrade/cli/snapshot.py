"""`snapshot`: take copies of an app's volumes, list them, read them back, remove old ones."""

from pathlib import Path
from typing import Annotated

import typer

from ccci_upgrade.cli import completion
from ccci_upgrade.errors import Exit

app = typer.Typer(
    name="snapshot",
    help="Copies of an app's volumes: take, list, read back, remove old ones. Alone it lists them.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; implied without a terminal.")]
App = Annotated[
    str | None,
    typer.Argument(metavar="APP", help="`.env` name, or recipe name.", autocompletion=completion.apps),
]


_NO_SECRETS: dict[str, object] = {
    "id": None,
    "app": None,
    "recipients": [],
    "passphrase": False,
    "secrets": [],
    "unread": [],
    "opened": False,
    "commands": [],
}


@app.callback()
def snapshot(context: typer.Context, *, json: Json = False, no_input: NoInput = False) -> None:
    """Copies of an app's volumes: take, list, read back, remove old ones. Alone it lists them."""
    context.obj = (*context.obj, json, no_input)
    if context.invoked_subcommand is None:
        _list(context, None, "snapshot", json=json, no_input=no_input)


@app.command()
def create(
    context: typer.Context,
    apps: Annotated[
        list[str],
        typer.Argument(metavar="APP", help="`.env` name, or recipe name.", autocompletion=completion.apps),
    ],
    *,
    passphrase: Annotated[
        bool,
        typer.Option(
            "--passphrase", help="Ask for a passphrase, and keep the app's secrets with the snapshot."
        ),
    ] = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Stop apps one after another, copy their volumes, bring them back, read the copy back."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    def work(call: commands.Call) -> Exit:
        from ccci_upgrade.flows import snapshot as flow  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui import envelope, snapshots  # noqa: PLC0415 - same
        from ccci_upgrade.ui.prompt import prompter  # noqa: PLC0415 - same

        host = commands.open_for(call)
        person = prompter(call.terminal, no_input=call.no_input)
        asker = person if passphrase else None
        done, code = flow.create(host, host.find(tuple(apps)), call.terminal, asker=asker)
        errors = [each.error for each in done if each.error is not None]
        for error in errors:
            call.terminal.error(error)
        if not call.json:
            call.terminal.show(snapshots.made(done))
        elif code is not Exit.INTERRUPTED:
            envelope.write("snapshot create", code, snapshots.made_data(done), errors)
        return code

    empty: dict[str, object] = {"runs": [], "snapshots": []}
    shared = _shared(context, json=json, no_input=no_input)
    raise typer.Exit(commands.run_command("snapshot create", shared, empty, work))


@app.command(name="list")
def list_(context: typer.Context, of: App = None, *, json: Json = False, no_input: NoInput = False) -> None:
    """Show all snapshots, or one app's."""
    _list(context, of, "snapshot list", json=json, no_input=no_input)


@app.command()
def verify(
    context: typer.Context,
    wanted: Annotated[str | None, typer.Argument(metavar="ID", help="The snapshot; without it all.")] = None,
    *,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Read snapshots back: checksums, structure, counts. Exit 13 where one is not good."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    def work(call: commands.Call) -> Exit:
        from ccci_upgrade.flows.snapshots import verify_all  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui import envelope, snapshots  # noqa: PLC0415 - same

        found, code = verify_all(call.config, wanted)
        if call.json:
            envelope.write("snapshot verify", code, snapshots.checked_data(found))
        else:
            call.terminal.show(snapshots.checked(found))
        return code

    shared = _shared(context, json=json, no_input=no_input)
    raise typer.Exit(commands.run_command("snapshot verify", shared, {"snapshots": []}, work))


@app.command()
def restore(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="APP", help="`.env` name, or recipe name.", autocompletion=completion.apps),
    ],
    wanted: Annotated[str, typer.Argument(metavar="ID", help="The snapshot.")],
    ack: Annotated[
        list[str] | None, typer.Option("--ack", metavar="ID", help="Acknowledge a finding; repeatable.")
    ] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before anything is changed.")] = False,
    lease_wait: Annotated[
        float,
        typer.Option("--lease-wait", metavar="S", min=0, max=604800, help="Wait S seconds for the lease."),
    ] = 0,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no network: recipes and images as they are here.")
    ] = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Put an app back as it is in a snapshot: data and version. What it replaces is kept."""
    from ccci_upgrade.cli import goingback  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.flows.rollback import BackRequest  # noqa: PLC0415 - same

    request = BackRequest(
        app=name,
        snapshot=wanted,
        acks=tuple(ack or ()),
        dry_run=dry_run,
        lease_wait=lease_wait,
        offline=offline,
    )
    raise typer.Exit(goingback.go(_shared(context, json=json, no_input=no_input), request))


@app.command()
def prune(
    context: typer.Context,
    of: App = None,
    keep: Annotated[int, typer.Option("--keep", min=1, metavar="N", help="How many of each app stay.")] = 5,
    drop: Annotated[
        str | None,
        typer.Option("--drop", metavar="ID", help="Remove just this one: a failed state goes no other way."),
    ] = None,
    *,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Remove old snapshots; never the newest good one, never one that an open run needs."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    def work(call: commands.Call) -> Exit:
        from ccci_upgrade.flows import snapshots as flow  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui import envelope, snapshots  # noqa: PLC0415 - same

        gone = (flow.drop(call.config, drop),) if drop else flow.prune(call.config, of, keep=keep)
        if call.json:
            envelope.write("snapshot prune", Exit.OK, snapshots.pruned_data(gone))
        else:
            call.terminal.show(snapshots.pruned(gone))
        return Exit.OK

    shared = _shared(context, json=json, no_input=no_input)
    raise typer.Exit(commands.run_command("snapshot prune", shared, {"removed": []}, work))


@app.command()
def secrets(
    context: typer.Context,
    wanted: Annotated[str, typer.Argument(metavar="ID", help="The snapshot.")],
    identity: Annotated[
        Path | None,
        typer.Option("--identity", metavar="FILE", help="An age identity or ssh key that opens them."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="A new folder (0700) to write each secret to, as a file."),
    ] = None,
    *,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Name the secrets kept with a snapshot; open them, or write them out. No value is ever printed."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    def work(call: commands.Call) -> Exit:
        from ccci_upgrade.flows.keptsecrets import look  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui import envelope, keptsecrets  # noqa: PLC0415 - same
        from ccci_upgrade.ui.prompt import prompter  # noqa: PLC0415 - same

        asker = prompter(call.terminal, no_input=call.no_input)
        found = look(call.config, wanted, identity=identity, out=out, asker=asker)
        if call.json:
            envelope.write("snapshot secrets", Exit.OK, keptsecrets.data(found))
        else:
            call.terminal.show(keptsecrets.shown(found))
        return Exit.OK

    shared = _shared(context, json=json, no_input=no_input)
    raise typer.Exit(commands.run_command("snapshot secrets", shared, dict(_NO_SECRETS), work))


def _list(context: typer.Context, of: str | None, name: str, *, json: bool, no_input: bool) -> None:
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    def work(call: commands.Call) -> Exit:
        from ccci_upgrade.flows.snapshots import read_list  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.ui import envelope, snapshots  # noqa: PLC0415 - same

        found = read_list(call.config, of)
        if call.json:
            envelope.write(name, Exit.OK, snapshots.listed_data(found))
        else:
            call.terminal.show(snapshots.listed(found))
        return Exit.OK

    shared = _shared(context, json=json, no_input=no_input)
    raise typer.Exit(commands.run_command(name, shared, {"snapshots": []}, work))


def _shared(
    context: typer.Context, *, json: bool, no_input: bool
) -> "tuple[Path | None, str | None, bool, bool]":
    """`--config`, `--server`, and the flags said before or after the subcommand's name."""
    config, server, json_before, no_input_before = context.obj
    return config, server, json or json_before, no_input or no_input_before
