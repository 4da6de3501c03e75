"""An app of a server: its `.env` and the settings that hold for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.model.envfile import EnvFile


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """One readable app. `name` is its `.env` file's name; durations are seconds; `text` is the file as read.

    `backup`: abra's backup is wanted before an upgrade; `backup_command`: so is this program, if not empty.
    """

    name: str
    server: str
    recipe: str
    recipe_folder: str
    domain: str
    stack: str
    env: EnvFile
    path: Path
    text: str
    order: int
    upgrade_last: bool
    holds_data: bool | None
    address: str
    budget: float
    settle: float
    token_file: str
    probes: tuple[Mapping[str, object], ...] | None
    backup: bool = False
    backup_command: tuple[str, ...] = ()
    backup_budget: float = 1800.0


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokenApp:
    """An app whose `.env` cannot be used, and why: shown, and never in the way of the others."""

    name: str
    server: str
    error: str
