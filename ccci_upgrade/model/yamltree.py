"""YAML read into plain values, safely: built from the parser's events, so nothing is ever constructed.

A hostile file could otherwise fill the memory with aliases, or crash the C parser's tree builder by nesting.
Plain scalars are read as Docker's YAML library reads them: `yes`, `22:22` and dates stay text. Importing this
module imports yaml, so it is imported where a file is read.
"""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import yaml

Tree: TypeAlias = "str | int | float | bool | list[Tree] | dict[str, Tree] | None"

LARGEST: Final = 1024 * 1024
"""Characters of one file."""
MOST: Final = 100_000
"""Values one file may come to with all its aliases written out."""
DEEPEST: Final = 50
"""Values within values."""

_NULL = ("", "~", "null", "Null", "NULL")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(?:0b[01]{1,63}|0o?[0-7]{1,21}|0x[0-9a-fA-F]{1,15}|[1-9](?:_?[0-9]){0,17}|0)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_OCTAL = re.compile(r"([-+]?)0([0-7]+)")
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")


class YamlError(ValueError):
    """A text that is no YAML we read; the message says the line where there is one."""


def read_tree(text: str) -> Tree:
    """Read the first document of a text. Raises YamlError, and nothing else, for whatever is wrong."""
    if len(text) > LARGEST:
        raise YamlError(f"larger than {LARGEST // 1024} KiB")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Builder(yaml.parse(text, Loader=loader)).document()
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise YamlError(f"{where}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise YamlError(str(error).partition("\n")[0]) from None


class _Builder:
    """One pass over the events of a document; `count` is what its values come to so far."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.events = events
        self.anchors: dict[str, tuple[Tree, int]] = {}
        self.count = 0

    def document(self) -> Tree:
        for event in self.events:
            if isinstance(event, yaml.NodeEvent):
                return self.value(event, 0)
        return None

    def value(self, event: yaml.NodeEvent, depth: int) -> Tree:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            built, size = self.anchors.get(event.anchor or "", (None, -1))
            if size < 0:
                raise YamlError(f"line {line}: *{event.anchor} names nothing above it")
            self.add(size, line)
            return built
        if depth > DEEPEST:
            raise YamlError(f"line {line}: nested deeper than {DEEPEST}")
        before = self.count
        self.add(1, line)
        if isinstance(event, yaml.ScalarEvent):
            built = _scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            built = [self.value(e, depth + 1) for e in self.until(yaml.SequenceEndEvent)]
        else:
            built = self.mapping(depth)
        if event.anchor:
            self.anchors[event.anchor] = (built, self.count - before)
        return built

    def mapping(self, depth: int) -> dict[str, Tree]:
        own: dict[str, Tree] = {}
        merged: dict[str, Tree] = {}
        for event in self.until(yaml.MappingEndEvent):
            line = _line(event)
            key = _key(event, line)
            value = self.value(next(self.until(yaml.MappingEndEvent)), depth + 1)
            if key == "<<" and _plain(event):
                merged = {**_to_merge(value, line), **merged}
            elif key in own:
                raise YamlError(f"line {line}: {key!r} is there twice")
            else:
                own[key] = value
        return {**merged, **own}

    def until(self, end: type[yaml.Event]) -> Iterator[yaml.NodeEvent]:
        for event in self.events:
            if isinstance(event, end):
                return
            if isinstance(event, yaml.NodeEvent):
                yield event

    def add(self, size: int, line: int) -> None:
        self.count += size
        if self.count > MOST:
            raise YamlError(f"line {line}: comes to more than {MOST} values with its aliases written out")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _key(event: yaml.NodeEvent, line: int) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise YamlError(f"line {line}: a key must be a plain text")
    return str(event.value)


def _to_merge(value: Tree, line: int) -> dict[str, Tree]:
    """Give what `<<` brings in: of several mappings the first that has a key holds."""
    found: dict[str, Tree] = {}
    for mapping in reversed(value if isinstance(value, list) else [value]):
        if not isinstance(mapping, dict):
            raise YamlError(f"line {line}: << must bring in a mapping")
        found |= mapping
    return found


def _plain(event: yaml.NodeEvent) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.tag is None and bool(event.implicit[0])


def _scalar(event: yaml.ScalarEvent) -> Tree:
    text = str(event.value)
    if event.tag in _STRING_TAGS or not (event.tag or _plain(event)):
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INTEGER.fullmatch(text):
        return int(_OCTAL.sub(r"\g<1>0o\2", text) if _OCTAL.fullmatch(text) else text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text
