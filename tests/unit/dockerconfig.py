"""Docker's own reading of compose files, to compare ours with. `docker stack config` needs no Engine."""

import functools
import os
from pathlib import Path

import pytest

from ccci_upgrade.process import Completed, run


@functools.cache
def available() -> bool:
    """Whether this machine's docker CLI has `stack config` (version 25 and later)."""
    asked = run(["docker", "stack", "config", "--help"], seconds=20)
    return asked.code == 0 and b"final config file" in asked.out


needs_docker = pytest.mark.skipif(
    not available(), reason="this docker CLI has no `stack config` (25 and later has)"
)


def stack_config(folder: Path, texts: list[str], env: dict[str, str]) -> Completed:
    """Have Docker interpolate and merge compose files, with exactly `env` to fill in."""
    argv = [
        "env",
        "-i",
        f"PATH={os.environ['PATH']}",
        *(f"{k}={v}" for k, v in env.items()),
        "docker",
        "stack",
        "config",
    ]
    for index, text in enumerate(texts):
        file = folder / f"compose.{index}.yml"
        file.write_text(text, encoding="utf-8")
        argv += ["-c", str(file)]
    return run(argv, seconds=30)
