"""What a start costs, against an empty start of the same interpreter."""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.measure import Effort, Row, paired, program, ratio_row
from bench.practice import DEPLOYED, practice_engine
from tests.cli.scene import Scene, standing
from tests.gitrepo import GitRepo

BARS = {"--version": 6.0, "--help": 10.0, "status --json": 15.0}
_CONSOLE = str(Path(sys.executable).parent / "ccci-upgrade")
_RUNS = 25


def measure(effort: Effort) -> list[Row]:
    """`--version`, `--help` and `status --json`, as the console script and as `python -m`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, standing(Path(name)) as scene:
        scene.repos["drone"] = scene.recipe("drone", b"Nothing to do.\n")
        scene.env("drone", f"TYPE=drone:{DEPLOYED}\nDOMAIN={scene.app('drone')}\n")
        with practice_engine(
            scene.folder / "engine", [scene.app(recipe) for recipe in scene.repos]
        ) as socket:
            scene.config.write_text(scene.config.read_text().replace(str(scene.engine.socket), str(socket)))
            return _rows(scene, effort)


def _rows(scene: Scene, effort: Effort) -> list[Row]:
    rows = [
        _row(scene, words, bar, runner, effort)
        for words, bar in BARS.items()
        for runner in ((_CONSOLE,), (sys.executable, "-m", "ccci_upgrade"))
    ]
    return [*rows, _with_upstreams(scene, effort)]


def _with_upstreams(scene: Scene, effort: Effort) -> Row:
    """The same `status` where each recipe has an upstream that is asked what is newer."""
    for name, repo in scene.repos.items():
        upstream = scene.folder / "upstream" / name
        GitRepo.clone(repo.path, upstream, "--bare")
        repo.git("remote", "add", "origin", str(upstream))
    row = _row(scene, "status --json", None, (_CONSOLE,), effort)
    return replace(
        row,
        measure="status --json, upstreams asked",
        method="as above, but each recipe is refreshed by `git fetch` from a repository on the same disk",
    )


def _row(scene: Scene, words: str, bar: float | None, runner: tuple[str, ...], effort: Effort) -> Row:
    env = scene.environment()
    options = ("--config", str(scene.config)) if words.startswith("status") else ()
    ours = program((*runner, *options, *words.split()), env=env, cwd=scene.folder)
    empty = program((sys.executable, "-c", "pass"), env=env, cwd=scene.folder)
    ours()  # compiled files and the disk's cache are warm for both
    empty()
    how = "console script" if runner[0] == _CONSOLE else "python -m"
    what = ", three apps on a practice Engine, whose recipes have no upstream" if options else ""
    return ratio_row(
        f"{words} ({how})",
        paired(effort.runs(_RUNS), ours, empty),
        bar=bar,
        method=f"wall time{what}; the peer is `python -c pass` of the same interpreter and environment",
    )
