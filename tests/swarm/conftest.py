"""Fixtures of the Swarm tests: one Engine per worker, kept; a fresh host per test."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.swarm.harness import Engine, missing, running_engine
from tests.swarm.host import Host, build_recipes, make_host

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.swarm)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """Give a private Engine; without what it needs the tests are skipped, or fail where CI is set."""
    lacks = missing()
    if lacks:
        reason = f"Swarm tests need {', '.join(lacks)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with running_engine() as started:
        yield started


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the three recipes as repositories, made once and copied for each host."""
    return build_recipes(tmp_path_factory.mktemp("recipes"))


@pytest.fixture
def host(engine: Engine, recipes: Path, tmp_path: Path) -> Iterator[Host]:
    """Give a server with nothing deployed; its stacks are removed afterwards."""
    yield make_host(tmp_path, engine, recipes)
    engine.reset()
