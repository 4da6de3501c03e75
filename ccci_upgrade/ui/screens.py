"""Plans, findings, notes and runs as lines. Pure: nothing is printed here, and every foreign text is tamed.

Colours only support what the words say, and none is used that is hard to read on a light or a dark ground.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from ccci_upgrade.model.card import Card
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.notes import Note, fold
from ccci_upgrade.model.openrun import Situation
from ccci_upgrade.model.plan import ImageJump, Plan
from ccci_upgrade.model.protection import NO_SNAPSHOT, Protect
from ccci_upgrade.model.run import UPGRADE, Run
from ccci_upgrade.model.verdict import Outcome
from ccci_upgrade.model.version import Bump
from ccci_upgrade.text import in_words, tame, tame_line
from ccci_upgrade.ui.layout import Block, Line

SEVERITY = {
    Severity.BLOCK: ("BLOCK", "bold red"),
    Severity.ACK: ("ACK", "bold magenta"),
    Severity.WARN: ("warn", "magenta"),
    Severity.INFO: ("info", "dim"),
}
OUTCOME_STYLE = {
    Outcome.UPGRADED: "bold green",
    Outcome.NOOP: "green",
    Outcome.SAVED: "green",
    Outcome.ROLLED_BACK: "bold magenta",
    Outcome.HELD: "bold magenta",
    Outcome.DECLINED: "bold magenta",
    Outcome.STALE: "bold magenta",
    Outcome.INTERRUPTED: "bold magenta",
    Outcome.SKIPPED: "dim",
}
BUMP_STYLE = {Bump.MAJOR: "bold red", Bump.UNKNOWN: "magenta"}
SHOWN_LOGS = 40
"""Log lines of failed tasks that are shown; the record has them all."""
SHOWN_SECONDS = 0.05
"""A phase that took less is not told at the end."""

_STEP = 6
_TYPED = re.compile(r"(?:(?P<why>.*): )?(?P<command>(?:git|docker|abra|ccci-upgrade) [^;]+)", re.DOTALL)
_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])?\s*")


def line(text: str, style: str = "", indent: int = 0, hang: int = 2) -> Line:
    """One line of foreign text."""
    return Line(text=Text(tame_line(text), style=style), indent=indent, hang=hang)


def command(text: str, indent: int = 2) -> Line:
    """A command to type, whole, so that it can be copied."""
    return Line(text=Text(f"$ {tame_line(text)}", style="bold"), indent=indent, whole=True)


def link(text: str, indent: int) -> Line:
    """A page to open, whole for the same reason."""
    return Line(text=Text(tame_line(text)), indent=indent, whole=True)


def step(old: str | None, new: str | None) -> str:
    """One step as text; the version that runs, where there is none."""
    return versions(old, new) if new is not None else tame_line(old or "unknown")


def versions(old: str | None, new: str | None) -> str:
    """One step as text, from and to."""
    return f"{tame_line(old or 'unknown')} → {tame_line(new or 'unknown')}"


def plan_screen(plan: Plan) -> Iterator[Block]:
    """A plan: the step, its images, all notes on the way, and at its end what holds it."""
    yield _title(plan)
    if plan.to_version is None:
        yield line("up to date: no newer version", "green", 2)
    yield from _images(plan.images, forward=plan.command == UPGRADE)
    if plan.to_version is not None and plan.command == UPGRADE:
        yield from _data(plan)
    if plan.notes:
        yield Line()
        yield from notes_screen(plan.notes)
    if plan.findings:
        pages = {page for jump in plan.images for page in jump.links}
        counts = [(sum(f.severity is s for f in plan.findings), SEVERITY[s][0]) for s in Severity]
        yield Line()
        yield line(f"Findings: {', '.join(f'{n} {word}' for n, word in counts if n)}", "bold")
        for finding in plan.findings:
            yield from finding_block(
                finding, acknowledged=finding.id in plan.acknowledged, shown_already=pages
            )


def finding_block(
    finding: Finding, *, acknowledged: bool = False, shown_already: Iterable[str] = ()
) -> Iterator[Block]:
    """A finding, its evidence and its remedy, with its id on a line of its own, as `--ack` wants it."""
    word, style = SEVERITY[finding.severity]
    head = Text.assemble((word, style), " " * (_STEP - len(word)), (tame_line(finding.title), "bold"))
    yield Line(text=head, indent=2, hang=_STEP)
    name = Text.assemble(("id: ", "dim"), tame_line(finding.id))
    yield Line(
        text=name.append("  acknowledged", style="green") if acknowledged else name,
        indent=2 + _STEP,
        whole=True,
    )
    known = set(shown_already)
    for text in finding.evidence:
        if text not in known:
            yield link(text, 2 + _STEP) if _is_page(text) else line(text, "", 2 + _STEP)
    yield from remedy(finding.remedy, 2 + _STEP)


def remedy(text: str, indent: int) -> Iterator[Block]:
    """What to do; where it ends in a command, that stands on a line of its own, whole."""
    match = _TYPED.fullmatch(text)
    if match is None:
        yield from [line(f"→ {text}", "", indent)] if text else []
        return
    if match["why"]:
        yield line(f"→ {match['why']}:", "", indent)
    yield command(match["command"], indent + (2 if match["why"] else 0))


def notes_screen(notes: Sequence[Note]) -> Iterator[Block]:
    """All notes on the way, identical paragraphs folded, holes named."""
    found = sum(note.text is not None for note in notes)
    yield line(f"Release notes: {found} of {len(notes)} versions have notes", "bold")
    heading = ""
    for paragraph, among in fold(notes):
        title = ", ".join(among)
        if title != heading:
            heading = title
            yield line(title, "bold", 2)
        else:
            yield Line()
        yield from _paragraph(paragraph, indent=4)
    for note in notes:
        if note.text is None:
            yield line(note.version, "bold", 2)
            yield line(note.problem or "no note", "magenta", 4)
        elif note.problem:
            yield line(f"{note.version}: {note.problem}", "magenta", 2)


def card_screen(card: Card) -> Iterator[Block]:
    """What it takes to go back."""
    yield line(f"To go back to {card.version}:", "bold", 2)
    for service, image in card.images.items():
        yield line(f"{service}  {image}", "", 4)
    if card.snapshot is not None:
        what = "is put back with it" if card.restores else "is kept, and not put back unasked"
        yield line(f"data: snapshot {card.snapshot} {what}", "", 4)
    elif card.restores:
        yield line(
            "data: this run took no snapshot; only an older one of that version can be put back", "magenta", 4
        )
    else:
        yield line("data: none to put back", "", 4)
    if card.seconds is not None:
        yield line(f"it took {card.seconds:.0f} s the last time", "", 4)
    yield command(card.command, 4)


def run_screen(run: Run) -> Iterator[Block]:
    """How a run ended, why, and what to type next."""
    outcome = run.outcome or Outcome.FAILED
    style = OUTCOME_STYLE.get(outcome, "bold red")
    head = Text.assemble((outcome.value, style), "  ", (tame_line(run.app), "bold"), "  ")
    head.append(versions(run.from_version, run.to_version))
    if run.verdict is not None:
        head.append(f"  ({run.verdict.state.value})")
    yield Line()
    yield Line(text=head, hang=2)
    yield from _evidence(run)
    for notice in run.notices:
        yield line(notice, "", 2)
    if run.logs:
        yield line("last log lines of the tasks that failed:", "bold", 2)
        for text in run.logs[-SHOWN_LOGS:]:
            yield line(text, "dim", 4)
    # Of a run with twenty phases the ones that took time are worth a look; `--json` has all.
    took = "  ".join(f"{p.name} {p.seconds:.1f} s" for p in run.phases if p.seconds >= SHOWN_SECONDS)
    if took:
        yield line(took, "dim", 2)
    if run.next_steps:
        yield line("what to type next:", "bold", 2)
        for typed in run.next_steps:
            yield command(typed, 4)


def _evidence(run: Run) -> Iterator[Block]:
    """The proofs of both verdicts, and what is kept of the state that was replaced."""
    for evidence in run.verdict.evidence if run.verdict else ():
        # Before a way back all of it was on the screen already: what abra printed is not repeated.
        if run.undo is None or not evidence.text.startswith("abra: "):
            yield line(evidence.text, "", 2)
    if run.undo is not None:
        yield line(f"and back to {run.from_version} ({run.undo.state.value}):", "bold", 2)
        for evidence in run.undo.evidence:
            yield line(evidence.text, "", 2)
    if run.failed_state is not None:
        yield line(f"the state that was replaced is kept as snapshot {run.failed_state}", "", 2)


def open_run_screen(found: Situation) -> Iterator[Block]:
    """A run that never ended: what it was, where it was, and what is true now."""
    run = found.open.run
    yield Line()
    yield line(f"{run.app}: run {run.run_id} never ended", "bold")
    yield line(
        f"{run.command} {versions(run.from_version, run.to_version)}, by {run.operator} on {run.host}", "", 2
    )
    yield line(f"it was at `{found.open.phase}`; now:", "", 2)
    for text in found.now:
        yield line(text, "", 4)


def refusals(runs: Sequence[Run], plans: Sequence[Plan]) -> Iterator[Block]:
    """For each run that did not act: why not."""
    by_app = {plan.app: plan for plan in plans}
    for run in runs:
        if run.phases or run.verdict is not None or run.outcome is None:
            continue
        plan = by_app.get(run.app)
        blocks = ", ".join(f.id for f in plan.blocks) if plan else ""
        unchanged = "; nothing was changed"
        why = {
            Outcome.NOOP: f"nothing to do: {run.from_version} runs",
            Outcome.NOT_READY: f"not ready: {blocks}{unchanged}",
            Outcome.HELD: f"held by {', '.join(run.holds)}{unchanged}",
            Outcome.DECLINED: f"declined{unchanged}",
            Outcome.LOCKED: f"locked{unchanged}",
            Outcome.STALE: f"the plan is stale{unchanged}",
            Outcome.SKIPPED: "not begun",
        }.get(run.outcome, run.outcome.value)
        yield Line(
            text=Text.assemble(
                (tame_line(run.app), OUTCOME_STYLE.get(run.outcome, "bold red")), f": {tame_line(why)}"
            ),
            hang=2,
        )


def _title(plan: Plan) -> Line:
    title = Text(tame_line(plan.app), style="bold")
    title = Text().append_text(title).append(f"  {step(plan.from_version, plan.to_version)}")
    if plan.command != UPGRADE:
        title.append(f"  {plan.command}", style="bold")
    elif plan.to_version is not None:
        title.append(f"  {plan.bump.value}", style=BUMP_STYLE.get(plan.bump, ""))
    title.append(f"  on {tame_line(plan.server)}", style="dim")
    return Line(text=title, hang=2)


_UNKNOWN_SIZE = {True: "the size of which is", False: "the sizes of which are"}


def _data(plan: Plan) -> Iterator[Block]:
    """What is done for the data first, and what that costs."""
    protection = plan.protection
    if protection.protect is Protect.NOTHING:
        return
    volumes = len(protection.sizes) + len(protection.unknown)
    size = f"{in_words(protection.size)} in " if protection.sizes else ""
    text = f"{size}{volumes} {'volume' if volumes == 1 else 'volumes'}"
    if protection.unknown:
        text = f"{text}, {'the size of some is' if size else _UNKNOWN_SIZE[volumes == 1]} not known"
    if protection.refused:
        yield line("data  no snapshot can be taken", "magenta", 2)
    elif NO_SNAPSHOT in plan.acknowledged:
        yield line(f"data  {text}, not copied: no-snapshot is acknowledged", "magenta", 2)
    elif protection.protect is Protect.RUNNING:
        yield line(f"data  {text}, copied first while it runs", "", 2)
    else:
        yield line(f"data  {text}, copied first; the app is down for about {protection.seconds:.0f} s", "", 2)


def _images(jumps: Sequence[ImageJump], *, forward: bool) -> Iterator[Block]:
    """Each image's step; on the way forward also how far it is, and upstream's pages on it, once each."""
    shown: set[str] = set()
    for jump in jumps:
        text = Text.assemble((f"{tame_line(jump.service)}  ", "dim"), f"{_image_step(jump)}  ")
        if not forward:
            yield Line(text=text, indent=2, hang=2)
            continue
        yield Line(text=text.append(jump.bump.value, style=BUMP_STYLE.get(jump.bump, "")), indent=2, hang=2)
        for page in jump.links:
            if page not in shown:
                shown.add(page)
                yield link(page, 4)


def _image_step(jump: ImageJump) -> str:
    """`name:1 → 2` where only the tag differs."""
    old, new = tame_line(jump.old), tame_line(jump.new)
    name, colon, tag = new.rpartition(":")
    same = colon and "/" not in tag and old.rpartition(":")[0] == name
    return f"{old} → {tag if same else new}"


def _paragraph(paragraph: str, *, indent: int) -> Iterator[Block]:
    """A note's lines as they are: folded for the width, but not within a fenced block."""
    fenced = False
    for raw in tame(paragraph).split("\n"):
        text = raw.expandtabs(4)
        fence = _FENCE.match(text) is not None
        inside, fenced = fenced, fenced ^ fence
        item = _ITEM.match(text)
        hang = item.end() if item else 0
        yield Line(text=Text(text), indent=indent, hang=min(hang, 12), whole=inside or fence)


def _is_page(text: str) -> bool:
    return text.startswith(("https://", "http://")) and " " not in text
