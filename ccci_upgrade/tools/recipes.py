"""Recipes, read from git objects: which versions there are, their files, their release notes.

abra's checkout under `$ABRA_DIR/recipes/` is one work tree that every abra command moves: it is only read.
What is newer upstream comes from a mirror of our own, refreshed by one bounded fetch. Objects of both are
asked for in the same command.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade import text
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.recipe import Moved, Recipe, Release, Tree
from ccci_upgrade.model.version import RecipeVersion, split_tags
from ccci_upgrade.tools import mirror
from ccci_upgrade.tools.git import Repository, Tag
from ccci_upgrade.tools.gitobjects import Requested
from ccci_upgrade.tools.mirror import FETCH_SECONDS

if TYPE_CHECKING:
    from ccci_upgrade.model.notes import Note

NOTE_READ = 16 * 1024 * 1024
"""Bytes of one note that are read at all: it is hashed whole, and cut where it is shown."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_WANTED = re.compile(r"compose[^/]*\.ya?ml|abra\.sh|\.env\.sample|[^/]+\.tmpl")
_COMPOSE = re.compile(r"compose[^/]*\.ya?ml")
_FILE_KEY = re.compile(r"""\bfile["']?:[ \t]+["']?([^\s"',}#]+)""")


def read_recipe(
    name: str, abra_dir: Path, cache_dir: Path, *, offline: bool, seconds: float = FETCH_SECONDS
) -> Recipe:
    """Read the recipe in folder `name` of abra's recipes; its upstream is asked at most `seconds`.

    Raises NotReadyError where abra has no checkout of it. An upstream that does not answer is `stale`; what
    an earlier refresh brought still counts.
    """
    recipe = read_versions(name, abra_dir, cache_dir, offline=offline, seconds=seconds)
    local = Repository(recipe.path)
    cached = _cached(recipe.cache)
    branches = dict.fromkeys((_default_branch(cached), local.default_branch()))
    return replace(
        recipe,
        head=local.head(),
        dirty=local.dirty(),
        branches=tuple(commit for commit in branches if commit),
    )


def read_versions(
    name: str, abra_dir: Path, cache_dir: Path, *, offline: bool, seconds: float = FETCH_SECONDS
) -> Recipe:
    """Like `read_recipe`, but `head`, `dirty` and `branches` stay empty: 3 git commands instead of 8.

    `status` needs no more, and there a git command costs a quarter of an interpreter start.
    """
    if not _NAME.fullmatch(name):
        raise NotReadyError(f"{name!r} cannot be a recipe's folder", code="recipe-name")
    path = abra_dir.absolute() / "recipes" / name
    if not path.is_dir():
        raise NotReadyError(
            f"abra has no checkout of the recipe {name}: {path} is missing",
            hint=f"fetch it with: abra recipe fetch {name}",
            code="no-recipe",
        )
    local = Repository(path)
    where, stale = _mirror(local, name, cache_dir, offline=offline, seconds=seconds)
    cached = _cached(where)
    upstream_tags = _tags(cached)
    ours = local.tags()
    releases, others = _releases(ours, upstream_tags)
    return Recipe(
        name=name,
        path=path,
        releases=releases,
        others=others,
        stale=stale,
        moved=_moved(ours, upstream_tags),
        cache=cached.path if cached else None,
    )


def read_trees(recipe: Recipe, versions: Iterable[str]) -> dict[str, Tree]:
    """The files of versions: compose files, `abra.sh`, `.env.sample`, templates, files that configs name.

    A constant number of commands for any number of versions; one that is no release is left out.
    """
    commits = _commits(recipe, versions)
    if not commits:
        return {}
    repository = _objects(recipe)
    roots = repository.listing(commits.values())
    asked = {v: [n for n in roots[c, ""] if _WANTED.fullmatch(n)] for v, c in commits.items()}
    found = repository.files((commits[v], path) for v, paths in asked.items() for path in paths)
    trees = {v: _tree(v, {p: found[commits[v], p] for p in paths}) for v, paths in asked.items()}
    named = {v: _config_files(tree) for v, tree in trees.items()}
    more = repository.files((commits[v], path) for v, paths in named.items() for path in paths)
    return {v: _tree(v, {p: more[commits[v], p] for p in named[v]}, tree) for v, tree in trees.items()}


def read_notes(recipe: Recipe, versions: Iterable[str]) -> "dict[str, Note]":
    """The release notes of versions, as `release/<version>`; a missing one has text None.

    The newest release's tree is asked first, as abra does: a note may be written after its release. Then the
    main line, upstream's before the checkout's, then the version itself.
    """
    wanted = list(dict.fromkeys(versions))
    newest = (recipe.newest.commit,) if recipe.newest else ()
    main_line = tuple(dict.fromkeys((*newest, *recipe.branches)))
    found = _first_found(recipe, dict.fromkeys(wanted, main_line))
    # Most notes are there: the trees of all versions (3 ms for 50) are read for the others only.
    own = _commits(recipe, [version for version, request in found.items() if request is None])
    found |= _first_found(recipe, {version: (commit,) for version, commit in own.items()})
    return {version: _note(version, found[version]) for version in wanted}


