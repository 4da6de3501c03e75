"""Ends its own process with SIGKILL at one exact point; copied as `sitecustomize.py` onto a child's PYTHONPATH.

Nothing of the program is changed: two functions of the standard library are wrapped, or two methods of its HTTP
client. A point is a number and a moment.

    KILL_AT=12:before   the 12th write to a `journal.jsonl` is not made
    KILL_AT=12:torn     half of it is
    KILL_AT=12:after    it is on the disk
    KILL_AT=begin copy:after
                        the same, of the first line that says this
    KILL_AT=r7:before   the 7th request that changes something at the Engine is not sent
    KILL_AT=r7:after    it was answered, and nobody hears of it

`KILL_COUNT` names a file that gets a line for each write and request that was met.
"""

import fcntl
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

F_GETPATH = 50
"""macOS: the path of a descriptor."""

CHANGING = frozenset({"POST", "PUT", "DELETE"})


def die() -> None:
    """End at once, as the kernel ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    """Counts, and ends the process where it is time."""

    def __init__(self, at: str, count: str) -> None:
        """Read the point; "" is none."""
        self._word, _, self._moment = at.rpartition(":")
        self._count = count
        self._writes = self._asked = 0
        self._written = ""

    def watch(self) -> None:
        """Wrap what is to be counted."""
        library: Any = os
        library.write = self._write_with(os.write)
        library.fsync = self._fsync_with(os.fsync)
        if self._word.startswith("r") or self._count:
            import http.client  # noqa: PLC0415 - it costs the child its start

            client: Any = http.client.HTTPConnection
            client.putrequest = self._put_with(client.putrequest)
            client.getresponse = self._got_with(client.getresponse)

    def _write_with(self, write: Callable[[int, Any], int]) -> Callable[[int, Any], int]:
        def watched(handle: int, data: Any, /) -> int:
            if not _is_journal(handle):
                return write(handle, data)
            self._writes += 1
            self._written = _said(data)
            self._note(f"write {self._writes} {self._written}")
            if self._now(self._writes, "torn", self._written):
                write(handle, data[: len(data) // 2])
                die()
            if self._now(self._writes, "before", self._written):
                die()
            return write(handle, data)

        return watched

    def _fsync_with(self, fsync: Callable[[Any], None]) -> Callable[[Any], None]:
        def watched(handle: Any, /) -> None:
            fsync(handle)
            if _is_journal(handle) and self._now(self._writes, "after", self._written):
                die()

        return watched

    def _put_with(self, put: Callable[..., None]) -> Callable[..., None]:
        def watched(connection: Any, method: str, url: str, *more: Any, **named: Any) -> None:
            connection.changes = method in CHANGING
            if connection.changes:
                self._asked += 1
                connection.number = self._asked
                self._note(f"request {self._asked} {method} {url.partition('?')[0]}")
                if self._now(f"r{self._asked}", "before"):
                    die()
            put(connection, method, url, *more, **named)

        return watched

    def _got_with(self, got: Callable[..., Any]) -> Callable[..., Any]:
        def watched(connection: Any) -> Any:
            answer = got(connection)
            if connection.changes and self._now(f"r{connection.number}", "after"):
                die()
            return answer

        return watched

    def _now(self, number: int | str, moment: str, said: str = "") -> bool:
        return moment == self._moment and self._word in (str(number), said)

    def _note(self, line: str) -> None:
        if self._count:
            with open(self._count, "a", encoding="utf-8") as file:  # noqa: PTH123 - no import more than needed
                file.write(f"{line}\n")


def _said(data: Any) -> str:
    """What a line of the journal is about: `begin copy`, `opened`."""
    import json  # noqa: PLC0415 - it costs the child its start

    line = json.loads(bytes(data))
    return f"{line['word']} {line.get('step', '')}".strip()


def _is_journal(handle: Any) -> bool:
    try:
        if sys.platform == "darwin":
            path = fcntl.fcntl(handle, F_GETPATH, bytes(1024)).rstrip(b"\0").decode()
        else:
            path = os.readlink(f"/proc/self/fd/{int(handle)}")  # noqa: PTH115 - no import more than needed
    except (OSError, TypeError, ValueError):
        return False
    return path.endswith("/journal.jsonl")


if __name__ == "sitecustomize":
    # Taken out of the environment: abra is not to be ended, nor is anything else it starts.
    _at, _count = os.environ.pop("KILL_AT", ""), os.environ.pop("KILL_COUNT", "")
    if _at or _count:
        Killer(_at, _count).watch()
