"""The command line: options, commands, help. Imports nothing heavy; each command loads what it needs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ccci_upgrade import __version__
from ccci_upgrade.cli import completion, lease, lock, practice, snapshot

app = typer.Typer(
    name="ccci-upgrade",
    help="Upgrade the infra apps of a Co-op Cloud CI server by hand, safely.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; implied without a terminal.")]
Offline = Annotated[
    bool, typer.Option("--offline", help="Ask no network: recipes and images as they are here.")
]
Apps = Annotated[
    list[str] | None,
    typer.Argument(metavar="APP", help="`.env` name, or recipe name.", autocompletion=completion.apps),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="VERSION",
        help="Target version; else the newest.",
        autocompletion=completion.versions,
    ),
]
LeaseWait = Annotated[
    float,
    typer.Option("--lease-wait", metavar="S", min=0, max=604800, help="Wait S seconds for the lease."),
]
OnFailure = Annotated[
    Literal["rollback", "leave"] | None,
    typer.Option(
        "--on-failure",
        help="After a bad verdict: go back, or leave it. Without it a terminal is asked; without one it goes "
        "back where this run has a verified snapshot.",
    ),
]
Passphrase = Annotated[
    bool,
    typer.Option("--passphrase", help="Ask for a passphrase, and keep the app's secrets with the snapshot."),
]
Ack = Annotated[
    list[str] | None, typer.Option("--ack", metavar="ID", help="Acknowledge a finding; repeatable.")
]


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it so
    if value:
        typer.echo(f"ccci-upgrade {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Configuration file.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            "--server", metavar="NAME", help="The server to work on.", autocompletion=completion.servers
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Upgrade the infra apps of a Co-op Cloud CI server by hand, safely."""
    del version
    context.obj = (config, server)


@app.command()
def status(
    context: typer.Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 10 where upgrades are available.")
    ] = False,
    offline: Offline = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Show every app: what runs, what is newer, what is open."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    raise typer.Exit(
        commands.status(_shared(context, json=json, no_input=no_input), exit_code=exit_code, offline=offline)
    )


@app.command()
def notes(
    context: typer.Context,
    apps: Annotated[
        list[str],
        typer.Argument(metavar="APP", help="`.env` name, or recipe name.", autocompletion=completion.apps),
    ],
    to: To = None,
    offline: Offline = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Show every release note between what runs and the target."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    raise typer.Exit(
        commands.notes(_shared(context, json=json, no_input=no_input), tuple(apps), to=to, offline=offline)
    )


@app.command()
def plan(
    context: typer.Context,
    apps: Apps = None,
    to: To = None,
    ack: Ack = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan for `upgrade --plan`.")
    ] = None,
    offline: Offline = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Show what an upgrade would do, and all that speaks against it."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    request = commands.plan_request(tuple(apps or ()), to=to, acks=tuple(ack or ()), offline=offline)
    raise typer.Exit(commands.plan(_shared(context, json=json, no_input=no_input), request, out=out))


@app.command()
def upgrade(
    context: typer.Context,
    apps: Apps = None,
    every: Annotated[bool, typer.Option("--all", help="Every app of the server, traefik last.")] = False,
    to: To = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Act on a saved plan.")
    ] = None,
    ack: Ack = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before anything is changed.")] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Go on after a bad verdict.")] = False,
    lease_wait: LeaseWait = 0,
    on_failure: OnFailure = None,
    passphrase: Passphrase = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run of APP that never ended, of whatever command.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take such a run back.")] = False,
    accept: Annotated[bool, typer.Option("--accept", help="Record what is there as its end.")] = False,
    offline: Offline = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Upgrade apps: plan, gates, snapshot, abra, verdict; undo what failed."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.flows.upgrade import Request  # noqa: PLC0415 - start-up time is measured

    shared = _shared(context, json=json, no_input=no_input)
    ways = [way for way, said in (("resume", resume), ("undo", undo), ("accept", accept)) if said]
    if ways:
        ending = commands.end_request(
            ways, tuple(apps or ()), on_failure=on_failure, lease_wait=lease_wait, offline=offline
        )
        raise typer.Exit(commands.end_open(shared, ending))
    request = Request(
        apps=tuple(apps or ()),
        every=every,
        to=to,
        plan_file=plan_file,
        acks=tuple(ack or ()),
        dry_run=dry_run,
        keep_going=keep_going,
        lease_wait=lease_wait,
        on_failure=on_failure,
        passphrase=passphrase,
        offline=offline,
    )
    raise typer.Exit(commands.upgrade(shared, request))


@app.command()
def rollback(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="APP", help="`.env` name, or recipe name.", autocompletion=completion.apps),
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="VERSION",
            help="Where to go back to; else where the last upgrade came from.",
            autocompletion=completion.versions,
        ),
    ] = None,
    version_only: Annotated[
        bool, typer.Option("--version-only", help="Leave the data as it is; held by `data-not-restored`.")
    ] = False,
    ack: Ack = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop before anything is changed.")] = False,
    lease_wait: LeaseWait = 0,
    offline: Offline = False,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Take an app back to an older version, with the data it had then."""
    from ccci_upgrade.cli import goingback  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.flows.rollback import BackRequest  # noqa: PLC0415 - same

    request = BackRequest(
        app=name,
        to=to,
        acks=tuple(ack or ()),
        version_only=version_only,
        dry_run=dry_run,
        lease_wait=lease_wait,
        offline=offline,
    )
    raise typer.Exit(goingback.go(_shared(context, json=json, no_input=no_input), request))


@app.command()
def health(context: typer.Context, apps: Apps = None, json: Json = False, no_input: NoInput = False) -> None:
    """Check apps now: the stack and its probes."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    raise typer.Exit(commands.health(_shared(context, json=json, no_input=no_input), tuple(apps or ())))


@app.command()
def history(
    context: typer.Context,
    apps: Apps = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Show the last N runs; 0 for all.")] = 20,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Show past runs, newest first."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    raise typer.Exit(
        commands.history(_shared(context, json=json, no_input=no_input), tuple(apps or ()), limit=limit)
    )


@app.command()
def doctor(context: typer.Context, json: Json = False, no_input: NoInput = False) -> None:
    """Check that this tool can work here: abra, git, Engine, Swarm."""
    from ccci_upgrade.cli import commands  # noqa: PLC0415 - start-up time is measured

    raise typer.Exit(commands.doctor(_shared(context, json=json, no_input=no_input)))


app.add_typer(lease.app)
app.add_typer(lock.app)
app.add_typer(practice.app)
app.add_typer(snapshot.app)


def _shared(
    context: typer.Context, *, json: bool, no_input: bool
) -> "tuple[Path | None, str | None, bool, bool]":
    config, server = context.obj
    return config, server, json, no_input