def _mirror(
    local: Repository, name: str, cache_dir: Path, *, offline: bool, seconds: float
) -> tuple[Path | None, str]:
    """Refresh the mirror of a checkout's origin: where it is, and "" or why it is not fresh."""
    origin = local.origin()
    if not origin:
        return None, f"{local.path} has no remote `origin`"
    try:
        url = mirror.reachable(origin, local.path)
    except NotReadyError as error:
        return None, error.message
    where = mirror.place(cache_dir, name, url)
    if not offline:
        stale = mirror.refresh(where, url, (*mirror.EVERYTHING, mirror.HEAD), seconds=seconds)
        return where, stale
    last = mirror.refreshed(where)
    return where, f"offline; last refreshed {last:%Y-%m-%d %H:%M} UTC" if last else "offline; never refreshed"


def _cached(where: Path | None) -> Repository | None:
    """The mirror, or None where there is none that can be read: the next refresh makes it anew."""
    try:
        return Repository(where) if where else None
    except NotReadyError:
        return None


def _tags(cached: Repository | None) -> tuple[Tag, ...]:
    try:
        return cached.tags() if cached else ()
    except NotReadyError:
        return ()


def _default_branch(cached: Repository | None) -> str:
    try:
        return cached.default_branch() if cached else ""
    except NotReadyError:
        return ""


def _releases(ours: Sequence[Tag], theirs: Sequence[Tag]) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    tags = {tag.name: tag for tag in (*theirs, *ours)}
    versions, others = split_tags(tag.name for tag in tags.values() if tag.commit)
    nothing = [tag.name for tag in tags.values() if not tag.commit]
    return tuple(_release(v, tags[v.text]) for v in versions), tuple(sorted((*others, *nothing)))


def _release(version: RecipeVersion, tag: Tag) -> Release:
    return Release(version=version, commit=tag.commit, annotated=tag.annotated, tag_object=tag.tag_object)


def _moved(ours: Sequence[Tag], theirs: Sequence[Tag]) -> tuple[Moved, ...]:
    upstream = {tag.name: tag.commit for tag in theirs}
    return tuple(
        Moved(tag.name, tag.commit, upstream[tag.name])
        for tag in ours
        if upstream.get(tag.name, tag.commit) != tag.commit
    )


def _objects(recipe: Recipe) -> Repository:
    """The checkout, with the mirror's objects beside its own."""
    borrow = [recipe.cache / "objects"] if recipe.cache else []
    return Repository(recipe.path, borrow=borrow)


def _commits(recipe: Recipe, versions: Iterable[str]) -> dict[str, str]:
    releases = ((version, recipe.release(version)) for version in dict.fromkeys(versions))
    return {version: release.commit for version, release in releases if release}


def _tree(version: str, found: dict[str, Requested], before: Tree | None = None) -> Tree:
    files = dict(before.files) if before else {}
    refused = dict(before.refused) if before else {}
    for path, request in found.items():
        if request.data is None:
            refused[path] = request.problem
        else:
            files[path] = request.data
    return Tree(version=version, files=files, refused=refused)


def _config_files(tree: Tree) -> list[str]:
    """What `file:` names in the compose files and was not read yet. Text is enough: too much does no harm."""
    named = (
        name.removeprefix("./")
        for path, data in tree.files.items()
        if _COMPOSE.fullmatch(path)
        for name in _FILE_KEY.findall(text.decode(data))
    )
    return [n for n in dict.fromkeys(named) if "$" not in n and n not in tree.files and n not in tree.refused]


def _first_found(recipe: Recipe, places: Mapping[str, Sequence[str]]) -> dict[str, Requested | None]:
    """For each version its note from the first of its commits that has one, even where it is refused there."""
    asked = {v: [(commit, f"release/{v}") for commit in commits] for v, commits in places.items()}
    requests = [request for some in asked.values() for request in some]
    found = _objects(recipe).files(requests, limit=NOTE_READ) if requests else {}
    return {v: next((found[r] for r in some if not found[r].missing), None) for v, some in asked.items()}


def _note(version: str, found: Requested | None) -> "Note":
    from ccci_upgrade.model.notes import make_note  # noqa: PLC0415 - start-up time is measured

    if found is None:
        return make_note(version, None)
    return make_note(version, found.data, problem="" if found.data is not None else found.problem)
