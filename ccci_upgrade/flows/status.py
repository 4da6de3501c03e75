"""`status`: every app, what runs, what is newer, what is open. Reads only."""

import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from ccci_upgrade.config import Config
from ccci_upgrade.errors import CcciError
from ccci_upgrade.flows.host import Host, choose_server, open_host, read_server
from ccci_upgrade.model.app import App
from ccci_upgrade.model.recipe import Recipe
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.stackstate import unhealthy_lines
from ccci_upgrade.model.suspect import suspicion
from ccci_upgrade.model.swarm import Stack, UpdateState
from ccci_upgrade.model.version import Bump, RecipeVersion, bump_between
from ccci_upgrade.store.journal import Reading, read_all
from ccci_upgrade.tools.apps import find_servers
from ccci_upgrade.tools.recipes import read_versions
from ccci_upgrade.tools.swarm import Swarm

if TYPE_CHECKING:  # loaded by the thread that asks for them, while others wait
    from ccci_upgrade.flows.lockstatus import LockStatus
    from ccci_upgrade.flows.memory import Shared
    from ccci_upgrade.model.lease import Standing
    from ccci_upgrade.model.memory import LastGood
    from ccci_upgrade.model.openrun import Situation


@dataclass(frozen=True, kw_only=True, slots=True)
class AppStatus:
    """One row. `upgrades` ascend; `state` is the contract's word; `problem` says why something is unknown.

    `last_good` is the version recorded as good last, by anybody on that Swarm; `back_to` is the one that a way
    back from what runs leads to; `recorded` says whether what runs is a version recorded as good.
    """

    app: str
    recipe: str
    server: str
    stack: str
    deployed: str | None = None
    newest: str | None = None
    upgrades: tuple[str, ...] = ()
    bump: Bump = Bump.UNKNOWN
    state: str = "unknown"
    chaos: bool = False
    last_run: Run | None = None
    last_good: "LastGood | None" = None
    back_to: "LastGood | None" = None
    recorded: bool = False
    problem: str = ""


class ServerLease(NamedTuple):
    """Who is at work on one server; `standing` is None where that could not be read."""

    server: str
    standing: "Standing | None"


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """All rows, who is at work, the runs that never ended, and the servers that could not be read.

    `situations` are by run id: an open run of a Swarm that could be asked and that nobody is at work on. `lock` is
    None where none is configured.
    """

    apps: tuple[AppStatus, ...]
    leases: tuple[ServerLease, ...]
    open_runs: tuple[Run, ...]
    situations: "dict[str, Situation]"
    damaged: int
    errors: tuple[CcciError, ...]
    lock: "LockStatus | None" = None


def read_status(config: Config, server: str | None, *, offline: bool, may_ask: bool = False) -> Status:
    """Read one server, or all of them at once; one that cannot be reached does not hide the others.

    Several are never asked about at the terminal: their questions would run into each other.
    """
    servers = [choose_server(config, server)] if server or config.server else find_servers(config.abra_dir)
    if not servers:
        choose_server(config, None)
    journal = read_all(config.state_dir)
    recipes = _Recipes(config, offline=offline)
    may_ask = may_ask and len(servers) == 1
    lock = _lock(config)
    asked = _Asked(config=config, journal=journal, recipes=recipes, lock=lock, alone=len(servers) == 1)
    with recipes.pool, ThreadPoolExecutor(max_workers=max(1, min(16, len(servers)))) as pool:
        parts = list(pool.map(lambda name: _server(asked, name, may_ask=may_ask), servers))
    return Status(
        apps=tuple(row for part in parts for row in part.rows),
        leases=tuple(part.lease for part in parts),
        open_runs=journal.open,
        situations={each.open.run.run_id: each for part in parts for each in part.situations},
        damaged=journal.damaged,
        errors=tuple(part.error for part in parts if part.error is not None),
        lock=next((part.lock for part in parts if part.lock is not None and part.lock is not lock), lock),
    )


