"""Docker's interpolation of compose files: `$VAR`, `${VAR:-default}` and their kin.

abra deploys through Docker's own stack loader, so what that accepts is read as it reads it, its oddity
included: an unbraced `$VAR-x` is a default, too, and a `$` that names nothing is dropped, an error only where no
name follows it. Nested defaults and `${VAR:+x}`, which it does not know,
are read as the Compose specification has them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

LARGEST = 1024 * 1024
"""Characters one text may grow to."""
DEEPEST = 16
"""Defaults within defaults."""
MOST_WRONG = 20
"""Times a `$` in one text may name nothing."""

_DOLLAR = re.compile(r"\$(?:(?P<escaped>\$)|(?P<named>[A-Za-z_][A-Za-z0-9_]*)|(?P<braced>\{))?")
_UNBRACED_DEFAULT = re.compile(r"(:?[-?])([^}]*)")
_BRACE = re.compile(r"\$\$|\$\{|\}")
_QUOTED = 60
_BRACED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])(.*))?", re.DOTALL)


class InterpolationError(ValueError):
    """A text Docker would refuse; the message quotes the place."""


class _NothingNamedError(InterpolationError):
    """A `$` without a name; Docker forgets about it when a later one has one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """One name a text uses; `required` is the `${NAME:?}` form, with which Docker refuses an unset name."""

    name: str
    has_default: bool
    required: bool


def interpolate(text: str, env: Mapping[str, str]) -> tuple[str, tuple[Use, ...]]:
    """Fill in names from `env`, and tell which were used; unset ones are empty, required ones too.

    Raises InterpolationError for a `$` that names nothing (see above), and for endless growth.
    """
    uses: list[Use] = []
    return _filled(text, env, uses, DEEPEST), tuple(uses)


def _filled(text: str, env: Mapping[str, str], uses: list[Use], depth: int) -> str:
    if "$" not in text:
        return text
    if depth == 0:
        raise InterpolationError(f"{_shown(text)}: defaults are nested too deep")
    parts: list[str] = []
    size = position = wrongs = 0
    wrong: InterpolationError | None = None
    while match := _DOLLAR.search(text, position):
        parts.append(text[position : match.start()])
        try:
            value, position = _one(text, match, env, uses, depth)
            wrong = wrong if match["escaped"] else None
        except _NothingNamedError as error:
            wrong, value, position, wrongs = error, "", match.start() + 1, wrongs + 1
            if wrongs > MOST_WRONG:  # each looks for its brace up to the end of the text
                raise
        parts.append(value)
        size += len(value)
        if size > LARGEST:
            raise InterpolationError(f"{_shown(text)}: grows past {LARGEST // 1024} KiB")
    if wrong is not None:
        raise wrong
    return "".join([*parts, text[position:]])


def _one(
    text: str, match: re.Match[str], env: Mapping[str, str], uses: list[Use], depth: int
) -> tuple[str, int]:
    """Give what one `$…` stands for, and where the text goes on."""
    if match["escaped"]:
        return "$", match.end()
    if match["named"]:
        default = _UNBRACED_DEFAULT.match(text, match.end())
        operator, word = default.groups() if default else ("", "")
        uses.append(_use(match["named"], operator))
        chosen = _chosen(env.get(match["named"]), operator)
        return word if chosen is None else chosen, default.end() if default else match.end()
    if not match["braced"]:
        raise _NothingNamedError(f"{_shown(text[match.start() :])}: a literal $ is written $$")
    end = _closing(text, match.end())
    inner = _BRACED.fullmatch(text, match.end(), end) if end >= 0 else None
    if inner is None:
        raise _NothingNamedError(f"{_shown(text[match.start() :])}: expected a form like ${{NAME:-default}}")
    name, operator, word = inner.groups(default="")
    uses.append(_use(name, operator))
    chosen = _chosen(env.get(name), operator)
    return _filled(word, env, uses, depth - 1) if chosen is None else chosen, end + 1


def _use(name: str, operator: str) -> Use:
    return Use(name=name, has_default=operator[-1:] in ("-", "+"), required=operator.endswith("?"))


def _chosen(value: str | None, operator: str) -> str | None:
    """Give the value an operator chooses; None for the word behind it."""
    there = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return None if there else ""
    if operator.endswith("-"):
        return value if there else None
    return value or ""


def _closing(text: str, position: int) -> int:
    """Find the brace that closes the one before `position`, past nested ones; -1 where there is none."""
    depth = 1
    for match in _BRACE.finditer(text, position):
        depth += {"${": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return -1


def _shown(text: str) -> str:
    return repr(text if len(text) <= _QUOTED else text[:_QUOTED] + "…")
