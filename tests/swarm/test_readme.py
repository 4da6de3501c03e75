"""What README and guides show is what happens, on a real Swarm; `UPDATE_DOCS=1` writes it anew."""

import os
import re
import socket
import sys
from itertools import groupby
from pathlib import Path

import pytest

from tests.consoles import ROOT, SHOWN, Step, steps, with_output
from tests.swarm.host import SERVER, Host

ORDER = (
    ROOT / "docs" / "guides" / "runbooks-and-ci.md",
    ROOT / "README.md",
    ROOT / "docs" / "guides" / "first-upgrade.md",
    ROOT / "docs" / "guides" / "held-upgrade.md",
    ROOT / "docs" / "guides" / "snapshots.md",
    ROOT / "docs" / "guides" / "undo.md",
    ROOT / "docs" / "guides" / "when-it-died.md",
    ROOT / "docs" / "guides" / "lock.md",
)
"""One server for all: the first changes nothing, three apps are upgraded, one is copied, and goes back."""

ELSEWHERE = (ROOT / "docs" / "guides" / "from-a-laptop.md", ROOT / "docs" / "guides" / "second-copies.md")
"""Played over ssh, in test_far.py; what needs a bot of one's own is tried in test_secondcopy.py."""

UPDATE = os.environ.get("UPDATE_DOCS") == "1"

_MOVES: tuple[tuple[str, str], ...] = (
    (r"(?m)^(?:  [a-z:-]+ \d+\.\d s)+$", "  phases"),
    (r"\b\d+\.\d+ s\b", "0.0 s"),
    (r"\(id: \w+\)", "(id: …)"),
    (r"\b\d{8}T\d{6}-[0-9a-f]{4}\b", "20261123T120000-0000"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "2026-11-23 12:00:00"),
)
"""What differs from run to run, and what it is compared as."""


@pytest.mark.timeout(900)
def test_the_documents_show_what_happens(host: Host) -> None:
    """Each command ends as shown (with 0, or with the code that `echo $?` shows) and prints what is shown."""
    _like_a_server(host)
    host.deploy()
    for document in ORDER:
        text = document.read_text(encoding="utf-8")
        shown = [step for step in steps(text) if step.on_a_server]
        seen = _play(host, shown)
        if UPDATE:
            outputs = iter(seen)
            every = [next(outputs) if step.on_a_server else step.output for step in steps(text)]
            document.write_text(with_output(text, every), encoding="utf-8")
            continue
        for step, output in zip(shown, seen, strict=True):
            if step.output:
                assert _comparable(step.output) == _comparable(output), f"{document.name}: $ {step.command}"


def test_a_plain_server_needs_no_configuration(host: Host, tmp_path: Path) -> None:
    """`default` is this machine's Engine; apps are found in `ABRA_DIR`; nothing else is said."""
    (host.abra_dir / "servers" / SERVER).rename(host.abra_dir / "servers" / "default")
    empty = tmp_path / "empty"
    empty.mkdir()
    env = {
        "ABRA_DIR": str(host.abra_dir),
        "DOCKER_HOST": host.engine.url,
        "DOCKER_CONFIG": str(empty),
        "CCCI_UPGRADE_STATE": str(tmp_path / "state"),
        "HOME": str(empty),
    }

    ran = host.engine.run([sys.executable, "-m", "ccci_upgrade", "status", "--json"], env=env, cwd=empty)

    assert ran.code == 0, ran.err
    assert '"traefik.ci.example.org"' in ran.out


def test_every_guide_is_tried() -> None:
    """A guide that nobody plays is not shown as one."""
    assert set(SHOWN) == {*ORDER, *ELSEWHERE}


def _like_a_server(host: Host) -> None:
    """Give the server what a real one has: recipes with an origin, and the program on the PATH."""
    for recipe in sorted((host.abra_dir / "recipes").iterdir()):
        repository = host.recipe(recipe.name)
        origin = host.folder / "origins" / recipe.name
        repository.git("clone", "--quiet", "--bare", str(recipe), str(origin))
        repository.git("remote", "add", "origin", str(origin))
    program = host.abra_path.parent / "ccci-upgrade"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m ccci_upgrade "$@"\n')
    program.chmod(0o755)


def _play(host: Host, shown: list[Step]) -> list[tuple[str, ...]]:
    """Run commands in a shell, in the server's folder; gives what each printed, streams together."""
    env = {"PATH": f"{host.abra_path.parent}:{os.environ['PATH']}", "COLUMNS": "110"}
    outputs: list[tuple[str, ...]] = []
    code = 0
    for at, step in enumerate(shown):
        if step.command == "echo $?":
            outputs.append((str(code),))
            assert UPDATE or step.output == outputs[-1]
            continue
        ran = host.engine.run(["sh", "-c", f"{step.command} 2>&1"], env=env, cwd=host.folder)
        code = ran.code
        told = at + 1 < len(shown) and shown[at + 1].command == "echo $?"
        assert code == 0 or told, f"$ {step.command}\n{ran.out}"
        outputs.append(_shown(host, ran.out))
    return outputs


def _shown(host: Host, out: str) -> tuple[str, ...]:
    """Drop what tells of this machine, white space at the end, and what is waited for: that is never the same."""
    out = out.replace(str(host.folder), "/srv").replace(f" on {socket.gethostname()}", " on ci")
    lines = (line.rstrip() for line in out.strip("\n").splitlines())
    return tuple(line for line in lines if not re.match(r"\s*(waiting for|volume \S+: .* left$)", line))


def _comparable(lines: tuple[str, ...]) -> list[str]:
    text = "\n".join(lines)
    for pattern, same in _MOVES:
        text = re.sub(pattern, same, text)
    squeezed = [re.sub(r" {2,}", "  ", line) for line in text.splitlines()]
    # Docker's client goes over the services of a stack in no order.
    return [
        line
        for services, block in groupby(squeezed, lambda line: "Updating service " in line)
        for line in (sorted(block) if services else block)
    ]
