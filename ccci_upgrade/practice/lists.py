"""What only reads, most of it as JSON in the shapes abra's other users decode."""

import json
import secrets as random_secrets
from pathlib import Path

from ccci_upgrade.practice import composefiles
from ccci_upgrade.practice.acts import Scene
from ccci_upgrade.practice.apps import App, every, find
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.practice.recipes import open_recipe
from ccci_upgrade.practice.swarmclient import Docker

UNKNOWN = "unknown"


def apps(scene: Scene) -> None:
    """`app ls`: all apps by server, with `-S` what runs."""
    asked = "status" in scene.call.flags
    rows = [_app_row(scene, app, asked=asked) for app in every(scene.abra_dir)]
    if "machine" not in scene.call.flags:
        scene.console.plain(
            "\n".join(f"{row['recipe']:<12} {row['domain']:<40} {row['server']}" for row in rows)
        )
        return
    servers: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        servers.setdefault(row["server"], []).append(row)
    _json(scene, {name: _counted(listed) for name, listed in servers.items()})


def tasks(scene: Scene) -> None:
    """`app ps`: the app's services."""
    app = find(scene.abra_dir, scene.call.arguments[0])
    services = Docker(server=app.server).services(app.stack)
    if not services:
        raise FatalError(f"{app.domain} is not deployed?")
    prefix = f"coop-cloud.{app.stack}"
    label = {key: value for service in services.values() for key, value in service.labels.items()}
    _json(
        scene,
        {
            service.name: {
                "service": service.name,
                "chaos": label.get(f"{prefix}.chaos", "false"),
                "created": service.created,
                "image": service.image,
                "ports": "",
                "state": "running" if service.running else UNKNOWN,
                "status": f"{service.running}/{service.desired}",
                "version": label.get(f"{prefix}.version", UNKNOWN),
            }
            for service in services.values()
        },
    )


def servers(scene: Scene) -> None:
    """`server ls`: the folders below `servers/`."""
    folder = scene.abra_dir / "servers"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    _json(scene, [{"name": name, "host": "local" if name == "default" else name} for name in names])


def versions(scene: Scene) -> None:
    """`recipe versions`: the tags, newest first."""
    recipe = open_recipe(scene.abra_dir, scene.call.arguments[0])
    newest_first = reversed(recipe.versions())
    _json(
        scene, [{"version": v.text, "service": "app", "image": "", "tag": v.upstream} for v in newest_first]
    )


def fetch(scene: Scene) -> None:
    """`recipe fetch`: refuses a dirty checkout."""
    recipe = open_recipe(scene.abra_dir, scene.call.arguments[0])
    recipe.ensure_clean()
    recipe.fetch()


def secrets(scene: Scene) -> None:
    """`app secret list`: names and whether they are there, never values."""
    app, named = _secrets(scene)
    present = Docker(server=app.server).secrets()
    _json(
        scene,
        [
            {
                "name": name,
                "version": full.rsplit("_", 1)[-1],
                "generated name": full,
                "created on server": str(full in present).lower(),
            }
            for name, full in sorted(named.items())
        ],
    )


def generate(scene: Scene) -> None:
    """`app secret generate`: all that are missing, or the one named."""
    app, named = _secrets(scene)
    docker = Docker(server=app.server)
    only = scene.call.argument(1)
    if only is not None and only not in named:
        raise FatalError(f"{only} doesn't exist in the env config?")
    if only is None and "all" not in scene.call.flags:
        raise FatalError("missing arguments [secret]/[version] or '--all'")
    present = docker.secrets()
    made: dict[str, str] = {}
    for name, full in named.items():
        if full not in present and only in (None, name):
            made[name] = random_secrets.token_hex(16)
            docker.create_secret(full, made[name].encode())
    if not made:
        scene.console.warn("no secrets generated")
    _json(scene, [{"name": name, "value": value} for name, value in made.items()])


def insert(scene: Scene) -> None:
    """`app secret insert`: a value from the line, or with `-f` from a file."""
    app, named = _secrets(scene)
    _, name, version, value = scene.call.arguments
    data = value.encode()
    if "file" in scene.call.flags:
        try:
            data = Path(value).read_bytes()
        except OSError as error:
            raise FatalError(f"unable to read {value}: {error.strerror}") from error
    if name not in named:
        raise FatalError(f"no secret {name} available for recipe {app.env.recipe}?")
    Docker(server=app.server).create_secret(f"{app.stack}_{name}_{version}", data)
    scene.console.info(f"{app.stack}_{name}_{version} successfully stored on server")


def _secrets(scene: Scene) -> tuple[App, dict[str, str]]:
    app = find(scene.abra_dir, scene.call.arguments[0])
    recipe = open_recipe(scene.abra_dir, app.env.recipe_folder)
    env = recipe.exports() | app.env.values | {"STACK_NAME": app.stack}
    return app, composefiles.load(recipe.path, env, stack=app.stack).secrets


def _app_row(scene: Scene, app: App, *, asked: bool) -> dict[str, str]:
    row = {"server": app.server, "recipe": app.env.recipe, "appName": app.domain, "domain": app.env.domain}
    row |= dict.fromkeys(("status", "chaos", "chaosVersion", "version", "upgrade"), UNKNOWN if asked else "")
    services = Docker(server=app.server).services(app.stack) if asked else {}
    if not services:
        return row
    label = {key: value for service in services.values() for key, value in service.labels.items()}
    prefix = f"coop-cloud.{app.stack}"
    version = label.get(f"{prefix}.version", UNKNOWN)
    known = [v.text for v in reversed(open_recipe(scene.abra_dir, app.env.recipe_folder).versions())]
    newer = known[: known.index(version)] if version in known else None
    upgrade = UNKNOWN if newer is None else "\n".join(newer) or "latest"
    return row | {
        "status": "deployed",
        "chaos": label.get(f"{prefix}.chaos", "false"),
        "chaosVersion": label.get(f"{prefix}.chaos-version", UNKNOWN),
        "version": version,
        "upgrade": upgrade,
    }


def _counted(rows: list[dict[str, str]]) -> dict[str, object]:
    versioned = [row for row in rows if row["version"] not in ("", UNKNOWN)]
    latest = [row for row in versioned if row["upgrade"] == "latest"]
    return {
        "apps": rows,
        "appCount": len(rows),
        "versionCount": len(versioned),
        "unversionedCount": len(rows) - len(versioned),
        "latestCount": len(latest),
        "upgradeCount": len(versioned) - len(latest),
    }


def _json(scene: Scene, value: object) -> None:
    scene.console.plain(json.dumps(value, indent=2 if "machine" not in scene.call.flags else None))
