"""What the stand-in prints: log lines as abra writes them, all of them on standard output."""

import sys
from dataclasses import dataclass


class FatalError(Exception):
    """Ends the stand-in: a `FATA` line on standard output and exit 1, as abra does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Console:
    """Log lines. `lang` replaces the prose of each, as a translation would."""

    lang: str = ""

    def info(self, text: str) -> None:
        """Print what goes on."""
        self._line("INFO", text)

    def warn(self, text: str) -> None:
        """Print what looks odd."""
        self._line("WARN", text)

    def fatal(self, text: str) -> None:
        """Print why it ends; the caller exits."""
        self._line("FATA", text)

    def plain(self, text: str) -> None:
        """Print lines that are no log: tables, notes, JSON."""
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
        sys.stdout.flush()

    def noise(self, size: int) -> None:
        """Print `size` bytes of progress nobody asked for."""
        line = "waiting for the stack to converge ".ljust(99, ".") + "\n"
        whole, rest = divmod(size, len(line))
        sys.stdout.write(line * whole + line[:rest])
        sys.stdout.flush()

    def agreed(self, question: str) -> bool:
        """Ask yes or no on standard input; an input that ended is fatal, never a wait."""
        sys.stdout.write(f"? {self.lang or question} (y/N) ")
        sys.stdout.flush()
        answer = sys.stdin.readline() if sys.stdin is not None else ""
        if not answer:
            raise FatalError("EOF")
        return answer.strip().lower() in ("y", "yes")

    def _line(self, level: str, text: str) -> None:
        sys.stdout.write(f"{level} {self.lang or text}\n")
        sys.stdout.flush()
