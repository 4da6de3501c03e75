"""Each command's result for people, as rich renderables."""

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ccci_upgrade.flows import doctor as doctoring
from ccci_upgrade.flows.health import Health
from ccci_upgrade.flows.notes import AppNotes
from ccci_upgrade.flows.status import AppStatus, Status
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.version import Bump
from ccci_upgrade.text import tame_line
from ccci_upgrade.ui.screens import BUMP_STYLE, OUTCOME_STYLE, line, notes_screen, table, versions

_STATE_STYLE = {"converged": "green", "undeployed": "dim", "unknown": "yellow", "updating": "cyan"}
_HEALTH = {
    doctoring.Health.GOOD: ("ok  ", "green"),
    doctoring.Health.WARN: ("warn", "yellow"),
    doctoring.Health.BAD: ("BAD ", "bold red"),
    doctoring.Health.UNKNOWN: ("?   ", "yellow"),
}


def status(found: Status) -> RenderableType:
    """All apps as a table, then what to type next."""
    rows = [_status_row(row) for row in found.apps]
    parts: list[RenderableType] = [table(("app", "runs", "newest", "step", "state"), rows)]
    parts += [Padding(line(f"{r.app}: {r.problem}", "yellow"), (0, 2)) for r in found.apps if r.problem]
    newer = [row for row in found.apps if row.upgrades]
    if newer:
        parts += [Text(), line(f"$ ccci-upgrade plan {newer[0].app}", "cyan")]
    return Group(*parts)


def notes(found: Iterable[AppNotes]) -> Iterator[RenderableType]:
    """The notes of each app."""
    for each in found:
        yield Text.assemble(
            (tame_line(each.app), "bold"), f"  {versions(each.from_version, each.to_version)}"
        )
        if each.to_version is None:
            yield Text("  up to date: no newer version", style="green")
        else:
            yield notes_screen(each.notes)
        if each.others:
            yield line(f"  tags that are no versions: {', '.join(each.others)}", "dim")


def health(found: Iterable[Health]) -> Iterator[RenderableType]:
    """Every check of every app."""
    for each in found:
        style = "bold green" if each.verdict == "healthy" else "bold red"
        yield Text.assemble((tame_line(each.app), "bold"), "  ", (each.verdict, style))
        rows = [(_mark(c.ok), c.name, c.detail, f"{c.seconds:.2f} s") for c in each.checks]
        yield Padding(table(("", "check", "detail", "took"), rows), (0, 2))


def history(runs: tuple[Run, ...]) -> RenderableType:
    """Past runs as a table."""
    if not runs:
        return Text("no runs yet", style="dim")
    return table(
        ("when (UTC)", "app", "step", "outcome", "verdict", "by"), [_history_row(run) for run in runs]
    )


def doctor(checks: Iterable[doctoring.Check]) -> Iterator[RenderableType]:
    """Every check with its remedy."""
    for check in checks:
        word, style = _HEALTH[check.health]
        yield Text.assemble((word, style), f"  {tame_line(check.name)}: {tame_line(check.detail)}")
        if check.remedy:
            yield Padding(Text.assemble(("→ ", "cyan"), tame_line(check.remedy)), (0, 0, 0, 6))


def _status_row(row: AppStatus) -> tuple[str | Text, ...]:
    bump = "" if row.bump is Bump.NONE else row.bump.value
    newest = row.newest or "unknown"
    return (
        Text(tame_line(row.app), style="bold"),
        (row.deployed or ("-" if row.state == "undeployed" else "unknown"))
        + (" (chaos)" if row.chaos else ""),
        Text("=" if row.newest == row.deployed else tame_line(newest)),
        Text(bump, style=BUMP_STYLE.get(row.bump, "")),
        Text(row.state, style=_STATE_STYLE.get(row.state, "bold red")),
    )


def _history_row(run: Run) -> tuple[str | Text, ...]:
    outcome = run.outcome.value if run.outcome else "open"
    style = OUTCOME_STYLE.get(run.outcome, "bold red") if run.outcome else "bold yellow"
    state = run.verdict.state.value if run.verdict else "-"
    step = versions(run.from_version, run.to_version)
    return (
        run.started[:19].replace("T", " "),
        run.app,
        step,
        Text(outcome, style=style),
        state,
        run.operator,
    )


def _mark(ok: bool | None) -> Text:  # noqa: FBT001 - three-valued: None is "could not be checked"
    if ok is None:
        return Text("?", style="yellow")
    return Text("ok", style="green") if ok else Text("RED", style="bold red")
