"""systemd units and the scripts they start, as text.

Search path and precedence: systemd.unit(5). On NixOS units and scripts are links into the store; links are
followed below `root` only, so that a copy of another host's files can be read.
"""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.text import decode

FOLDERS = (
    "etc/systemd/system",
    "run/systemd/system",
    "run/systemd/transient",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
"""Where units are, the strongest first."""

MAX_UNITS = 4000
MAX_FILE = 256 * 1024
MAX_SCRIPTS = 24
MAX_DEPTH = 3
_LINKS = 40

_EXEC = re.compile(r"^[ \t]*Exec(?:Start|StartPre|StartPost|Condition|Reload)[ \t]*=(.*)$", re.MULTILINE)
_PATH = re.compile(r"(?<![\w/.-])/(?:[\w.+@%-]+/)+[\w.+@%-]+")
_TRIGGER = re.compile(r"^[ \t]*Unit[ \t]*=[ \t]*(\S+)", re.MULTILINE)
_PULLS = re.compile(
    r"^[ \t]*(?:Wants|Requires|BindsTo|Upholds|OnFailure|OnSuccess)[ \t]*=(.*)$", re.MULTILINE
)
_STARTS = re.compile(r"systemctl\b[^\n;|&]*?\b(?:re)?start\b([^\n;|&]*)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One service. `texts` are (path, text) of the unit and its scripts; `started_by` says what starts it."""

    name: str
    path: str
    texts: tuple[tuple[str, str], ...]
    started_by: tuple[str, ...]


def read_units(root: Path) -> dict[str, Unit]:
    """All services below `root`, with their drop-ins and scripts; unreadable ones are left out."""
    texts: dict[str, tuple[str, str]] = {}
    wanted: dict[str, list[str]] = {}
    for name, path in _unit_files(root):
        folder, _, kind = name.rpartition(".")
        if kind in ("wants", "requires", "upholds"):
            for link in _listed(root, path):
                wanted.setdefault(link, []).append(folder)
        elif name not in texts and kind in ("service", "timer", "path", "socket"):
            texts[name] = (path, _whole(root, path))
    for name, (_, body) in texts.items():
        for started in _starts(name, body):
            wanted.setdefault(started, []).append(name)
    services = {name: found for name, found in texts.items() if name.endswith(".service")}
    all_texts = {name: tuple(_texts(root, *found)) for name, found in services.items()}
    for name, parts in all_texts.items():
        for started in {s for _, body in parts[1:] for s in _by_systemctl(body)}:
            wanted.setdefault(started, []).append(name)
    alive = _reached(wanted, set(services))
    return {
        name: Unit(name=name, path=found[0], texts=all_texts[name], started_by=alive.get(name, ()))
        for name, found in services.items()
    }


def _reached(wanted: dict[str, list[str]], services: set[str]) -> dict[str, tuple[str, ...]]:
    """What starts each unit, leaving out starters that are themselves never started."""
    alive: set[str] = set()
    while True:
        more = {
            unit
            for unit, starters in wanted.items()
            if unit not in alive and any(s in alive or s.endswith(".target") for s in starters)
        }
        if not more:
            break
        alive |= more
    return {
        unit: tuple(s for s in dict.fromkeys(starters) if s in alive or s.endswith(".target"))
        for unit, starters in wanted.items()
        if unit in alive and unit in services
    }


def _starts(name: str, body: str) -> Iterator[str]:
    stem, _, kind = name.rpartition(".")
    if kind == "service":
        for line in _PULLS.findall(body):
            yield from line.split()
    else:
        yield from _TRIGGER.findall(body) or [f"{stem}.service"]


def _by_systemctl(body: str) -> Iterator[str]:
    for words in _STARTS.findall(body):
        for word in words.replace('"', " ").replace("'", " ").split():
            if not word.startswith("-"):
                yield word if "." in word else f"{word}.service"


def _unit_files(root: Path) -> Iterator[tuple[str, str]]:
    count = 0
    for folder in FOLDERS:
        for name in _listed(root, f"/{folder}"):
            count += 1
            if count > MAX_UNITS:
                return
            yield name, f"/{folder}/{name}"


def _whole(root: Path, path: str) -> str:
    """A unit with its drop-ins; "" for a masked one."""
    name = path.rpartition("/")[2]
    drop_ins = (f"/{folder}/{name}.d" for folder in FOLDERS)
    more = (f"{d}/{c}" for d in drop_ins for c in _listed(root, d) if c.endswith(".conf"))
    body = _text(root, path) or ""
    return "\n".join([body, *(_text(root, conf) or "" for conf in more)]) if body else ""


def _texts(root: Path, path: str, body: str) -> Iterator[tuple[str, str]]:
    """The unit, then the scripts its commands name, and the scripts those name."""
    yield path, body
    joined = body.replace("\\\n", " ")
    found = [p for line in _EXEC.findall(joined) for p in _PATH.findall(line)]
    seen: set[str] = set()
    for _ in range(MAX_DEPTH):
        later: list[str] = []
        for script in found:
            if script in seen or len(seen) >= MAX_SCRIPTS:
                continue
            text = _text(root, script, script=True)
            if text is None:
                continue
            seen.add(script)
            yield script, text
            later += _PATH.findall(text)
        found = later


def _listed(root: Path, path: str) -> list[str]:
    try:
        real = _inside(root, path)
        return sorted(entry.name for entry in real.iterdir()) if real is not None else []
    except OSError:
        return []


def _text(root: Path, path: str, *, script: bool = False) -> str | None:
    """The text of a plain, small file that is no binary; a script must look like one."""
    try:
        real = _inside(root, path)
        if real is None or not stat.S_ISREG((status := real.stat()).st_mode) or status.st_size > MAX_FILE:
            return None
        with real.open("rb") as file:
            data = file.read(MAX_FILE)
    except OSError:
        return None
    if b"\0" in data or (script and not data.startswith(b"#!") and real.suffix not in (".py", ".sh")):
        return None
    return decode(data)


def _inside(root: Path, path: str) -> Path | None:
    """Follow links as if `root` were `/`; None for a loop."""
    parts = [part for part in path.split("/") if part]
    done: list[str] = []
    links = 0
    while parts:
        part = parts.pop(0)
        if part in (".", ".."):
            done = done[:-1] if part == ".." else done
            continue
        here = root.joinpath(*done, part)
        if here.is_symlink():
            links += 1
            if links > _LINKS:
                return None
            target = str(here.readlink())
            done = [] if target.startswith("/") else done
            parts = [p for p in target.split("/") if p] + parts
        else:
            done.append(part)
    return root.joinpath(*done)
