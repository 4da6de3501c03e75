"""The journal: JSON lines under `state_dir`, appended and fsynced before and after each step.

    state_dir/<cluster id>/journal.jsonl
    state_dir/<cluster id>/runs/<run id>/{results.json,abra.log}

A torn or foreign line is passed over and counted; nothing is ever rewritten.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model import run as runs
from ccci_upgrade.model.run import Run, Word
from ccci_upgrade.store import files

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """All runs of a state folder, oldest first, and how many lines could not be read."""

    runs: tuple[Run, ...]
    damaged: int

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

    def open(self, run: Run) -> Path:
        """Write that a run begins, and give its own folder."""
        folder = self._folder_of(run)
        self._write(Word.OPENED, run.run_id, {"run": runs.to_json(run)})
        return folder

    def _folder_of(self, run: Run) -> Path:
        folder = self.folder / "runs" / run.run_id
        try:
            files.make_private(self.folder)
            files.make_private(folder)
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

    def _write(self, word: Word, run_id: str, more: Mapping[str, object]) -> None:
        line = {"schema": runs.SCHEMA, "at": clock.stamp(clock.now()), "word": word.value, "run_id": run_id}
        try:
            files.append_line(self.path, json.dumps(line | dict(more), ensure_ascii=False))
        except OSError as error:
            raise _unwritable(self.path, error) from error


def read_all(state_dir: Path) -> Reading:
    """Read every Swarm's journal under a state folder; a folder that is not there has no runs."""
    found: list[Run] = []
    damaged = 0
    try:
        journals = sorted(state_dir.glob("*/journal.jsonl"))
    except OSError:
        journals = []
    for path in journals:
        lines: list[Mapping[str, object]] = []
        for line in _lines(path):
            if line is None or not runs.is_line(line):
                damaged += 1
            else:
                lines.append(line)
        found += runs.replay(lines)
    return Reading(runs=tuple(sorted(found, key=lambda run: (run.started, run.run_id))), damaged=damaged)


def _unwritable(path: Path, error: OSError) -> NotReadyError:
    return NotReadyError(
        f"cannot write the journal `{path}`: {error.strerror or error}",
        hint="free space, then look at `status`",
        code="journal",
    )


def _lines(path: Path) -> Iterator[Mapping[str, object] | None]:
    try:
        data = path.read_bytes()
    except OSError:
        yield None
        return
    for raw in data.split(b"\n"):
        if not raw.strip():
            continue
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            yield None
            continue
        yield value if isinstance(value, dict) else None
