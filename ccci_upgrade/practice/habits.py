"""The unpleasant habits of abra that the stand-in shows on order, read from `$ABRA_DIR/practice.json`."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.practice.console import FatalError


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """What to do wrong; times are seconds. Everything off is an abra on its best day.

    `commands` limits the habits to these verbs (`upgrade`, `deploy`, ...); empty means all that act.
    `give_up_after`: fail with "deploy timed out" that long after the stack was changed, whatever Swarm does.
    `noop`: exit 0 with nothing changed. `fail_before`: fail before anything is changed.
    `hang`, `hang_after_deploy`: never end. `die_after_deploy`: as if killed by the kernel.
    `noise_bytes`: print that much first. `lang`: prose that stands in every line in place of English.
    `secret_leak`: text to print. `ignore_sigint`, `ignore_sigterm`: only a harder signal ends it.
    `needs_terminal`: `app backup` fails without one (as abra does). `backup_empty`: it stores nothing of the app
    and says it went well. `backup_conflict`: the container of its hook was just replaced. `backup_json`: backups
    are listed as restic writes them for programs.
    `prompt`: ask before acting when not told `--no-input` (as abra does); `prompt_anyway`: even then.
    """

    commands: tuple[str, ...] = ()
    give_up_after: float | None = None
    noop: bool = False
    fail_before: bool = False
    hang: bool = False
    hang_after_deploy: bool = False
    die_after_deploy: bool = False
    noise_bytes: int = 0
    lang: str = ""
    secret_leak: str = ""
    ignore_sigint: bool = False
    ignore_sigterm: bool = False
    delay_before: float = 0.0
    needs_terminal: bool = True
    backup_empty: bool = False
    backup_conflict: bool = False
    backup_json: bool = False
    prompt: bool = True
    prompt_anyway: bool = False


def read(path: Path, verb: str) -> Habits:
    """Read the habits that hold for `verb`; no file means none. FatalError for a file that is not ours."""
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Habits()
    except (OSError, ValueError) as error:
        raise FatalError(f"{path}: {error}") from error
    known = {field.name: field for field in dataclasses.fields(Habits)}
    if not isinstance(loaded, dict) or not loaded.keys() <= known.keys():
        raise FatalError(f"{path}: expected an object with keys out of {', '.join(known)}")
    commands = loaded.pop("commands", ())
    if not isinstance(commands, list | tuple) or not all(isinstance(word, str) for word in commands):
        raise FatalError(f"{path}: commands must be a list of verbs")
    if commands and verb not in commands:
        return Habits()
    _check_types(path, loaded)
    return Habits(commands=tuple(commands), **loaded)


def _check_types(path: Path, loaded: dict[str, object]) -> None:
    wanted: dict[str, tuple[type, ...]] = {
        "give_up_after": (int, float),
        "delay_before": (int, float),
        "noise_bytes": (int,),
        "lang": (str,),
        "secret_leak": (str,),
    }
    for key, value in loaded.items():
        if type(value) not in wanted.get(key, (bool,)):  # exactly: a bool is an int, but no number of bytes
            raise FatalError(f"{path}: {key} cannot be {value!r}")
