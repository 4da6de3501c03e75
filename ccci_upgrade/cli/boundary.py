"""The one place where errors become text and exit codes."""

import contextlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from ccci_upgrade.errors import CcciError, Exit

if TYPE_CHECKING:
    from ccci_upgrade.ui.console import Terminal

NO_DOCUMENT = (Exit.BUG, Exit.USAGE, Exit.INTERRUPTED)
"""Exits without a JSON document, by the contract for scripts."""


def guarded(
    command: str, terminal: "Terminal", *, json: bool, empty: dict[str, object], work: Callable[[], Exit]
) -> Exit:
    """Run a command's work; an expected error is told, put in the document, and becomes its exit code."""
    try:
        return work()
    except CcciError as error:
        terminal.error(error)
        if json and error.exit not in NO_DOCUMENT:
            from ccci_upgrade.ui import envelope  # noqa: PLC0415 - start-up time is measured

            envelope.write(command, error.exit, empty, [error])
        return error.exit
    except KeyboardInterrupt:
        terminal.note("interrupted; nothing was changed")
        return Exit.INTERRUPTED


def report_bug(error: BaseException) -> Exit:
    """Write a traceback to a private file and say where it is; nothing of it reaches the terminal."""
    text = "".join(traceback.format_exception(error))
    handle, path = tempfile.mkstemp(prefix="ccci-upgrade-bug-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"python {sys.version}\n{text}")
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(
            f"error: unexpected {type(error).__name__}, this is a bug\nhint: please send {path}\n"
        )
    return Exit.BUG
