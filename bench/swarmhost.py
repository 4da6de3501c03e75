"""A private Swarm for a measure, and an independent witness of when its apps answer."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.practice.world.recipes import SOURCES
from ccci_upgrade.practice.world.repositories import build_all
from ccci_upgrade.practice.world.source import HEALTH
from tests.swarm.harness import Engine, running_engine
from tests.swarm.host import Host, make_host

APP = "drone"
BASE = "1.9.0+2.26.0"
"""What the releases of a measure are made from: one service, a host port, stop-first."""

_POLLER = Path(__file__).with_name("poller.py")


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A page began (`up`) or ceased to answer, at `at` seconds since the epoch."""

    at: float
    page: str
    up: bool


class Witness:
    """Polls pages from a process of its own. `changes` are complete once `end` was called."""

    def __init__(self, engine: Engine, pages: Sequence[str]) -> None:
        """Begin to watch pages, each as `PORT/PATH`."""
        self._child = engine.popen([sys.executable, "-SE", str(_POLLER), *pages], data=True)
        self.changes: list[Change] = []

    def end(self) -> None:
        """Stop watching."""
        try:
            out, err = self._child.communicate("", timeout=30)
        except subprocess.TimeoutExpired:
            self._child.kill()
            out, err = self._child.communicate()
        if err:
            raise RuntimeError(err)
        for line in out.splitlines():
            at, page, up = line.split()
            self.changes.append(Change(at=float(at), page=page, up=up == "1"))

    def up_since(self, page: str) -> float | None:
        """When a page began to answer for the last time; None where it does not answer at the end."""
        mine = [change for change in self.changes if change.page == page]
        return mine[-1].at if mine and mine[-1].up else None


@contextmanager
def swarm_host() -> Iterator[Host]:
    """A server with its own Swarm and a deployed drone; the stability window is 1 s."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, running_engine() as engine:
        folder = Path(name)
        recipes = folder / "recipes"
        recipes.mkdir()
        place = folder / "host"
        place.mkdir()
        host = make_host(place, engine, build_all(SOURCES, recipes))
        host.configure(settle="1s", budget="60s")
        host.deploy(APP, version=BASE)
        yield host


def publish(host: Host, number: int, *, start_delay: float = 0.0, checked: bool = True) -> str:
    """Publish a version of the app that differs in its environment, with or without a health check."""
    version = f"1.9.{number}+2.26.0"
    host.release(
        APP,
        version,
        based_on=BASE,
        env={"app": {"START_DELAY": f"{start_delay:.1f}", "RELEASE": str(number)}},
        swap=() if checked else ((HEALTH, ""),),
        note="Nothing to do.\n",
    )
    return version
