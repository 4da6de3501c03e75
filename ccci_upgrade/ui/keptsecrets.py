"""A snapshot's secrets for people and for scripts: names and reasons, never a value. Foreign text is tamed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccci_upgrade.model.keptsecrets import split_name

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterator

    from ccci_upgrade.flows.keptsecrets import Opened
    from ccci_upgrade.ui.layout import Block


def shown(found: Opened) -> Iterator[Block]:
    """The names, what was not read, and what to type."""
    from ccci_upgrade.ui.screens import command, line  # noqa: PLC0415 - start-up time is measured

    about = found.about
    how = "a passphrase" if about.by_passphrase else f"{len(about.recipients)} age recipients"
    state = "" if found.secrets is None else "; they open"
    yield line(f"{found.app}: snapshot {found.id} holds {len(about.names)} secrets for {how}{state}", "bold")
    for name in about.names:
        yield line(name, "", 2)
    for each in about.unread:
        yield line(f"NOT kept: {each.swarm_name}: {each.reason}", "magenta", 2)
    if found.files:
        yield line(
            f"written to {found.files[0].parent}; remove that folder when they are in. Put them back with:"
        )
        for text in found.commands:
            yield command(text)


def data(found: Opened) -> dict[str, object]:
    """`snapshot secrets`' data."""
    files = {file.name: file for file in found.files}
    rows = []
    for swarm_name in found.about.names:
        name, version = split_name(found.stack, swarm_name)
        file = files.get(swarm_name)
        row = {"swarm_name": swarm_name, "name": name or None, "version": version or None}
        rows.append(row | {"file": None if file is None else str(file)})
    return {
        "id": found.id,
        "app": found.app,
        "recipients": list(found.about.recipients),
        "passphrase": found.about.by_passphrase,
        "secrets": rows,
        "unread": [{"swarm_name": each.swarm_name, "reason": each.reason} for each in found.about.unread],
        "opened": found.secrets is not None,
        "commands": list(found.commands),
    }