def state_of(stack: Stack) -> str:
    """The contract's word for a stack as it stands."""
    if not stack.services:
        return "undeployed"
    states = {s.update.state for s in stack.services if s.update}
    if any(state.in_flight for state in states):
        return "updating"
    if states & {UpdateState.PAUSED, UpdateState.ROLLBACK_PAUSED}:
        return "paused"
    if unhealthy_lines(stack):
        return "degraded"
    return "rolled_back" if UpdateState.ROLLBACK_COMPLETED in states else "converged"


class _Recipes:
    """The recipes of all servers, each read once: a folder belongs to `ABRA_DIR`, not to a server."""

    def __init__(self, config: Config, *, offline: bool) -> None:
        self.pool = ThreadPoolExecutor(max_workers=4)
        self._config = config
        self._offline = offline
        self._lock = threading.Lock()
        self._reading: dict[str, Future[Recipe | CcciError]] = {}

    def begin(self, names: Iterable[str]) -> None:
        """Read these in the background, unless somebody asked before."""
        with self._lock:
            for name in names:
                if name not in self._reading:
                    self._reading[name] = self.pool.submit(self._read, name)

    def result(self, name: str) -> Recipe | CcciError:
        """Wait for one that was begun."""
        return self._reading[name].result()

    def _read(self, name: str) -> Recipe | CcciError:
        try:
            return read_versions(name, self._config.abra_dir, self._config.cache_dir, offline=self._offline)
        except CcciError as error:
            return error


class _Part(NamedTuple):
    rows: list[AppStatus]
    lease: ServerLease
    error: CcciError | None = None
    situations: "tuple[Situation, ...]" = ()
    lock: "LockStatus | None" = None


class _Asked(NamedTuple):
    """What all servers share; `alone`: there is one."""

    config: Config
    journal: Reading
    recipes: _Recipes
    lock: "LockStatus | None"
    alone: bool


def _server(given: _Asked, server: str, *, may_ask: bool) -> _Part:
    config, journal, recipes, _, _ = given
    try:
        with (
            closing(open_host(config, server, may_ask=may_ask)) as host,
            ThreadPoolExecutor(max_workers=1) as beside,
        ):
            recipes.begin(app.recipe_folder for app in host.apps)
            asked = beside.submit(_shared, host.swarm)
            stacks = host.swarm.stacks()
            shared = asked.result()
            told = _told(shared)
            dead = _dead_runs(host, stacks, told) if journal.open or told else ()
            lock = _compared(given, host, stacks, shared) if given.lock else None
    except CcciError as error:
        lease = ServerLease(server=server, standing=None)
        return _Part(_unreachable(config, server, error), lease, error)
    ours = tuple(run for run in journal.runs if run.cluster == host.cluster.id)
    rows = [
        _remembered(
            _doubted(_row(app, stacks.get(app.stack), recipes.result(app.recipe_folder), journal), ours),
            shared,
        )
        for app in host.apps
    ]
    rows += [AppStatus(app=b.name, recipe="", server=server, stack="", problem=b.error) for b in host.broken]
    standing = None if isinstance(shared, CcciError) else shared.lease
    return _Part(rows, ServerLease(server=server, standing=standing), situations=dead, lock=lock)


def _lock(config: Config) -> "LockStatus | None":
    if config.lock_file is None:
        return None
    from ccci_upgrade.flows.lockstatus import begin  # noqa: PLC0415 - start-up time is measured

    return begin(config.lock_file)


def _compared(
    given: _Asked, host: Host, stacks: dict[str, Stack], shared: "Shared | CcciError"
) -> "LockStatus | None":
    from ccci_upgrade.flows.locksight import Sight  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.flows.lockstatus import compared  # noqa: PLC0415 - same

    if given.lock is None:
        return None
    sight = Sight(
        stacks=stacks,
        recipe=given.recipes.result,
        memories={} if isinstance(shared, CcciError) else shared.memories,
        runs=tuple(run for run in given.journal.runs if run.cluster == host.cluster.id),
    )
    return compared(given.lock, host, sight, alone=given.alone)


