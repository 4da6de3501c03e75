"""Masking of known secrets in a stream, however it is cut into pieces."""

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote

MASK = b"[masked]"
SHORTEST = 6
"""Values shorter than this are not masked: `true` or `443` would blank half the log."""

_NAMES = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "KEY", "CREDENTIAL")


class Masker:
    """Masks values as they are, url-encoded, base64-encoded, and line by line for those of several lines."""

    def __init__(self, values: Iterable[str]) -> None:
        """Learn the values once."""
        forms = {form for value in values for form in _forms(value) if len(form) >= SHORTEST}
        self._forms = sorted(forms, key=len, reverse=True)
        self._longest = max((len(form) for form in self._forms), default=0)

    def mask(self, data: bytes) -> bytes:
        """Mask one whole text."""
        return self.cover(data, len(data))[0]

    def cover(self, data: bytes, sure: int) -> tuple[bytes, bytes]:
        """Mask what begins before `sure`; give that, and the rest as it was.

        Values that overlap are masked together: no end of one is left because another began in it.
        """
        out = bytearray()
        at = 0
        for start, end in self._spans(data):
            if start >= sure:
                break
            out += data[at:start] + MASK
            at = end
        cut = max(at, sure)
        return bytes(out + data[at:cut]), data[cut:]

    def stream(self) -> "MaskedStream":
        """Begin a stream that comes in pieces."""
        return MaskedStream(self, max(0, self._longest - 1))

    def _spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Where values are, ascending, those that overlap as one."""
        start = end = 0
        for at, until in sorted((at, at + len(form)) for form in self._forms for at in _places(form, data)):
            if at >= end:
                if end:
                    yield start, end
                start = at
            end = max(end, until)
        if end:
            yield start, end


class MaskedStream:
    """Holds back as many bytes as a value may still need to show itself."""

    def __init__(self, masker: Masker, overlap: int) -> None:
        """Use `masker`; keep back `overlap` bytes between pieces."""
        self._masker = masker
        self._overlap = overlap
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece, give what is safe to show."""
        whole = self._held + data
        shown, self._held = self._masker.cover(whole, max(0, len(whole) - self._overlap))
        return shown

    def flush(self) -> bytes:
        """Give what was held back."""
        rest, self._held = self._masker.mask(self._held), b""
        return rest


def _places(form: bytes, data: bytes) -> Iterator[int]:
    at = data.find(form)
    while at >= 0:
        yield at
        at = data.find(form, at + 1)


def secret_values(settings: Iterable[tuple[str, str]]) -> list[str]:
    """Values of an app's settings whose names say that they are secret (versions of secrets are not)."""
    return [
        value
        for name, value in settings
        if any(word in name.upper() for word in _NAMES)
        and not name.upper().endswith(("_VERSION", "_ENABLED"))
    ]


def _forms(value: str) -> Iterable[bytes]:
    for text in (value, *value.splitlines()):
        raw = text.strip().encode(errors="surrogateescape")
        if raw:
            yield raw
            yield quote(raw, safe="").encode()
            yield base64.b64encode(raw)
