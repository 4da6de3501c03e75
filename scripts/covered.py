"""See that every branch of the modules that decide is tested: `python -m scripts.covered`.

Which modules is said in pyproject.toml (`tool.coverage.run`). Only tests that run in this process and need no
Engine of their own are measured, in about a minute; a flow that only a real Swarm tries counts as not tried.
Exit 1 with the lines and branches that no test takes.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import coverage

ROOT = Path(__file__).parents[1]
_PURE = (
    "backoutcome", "converge", "files", "findings", "gates", "goingback", "journal", "judge", "keptsecrets", "lease",
    "look", "openrun", "plan", "run", "saved_plan", "snapshots", "snapshotscope", "swarmconfig", "tardigest", "tarwalk",
    "verdict", "volumes",
)  # fmt: skip
PARTS = (
    (*(f"tests/unit/test_{name}.py" for name in _PURE), "tests/models"),
    ("tests/practice/test_wayback.py",),
    ("tests/practice/test_lease.py", "tests/practice/test_quiesce.py"),
)
"""Run at the same time: what asks a practice engine mostly waits."""


def main() -> int:
    """Measure and report; the exit code is the report's, or that of the tests."""
    with tempfile.TemporaryDirectory(prefix="covered-") as folder:
        # Few races: how often they are run is no matter of branches.
        env = os.environ | {"COVERAGE_FILE": str(Path(folder) / "data"), "CCCI_UPGRADE_RACES": "6"}
        quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not swarm and not real")
        measured = (sys.executable, "-m", "coverage")
        parts = [
            subprocess.Popen((*measured, "run", "-m", "pytest", *quiet, *part), cwd=ROOT, env=env)
            for part in PARTS
        ]
        failed = [code for code in [part.wait() for part in parts] if code != 0]
        if failed:
            return failed[0]
        for words in (("combine", "-q"), ("report",)):
            done = subprocess.run((*measured, *words), cwd=ROOT, env=env, check=False)
            if done.returncode != 0:
                return done.returncode
        return _unmeasured(Path(folder) / "data")


def _unmeasured(file: Path) -> int:
    """A module that no test imports is in no report: name it."""
    data = coverage.CoverageData(str(file))
    data.read()
    seen = {Path(each) for each in data.measured_files()}
    chosen = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["run"]["include"]
    missing = [each for each in chosen if not any(path.match(each) for path in seen)]
    sys.stdout.write("".join(f"measured nowhere: {each}\n" for each in missing))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
