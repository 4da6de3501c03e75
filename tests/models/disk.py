"""A disk that fails on order, beneath everything that asks `os`: full, broken, short, cut off.

It patches functions of the standard library while it is used, and only files under its own folder are touched.
It also knows what a power cut would leave: bytes that an fsync has seen, and names that an fsync of their
folder has seen.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

WRITING = ("full", "broken", "quota", "short", "killed")
"""Faults of the next write: an error after some bytes, fewer bytes than given, or the end of the process."""

OTHERS = ("fsync", "open", "rename")
"""Faults of the next such call."""

_ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO, "quota": errno.EDQUOT}


class KilledError(BaseException):
    """The process ended here: nothing of ours may catch it."""


@dataclass(kw_only=True)
class _File:
    """What is known of a file: bytes seen by an fsync, and parts that an fsync failed to see."""

    synced: int = 0
    failed: list[tuple[int, int]] = field(default_factory=list)


class Disk:
    """The disk under one folder."""

    def __init__(self, root: Path) -> None:
        """Stand by; nothing fails before it is told to."""
        self.root = root
        self._armed: dict[str, tuple[str, int]] = {}
        self._handles: dict[int, Path] = {}
        self._files: dict[Path, _File] = {}
        self._names: set[Path] = {root}
        self._patched = pytest.MonkeyPatch()
        self._real = (os.open, os.close, os.write, os.fsync, os.replace)
        for name, function in self._calls().items():
            self._patched.setattr(os, name, function)

    def close(self) -> None:
        """Give the functions back."""
        self._patched.undo()

    def arm(self, fault: str, after: int) -> None:
        """Let the next call of its kind fail; a write after so many bytes."""
        self._armed["write" if fault in WRITING else fault] = (fault, after)

    def heal(self) -> None:
        """Let nothing fail."""
        self._armed.clear()

    @property
    def armed(self) -> bool:
        """Whether something will fail."""
        return bool(self._armed)

    def cut_power(self, choose: Callable[[int], int]) -> None:
        """Leave what a power cut may leave; `choose(n)` picks one of 0 to n."""
        self._handles.clear()
        self.heal()
        for path, known in self._files.items():
            if not path.exists():
                continue
            if not self._named(path):
                path.unlink()
                continue
            data = bytearray(path.read_bytes())
            for begin, end in known.failed:
                at = begin + choose(end - begin)
                data[at:end] = bytes(end - at)
            kept = known.synced + choose(max(0, len(data) - known.synced))
            lost = len(data) - kept
            path.write_bytes(bytes(data[:kept]) + bytes(choose(lost)))
            known.synced, known.failed = path.stat().st_size, []

    def _named(self, path: Path) -> bool:
        chain = [path, *path.parents]
        return set(chain[: chain.index(self.root)]) <= self._names

    def _fails(self, call: str) -> tuple[str, int] | None:
        return self._armed.pop(call, None)

    def _calls(self) -> dict[str, Callable[..., Any]]:
        return {
            "open": self._open,
            "close": self._close,
            "write": self._write,
            "fsync": self._fsync,
            "replace": self._replace,
        }

    def _open(self, path: Any, *more: Any, **named: Any) -> int:
        where = Path(os.fsdecode(path)) if isinstance(path, str | bytes | Path) else None
        ours = where is not None and where.is_relative_to(self.root)
        if ours and self._fails("open"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        handle = self._real[0](path, *more, **named)
        self._handles.pop(handle, None)  # a file object closes without a word to us
        if ours and where is not None:
            self._handles[handle] = where
        return handle

    def _close(self, handle: int) -> None:
        self._handles.pop(handle, None)
        self._real[1](handle)

    def _write(self, handle: int, data: bytes) -> int:
        path = self._handles.get(handle)
        found = self._fails("write") if path else None
        if path is not None:
            self._files.setdefault(path, _File())
        if found is None:
            return self._real[2](handle, data)
        fault, after = found
        taken = self._real[2](handle, data[: min(after, len(data))])
        if fault == "killed":
            raise KilledError
        if fault != "short":
            raise OSError(_ERRORS[fault], os.strerror(_ERRORS[fault]))
        return taken

    def _fsync(self, handle: int) -> None:
        path = self._handles.get(handle)
        if path is None:
            self._real[3](handle)
            return
        if path.is_dir():
            if self._fails("fsync"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self._names |= set(path.iterdir())
            return
        known, size = self._files.setdefault(path, _File()), os.fstat(handle).st_size
        if self._fails("fsync"):
            # The next fsync succeeds without these bytes: an error is told once.
            known.failed.append((known.synced, size))
            known.synced = size
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        known.synced = size

    def _replace(self, source: Any, target: Any, **named: Any) -> None:
        if Path(target).is_relative_to(self.root) and self._fails("rename"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), source)
        self._real[4](source, target, **named)
