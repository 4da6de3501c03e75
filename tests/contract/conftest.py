"""Each scenario is played on a private dockerd (marked `swarm`) and on the practice engine, which needs nothing."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.lab import Lab, cleaned
from tests.swarm.harness import Engine, missing, running_engine

_HERE = Path(__file__).parent
_IN_CI = os.environ.get("CI") == "true"
_STACKS = (f"k{number}" for number in itertools.count())
_PORTS = itertools.count(28000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real Engine; where none can be had it is skipped in one line per file (not in CI)."""
    lacks = missing()
    skip = pytest.mark.skip(reason=f"the real Engine needs {', '.join(lacks)}")
    for item in items:
        if item.path.is_relative_to(_HERE) and _is_real(item):
            item.add_marker(pytest.mark.swarm)
            if lacks and not _IN_CI:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def dockerd() -> Iterator[Engine]:
    """Give a private Engine; where CI is set and the machine cannot have one, the tests fail."""
    if lacks := missing():
        pytest.fail(f"the real Engine needs {', '.join(lacks)}", pytrace=False)
    with running_engine() as started:
        yield started


@pytest.fixture(params=["real"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give one of the two Engines, with a stack of the scenario's own on it."""
    with cleaned(_lab(request)) as ours:
        yield ours


def _lab(request: pytest.FixtureRequest) -> Lab:
    stack = next(_STACKS)
    engine: Engine = request.getfixturevalue("dockerd")
    return Lab(engine.socket, stack, reach=engine.get, free_port=_PORTS.__next__)


def _is_real(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "[real" in item.name
