"""Fixtures of the Swarm tests: a fresh host per test, on the worker's one Engine."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.practice.world.recipes import SOURCES
from ccci_upgrade.practice.world.repositories import build_all
from tests.swarm.harness import Engine, missing, running_engine
from tests.swarm.host import Host, make_host

_HERE = Path(__file__).parent
_IN_CI = os.environ.get("CI") == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder; where no Engine can be had, skip it in one line per file (not in CI)."""
    lacks = missing()
    skip = pytest.mark.skip(reason=f"Swarm tests need {', '.join(lacks)}")
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.swarm)
            if lacks and not _IN_CI:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the three recipes as repositories, made once and copied for each host."""
    return build_all(SOURCES, tmp_path_factory.mktemp("recipes"))


@pytest.fixture
def host(engine: Engine, recipes: Path, tmp_path: Path) -> Iterator[Host]:
    """Give a server with nothing deployed; its stacks are removed afterwards."""
    yield make_host(tmp_path, engine, recipes)
    engine.reset()


@pytest.fixture
def mortal(recipes: Path, tmp_path: Path) -> Iterator[Host]:
    """Give a server whose Engine may be killed: one of its own, for what it forgets then is met by nobody else."""
    with running_engine() as engine:
        yield make_host(tmp_path, engine, recipes)
