"""Snapshots for people and for scripts. Pure, and every foreign text is tamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccci_upgrade.model.run import to_json
from ccci_upgrade.model.snapshot import Kind
from ccci_upgrade.text import in_words

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterable, Iterator, Sequence

    from ccci_upgrade.flows.snapshot import Made
    from ccci_upgrade.flows.snapshots import Checked, Listed
    from ccci_upgrade.model.snapshot import Manifest
    from ccci_upgrade.store.snapshots import Kept
    from ccci_upgrade.ui.layout import Block


def made(done: Iterable[Made]) -> Iterator[Block]:
    """What was saved, what is suspicious, and what to type."""
    from ccci_upgrade.ui.screens import command, line  # noqa: PLC0415 - start-up time is measured

    for each in done:
        manifest = each.manifest
        if manifest is not None:
            kept = f"{in_words(manifest.size)} in {len(manifest.volumes)} volumes, {in_words(manifest.compressed)}"
            state = "good" if each.error is None else "NOT proven"
            yield line(f"{manifest.app}: snapshot {manifest.id} ({state}): {kept} on the disk", "bold")
        for text in each.warnings:
            yield line(f"warning: {text}", "magenta", 2)
        for text in each.run.next_steps:
            yield command(text)


def listed(found: Sequence[Listed]) -> Iterator[Block]:
    """All snapshots as a table, then what is wrong with some."""
    from rich.text import Text  # noqa: PLC0415 - start-up time is measured

    from ccci_upgrade.text import tame_line  # noqa: PLC0415 - same
    from ccci_upgrade.ui.layout import Grid  # noqa: PLC0415 - same
    from ccci_upgrade.ui.screens import line  # noqa: PLC0415 - same

    if not found:
        yield line("no snapshots yet")
        return
    rows = [tuple(Text(tame_line(cell)) for cell in _row(each)) for each in found]
    yield Grid(columns=("id", "app", "version", "taken (UTC)", "holds", "on disk", "state"), rows=rows)
    for each in found:
        for text in (each.kept.problem, each.kept.spoiled, *each.warnings):
            if not text:
                continue
            yield line(f"{each.kept.id}: {text}", "magenta")


def checked(found: Sequence[Checked]) -> Iterator[Block]:
    """Each snapshot that was read back."""
    from ccci_upgrade.ui.screens import line  # noqa: PLC0415 - start-up time is measured

    if not found:
        yield line("no snapshots yet")
    for each in found:
        yield line(
            f"{each.kept.id}  {each.kept.app}: {'BAD' if each.problems else 'good'}",
            "bold red" if each.problems else "green",
        )
        for text in each.problems:
            yield line(text, "", 2)


def pruned(gone: Sequence[Kept]) -> Iterator[Block]:
    """What was removed."""
    from ccci_upgrade.ui.screens import line  # noqa: PLC0415 - start-up time is measured

    for kept in gone:
        yield line(f"removed {kept.id} of {kept.app}")
    if not gone:
        yield line("nothing to remove")


def made_data(done: Iterable[Made]) -> dict[str, object]:
    """`snapshot create`'s data."""
    done = tuple(done)
    found = [each for each in done if each.manifest is not None]
    return {
        "runs": [to_json(each.run) for each in done],
        "snapshots": [
            _manifest(each.manifest, good=each.error is None)
            | {"problem": None, "warnings": list(each.warnings)}
            for each in found
            if each.manifest is not None
        ],
    }


def listed_data(found: Iterable[Listed]) -> dict[str, object]:
    """`snapshot list`'s data."""
    return {"snapshots": [_kept(each.kept) | {"warnings": list(each.warnings)} for each in found]}


def checked_data(found: Iterable[Checked]) -> dict[str, object]:
    """`snapshot verify`'s data."""
    rows = [
        {"id": e.kept.id, "app": e.kept.app, "good": not e.problems, "problems": list(e.problems)}
        for e in found
    ]
    return {"snapshots": rows}


def pruned_data(gone: Iterable[Kept]) -> dict[str, object]:
    """`snapshot prune`'s data."""
    return {"removed": [{"id": kept.id, "app": kept.app} for kept in gone]}


def _row(each: Listed) -> tuple[str, ...]:
    kept, manifest = each.kept, each.kept.manifest
    if manifest is None:
        return kept.id, kept.app, "?", "?", "?", "?", "BAD"
    state = "BAD" if kept.problem else "good" if kept.good else "not verified"
    state = "spoiled" if kept.spoiled else state
    state = f"{state}, failed state" if manifest.kind is Kind.FAILED_STATE else state
    taken = manifest.taken[:16].replace("T", " ")
    sizes = in_words(manifest.size), in_words(manifest.compressed)
    return kept.id, kept.app, manifest.version or "unknown", taken, *sizes, state


def _kept(kept: Kept) -> dict[str, object]:
    if kept.manifest is not None:
        return _manifest(kept.manifest, good=kept.good) | {"problem": kept.problem or None}
    nothing = {
        "version": None,
        "taken": None,
        "while_running": None,
        "kind": None,
        "size": None,
        "compressed": None,
    }
    return {"id": kept.id, "app": kept.app, "good": False, **nothing, "volumes": [], "problem": kept.problem}


def _manifest(manifest: Manifest, *, good: bool) -> dict[str, object]:
    volumes = [
        {
            "name": v.name,
            "service": v.service,
            "size": v.size,
            "compressed": v.compressed,
            "entries": v.entries,
        }
        for v in manifest.volumes
    ]
    return {
        "id": manifest.id,
        "app": manifest.app,
        "version": manifest.version,
        "taken": manifest.taken,
        "while_running": manifest.while_running,
        "kind": manifest.kind.value,
        "good": good,
        "size": manifest.size,
        "compressed": manifest.compressed,
        "volumes": volumes,
    }
