"""The names a person may type: apps, versions, servers, as the files here have them. Asks no Engine."""

from ccci_upgrade.config import Config
from ccci_upgrade.flows.host import choose_server, read_server
from ccci_upgrade.model.app import App
from ccci_upgrade.tools.apps import find_servers
from ccci_upgrade.tools.recipes import read_recipe


def server_names(config: Config) -> list[str]:
    """The servers abra knows."""
    return find_servers(config.abra_dir)


def app_names(config: Config, server: str | None) -> list[str]:
    """`.env` names, then the recipe names that only one app of the server has."""
    apps = _apps(config, server)
    recipes = [app.recipe for app in apps]
    return [*(app.name for app in apps), *(name for name in recipes if recipes.count(name) == 1)]


def version_names(config: Config, server: str | None, named: set[str]) -> list[str]:
    """Versions of the recipes of the apps named, newest first, as they are here."""
    folders = sorted({app.recipe_folder for app in _apps(config, server) if named & {app.name, app.recipe}})
    found = [read_recipe(name, config.abra_dir, config.cache_dir, offline=True) for name in folders]
    return [release.version.text for recipe in found for release in reversed(recipe.releases)]


def _apps(config: Config, server: str | None) -> tuple[App, ...]:
    return read_server(config, choose_server(config, server))[0]
