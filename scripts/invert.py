"""Turn each gate and each rule of a verdict round, one at a time, and see a test fail: `python -m scripts.invert`.

A rule that can be inverted without a test noticing is not held by any. Each inversion is made in a copy of the
tree; the tests of that module run until the first failure. Takes some ten minutes on two cores; words after the
command choose modules by a part of their name. Exit 1 where an inversion survives that is not in `EQUIVALENT`.
"""

import ast
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).parents[1]
PARALLEL = 2
_REWRITE = "ignore::pytest.PytestAssertRewriteWarning"
SECONDS = 60
"""For the tests of one inversion: one that makes a wait endless counts as noticed."""

_UNIT = "tests/unit/test_"
_FINDINGS = (f"{_UNIT}findings.py", f"{_UNIT}plan.py")
TARGETS: dict[str, tuple[str, ...]] = {
    "ccci_upgrade/model/findings/__init__.py": _FINDINGS,
    "ccci_upgrade/model/findings/goingback.py": (f"{_UNIT}goingback.py",),
    "ccci_upgrade/model/findings/host.py": _FINDINGS,
    "ccci_upgrade/model/findings/protection.py": _FINDINGS,
    "ccci_upgrade/model/findings/recipe.py": _FINDINGS,
    "ccci_upgrade/model/findings/state.py": _FINDINGS,
    "ccci_upgrade/model/findings/versions.py": _FINDINGS,
    "ccci_upgrade/model/backoutcome.py": (f"{_UNIT}backoutcome.py",),
    "ccci_upgrade/model/plan.py": (f"{_UNIT}plan.py", f"{_UNIT}saved_plan.py", f"{_UNIT}findings.py"),
    "ccci_upgrade/model/judge.py": (f"{_UNIT}judge.py",),
    "ccci_upgrade/model/verdict.py": (f"{_UNIT}verdict.py",),
    "ccci_upgrade/model/appnow.py": (f"{_UNIT}drift.py",),
    "ccci_upgrade/model/drift.py": (f"{_UNIT}drift.py",),
    "ccci_upgrade/model/driftparts.py": (f"{_UNIT}drift.py",),
    "ccci_upgrade/model/driftrow.py": (f"{_UNIT}drift.py",),
    "ccci_upgrade/flows/locksight.py": (f"{_UNIT}locksight.py", f"{_UNIT}lockstatus.py"),
    "ccci_upgrade/model/look.py": (f"{_UNIT}look.py", f"{_UNIT}converge.py"),
    "ccci_upgrade/model/converge.py": (f"{_UNIT}converge.py",),
    "ccci_upgrade/model/lease.py": (f"{_UNIT}lease.py",),
    "ccci_upgrade/model/openrun.py": (f"{_UNIT}openrun.py",),
    "ccci_upgrade/model/protection.py": (f"{_UNIT}goingback.py",),
    "ccci_upgrade/flows/gates.py": (f"{_UNIT}gates.py",),
}
"""Each module and the tests that hold its rules."""

EQUIVALENT: dict[str, str] = {}
"""Inversions that change nothing anybody could see, each with its reason; the key is module and new text."""

SWAPPED = ("Severity", "State", "LeaseState", "Outcome", "Exit", "Side", "Weight")
"""Names whose members are exchanged for another of the same kind."""

