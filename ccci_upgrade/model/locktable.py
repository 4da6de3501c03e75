"""Tables of a TOML file from outside, read key by key: each value fits, or is one error with its line. Pure."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from ccci_upgrade.model.locktext import key_text, line_of
from ccci_upgrade.text import tame_line

LONGEST = 512
"""Characters of any one text."""

_HIGHEST = 10**6

T = TypeVar("T")


class LockFileError(ValueError):
    """A text that is no lock; the message names the file and the line."""

    def __init__(self, name: str, line: int, what: str) -> None:
        """Take the file's name, the line from 1, and what is wrong there."""
        super().__init__(f"{name}, line {line}: {what}")
        self.line = line


def plain(text: str) -> bool:
    """Whether it is one line without control characters, not empty and not too long."""
    return 0 < len(text) <= LONGEST and tame_line(text) == text


class Table:
    """One table being read, and where it stands: every key is asked for once, and what is left is refused."""

    def __init__(self, raw: Mapping[str, object], path: tuple[str, ...], text: str, name: str) -> None:
        """`path` are the keys that lead to it."""
        self._raw = raw
        self._path = path
        self._text = text
        self._name = name
        self._asked: set[str] = set()

    def wrong(self, what: str, *key: str) -> LockFileError:
        """The error for this table, or for a key of it."""
        path = (*self._path, *key)
        shown = ".".join(map(key_text, path))[:200]
        return LockFileError(self._name, line_of(self._text, path), tame_line(f"`{shown}` {what}"))

    def get(self, key: str) -> object:
        """A value; None where it is not there."""
        self._asked.add(key)
        return self._raw.get(key)

    def text(self, key: str, fits: Callable[[str], bool], what: str) -> str:
        """A text that must be there."""
        value = self.get(key)
        if value is None:
            raise self.wrong("is missing", key)
        return self._checked(value, fits, what, key)

    def optional(self, key: str, fits: Callable[[str], bool], what: str) -> str:
        """A text that may be missing."""
        value = self.get(key)
        return "" if value is None else self._checked(value, fits, what, key)

    def whole(self, key: str) -> int:
        """A whole number that must be there."""
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _HIGHEST:
            raise self.wrong("must be a whole number", key)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, each once, sorted."""
        value = self.get(key)
        if not isinstance(value, list):
            raise self.wrong("must be a list of texts", key)
        found = [self._checked(each, plain, "has a text that cannot be a name", key) for each in value]
        if len(set(found)) != len(found):
            raise self.wrong("names something twice", key)
        return tuple(sorted(found))

    def named(self, key: str, read: "Callable[[Table, str], T]", fits: Callable[[str], bool]) -> dict[str, T]:
        """A table whose keys are names; `read` is asked for each. No table is as good as an empty one."""
        if key not in self._raw:
            return {}
        inner = self.table(key)
        for name in inner.names:
            if not fits(name):
                raise inner.wrong("cannot be a name", name)
        return {name: read(inner, name) for name in sorted(inner.names)}

    def table(self, key: str) -> "Table":
        """A table of this one, which must be there."""
        value = self.get(key)
        if not isinstance(value, dict):
            raise self.wrong("must be a table", key)
        return Table(value, (*self._path, key), self._text, self._name)

    @property
    def names(self) -> tuple[str, ...]:
        """All keys."""
        return tuple(self._raw)

    def done(self) -> None:
        """Refuse what nobody asked for: writing the file anew would lose it."""
        for key in self._raw:
            if key not in self._asked:
                raise self.wrong("is nothing that this version knows", key)

    def _checked(self, value: object, fits: Callable[[str], bool], what: str, key: str) -> str:
        if not isinstance(value, str):
            raise self.wrong("must be a text", key)
        if not fits(value):
            raise self.wrong(what, key)
        return value
