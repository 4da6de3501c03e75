"""Foreign text made safe to show.

A release note, a tag, a log line or an Engine's message may carry terminal escapes. rich passes ESC, OSC, C1
and bidi controls on unchanged, to a pipe too, so everything foreign goes through here before any printer.
"""

import re

# C0 but newline and tab, DEL, C1; bidi, zero-width and other unseen format characters; line and paragraph
# separators, BOM, lone surrogates, tags and the variation selectors that can carry hidden bytes. The format
# characters of Arabic, Syriac and Kaithi are left: they are seen, and belong to words.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff0-\ufffb\ud800-\udfff\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def tame(text: str) -> str:
    r"""Show every control character but newline and tab as an escape like `\x1b`; CR LF becomes a newline."""
    return _UNSAFE.sub(_shown, text.replace("\r\n", "\n"))


def tame_line(text: str) -> str:
    r"""Tame, and show newlines and tabs as `\n` and `\t`: for text that must stay on one line."""
    return tame(text).replace("\n", "\\n").replace("\t", "\\t")


def decode(data: bytes) -> str:
    r"""Read bytes as UTF-8; what is not UTF-8 is shown as `\xff` and so on."""
    return data.decode("utf-8", errors="backslashreplace")


def in_words(size: float) -> str:
    """A number of bytes for people."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:  # noqa: PLR2004 - the next unit
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _shown(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code <= 0xFF:  # noqa: PLR2004 - the range of a two-digit escape
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - same, four digits
