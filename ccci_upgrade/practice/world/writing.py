"""Fill the folder of a practice host: recipes, `.env` files, abra, registry, configuration."""

import json
import shlex
import shutil
import socket
import sys
import tempfile
from pathlib import Path

from ccci_upgrade.practice.world import repositories
from ccci_upgrade.practice.world.place import PAGES, RECIPES, SERVER, Mark, Place, app
from ccci_upgrade.practice.world.recipes import PRACTICE, images, practice_env
from ccci_upgrade.practice.world.source import Source

LONGEST_SOCKET = 100
"""Bytes of a Unix socket's path that every system takes: Linux has 107, macOS 103."""

PULL_SECONDS = 0.3
_PACKAGE = Path(__file__).parents[3]
"""Where `ccci_upgrade` is imported from."""

_BUDGET = "40s"
_SETTLE = "2s"


def new_mark(place: Place) -> Mark:
    """Choose port and socket. Where the folder lies too deep for a socket, a short way to it is made."""
    direct = place.root / "engine.sock"
    if len(str(direct).encode()) <= LONGEST_SOCKET:
        return Mark(port=free_port(), socket=str(direct))
    private = Path(tempfile.mkdtemp(prefix="ccci-"))
    (private / "h").symlink_to(place.root, target_is_directory=True)
    return Mark(port=free_port(), socket=str(private / "h" / "engine.sock"), private=str(private))


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fill(place: Place, mark: Mark) -> None:
    """Write everything but the mark, which is there already."""
    for source in PRACTICE:
        repositories.build(source, place.origin(source.name), bare=True)
        repositories.clone(place.origin(source.name), place.checkout(source.name))
    for recipe, text in practice_env(mark.port).items():
        place.env(recipe).parent.mkdir(parents=True, exist_ok=True)
        place.env(recipe).write_text(text, encoding="utf-8")
    place.abra.parent.mkdir()
    place.abra.write_text(_wrapper(place, mark), encoding="utf-8")
    place.abra.chmod(0o755)
    write_registry(place)
    place.config.write_text(_config(place, mark), encoding="utf-8")


def write_registry(place: Place, *, without: str = "") -> None:
    """Say what images there are: the installed versions' are here, all others are pulled."""
    local = {image for source in PRACTICE for image in _installed(source)}
    listed = {ref: {"local": ref in local, "seconds": PULL_SECONDS} for ref in images() if ref != without}
    fresh = place.registry.with_suffix(".new")
    fresh.write_text(json.dumps({"images": listed}, indent=1), encoding="utf-8")
    fresh.replace(place.registry)  # the engine may read it at any time


def sweep(private: str) -> None:
    """Remove the short way to a deep folder; what it leads to stays."""
    if private:
        shutil.rmtree(private, ignore_errors=True)


def _wrapper(place: Place, mark: Mark) -> str:
    """The stand-in as a program of its own, on this host's Engine and directory."""
    own = shlex.quote(str(place.abra_dir))
    return (
        f"#!/bin/sh\nDOCKER_HOST={shlex.quote(f'unix://{mark.socket}')}\nABRA_DIR=${{ABRA_DIR:-{own}}}\n"
        f"PYTHONPATH={shlex.quote(str(_PACKAGE))}${{PYTHONPATH:+:$PYTHONPATH}}\n"
        "export DOCKER_HOST ABRA_DIR PYTHONPATH\n"
        f'exec {shlex.quote(sys.executable)} -m ccci_upgrade.practice.abra "$@"\n'
    )


def _installed(source: Source) -> tuple[str, ...]:
    """The images of the version that the `.env` pins."""
    pinned = f"TYPE={source.name}:"
    line = next(line for line in practice_env(0)[source.name].splitlines() if line.startswith(pinned))
    upto = line.removeprefix(pinned)
    passed: list[str] = []
    for version, _ in source.releases():
        passed.append(version)
        if version == upto:
            break
    steps = tuple(step for step in source.steps if step.version in passed)
    return Source(name=source.name, first=source.first, files=source.files, steps=steps).images()


def _config(place: Place, mark: Mark) -> str:
    """Paths in full only where the folder is not the base."""
    apps = "".join(_app_table(recipe, mark.port) for recipe in RECIPES)
    return (
        "# A practice host, made by `ccci-upgrade practice`: every command works in this folder.\n"
        f'abra = {_quoted(str(place.abra))}\nabra_dir = "abra"\nstate_dir = "state"\ncache_dir = "cache"\n'
        f'server = "{SERVER}"\n\n[servers."{SERVER}"]\n'
        f"docker_host = {_quoted(f'unix://{mark.socket}')}\n{apps}"
    )


def _app_table(recipe: str, port: int) -> str:
    """All is asked through traefik, as a visitor would."""
    return (
        f'\n[apps."{app(recipe)}"]\naddress = "127.0.0.1"\nbudget = "{_BUDGET}"\nsettle = "{_SETTLE}"\n'
        f'\n[[apps."{app(recipe)}".probes]]\nname = "page"\n'
        f'url = "http://{{domain}}:{port}{PAGES[recipe]}"\nstatus = [200]\n'
    )


def _quoted(text: str) -> str:
    """A string of JSON is one of TOML, but for pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False)
