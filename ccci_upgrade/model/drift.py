"""Drift of a whole lock: where the lock, the `.env` and what runs do not say the same. Pure."""

import shlex
from collections.abc import Iterable, Iterator

from ccci_upgrade.model.app import App
from ccci_upgrade.model.appnow import AppNow, Running, env_sha256
from ccci_upgrade.model.driftparts import parts
from ccci_upgrade.model.driftrow import Row, Side, Weight, deploy_again, majority, write_anew
from ccci_upgrade.model.lockfile import LockedApp, LockFile
from ccci_upgrade.model.recipe import Recipe
from ccci_upgrade.model.version import RecipeVersion


def compare(lock: LockFile, found: Iterable[AppNow]) -> tuple[Row, ...]:
    """Every difference, app by app: those of the lock in their order, then those that are not in it."""
    now = {each.name: each for each in found}
    rows: list[Row] = []
    for locked in sorted(lock.apps, key=lambda each: (each.order, each.name)):
        rows += _app(locked, now.pop(locked.name, AppNow(name=locked.name)))
    for each in now.values():
        rows += _not_locked(each)
    return tuple(rows)


def _not_locked(now: AppNow) -> Iterator[Row]:
    if now.running is not None:
        yield Row(
            app=now.name,
            what="lock",
            env=now.pinned,
            running=now.running.version,
            wins=Side.RUNNING,
            said="it runs and is not in the lock: after a rebuild nobody would bring it back",
            remedy=write_anew(now.name),
        )


def _app(lock: LockedApp, now: AppNow) -> Iterator[Row]:
    yield from _recipe(lock, now)
    if now.app is None:
        what = now.problem or "it has no `.env` here"
        yield Row(app=lock.name, what="env", lock=lock.env_sha256, wins=Side.LOCK, said=what)
    else:
        yield from _env(lock, now.app)
    if now.running is None:
        yield Row(
            app=lock.name,
            what="deployed",
            lock=lock.version,
            env=now.pinned,
            wins=Side.LOCK,
            said="it is in the lock and does not run",
            remedy=f"abra app deploy {lock.name} {lock.version}",
        )
        return
    yield from _version(lock, now, now.running)
    yield from parts(lock, now, now.running)


# -- version ------------------------------------------------------------------------------------------------


def _version(lock: LockedApp, now: AppNow, running: Running) -> Iterator[Row]:
    if running.chaos:
        yield Row(
            app=lock.name,
            what="chaos",
            lock=lock.version,
            env=now.pinned,
            running=running.chaos,
            wins=Side.LOCK,
            said="it was deployed from a work tree, which no version names",
            remedy=deploy_again(lock),
        )
    pinned, runs = now.pinned, running.version
    if runs == lock.version and pinned in (None, lock.version):
        return
    wins = majority(lock.version, pinned, runs)
    changed = runs != lock.version
    known = now.left is not None and runs in now.left.versions
    yield Row(
        app=lock.name,
        what="version",
        lock=lock.version,
        env=pinned,
        running=runs or "unknown",
        wins=wins,
        said=_version_said(now, wins, changed=changed, known=known),
        remedy=_version_remedy(lock, now, wins, runs),
        other_owner=changed and not known,
    )


def _version_said(now: AppNow, wins: Side | None, *, changed: bool, known: bool) -> str:
    if not changed:
        return "the `.env` pins another version than what runs: the next deploy would change it"
    by = f"run {now.left.run} ({now.left.who}) left it so" if known and now.left else _by_nobody(now)
    how = {
        Side.RUNNING: "it was deployed after the lock was written",
        Side.LOCK: "what runs was changed, and not by a deploy that abra finished",
        None: "all three differ: look which of them was meant",
    }
    return f"{how.get(wins, '')}; {by}"


def _by_nobody(now: AppNow) -> str:
    versions = " or ".join(sorted(now.left.versions)) if now.left else ""
    left = f" (the last run, {now.left.run}, left {versions})" if now.left else ""
    return f"nobody in the journal changed it{left}: another owner may be at work, see `ccci-upgrade doctor`"


def _version_remedy(lock: LockedApp, now: AppNow, wins: Side | None, runs: str | None) -> str:
    if wins is Side.RUNNING and runs == lock.version:
        return f"write {runs} behind the recipe's name in {now.name}.env"
    if wins is Side.LOCK:
        here, there = RecipeVersion.parse(runs or ""), RecipeVersion.parse(lock.version)
        back = here is None or there is None or there < here
        return f"ccci-upgrade {'rollback' if back else 'upgrade'} {lock.name} --to {lock.version}"
    return write_anew(lock.name) if wins is Side.RUNNING else ""


# -- the recipe and the `.env` ------------------------------------------------------------------------------


def _recipe(lock: LockedApp, now: AppNow) -> Iterator[Row]:
    if now.app is not None and now.app.recipe != lock.recipe:
        yield Row(
            app=lock.name,
            what="recipe",
            lock=lock.recipe,
            env=now.app.recipe,
            said="the `.env` names another recipe than the lock: look which of them was meant",
        )
        return
    if now.recipe is None:
        if now.recipe_problem:
            yield Row(
                app=lock.name,
                what="commit",
                lock=lock.commit,
                weight=Weight.UNKNOWN,
                said=f"the tag {lock.version} could not be looked at: {now.recipe_problem}",
            )
        return
    release = now.recipe.release(lock.version)
    if release is None:
        yield _moved(lock, None, "is gone", "")
    elif release.commit != lock.commit:
        yield _moved(
            lock, release.commit, "names another commit in abra's checkout now", _log(now.recipe, lock)
        )
    else:
        for moved in now.recipe.moved:
            if moved.tag == lock.version:
                yield _moved(lock, moved.upstream, "names another commit upstream now", "")


def _moved(lock: LockedApp, commit: str | None, what: str, remedy: str) -> Row:
    return Row(
        app=lock.name,
        what="commit",
        lock=lock.commit,
        recipe=commit,
        wins=Side.LOCK,
        said=f"the recipe's tag {lock.version} {what}; what was judged is the lock's commit",
        remedy=remedy,
    )


def _log(recipe: Recipe, lock: LockedApp) -> str:
    where, tag = shlex.quote(str(recipe.path)), shlex.quote(f"{lock.commit[:12]}..refs/tags/{lock.version}")
    return f"to see what it brings: git -C {where} log --oneline {tag}"


def _env(lock: LockedApp, app: App) -> Iterator[Row]:
    sha256 = env_sha256(app.text, lock.version)
    if sha256 != lock.env_sha256:
        added, gone = _names(set(app.env.values), set(lock.env_names))
        what = "; ".join([*added, *gone]) or "the same variables, other values or comments"
        yield Row(
            app=lock.name,
            what="env",
            lock=lock.env_sha256,
            env=sha256,
            wins=Side.ENV,
            said=f"it was edited since ({what}): the next deploy takes it as it is now",
            remedy=write_anew(lock.name),
        )
    if app.order != lock.order:
        yield Row(
            app=lock.name,
            what="order",
            lock=str(lock.order),
            env=str(app.order),
            weight=Weight.INFO,
            wins=Side.ENV,
            said="the configuration gives it another place in the order of deploys",
            remedy=write_anew(lock.name),
        )


def _names(now: set[str], then: set[str]) -> tuple[list[str], list[str]]:
    added, gone = sorted(now - then), sorted(then - now)
    return [f"added: {', '.join(added)}"] * bool(added), [f"removed: {', '.join(gone)}"] * bool(gone)
