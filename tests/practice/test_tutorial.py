"""The tutorial by the letter, on a practice host as it makes one; `UPDATE_DOCS=1` writes its output anew."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tests.consoles import ROOT, Step, steps, with_output
from tests.practice.test_command import engines, environment

TUTORIAL = ROOT / "docs" / "tutorial.md"
UPDATE = os.environ.get("UPDATE_DOCS") == "1"

_MOVES = (
    (r"(?m)^(?:  [a-z:-]+ \d+\.\d s)+$", "  phases"),
    (r"\b\d+\.\d+ s\b", "0.0 s"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-23 12:00:00"),
    (r"\d{8}T\d{6}-([a-z-]+)-[0-9a-f]{4}\b", r"20261123T120000-\1-0000"),
    (r"\b\d{8}T\d{6}-[0-9a-f]{4}\b", "20261123T120000-0000"),
    (r"\b(?=[a-z]*\d)[a-z0-9]{12,25}\b", "abcdef012345"),
    (r" {2,}", "  "),
)
"""What differs from run to run, and what it is compared as."""


def test_the_tutorial_shows_what_happens(tmp_path: Path) -> None:
    """Each command ends as shown (with 0, or the code that `echo $?` shows) and prints what is shown."""
    text = TUTORIAL.read_text(encoding="utf-8")
    shown = steps(text)
    seen = _play(tmp_path, shown)

    if UPDATE:
        TUTORIAL.write_text(with_output(text, seen), encoding="utf-8")
    else:
        for step, output in zip(shown, seen, strict=True):
            if step.output:
                assert _comparable(step.output) == _comparable(output), f"$ {step.command}"
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]
    assert engines(tmp_path) == []


def _play(folder: Path, shown: list[Step]) -> list[tuple[str, ...]]:
    """Type all commands into one shell's place, one after another; gives what each printed, streams together."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "ccci-upgrade"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m ccci_upgrade "$@"\n')
    program.chmod(0o755)
    env = environment()
    env["PATH"] = f"{program.parent}:{env['PATH']}"
    outputs: list[tuple[str, ...]] = []
    here, code = folder, 0
    try:
        for at, step in enumerate(shown):
            if step.command == "echo $?":
                outputs.append((str(code),))
                assert UPDATE or step.output == outputs[-1]
                continue
            if step.command.startswith("cd "):
                here /= step.command.removeprefix("cd ")
                outputs.append(())
                continue
            ran = _run(step.command, here, env)
            code = ran.returncode
            told = at + 1 < len(shown) and shown[at + 1].command == "echo $?"
            assert code == 0 or told, f"$ {step.command}\n{ran.stdout}"
            outputs.append(_shown(folder, ran.stdout))
    finally:
        if (folder / "ccci-practice").exists():
            _run("ccci-upgrade practice stop --folder ccci-practice", folder, env)
            shutil.rmtree(folder / "ccci-practice", ignore_errors=True)
    return outputs


def _run(command: str, folder: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["sh", "-c", f"{command} 2>&1"],  # noqa: S607 - sh from PATH
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _shown(folder: Path, out: str) -> tuple[str, ...]:
    """Drop what tells of this machine, and what is waited for: that is never the same."""
    out = out.replace(str(folder), "/srv")
    out = out.replace(f"{getpass.getuser()} on {socket.gethostname()}", "root on ci")
    lines = (line.rstrip() for line in out.strip("\n").splitlines())
    return tuple(line for line in lines if not re.match(r"\s*(waiting for|volume \S+: .* left$)", line))


def _comparable(lines: tuple[str, ...]) -> list[str]:
    text = "\n".join(lines)
    for pattern, same in _MOVES:
        text = re.sub(pattern, same, text)
    return text.splitlines()
