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
    "backoutcome", "converge", "drift", "files", "findings", "gates", "goingback", "journal", "judge", "keptsecrets",
    "lease", "lockfile", "locksight", "lockstatus", "lockstore", "look", "openrun", "plan", "run", "saved_plan",
    "shapes", "snapshots", "snapshotscope", "swarmconfig", "tardigest", "tarwalk", "verdict", "volumes",
)  # fmt: skip
PARTS = (
    (*(f"tests/unit/test_{name}.py" for name in _PURE), "tests/models"),
    ("tests/practice/test_wayback.py",),
    ("tests/practice/test_lease.py", "tests/practice/test_quiesce.py"),
    ("tests/practice/test_openruns.py",),
    ("tests/practice/test_rollback.py",),
    ("tests/practice/test_deadways.py",),
)
"""Run at the same time: what asks a practice engine mostly waits."""
_COVERAGE = (sys.executable, "-m", "coverage")


def main() -> int:
    """Measure and report; the exit code is the report's, or that of the tests.

    Which branch a race takes is not the same each time: what one go missed, a second one may take.
    """
    with tempfile.TemporaryDirectory(prefix="covered-") as folder:
        # Few races: how often they are run is no matter of branches.
        data = Path(folder) / "data"
        env = os.environ | {"COVERAGE_FILE": str(data), "CCCI_UPGRADE_RACES": "6"}
        code = _measured(env) or _combined(env)
        if code != 0:
            sys.stdout.write("once more, on top of that:\n")
            code = _measured(env) or _combined(env)
        return code or _unmeasured(data)


def _measured(env: dict[str, str]) -> int:
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not swarm and not real")
    parts = [
        subprocess.Popen((*_COVERAGE, "run", "-m", "pytest", *quiet, *part), cwd=ROOT, env=env)
        for part in PARTS
    ]
    return next((code for code in [part.wait() for part in parts] if code != 0), 0)


def _combined(env: dict[str, str]) -> int:
    for words in (("combine", "-q", "--append"), ("report",)):
        done = subprocess.run((*_COVERAGE, *words), cwd=ROOT, env=env, check=False)
        if done.returncode != 0:
            return done.returncode
    return 0


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
