"""The lines of a `.env`: where each assignment stands in the text, and what its value comes to."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

LARGEST = 1024 * 1024
"""Characters of a file that is read at all, and of a value after its references were filled in."""
BOM = "\ufeff"

NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*[=:][ \t]*")
"""The start of an assignment, up to its value."""

_QUOTED = {
    '"': re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*(?:\\.[^'\\]*)*)'", re.DOTALL),
}
_COMMENT = re.compile(r"(?<=[ \t])#")
_REFERENCE = re.compile(r"\\\$|\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_.]*)(?:(:?-)([^}]*))?\})")
_ESCAPE = re.compile(r"\\([^$])", re.DOTALL)


class EnvFileError(ValueError):
    """A file that cannot be read; the message names it and the line (`line` 0: the whole file)."""

    def __init__(self, name: str, line: int, what: str) -> None:
        """Take the file's name, the line from 1 (0 for the whole file) and what is wrong there."""
        super().__init__(f"{name}, line {line}: {what}" if line else f"{name}: {what}")
        self.line = line


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One assignment; `text[start:end]` is what stands between the quotes, or the bare value."""

    name: str
    number: int
    quote: str
    start: int
    end: int
    raw: str
    comment: str


def checked(data: bytes | str, name: str) -> str:
    """Give the text of a file, or raise EnvFileError: too large, not UTF-8, or with a NUL byte."""
    if len(data) > LARGEST:
        raise EnvFileError(name, 0, f"larger than {LARGEST // 1024} KiB: that is no .env file")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1 if isinstance(data, bytes) else 0
        raise EnvFileError(name, line, "not UTF-8 text") from None
    if "\0" in text:
        raise EnvFileError(name, text[: text.index("\0")].count("\n") + 1, "a NUL byte: that is no text file")
    return text


def assignments(text: str, name: str) -> Iterator[Line]:
    """Find the assignments in order; a line that is none, no comment and not empty raises EnvFileError."""
    position = len(BOM) if text.startswith(BOM) else 0
    number = 1
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        start = position
        while start < end and text[start] in " \t\r":
            start += 1
        if start < end and text[start] != "#":
            line, end = _assignment(text, start, end, (name, number))
            yield line
        number += text.count("\n", position, end) + 1
        position = end + 1


def _assignment(text: str, start: int, end: int, where: tuple[str, int]) -> tuple[Line, int]:
    """Read the assignment at `start`; also give where its last line ends (quoted values may span several)."""
    match = NAME.match(text, start, end)
    if match is None:
        raise EnvFileError(*where, "expected NAME=value")
    quote = text[match.end() : match.end() + 1]
    if quote not in _QUOTED or match.end() == end:
        return _bare(text, match, end, where[1]), end
    quoted = _QUOTED[quote].match(text, match.end())
    if quoted is None:
        raise EnvFileError(*where, f"the quote after {match[1]}= is never closed")
    end = text.find("\n", quoted.end())
    end = len(text) if end < 0 else end
    rest = text[quoted.end() : end].strip(" \t\r")
    if rest and not rest.startswith("#"):
        raise EnvFileError(*where, f"text behind the closing quote of {match[1]}")
    first, last = quoted.span(1)
    line = Line(
        name=match[1], number=where[1], quote=quote, start=first, end=last, raw=quoted[1], comment=rest[1:]
    )
    return line, end


def _bare(text: str, match: re.Match[str], end: int, number: int) -> Line:
    hashed = _COMMENT.search(text, match.end(), end)
    raw = text[match.end() : hashed.start() if hashed else end].rstrip()
    comment = text[hashed.end() : end].rstrip() if hashed else ""
    last = match.end() + len(raw)
    return Line(name=match[1], number=number, quote="", start=match.end(), end=last, raw=raw, comment=comment)


def value_of(line: Line, values: Mapping[str, str], name: str) -> str:
    """Give an assignment's value, its references filled in from `values`; unset ones are empty."""
    if line.quote == "'":
        return line.raw.replace("\\'", "'")
    raw = line.raw
    if line.quote:
        raw = _ESCAPE.sub(lambda m: {"n": "\n", "r": "\r", "t": "\t"}.get(m[1], m[1]), raw)
    parts: list[str] = []
    size = position = 0
    for match in _REFERENCE.finditer(raw):
        parts += [raw[position : match.start()], _expanded(match, values)]
        position = match.end()
        size += len(parts[-1])
        if size > LARGEST:  # a few lines that double each other would fill the memory
            raise EnvFileError(name, line.number, f"{line.name} grows past {LARGEST // 1024} KiB")
    return "".join([*parts, raw[position:]])


def _expanded(match: re.Match[str], values: Mapping[str, str]) -> str:
    name = match[1] or match[2]
    if name is None:
        return "$"
    value = values.get(name)
    if match[3] == "-" and value is not None:
        return value
    return value or match[4] or ""
