"""Walks through a tar stream piece by piece: counts what is in it and sees whether it is whole.

Only headers are looked at; content passes by, or to a sink that wants it. Formats are those an Engine writes:
ustar, PAX and GNU long names. An Engine that fails in the middle of an archive may still end its answer in order,
so the end mark is asked for.
"""

from dataclasses import dataclass
from typing import Protocol

BLOCK = 512
RECORDS_LIMIT = 1024 * 1024
"""Bytes of a PAX header or a long name; more is no archive of an Engine's."""

_FILES = b"0\0" + b"7"
_PLAIN = frozenset(b"0\x00123456" + b"7")
"""Types of entries: file, hard link, symlink, devices, folder, fifo."""

_EMPTY = bytes(BLOCK)


class TarError(ValueError):
    """The stream is no archive, or one that leads out of its own folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry's header: `kind` is the type's byte, `header` the block, `records` what PAX and GNU headers add.

    `length` is that of its content, which follows.
    """

    name: str
    kind: int
    length: int
    header: bytes
    records: dict[bytes, bytes]


class Sink(Protocol):
    """Who wants to see all that passes."""

    def entry(self, entry: Entry) -> None:
        """An entry begins; its content follows, before the next one."""

    def content(self, data: memoryview) -> None:
        """A part of the last entry's content; the memory is only lent."""


class TarWalk:
    """Fed a whole stream with `feed`, ended with `finish`. `entries` and `size` (bytes of files) grow meanwhile."""

    def __init__(self, root: str, sink: Sink | None = None) -> None:
        """Expect one folder `root` at the top, and all else below it."""
        self._root = root
        self._sink = sink
        self._kept = bytearray()
        self._content = 0
        self._skip = 0
        self._records: bytearray | None = None
        self._records_left = 0
        self._records_kind = 0
        self._more: dict[bytes, bytes] = {}
        self._zeros = 0
        self.entries = 0
        self.size = 0

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; TarError where they cannot belong to such an archive."""
        at = 0
        while at < len(piece):
            if self._records is None and not self._kept and self._skip:
                at += self._pass(memoryview(piece)[at:])
                continue
            step = min(BLOCK - len(self._kept), len(piece) - at)
            self._kept += piece[at : at + step]
            at += step
            if len(self._kept) == BLOCK:
                block, self._kept = bytes(self._kept), bytearray()
                self._block(block)

    def _pass(self, data: memoryview) -> int:
        """Let content go by, and what fills its last block; gives how many bytes those were."""
        step = min(self._skip, len(data))
        if self._sink is not None and self._content:
            self._sink.content(data[: min(self._content, step)])
        self._content = max(0, self._content - step)
        self._skip -= step
        return step

    def finish(self) -> None:
        """Say that nothing follows; TarError where the archive is not whole."""
        if self._zeros < 2 or self._kept or self._skip or self._records is not None:  # noqa: PLR2004 - the end mark
            raise TarError("it ends too early")
        if not self.entries:
            raise TarError("there is nothing in it, not even its folder")

    def _block(self, block: bytes) -> None:
        if self._records is not None:
            self._record(block, self._records)
        elif self._zeros >= 2:  # noqa: PLR2004 - the end mark
            if block != _EMPTY:
                raise TarError("something follows its end")
        elif block == _EMPTY:
            self._zeros += 1
        elif self._zeros:
            raise TarError("an empty block stands in the middle")
        else:
            self._header(block)

    def _header(self, block: bytes) -> None:
        said = number(block[148:156])
        if said != sum(block) - sum(block[148:156]) + 8 * 32:
            raise TarError("the checksum of an entry's header is wrong")
        kind, size = block[156], number(block[124:136])
        if kind in b"xgLK":
            if size > RECORDS_LIMIT:
                raise TarError("an entry has a header that is too long")
            self._records, self._records_left, self._records_kind = bytearray(), size, kind
            if not size:
                self._records = None
            return
        if kind not in _PLAIN:
            raise TarError(f"an entry has the unknown type {kind}")
        more, self._more = self._more, {}
        name = _text(more[b"path"]) if b"path" in more else _name(block)
        self._entry(name)
        known = _decimal(more[b"size"]) if b"size" in more else size
        length = known if kind in _FILES else 0
        self.size += length
        self._content, self._skip = length, -(-length // BLOCK) * BLOCK
        if self._sink is not None:
            self._sink.entry(Entry(name=name, kind=kind, length=length, header=block, records=more))

    def _record(self, block: bytes, records: bytearray) -> None:
        records += block[: self._records_left]
        self._records_left -= min(self._records_left, BLOCK)
        if self._records_left:
            return
        data, self._records = bytes(records), None
        if self._records_kind == ord("L"):
            self._more[b"path"] = data.rstrip(b"\0")
        elif self._records_kind == ord("K"):
            self._more[b"linkpath"] = data.rstrip(b"\0")
        elif self._records_kind == ord("x"):
            self._more |= dict(_pairs(data))

    def _entry(self, name: str) -> None:
        parts = name.rstrip("/").split("/")
        if parts[0] != self._root or ".." in parts or "\0" in name:
            raise TarError(f"the entry {name[:200]!r} is not below {self._root}")
        if not self.entries and len(parts) != 1:
            raise TarError(f"it does not begin with {self._root}")
        self.entries += 1


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
    return _text(prefix + b"/" + name if prefix else name)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


def number(field: bytes) -> int:
    """A number of a header's field, octal or base 256; TarError where it is none."""
    if field[:1] and field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.strip(b" \0")
    if not text:
        return 0
    if not set(text) <= set(b"01234567"):
        raise TarError("a number in an entry's header is none")
    return int(text, 8)


def _decimal(value: bytes) -> int:
    if not value.isdigit() or len(value) > 19:  # noqa: PLR2004 - digits of 2**63
        raise TarError("the size of an entry is no number")
    return int(value)


def _pairs(data: bytes) -> "list[tuple[bytes, bytes]]":
    r"""The records of a PAX header, each `LENGTH KEY=VALUE\n` with the length of all of it."""
    found = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = int(data[at:space]) if space > at and data[at:space].isdigit() else 0
        record = data[space + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if space < 0 or length <= space - at or not equals or not value.endswith(b"\n"):
            raise TarError("a PAX header cannot be read")
        found.append((key, value[:-1]))
        at += length
    return found
