"""Everything a plan stands on, read before any of it is judged."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from ccci_upgrade.model.app import App
from ccci_upgrade.model.compose import Compose
from ccci_upgrade.model.notes import Note
from ccci_upgrade.model.probe import Probe, ProbeResult
from ccci_upgrade.model.protection import Protection
from ccci_upgrade.model.recipe import Recipe, Release
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.version import RecipeVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class AbraInfo:
    """What a binary says of itself. `missing` are flags its help was read for and does not have."""

    path: str
    version: str
    unread: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SwarmNames:
    """What a deploy refers to by name; configs with their data, None where it is unreadable."""

    secrets: frozenset[str]
    networks: frozenset[str]
    configs: dict[str, bytes | None]


class ImagePlace(StrEnum):
    """Where an image can be had."""

    LOCAL = "local"
    REGISTRY = "registry"
    NOWHERE = "nowhere"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageFact:
    """One image of the target: where it can be had, and the Engine's words where it cannot."""

    image: str
    place: ImagePlace
    detail: str = ""


class OwnerKind(StrEnum):
    """What another owner of these apps does."""

    ACTING = "acting"
    MAY_ACT = "may-act"
    HOST_REBUILD = "host-rebuild"


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherOwner:
    """Somebody else who deploys or upgrades this app, with the lines that prove it."""

    name: str
    kind: OwnerKind
    evidence: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvHistory:
    """What git says of an app's `.env`; empty texts mean nothing to tell."""

    uncommitted: str = ""
    upstream: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """All that is known of one app before an upgrade.

    `deployed` is None where the label is no version (`deployed_text` has the label) or there is none.
    `old` and `new` are the compose files of both versions, None with the reason in `problems`.
    `rendered` are the target's config files by the Swarm name of their config. `disk_free` is in bytes, None
    where it cannot be known. `unseen` says what of the server could
    not be looked at. `before` are the answers to `probes`.
    """

    app: App
    stack: Stack
    deployed: RecipeVersion | None
    deployed_text: str | None
    chaos: str | None
    recipe: Recipe
    target: Release | None
    old: Compose | None = None
    new: Compose | None = None
    old_sample: frozenset[str] = frozenset()
    new_sample: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    names: SwarmNames | None = None
    rendered: dict[str, bytes] = field(default_factory=dict)
    images: tuple[ImageFact, ...] = ()
    probes: tuple[Probe, ...] = ()
    before: tuple[ProbeResult, ...] = ()
    env_history: EnvHistory = EnvHistory()
    owners: tuple[OtherOwner, ...] = ()
    busy: tuple[str, ...] = ()
    disk_free: int | None = None
    unseen: tuple[str, ...] = ()
    abra: AbraInfo | None = None
    protection: Protection = field(default_factory=Protection)

    @property
    def holds_data(self) -> bool:
        """Whether the app holds data: as configured, by profile, else where a service mounts a volume."""
        if self.app.holds_data is not None:
            return self.app.holds_data
        return any(mount.kind == "volume" for service in self.stack.services for mount in service.mounts)


def fingerprints(facts: Facts) -> dict[str, str]:
    """The facts a saved plan stands on, by name; two plans fit when all of these are equal."""
    prints = {
        "deployed version": facts.deployed_text or "",
        "recipe commit": facts.target.commit if facts.target else "",
        ".env": _hash([facts.app.text]),
        "release notes": _hash(f"{n.version}\0{n.sha256}" for n in facts.notes),
        "abra version": facts.abra.version if facts.abra else "",
    }
    return prints | {f"service {s.full_name}": s.spec_hash for s in facts.stack.services}


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode(errors="surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()[:16]
