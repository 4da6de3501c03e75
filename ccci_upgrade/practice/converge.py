"""Abra's wait for a stack: its own short time limit, and Swarm's progress of each service."""

import time
from collections.abc import Mapping

from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.practice.swarmclient import Docker, ServiceView

DEFAULT_SECONDS = 50.0
"""abra's limit where the `.env` has no TIMEOUT."""

_GIVEN_UP = ("paused", "rollback_started", "rollback_paused", "rollback_completed")
_POLL = 0.3
_GRACE = 3.0
"""Swarm clears the update's state at a deploy and sets it soon after; until then silence proves nothing."""


def wait(docker: Docker, stack: str, *, before: Mapping[str, ServiceView], seconds: float) -> None:
    """Return once every service runs what was asked. FatalError after `seconds`, or when Swarm gave up."""
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        services = docker.services(stack)
        for service in services.values():
            if service.update in _GIVEN_UP and not _stale(service, before):
                raise FatalError(f"deploy failed: {service.name}: {service.message or service.update}")
        if services and all(_settled(now, before.get(name), passed) for name, now in services.items()):
            return
        time.sleep(_POLL)
    raise FatalError("deploy timed out")


def _stale(now: ServiceView, before: Mapping[str, ServiceView]) -> bool:
    """Whether the update state is of an earlier deploy: a service that did not change keeps it."""
    earlier = before.get(now.name)
    return earlier is not None and (earlier.update, earlier.since) == (now.update, now.since)


def _settled(now: ServiceView, before: ServiceView | None, passed: float) -> bool:
    if now.running < now.desired or now.update == "updating":
        return False
    # A service that is new, or had no replicas, gets no update state at all.
    moved = before is not None and before.running > 0 and before.template != now.template
    return not moved or now.update == "completed" or passed > _GRACE
