"""Image references: parsing, steps between tags, databases, and upstream's migration pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.model.image import Image, db_series, image_bump, is_database, strip_digest, tag_version
from ccci_upgrade.model.links import migration_links
from ccci_upgrade.model.version import Bump

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "repository", "tag", "digest"),
    [
        ("postgres", "postgres", "", ""),
        ("docker.io/library/postgres:16", "postgres", "16", ""),
        ("index.docker.io/drone/drone:2", "drone/drone", "2", ""),
        ("library/traefik:v3", "traefik", "v3", ""),
        ("quay.io/keycloak/keycloak:26.0.8", "quay.io/keycloak/keycloak", "26.0.8", ""),
        ("localhost:5000/a/b", "localhost:5000/a/b", "", ""),
        ("localhost/a", "localhost/a", "", ""),
        (f"reg.example.org:5000/a:1@{DIGEST}", "reg.example.org:5000/a", "1", DIGEST),
        (f"a@{DIGEST}", "a", "", DIGEST),
        ("a/b__c/d-e.f:x_y", "a/b__c/d-e.f", "x_y", ""),
    ],
)
def test_a_reference_is_read_as_docker_does(text: str, repository: str, tag: str, digest: str) -> None:
    assert Image.parse(text) == Image(repository=repository, tag=tag, digest=digest)


@pytest.mark.parametrize(
    "text", ["", " ", "A", "a:", "a:b:c", "a@sha256:1", "a//b", "a\n", "-a", "a:" + "x" * 129, "${X}"]
)
def test_what_is_no_reference_is_none(text: str) -> None:
    assert Image.parse(text) is None


@given(st.text(max_size=60))
def test_any_text_is_a_reference_that_reads_back_or_none(text: str) -> None:
    found = Image.parse(text)
    assert found is None or Image.parse(str(found)) == found


@pytest.mark.parametrize(("text", "bare"), [(f"a:1@{DIGEST}", "a:1"), ("a:1", "a:1"), (f"a@{DIGEST}", "a")])
def test_a_digest_is_taken_off(text: str, bare: str) -> None:
    assert strip_digest(text) == bare


@pytest.mark.parametrize(
    ("tag", "numbers"),
    [
        ("v3.1.0", (3, 1, 0)),
        ("26.0.8", (26, 0, 8)),
        ("16-alpine", (16,)),
        ("10.11.6-jammy", (10, 11, 6)),
        ("16.2.0-debian-12-r5", (16, 2, 0)),
        ("2.0.0rc1", (2, 0, 0)),
        ("latest", None),
        ("", None),
        ("RELEASE.2024-01-01T00-00-00Z", None),
        ("1..2", None),
        ("9" * 5000, None),
    ],
)
def test_a_tag_gives_its_leading_numbers(tag: str, numbers: tuple[int, ...] | None) -> None:
    assert tag_version(tag) == numbers


@pytest.mark.parametrize(
    ("old", "new", "bump"),
    [
        ("traefik:v3.1.0", "traefik:v3.1.1", Bump.PATCH),
        ("traefik:v3.1.0", "traefik:v3.2.0", Bump.MINOR),
        ("traefik:v2.11.0", "docker.io/library/traefik:v3.0.0", Bump.MAJOR),
        ("traefik:v3.1", "traefik:v3.1.4", Bump.PATCH),
        ("redis:7", "redis:7.2", Bump.MINOR),
        ("redis:7-alpine3.19", "redis:7-alpine3.20", Bump.PATCH),
        ("a:1", "a:1", Bump.NONE),
        (f"a:1@{DIGEST}", "a:1", Bump.NONE),
        (f"a:1@{DIGEST}", f"a:1@{DIGEST}", Bump.NONE),
        (f"a:1@{DIGEST}", "a:1@sha256:" + "cd" * 32, Bump.PATCH),
        (f"a:latest@{DIGEST}", "a:latest@sha256:" + "cd" * 32, Bump.UNKNOWN),
        ("a:1.2", "a:1.1", Bump.UNKNOWN),
        ("a:2-alpine", "a:3-bookworm", Bump.UNKNOWN),
        ("a:latest", "a:1", Bump.UNKNOWN),
        ("a:1", "b:1", Bump.UNKNOWN),
        ("a:2024.12.1", "a:2025.1.0", Bump.UNKNOWN),
        ("a:20240101", "a:20240102", Bump.UNKNOWN),
        ("not an image", "a:1", Bump.UNKNOWN),
        ("mariadb:10.6.1", "mariadb:10.11.2", Bump.MAJOR),
        ("mariadb:10.11.2", "mariadb:10.11.6", Bump.PATCH),
        ("postgres:15.2", "postgres:15.6", Bump.MINOR),
        ("postgres:15.2", "postgres:16.1", Bump.MAJOR),
        ("pgvector/pgvector:0.8.0-pg16", "pgvector/pgvector:0.8.0-pg17", Bump.MAJOR),
    ],
)
def test_a_step_is_told_by_the_tags_and_unknown_where_it_cannot_be(old: str, new: str, bump: Bump) -> None:
    assert image_bump(old, new) is bump


@given(
    st.lists(st.integers(0, 99), min_size=3, max_size=3), st.lists(st.integers(0, 99), min_size=3, max_size=3)
)
def test_a_step_forward_is_named_by_the_first_number_that_differs(old: list[int], new: list[int]) -> None:
    found = image_bump("a:" + ".".join(map(str, old)), "a:v" + ".".join(map(str, new)))
    if new < old:
        assert found is Bump.UNKNOWN
    elif old == new:
        assert found is Bump.PATCH  # another tag of the same version
    else:
        first = next(i for i in range(3) if old[i] != new[i])
        assert found is (Bump.MAJOR, Bump.MINOR, Bump.PATCH)[first]


@pytest.mark.parametrize(
    ("image", "kind", "series"),
    [
        ("postgres:16-alpine", "postgres", "16"),
        ("postgres:9.6.24", "postgres", "9.6"),
        ("postgres:latest", "postgres", None),
        ("bitnami/postgresql:16.2.0-debian-12-r5", "postgres", "16"),
        ("pgautoupgrade/pgautoupgrade:17-alpine", "postgres", "17"),
        ("postgis/postgis:16-3.4", "postgres", "16"),
        ("pgvector/pgvector:pg15", "postgres", "15"),
        ("timescale/timescaledb:2.14.2-pg16", "postgres", "16"),
        ("ghcr.io/x/mariadb:10.11.6-jammy", "mariadb", "10.11"),
        ("mysql:8.4.0", "mysql", "8.4"),
        ("prodrigestivill/postgres-backup-local:16", None, None),
        ("prometheuscommunity/postgres-exporter:v0.15.0", None, None),
        ("redis:7", None, None),
        ("not an image", None, None),
    ],
)
def test_a_database_is_known_by_name_and_its_series_by_tag(
    image: str, kind: str | None, series: str | None
) -> None:
    assert (is_database(image), db_series(image)) == (kind, series)


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        (
            "traefik:v2.11.0",
            "traefik:v3.0.1",
            ["migrate/v2-to-v3/", "migrate/v2-to-v3-details/", "migrate/v3/"],
        ),
        ("traefik:v3.0.1", "traefik:v3.6.0", ["migrate/v3/"]),
        ("traefik:v2.4.8", "traefik:v2.11.0", ["v2.11/migration/v2/"]),
        (
            "quay.io/keycloak/keycloak:24.0.5",
            "quay.io/keycloak/keycloak:26.1.0",
            ["25-0-0", "26-0-0", "26-1-0"],
        ),
        ("quay.io/keycloak/keycloak:26.0.5", "quay.io/keycloak/keycloak:26.2.1", ["26-1-0", "26-2-0"]),
        ("quay.io/keycloak/keycloak:26.0.5", "quay.io/keycloak/keycloak:26.0.8", ["docs/latest/upgrading/"]),
        ("drone/drone:2.25.0", "drone/drone:2.26.0", ["CHANGELOG"]),
        ("postgres:14", "postgres:16", ["upgrading.html", "release-15.html", "release-16.html"]),
        ("postgres:16.1", "postgres:16.2", ["docs/release/"]),
        ("mariadb:10.6", "mariadb:11.4", ["10-6-to-mariadb-10-11", "10-11-to-mariadb-11-4"]),
        ("mariadb:10.7", "mariadb:11.4", ["upgrade-paths"]),
        ("mysql:5.7", "mysql:8.4", ["8.0/en/upgrading", "8.4/en/upgrading"]),
        ("traefik:latest", "traefik:v3.0", ["migrate/v3/"]),
        ("postgres:16", "postgres:15", ["upgrading.html"]),
        ("redis:6", "redis:7", []),
        ("traefik:v3.0", "traefik:v3.0", []),
        ("nonsense nonsense", "traefik:v3.0", []),
    ],
)
def test_each_step_of_a_jump_has_its_page(old: str, new: str, parts: list[str]) -> None:
    links = migration_links(old, new)
    assert len(links) == len(parts)
    assert all(part in link for part, link in zip(parts, links, strict=True))


@given(
    st.sampled_from(["traefik", "keycloak", "drone", "postgres", "mariadb", "mysql"]),
    st.lists(st.integers(0, 999_999_999), min_size=4, max_size=4),
)
def test_absurd_versions_give_few_links_each_once(app: str, numbers: list[int]) -> None:
    a, b, c, d = numbers
    links = migration_links(f"{app}:{a}.{b}", f"{app}:{c}.{d}")
    assert len(set(links)) == len(links) <= 20
    assert all(link.startswith("https://") for link in links)