OTHERS = {
    "Severity": ("BLOCK", "ACK", "WARN", "INFO"),
    "State": ("CONVERGED", "UNHEALTHY"),
    "LeaseState": ("FREE", "HELD"),
    "Outcome": ("FAILED", "UPGRADED"),
    "Exit": ("OK", "FAILED"),
    "Side": ("LOCK", "RUNNING"),
    "Weight": ("DRIFT", "INFO"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Inversion:
    """One change of one module: the text `old` from `start` to `end` (offsets) becomes `new`."""

    module: str
    line: int
    start: int
    end: int
    old: str
    new: str

    @property
    def key(self) -> str:
        """How `EQUIVALENT` names it: no line numbers, which move."""
        return f"{self.module}: {' '.join(self.old.split())} → {' '.join(self.new.split())}"

    @property
    def said(self) -> str:
        """Where and what, on one line."""
        return f"{self.module}:{self.line}: {' '.join(self.old.split())} → {' '.join(self.new.split())}"


def inversions(module: str) -> list[Inversion]:
    """Everything in a module that can be turned round."""
    text = (ROOT / module).read_text(encoding="utf-8")
    tree = ast.parse(text)
    offsets = [0]
    for line in text.encode().splitlines(keepends=True):
        offsets.append(offsets[-1] + len(line))
    found: dict[tuple[int, int, str], Inversion] = {}
    for node in ast.walk(tree):
        for at, new in _turned(node, text):
            start = offsets[at.lineno - 1] + at.col_offset
            end = offsets[(at.end_lineno or at.lineno) - 1] + (at.end_col_offset or 0)
            old = text.encode()[start:end].decode()
            made = Inversion(module=module, line=at.lineno, start=start, end=end, old=old, new=new)
            found[start, end, new] = made
    return sorted(found.values(), key=lambda each: (each.start, each.end))


def _turned(node: ast.AST, text: str) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """What one node may become."""
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield node.test, _negated(node.test, text)
        if isinstance(node, ast.If):
            for each in (*node.body, *node.orelse):
                if isinstance(each, ast.Return | ast.Continue | ast.Raise):
                    yield each, "pass"
    elif isinstance(node, ast.comprehension):
        yield from ((each, _negated(each, text)) for each in node.ifs)
    elif isinstance(node, ast.Compare):
        yield node, _negated(node, text)
    elif isinstance(node, ast.BoolOp):
        words = (" or ", " and ") if isinstance(node.op, ast.And) else (" and ", " or ")
        parts = [f"({_source(each, text)})" for each in node.values]
        yield node, f"({words[0].join(parts)})"
        yield from ((each, _negated(each, text)) for each in node.values)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield | ast.YieldFrom):
        yield node, "yield from ()"
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in SWAPPED:
        kind = node.value.id
        others = OTHERS[kind]
        at = others.index(node.attr) + 1 if node.attr in others else 0
        yield node, f"{kind}.{others[at % len(others)]}"


def _source(node: ast.expr, text: str) -> str:
    return ast.get_source_segment(text, node) or ast.unparse(node)


def _negated(node: ast.expr, text: str) -> str:
    return f"(not ({_source(node, text)}))"


class Trees:
    """Copies of the tree, one for each inversion that runs at the same time."""

    def __init__(self, folder: Path) -> None:
        """Make them."""
        self._free: SimpleQueue[Path] = SimpleQueue()
        self._time = int(time.time())
        for number in range(PARALLEL):
            copy = folder / str(number)
            copy.mkdir()
            for name in ("ccci_upgrade", "tests", "scripts", "docs"):
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", copy)
            self._free.put(copy)

    def noticed(self, inversion: Inversion) -> bool:
        """Whether a test fails where this is inverted."""
        tree = self._free.get()
        path = tree / inversion.module
        before = path.read_bytes()
        try:
            data = before[: inversion.start] + inversion.new.encode() + before[inversion.end :]
            self._write(path, data)
            compile(data, str(path), "exec")
            return _run(tree, TARGETS[inversion.module]) != 0
        finally:
            self._write(path, before)
            self._free.put(tree)

    def _write(self, path: Path, data: bytes) -> None:
        """Each text has a time of its own: by that compiled files are told apart."""
        path.write_bytes(data)
        self._time += 1
        os.utime(path, (self._time, self._time))


def _run(tree: Path, tests: tuple[str, ...]) -> int:
    """The tests' exit code, in a process that has the heavy things loaded already; they are not told to shrink."""
    child = os.fork()
    if child:
        deadline = time.monotonic() + SECONDS
        while (done := os.waitpid(child, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child, 9)
                os.waitpid(child, 0)
                return -1
            time.sleep(0.02)
        return os.waitstatus_to_exitcode(done[1])
    code = 70
    try:
        os.chdir(tree)
        nothing = os.open(os.devnull, os.O_WRONLY)
        for handle in (1, 2):
            os.dup2(nothing, handle)
        sys.path.insert(0, str(tree))
        import pytest  # noqa: PLC0415 - loaded before the fork

        code = int(
            pytest.main(
                ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", _REWRITE, *tests], [_Quick()]
            )
        )
    finally:
        os._exit(code)


class _Quick:
    """Hypothesis with a fixed course and without shrinking: only whether a test fails is asked."""

    @staticmethod
    def pytest_collection_finish() -> None:
        """After every conftest has set its own."""
        from hypothesis import Phase, settings  # noqa: PLC0415 - loaded before the fork

        settings.register_profile(
            "inverted",
            deadline=None,
            database=None,
            derandomize=True,
            max_examples=60,
            phases=(Phase.explicit, Phase.generate),
        )
        settings.load_profile("inverted")


def main(words: list[str]) -> int:
    """Invert, count, and name what survived."""
    import hypothesis  # noqa: F401, PLC0415 - loaded before the fork
    import pytest  # noqa: F401, PLC0415 - same

    modules = [name for name in TARGETS if not words or any(word in name for word in words)]
    every = [each for module in modules for each in inversions(module)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="invert-") as folder, ThreadPoolExecutor(PARALLEL) as pool:
        trees = Trees(Path(folder))
        for module in modules:
            if _run(Path(folder) / "0", TARGETS[module]) != 0:
                sys.stderr.write(f"the tests of {module} fail as it is\n")
                return 2
        alive = []
        for each, seen in zip(every, pool.map(trees.noticed, every), strict=True):
            if not seen:
                alive.append(each)
                said = "equivalent" if each.key in EQUIVALENT else "survived"
                sys.stdout.write(f"{said}  {each.said}\n")
                sys.stdout.flush()
    survivors = [each for each in alive if each.key not in EQUIVALENT]
    unused = EQUIVALENT.keys() - {each.key for each in alive} if not words else set()
    for key in sorted(unused):
        sys.stdout.write(f"in EQUIVALENT, and noticed or gone: {key}\n")
    sys.stdout.write(
        f"{len(every)} inversions, {len(every) - len(alive)} noticed, {len(alive) - len(survivors)} equivalent,"
        f" {len(survivors)} survived, in {time.monotonic() - began:.0f} s\n"
    )
    return 1 if survivors or unused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
