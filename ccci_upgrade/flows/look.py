"""Reading everything that a plan stands on. Reads only; each reading that fails says so in the facts."""

import shutil
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ccci_upgrade.errors import CcciError, UsageError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.protection import read_protection
from ccci_upgrade.flows.surroundings import busy_lines, env_history, other_owners, unseen_from_here
from ccci_upgrade.model.app import App
from ccci_upgrade.model.builtin_probes import built_in_probes, with_certificates
from ccci_upgrade.model.compose import Compose, ComposeError, compose_files, read_compose
from ccci_upgrade.model.envfile import EnvFileError, parse_exports, sample_names
from ccci_upgrade.model.facts import AbraInfo, Facts, ImageFact
from ccci_upgrade.model.probe import Probe, ProbeResult, Token, probes_after
from ccci_upgrade.model.probe_config import probes_from_config
from ccci_upgrade.model.recipe import Recipe, Release, Tree
from ccci_upgrade.model.routes import stacks_of
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.version import RecipeVersion, in_range
from ccci_upgrade.text import decode
from ccci_upgrade.tools.images import find_image
from ccci_upgrade.tools.recipes import read_notes, read_recipe, read_trees
from ccci_upgrade.tools.web import run_probes

PROBE_SECONDS = 15.0
FETCH_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Depth:
    """How far to look: `offline` asks no network for recipes, images or `.env` histories.

    `again`: the version that runs may be the target too.
    """

    to: str | None = None
    offline: bool = False
    again: bool = False


def look(host: Host, app: App, depth: Depth) -> Facts:
    """Read all facts of one app. Raises NotReadyError where recipe or Engine cannot be read at all."""
    base = look_at_versions(host, app, to=depth.to, offline=depth.offline, again=depth.again)
    return _complete(host, base, depth) if base.target is not None and base.stack.services else base


def look_at_versions(
    host: Host, app: App, *, to: str | None = None, offline: bool, again: bool = False
) -> Facts:
    """Read what runs and what there is, and choose the target; nothing beyond versions."""
    recipe = read_recipe(
        app.recipe_folder, host.config.abra_dir, host.config.cache_dir, offline=offline, seconds=FETCH_SECONDS
    )
    stack = host.swarm.stack(app.stack)
    deployed_text = stack.label("version")
    deployed = RecipeVersion.parse(deployed_text) if deployed_text else None
    return Facts(
        app=app,
        stack=stack,
        deployed=deployed,
        deployed_text=deployed_text,
        chaos=_chaos(stack),
        recipe=recipe,
        target=choose_target(recipe, deployed, None if again else deployed_text, to),
    )


def choose_target(
    recipe: Recipe, deployed: RecipeVersion | None, deployed_text: str | None, to: str | None
) -> Release | None:
    """The named version, else the newest above what runs; None where there is nothing newer."""
    if to is not None:
        release = recipe.release(to)
        if release is None:
            near = ", ".join(r.version.text for r in recipe.releases[-5:]) or "none"
            raise UsageError(
                f"{recipe.name} has no version `{to}`",
                hint=f"the newest are {near}; `ccci-upgrade status` lists all",
            )
        return None if to == deployed_text else release
    newest = recipe.newest
    if newest is None or (deployed is not None and newest.version <= deployed):
        return None
    return newest


def versions_on_the_way(
    recipe: Recipe, deployed: RecipeVersion | None, target: RecipeVersion
) -> list[RecipeVersion]:
    """Every version in (deployed, target]; all up to the target where the deployed one is unknown."""
    known = [release.version for release in recipe.releases]
    return list(in_range(known, deployed, target))


def probes_of(host: Host, app: App, *, earlier: Iterable[Probe] = ()) -> tuple[Probe, ...]:
    """The probes of an app: configured ones, else the profile's; after an act also all that were asked before."""
    labels: list[dict[str, str]] = host.swarm.all_labels()
    if app.probes is not None:
        where = str(host.config.source or "ccci-upgrade.toml")
        tables = [_addressed(raw, app) for raw in app.probes]
        made = probes_from_config(tables, app.domain, f"{where}: [[apps.{app.name!r}.probes]]")
        now = with_certificates(made)
    else:
        token = Token(file=app.token_file) if app.token_file else None
        now = built_in_probes(app.recipe, app.domain, app.env.values, labels, app.address, token=token)
    earlier = tuple(earlier)
    return probes_after(earlier, now, stacks_of(labels)) if earlier else now


def probe(host: Host, app: App) -> tuple[tuple[Probe, ...], tuple[ProbeResult, ...]]:
    """Ask an app's probes once."""
    probes = probes_of(host, app)
    return probes, run_probes(
        probes, seconds_total=PROBE_SECONDS, cancelled=threading.Event(), door=host.door
    )


