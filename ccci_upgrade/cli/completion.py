"""What the shell offers after Tab: apps, versions, servers, as they are here. Asks no Engine and no network.

Whatever goes wrong, nothing is offered: a shell has no place for an error.
"""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import typer

from ccci_upgrade.errors import CcciError

if TYPE_CHECKING:
    from ccci_upgrade.config import Config
    from ccci_upgrade.model.app import App

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""Names come from files: what a shell could take for more than a word is not offered."""

_T = TypeVar("_T")
_UNUSABLE = (CcciError, OSError)


def apps(context: typer.Context, incomplete: str) -> list[str]:
    """`.env` names, and recipe names that only one app of the server has; those not on the line yet."""
    said = _said(context)
    every = list(_read(context, _apps))
    recipes = [app.recipe for app in every]
    names = [app.name for app in every]
    names += [recipe for recipe in recipes if recipes.count(recipe) == 1]
    return _offered((name for name in names if name not in said), incomplete)


def versions(context: typer.Context, incomplete: str) -> list[str]:
    """Versions of the app on the line, newest first."""
    said = _said(context)
    return _offered(_read(context, lambda config, server: _versions(config, server, said)), incomplete)


def servers(context: typer.Context, incomplete: str) -> list[str]:
    """The servers abra knows."""

    def found(config: "Config", _server: str | None) -> Iterable[str]:
        from ccci_upgrade.tools.apps import find_servers  # noqa: PLC0415 - start-up time is measured

        return find_servers(config.abra_dir)

    return _offered(_read(context, found), incomplete)


def _said(context: typer.Context) -> set[str]:
    """The apps on the line. Behind an option that still lacks its value they are loose arguments."""
    return {*(context.params.get("apps") or ()), *context.args}


def _read(context: typer.Context, what: "Callable[[Config, str | None], Iterable[_T]]") -> Iterable[_T]:
    from ccci_upgrade.config import read_config  # noqa: PLC0415 - start-up time is measured

    shared = context.find_root().params
    try:
        return what(read_config(shared.get("config")), shared.get("server"))
    except _UNUSABLE:
        return ()


def _apps(config: "Config", server: str | None) -> "tuple[App, ...]":
    from ccci_upgrade.flows.host import choose_server, read_server  # noqa: PLC0415 - start-up time is measured

    return read_server(config, choose_server(config, server))[0]


def _versions(config: "Config", server: str | None, wanted: set[str]) -> list[str]:
    from ccci_upgrade.tools.recipes import read_recipe  # noqa: PLC0415 - start-up time is measured

    folders = {app.recipe_folder for app in _apps(config, server) if wanted & {app.name, app.recipe}}
    found = [read_recipe(name, config.abra_dir, config.cache_dir, offline=True) for name in sorted(folders)]
    return [release.version.text for recipe in found for release in reversed(recipe.releases)]


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete) and _SAFE.fullmatch(name)]
