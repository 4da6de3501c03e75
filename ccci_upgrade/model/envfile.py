"""An app's `.env` as abra's users write it: values, the recipe it names, the version it pins.

abra reads these files with a fork of godotenv: comments may carry modifiers (`# length=64`), later lines see
earlier ones through `$VAR` and `${VAR}`, single quotes keep everything as it is. Nothing is taken from the
process environment, and nothing is ever run.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from ccci_upgrade.model.envlines import BOM, NAME, EnvFileError, assignments, checked, value_of
from ccci_upgrade.model.version import RecipeVersion

__all__ = [
    "EnvFile",
    "EnvFileError",
    "parse_env",
    "parse_exports",
    "pin_version",
    "sample_names",
    "stack_name",
]

LONGEST_STACK = 45
"""Characters abra leaves of a derived stack name."""
DIRTY = "+U"
"""What abra puts behind a pin when the recipe had uncommitted changes."""

_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)=(\S+)")
_HASH = re.compile("[0-9a-f]{7,40}")
_SEGMENT = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]*")
_PIN = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvFile:
    """One parsed file.

    `lines` gives the line of each name's last assignment, from 1; `modifiers` the `key=value` words in the
    comment behind it. `recipe` is the recipe's plain name, `recipe_folder` its folder under `recipes/` and
    `recipe_source` all that `RECIPE=` (else `TYPE=`) says; the three are empty where neither is set. `pinned`
    is what that says behind the recipe, a version or a git hash, `+U` included. `problems` are oddities that
    did not stop the reading.
    """

    values: dict[str, str]
    lines: dict[str, int]
    modifiers: dict[str, dict[str, str]]
    recipe: str
    recipe_folder: str
    recipe_source: str
    pinned: str | None
    domain: str
    problems: tuple[str, ...]

    @property
    def pin_dirty(self) -> bool:
        """Whether the recipe had uncommitted changes when this was deployed."""
        return self.pinned is not None and self.pinned.endswith(DIRTY)

    @property
    def pin_is_hash(self) -> bool:
        """Whether a commit is pinned instead of a version."""
        return _HASH.fullmatch((self.pinned or "").removesuffix(DIRTY)) is not None

    @property
    def pinned_version(self) -> RecipeVersion | None:
        """The version that is pinned, if it is one."""
        return RecipeVersion.parse((self.pinned or "").removesuffix(DIRTY))


def parse_env(data: bytes | str, *, name: str = ".env") -> EnvFile:
    """Read a file's content. Raises EnvFileError for what is no text, is too large, or has a malformed line.

    Of several assignments the last one holds, and `$NAME` in it sees the one before. An unset name is empty.
    Where both `RECIPE=` and `TYPE=` are set the former holds, as in abra.
    """
    text = checked(data, name)
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    modifiers: dict[str, dict[str, str]] = {}
    problems: list[str] = []
    for line in assignments(text, name):
        if line.name in lines and f"${line.name}" not in line.raw.replace("{", ""):
            problems.append(
                f"line {line.number}: {line.name} is set again (before in line {lines[line.name]})"
            )
        values[line.name] = value_of(line, values, name)
        lines[line.name] = line.number
        modifiers[line.name] = dict(_MODIFIER.findall(line.comment))
    key = _recipe_key(values)
    if key is None:
        problems.append("neither RECIPE= nor TYPE= is set")
    elif "RECIPE" in values and "TYPE" in values and values["RECIPE"] != values["TYPE"]:
        problems.append(f"line {lines['TYPE']}: RECIPE= holds, TYPE= says something else")
    source = values[key] if key else ""
    recipe, folder, pinned = _recipe(source, name, lines[key]) if key else ("", "", None)
    return EnvFile(
        values=values,
        lines=lines,
        modifiers={n: m for n, m in modifiers.items() if m},
        recipe=recipe,
        recipe_folder=folder,
        recipe_source=source,
        pinned=pinned,
        domain=values.get("DOMAIN", ""),
        problems=tuple(problems),
    )


def pin_version(text: str, version: str, *, name: str = ".env") -> str:
    """Give the file with `version` pinned in the line that names the recipe, all else as it was.

    Raises EnvFileError where there is no such line, where it is built from other names, or where `version`
    could not be read back.
    """
    if not _PIN.fullmatch(version):
        raise EnvFileError(name, 0, f"{version!r} is no version to pin")
    checked(text, name)
    found = {line.name: line for line in assignments(text, name)}
    key = _recipe_key(found)
    if key is None:
        raise EnvFileError(name, 0, "neither RECIPE= nor TYPE= is set, so there is nothing to pin")
    line = found[key]
    if "$" in line.raw or "\\" in line.raw:
        raise EnvFileError(
            name, line.number, f"{key}= is built from other names: pin {version} there by hand"
        )
    _recipe(line.raw, name, line.number)
    source, _ = _split_pin(line.raw)
    return f"{text[: line.start]}{source}:{version}{text[line.end :]}"


def stack_name(values: Mapping[str, str], app: str) -> str:
    """Name an app's stack as abra does: `STACK_NAME`, else the app's name with `_` for `.`, cut at 45."""
    return values.get("STACK_NAME") or app.replace(".", "_")[:LONGEST_STACK]


def parse_exports(text: str) -> dict[str, str]:
    """Give what the unindented `export NAME=value` lines of an `abra.sh` set; nothing is run or expanded."""
    found: dict[str, str] = {}
    for line in text.removeprefix(BOM).splitlines():
        if not line.startswith("export"):
            continue
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            continue  # an open quote: nothing abra could read either
        exporting = False
        for word in words:
            if word == "export" or set(word) <= set(";&|"):
                exporting = word == "export"
            elif exporting and (match := re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", word, re.DOTALL)):
                found[match[1]] = match[2]
    return found


def sample_names(text: str) -> tuple[str, ...]:
    """Give the names an `.env.sample` sets (not those commented out), in order; odd lines are left."""
    names: dict[str, None] = {}
    for line in text.removeprefix(BOM).splitlines():
        if match := NAME.match(line.lstrip(" \t")):
            names[match[1]] = None
    return tuple(names)


def _recipe_key(values: Mapping[str, object]) -> str | None:
    return next((key for key in ("RECIPE", "TYPE") if key in values), None)


def _split_pin(source: str) -> tuple[str, str | None]:
    """Split at the colon of the last path segment: those before belong to a scheme, a port or a user."""
    head, slash, last = source.rpartition("/")
    base, _, pin = last.partition(":")
    return f"{head}{slash}{base}", pin or None


def _recipe(source: str, name: str, number: int) -> tuple[str, str, str | None]:
    """Give the recipe's name, its folder and the pin; a name that could leave `recipes/` is refused."""
    base, pin = _split_pin(source)
    path = re.sub("^[a-z][a-z0-9+]*://", "", base).rpartition("@")[2].removesuffix("/").removesuffix(".git")
    segments = path.replace(":", "/").split("/")
    if not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise EnvFileError(name, number, f"{base!r} is no recipe name")
    if pin is not None and not _PIN.fullmatch(pin):
        raise EnvFileError(name, number, f"{pin!r} is no version of recipe {segments[-1]}")
    return segments[-1], "_".join(segments).replace(".", "_"), pin
