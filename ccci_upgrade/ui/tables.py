"""Each reading command's result for people, as lines and tables. Pure, and every foreign text is tamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from ccci_upgrade.model.openrun import commands_of
from ccci_upgrade.model.version import Bump
from ccci_upgrade.text import tame_line
from ccci_upgrade.ui.layout import Block, Grid, Line
from ccci_upgrade.ui.screens import (
    BUMP_STYLE,
    OUTCOME_STYLE,
    command,
    line,
    notes_screen,
    open_run_screen,
    remedy,
    step,
    versions,
)

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterable, Iterator, Sequence

    from ccci_upgrade.flows import doctor as doctoring
    from ccci_upgrade.flows.health import Check, Health
    from ccci_upgrade.flows.notes import AppNotes
    from ccci_upgrade.flows.status import AppStatus, Status
    from ccci_upgrade.model.plan import Plan
    from ccci_upgrade.model.run import Run

_STATE_STYLE = {"converged": "green", "undeployed": "dim", "unknown": "magenta", "updating": "magenta"}
_HEALTH = {
    "good": ("ok", "green"),
    "warn": ("warn", "magenta"),
    "bad": ("BAD", "bold red"),
    "unknown": ("?", "magenta"),
}


def status(found: Status) -> Iterator[Block]:
    """All apps as a table, what could not be known, then what to type next."""
    remembered = any(row.last_good for row in found.apps)
    if found.apps:
        good = ("last good",) if remembered else ()
        columns = ("app", "runs", *good, "newest", "step", "state")
        yield Grid(columns=columns, rows=[_status_row(row, remembered=remembered) for row in found.apps])
    else:
        yield line("no apps")
    yield from _at_work(found)
    yield from _not_recorded(found.apps)
    yield from _problems(found.apps)
    if found.lock is not None:
        from ccci_upgrade.ui import lock  # noqa: PLC0415 - start-up time is measured

        yield from lock.in_status(found.lock)
    for each in found.situations.values():
        yield from open_run_screen(each)
        for text in commands_of(each):
            yield command(text, 4)
    newer = [row for row in found.apps if row.upgrades]
    if newer:
        yield Line()
        one = f" {newer[0].app}" if len(newer) == 1 else ""
        yield line("to see what would change, with all that speaks against it and the release notes:")
        yield command(f"ccci-upgrade plan{one}")
        yield line("to upgrade:" if one else "to choose what to upgrade:")
        yield command(f"ccci-upgrade upgrade{one}")
    elif found.apps and all(row.newest and row.newest == row.deployed for row in found.apps):
        yield line("everything runs its newest version", "green")


def after_plans(plans: Sequence[Plan]) -> Iterator[Block]:
    """What to type after plans were read."""
    todo = [plan for plan in plans if plan.to_version is not None]
    if not todo:
        return
    yield Line()
    for plan in todo:
        if plan.blocks:
            ids = ", ".join(f.id for f in plan.blocks)
            yield line(f"{plan.app}: not ready because of {ids}; each finding says what mends it")
            continue
        holds = f"; it asks about {', '.join(plan.holds)}" if plan.holds else ""
        yield line(f"{plan.app}: to upgrade{holds}:")
        yield command(f"ccci-upgrade upgrade {plan.app} --to {plan.to_version}")


def notes(found: Iterable[AppNotes]) -> Iterator[Block]:
    """The notes of each app."""
    for number, each in enumerate(found):
        if number:
            yield Line()
        head = Text.assemble((tame_line(each.app), "bold"), "  ")
        yield Line(text=head.append(step(each.from_version, each.to_version)), hang=2)
        if each.to_version is None:
            yield line("up to date: no newer version", "green", 2)
        else:
            yield from notes_screen(each.notes)
        if each.others:
            yield line(f"tags that are no versions: {', '.join(each.others)}", "dim", 2)


def health(found: Iterable[Health]) -> Iterator[Block]:
    """Every check of every app."""
    red = []
    for number, each in enumerate(found):
        if number:
            yield Line()
        good = each.verdict == "healthy"
        red += [] if good else [each.app]
        head = Text.assemble((tame_line(each.app), "bold"), "  ")
        yield Line(text=head.append(tame_line(each.verdict), style="bold green" if good else "bold red"))
        yield Grid(columns=("check", "took", "detail"), rows=[_check_row(c) for c in each.checks], indent=2)
    if red:
        yield Line()
        yield line("what is known of it:")
        for app in red:
            yield command(f"ccci-upgrade history {app}")
        yield command("ccci-upgrade doctor")


def history(runs: Sequence[Run]) -> Iterator[Block]:
    """Past runs as a table."""
    if runs:
        columns = ("when (UTC)", "app", "step", "outcome", "verdict", "by")
        yield Grid(columns=columns, rows=[_history_row(run) for run in runs])
    else:
        yield line("no runs yet")


def doctor(checks: Iterable[doctoring.Check]) -> Iterator[Block]:
    """Every check with its remedy."""
    for check in checks:
        word, style = _HEALTH[check.health.value]
        head = Text.assemble((f"{word:4}", style), f"  {tame_line(check.name)}: {tame_line(check.detail)}")
        yield Line(text=head, hang=6)
        yield from remedy(check.remedy, 6)


def _problems(rows: Sequence[AppStatus]) -> Iterator[Block]:
    """What could not be known, once for all apps that share it."""
    apps: dict[str, list[str]] = {}
    for row in rows:
        if row.problem:
            apps.setdefault(_without_path(row.problem), []).append(row.recipe or row.app)
    for problem, names in apps.items():
        yield line(f"note: {', '.join(names)}: {problem}", "", 0, 6)


def _at_work(found: Status) -> Iterator[Block]:
    """Who has the lease, where somebody has it; one that cannot be read is told too."""
    for each in found.leases:
        seen = each.standing
        where = f" on {each.server}" if len(found.leases) > 1 else ""
        if seen is None or (seen.claim is None and not seen.why):
            continue
        if seen.claim is None:
            yield line(f"lease{where}: its config cannot be read: {seen.why}", "magenta", 0, 6)
        elif seen.why:
            yield line(f"lease{where}: left behind by {seen.claim.line}: {seen.why}", "", 0, 6)
        else:
            yield line(f"lease{where}: at work now: {seen.claim.line}", "magenta", 0, 6)


def _not_recorded(rows: Sequence[AppStatus]) -> Iterator[Block]:
    """An app that runs something else than what was good last."""
    for row in rows:
        good = row.last_good
        if good is None or row.deployed is None or row.deployed == good.version:
            continue
        how = "was good before" if row.recorded else "was not recorded as good"
        said = f"the last good version is {good.version}, recorded {good.recorded[:10]} by {good.operator}"
        yield line(f"note: {row.recipe or row.app} runs {row.deployed}, which {how}; {said}", "", 0, 6)


def _without_path(problem: str) -> str:
    """A recipe without origin is no trouble of one app's: newer versions can only come from here."""
    if problem.endswith("has no remote `origin`"):
        return "the recipe has no remote `origin`: newer versions cannot be seen from here"
    return problem


