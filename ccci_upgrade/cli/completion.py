"""What the shell offers after Tab: apps, versions, servers, as they are here. Asks no Engine and no network.

Whatever goes wrong, nothing is offered: a shell has no place for an error.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from ccci_upgrade.errors import CcciError

if TYPE_CHECKING:
    from ccci_upgrade.config import Config

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
"""Names come from files: what a shell could take for more than a word is not offered."""


def apps(context: typer.Context, incomplete: str) -> list[str]:
    """Apps that are not on the line yet."""
    from ccci_upgrade.flows.names import app_names  # noqa: PLC0415 - start-up time is measured

    try:
        names = app_names(*_where(context))
    except (CcciError, OSError):
        return []
    said = _said(context)
    return _offered((name for name in names if name not in said), incomplete)


def versions(context: typer.Context, incomplete: str) -> list[str]:
    """Versions of the apps on the line, newest first."""
    from ccci_upgrade.flows.names import version_names  # noqa: PLC0415 - start-up time is measured

    try:
        return _offered(version_names(*_where(context), _said(context)), incomplete)
    except (CcciError, OSError):
        return []


def servers(context: typer.Context, incomplete: str) -> list[str]:
    """The servers abra knows."""
    from ccci_upgrade.flows.names import server_names  # noqa: PLC0415 - start-up time is measured

    try:
        return _offered(server_names(_where(context)[0]), incomplete)
    except (CcciError, OSError):
        return []


def _where(context: typer.Context) -> "tuple[Config, str | None]":
    from ccci_upgrade.config import read_config  # noqa: PLC0415 - start-up time is measured

    shared = context.find_root().params
    return read_config(shared.get("config")), shared.get("server")


def _said(context: typer.Context) -> set[str]:
    """The apps on the line. Behind an option that still lacks its value they are loose arguments."""
    return {*(context.params.get("apps") or ()), *context.args}


def _offered(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete) and _SAFE.fullmatch(name)]
