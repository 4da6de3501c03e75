"""One digest of what an archive says of a volume: equal for equal content, however the archive was written.

In it: each entry's name, kind, mode, owner and group (numbers), time in whole seconds, link target, device, file
capabilities and content. Not in it, since it may differ between two archives of one volume: the order of entries,
the format of headers, names of owners, a symlink's mode, what a hard link's header repeats of its file. A time
before 1970 counts as 1970, because an Engine restores it so.

A hard link counts as its name and the name of its file. Which of several names carries the content is said by the
order in which a folder is read; every Engine reads it by name.
"""

import hashlib
from collections.abc import Iterable, Iterator

from ccci_upgrade.model.snapshot import ROOT
from ccci_upgrade.model.tarwalk import Entry, TarError, TarWalk, number

_MODULUS = 1 << 256
_XATTR = b"SCHILY.xattr."
_FILE, _LINK, _SYMLINK, _DEVICES = b"0\0" + b"7", b"1", b"2", b"34"


class ContentDigest:
    """Fed an archive with `feed`; `finish` gives the digest. Memory does not grow with the archive."""

    def __init__(self) -> None:
        """Begin."""
        self._walk = TarWalk(ROOT, self)
        self._sum = 0
        self._closed = True
        self._open = hashlib.sha256()
        self._file = hashlib.sha256()

    def feed(self, piece: bytes) -> None:
        """Take the next bytes; TarError where they cannot belong to such an archive."""
        self._walk.feed(piece)

    def finish(self) -> str:
        """Give the digest (64 hex digits), as often as asked; TarError where the archive is not whole."""
        self._walk.finish()
        if not self._closed:
            self._close()
        return hashlib.sha256(b"%d %064x" % (self._walk.entries, self._sum)).hexdigest()

    def entry(self, entry: Entry) -> None:
        """See an entry; for the walk."""
        if not self._closed:
            self._close()
        self._closed = False
        self._open = hashlib.sha256()
        for part in _said(entry):
            self._open.update(b"%d:%s" % (len(part), part))
        self._file = hashlib.sha256()

    def content(self, data: memoryview) -> None:
        """See content; for the walk."""
        self._file.update(data)

    def _close(self) -> None:
        # A sum does not know in which order its parts came, and keeps none of them.
        self._open.update(self._file.digest())
        self._closed = True
        self._sum = (self._sum + int.from_bytes(self._open.digest(), "big")) % _MODULUS


def content_digest(pieces: Iterable[bytes]) -> str:
    """The digest of a whole archive; TarError where it is none."""
    digest = ContentDigest()
    for piece in pieces:
        digest.feed(piece)
    return digest.finish()


def _said(entry: Entry) -> Iterator[bytes]:
    """What counts of a header, each part once and in one order."""
    header, records = entry.header, entry.records
    yield entry.name.rstrip("/").encode("utf-8", errors="surrogateescape")
    yield b"0" if entry.kind in _FILE else bytes([entry.kind])
    link = records.get(b"linkpath", header[157:257].split(b"\0", 1)[0])
    if entry.kind in _LINK:
        yield link.rstrip(b"/")
        return
    yield link if entry.kind in _SYMLINK else b""
    yield b"" if entry.kind in _SYMLINK else b"%o" % (number(header[100:108]) & 0o7777)
    yield b"%d" % _numbered(records, b"uid", header[108:116])
    yield b"%d" % _numbered(records, b"gid", header[116:124])
    yield b"%d" % max(0, _numbered(records, b"mtime", header[136:148]))
    yield b"%d" % entry.length
    if entry.kind in _DEVICES:
        yield b"%d,%d" % (number(header[329:337]), number(header[337:345]))
    for key in sorted(records):
        if key.startswith(_XATTR):
            yield key + b"=" + records[key]


def _numbered(records: dict[bytes, bytes], key: bytes, field: bytes) -> int:
    """A number that a PAX record may say instead of the header's field; a time's fraction is left out."""
    if key not in records:
        return number(field)
    whole = records[key].partition(b".")[0]
    digits = whole.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19:  # noqa: PLR2004 - digits of 2**63
        raise TarError(f"the {key.decode()} of an entry is no number")
    return -int(digits) if whole.startswith(b"-") else int(digits)
