"""Standard output and error that outlive their reader.

A closed pipe or a terminal that went away must not end a run before its verdict is recorded, so a write that
fails is dropped, and so are all after it.
"""

import os
import sys
from pathlib import Path
from typing import TextIO


class Lasting:
    """A text stream that never raises for a reader that is gone. Enough of a file for rich to write to."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO) -> None:
        """Wrap one stream."""
        self._stream = stream
        self.gone = False

    def write(self, text: str) -> int:
        """Write, or drop."""
        if not self.gone:
            try:
                # Foreign text may hold what the terminal's encoding cannot say.
                encoding = self._stream.encoding or "utf-8"
                self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            except (OSError, ValueError):
                self._lose()
        return len(text)

    def flush(self) -> None:
        """Flush, or drop."""
        if not self.gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._lose()

    def isatty(self) -> bool:
        """Whether a terminal reads it."""
        try:
            return not self.gone and self._stream.isatty()
        except ValueError:
            return False

    def fileno(self) -> int:
        """The descriptor, so that the terminal's width can be asked."""
        return self._stream.fileno()

    def _lose(self) -> None:
        self.gone = True
        try:
            # The interpreter flushes at its end: what is still buffered must have somewhere to go.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            return


def _open(stream: TextIO | None) -> Lasting:
    """A descriptor closed by the caller leaves Python with None."""
    return Lasting(stream if stream is not None else Path(os.devnull).open("w", encoding="utf-8"))


OUT = _open(sys.stdout)
ERR = _open(sys.stderr)
