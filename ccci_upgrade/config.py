"""The configuration file, read and checked once: TOML in, one frozen `Config` out.

The only module that reads settings from the environment. Every wrong key or type is one UsageError that
names file and key.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccci_upgrade.errors import UsageError

NAME = "ccci-upgrade.toml"
LONGEST = 7 * 24 * 3600.0
"""Seconds of the longest duration: what is longer was a slip, and some clocks of the system cannot wait for it."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(ms|s|m|h)")
_UNIT = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, kw_only=True, slots=True)
class AppSettings:
    """What the file says of one app; None means the profile decides. Durations are seconds."""

    recipe: str | None = None
    order: int | None = None
    holds_data: bool | None = None
    address: str | None = None
    budget: float | None = None
    settle: float | None = None
    token_file: str | None = None
    backup: bool = False
    backup_command: tuple[str, ...] = ()
    backup_budget: float | None = None
    probes: tuple[Mapping[str, object], ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """All settings; `source` is the file they came from, None where there is none."""

    source: Path | None
    abra: str
    abra_dir: Path
    state_dir: Path
    cache_dir: Path
    server: str | None
    docker_hosts: dict[str, str] = field(default_factory=dict)
    apps: dict[str, AppSettings] = field(default_factory=dict)
    age_recipients: tuple[str, ...] = ()
    lock_file: Path | None = None


def read_config(explicit: Path | None) -> Config:
    """Read the named file, or the first of the usual places; without any, the defaults hold."""
    source = explicit or next((place for place in _places() if place.is_file()), None)
    table = _load(source) if source else {}
    where = str(source)
    _only(
        table,
        {"abra", "abra_dir", "state_dir", "cache_dir", "lock_file", "server", "servers", "apps", "snapshots"},
        where,
        "",
    )
    base = source.parent if source else Path.cwd()
    return Config(
        source=source,
        abra=_string(table, "abra", where) or "abra",
        abra_dir=_path(_string(table, "abra_dir", where) or os.environ.get("ABRA_DIR") or "~/.abra", base),
        state_dir=_path(_string(table, "state_dir", where) or default_state_dir(), base),
        cache_dir=_path(_string(table, "cache_dir", where) or _default_cache_dir(), base),
        server=_string(table, "server", where),
        docker_hosts=_docker_hosts(table, where),
        apps={name: _app(raw, name, where) for name, raw in _table(table, "apps", where).items()},
        age_recipients=_age_recipients(table, where),
        lock_file=_path(said, base) if (said := _string(table, "lock_file", where)) else None,
    )


def default_state_dir() -> str:
    """`$CCCI_UPGRADE_STATE`, else the system's place for root and the user's own for others."""
    said = os.environ.get("CCCI_UPGRADE_STATE")
    if said:
        return said
    if os.geteuid() == 0:
        return "/var/lib/ccci-upgrade"
    from platformdirs import user_state_path  # noqa: PLC0415 - start-up time is measured

    return str(user_state_path("ccci-upgrade"))


def lease_limit() -> float | None:
    """`$CCCI_UPGRADE_LEASE_LIMIT`, seconds; None where it says nothing.

    It is no setting for people: tests cannot wait a minute for a lease to become stale.
    """
    try:
        return float(os.environ.get("CCCI_UPGRADE_LEASE_LIMIT", ""))
    except ValueError:
        return None


def seconds(text: str, where: str) -> float:
    """Read a duration such as `90s`, `1m30s` or `500ms`."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{where}: `{text}` is no duration", hint="write it like `90s`, `10m` or `1m30s`")
    value = sum(float(number) * _UNIT[unit] for number, unit in parts)
    if value > LONGEST:
        raise UsageError(f"{where}: `{text}` is longer than a week", hint="write it like `90s` or `10m`")
    return value


def _places() -> tuple[Path, ...]:
    from platformdirs import user_config_path  # noqa: PLC0415 - start-up time is measured

    return (Path(NAME), user_config_path("ccci-upgrade") / NAME, Path("/etc/ccci-upgrade") / NAME)


def _default_cache_dir() -> str:
    from platformdirs import user_cache_path  # noqa: PLC0415 - start-up time is measured

    return str(user_cache_path("ccci-upgrade"))


def _load(source: Path) -> dict[str, object]:
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"cannot read `{source}`: {error.strerror}", hint="name a file with --config"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"`{source}` is not UTF-8 (byte {error.start})") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"`{source}` is no TOML: {error}") from error


def _app(raw: object, name: str, source: str) -> AppSettings:
    where = f"{source}: [apps.{name!r}]"
    if not isinstance(raw, dict):
        raise UsageError(f"{where} must be a table")
    known = set(AppSettings.__dataclass_fields__)
    _only(raw, known, source, f"[apps.{name!r}] ")
    probes = raw.get("probes")
    if probes is not None and not (isinstance(probes, list) and all(isinstance(p, dict) for p in probes)):
        raise UsageError(f"{where}: `probes` must be a list of tables", hint='write [[apps."…".probes]]')
    return AppSettings(
        recipe=_string(raw, "recipe", where),
        order=_whole(raw, "order", where),
        holds_data=_truth(raw, "holds_data", where),
        address=_string(raw, "address", where),
        budget=_seconds(raw, "budget", where),
        settle=_seconds(raw, "settle", where),
        token_file=_string(raw, "token_file", where),
        backup=_backup(raw, where),
        backup_command=_command(raw, where),
        backup_budget=_seconds(raw, "backup_budget", where),
        probes=None if probes is None else tuple(probes),
    )


def _backup(raw: Mapping[str, object], where: str) -> bool:
    said = raw.get("backup", "none")
    if said not in ("none", "abra"):
        raise UsageError(f"{where}: `backup` must be `abra` or `none`")
    return said == "abra"


def _command(raw: Mapping[str, object], where: str) -> tuple[str, ...]:
    """A program and its arguments, given on as they are: no shell reads them."""
    said = raw.get("backup_command")
    if said is None:
        return ()
    words = said if isinstance(said, list) else []
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        hint = 'write it like `["/usr/local/bin/my-backup", "keycloak"]`'
        raise UsageError(f"{where}: `backup_command` must be a list of texts", hint=hint)
    if "/" in words[0] and not words[0].startswith("/"):
        raise UsageError(
            f"{where}: `backup_command` starts with `{words[0]}`",
            hint="write the program's path in full, or its bare name",
        )
    return tuple(words)


def _docker_hosts(table: Mapping[str, object], where: str) -> dict[str, str]:
    hosts = {}
    for name, raw in _table(table, "servers", where).items():
        if not isinstance(raw, dict):
            raise UsageError(f"{where}: [servers.{name!r}] must be a table")
        _only(raw, {"docker_host"}, where, f"[servers.{name!r}] ")
        host = _string(raw, "docker_host", f"{where}: [servers.{name!r}]")
        if host:
            hosts[name] = host
    return hosts


def _age_recipients(table: Mapping[str, object], where: str) -> tuple[str, ...]:
    """The public keys that can open kept secrets; each is tried, for later is too late."""
    snapshots = _table(table, "snapshots", where)
    _only(snapshots, {"age_recipients"}, where, "[snapshots] ")
    listed = snapshots.get("age_recipients", [])
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise UsageError(f"{where}: [snapshots] `age_recipients` must be a list of texts")
    for number, each in enumerate(listed, start=1):
        from ccci_upgrade import age  # noqa: PLC0415 - start-up time is measured

        problem = age.problem_of(each)
        if problem:
            said = f"{where}: [snapshots] `age_recipients`, entry {number}: {problem}"
            raise UsageError(said, hint=f"write {age.KEY_HINT}")
    return tuple(listed)


def _only(table: Mapping[str, object], known: set[str], where: str, prefix: str) -> None:
    for key in table:
        if key not in known:
            names = ", ".join(sorted(known))
            raise UsageError(f"{where}: {prefix}`{key}` is no setting", hint=f"the settings here are {names}")


def _table(table: Mapping[str, object], key: str, where: str) -> dict[str, object]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{where}: `{key}` must be a table")
    return value


def _string(table: Mapping[str, object], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, str) or not value or "\0" in value):
        raise UsageError(f"{where}: `{key}` must be a text that is not empty")
    return value


def _whole(table: Mapping[str, object], key: str, where: str) -> int | None:
    value = table.get(key)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise UsageError(f"{where}: `{key}` must be a whole number")
    return value


def _truth(table: Mapping[str, object], key: str, where: str) -> bool | None:
    value = table.get(key)
    if value is not None and not isinstance(value, bool):
        raise UsageError(f"{where}: `{key}` must be true or false")
    return value


def _seconds(table: Mapping[str, object], key: str, where: str) -> float | None:
    text = _string(table, key, where)
    return None if text is None else seconds(text, f"{where}: `{key}`")


def _path(text: str, base: Path) -> Path:
    try:
        return base.joinpath(Path(text).expanduser()).absolute()
    except RuntimeError as error:
        raise UsageError(f"`{text}` leads to nobody's home folder", hint="write the path in full") from error
