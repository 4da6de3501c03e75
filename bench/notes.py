"""Reading many release notes, against one `git show` each."""

import subprocess
import tempfile
from pathlib import Path

from bench.measure import Effort, Row, paired, ratio_row
from ccci_upgrade.tools.recipes import read_notes, read_recipe
from tests.gitrepo import ENV, GitRepo

VERSIONS = 50
BAR = 0.1
_RUNS = 11


def measure(effort: Effort) -> list[Row]:
    """The notes of 50 versions, all found, by both ways."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        versions = [f"1.{number}.0+2.{number}.0" for number in range(VERSIONS)]
        GitRepo(folder / "recipes" / "keycloak").import_releases(versions)
        recipe = read_recipe("keycloak", folder, folder / "cache", offline=True)

        def ours() -> None:
            found = read_notes(recipe, versions)
            if [note.text for note in found.values()] != [f"note of {v}\n" for v in versions]:
                raise RuntimeError(f"not all notes were read: {list(found.values())[:2]}")

        def peer() -> None:
            for version in versions:
                _show(recipe.path, version)

        ours()
        pairs = paired(effort.runs(_RUNS), ours, peer)
    method = (
        f"{VERSIONS} notes of one repository, each read and hashed by us; the peer is "
        f"{VERSIONS} times `git show TAG:release/TAG`"
    )
    return [ratio_row(f"notes of {VERSIONS} versions", pairs, bar=BAR, method=method)]


def _show(path: Path, version: str) -> None:
    done = subprocess.run(
        ("git", "show", f"{version}:release/{version}"),  # noqa: S607 - git from PATH
        cwd=path,
        env=ENV,
        capture_output=True,
        check=True,
    )
    if not done.stdout.startswith(b"note of "):
        raise RuntimeError(done.stdout)
