"""`status` of many apps on many servers, against one server alone."""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from bench.measure import Effort, Row, paired, program, ratio_row, seconds
from bench.practice import DEPLOYED, practice_engine
from bench.proxy import far_away
from tests.gitrepo import GitRepo

SERVERS = 10
APPS = 10
BAR = 1.5
ROUND_TRIP = 0.04
_RUNS = 7
_BIG = "big.example.org"


def measure(effort: Effort) -> list[Row]:
    """All servers at once, near and far, against the slowest of them; and ten times the apps on one server."""
    servers, apps = (2, 2) if effort.tiny else (SERVERS, APPS)
    names = [f"ci{number}.example.org" for number in range(servers)]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, ExitStack() as stack:
        folder = Path(name)
        _recipes(folder / "abra", apps * servers)
        sockets = {server: stack.enter_context(_engine(folder, server, apps)) for server in names}
        big = stack.enter_context(_engine(folder, _BIG, apps * servers))
        far = {server: folder / f"{server}.far" for server in names}
        for server, socket in sockets.items():
            stack.enter_context(far_away(far[server], socket, ROUND_TRIP))
        _envs(folder / "abra", dict.fromkeys(names, apps))
        _envs(folder / "one", {_BIG: apps * servers})
        (folder / "one" / "recipes").symlink_to(folder / "abra" / "recipes")
        near = _config(folder / "near.toml", folder / "abra", sockets)
        away = _config(folder / "far.toml", folder / "abra", far)
        one = _config(folder / "one.toml", folder / "one", {_BIG: big})
        return [
            _all_against_slowest(folder, near, names, "", bar=BAR, effort=effort),
            _all_against_slowest(folder, away, names, ", each 40 ms away", bar=None, effort=effort),
            _growth(_status(folder, one, _BIG), _status(folder, near, names[0]), effort),
        ]


def _all_against_slowest(
    folder: Path, config: Path, names: list[str], where: str, *, bar: float | None, effort: Effort
) -> Row:
    whole: list[float] = []
    alone: dict[str, list[float]] = {server: [] for server in names}
    _status(folder, config)()
    for _ in range(effort.runs(_RUNS)):
        whole.append(seconds(_status(folder, config)))
        for server, found in alone.items():
            found.append(seconds(_status(folder, config, server)))
    ours = statistics.median(whole)
    slowest = max(statistics.median(found) for found in alone.values())
    method = (
        f"`status --json --offline` of {SERVERS} servers with {APPS} apps each (practice Engines, one "
        f"process each, all on this machine's cores{where}), the same {APPS} recipes everywhere; the peer is "
        f"`--server NAME` for the slowest of them; median of {len(whole)} interleaved runs each"
    )
    return Row(
        measure=f"status of {SERVERS * APPS} apps on {SERVERS} servers{where}",
        ours=ours,
        peer=slowest,
        value=ours / slowest,
        bar=bar,
        method=method,
    )


def _growth(much: Callable[[], None], few: Callable[[], None], effort: Effort) -> Row:
    much()
    method = (
        f"`status --json --offline` of one server with {APPS * SERVERS} apps against one with {APPS}, each app with "
        f"a recipe of its own"
    )
    measured = f"status of {APPS * SERVERS} apps against {APPS}"
    return ratio_row(measured, paired(effort.runs(_RUNS), much, few), bar=None, method=method)


def _status(folder: Path, config: Path, server: str | None = None) -> Callable[[], None]:
    chosen = ("--server", server) if server else ()
    argv = (
        sys.executable,
        "-m",
        "ccci_upgrade",
        "--config",
        str(config),
        *chosen,
        "status",
        "--json",
        "--offline",
    )
    env = {key: value for key, value in os.environ.items() if key in ("HOME", "LANG", "PATH", "TMPDIR")}
    return program(argv, env=env, cwd=folder)


def _engine(folder: Path, server: str, apps: int) -> AbstractContextManager[Path]:
    return practice_engine(folder / server, [_app(number, server) for number in range(apps)])


def _app(number: int, server: str) -> str:
    """An app's name; its recipe is the first part."""
    return f"recipe{number}.{server}"


def _recipes(abra: Path, count: int) -> None:
    for number in range(count):
        repo = GitRepo(abra / "recipes" / f"recipe{number}")
        repo.import_releases([DEPLOYED, "1.1.0+1.1.0"])


def _envs(abra: Path, apps: dict[str, int]) -> None:
    for server, count in apps.items():
        folder = abra / "servers" / server
        folder.mkdir(parents=True)
        for number in range(count):
            name = _app(number, server)
            (folder / f"{name}.env").write_text(f"TYPE=recipe{number}:{DEPLOYED}\nDOMAIN={name}\n")


def _config(file: Path, abra: Path, sockets: dict[str, Path]) -> Path:
    tables = "".join(f'[servers."{name}"]\ndocker_host = "unix://{path}"\n' for name, path in sockets.items())
    state = f'state_dir = "{file.parent / "state"}"\ncache_dir = "{file.parent / "cache"}"\n'
    file.write_text(f'abra_dir = "{abra}"\n{state}{tables}')
    return file
