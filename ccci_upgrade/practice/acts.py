"""What changes an app: deploy, upgrade, rollback, undeploy, in the order abra does each.

The live label is the truth; the recipe's one work tree is moved to the version's tag; the `.env` is written
only after Swarm converged.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.practice import composefiles, converge
from ccci_upgrade.practice.apps import App, find
from ccci_upgrade.practice.commandline import Call
from ccci_upgrade.practice.console import Console, FatalError
from ccci_upgrade.practice.habits import Habits
from ccci_upgrade.practice.recipes import Checkout, open_recipe
from ccci_upgrade.practice.swarmclient import Docker, ServiceView


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What every act works on."""

    abra_dir: Path
    call: Call
    habits: Habits
    console: Console


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One app on its Engine with its recipe; `live` are its services, empty where it is not deployed."""

    app: App
    docker: Docker
    recipe: Checkout
    live: dict[str, ServiceView]

    def label(self, key: str) -> str | None:
        """The value of `coop-cloud.<stack>.<key>` on whichever service carries it, `app` first."""
        full = f"coop-cloud.{self.app.stack}.{key}"
        by_app_first = sorted(self.live.values(), key=lambda service: service.name != "app")
        return next((service.labels[full] for service in by_app_first if full in service.labels), None)

    @property
    def version(self) -> RecipeVersion | None:
        """The live version, None where the label is missing or odd."""
        return RecipeVersion.parse(self.label("version") or "")


def upgrade(scene: Scene) -> None:
    """Go to a newer version than the live one."""
    target = _deployed(scene)
    newest = _prepare(scene, target)
    versions = target.recipe.versions()
    newer = [v for v in versions if target.version is None or v > target.version]
    asked = scene.call.argument(1)
    if asked is not None:
        chosen = target.recipe.version(asked)
        if chosen not in newer and "force" not in scene.call.flags:
            raise FatalError(f"{asked} is not an upgrade for {target.app.domain} {target.version}?")
    elif target.version is None:
        raise FatalError("unknown deployed version, unable to upgrade")
    elif not newer or newest is None:
        scene.console.info(f"no available upgrades, you're on latest ({target.version}) already")
        return
    else:
        chosen = newest
    passed = [v for v in newer if v <= chosen]
    _show_notes(scene, target, passed)
    if "releasenotes" not in scene.call.flags:
        _act(scene, target, chosen)


def rollback(scene: Scene) -> None:
    """Go to an older version than the live one; nothing but the recipe's version is put back."""
    target = _deployed(scene)
    _prepare(scene, target)
    older = [v for v in target.recipe.versions() if target.version is not None and v < target.version]
    asked = scene.call.argument(1)
    if asked is not None:
        chosen = target.recipe.version(asked)
        if chosen not in older and "force" not in scene.call.flags:
            raise FatalError(f"{asked} is not a downgrade for {target.app.domain} {target.version}?")
    elif older:
        chosen = older[-1]
    else:
        scene.console.info("no available downgrades, you're on oldest already")
        return
    _act(scene, target, chosen)


def deploy(scene: Scene) -> None:
    """Deploy the version named, else the pinned one, else the newest; `--chaos` the tree as it is."""
    target = _target(scene)
    chaos = "chaos" in scene.call.flags
    if target.live and not chaos and "force" not in scene.call.flags:
        raise FatalError(f"{target.app.domain} is already deployed, try again with --force/-f or --chaos/-C")
    if chaos:
        _act(scene, target, None)
        return
    newest = _prepare(scene, target)
    named = scene.call.argument(1) or target.app.env.pinned
    chosen = target.recipe.version(named) if named else newest
    if chosen is None:
        raise FatalError(f"{target.recipe.name} has no published version: try --chaos/-C")
    _act(scene, target, chosen)


def undeploy(scene: Scene) -> None:
    """Ask for the stack to go. Returns before it is gone, keeps volumes, secrets and configs."""
    target = _deployed(scene)
    _habits_before(scene)
    if scene.habits.noop or not _agreed(scene):
        return
    target.docker.remove(target.app.stack)
    scene.console.info(f"undeployed {target.app.domain}")


def _target(scene: Scene) -> Target:
    app = find(scene.abra_dir, scene.call.arguments[0])
    docker = Docker(server=app.server)
    recipe = open_recipe(scene.abra_dir, app.env.recipe_folder)
    return Target(app=app, docker=docker, recipe=recipe, live=docker.services(app.stack))


def _deployed(scene: Scene) -> Target:
    target = _target(scene)
    if not target.live:
        raise FatalError(f"{target.app.domain} is not deployed?")
    return target


