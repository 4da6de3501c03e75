"""Versions of recipes, `x.y.z+upstream`: parsing, one total order, and how big a step is.

abra takes the number before `+` as the recipe's own semver and the rest as the version of the main image.
Tags are not chronological (old lines get fixes after new ones), so only this order counts.
"""

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 128
"""Characters of a tag that can be a version; Docker's own limit for the tags that become `upstream`."""

_NUMBER = "(0|[1-9][0-9]{0,8})"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:\+([0-9A-Za-z][0-9A-Za-z._-]*))?")
_RUNS = re.compile("[0-9]+|[^0-9]+")


class Bump(StrEnum):
    """How big a step is."""

    NONE = "none"
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"
    UNKNOWN = "unknown"


_SIZE = {Bump.NONE: 0, Bump.PATCH: 1, Bump.MINOR: 2, Bump.UNKNOWN: 3, Bump.MAJOR: 4}


def highest(bumps: Iterable[Bump]) -> Bump:
    """Give the biggest step: none < patch < minor < unknown < major; `none` for no steps."""
    return max(bumps, key=_SIZE.__getitem__, default=Bump.NONE)


@functools.total_ordering
@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeVersion:
    """One version. `text` is the exact tag; `upstream` is the part after `+`, empty where there is none."""

    major: int
    minor: int
    patch: int
    upstream: str
    text: str

    @classmethod
    def parse(cls, text: str) -> "RecipeVersion | None":
        """Read a tag, or give None for anything that is not exactly `x.y.z` or `x.y.z+upstream`."""
        match = _VERSION.fullmatch(text) if len(text) <= LONGEST else None
        if match is None:
            return None
        major, minor, patch, upstream = match.groups(default="")
        return cls(major=int(major), minor=int(minor), patch=int(patch), upstream=upstream, text=text)

    @property
    def recipe(self) -> tuple[int, int, int]:
        """The recipe's own semver."""
        return (self.major, self.minor, self.patch)

    def __str__(self) -> str:
        return self.text

    def __lt__(self, other: object) -> bool:
        """Compare by recipe part, then upstream in natural order (1.9 before 1.10), then the plain text."""
        if not isinstance(other, RecipeVersion):
            return NotImplemented
        return _key(self) < _key(other)


def bump_between(old: RecipeVersion, new: RecipeVersion) -> Bump:
    """Tell the step by the recipe part only; a step back is `unknown`, for semver says nothing about it."""
    if new.recipe < old.recipe:
        return Bump.UNKNOWN
    if new.major != old.major:
        return Bump.MAJOR
    if new.minor != old.minor:
        return Bump.MINOR
    return Bump.NONE if new.patch == old.patch else Bump.PATCH


def ambiguous(a: RecipeVersion, b: RecipeVersion) -> bool:
    """Whether both claim one recipe version with another upstream: nobody says which is newer."""
    return a.recipe == b.recipe and a.upstream != b.upstream


def split_tags(tags: Iterable[str]) -> tuple[tuple[RecipeVersion, ...], tuple[str, ...]]:
    """Split tags into versions (ascending) and the rest (sorted), each tag once."""
    versions: list[RecipeVersion] = []
    others: list[str] = []
    for tag in set(tags):
        version = RecipeVersion.parse(tag)
        if version is None:
            others.append(tag)
        else:
            versions.append(version)
    return tuple(sorted(versions)), tuple(sorted(others))


def in_range(
    versions: Iterable[RecipeVersion], after: RecipeVersion | None, upto: RecipeVersion
) -> tuple[RecipeVersion, ...]:
    """Give the versions in (after, upto], ascending; `after` None is an unknown version: all up to `upto`."""
    return tuple(sorted(v for v in versions if v <= upto and (after is None or v > after)))


def _key(version: RecipeVersion) -> tuple[tuple[int, int, int], tuple[tuple[int, int, str], ...], str]:
    runs = _RUNS.findall(version.upstream)
    natural = tuple((0, int(run), "") if run.isdigit() else (1, 0, run) for run in runs)
    return version.recipe, natural, version.text
