"""The one place where errors and signals become text and exit codes."""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import TYPE_CHECKING

from ccci_upgrade.errors import CcciError, Exit
from ccci_upgrade.ui.streams import ERR, hold_standard_streams

if TYPE_CHECKING:
    from ccci_upgrade.ui.console import Terminal

__all__ = ["fail", "finish", "guarded", "hold_standard_streams", "report_bug", "take_interrupts"]

NO_DOCUMENT = (Exit.BUG, Exit.USAGE, Exit.INTERRUPTED)
"""Exits without a JSON document, by the contract for scripts."""

UNWIND = 2.0
"""Seconds that reading may take to end in order after Ctrl-C; a probe that hangs would take longer."""


def guarded(
    command: str, terminal: "Terminal", *, json: bool, empty: dict[str, object], work: Callable[[], Exit]
) -> Exit:
    """Run a command's work; an expected error is told, put in the document, and becomes its exit code."""
    try:
        return work()
    except CcciError as error:
        return fail(command, terminal, error, json=json, empty=empty)


def fail(
    command: str, terminal: "Terminal", error: CcciError, *, json: bool, empty: Mapping[str, object]
) -> Exit:
    """Tell an expected error, and give its exit code."""
    terminal.error(error)
    if json and error.exit not in NO_DOCUMENT:
        from ccci_upgrade.ui import envelope  # noqa: PLC0415 - start-up time is measured

        envelope.write(command, error.exit, empty, [error])
    return error.exit


def take_interrupts() -> None:
    """Make Ctrl-C end what only reads: in order where that is quick, at once else or when pressed again."""
    signal.signal(signal.SIGINT, _interrupted)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    from ccci_upgrade import process  # noqa: PLC0415 - start-up time is measured
    from ccci_upgrade.flows.interrupts import Interrupts  # noqa: PLC0415 - start-up time is measured

    if Interrupts.began:
        return  # a run was recorded: its verdict is the exit code, and only its telling is left
    signal.signal(signal.SIGINT, lambda *_: _leave())
    timer = threading.Timer(UNWIND, _leave)
    timer.daemon = True
    timer.start()
    process.end_all()
    raise KeyboardInterrupt


def finish(code: int) -> None:
    """End with an exit code, when standard error was read to its end."""
    if code == Exit.INTERRUPTED:
        from ccci_upgrade.flows.interrupts import Interrupts  # noqa: PLC0415 - start-up time is measured

        if not Interrupts.began:
            _leave()
    ERR.leave()
    sys.exit(code)


def _leave() -> None:
    """End now, because of Ctrl-C: threads that still wait for an answer are not waited for."""
    ERR.write("interrupted; nothing was changed\n")
    ERR.leave()
    os._exit(Exit.INTERRUPTED)


def report_bug(error: BaseException) -> Exit:
    """Write a traceback to a private file and say where it is; nothing of it reaches the terminal."""
    text = "".join(traceback.format_exception(error))
    where = ""
    with contextlib.suppress(OSError):
        handle, where = tempfile.mkstemp(prefix="ccci-upgrade-bug-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"python {sys.version}\n{text}")
    ERR.write(f"error: unexpected {type(error).__name__}, this is a bug\n")
    ERR.write(f"hint: please send {where}\n" if where else "hint: no log of it could be written\n")
    return Exit.BUG
