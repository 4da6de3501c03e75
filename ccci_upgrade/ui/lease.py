"""The lease as lines, and as the `data` of its documents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccci_upgrade.model.lease import NAME, LeaseState
from ccci_upgrade.ui.screens import command, line

if TYPE_CHECKING:  # each command loads only what it needs
    from collections.abc import Iterator

    from ccci_upgrade.flows.lease import Released
    from ccci_upgrade.model.lease import Claim, Standing
    from ccci_upgrade.ui.layout import Block


def screen(seen: Standing) -> Iterator[Block]:
    """Whose it is, and what can be done."""
    if seen.claim is None:
        yield line("the lease is free: nobody is at work with this program", "green")
        return
    word = "held by" if seen.state is LeaseState.HELD else "left behind by"
    yield line(f"{word} {seen.claim.holder}", "bold")
    yield line(f"command: {seen.claim.command}", "", 2)
    yield line(f"process: {seen.claim.pid} on {seen.claim.host}", "", 2)
    yield line(f"since: {seen.claim.since}", "", 2)
    if seen.age is not None:
        yield line(f"last sign of life: {seen.age:.0f} s ago", "", 2)
    if seen.state is LeaseState.STALE:
        yield line(f"stale: {seen.why}; the next `upgrade` takes it over", "", 2)
    else:
        yield line("ask them first; where nobody is at work any more:", "", 2)
        yield command(f"ccci-upgrade lease release --holder {seen.claim.holder}", 4)


def shown(seen: Standing) -> dict[str, object]:
    """`lease show`'s `data`."""
    return {
        "config": NAME,
        "state": seen.state.value,
        "age": None if seen.age is None else round(seen.age, 3),
        "why": seen.why or None,
        "claim": _claim(seen.claim) if seen.claim else None,
    }


def released(done: Released) -> dict[str, object]:
    """`lease release`'s `data`: the lease as it was, and whether it is free now because of this."""
    return shown(done.before) | {"released": done.released}


def _claim(claim: Claim) -> dict[str, object]:
    return {
        "holder": claim.holder,
        "user": claim.user,
        "host": claim.host,
        "pid": claim.pid,
        "command": claim.command,
        "since": claim.since,
        "heartbeat": claim.heartbeat,
        "limit": claim.limit,
    }
