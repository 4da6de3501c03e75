"""`infra.lock.toml`: what each app of a server was when it was last recorded. Pure.

The file is kept under git and may be edited or merged by people, so it is foreign text: it reads as a whole, or it is
one error with its line. It never holds a value of an `.env`, of a secret or of a config.

The *lock* is this file. Who is at work on a Swarm is the *lease*, which is something else (`model/lease.py`).
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ccci_upgrade.model.locktable import LockFileError, Table, plain
from ccci_upgrade.model.locktext import HEAD, key_text, line_of_syntax, list_lines, table_lines, value_lines
from ccci_upgrade.model.verdict import State
from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.text import tame_line

NAME = "infra.lock.toml"
SCHEMA = 1

LARGEST = 512 * 1024
"""Bytes of a file that is read at all; one app has about two thousand."""

_APP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_RECIPE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHA = re.compile(r"[0-9a-f]{64}")
_SHAPE = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,128}")
_AT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedImage:
    """One service's image: name and tag, the registry's `digest`, else the local `id`; both may be empty."""

    image: str
    digest: str = ""
    id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """The last verdict on what runs: by which run, and when that began (UTC stamp)."""

    state: State
    at: str
    run: str


@dataclass(frozen=True, kw_only=True, slots=True)
class LockedApp:
    """One app. `name` is its `.env` file's; `commit` is what the version's tag named.

    `env_sha256` is of the `.env` with this version pinned, `env_names` are its variables. By service: `images`, and
    `shapes`, hashes of all else in the spec. `secrets` and `configs` are versions by name; a name that abra did not
    make stands whole, with an empty version.
    """

    name: str
    recipe: str
    version: str
    commit: str
    order: int
    stack: str
    env_sha256: str
    env_names: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: Mapping[str, LockedImage] = field(default_factory=dict)
    shapes: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, str] = field(default_factory=dict)
    verdict: Judged | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LockFile:
    """The whole file: apps by name, each once. `server` is what whoever began it calls it."""

    server: str
    apps: tuple[LockedApp, ...] = ()

    def app(self, name: str) -> LockedApp | None:
        """The app of that name."""
        return next((each for each in self.apps if each.name == name), None)

    def having(self, *apps: LockedApp) -> "LockFile":
        """The same with these apps in place of those of their names."""
        found = {each.name: each for each in (*self.apps, *apps)}
        return LockFile(server=self.server, apps=tuple(found[name] for name in sorted(found)))

    def without(self, names: Iterable[str]) -> "LockFile":
        """The same without these apps."""
        gone = frozenset(names)
        return LockFile(server=self.server, apps=tuple(each for each in self.apps if each.name not in gone))


def lock_text(lock: LockFile) -> str:
    """The file's text, the same for the same apps; LockFileError where it could not be read back."""
    lines = [*HEAD, *value_lines("schema", SCHEMA), *value_lines("server", lock.server)]
    for app in sorted(lock.apps, key=lambda each: each.name):
        lines += _app_lines(app)
    text = "\n".join(lines) + "\n"
    parse_lock(text.encode(errors="surrogatepass"))
    return text


def parse_lock(data: bytes, *, name: str = NAME) -> LockFile:
    """Read a file's content; LockFileError says where it is no lock that this version can use."""
    if len(data) > LARGEST:
        raise LockFileError(name, 1, f"it is larger than {LARGEST // 1024} KiB: that is no lock")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LockFileError(name, data[: error.start].count(b"\n") + 1, "it is not UTF-8 text") from None
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError alone for numbers of thousands of digits
        what = tame_line(str(error))[:200] or "nested too deeply"
        raise LockFileError(name, line_of_syntax(text, str(error)), f"it is no TOML: {what}") from None
    return _lock(Table(raw, (), text, name))


def _app_lines(app: LockedApp) -> Iterator[str]:
    path = ("apps", app.name)
    yield ""
    yield f"[{'.'.join(map(key_text, path))}]"
    yield from value_lines("recipe", app.recipe)
    yield from value_lines("version", app.version)
    yield from value_lines("commit", app.commit)
    yield from value_lines("order", app.order)
    yield from value_lines("stack", app.stack)
    yield from value_lines("env_sha256", app.env_sha256)
    yield from list_lines("env", app.env_names)
    yield from list_lines("volumes", app.volumes)
    images = {service: _image_values(image) for service, image in app.images.items()}
    yield from table_lines((*path, "images"), images)
    yield from table_lines((*path, "shapes"), app.shapes)
    yield from table_lines((*path, "secrets"), app.secrets)
    yield from table_lines((*path, "configs"), app.configs)
    if app.verdict is not None:
        said = {"state": app.verdict.state.value, "at": app.verdict.at, "run": app.verdict.run}
        yield from table_lines((*path, "verdict"), said)


def _image_values(image: LockedImage) -> dict[str, str]:
    more = {"digest": image.digest, "id": image.id}
    return {"image": image.image} | {key: value for key, value in more.items() if value}


def _lock(table: Table) -> LockFile:
    schema = table.get("schema")
    if schema is None:
        raise table.wrong("is missing: it is no lock of this program", "schema")
    if schema != SCHEMA or isinstance(schema, bool):
        raise table.wrong(f"is one that this version does not know; it knows {SCHEMA}", "schema")
    server = table.text("server", plain, "cannot be a server's name")
    apps = table.named("apps", _app_in, lambda name: _APP.fullmatch(name) is not None)
    table.done()
    return LockFile(server=server, apps=tuple(apps.values()))


def _app_in(apps: Table, name: str) -> LockedApp:
    table = apps.table(name)
    images = table.named("images", _image_in, plain)
    made = LockedApp(
        name=name,
        recipe=table.text("recipe", _is(_RECIPE), "cannot be a recipe's name"),
        version=table.text("version", _version, "is no version"),
        commit=table.text("commit", _is(_COMMIT), "is no commit"),
        order=table.whole("order"),
        stack=table.text("stack", plain, "cannot be a stack's name"),
        env_sha256=table.text("env_sha256", _is(_SHA), "is no SHA-256"),
        env_names=table.texts("env"),
        volumes=table.texts("volumes"),
        images=images,
        shapes=table.named("shapes", _texts_in(_is(_SHAPE), "is no shape"), plain),
        secrets=table.named("secrets", _texts_in(_plain_or_empty, "cannot be a version"), plain),
        configs=table.named("configs", _texts_in(_plain_or_empty, "cannot be a version"), plain),
        verdict=_verdict(table.table("verdict")) if "verdict" in table.names else None,
    )
    table.done()
    return made


def _image_in(images: Table, service: str) -> LockedImage:
    table = images.table(service)
    made = LockedImage(
        image=table.text("image", plain, "cannot be an image"),
        digest=table.optional("digest", _is(_DIGEST), "is no digest"),
        id=table.optional("id", _is(_DIGEST), "is no image's id"),
    )
    table.done()
    return made


def _texts_in(fits: Callable[[str], bool], what: str) -> Callable[[Table, str], str]:
    return lambda table, name: table.text(name, fits, what)


def _verdict(table: Table) -> Judged:
    state = table.text("state", lambda text: text in State.__members__.values(), "is no verdict")
    made = Judged(
        state=State(state),
        at=table.text("at", _is(_AT), "is no time such as 2026-03-01T12:00:00.000Z"),
        run=table.text("run", plain, "cannot be a run"),
    )
    table.done()
    return made


def _is(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


def _version(text: str) -> bool:
    return RecipeVersion.parse(text) is not None


def _plain_or_empty(text: str) -> bool:
    return not text or plain(text)
