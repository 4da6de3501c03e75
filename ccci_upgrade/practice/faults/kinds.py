"""What a fault is, and what all of them need to know of the host."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ccci_upgrade.errors import UsageError
from ccci_upgrade.practice import engineroom
from ccci_upgrade.practice.world.place import Mark, Place, service, stack
from ccci_upgrade.practice.world.recipes import PRACTICE
from ccci_upgrade.tools.engine import Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Caused:
    """A fault that was caused: what was done, what to type to see it, and what putting it back needs."""

    did: str
    see: tuple[str, ...]
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault: `summary` is one line, `mend` takes what `cause` kept."""

    name: str
    summary: str
    cause: Callable[[Place, Mark], Caused]
    mend: Callable[[Place, Mark, Mapping[str, str]], None]


def spec(mark: Mark, name: str) -> Mapping[str, Json]:
    """A service's spec. EngineError where there is none."""
    return table(engineroom.ask(mark, "GET", f"/services/{name}"), "Spec")


def table(of: Json, key: str) -> dict[str, Json]:
    """An object within an object, empty where there is none."""
    found = of.get(key) if isinstance(of, dict) else None
    return found if isinstance(found, dict) else {}


def live(mark: Mark, recipe: str) -> str:
    """The version that an app runs, "" where its label does not say."""
    label = table(dict(spec(mark, service(recipe))), "Labels").get(f"coop-cloud.{stack(recipe)}.version")
    return label if isinstance(label, str) else ""


def newest(recipe: str) -> str:
    """The newest version that is published from the start."""
    return next(
        [version for version, _ in source.releases()][-1] for source in PRACTICE if source.name == recipe
    )


def subject(mark: Mark, among: tuple[str, ...] = ("drone", "traefik", "keycloak")) -> str:
    """A recipe whose app has something newer to go to, for faults that show in an upgrade."""
    for recipe in among:
        if live(mark, recipe) != newest(recipe):
            return recipe
    raise UsageError(
        f"{', '.join(among)} run their newest versions: there is no upgrade to break",
        hint="ccci-upgrade practice stop, then ccci-upgrade practice, makes a new host",
    )


def forget(_place: Place, _mark: Mark, _kept: Mapping[str, str]) -> None:
    """Nothing to do for one fault alone: what the engine does wrong is cleared for all at once."""
