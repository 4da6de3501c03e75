"""Questions to an Engine behind 40 ms of round-trip time: how many round trips each of them costs."""

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.measure import Effort, Row, paired, program, seconds
from bench.proxy import Proxy, far_away
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.cli.scene import Scene, standing

ROUND_TRIP = 0.04
BAR = 1.2
_RUNS = 15
_COMMANDS = (("status", "--json", "--offline"), ("plan", "--json", "--offline", "traefik"))


def measure(effort: Effort) -> list[Row]:
    """The questions themselves, and two whole commands near and far."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, standing(Path(name)) as scene:
        socket = Path(name) / "far.sock"
        with far_away(socket, scene.engine.socket, ROUND_TRIP) as proxy:
            first, row = _questions(scene, proxy, socket, effort)
            return [
                row,
                *(_command(scene, proxy, socket, words, first=first, effort=effort) for words in _COMMANDS),
            ]


def _questions(scene: Scene, proxy: Proxy, socket: Path, effort: Effort) -> tuple[float, Row]:
    """What the first question costs, and each of the others."""
    firsts, others = [], []
    for _ in range(effort.runs(_RUNS)):
        engine = Engine(socket)
        firsts.append(seconds(lambda engine=engine: engine.get("/info")))  # type: ignore[misc]
        proxy.taken()
        took = seconds(_all_questions(Swarm(engine), scene))
        others.append(took / proxy.taken())
        engine.close()
    each = statistics.median(others)
    method = (
        f"what `status`, `plan` and the watch of `upgrade` ask, one after another on one connection, through a proxy "
        f"that delays both ways; peer: the round trip; median of {len(others)} runs; the first question, with "
        f"connection and version, took {statistics.median(firsts) * 1000:.0f} ms"
    )
    row = Row(
        measure="a question 40 ms away",
        ours=each,
        peer=ROUND_TRIP,
        value=each / ROUND_TRIP,
        bar=BAR,
        method=method,
    )
    return statistics.median(firsts), row


def _all_questions(swarm: Swarm, scene: Scene) -> Callable[[], None]:
    def ask() -> None:
        swarm.cluster()
        swarm.stacks()
        swarm.names()
        swarm.nodes()
        for _ in range(3):  # a watch looks again and again
            swarm.stack(scene.stack("traefik"))

    return ask


def _command(
    scene: Scene, proxy: Proxy, socket: Path, words: tuple[str, ...], *, first: float, effort: Effort
) -> Row:
    """A whole command near and far: what the distance adds, by question after the first."""
    near = scene.config
    far = scene.folder / "far.toml"
    far.write_text(near.read_text().replace(str(scene.engine.socket), str(socket)))
    env = scene.environment()

    def run(config: Path) -> Callable[[], None]:
        argv = (sys.executable, "-m", "ccci_upgrade", "--config", str(config), *words)
        return program(argv, env=env, cwd=scene.folder)

    run(near)()
    proxy.taken()
    pairs = paired(effort.runs(_RUNS), run(far), run(near))
    asked = proxy.taken() // len(pairs)
    added = statistics.median(pair.ours - pair.peer for pair in pairs)
    after = asked - 2  # the question for the version belongs to the first
    method = (
        f"whole command through the proxy against the same without it; {asked} questions, the first with connection "
        f"and version; held to the bar: seconds added after the first, by question, in round trips; median of "
        f"{len(pairs)} interleaved pairs"
    )
    return Row(
        measure=f"{words[0]} 40 ms away, by question",
        ours=statistics.median(pair.ours for pair in pairs),
        peer=statistics.median(pair.peer for pair in pairs),
        value=max(0.0, added - first) / after / ROUND_TRIP,
        bar=BAR,
        method=method,
    )
