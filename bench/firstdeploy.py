"""A first deploy of five services: how soon it is known to be good, against what Docker's own client takes."""

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Effort, Row, say
from bench.swarmhost import Witness
from ccci_upgrade import clock
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.verify import Watch
from ccci_upgrade.model.card import Card
from ccci_upgrade.model.converge import Watcher
from ccci_upgrade.model.goal import Goal, Wanted
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.verdict import State
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.swarm import harness

SETTLE = 5.0
"""Docker's client, too, watches each service for 5 s after its tasks run."""

BAR = 0.5
BUDGET = 120.0
_PAIRS = 3
_STACK = "five"
_VERSION = "1.0.0+2.26.0"
_IMAGE = "drone/drone:2.26.0"
_SERVICES = {"one": 0, "two": 1, "three": 3, "four": 1, "five": 2}
"""Each service, and the seconds it needs to answer."""

_PORTS = {name: 8091 + at for at, name in enumerate(_SERVICES)}
_PAGES = {name: f"{port}/healthz" for name, port in _PORTS.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployed:
    """Seconds from the act until it was said to be good, and which services did not answer then."""

    seconds: float
    down: tuple[str, ...]


def lacks() -> list[str]:
    """What is missing for it: besides an Engine a client that can wait."""
    lacking = harness.missing()
    if "docker" in lacking:
        return lacking
    shown = subprocess.run(("docker", "stack", "deploy", "--help"), capture_output=True, check=False)  # noqa: S607
    return (
        lacking
        if b"--detach" in shown.stdout
        else [*lacking, "a docker client that knows --detach (26 or later)"]
    )


def measure(effort: Effort) -> list[Row]:
    """The same stack on the same Swarm, from nothing, by both ways in turn."""
    with harness.running_engine() as engine, tempfile.TemporaryDirectory(prefix="bench-") as name:
        file = Path(name) / "compose.json"
        file.write_text(json.dumps(_compose()))
        ours: list[Deployed] = []
        peer: list[Deployed] = []
        for number in range(effort.runs(_PAIRS)):
            for way, found in (
                ((_ours, ours), (_docker, peer)) if number % 2 else ((_docker, peer), (_ours, ours))
            ):
                found.append(_witnessed(engine, file, way))
                say(f"{'ours' if found is ours else 'docker'}: {found[-1].seconds:.1f} s")
                engine.reset()
    down = sorted({name for each in ours for name in each.down})
    times = (
        statistics.median(each.seconds for each in ours),
        statistics.median(each.seconds for each in peer),
    )
    return [_row(*times, count=len(ours), down=down)]


def _row(ours: float, peer: float, *, count: int, down: list[str]) -> Row:
    method = (
        f"five services with health checks that need 0 to 3 s to answer, from `docker stack deploy`'s start; ours: "
        f"until all tasks of the target run and have stayed so for one window of {SETTLE:g} s over the whole stack, "
        f"window included; peer: until `docker stack deploy --detach=false` returns, which waits for its tasks and "
        f"then {SETTLE:g} s more for one service after another; a poller of its own saw all five answer at each of "
        f"our verdicts; without the window ours is {ours - SETTLE:.1f} s; neither side asks a page; "
        f"medians of {count} pairs"
    )
    return Row(
        measure="first deploy of five services",
        ours=ours,
        peer=peer,
        value=ours / peer,
        bar=BAR,
        method=method,
        failed=f"said to be good while {', '.join(down)} did not answer" if down else "",
    )


def _witnessed(engine: harness.Engine, file: Path, way: Callable[[harness.Engine, Path], None]) -> Deployed:
    witness = Witness(engine, list(_PAGES.values()))
    started = time.time()
    way(engine, file)
    ended = time.time()
    time.sleep(1.0)  # whoever comes up only now was not up
    witness.end()
    since = {name: witness.up_since(page) for name, page in _PAGES.items()}
    down = tuple(name for name, at in since.items() if at is None or at > ended)
    return Deployed(seconds=ended - started, down=down)


def _docker(engine: harness.Engine, file: Path) -> None:
    engine.docker("stack", "deploy", "--detach=false", "--resolve-image", "never", "-c", str(file), _STACK)


def _ours(engine: harness.Engine, file: Path) -> None:
    """The watch and the machine that judge an upgrade, shown a stack that was not there before."""
    swarm = Swarm(Engine(engine.socket))
    goal = Goal(
        version=_VERSION,
        was=None,
        services={name: Wanted(image=_IMAGE, replicas=1, version_label=_VERSION) for name in _SERVICES},
        acted=swarm.engine_time(),
        settle=SETTLE,
        holds_data=False,
    )
    watch = Watch(swarm, Watcher(before=swarm.stack(_STACK), goal=goal), _Silent())
    try:
        engine.docker("stack", "deploy", "--detach=true", "--resolve-image", "never", "-c", str(file), _STACK)
        reading = watch.until_certain(deadline=clock.ticks() + BUDGET, interrupts=Interrupts())
    finally:
        watch.close()
        swarm.engine.close()
    if reading.state is not State.CONVERGED:
        raise RuntimeError(f"{reading.state}: {reading.evidence}")


class _Silent:
    """A Reporter that tells nobody."""

    def plan(self, plan: Plan) -> None:
        """Say nothing."""

    def card(self, card: Card) -> None:
        """Nothing is shown."""

    def phase(self, app: str, text: str) -> None:
        """Say nothing."""

    def command(self, argv: tuple[str, ...]) -> None:
        """Say nothing."""

    def output(self, line: str) -> None:
        """Say nothing."""

    def waiting(self, text: str) -> None:
        """Say nothing."""

    def progress(self, text: str, done: int, total: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def verdict(self, run: Run) -> None:
        """Say nothing."""


def _compose() -> dict[str, object]:
    check = {
        "test": ["CMD", "/healthcheck"],
        "interval": "1s",
        "timeout": "2s",
        "retries": 3,
        "start_period": "5s",
    }
    services = {
        name: {
            "image": _IMAGE,
            "environment": [f"START_DELAY={delay}"],
            "healthcheck": check,
            "ports": [{"target": 8080, "published": _PORTS[name], "protocol": "tcp", "mode": "host"}],
            "deploy": {
                "endpoint_mode": "dnsrr",
                "labels": {f"coop-cloud.{_STACK}.version": _VERSION},
            },
        }
        for name, delay in _SERVICES.items()
    }
    return {"version": "3.8", "services": services}