def _status_row(row: AppStatus, *, remembered: bool) -> tuple[Text, ...]:
    runs = row.deployed or ("-" if row.state == "undeployed" else "unknown")
    newest = row.newest or "unknown"
    bump = "" if row.bump is Bump.NONE else row.bump.value
    good = row.last_good.version if row.last_good else "-"
    return (
        Text(tame_line(row.app), style="bold"),
        Text(tame_line(runs) + (" (chaos)" if row.chaos else "")),
        *((Text("=" if good == row.deployed else tame_line(good)),) if remembered else ()),
        Text("=" if row.newest is not None and row.newest == row.deployed else tame_line(newest)),
        Text(bump, style=BUMP_STYLE.get(row.bump, "")),
        Text(tame_line(row.state), style=_STATE_STYLE.get(row.state, "bold red")),
    )


def _history_row(run: Run) -> tuple[Text, ...]:
    outcome = run.outcome.value if run.outcome else "open"
    style = OUTCOME_STYLE.get(run.outcome, "bold red") if run.outcome else "bold magenta"
    return (
        Text(tame_line(run.started[:19].replace("T", " "))),
        Text(tame_line(run.app), style="bold"),
        Text(versions(run.from_version, run.to_version)),
        Text(outcome, style=style),
        Text(run.verdict.state.value if run.verdict else "-"),
        Text(tame_line(f"{run.operator} on {run.host}")),
    )


def _check_row(check: Check) -> tuple[Text, ...]:
    word, style = {True: ("ok", "green"), False: ("RED", "bold red"), None: ("?", "magenta")}[check.ok]
    return (
        Text.assemble((f"{word:3}", style), f"  {tame_line(check.name)}"),
        Text(f"{check.seconds:.2f} s"),
        Text(tame_line(check.detail)),
    )