def read_abra(host: Host) -> AbraInfo | None:
    """What abra says of itself; None where it cannot be run (doctor and acting say why)."""
    try:
        return host.abra.info()
    except CcciError:
        return None


def _complete(host: Host, base: Facts, depth: Depth) -> Facts:
    """Everything beyond versions: compose files of both sides, notes, images, probes, surroundings."""
    app, recipe, target = base.app, base.recipe, base.target
    if target is None:
        return base
    way = versions_on_the_way(recipe, base.deployed, target.version)
    wanted = [target.version.text, *([base.deployed_text] if base.deployed_text else [])]
    with ThreadPoolExecutor(max_workers=6) as pool:
        notes = pool.submit(read_notes, recipe, [v.text for v in way])
        probed = pool.submit(probe, host, app)
        history = pool.submit(env_history, app, host.config.cache_dir, offline=depth.offline)
        abra = pool.submit(read_abra, host)
        busy = pool.submit(busy_lines, host)
        protection = pool.submit(read_protection, host, app, base.stack)
        trees = read_trees(recipe, wanted)
        new, problems = _compose(app, trees.get(target.version.text))
        old_tree = trees.get(base.deployed_text or "")
        names = host.swarm.names()
        images = _images(host, new, ask_registry=not depth.offline)
        owners = other_owners(host, (app,))
        probes, before = probed.result()
        texts = notes.result()
        env = history.result()
        abra_info = abra.result()
    disk_free = _disk_free(host)
    return replace(
        base,
        old=_compose(app, old_tree)[0],
        new=new,
        old_sample=_sample(old_tree),
        new_sample=_sample(trees.get(target.version.text)),
        problems=problems,
        notes=tuple(texts[v.text] for v in way),
        names=names,
        rendered=_rendered(new, trees.get(target.version.text)),
        images=images,
        probes=probes,
        before=before,
        env_history=env,
        owners=owners,
        busy=busy.result(),
        disk_free=disk_free,
        unseen=unseen_from_here(host, disk_known=disk_free is not None),
        abra=abra_info,
        protection=protection.result(),
    )


def _chaos(stack: Stack) -> str | None:
    if stack.label("chaos") != "true" and not stack.label("chaos-version"):
        return None
    return stack.label("chaos-version") or "unknown commit"


def _compose(app: App, tree: Tree | None) -> tuple[Compose | None, tuple[str, ...]]:
    """A version's compose files as abra would render them: `.env`, then the exports of `abra.sh`."""
    if tree is None:
        return None, ("the version's files cannot be read",)
    exports = parse_exports(decode(tree.files.get("abra.sh", b"")))
    env = {**app.env.values, **exports, "STACK_NAME": app.stack}
    try:
        names = compose_files(app.env.values)
        missing = [name for name in names if name not in tree.files]
        if missing:
            return None, tuple(tree.refused.get(n, f"{n} is not in {tree.version}") for n in missing)
        files = [(name, decode(tree.files[name])) for name in names]
        return read_compose(files, env, stack=app.stack), ()
    except ComposeError as error:
        return None, (str(error),)


def _sample(tree: Tree | None) -> frozenset[str]:
    if tree is None:
        return frozenset()
    try:
        return frozenset(sample_names(decode(tree.files.get(".env.sample", b""))))
    except EnvFileError:
        return frozenset()


def _rendered(new: Compose | None, tree: Tree | None) -> dict[str, bytes]:
    if new is None or tree is None:
        return {}
    files: Mapping[str, bytes] = tree.files
    named = ((c.name, c.file.removeprefix("./")) for c in new.configs if c.file)
    return {name: files[file] for name, file in named if file in files}


def _images(host: Host, new: Compose | None, *, ask_registry: bool) -> tuple[ImageFact, ...]:
    if new is None:
        return ()
    wanted = sorted({service.image for service in new.services if service.image})

    def find(image: str) -> ImageFact:
        return find_image(host.swarm.engine, image, ask_registry=ask_registry)

    with ThreadPoolExecutor(
        max_workers=8
    ) as pool:  # a registry that is silent is waited for once, not per image
        return tuple(pool.map(find, wanted))


def _addressed(raw: Mapping[str, object], app: App) -> dict[str, object]:
    """A probe's table with the app's address, where it asks over the network and names none itself."""
    table = dict(raw)
    if app.address and "address" not in table and "command" not in table:
        table["address"] = app.address
    return table


def _disk_free(host: Host) -> int | None:
    """Bytes free where the Engine keeps images; only known where the Engine is on this machine."""
    try:
        return shutil.disk_usage(Path(host.cluster.root_dir)).free if host.local else None
    except OSError:
        return None
