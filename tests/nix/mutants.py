"""Break the module in one place at a time, and see a test fail: `python -m tests.nix.mutants`.

Each mutant is one replaced text of one file, tried in a copy of the tree. `--engine` tries those of the scripts too,
whose tests start Engines (some ten minutes); other words choose mutants by a part of their file or text. Exit 1 where
one survives.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.nix.breaks import BY_HAND, ENGINE_TESTS, LISTS, OWNING, TESTS
from tests.nix.nixlab import ROOT

SECONDS = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutant:
    """One text of a file, and what stands in its place."""

    file: str
    old: str
    new: str

    @property
    def said(self) -> str:
        """On one line."""
        return f"{self.file}: {' '.join(self.old.split())[:70]} → {' '.join(self.new.split())[:50] or '(nothing)'}"


def mutants() -> list[Mutant]:
    """All of them: written by hand, and one for each entry of each list of words."""
    written = [Mutant(file=file, old=old, new=new) for file, pairs in BY_HAND.items() for old, new in pairs]
    return [*written, *_listed()]


def _listed() -> Iterator[Mutant]:
    for file, places in LISTS.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        for start, end in places:
            at = text.index(start)
            block = text[at : text.index(end, at)]
            for line in block.splitlines()[1:]:
                if line.strip().startswith('"') or line.strip().endswith('" ];'):
                    yield Mutant(file=file, old=block, new=block.replace(f"{line}\n", "", 1))
    verbs = "deploy d upgrade up rollback rl undeploy un new"
    for verb in verbs.split():
        yield Mutant(
            file=OWNING, old=f'"{verbs}"', new=f'"{" ".join(v for v in verbs.split() if v != verb)}"'
        )


def noticed(mutant: Mutant, folder: Path) -> bool:
    """Whether a test fails in a copy of the tree with this mutant in it."""
    path = folder / mutant.file
    before = path.read_text(encoding="utf-8")
    if before.count(mutant.old) < 1 or mutant.old == mutant.new:
        raise LookupError(f"{mutant.said}: no such text")
    path.write_text(before.replace(mutant.old, mutant.new, 1), encoding="utf-8")
    try:
        return _fails(folder, ENGINE_TESTS.get(mutant.file) or TESTS[mutant.file])
    finally:
        path.write_text(before, encoding="utf-8")


def _fails(folder: Path, tests: tuple[str, ...]) -> bool:
    files = [f"tests/nix/{name}" for name in tests]
    options = [
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-k",
        "not pulls and not page and not read_it",
    ]
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", *options, *files],
            cwd=folder,
            env=os.environ | {"CI": "true", "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired:
        return True
    if ran.returncode not in (0, 1):
        raise RuntimeError(ran.stdout.decode() + ran.stderr.decode())
    return ran.returncode == 1


def main(words: list[str]) -> int:
    """Try them one after another, and name what survived."""
    engine = "--engine" in words
    words = [word for word in words if not word.startswith("--")]
    chosen = [each for each in mutants() if engine or each.file not in ENGINE_TESTS]
    chosen = [
        each for each in chosen if not words or any(word in f"{each.file}: {each.old}" for word in words)
    ]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        tree = Path(name)
        for part in ("ccci_upgrade", "docs", "nix", "scripts", "tests"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("flake.nix", "pyproject.toml", "constraints.txt", "README.md"):
            shutil.copy(ROOT / part, tree)
        alive = []
        for each in chosen:
            if not noticed(each, tree):
                alive.append(each)
                sys.stdout.write(f"survived  {each.said}\n")
                sys.stdout.flush()
    spent = time.monotonic() - began
    sys.stdout.write(f"{len(chosen) - len(alive)} of {len(chosen)} mutants noticed in {spent:.0f} s\n")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
