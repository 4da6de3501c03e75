"""Fixtures of the tests on real programs: images made once, and one fresh host per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.practice.world import drone, traefik
from ccci_upgrade.practice.world.repositories import build_all
from tests.real import images, recipe
from tests.real.keycloak import Keycloak
from tests.swarm.harness import Engine
from tests.swarm.host import Host, make_host

_HERE = Path(__file__).parent
_SECONDS = 1800
"""For one test; the first one may have to make the images, and that takes five minutes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lies in this folder."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(_SECONDS))


@pytest.fixture(scope="session")
def real_images(engine: Engine) -> Engine:
    """Give the Engine with the images of real programs in it; they are made where they are not yet."""
    images.make_all()
    images.import_all(engine)
    return engine


@pytest.fixture(scope="session")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the recipes as repositories, keycloak's with its real versions."""
    sources = (traefik.SOURCE, recipe.SOURCE, drone.SOURCE)
    return build_all(sources, tmp_path_factory.mktemp("recipes"))


@pytest.fixture
def host(engine: Engine, recipes: Path, tmp_path: Path) -> Iterator[Host]:
    """Give a server with nothing deployed; its stacks are removed afterwards."""
    made = make_host(tmp_path, engine, recipes)
    made.env_path("keycloak").write_text(recipe.ENV)
    made.configure(budget="300s", settle="5s")
    yield made
    engine.reset()


@pytest.fixture
def keycloak(host: Host, real_images: Engine) -> Keycloak:  # noqa: ARG001 - its images must be there
    """Give Keycloak 25.0.6, deployed and answering."""
    made = Keycloak(host)
    made.deploy()
    return made
