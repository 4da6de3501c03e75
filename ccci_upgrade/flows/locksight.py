"""Looking at the apps of a server for the lock: what runs, what their `.env` and recipes say, who changed them last."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ccci_upgrade.errors import CcciError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.model.app import App
from ccci_upgrade.model.appnow import AppNow, Left, Shape, running_of
from ccci_upgrade.model.lockfile import Judged, LockedApp, LockFile
from ccci_upgrade.model.memory import Memory
from ccci_upgrade.model.recipe import Recipe
from ccci_upgrade.model.run import Run, version_left
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import State

RecipeOf = Callable[[str], Recipe | CcciError]
"""A recipe by the name of its folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What was asked of one server, once for all its apps.

    `shapes` are by the Swarm's names of services, `memories` by stack; `runs` are those of this Swarm, oldest first.
    """

    stacks: Mapping[str, Stack]
    recipe: RecipeOf
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    memories: Mapping[str, Memory] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    image_id: Callable[[str], str] = lambda _: ""


def apps_now(host: Host, sight: Sight, lock: LockFile | None, *, only: str = "") -> tuple[AppNow, ...]:
    """Every app that has an `.env` here or is in the lock, or the one of them that is named."""
    here = {app.name: app for app in host.apps}
    broken = {each.name: each.error for each in host.broken}
    locked = {each.name: each for each in lock.apps} if lock else {}
    names = [name for name in dict.fromkeys([*here, *broken, *locked]) if only in ("", name)]
    return tuple(app_now(n, here.get(n), locked.get(n), sight, problem=broken.get(n, "")) for n in names)


def app_now(
    name: str, app: App | None, locked: LockedApp | None, sight: Sight, *, problem: str = ""
) -> AppNow:
    """One app; where its `.env` cannot tell its stack, the lock does."""
    stack = app.stack if app else locked.stack if locked else ""
    found = sight.stacks.get(stack)
    recipe = sight.recipe(app.recipe_folder) if app else None
    return AppNow(
        name=name,
        app=app,
        problem=problem,
        running=running_of(found, sight.shapes, sight.image_id) if found else None,
        recipe=recipe if isinstance(recipe, Recipe) else None,
        recipe_problem=recipe.message if isinstance(recipe, CcciError) else "",
        left=_left(name, sight.runs, sight.memories.get(stack)),
    )


def judged(now: AppNow, old: LockedApp | None, sight: Sight) -> Judged | None:
    """The newest verdict on the version that runs: of a run here, of somebody elsewhere, or as the lock has it.

    A run's time is when it began, which its own record and every later one know: the text is the same from both. Of a
    run whose journal is elsewhere it is when it was remembered.
    """
    version = now.running.version if now.running else None
    found: dict[str, Judged] = {}
    if old and old.verdict and old.version == version:
        found[old.verdict.run] = old.verdict
    for run in _acted(now.name, sight.runs):
        verdict = run.undo or run.verdict
        if verdict and version in _may_have_left(run):
            judged_so = Judged(state=verdict.state, at=run.started, run=run.run_id)
            found.setdefault(run.run_id, judged_so)
    memory = sight.memories.get(now.app.stack) if now.app else None
    good = memory.of(version) if memory else None
    if good is not None:
        found.setdefault(good.run_id, Judged(state=State.CONVERGED, at=good.recorded, run=good.run_id))
    return max(found.values(), key=lambda each: each.at, default=None)


def _left(name: str, runs: Iterable[Run], memory: Memory | None) -> Left | None:
    """The newest word on what was left running: of a run of this machine, or of anybody's."""
    found = [
        Left(
            versions=_may_have_left(run),
            at=run.finished or run.started,
            run=run.run_id,
            who=f"{run.operator} on {run.host}",
        )
        for run in _acted(name, runs)
    ]
    if memory is not None and all(memory.last.run_id != each.run for each in found):
        good = memory.last
        who = f"{good.operator} on {good.host}"
        found.append(Left(versions=frozenset({good.version}), at=good.recorded, run=good.run_id, who=who))
    return max(found, key=lambda each: each.at, default=None)


def _acted(name: str, runs: Iterable[Run]) -> list[Run]:
    """Runs of an app that ended with a verdict, or that began and never ended."""
    return [run for run in runs if run.app == name and (run.verdict or (run.outcome is None and run.phases))]


def _may_have_left(run: Run) -> frozenset[str]:
    left = version_left(run)
    return frozenset({left}) if left else frozenset(filter(None, (run.from_version, run.to_version)))
