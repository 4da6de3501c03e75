"""Findings about the step from one version to another: semver, images, notes, tags."""

from collections.abc import Iterator

from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.image import db_series, is_database
from ccci_upgrade.model.notes import markers
from ccci_upgrade.model.plan import image_jumps
from ccci_upgrade.model.recipe import Release
from ccci_upgrade.model.version import Bump, RecipeVersion, ambiguous, bump_between


def find(facts: Facts, target: Release) -> Iterator[Finding]:
    """What the versions on the way say."""
    yield from _direction(facts, target)
    yield from _databases(facts)
    yield from _major(facts, target)
    yield from _notes(facts)
    yield from _tags(facts, target)


def _direction(facts: Facts, target: Release) -> Iterator[Finding]:
    if facts.deployed is None:
        return
    evidence = (f"running: {facts.deployed}", f"target: {target.version}")
    if ambiguous(facts.deployed, target.version):
        yield Finding(
            id="ambiguous-version",
            severity=Severity.BLOCK,
            title="the same recipe version with another upstream version",
            evidence=evidence,
            remedy="which one is newer is not defined: name another version with `--to`",
        )
    elif target.version < facts.deployed:
        yield Finding(
            id="downgrade",
            severity=Severity.BLOCK,
            title="the target is older than what runs",
            evidence=evidence,
            remedy=f"abra app rollback {facts.app.name} {target.version}  # restores no data",
        )


def _databases(facts: Facts) -> Iterator[Finding]:
    for jump in image_jumps(facts):
        old, new = db_series(jump.old), db_series(jump.new)
        if is_database(jump.new) and old and new and old != new:
            yield Finding(
                id=f"db-major:{jump.service}",
                severity=Severity.ACK,
                title=f"{is_database(jump.new)} moves from series {old} to {new}",
                evidence=(f"{jump.service}: {jump.old} → {jump.new}", *jump.links),
                remedy="a database of another series needs its data upgraded or dumped and restored: read the page",
            )


def _major(facts: Facts, target: Release) -> Iterator[Finding]:
    evidence: list[str] = []
    if facts.deployed is not None and bump_between(facts.deployed, target.version) is Bump.MAJOR:
        evidence.append(f"recipe: {facts.deployed} → {target.version}")
        evidence += _skipped(facts.deployed, target)
    for jump in image_jumps(facts):
        if jump.bump is Bump.MAJOR and not is_database(jump.new):
            evidence += [f"{jump.service}: {jump.old} → {jump.new}", *jump.links]
    if not evidence:
        return
    missing = [note.version for note in facts.notes if note.text is None]
    if missing:
        evidence.append(f"no release note for {', '.join(missing)}")
    yield Finding(
        id="major",
        severity=Severity.ACK,
        title="a major version jump",
        evidence=tuple(evidence),
        remedy="read every note and the upstream pages; step by step: name each version with `--to`",
    )


def _skipped(deployed: RecipeVersion, target: Release) -> list[str]:
    between = range(deployed.major + 1, target.version.major)
    return [f"major versions skipped: {', '.join(map(str, between))}"] if between else []


def _notes(facts: Facts) -> Iterator[Finding]:
    for note in facts.notes:
        found = markers(note.text) if note.text else ()
        if found:
            lines = tuple(f"release/{note.version}:{number}: {line.strip()}" for number, line, _ in found)
            yield Finding(
                id=f"notes-migration:{note.version}",
                severity=Severity.ACK,
                title=f"the note of {note.version} speaks of work by hand",
                evidence=lines,
                remedy=f"do what it says first: ccci-upgrade notes {facts.app.name}",
            )
    missing = [note for note in facts.notes if note.text is None]
    if missing:
        found_count = len(facts.notes) - len(missing)
        yield Finding(
            id="notes-missing",
            severity=Severity.WARN,
            title=f"{found_count} of {len(facts.notes)} versions have notes",
            evidence=tuple(f"release/{n.version}: {n.problem or 'no such file'}" for n in missing),
            remedy=f"look at the changes instead: git -C {facts.recipe.path} log --oneline",
        )


def _tags(facts: Facts, target: Release) -> Iterator[Finding]:
    if not target.annotated:
        tag = target.version.text
        yield Finding(
            id=f"lightweight-tag:{tag}",
            severity=Severity.BLOCK,
            title="the version's tag is not annotated: abra's lint refuses it (R014)",
            evidence=(f"git -C {facts.recipe.path} cat-file -t {tag}  → commit",),
            remedy="ask the recipe's maintainers for an annotated tag, or name another version with `--to`",
        )
    moved = [m for m in facts.recipe.moved if m.tag in (target.version.text, facts.deployed_text)]
    if moved:
        yield Finding(
            id="tag-moved",
            severity=Severity.WARN,
            title="a tag was moved upstream",
            evidence=tuple(f"{m.tag}: here {m.local[:12]}, upstream {m.upstream[:12]}" for m in moved),
            remedy=f"compare both: git -C {facts.recipe.path} fetch --tags --force",
        )
