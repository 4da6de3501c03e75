"""`doctor`: can this tool work here? One check a line, read-only, each with its remedy."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from ccci_upgrade.config import Config
from ccci_upgrade.errors import CcciError, Exit
from ccci_upgrade.flows.history import open_run_lines
from ccci_upgrade.flows.host import Host, choose_server, open_host, read_server
from ccci_upgrade.flows.lease import foreign, look_at_lease
from ccci_upgrade.flows.look import probes_of
from ccci_upgrade.flows.memory import foreign as foreign_memory
from ccci_upgrade.flows.memory import look_at_shared
from ccci_upgrade.flows.secondcopy import check_copies, wanted
from ccci_upgrade.flows.surroundings import other_owners, unseen_from_here
from ccci_upgrade.model.app import App
from ccci_upgrade.model.facts import OwnerKind
from ccci_upgrade.model.lease import LeaseState
from ccci_upgrade.model.run import version_left
from ccci_upgrade.store.journal import read_all
from ccci_upgrade.tools.abra import Abra
from ccci_upgrade.tools.apps import find_servers
from ccci_upgrade.tools.git import git_version
from ccci_upgrade.tools.swarm import Swarm


class Health(StrEnum):
    """How a check went."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check, what it saw, and what to do where it is not good."""

    name: str
    health: Health
    detail: str
    remedy: str = ""


def read_doctor(
    config: Config, server: str | None, *, may_ask: bool = False
) -> tuple[tuple[Check, ...], Exit]:
    """Make every check; 13 where one is bad."""
    checks = tuple(_checks(config, server, may_ask=may_ask))
    bad = any(check.health is Health.BAD for check in checks)
    return checks, Exit.NOT_READY if bad else Exit.OK


def _checks(config: Config, requested: str | None, *, may_ask: bool) -> Iterator[Check]:
    yield Check(
        name="configuration",
        health=Health.GOOD,
        detail=str(config.source) if config.source else "none; the defaults hold",
    )
    yield _tried("git", git_version)
    yield from _abra(config)
    yield _state(config)
    for line in open_run_lines(read_all(config.state_dir)):
        yield Check(name="open run", health=Health.WARN, detail=line)
    try:
        server = choose_server(config, requested)
    except CcciError as error:
        yield _failed("server", error)
        return
    yield from _apps(config, server)
    try:
        host = open_host(config, server, may_ask=may_ask)
    except CcciError as error:
        yield _failed("engine", error)
        return
    with closing(host):
        yield from _swarm(host)


def _swarm(host: Host) -> Iterator[Check]:
    swarm, cluster = host.swarm, host.cluster
    yield Check(name="engine", health=Health.GOOD, detail=f"{cluster.engine_version} at {swarm.engine.name}")
    yield Check(name="swarm", health=Health.GOOD, detail=f"manager {cluster.node}, id {cluster.id}")
    for node in swarm.nodes():
        detail = f"{node.name}: {node.role}, {node.state}, {node.availability}"
        remedy = "" if node.works else f"no task can run there: docker node inspect --pretty {node.name}"
        yield Check(
            name="node", health=Health.GOOD if node.works else Health.WARN, detail=detail, remedy=remedy
        )
    yield _lease(swarm)
    yield from _memory(host)
    yield _tried("network proxy", lambda: _proxy(swarm))
    for app in host.apps:
        yield _tried(f"probes of {app.name}", partial(_probes, host, app))
        if wanted(app):
            yield _tried(f"second copies of {app.name}", partial(_copies, host, app))
    if any(app.backup for app in host.apps):
        yield from _backup_commands(host.abra)
    yield from _owners(host)
    yield from _unexplained(host)


def _unexplained(host: Host) -> Iterator[Check]:
    """A version that no run here brought: somebody used bare abra, or another machine's journal knows."""
    runs = read_all(host.config.state_dir).runs
    for app in host.apps:
        ended = [
            run for run in runs if run.app == app.name and run.cluster == host.cluster.id and run.verdict
        ]
        left = version_left(ended[-1]) if ended else None
        runs_now = host.swarm.stack(app.stack).label("version")
        if left is not None and runs_now is not None and runs_now != left:
            detail = f"{app.name} runs {runs_now}; the last run here ({ended[-1].run_id}) left it on {left}"
            remedy = "ask who upgraded it: two owners undo each other's work"
            yield Check(name="unexplained version", health=Health.WARN, detail=detail, remedy=remedy)


def _probes(host: Host, app: App) -> str:
    return ", ".join(probe.name for probe in probes_of(host, app)) or "none"


def _copies(host: Host, app: App) -> str:
    return "; ".join(check_copies(host, app))


def _backup_commands(abra: Abra) -> Iterator[Check]:
    """`abra app backup` as it is used here: its list is known from other people's use of it, not from its own help."""
    try:
        unread = abra.backup_unread()
    except CcciError:
        return  # there is no abra, which is a line already
    for command in unread:
        detail = f"`{command}` is not in its help; a second copy by abra may not work"
        remedy = "use `backup_command` in ccci-upgrade.toml"
        yield Check(name="abra's interface", health=Health.WARN, detail=detail, remedy=remedy)


