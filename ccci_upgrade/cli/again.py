"""The whole command that would go on, for the last line of stderr."""

import shlex
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ccci_upgrade.flows.rollback import BackRequest
    from ccci_upgrade.flows.upgrade import Request
    from ccci_upgrade.model.plan import Plan


def options(config: Path | None, server: str | None) -> tuple[str, ...]:
    """The options before the command, as they were given."""
    words = ["--config", str(config)] if config else []
    return (*words, *(["--server", server] if server else []))


def go_on(
    before: tuple[str, ...], request: "Request", plans: "Iterable[Plan]", *, json: bool, no_input: bool
) -> str:
    """What was asked for, with the acknowledgements that were missing."""
    words = ["ccci-upgrade", *before, "upgrade"]
    if request.plan_file:
        words += ["--plan", str(request.plan_file)]
    else:
        words += ["--all"] if request.every else request.apps
        words += ["--to", request.to] if request.to else []
    words += ["--lease-wait", f"{request.lease_wait:g}"] if request.lease_wait else []
    words += ["--on-failure", request.on_failure] if request.on_failure else []
    flags = {
        "--dry-run": request.dry_run,
        "--keep-going": request.keep_going,
        "--offline": request.offline,
        "--json": json,
        "--no-input": no_input,
    }
    words += [flag for flag, said in flags.items() if said]
    listed = tuple(plans)
    for each in listed:
        for hold in sorted({*each.holds, *each.acknowledged}):
            words += ["--ack", f"{each.app}:{hold}" if len(listed) > 1 else hold]
    return shlex.join(words)


def back(
    before: tuple[str, ...], request: "BackRequest", plans: "Iterable[Plan]", *, json: bool, no_input: bool
) -> str:
    """The way back that was asked for, with the acknowledgements that were missing."""
    words = ["ccci-upgrade", *before, *request.command.split(), request.app]
    words += [request.snapshot] if request.snapshot else []
    words += ["--to", request.to] if request.to else []
    words += ["--lease-wait", f"{request.lease_wait:g}"] if request.lease_wait else []
    flags = {
        "--version-only": request.version_only,
        "--dry-run": request.dry_run,
        "--offline": request.offline,
        "--json": json,
        "--no-input": no_input,
    }
    words += [flag for flag, said in flags.items() if said]
    for each in plans:
        for hold in sorted({*each.holds, *each.acknowledged}):
            words += ["--ack", hold]
    return shlex.join(words)


def release(before: tuple[str, ...], holder: str, *, json: bool) -> str:
    """Ending the lease of the one who has it now."""
    words = ["ccci-upgrade", *before, "lease", "release", "--holder", holder, *(["--json"] if json else [])]
    return shlex.join(words)


def name_apps(
    before: tuple[str, ...], request: "Request", apps: tuple[str, ...], *, json: bool, no_input: bool
) -> str:
    """What was asked for, with the apps that a menu would have offered."""
    return go_on(before, replace(request, apps=apps), (), json=json, no_input=no_input)
