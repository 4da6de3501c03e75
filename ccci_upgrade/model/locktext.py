"""The text of `infra.lock.toml`: written so that it diffs well, and searched for the line of an error. Pure.

One value a line, sorted, with a table for each kind of thing: two lines that change are two things that changed.
TOML readers tell no lines of what they have read, so a wrong value's line is looked for in the text.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence

HEAD = (
    "# What runs on this server, as it was recorded last; for `ccci-upgrade lock diff` and a rebuild.",
    "# Written by `ccci-upgrade lock write`; other comments are lost then. No value and no secret is in it.",
)

_BARE = re.compile("[A-Za-z0-9_-]+")
_ESCAPED = {'"': '\\"', "\\": "\\\\"}
_UNWRITTEN = re.compile('["\\\\\x00-\x1f\x7f]')
_KEY = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_ASSIGNED = re.compile(rf"[ \t]*({_KEY}(?:[ \t]*\.[ \t]*{_KEY})*)[ \t]*=")
_AT_LINE = re.compile(r"\(at line ([0-9]+)")


def key_text(key: str) -> str:
    """A key as TOML has it."""
    return key if _BARE.fullmatch(key) else string_text(key)


def string_text(text: str) -> str:
    """A text as TOML has it."""
    return '"' + _UNWRITTEN.sub(lambda m: _ESCAPED.get(m[0]) or f"\\u{ord(m[0]):04X}", text) + '"'


def value_lines(key: str, value: str | int) -> Iterator[str]:
    """One value; an empty text is one too."""
    yield f"{key_text(key)} = {value if isinstance(value, int) else string_text(value)}"


def list_lines(key: str, texts: Sequence[str]) -> Iterator[str]:
    """A list, each text on a line of its own, so that one more is one more line."""
    if not texts:
        yield f"{key_text(key)} = []"
        return
    yield f"{key_text(key)} = ["
    yield from (f"  {string_text(text)}," for text in texts)
    yield "]"


def table_lines(path: Iterable[str], values: Mapping[str, str | Mapping[str, str]]) -> Iterator[str]:
    """A table of texts and of small tables, by key; nothing where it is empty."""
    if not values:
        return
    yield ""
    yield f"[{'.'.join(map(key_text, path))}]"
    for key, value in sorted(values.items()):
        if isinstance(value, str):
            yield from value_lines(key, value)
        else:
            inner = ", ".join(f"{key_text(k)} = {string_text(v)}" for k, v in value.items())
            yield f"{key_text(key)} = {{ {inner} }}"


def line_of_syntax(text: str, said: str) -> int:
    """The line that the TOML reader names in its error; the last one where it says that the text ended."""
    match = _AT_LINE.search(said)
    if match is not None:
        return int(match[1])
    return text.rstrip("\n").count("\n") + 1 if "end of document" in said else 1


def line_of(text: str, path: Sequence[str]) -> int:
    """The line on which a key stands, else that of the innermost table around it that is found, else 1."""
    best, depth = 1, 0
    for number, here in _paths(text):
        common = _common(here, path)
        if common > depth:
            best, depth = number, common
    return best


def _common(here: Sequence[str], path: Sequence[str]) -> int:
    pairs = zip(here, path, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(here), len(path)))


def _paths(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each line that names something, with the keys that lead there."""
    header: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip().startswith("["):
            header = _keys(line.strip()) or header
            yield number, header
        elif (match := _ASSIGNED.match(line)) is not None:
            yield number, (*header, *_keys(f"{match[1]} = 0"))


def _keys(line: str) -> tuple[str, ...]:
    """The keys of one line: `[a."b.c"]`, `[[a]]` or `a.b = 0`."""
    try:
        found: object = tomllib.loads(line)
    except (ValueError, RecursionError):
        return ()
    keys = []
    while isinstance(found, dict) and found:
        key, found = next(iter(found.items()))
        keys.append(key)
        if isinstance(found, list):
            found = found[0] if found else None
    return tuple(keys)