def _abra(config: Config) -> Iterator[Check]:
    try:
        info = Abra(config.abra, config.abra_dir).info()
    except CcciError as error:
        yield _failed("abra", error)
        return
    yield Check(
        name="abra", health=Health.GOOD, detail=f"{info.version} at {info.path}, ABRA_DIR {config.abra_dir}"
    )
    for flag in info.missing:
        yield Check(name="abra's interface", health=Health.BAD, detail=f"`{flag}` is not in its help")
    for unread in info.unread:
        yield Check(name="abra's interface", health=Health.WARN, detail=f"`{unread}` could not be read")
    if not info.missing and not info.unread:
        yield Check(name="abra's interface", health=Health.GOOD, detail="has every flag this tool needs")


def _state(config: Config) -> Check:
    folder = config.state_dir
    place = folder if folder.exists() else next((p for p in folder.parents if p.exists()), Path("/"))
    good = os.access(place, os.W_OK | os.X_OK)
    detail = f"{folder}" if good else f"{folder} cannot be written to"
    remedy = "" if good else "set `state_dir` in ccci-upgrade.toml, or run as the user that owns it"
    return Check(name="state", health=Health.GOOD if good else Health.BAD, detail=detail, remedy=remedy)


def _apps(config: Config, server: str) -> Iterator[Check]:
    apps, broken = read_server(config, server)
    names = ", ".join(app.name for app in apps) or "none"
    yield Check(name="apps", health=Health.GOOD if apps else Health.BAD, detail=f"{server}: {names}")
    for each in broken:
        yield Check(
            name="apps", health=Health.BAD, detail=f"{each.name}: {each.error}", remedy="mend the `.env`"
        )
    everywhere = {a.name for name in find_servers(config.abra_dir) for a in read_server(config, name)[0]}
    for name in sorted(config.apps.keys() - everywhere - {each.name for each in broken}):
        yield Check(
            name="configuration", health=Health.WARN, detail=f"[apps.{name!r}] is no app of any server"
        )


def _proxy(swarm: Swarm) -> str:
    if "proxy" not in swarm.names().networks:
        raise CcciError(
            "there is no network `proxy`", hint="docker network create -d overlay --attachable proxy"
        )
    return "is there"


def _lease(swarm: Swarm) -> Check:
    try:
        seen = look_at_lease(swarm)
        if seen.state is LeaseState.FOREIGN:
            raise foreign(seen)
    except CcciError as error:
        return _failed("lease", error)
    if seen.claim is None:
        return Check(name="lease", health=Health.GOOD, detail="free")
    if seen.state is LeaseState.STALE:
        detail = f"left behind by {seen.claim.line}: {seen.why}"
        remedy = "the next `upgrade` takes it over"
    else:
        detail = f"held by {seen.claim.line}"
        remedy = "they are at work: `upgrade` waits for them with `--lease-wait 600`"
    return Check(name="lease", health=Health.WARN, detail=detail, remedy=remedy)


def _memory(host: Host) -> Iterator[Check]:
    """What is remembered of the apps here; memories of stacks that have no `.env` here are counted too."""
    try:
        shared = look_at_shared(host.swarm)
    except CcciError as error:
        yield _failed("memory", error)
        return
    here = sum(app.stack in shared.memories for app in host.apps)
    others = len(shared.memories) - here
    more = f", and of {others} that have no `.env` here" if others else ""
    detail = f"good versions of {here} of {len(host.apps)} apps are remembered{more}"
    yield Check(name="memory", health=Health.GOOD, detail=detail)
    for each in shared.unreadable:
        said = foreign_memory(each)
        yield Check(name="memory", health=Health.WARN, detail=said.message, remedy=said.hint)


def _owners(host: Host) -> Iterator[Check]:
    found = other_owners(host, host.apps)
    for owner in found:
        health = Health.BAD if owner.kind is OwnerKind.ACTING else Health.WARN
        lines = "; ".join(owner.evidence)
        yield Check(name="other owner", health=health, detail=f"{owner.name} ({owner.kind.value}): {lines}")
    for line in unseen_from_here(host, disk_known=True):
        remedy = "run this on the server itself"
        yield Check(name="other owner", health=Health.UNKNOWN, detail=line, remedy=remedy)
    if not found and host.local:
        yield Check(name="other owner", health=Health.GOOD, detail="none seen")


def _tried(name: str, ask: Callable[[], str]) -> Check:
    try:
        return Check(name=name, health=Health.GOOD, detail=ask())
    except CcciError as error:
        return _failed(name, error)


def _failed(name: str, error: CcciError) -> Check:
    return Check(name=name, health=Health.BAD, detail=error.message, remedy=error.hint)
