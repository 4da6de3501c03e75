"""Evaluates nix/*.nix for tests: `nix-instantiate` without a store or a network, one process for each question.

The module runs on a small `lib` of our own and on stubs of NixOS' options. `CCCI_NIXPKGS_LIB` names the `lib` folder
of a nixpkgs to run the same tests on instead.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
LIB = os.environ.get("CCCI_NIXPKGS_LIB") or str(HERE / "minilib.nix")
IN_CI = os.environ.get("CI") == "true"

_CONFIG = (
    "build-users-group =\nsandbox = false\nsubstitute = false\nexperimental-features = nix-command flakes\n"
)
_SECONDS = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What Nix said: its value, or why there is none."""

    value: object
    error: str


def missing() -> list[str]:
    """What this machine lacks to evaluate Nix."""
    return [] if shutil.which("nix-instantiate") else ["nix-instantiate (Debian: nix-bin)"]


def environment(folder: Path) -> dict[str, str]:
    """Nix' own environment: no settings of a person, no cache of one."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NIX_")}
    return kept | {"NIX_CONFIG": _CONFIG, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}


def ask(expression: str, folder: Path) -> Answer:
    """Evaluate an expression in full; `lib` and `root` are at hand in it."""
    text = f"let lib = import {LIB}; root = {ROOT}; in {expression}"
    done = subprocess.run(
        ["nix-instantiate", "--store", "dummy://", "--eval", "--strict", "--json", "-E", text],  # noqa: S607
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if done.returncode != 0:
        return Answer(value=None, error=done.stderr)
    return Answer(value=json.loads(done.stdout), error="")


def host(modules: str, wanted: str) -> str:
    """Give the expression for what `wanted` says of a host: `modules` are list items, `host` is at hand."""
    evaluated = f"import {HERE}/evaluate.nix {{ inherit lib root; modules = [ {modules} ]; }}"
    return f"let host = {evaluated}; inherit (host) config package; in {wanted}"
