"""`infra.lock.toml` as text: written and read back, one line for each thing that changes, all else refused."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccci_upgrade.model.lockfile import LARGEST, LockedApp, LockedImage, LockFile, lock_text, parse_lock
from ccci_upgrade.model.locktable import LockFileError
from ccci_upgrade.model.locktext import line_of
from ccci_upgrade.model.verdict import State
from tests.unit.locks import APPS, LOCK, LOCKED, LOCKS

TEXT = lock_text(LOCK)
T = TypeVar("T")


def _error(text: str | bytes) -> LockFileError:
    with pytest.raises(LockFileError) as caught:
        parse_lock(text.encode() if isinstance(text, str) else text, name="here/infra.lock.toml")
    return caught.value


def _read(data: bytes) -> LockFile | LockFileError:
    try:
        return parse_lock(data)
    except LockFileError as error:
        return error


def _changed(old: LockFile, new: LockFile) -> list[str]:
    lines = difflib.unified_diff(lock_text(old).splitlines(), lock_text(new).splitlines(), n=0)
    return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]


# -- round trip -------------------------------------------------------------------------------------------------------


@given(LOCKS)
@example(LOCK)
@example(LockFile(server="s"))
def test_what_is_written_is_read_back(lock: LockFile) -> None:
    """The same lock, and of it the same text."""
    text = lock_text(lock)

    assert parse_lock(text.encode()) == lock
    assert [lock.app(app.name) for app in lock.apps] == list(lock.apps)
    assert lock_text(parse_lock(text.encode())) == text


@given(LOCKS, st.randoms(use_true_random=False))
def test_the_text_does_not_depend_on_any_order(lock: LockFile, chance: Random) -> None:
    """Two machines that see the same write the same."""
    apps = [
        replace(
            app,
            images=_shuffled(app.images, chance),
            shapes=_shuffled(app.shapes, chance),
            secrets=_shuffled(app.secrets, chance),
            configs=_shuffled(app.configs, chance),
        )
        for app in lock.apps
    ]
    chance.shuffle(apps)

    assert lock_text(LockFile(server=lock.server, apps=tuple(apps))) == lock_text(lock)


def _shuffled(values: Mapping[str, T], chance: Random) -> dict[str, T]:
    keys = list(values)
    chance.shuffle(keys)
    return {key: values[key] for key in keys}


@given(LOCKS)
def test_any_toml_reader_can_read_it(lock: LockFile) -> None:
    """Names stand as they are, whatever is in them."""
    raw = tomllib.loads(lock_text(lock))

    assert set(raw.get("apps", {})) == {app.name for app in lock.apps}
    for app in lock.apps:
        assert raw["apps"][app.name]["env"] == list(app.env_names)
        assert raw["apps"][app.name].get("secrets", {}) == dict(app.secrets)


# -- it diffs well ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"version": "1.1.0+25.1.0"}, 2),
        ({"order": 7}, 2),
        ({"env_names": (*LOCKED.env_names, "ZONE")}, 1),
        ({"volumes": LOCKED.volumes[1:]}, 1),
        ({"secrets": dict(LOCKED.secrets) | {"db_password": "v2"}}, 2),
        ({"images": dict(LOCKED.images) | {"app": LockedImage(image="keycloak/keycloak:25.1.0")}}, 2),
        ({"shapes": dict(LOCKED.shapes) | {"worker": "0" * 16}}, 1),
        ({"verdict": None}, 5),
    ],
)
def test_one_thing_that_changes_is_one_line(change: dict[str, object], lines: int) -> None:
    """Old and new line, or the new one alone."""
    changed = _changed(LOCK, LOCK.having(replace(LOCKED, **change)))  # type: ignore[arg-type]

    assert len(changed) == lines, changed


@given(LOCKS, APPS)
def test_an_app_that_comes_or_goes_touches_no_other(lock: LockFile, app: LockedApp) -> None:
    """Its lines are added, and nothing else."""
    before = lock.without([app.name])
    changed = _changed(before, before.having(app))

    assert changed
    assert all(line.startswith("+") for line in changed)
    assert before.having(app).without([app.name]) == before


# -- what is no lock --------------------------------------------------------------------------------------------------

WRONG = [
    ("", "schema"),
    ("schema = 2\n", "does not know"),
    ("schema = true\n", "does not know"),
    ('schema = "1"\n', "does not know"),
    ("schema = 1\n", "server"),
    ("schema = 1\nserver = 3\n", "must be a text"),
    ('schema = 1\nserver = "a\\nb"\n', "server"),
    ('schema = 1\nserver = "s"\nextra = 1\n', "extra"),
    ('schema = 1\nserver = "s"\napps = 3\n', "apps"),
    ('schema = 1\nserver = "s"\n[apps]\na = 3\n', "must be a table"),
    ('schema = 1\nserver = "s"\n[apps."../a"]\n', "cannot be a name"),
    ('schema = 1\nserver = "s"\n[[apps]]\n', "must be a table"),
    ("<<<<<<< HEAD\nschema = 1\n=======\n", "no TOML"),
    ("schema = " + "1" * 5000, "no TOML"),
    ("schema = " + "[" * 5000, "no TOML"),
    ("a = \x1b[2J\n", "no TOML"),
    (b"schema = 1\n\n# \xff\n", "UTF-8"),
    (b" " * (LARGEST + 1), "larger"),
    ('{"schema": 1}', "no TOML"),
]


@pytest.mark.parametrize(("text", "why"), WRONG, ids=[str(number) for number in range(len(WRONG))])
def test_what_is_no_lock_is_one_error(text: str | bytes, why: str) -> None:
    """With the file, a line, and the reason, in one tame line."""
    error = _error(text)

    assert str(error).startswith(f"here/infra.lock.toml, line {error.line}: ")
    assert why in str(error)
    assert len(str(error)) < 400
    assert str(error).isprintable()


_ENV = 'env = [\n  "DOMAIN",\n  "SECRET_DB_PASSWORD_VERSION",\n  "TYPE",\n]'


@pytest.mark.parametrize(
    ("old", "new", "why", "at"),
    [
        ('version = "1.0.0+25.0.6"', 'version = "latest"', "is no version", "version"),
        ('version = "1.0.0+25.0.6"', "version = 1.0", "must be a text", "version"),
        ("order = 20", 'order = "20"', "must be a whole number", "order"),
        ("order = 20", "order = true", "must be a whole number", "order"),
        ("order = 20", "order = 99999999999", "must be a whole number", "order"),
        ("env = [", "env = [3,", "must be a text", "env = ["),
        (_ENV, 'env = "TYPE"', "must be a list", "env"),
        ('stack = "keycloak_ci_example_org"', 'stack = ""', "cannot be a stack", "stack"),
        ('  "TYPE",', '  "TYPE", "TYPE",', "twice", "env = ["),
        ('recipe = "keycloak"', 'recipe = "../../etc"', "cannot be a recipe", "recipe"),
        ('recipe = "keycloak"', 'recipes = "keycloak"', "is missing", "[apps."),
        (f'commit = "{LOCKED.commit}"', 'commit = "HEAD"', "is no commit", "commit"),
        (f'app = "{"a" * 16}"', 'app = "aaaa"', "is no shape", "app"),
        ('db_password = "v1"', 'db_password = "v\\u001b1"', "cannot be a version", "db_password"),
        ('db_password = "v1"', 'db_password = ["v1"]', "must be a text", "db_password"),
        ('state = "converged"', 'state = "fine"', "is no verdict", "state"),
        ('at = "2026-03-01T12:00:00.000Z"', "at = 2026-03-01T12:00:00Z", "must be a text", "at"),
        ('run = "run-1"', 'run = "run-1"\nwho = "me"', "nothing that this version knows", "who"),
        ('{ image = "postgres:16.4" }', '"postgres:16.4"', "must be a table", "db"),
        ('{ image = "postgres:16.4" }', '{ image = "postgres:16.4", digest = "new" }', "is no digest", "db"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(old: str, new: str, why: str, at: str) -> None:
    """The line of the text as it was edited; that of the table where something is missing."""
    assert TEXT.count(old) == 1
    text = TEXT.replace(old, new)
    error = _error(text)

    assert why in str(error)
    assert text.splitlines()[error.line - 1].startswith(at)


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 40), st.text(max_size=30))
def test_any_edit_reads_as_a_lock_or_is_one_error(at: int, gone: int, put: str) -> None:
    """Never anything else; and what reads can be written again."""
    text = TEXT[:at] + put + TEXT[at + gone :]
    found = _read(text.encode(errors="surrogatepass"))

    if isinstance(found, LockFile):
        assert parse_lock(lock_text(found).encode()) == found
    else:
        assert 1 <= found.line <= text.count("\n") + 1


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["schema", "server", "apps", "x"]),
    _VALUES,
)
def test_any_value_in_any_place_is_one_error_or_a_lock(key: str, value: object) -> None:
    """JSON's arrays and texts are TOML's too."""
    if isinstance(value, dict):
        return
    text = f"{key} = {json.dumps(value)}\n" + "".join(
        f"{other}\n" for other in ("schema = 1", 'server = "s"') if not other.startswith(key)
    )
    found = _read(text.encode(errors="backslashreplace"))

    assert isinstance(found, LockFile) or found.line >= 1


def test_what_could_not_be_read_back_is_not_written() -> None:
    """An Engine may say anything: a lone surrogate, a line that breaks, a text without end."""
    for volume in ("\ud800", "a\nb", "", "x" * 600, "\x1b[2J"):
        with pytest.raises(LockFileError):
            lock_text(LOCK.having(replace(LOCKED, volumes=(volume,))))
    with pytest.raises(LockFileError):
        lock_text(LOCK.having(replace(LOCKED, version="main")))


def test_words_of_verdicts_are_all_known() -> None:
    """Any verdict can be the last one."""
    for state in State:
        assert LOCKED.verdict
        lock = LOCK.having(replace(LOCKED, verdict=replace(LOCKED.verdict, state=state)))
        assert parse_lock(lock_text(lock).encode()) == lock


# -- lines ------------------------------------------------------------------------------------------------------------


def test_a_key_is_found_however_it_is_written() -> None:
    """In a table, dotted, quoted, in a table inside a table; else the table around it, else the first line."""
    text = '# a\nx = 1\na.b."c d" = 2\n\n["t"."u"]\n \'v\' = 3\n[[l]]\nw = 4\n[broken\ny = 5\n'

    assert line_of(text, ("x",)) == 2
    assert line_of(text, ("a", "b", "c d")) == 3
    assert line_of(text, ("a", "b", "other")) == 3
    assert line_of(text, ("t", "u", "v")) == 6
    assert line_of(text, ("t", "u", "nothing")) == 5
    assert line_of(text, ("l", "w")) == 8
    assert line_of(text, ("nowhere", "at", "all")) == 1
    assert line_of("", ("x",)) == 1
