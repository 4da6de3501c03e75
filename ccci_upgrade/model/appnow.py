"""One app as it is now, from three sides: its `.env`, its recipe's tags, and what runs. Pure.

From this a lock is recorded, and with it a lock is compared.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ccci_upgrade.model.app import App
from ccci_upgrade.model.envfile import EnvFileError, pin_version
from ccci_upgrade.model.image import Image, bare_image
from ccci_upgrade.model.keptsecrets import split_name
from ccci_upgrade.model.lockfile import Judged, LockedApp, LockedImage
from ccci_upgrade.model.recipe import Recipe
from ccci_upgrade.model.stackstate import unhealthy_lines
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.version import RecipeVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """All settings of a service as one hash; `changed` are the keys of what it differs in from the `previous` one.

    `previous` is empty where the service was never updated.
    """

    hash: str
    previous: str = ""
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """What runs of an app; by service `images` and `shapes`, by name the versions of `secrets` and `configs`.

    `version` is the label's text. `chaos` is the commit of a deployed work tree, "" for a released version. `unsettled`
    are lines that say why it cannot be recorded as it stands: it is being updated, stopped, or not whole.
    """

    version: str | None
    chaos: str = ""
    unsettled: tuple[str, ...] = ()
    images: Mapping[str, LockedImage] = field(default_factory=dict)
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """What this program is known to have left running: when (UTC stamp), and by which run of whom.

    `versions` is one version, or two where that run's end does not tell which.
    """

    versions: frozenset[str]
    at: str
    run: str
    who: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AppNow:
    """One app. `app` is None where its `.env` is missing or, with the reason in `problem`, cannot be read.

    `running` is None where nothing runs under its stack. `recipe` is None where `recipe_problem` says why. `left` is
    the newest word of a journal or of the shared memory.
    """

    name: str
    app: App | None = None
    problem: str = ""
    running: Running | None = None
    recipe: Recipe | None = None
    recipe_problem: str = ""
    left: Left | None = None

    @property
    def pinned(self) -> str | None:
        """What the `.env` pins."""
        return self.app.env.pinned if self.app else None


class UnfitError(ValueError):
    """The app cannot be recorded; the text says why."""


def running_of(
    stack: Stack, shapes: Mapping[str, Shape], image_id: Callable[[str], str] = lambda _: ""
) -> Running | None:
    """What runs in a stack. `shapes` are by the Swarm's name of a service; `image_id` gives local ids.

    None where it has no services.
    """
    if not stack.services:
        return None
    services = stack.services
    chaos = stack.label("chaos") == "true" or stack.label("chaos-version")
    moving = tuple(
        f"{s.name}: it is being updated" for s in services if s.update and s.update.state.in_flight
    )
    mounts = (mount for service in services for mount in service.mounts)
    return Running(
        version=stack.label("version"),
        chaos=(stack.label("chaos-version") or "an unknown commit") if chaos else "",
        unsettled=(*moving, *unhealthy_lines(stack)),
        images={each.name: _image(each.image, image_id) for each in services},
        shapes={each.name: shapes[each.full_name] for each in services if each.full_name in shapes},
        volumes=tuple(sorted({mount.source for mount in mounts if mount.kind == "volume" and mount.source})),
        secrets=_versions(stack.name, (name for service in services for name in service.secrets)),
        configs=_versions(stack.name, (name for service in services for name in service.configs)),
    )


def env_sha256(text: str, version: str) -> str:
    """SHA-256 of an `.env` as it is with this version pinned: the pin is compared on its own.

    After an upgrade that is what `sha256sum` says of the file.
    """
    with contextlib.suppress(EnvFileError):  # there is no pin to write, or it is built from other names
        text = pin_version(text, version)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def recorded(now: AppNow, judged: Judged | None) -> LockedApp:
    """Record an app as it runs; UnfitError where that could not be brought back."""
    app, running = now.app, now.running
    if app is None:
        raise UnfitError(now.problem or "it has no `.env` here")
    if running is None:
        raise UnfitError("nothing runs under its stack's name")
    if running.chaos:
        raise UnfitError(f"it was deployed from a work tree ({running.chaos}), which no version names")
    if running.version is None or RecipeVersion.parse(running.version) is None:
        raise UnfitError(f"the version that runs is unknown (label: {running.version})")
    if running.unsettled:
        raise UnfitError("; ".join(running.unsettled))
    release = now.recipe.release(running.version) if now.recipe else None
    if release is None:
        raise UnfitError(now.recipe_problem or f"its recipe has no tag {running.version} here")
    return LockedApp(
        name=now.name,
        recipe=app.recipe,
        version=running.version,
        commit=release.commit,
        order=app.order,
        stack=app.stack,
        env_sha256=env_sha256(app.text, running.version),
        env_names=tuple(sorted(app.env.values)),
        volumes=running.volumes,
        images=running.images,
        shapes={service: shape.hash for service, shape in running.shapes.items()},
        secrets=running.secrets,
        configs=running.configs,
        verdict=judged,
    )


def _image(reference: str, image_id: Callable[[str], str]) -> LockedImage:
    parsed = Image.parse(reference)
    digest = parsed.digest if parsed else ""
    return LockedImage(image=bare_image(reference), digest=digest, id="" if digest else image_id(reference))


def _versions(stack: str, names: Iterable[str]) -> dict[str, str]:
    """Versions by name; what abra did not name stands whole, without one."""
    found = {}
    for full in sorted(set(names)):
        name, version = split_name(stack, full)
        found[name or full] = version
    return found
