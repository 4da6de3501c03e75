"""The folder of a practice host: where everything is in it, and the mark that says it is ours."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ccci_upgrade.errors import UsageError

SERVER = "ci.example.org"
RECIPES = ("traefik", "keycloak", "drone")
PAGES = {"traefik": "/api/version", "keycloak": "/realms/master", "drone": "/healthz"}
"""What each app is asked for, to see whether it answers."""

MARK = ".ccci-practice.json"
FORMAT = 1
OURS = (
    "abra", "bin", "cache", "origins", "state", "volumes", "ccci-upgrade.toml", "engine.log", "engine.sock",
    "registry.json",
    MARK,
)  # fmt: skip
"""Every name at the top of a practice host; all below them is ours too. The mark goes last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A fault that was caused: its name, and what is needed to put things back."""

    name: str
    kept: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What a practice host must remember.

    `port` is traefik's; `socket` where the Engine is reached (short enough for a Unix socket); `private` a folder
    outside that leads there, "" where none was needed; `pid` the Engine's process, 0 before it was started.
    """

    port: int
    socket: str
    private: str = ""
    pid: int = 0
    faults: tuple[Broken, ...] = ()

    def without(self, fault: Broken) -> "Mark":
        """The same, with one fault less."""
        return replace(self, faults=tuple(each for each in self.faults if each != fault))


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """One folder; `root` is absolute."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration, found because the working directory is looked at."""
        return self.root / "ccci-upgrade.toml"

    @property
    def abra_dir(self) -> Path:
        """Abra's directory."""
        return self.root / "abra"

    @property
    def habits(self) -> Path:
        """What the stand-in does wrong, where it does."""
        return self.abra_dir / "practice.json"

    @property
    def abra(self) -> Path:
        """The stand-in."""
        return self.root / "bin" / "abra"

    @property
    def log(self) -> Path:
        """What the Engine printed."""
        return self.root / "engine.log"

    @property
    def registry(self) -> Path:
        """What images there are, and how long a pull of each takes."""
        return self.root / "registry.json"

    def origin(self, recipe: str) -> Path:
        """The bare repository that a recipe's checkout came from."""
        return self.root / "origins" / recipe

    def checkout(self, recipe: str) -> Path:
        """Abra's own work tree of a recipe."""
        return self.abra_dir / "recipes" / recipe

    def env(self, recipe: str) -> Path:
        """The `.env` of the app of a recipe."""
        return self.abra_dir / "servers" / SERVER / f"{app(recipe)}.env"

    def mark(self) -> Mark | None:
        """Read the mark; None where there is none. UsageError for one that cannot be read."""
        path = self.root / MARK
        try:
            return _mark(json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(
                f"`{path}` cannot be read: {error}", hint="remove the folder yourself"
            ) from error

    def write_mark(self, mark: Mark) -> None:
        """Replace the mark in one piece."""
        fresh = self.root / f"{MARK}.new"
        fresh.write_text(json.dumps({"ccci_practice": FORMAT, **asdict(mark)}), encoding="utf-8")
        fresh.replace(self.root / MARK)


def app(recipe: str) -> str:
    """The app's name: its domain."""
    return f"{recipe}.{SERVER}"


def stack(recipe: str) -> str:
    """The stack's name."""
    return app(recipe).replace(".", "_")


def service(recipe: str, name: str = "app") -> str:
    """The full name of one service."""
    return f"{stack(recipe)}_{name}"


def find_place(folder: Path | None) -> Place:
    """The folder that was named, else this one where it is a practice host, else `./ccci-practice`."""
    if folder is None:
        here = Path.cwd()
        folder = here if (here / MARK).is_file() else here / "ccci-practice"
    try:
        root = folder.expanduser().absolute()
    except RuntimeError as error:
        raise UsageError("`~` leads to nobody's home folder", hint="write the path in full") from error
    if not str(root).isprintable():
        raise UsageError(
            f"the folder {str(root)!r} has a name that no configuration can hold", hint="name another"
        )
    return Place(root=Path(os.path.normpath(root)))


def _mark(read: object) -> Mark:
    if not isinstance(read, dict) or read.get("ccci_practice") != FORMAT:
        raise ValueError("it is of another version of this program, or of none")
    port, pid = read["port"], read["pid"]
    if type(port) is not int or type(pid) is not int:
        raise ValueError("port and pid must be numbers")
    faults = tuple(
        Broken(name=str(each["name"]), kept={str(k): str(v) for k, v in each["kept"].items()})
        for each in read["faults"]
    )
    socket, private = str(read["socket"]), str(read["private"])
    return Mark(port=port, socket=socket, private=private, pid=pid, faults=faults)
