"""The journal: JSON lines under `state_dir`, appended and fsynced before and after each step.

    state_dir/<cluster id>/journal.jsonl
    state_dir/<cluster id>/runs/<run id>/{results.json,abra.log}

Nothing is ever rewritten. A line that was cut off stays where it is; the next line written marks it as torn, and
from then on it is passed over in silence. A line that is damaged or foreign is passed over and counted.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ccci_upgrade import clock
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model import run as runs
from ccci_upgrade.model.run import Run, Word
from ccci_upgrade.store import files

_TORN = "torn"
"""The word of a line that says: what stands before me was cut off, and was never acknowledged."""

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """All runs of a state folder, oldest first, and how many lines could not be read.

    `torn`: the journals among them whose last line was cut off; nobody has written to them since.
    """

    runs: tuple[Run, ...]
    damaged: int
    torn: tuple[Path, ...] = ()

    @property
    def open(self) -> tuple[Run, ...]:
        """Runs that never ended."""
        return tuple(run for run in self.runs if run.outcome is None)


class Journal:
    """The journal of one Swarm."""

    def __init__(self, state_dir: Path, cluster: str) -> None:
        """Name the place; nothing is written before a run opens."""
        if not _SAFE.fullmatch(cluster):
            raise NotReadyError(f"the Swarm's id {cluster!r} is no id", hint="see `docker info`")
        self.folder = state_dir / cluster
        self.path = self.folder / "journal.jsonl"
        self.mended = 0
        """Bytes of a torn last line that were found, and marked, when a run was opened here."""

    def open(self, run: Run) -> Path:
        """Write that a run begins, and give its own folder."""
        folder = self._folder_of(run)
        self.mended = self._write(Word.OPENED, run.run_id, {"run": runs.to_json(run)})
        return folder

    def _folder_of(self, run: Run) -> Path:
        folder = self.folder / "runs" / run.run_id
        try:
            files.make_private(folder)
            # Always: who made these may have died before their names were on the disk.
            files.sync_folder(self.folder.parent)
            files.sync_folder(self.folder)
        except OSError as error:
            raise NotReadyError(
                f"cannot write the journal in `{self.folder}`: {error.strerror}",
                hint="nothing was changed; set `state_dir` in ccci-upgrade.toml to a folder you may write to",
                code="journal",
            ) from error
        return folder

    def reopen(self, run: Run) -> Path:
        """Give the folder of a run that another process left open."""
        return self._folder_of(run)

    def begin(self, run_id: str, step: str, *, detail: str = "") -> None:
        """Write the intent of a step; `detail` is what a reader needs who finds it never ended."""
        self._write(Word.BEGIN, run_id, {"step": step} | ({"detail": detail} if detail else {}))

    def end(self, run_id: str, step: str, *, ok: bool, seconds: float, detail: str) -> None:
        """Write a step's result."""
        self._write(
            Word.END, run_id, {"step": step, "ok": ok, "seconds": round(seconds, 3), "detail": detail}
        )

    def close(self, run: Run) -> None:
        """Write how a run ended, and its `results.json`."""
        record = runs.to_json(run)
        self._write(Word.CLOSED, run.run_id, {"run": record})
        text = json.dumps({"schema_version": runs.SCHEMA} | record, indent=2, ensure_ascii=False)
        path = self.folder / "runs" / run.run_id / "results.json"
        try:
            files.replace(path, text.encode(errors="backslashreplace") + b"\n")
        except OSError as error:
            raise _unwritable(path, error) from error

    def _write(self, word: Word, run_id: str, more: Mapping[str, object]) -> int:
        """Append a line; gives the bytes of a torn line that was found before it."""
        at = clock.stamp(clock.now())
        line = {"schema": runs.SCHEMA, "at": at, "word": word.value, "run_id": run_id}
        found = 0

        def torn(tail: bytes) -> str:
            nonlocal found
            if _entry(tail) is not None:
                return ""  # only its end is missing
            found = len(tail)
            return json.dumps({"schema": runs.SCHEMA, "at": at, "word": _TORN, "bytes": found})

        try:
            files.append_line(self.path, json.dumps(line | dict(more), ensure_ascii=False), torn=torn)
        except OSError as error:
            raise _unwritable(self.path, error) from error
        return found


def read_all(state_dir: Path) -> Reading:
    """Read every Swarm's journal under a state folder; a folder that is not there has no runs."""
    found: list[Run] = []
    torn: list[Path] = []
    damaged = 0
    try:
        paths = sorted(state_dir.glob("*/journal.jsonl"))
    except OSError:
        return Reading(runs=(), damaged=1)
    for path in paths:
        journal = _read(path)
        found += runs.replay(journal.lines)
        damaged += journal.damaged
        torn += [path] if journal.torn else []
    in_order = sorted(found, key=lambda run: (run.started, run.run_id))
    return Reading(runs=tuple(in_order), damaged=damaged, torn=tuple(torn))


class _Lines(NamedTuple):
    """What one file holds: its entries, how many other lines, and whether the last one was cut off."""

    lines: tuple[Mapping[str, object], ...]
    damaged: int
    torn: bool


def _read(path: Path) -> _Lines:
    try:
        pieces = path.read_bytes().split(b"\n")
    except OSError:
        return _Lines((), 1, torn=False)
    lines: list[Mapping[str, object]] = []
    damaged = unread = 0
    for raw in pieces:
        entry = _entry(raw)
        if entry is None:
            unread += bool(raw.strip())
        elif entry["word"] == _TORN:
            unread = 0  # a mark may itself be cut off, and its successor then stands for both
        else:
            lines.append(entry)
            damaged, unread = damaged + unread, 0
    return _Lines(
        tuple(lines), damaged + unread, torn=bool(pieces[-1].strip()) and _entry(pieces[-1]) is None
    )


def _entry(raw: bytes) -> Mapping[str, object] | None:
    """A line of ours. Zeros are what a power cut leaves of lines that were never on the disk, their ends included."""
    try:
        value = json.loads(raw.rstrip(b"\0").rpartition(b"\0")[2])
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return value if value.get("word") == _TORN or runs.is_line(value) else None


def _unwritable(path: Path, error: OSError) -> NotReadyError:
    return NotReadyError(
        f"cannot write the journal `{path}`: {error.strerror or error}",
        hint="free space, then look at `status`",
        code="journal",
    )