def _prepare(scene: Scene, target: Target) -> RecipeVersion | None:
    """Check and refresh the recipe; gives its newest version."""
    target.recipe.ensure_clean()
    if "offline" not in scene.call.flags:
        target.recipe.fetch()
    target.recipe.lint()
    versions = target.recipe.versions()
    return versions[-1] if versions else None


def _show_notes(scene: Scene, target: Target, versions: list[RecipeVersion]) -> None:
    target.recipe.to_newest()
    for version in versions:
        note = target.recipe.note(version)
        if note:
            scene.console.plain(f"{version}\n\n{note}\n")
        else:
            scene.console.warn(f"no release notes available for {version}")


def _act(scene: Scene, target: Target, chosen: RecipeVersion | None) -> None:
    """Deploy one version (None: the tree as it is), wait, and only then pin it in the `.env`."""
    if chosen is not None:
        target.recipe.checkout(chosen)
    pin = chosen.text if chosen is not None else target.recipe.chaos_version()
    env = _env(target)
    active = composefiles.load(target.recipe.path, env, stack=target.app.stack)
    missing = sorted(set(active.secrets.values()) - target.docker.secrets())
    if missing:
        raise FatalError(f"unable to deploy, secrets not generated: {', '.join(missing)}")
    for name in target.recipe.sample_names():
        if name not in target.app.env.values:
            scene.console.warn(f"{name} missing from {target.app.domain}.env")
    _overview(scene, target, pin, active)
    _habits_before(scene)
    if scene.habits.noop or not _agreed(scene):
        return
    _deploy_stack(scene, target, env, active, _labels(target, chosen, pin))
    _habits_after(scene)
    if "no-converge-checks" not in scene.call.flags:
        converge.wait(target.docker, target.app.stack, before=target.live, seconds=_timeout(target))
    target.app.pin(pin)
    scene.console.info(f"{scene.call.verb} successful: {target.app.domain} {pin}")


def _env(target: Target) -> dict[str, str]:
    return target.recipe.exports() | target.app.env.values | {"STACK_NAME": target.app.stack}


def _labels(target: Target, chosen: RecipeVersion | None, pin: str) -> dict[str, str]:
    """The labels abra adds to `app`; the version is the recipe's own literal in its compose file."""
    prefix = f"coop-cloud.{target.app.stack}"
    labels = {f"{prefix}.recipe": target.recipe.name, f"{prefix}.chaos": str(chosen is None).lower()}
    return labels if chosen is not None else labels | {f"{prefix}.chaos-version": pin}


def _deploy_stack(
    scene: Scene, target: Target, env: dict[str, str], active: composefiles.Active, labels: dict[str, str]
) -> None:
    files = [*active.files, composefiles.labels_file(labels)]
    scene.console.plain(target.docker.deploy(target.app.stack, files, folder=target.recipe.path, env=env))


def _overview(scene: Scene, target: Target, pin: str, active: composefiles.Active) -> None:
    images = "".join(f"  {service.name:<10} {service.image}\n" for service in active.compose.services)
    scene.console.plain(
        f"DEPLOYMENT OVERVIEW\n  domain     {target.app.domain}\n  server     {target.app.server}\n"
        f"  current    {target.label('version') or 'N/A'}\n  env        {target.app.env.pinned or 'N/A'}\n"
        f"  new        {pin}\nIMAGES\n{images}"
    )


def _agreed(scene: Scene) -> bool:
    asked = "no-input" not in scene.call.flags and scene.habits.prompt
    return not (asked or scene.habits.prompt_anyway) or scene.console.agreed("proceed?")


def _timeout(target: Target) -> float:
    said = target.app.env.values.get("TIMEOUT", "")
    return float(said) if said.isdigit() else converge.DEFAULT_SECONDS


def _habits_before(scene: Scene) -> None:
    habits = scene.habits
    if habits.noise_bytes:
        scene.console.noise(habits.noise_bytes)
    if habits.secret_leak:
        scene.console.plain(habits.secret_leak)
    time.sleep(habits.delay_before)
    if habits.fail_before:
        raise FatalError("unable to validate recipe: lint error in R008")
    if habits.hang:
        hang()
    if habits.noop:
        scene.console.info("nothing to do")


def _habits_after(scene: Scene) -> None:
    if scene.habits.die_after_deploy:
        os.kill(os.getpid(), signal.SIGKILL)
    if scene.habits.hang_after_deploy:
        hang()
    if scene.habits.give_up_after is not None:
        time.sleep(scene.habits.give_up_after)
        raise FatalError("deploy timed out")


def hang() -> None:
    """Never end."""
    while True:
        time.sleep(3600)
