"""Masking of known secrets in a stream, however it is cut into pieces."""

import base64
from collections.abc import Iterable
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
        for form in self._forms:
            data = data.replace(form, MASK)
        return data

    def stream(self) -> "MaskedStream":
        """Begin a stream that comes in pieces."""
        return MaskedStream(self, max(0, self._longest - 1))


class MaskedStream:
    """Holds back as many bytes as a secret may still need to show itself."""

    def __init__(self, masker: Masker, overlap: int) -> None:
        """Use `masker`; keep back `overlap` bytes between pieces."""
        self._masker = masker
        self._overlap = overlap
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take a piece, give what is safe to show."""
        masked = self._masker.mask(self._held + data)
        cut = max(0, len(masked) - self._overlap)
        self._held = masked[cut:]
        return masked[:cut]

    def flush(self) -> bytes:
        """Give what was held back."""
        rest, self._held = self._masker.mask(self._held), b""
        return rest


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