def _told(shared: "Shared | CcciError") -> tuple[Run, ...]:
    """Open runs of other machines; while somebody has the lease they may well be at work on one."""
    if isinstance(shared, CcciError) or shared.lease.state.value == "held":
        return ()
    return shared.runs


def _dead_runs(host: Host, stacks: dict[str, Stack], told: tuple[Run, ...]) -> "tuple[Situation, ...]":
    from ccci_upgrade.flows.deadruns import situations  # noqa: PLC0415 - start-up time is measured

    return situations(host, stacks, told)


def _shared(swarm: Swarm) -> "Shared | CcciError":
    """What is shared in that Swarm; an Engine that keeps its configs to itself hides nothing else.

    On a connection of its own, for another thread: far away every question in a row counts.
    """
    from ccci_upgrade.flows.memory import look_at_shared  # noqa: PLC0415 - start-up time is measured

    try:
        return look_at_shared(swarm)
    except CcciError as error:
        return error
    finally:
        swarm.engine.close()


def _doubted(row: AppStatus, runs: tuple[Run, ...]) -> AppStatus:
    """Tasks that run well say nothing about the data beneath them."""
    why = suspicion(runs, row.app)
    return replace(row, problem=_joined(row.problem, f"the data is suspect: {why}")) if why else row


def _remembered(row: AppStatus, shared: "Shared | CcciError") -> AppStatus:
    if isinstance(shared, CcciError):
        return replace(row, problem=_joined(row.problem, shared.message))
    memory = shared.memories.get(row.stack)
    if memory is not None:
        known = memory.of(row.deployed) is not None
        return replace(row, last_good=memory.last, back_to=memory.before(row.deployed), recorded=known)
    bad = shared.trouble_of(row.stack)
    return row if bad is None else replace(row, problem=_joined(row.problem, bad.message))


def _joined(*problems: str) -> str:
    return "; ".join(each for each in problems if each)


def _unreachable(config: Config, server: str, error: CcciError) -> list[AppStatus]:
    try:
        apps, broken = read_server(config, server)
    except CcciError:
        return []  # why its apps cannot be read is the error that is told
    rows = [
        AppStatus(app=a.name, recipe=a.recipe, server=server, stack=a.stack, problem=error.message)
        for a in apps
    ]
    return rows + [AppStatus(app=b.name, recipe="", server=server, stack="", problem=b.error) for b in broken]


def _row(app: App, stack: Stack | None, recipe: Recipe | CcciError, journal: Reading) -> AppStatus:
    label = stack.label("version") if stack else None
    deployed = RecipeVersion.parse(label) if label else None
    newer: tuple[RecipeVersion, ...] = ()
    newest: RecipeVersion | None = None
    problem = recipe.message if isinstance(recipe, CcciError) else recipe.stale
    if isinstance(recipe, Recipe):
        newest = recipe.newest.version if recipe.newest else None
        newer = tuple(r.version for r in recipe.newer_than(deployed)) if deployed else ()
    runs = [run for run in journal.runs if run.app == app.name and run.outcome is not None]
    return AppStatus(
        app=app.name,
        recipe=app.recipe,
        server=app.server,
        stack=app.stack,
        deployed=label,
        newest=newest.text if newest else None,
        upgrades=tuple(v.text for v in newer),
        bump=_bump(deployed, newest),
        state=state_of(stack) if stack else "undeployed",
        chaos=bool(stack and (stack.label("chaos") == "true" or stack.label("chaos-version"))),
        last_run=runs[-1] if runs else None,
        problem=problem,
    )


def _bump(deployed: RecipeVersion | None, newest: RecipeVersion | None) -> Bump:
    if deployed is None or newest is None:
        return Bump.UNKNOWN
    return Bump.NONE if newest <= deployed else bump_between(deployed, newest)
