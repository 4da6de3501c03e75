"""One server, opened: which Engine, which Swarm, which apps. The start of every command."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade.config import AppSettings, Config
from ccci_upgrade.errors import NotReadyError, UsageError
from ccci_upgrade.model.app import App, BrokenApp
from ccci_upgrade.model.envfile import stack_name
from ccci_upgrade.model.profile import profile
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools.abra import Abra
from ccci_upgrade.tools.apps import AppFile, find_servers, read_apps
from ccci_upgrade.tools.contexts import context_host
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Cluster, Swarm

if TYPE_CHECKING:
    from ccci_upgrade.tools.forward import Forward
    from ccci_upgrade.tools.ssh import Target
    from ccci_upgrade.tools.tls import Door

BUDGET_SECONDS = 600.0
SETTLE_SECONDS = 5.0
BACKUP_SECONDS = 1800.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One server's tools and apps. Whoever opened it closes it; `local`: the Engine is on this machine."""

    config: Config
    server: str
    swarm: Swarm
    cluster: Cluster
    abra: Abra
    local: bool
    apps: tuple[App, ...]
    broken: tuple[BrokenApp, ...]
    forward: "Forward | None" = None

    @property
    def door(self) -> "Door | None":
        """What leads to addresses that only a far Engine sees; None where the Engine is here."""
        return self.forward.door if self.forward else None

    def close(self) -> None:
        """Let go of the Engine, and end the way to it where it is far."""
        self.swarm.engine.close()
        if self.forward is not None:
            self.forward.close()

    def find(self, names: tuple[str, ...]) -> tuple[App, ...]:
        """Find apps by `.env` name, or by recipe where only one app has it; in the order given, once each."""
        found: list[App] = []
        for name in names:
            app = self._find(name)
            if app not in found:
                found.append(app)
        return tuple(found)

    def _find(self, name: str) -> App:
        exact = [app for app in self.apps if app.name == name]
        by_recipe = [app for app in self.apps if app.recipe == name]
        chosen = exact or by_recipe
        if len(chosen) == 1:
            return chosen[0]
        broken = next((b for b in self.broken if b.name == name), None)
        if broken is not None:
            raise NotReadyError(
                f"`{name}` cannot be used: {broken.error}", hint="mend its `.env`", code="env"
            )
        if chosen:
            names = ", ".join(app.name for app in chosen)
            raise UsageError(f"several apps are made from `{name}`: {names}", hint="name one of them")
        known = ", ".join(app.name for app in self.apps) or "none"
        raise UsageError(f"no app `{name}` on {self.server}", hint=f"the apps here are {known}")


def choose_server(config: Config, requested: str | None) -> str:
    """The one server a command touches: `--server`, the configured one, or the only one there is."""
    known = find_servers(config.abra_dir)
    if not known:
        raise UsageError(
            f"no servers in `{config.abra_dir}/servers`",
            hint="set `abra_dir` in ccci-upgrade.toml, or `ABRA_DIR`, to abra's folder",
        )
    wanted = requested or config.server
    if wanted is None:
        if len(known) == 1:
            return known[0]
        raise UsageError(
            f"there are {len(known)} servers: {', '.join(known)}",
            hint="name one with `--server NAME` before the command, or set `server` in ccci-upgrade.toml",
        )
    if wanted not in known:
        raise UsageError(
            f"no server `{wanted}` in `{config.abra_dir}/servers`", hint=f"there are {', '.join(known)}"
        )
    return wanted


def open_host(config: Config, server: str, *, may_ask: bool = False) -> Host:
    """Reach a server's Swarm and read its apps; NotReadyError where the Swarm cannot be had.

    With `may_ask` ssh may ask at the terminal, for a passphrase or about a key it does not know.
    """
    apps, broken = read_server(config, server)
    place = engine_place(config, server)
    if isinstance(place, Path):
        engine, forward = Engine(place), None
    else:
        forward = _forward(place, apps, may_ask=may_ask)
        engine = Engine(forward)
    swarm = Swarm(engine)
    try:
        cluster = swarm.cluster()
    except BaseException:
        swarm.engine.close()
        if forward is not None:
            forward.close()
        raise
    return Host(
        config=config,
        server=server,
        swarm=swarm,
        cluster=cluster,
        abra=Abra(config.abra, config.abra_dir),
        local=forward is None,
        apps=apps,
        broken=broken,
        forward=forward,
    )


def _forward(target: "Target", apps: tuple[App, ...], *, may_ask: bool) -> "Forward":
    from ccci_upgrade.flows.places import places_of  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.tools.forward import Forward  # noqa: PLC0415 - same

    forward = Forward(target, places_of(apps))
    try:
        forward.open(may_ask=may_ask)
    except BaseException:
        forward.close()
        raise
    return forward


def read_server(config: Config, server: str) -> tuple[tuple[App, ...], tuple[BrokenApp, ...]]:
    """The apps of a server from their `.env` files alone."""
    apps: list[App] = []
    broken: list[BrokenApp] = []
    for file in read_apps(config.abra_dir, server):
        made = _app(file, config.apps.get(file.name, AppSettings()))
        if isinstance(made, App):
            apps.append(made)
        else:
            broken.append(made)
    return tuple(sorted(apps, key=lambda a: (a.order, a.name))), tuple(broken)


def engine_place(config: Config, server: str) -> "Path | Target":
    """Where a server's Engine is: as configured, else by its Docker context, else this machine's own."""
    said = config.docker_hosts.get(server) or context_host(server)
    if not said and server == "default":
        said = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if not said:
        raise NotReadyError(
            f"no way to the Engine of `{server}` is known",
            hint=f'set `docker_host` under [servers."{server}"] in ccci-upgrade.toml',
            code="no-docker-host",
        )
    if said.startswith("ssh:"):
        from ccci_upgrade.tools.ssh import parse_target  # noqa: PLC0415 - start-up time is measured

        return parse_target(said)
    if not said.startswith("unix://"):
        raise NotReadyError(
            f"the Engine of `{server}` is at `{tame_line(said)}`: only `unix://` and `ssh://` can be used",
            hint="name it with `ssh://`, or run this tool on the server itself",
            code="docker-host",
        )
    return Path(said.removeprefix("unix://"))


def _app(file: AppFile, settings: AppSettings) -> App | BrokenApp:
    if file.env is None:
        return BrokenApp(name=file.name, server=file.server, error=file.error)
    recipe = settings.recipe or file.env.recipe
    if not recipe:
        return BrokenApp(
            name=file.name, server=file.server, error="it names no recipe (no TYPE= or RECIPE= line)"
        )
    built_in = profile(recipe)
    domain = file.env.domain or file.name
    return App(
        name=file.name,
        server=file.server,
        recipe=recipe,
        recipe_folder=settings.recipe or file.env.recipe_folder,
        domain=domain,
        stack=stack_name(file.env.values, file.name),
        env=file.env,
        path=file.path,
        text=file.text,
        order=built_in.order if settings.order is None else settings.order,
        upgrade_last=built_in.upgrade_last,
        holds_data=built_in.holds_data if settings.holds_data is None else settings.holds_data,
        address=settings.address or "",
        budget=BUDGET_SECONDS if settings.budget is None else settings.budget,
        settle=SETTLE_SECONDS if settings.settle is None else settings.settle,
        token_file=settings.token_file or "",
        probes=settings.probes,
        backup=settings.backup,
        backup_command=settings.backup_command,
        backup_budget=BACKUP_SECONDS if settings.backup_budget is None else settings.backup_budget,
    )
