"""One practice host for each worker, and the commands that are killed there."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.killing import recipe
from tests.killing.lab import Lab, Picture, lab
from tests.killing.matrix import Job, job

PARTS = 4
"""The points of one command are spread over so many tests, for as many workers."""

Jobs = Callable[[str], Job]


@pytest.fixture(scope="session")
def place() -> Iterator[Lab]:
    """Give a practice host, one for each worker."""
    with lab() as made:
        yield made


@pytest.fixture(scope="session")
def jobs(place: Lab) -> Jobs:
    """Give commands in the place they start from, each run once to its end, by name."""
    fresh = place.picture()

    @cache
    def upgraded() -> Picture:
        place.restore(fresh)
        assert place.run("upgrade", recipe.APP).code == 0
        return place.picture()

    @cache
    def saved() -> Picture:
        place.restore(fresh)
        assert place.run("snapshot", "create", recipe.APP).code == 0
        place.spoil()
        return place.picture()

    @cache
    def named(name: str) -> Job:
        match name:
            case "snapshot":
                return job(place, name, "snapshot", "create", recipe.APP, picture=fresh)
            case "upgrade":
                return job(place, name, "upgrade", recipe.APP, "--offline", picture=fresh)
            case "rollback":
                picture = upgraded()
                words = f"rollback {recipe.APP} --ack data-loss --offline"
                return job(place, name, *words.split(), picture=picture)
            case _:
                picture = saved()
                place.restore(picture)
                words = f"snapshot restore {recipe.APP} {place.snapshots[0]} --ack data-loss --offline"
                return job(place, name, *words.split(), picture=picture)

    return named
