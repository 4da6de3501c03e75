"""Runs a unit of the module as NixOS would: its script, its environment, and no other programs than it was given."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.nix import nixlab

COREUTILS = (
    "cat",
    "cut",
    "df",
    "env",
    "head",
    "ls",
    "mkdir",
    "mktemp",
    "mv",
    "rm",
    "sleep",
    "sort",
    "tr",
    "uniq",
    "wc",
)
ALWAYS = (*COREUTILS, "find", "xargs", "grep", "egrep", "sed")
"""What every unit of NixOS has: coreutils (as far as scripts may use them here), findutils, gnugrep, gnused."""

PROGRAMS: dict[str, tuple[str, ...]] = {"docker": ("docker",), "jq": ("jq",)}
"""The programs of each package that a unit's `path` may name."""

_SYSTEM = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """A unit's script as a file, and its whole environment."""

    script: Path
    env: dict[str, str]

    def argv(self, **more: str) -> list[str]:
        """The command that runs it with nothing else in its environment; `more` is added or replaces."""
        said = [f"{key}={value}" for key, value in (self.env | more).items()]
        return ["env", "-i", *said, str(self.script)]


def unit(name: str, folder: Path, modules: str = "") -> Unit:
    """Make a unit of a host, as the module describes it, runnable on this machine."""
    wanted = f"""let unit = config.systemd.services.{name};
      in {{ inherit (unit) script environment; path = map (each: each.name) unit.path; }}"""
    answer = nixlab.ask(nixlab.host(f"{{ ccci.host.enable = true; }} {modules}", wanted), folder)
    assert not answer.error, answer.error
    assert isinstance(answer.value, dict)
    found: Mapping[str, object] = answer.value
    packages, environment = found["path"], found["environment"]
    assert isinstance(packages, list)
    assert isinstance(environment, dict)
    home = folder / name
    programs = _programs(home / "bin", [each for package in packages for each in PROGRAMS[str(package)]])
    script = home / "start"
    # NixOS' own first lines; the file's are comments then.
    script.write_text(f"#!{shutil.which('bash')}\nset -e\n{found['script']}", encoding="utf-8")
    script.chmod(0o755)
    return Unit(
        script=script, env={key: str(value) for key, value in environment.items()} | {"PATH": str(programs)}
    )


def _programs(folder: Path, names: Sequence[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*ALWAYS, *names):
        where = shutil.which(name, path=_SYSTEM)
        assert where is not None, f"{name} is missing on this machine"
        (folder / name).symlink_to(where)
    return folder


def lines(text: str) -> list[str]:
    """What a script said, without its own name."""
    return [line.partition(": ")[2] for line in text.splitlines()]


def compact(value: object) -> str:
    """Write JSON as an environment has it."""
    return json.dumps(value)
