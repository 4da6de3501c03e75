"""A recipe as git knows it: its releases in order, and the files of single versions."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ccci_upgrade.model.version import RecipeVersion


@dataclass(frozen=True, kw_only=True, slots=True)
class Release:
    """One published version: its tag names `commit`. `tag_object` is "" for a lightweight tag."""

    version: RecipeVersion
    commit: str
    annotated: bool
    tag_object: str = ""


class Moved(NamedTuple):
    """A tag that names one commit in abra's checkout and another one upstream."""

    tag: str
    local: str
    upstream: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One recipe: the tags of abra's checkout at `path` and those upstream, as last fetched into `cache`.

    `releases` ascend; `others` are tags that are no versions. Where both sides know a tag the checkout's
    commit counts, as abra deploys that one. `dirty` are changed or untracked files of the checkout. `stale`
    is "" or why upstream could not be asked. `branches` are commits of the main line, the best known first.
    """

    name: str
    path: Path
    releases: tuple[Release, ...]
    others: tuple[str, ...] = ()
    head: str = ""
    dirty: tuple[str, ...] = ()
    stale: str = ""
    moved: tuple[Moved, ...] = ()
    cache: Path | None = None
    branches: tuple[str, ...] = ()

    def release(self, version: str) -> Release | None:
        """The release with exactly this tag."""
        return next((r for r in self.releases if r.version.text == version), None)

    @property
    def newest(self) -> Release | None:
        """The highest version, or None where there is none."""
        return self.releases[-1] if self.releases else None

    def newer_than(self, version: RecipeVersion) -> tuple[Release, ...]:
        """The releases above a version, ascending."""
        return tuple(r for r in self.releases if r.version > version)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """The files of one version that matter to an upgrade, by path; `refused` says why others are not here."""

    version: str
    files: dict[str, bytes] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
