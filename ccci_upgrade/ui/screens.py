"""Values as rich renderables. Pure: nothing is printed here, and every foreign text is tamed."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.notes import Note, fold
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.verdict import Outcome
from ccci_upgrade.model.version import Bump
from ccci_upgrade.text import tame, tame_line

SEVERITY_STYLE = {
    Severity.BLOCK: "bold red",
    Severity.ACK: "yellow",
    Severity.WARN: "yellow",
    Severity.INFO: "cyan",
}
SEVERITY_WORD = {
    Severity.BLOCK: "BLOCK",
    Severity.ACK: "ACK  ",
    Severity.WARN: "warn ",
    Severity.INFO: "info ",
}
OUTCOME_STYLE = {
    Outcome.UPGRADED: "bold green",
    Outcome.NOOP: "green",
    Outcome.ROLLED_BACK: "bold yellow",
    Outcome.HELD: "yellow",
    Outcome.DECLINED: "yellow",
    Outcome.SKIPPED: "dim",
}
BUMP_STYLE = {Bump.MAJOR: "bold red", Bump.UNKNOWN: "yellow", Bump.MINOR: "cyan", Bump.PATCH: "green"}


def line(text: str, style: str = "") -> Text:
    """One line of foreign text."""
    return Text(tame_line(text), style=style)


def plan_screen(plan: Plan) -> RenderableType:
    """A plan: the step, its images, what holds it, and all notes on the way."""
    parts: list[RenderableType] = [_title(plan)]
    if plan.to_version is None:
        parts.append(Padding(Text("up to date: no newer version", style="green"), (0, 2)))
    parts += [Padding(_image_line(j.service, j.old, j.new, j.bump), (0, 2)) for j in plan.images]
    links = sorted({link for jump in plan.images for link in jump.links})
    parts += [Padding(line(link, "cyan"), (0, 4)) for link in links]
    if plan.findings:
        parts += [Text(), Text("Findings", style="bold"), *(finding_block(f, plan) for f in plan.findings)]
    if plan.notes:
        parts += [Text(), notes_screen(plan.notes)]
    return Group(*parts)


def finding_block(finding: Finding, plan: Plan | None = None) -> RenderableType:
    """A finding with its evidence and remedy."""
    head = Text()
    head.append(f"  {SEVERITY_WORD[finding.severity]} ", style=SEVERITY_STYLE[finding.severity])
    head.append(tame_line(finding.title))
    head.append(f"  [{tame_line(finding.id)}]", style="dim")
    if plan is not None and finding.id in plan.acknowledged:
        head.append("  acknowledged", style="green")
    rows: list[RenderableType] = [head]
    rows += [Padding(line(text, "dim"), (0, 0, 0, 8)) for text in finding.evidence]
    if finding.remedy:
        rows.append(Padding(Text.assemble(("→ ", "cyan"), tame_line(finding.remedy)), (0, 0, 0, 8)))
    return Group(*rows)


def notes_screen(notes: Sequence[Note]) -> RenderableType:
    """All notes on the way, identical paragraphs folded, holes named."""
    found = sum(note.text is not None for note in notes)
    style = "bold" if found == len(notes) else "bold yellow"
    rows: list[RenderableType] = [
        Text(f"Release notes: {found} of {len(notes)} versions have notes", style=style)
    ]
    for paragraph, versions in fold(notes):
        rows.append(Rule(Text(", ".join(tame_line(v) for v in versions)), align="left", style="dim"))
        rows.append(Padding(Text(tame(paragraph)), (0, 0, 0, 2)))
    for note in notes:
        if note.text is None:
            rows.append(Rule(line(note.version), align="left", style="dim"))
            rows.append(Padding(line(note.problem or "no note", "yellow"), (0, 0, 0, 2)))
        elif note.problem:
            rows.append(Padding(line(f"{note.version}: {note.problem}", "yellow"), (0, 0, 0, 2)))
    return Group(*rows)


def run_screen(run: Run) -> RenderableType:
    """How a run ended, why, and what to type next."""
    outcome = run.outcome or Outcome.FAILED
    style = OUTCOME_STYLE.get(outcome, "bold red")
    head = Text.assemble(
        (outcome.value, style), f"  {tame_line(run.app)}  ", versions(run.from_version, run.to_version)
    )
    if run.verdict is not None:
        head.append(f"  ({run.verdict.state.value})", style="dim")
    rows: list[RenderableType] = [Text(), head]
    if run.verdict is not None:
        rows += [Padding(line(e.text), (0, 2)) for e in run.verdict.evidence]
    rows += [Padding(line(text, "yellow"), (0, 2)) for text in run.notices]
    if run.logs:
        rows += [Text("  last log lines of the tasks that failed", style="bold")]
        rows += [Padding(line(text, "dim"), (0, 4)) for text in run.logs[-40:]]
    if run.next_steps:
        rows += [
            Text("  what to type next", style="bold"),
            *(Padding(line(f"$ {s}", "cyan"), (0, 4)) for s in run.next_steps),
        ]
    took = "  ".join(f"{p.name} {p.seconds:.1f} s" for p in run.phases)
    if took:
        rows.append(Padding(Text(took, style="dim"), (0, 2)))
    return Group(*rows)


def refusals(runs: Sequence[Run], plans: Sequence[Plan]) -> Iterable[tuple[str, str]]:
    """For each run that did not act: why not, as text and style."""
    by_app = {plan.app: plan for plan in plans}
    for run in runs:
        if run.phases or run.verdict is not None or run.outcome is None:
            continue
        plan = by_app.get(run.app)
        blocks = ", ".join(f.id for f in plan.blocks) if plan else ""
        why = {
            Outcome.NOOP: f"{run.app}: nothing to do, {run.from_version} is the newest",
            Outcome.NOT_READY: f"{run.app}: not ready: {blocks}; nothing was changed",
            Outcome.HELD: f"{run.app}: held by {', '.join(run.holds)}; nothing was changed. To go on:",
            Outcome.DECLINED: f"{run.app}: declined; nothing was changed",
            Outcome.STALE: f"{run.app}: the plan is stale; nothing was changed",
            Outcome.SKIPPED: f"{run.app}: not begun, because of the one before it",
        }.get(run.outcome, f"{run.app}: {run.outcome.value}")
        yield tame_line(why), OUTCOME_STYLE.get(run.outcome, "bold red")


def table(columns: Iterable[str], rows: Iterable[Sequence[str | Text]]) -> Table:
    """A plain table; cells that are no Text are tamed."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else line(cell) for cell in row))
    return made


def versions(old: str | None, new: str | None) -> str:
    """One step as text."""
    return f"{tame_line(old or 'unknown')} → {tame_line(new or 'unknown')}"


def _title(plan: Plan) -> Text:
    title = Text(tame_line(plan.app), style="bold")
    title.append(f"  {versions(plan.from_version, plan.to_version or plan.from_version)}", style="none")
    if plan.to_version is not None:
        title.append(f"  {plan.bump.value}", style=BUMP_STYLE.get(plan.bump, ""))
    title.append(f"  on {tame_line(plan.server)}", style="dim")
    return title


def _image_line(service: str, old: str, new: str, bump: Bump) -> Text:
    text = Text.assemble((f"{tame_line(service)}  ", "dim"), f"{tame_line(old)} → {tame_line(new)}  ")
    return text.append(bump.value, style=BUMP_STYLE.get(bump, ""))
