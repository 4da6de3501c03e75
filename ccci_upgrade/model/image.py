"""Image references: what they name, how big a step between two is, and which run a database.

References are compared in Docker's familiar form: `docker.io/library/postgres` is `postgres`.
"""

import re
from dataclasses import dataclass

from ccci_upgrade.model.version import Bump

_PART = "[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?"
_REFERENCE = re.compile(
    rf"(?:(?P<host>{_HOST})/)?(?P<path>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,128}))?"
)
_LONGEST = 512
_TAG = re.compile(r"[vV]?([0-9]{1,9}(?:\.[0-9]{1,9}){0,4})((?:[-_.+]?[A-Za-z][A-Za-z0-9_.-]*|-[0-9].*)?)")
_POSTGRES_SERIES = re.compile(r"(?:^|[-_.])pg([0-9]{1,2})(?![0-9])")
_OLDEST_YEAR = 1900
_ONE_NUMBER_POSTGRES = 10

_DATABASES = {
    "postgres": (
        "postgres",
        "postgresql",
        "postgis",
        "pgautoupgrade",
        "pgvector",
        "pgvecto-rs",
        "timescaledb",
    ),
    "mariadb": ("mariadb", "mariadb-galera"),
    "mysql": ("mysql", "mysql-server", "percona", "percona-server"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One reference: `repository` in Docker's familiar form; `tag` and `digest` empty where not given."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Image | None":
        """Read a reference as Docker does, or give None."""
        match = _REFERENCE.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            return None
        host, path = match["host"] or "", match["path"]
        if host and host != "localhost" and not re.search("[.:A-Z]", host):
            # Docker's rule: without a dot, a port or a capital the first part belongs to the path.
            host, path = "", f"{host}/{path}"
        on_hub = host in ("", "docker.io", "index.docker.io")
        repository = path.removeprefix("library/") if on_hub else f"{host}/{path}"
        return cls(repository=repository, tag=match["tag"] or "", digest=match["digest"] or "")

    @property
    def name(self) -> str:
        """The last part of the repository's path."""
        return self.repository.rpartition("/")[2]

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


def strip_digest(image: str) -> str:
    """Give the reference without its digest, as a compose file would say it."""
    return image.partition("@")[0]


def tag_version(tag: str) -> tuple[int, ...] | None:
    """Give a tag's leading numbers: (3, 1, 0) of `v3.1.0`, (16,) of `16-alpine`; None of `latest`."""
    split = _split_tag(tag)
    return split[0] if split else None


def image_bump(old: str, new: str) -> Bump:
    """Tell the step between two references by their tags.

    `unknown` where nothing can be said: another repository, a variant changed (`-alpine` to `-jammy`), a tag
    without a version, a date, a step back. A database's step is major when its series changes.
    """
    before, after = Image.parse(old), Image.parse(new)
    if before is None or after is None or before.repository != after.repository:
        return Bump.UNKNOWN
    if before.tag == after.tag:
        return _rebuilt(before, after)
    split_before, split_after = _split_tag(before.tag), _split_tag(after.tag)
    if split_before is None or split_after is None:
        return Bump.UNKNOWN
    numbers = _numbers_bump(split_before[0], split_after[0])
    if numbers is Bump.UNKNOWN or _variant(split_before[1]) != _variant(split_after[1]):
        return Bump.UNKNOWN
    if is_database(old) and db_series(old) != db_series(new):
        return Bump.MAJOR
    return numbers


def is_database(image: str) -> str | None:
    """Name the database an image runs by the last part of its path: postgres, mariadb, mysql or None."""
    parsed = Image.parse(image)
    if parsed is None:
        return None
    return next((kind for kind, names in _DATABASES.items() if parsed.name in names), None)


def db_series(image: str) -> str | None:
    """Name the series whose data files are alike: postgres `16`, mariadb `10.11`; None if unknown."""
    kind, parsed = is_database(image), Image.parse(image)
    if kind is None or parsed is None:
        return None
    if kind == "postgres" and (named := _POSTGRES_SERIES.search(parsed.tag)):
        return named[1]
    numbers = tag_version(parsed.tag)
    if numbers is None:
        return None
    one = kind == "postgres" and numbers[0] >= _ONE_NUMBER_POSTGRES
    return ".".join(map(str, numbers[: 1 if one else 2]))


def _split_tag(tag: str) -> tuple[tuple[int, ...], str] | None:
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    return tuple(int(n) for n in match[1].split(".")), match[2]


def _variant(suffix: str) -> str:
    """Give what two comparable tags share: `-alpine3.19` and `-alpine3.20` are one variant."""
    return re.sub("[0-9]+(?:[.][0-9]+)*", "0", suffix)


def _rebuilt(before: Image, after: Image) -> Bump:
    if not (before.digest and after.digest) or before.digest == after.digest:
        return Bump.NONE
    return Bump.PATCH if _split_tag(before.tag) else Bump.UNKNOWN


def _numbers_bump(old: tuple[int, ...], new: tuple[int, ...]) -> Bump:
    if max(old[0], new[0]) >= _OLDEST_YEAR:
        return Bump.UNKNOWN
    if old == new:
        return Bump.PATCH  # only the variant's own version differs, or the spelling
    common = min(len(old), len(new))
    first = next((i for i in range(common) if old[i] != new[i]), common)
    if first < common and new[first] < old[first]:
        return Bump.UNKNOWN
    return (Bump.MAJOR, Bump.MINOR)[first] if first < 2 else Bump.PATCH  # noqa: PLR2004 - x and y of x.y.z


def bare_image(image: str) -> str:
    """An image reference without its digest, and with the tag it means: Swarm pins a digest where it can."""
    parsed = Image.parse(image)
    if parsed is None:
        return image.split("@", 1)[0]
    return f"{parsed.repository}:{parsed.tag or 'latest'}"
