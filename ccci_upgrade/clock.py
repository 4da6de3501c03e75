"""The only place that asks what time it is, or sleeps."""

import time
from datetime import MAXYEAR, MINYEAR, UTC, datetime


def now() -> datetime:
    """This machine's wall clock, UTC. Ages of Swarm objects are reckoned by the Engine's clock instead."""
    return datetime.now(UTC)


def ticks() -> float:
    """Seconds of a clock that never goes back."""
    return time.monotonic()


def uptime() -> float:
    """Seconds of a clock that nobody sets; it goes on in suspend, where the system has such a clock."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def sleep(seconds: float) -> None:
    """Sleep; signals are handled meanwhile."""
    time.sleep(max(0.0, seconds))


def stamp(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds, as journal and JSON carry it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_stamp(text: str) -> datetime | None:
    """Read RFC 3339 with any number of decimals, as the Engine writes it, as UTC.

    None for junk, for Go's zero time, which stands for "never", and for years no clock can be moved from.
    """
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    if not MINYEAR < moment.year < MAXYEAR:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
