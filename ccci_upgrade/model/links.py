"""Where upstream tells how to migrate, per image jump.

Pages exist per step, so a jump over several majors gives several, in the order of the way.
"""

import itertools
from collections.abc import Callable, Iterator

from ccci_upgrade.model.image import Image, db_series, image_bump, is_database, tag_version
from ccci_upgrade.model.version import Bump

Step = tuple[int, int]
"""The first two numbers of a version."""

_TRAEFIK = "https://doc.traefik.io/traefik"
_KEYCLOAK = "https://www.keycloak.org/docs/latest/upgrading/"
_DRONE = "https://github.com/harness/harness/blob/drone/CHANGELOG.md"
_POSTGRES = "https://www.postgresql.org/docs"
_MARIADB = (
    "https://mariadb.com/docs/server/server-management/install-and-upgrade-mariadb/upgrading"
    "/mariadb-community-server-upgrade-paths"
)
_MYSQL = "https://dev.mysql.com/doc/refman"

_MARIADB_SERIES: tuple[Step, ...] = ((10, 5), (10, 6), (10, 11), (11, 4), (11, 8), (12, 3))
_MYSQL_SERIES: tuple[Step, ...] = ((5, 7), (8, 0), (8, 4))
_ONE_NUMBER_POSTGRES = 10
_MOST_PAGES = 20


def migration_links(old: str, new: str) -> tuple[str, ...]:
    """Give upstream's pages on going from one image to the other.

    Empty for images of other applications and where nothing changed. A version that cannot be read, another
    repository and a step back give the application's general page.
    """
    before, after = Image.parse(old), Image.parse(new)
    if before is None or after is None or image_bump(old, new) is Bump.NONE:
        return ()
    app = is_database(new) or after.name
    if app not in _PAGES:
        return ()
    general, pages = _PAGES[app]
    start, end = _step(old), _step(new)
    if before.name != after.name or start is None or end is None or end < start:
        return (general,)
    return tuple(pages(start, end))[-_MOST_PAGES:] or (general,)


def _step(image: str) -> Step | None:
    parsed = Image.parse(image)
    numbers = tag_version(parsed.tag) if parsed else None
    if is_database(image) == "postgres" and (series := db_series(image)):
        numbers = tuple(map(int, series.split(".")))
    padded = (*numbers, 0) if numbers else None
    return (padded[0], padded[1]) if padded else None


def _traefik(old: Step, new: Step) -> Iterator[str]:
    v1, v2, v3 = 1, 2, 3
    if old[0] <= v1 < new[0]:
        yield f"{_TRAEFIK}/migrate/v1-to-v2/"
    if new[0] == v2:
        yield f"{_TRAEFIK}/v2.11/migration/v2/"
    if old[0] <= v2 < new[0]:
        yield f"{_TRAEFIK}/migrate/v2-to-v3/"
        yield f"{_TRAEFIK}/migrate/v2-to-v3-details/"
    if new[0] == v3:
        yield f"{_TRAEFIK}/migrate/v3/"


def _keycloak(old: Step, new: Step) -> Iterator[str]:
    for major in range(max(old[0], new[0] - _MOST_PAGES) + 1, new[0] + 1):
        yield f"{_KEYCLOAK}#migrating-to-{major}-0-0"
    first = old[1] if old[0] == new[0] else 0
    for minor in range(max(first, new[1] - _MOST_PAGES) + 1, new[1] + 1):
        yield f"{_KEYCLOAK}#migrating-to-{new[0]}-{minor}-0"


def _drone(old: Step, new: Step) -> Iterator[str]:
    del old, new  # one page tells of all versions
    yield _DRONE


def _postgres(old: Step, new: Step) -> Iterator[str]:
    if old == new:
        yield f"{_POSTGRES}/release/"
        return
    yield f"{_POSTGRES}/current/upgrading.html"
    first = max(old[0] + 1, _ONE_NUMBER_POSTGRES, new[0] - _MOST_PAGES + 2)
    for major in range(first, new[0] + 1):
        yield f"{_POSTGRES}/{major}/release-{major}.html#RELEASE-{major}-MIGRATION"


def _mariadb(old: Step, new: Step) -> Iterator[str]:
    way = [s for s in _MARIADB_SERIES if old <= s <= new]
    if old == new or way[:1] != [old] or way[-1:] != [new]:
        yield _MARIADB
        return
    for a, b in itertools.pairwise(way):
        yield f"{_MARIADB}/upgrading-from-mariadb-{a[0]}-{a[1]}-to-mariadb-{b[0]}-{b[1]}"


def _mysql(old: Step, new: Step) -> Iterator[str]:
    for series in sorted({s for s in _MYSQL_SERIES if old < s <= new} | {new}):
        yield f"{_MYSQL}/{series[0]}.{series[1]}/en/upgrading-from-previous-series.html"


_PAGES: dict[str, tuple[str, Callable[[Step, Step], Iterator[str]]]] = {
    "traefik": (f"{_TRAEFIK}/migrate/v3/", _traefik),
    "keycloak": (_KEYCLOAK, _keycloak),
    "drone": (_DRONE, _drone),
    "postgres": (f"{_POSTGRES}/current/upgrading.html", _postgres),
    "mariadb": (_MARIADB, _mariadb),
    "mysql": (f"{_MYSQL}/en/upgrading.html", _mysql),
}
