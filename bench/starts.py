"""What a start costs, against an empty start of the same interpreter."""

import sys
import tempfile
from pathlib import Path

from bench.measure import Effort, Row, paired, program, ratio_row
from tests.cli.scene import SERVER, Scene, standing

BARS = {"--version": 6.0, "--help": 10.0, "status --json": 15.0}
_CONSOLE = str(Path(sys.executable).parent / "ccci-upgrade")
_RUNS = 25


def measure(effort: Effort) -> list[Row]:
    """`--version`, `--help` and `status --json`, as the console script and as `python -m`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name, standing(Path(name)) as scene:
        _third_app(scene)
        return [
            _row(scene, words, bar, runner, effort)
            for words, bar in BARS.items()
            for runner in ((_CONSOLE,), (sys.executable, "-m", "ccci_upgrade"))
        ]


def _row(scene: Scene, words: str, bar: float, runner: tuple[str, ...], effort: Effort) -> Row:
    env = scene.environment()
    options = ("--config", str(scene.config)) if words.startswith("status") else ()
    ours = program((*runner, *options, *words.split()), env=env, cwd=scene.folder)
    empty = program((sys.executable, "-c", "pass"), env=env, cwd=scene.folder)
    ours()  # compiled files and the disk's cache are warm for both
    empty()
    how = "console script" if runner[0] == _CONSOLE else "python -m"
    what = ", three apps on a local Engine that costs next to nothing" if options else ""
    return ratio_row(
        f"{words} ({how})",
        paired(effort.runs(_RUNS), ours, empty),
        bar=bar,
        method=f"wall time{what}; the peer is `python -c pass` of the same interpreter and environment",
    )


def _third_app(scene: Scene) -> None:
    scene.repos["drone"] = scene.recipe("drone", b"Nothing to do.\n")
    scene.env("drone", f"TYPE=drone:1.0.0+1.0.0\nDOMAIN=drone.{SERVER}\n")
    scene.engine.put(scene.stack("drone"), "drone:1.0.0", "1.0.0+1.0.0")
