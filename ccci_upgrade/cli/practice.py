"""`practice`: a host to practise on, its faults, and its end."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccci_upgrade.cli.boundary import guarded
from ccci_upgrade.errors import Exit

if TYPE_CHECKING:
    from ccci_upgrade.practice.world.place import Place
    from ccci_upgrade.ui.console import Terminal
    from ccci_upgrade.ui.practice import Tip

app = typer.Typer(
    name="practice",
    help="Make a practice host in a folder: traefik, keycloak and drone, without Docker, abra or root.",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Folder = Annotated[
    Path | None,
    typer.Option("--folder", metavar="FOLDER", help="Where the host is; else here, else `./ccci-practice`."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; nothing is asked here.")]


def _fault_names(incomplete: str) -> list[str]:
    from ccci_upgrade.practice.faults import FAULTS  # noqa: PLC0415 - start-up time is measured

    return [fault.name for fault in FAULTS if fault.name.startswith(incomplete)]


@app.callback()
def practice(
    context: typer.Context, *, folder: Folder = None, json: Json = False, no_input: NoInput = False
) -> None:
    """Make a practice host in a folder: traefik, keycloak and drone, without Docker, abra or root."""
    del no_input
    context.obj = (folder, json)
    if context.invoked_subcommand is not None:
        return

    def work(terminal: "Terminal") -> Exit:
        from ccci_upgrade.practice import hosting  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.practice.world.place import RECIPES, SERVER, find_place  # noqa: PLC0415 - same
        from ccci_upgrade.practice.world.place import app as app_of  # noqa: PLC0415 - same

        place = find_place(folder)
        state, mark = hosting.make(place, lambda text: terminal.phase("practice", text))
        tips = _first_tips(place)
        data = {
            "folder": str(place.root),
            "state": state.value,
            "server": SERVER,
            "port": mark.port,
            "apps": [app_of(recipe) for recipe in RECIPES],
        }
        head = (
            f"a practice host {'runs already' if state is hosting.Made.RUNNING else 'runs'} in {place.root}",
            f"{SERVER} with traefik, keycloak and drone; every command works on it as on a real one.",
        )
        return _tell("practice", terminal, data, json=json, head=head, tips=tips)

    _run("practice", json=json, empty={"state": None, "server": None, "port": None, "apps": []}, work=work)


@app.command(name="break")
def break_(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="The fault; without it all are listed.", autocompletion=_fault_names
        ),
    ] = None,
    *,
    folder: Folder = None,
    json: Json = False,
    no_input: NoInput = False,
) -> None:
    """Cause a fault on purpose, or list what can be caused."""
    del no_input
    folder, json = _said(context, folder, json=json)

    def work(terminal: "Terminal") -> Exit:
        from ccci_upgrade.practice import faults, hosting  # noqa: PLC0415 - start-up time is measured
        from ccci_upgrade.practice.world.place import find_place  # noqa: PLC0415 - same
        from ccci_upgrade.ui import practice as screens  # noqa: PLC0415 - start-up time is measured

        if name is None:
            place = find_place(folder)
            mark = place.mark()
            active = {fault.name for fault in mark.faults} if mark is not None else set()
            rows = [(fault.name, fault.summary, fault.name in active) for fault in faults.FAULTS]
            data = _fault_data(place, rows, None)
            if json:
                return _tell("practice break", terminal, data, json=json)
            tips = [screens.Tip(why="to cause one", commands=(_own(place, "break", "NAME"),)), *_undo(place)]
            terminal.show(screens.faults(rows, tips))
            return Exit.OK
        fault = faults.named(name)
        place, mark = hosting.running(folder)
        caused = faults.cause(place, mark, fault)
        rows = [
            (each.name, each.summary, each.name in {*(f.name for f in mark.faults), name})
            for each in faults.FAULTS
        ]
        data = _fault_data(place, rows, {"name": name, "did": caused.did, "see": list(caused.see)})
        see = screens.Tip(why="to see it", commands=(*_enter(place), *caused.see))
        return _tell(
            "practice break", terminal, data, json=json, head=(caused.did,), tips=(see, *_undo(place))
        )

    _run("practice break", json=json, empty={"faults": [], "caused": None}, work=work)


@app.command()
def mend(
    context: typer.Context, *, folder: Folder = None, json: Json = False, no_input: NoInput = False
) -> None:
    """Put every fault back that was caused."""
    del no_input
    folder, json = _said(context, folder, json=json)

    def work(terminal: "Terminal") -> Exit:
        from ccci_upgrade.practice import faults, hosting  # noqa: PLC0415 - start-up time is measured

        place, mark = hosting.running(folder)
        mended = faults.mend(place, mark)
        data = {"folder": str(place.root), "mended": list(mended)}
        head = (f"put back: {', '.join(mended)}" if mended else "there was nothing to put back",)
        return _tell("practice mend", terminal, data, json=json, head=head)

    _run("practice mend", json=json, empty={"mended": []}, work=work)


@app.command()
def stop(
    context: typer.Context, *, folder: Folder = None, json: Json = False, no_input: NoInput = False
) -> None:
    """End the practice host and remove all that is its own."""
    del no_input
    folder, json = _said(context, folder, json=json)

    def work(terminal: "Terminal") -> Exit:
        from ccci_upgrade.practice import hosting  # noqa: PLC0415 - start-up time is measured

        place, _ = hosting.opened(folder)
        gone = hosting.remove(place)
        data = {"folder": str(place.root), "removed": gone.removed, "kept": list(gone.kept)}
        head = [f"the practice host in {place.root} is gone"]
        if gone.kept:
            head.append(f"kept, because it is not of this program: {', '.join(gone.kept)}")
        return _tell("practice stop", terminal, data, json=json, head=head)

    _run("practice stop", json=json, empty={"removed": False, "kept": []}, work=work)


def _run(command: str, *, json: bool, empty: dict[str, object], work: Callable[["Terminal"], Exit]) -> None:
    from ccci_upgrade.ui.console import Terminal  # noqa: PLC0415 - start-up time is measured

    terminal = Terminal(json=json)
    data = {"folder": None, **empty}
    raise typer.Exit(guarded(command, terminal, json=json, empty=data, work=lambda: work(terminal)))


def _tell(
    command: str,
    terminal: "Terminal",
    data: Mapping[str, object],
    *,
    json: bool,
    head: Sequence[str] = (),
    tips: "Sequence[Tip]" = (),
) -> Exit:
    if json:
        from ccci_upgrade.ui import envelope  # noqa: PLC0415 - start-up time is measured

        envelope.write(command, Exit.OK, data)
    else:
        from ccci_upgrade.ui import practice as screens  # noqa: PLC0415 - start-up time is measured

        terminal.show(screens.guide(head, tips))
    return Exit.OK


def _said(context: typer.Context, folder: Path | None, *, json: bool) -> tuple[Path | None, bool]:
    """An option counts on either side of the subcommand."""
    before, wanted = context.obj
    return folder or before, json or wanted


def _fault_data(
    place: "Place", rows: Sequence[tuple[str, str, bool]], caused: dict[str, object] | None
) -> dict[str, object]:
    listed = [{"name": name, "summary": summary, "active": active} for name, summary, active in rows]
    return {"folder": str(place.root), "faults": listed, "caused": caused}


def _enter(place: "Place") -> tuple[str, ...]:
    return () if place.root == Path.cwd() else (f"cd {shlex.quote(str(place.root))}",)


def _own(place: "Place", *words: str) -> str:
    """A command of this group, for whoever is in another folder."""
    where = () if place.root == Path.cwd() else ("--folder", str(place.root))
    return shlex.join(("ccci-upgrade", "practice", *words, *where))


def _undo(place: "Place") -> "tuple[Tip, ...]":
    from ccci_upgrade.ui.practice import Tip  # noqa: PLC0415 - start-up time is measured

    return (Tip(why="to put everything back", commands=(_own(place, "mend"),)),)


def _first_tips(place: "Place") -> "tuple[Tip, ...]":
    from ccci_upgrade.ui.practice import Tip  # noqa: PLC0415 - start-up time is measured

    return (
        Tip(
            why="an upgrade from start to end",
            commands=(
                *_enter(place),
                "ccci-upgrade status",
                "ccci-upgrade plan drone",
                "ccci-upgrade upgrade drone",
                "ccci-upgrade history",
            ),
        ),
        Tip(why="one that asks for something first", commands=("ccci-upgrade upgrade keycloak",)),
        Tip(why="one that Swarm takes back behind a green page", commands=("ccci-upgrade upgrade traefik",)),
        Tip(
            why="one that is green and breaks after a minute",
            commands=("ccci-upgrade upgrade keycloak --to 10.1.1+26.1.1",),
        ),
        Tip(why="a bad night", commands=("ccci-upgrade practice break",)),
        Tip(why="to end it and remove it all", commands=("ccci-upgrade practice stop",)),
    )
