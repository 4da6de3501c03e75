"""Probes: what is asked of an app from outside, what it answered, and what got worse.

Only what got worse between two rounds counts against an upgrade: an app that was red before is not the
upgrade's doing. A check that could not be made is its own state (`Gap`), never fine and never red.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ccci_upgrade.text import tame_line

Scalar = str | int | float | bool

MIB = 1024 * 1024
_CUT = 200
_ADDRESS = re.compile(
    r"(?P<bare>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*)"
    r"|(?:\[(?P<bracketed>[0-9A-Fa-f:.]+)\]|(?P<host>[0-9A-Za-z._-]+))(?::(?P<port>[0-9]{1,5}))?"
)


class ProbeKind(StrEnum):
    """How a probe asks."""

    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    CERTIFICATE = "certificate"


class Reading(StrEnum):
    """How an answer is read: by the probe's own expectations, or by one app's own format."""

    PLAIN = "plain"
    DRONE_QUEUE = "drone-queue"
    DRONE_BUILDS = "drone-builds"


class Gap(StrEnum):
    """Why a result is neither good nor bad."""

    NONE = ""
    NOT_RUN = "not_run"
    """It could not be asked: no token, no program, no time left."""
    UNTOLD = "unknown"
    """It was asked, and the answer does not tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """Where a bearer token is read from when it is needed: an environment variable's name, or a file."""

    env: str = ""
    file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A part of the answer to compare before and after; `name` chooses the rule, see `RULES`.

    `source` is `status`, `redirect` (the host a redirect leads to), `redirect-query:<key>`, `header:<name>`,
    `json:<path>`, `set:<path>` (all values there), `count:<path>` (length) or `true:<path>` (how many are
    true).
    """

    name: str
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One question to an app.

    `url` is absolute; for TCP it is `tcp://host:port`, for a certificate the https URL it is served for.
    `address` (`host` or `host:port`) is where to connect instead of asking DNS: Host and SNI stay the URL's.
    An empty `status` accepts anything below 500. `body` and `headers` values are text, or `/regex/`. `json`
    maps a path to the value expected there, `json_has` names paths that must be there. `stack` is the stack
    whose labels asked for this probe. Other empty expectations are not checked.
    """

    name: str
    kind: ProbeKind = ProbeKind.HTTP
    url: str = ""
    address: str = ""
    command: tuple[str, ...] = ()
    status: tuple[int, ...] = (200,)
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    json: dict[str, Scalar] = field(default_factory=dict)
    json_has: tuple[str, ...] = ()
    redirect_host: str = ""
    redirect_query: dict[str, str] = field(default_factory=dict)
    reading: Reading = Reading.PLAIN
    facts: tuple[Fact, ...] = ()
    verify_tls: bool = False
    token: Token | None = None
    connects: int = 3
    body_limit: int = MIB
    seconds: float = 10.0
    stack: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """One answer: whether expectations held, one tamed line of detail, and the facts to compare."""

    name: str
    ok: bool
    detail: str
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)
    gap: Gap = Gap.NONE

    @property
    def red(self) -> bool:
        """Whether it was asked and is not as it must be; a gap is neither red nor ok."""
        return not self.ok and self.gap is Gap.NONE


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Something that is worse after than before; with a `gap` it could not be proven rather than was seen."""

    probe: str
    text: str
    gap: Gap = Gap.NONE


class Rule(StrEnum):
    """What a fact may do between before and after."""

    SAME = "same"
    NOT_FEWER = "not-fewer"
    CONTAINS = "contains-before"
    NAMES = "names"
    """All old certificate names are still named, or covered by a new wildcard."""
    KEPT = "kept"
    """`yes` stays `yes`."""
    STATUS = "status"
    """Same HTTP status, or another of its class where that is 2xx or 3xx, or better than an error was."""


RULES: dict[str, Rule] = {
    "status": Rule.STATUS,
    "keys": Rule.CONTAINS,
    "repositories": Rule.NOT_FEWER,
    "active repositories": Rule.NOT_FEWER,
    "names": Rule.NAMES,
    "real certificate": Rule.KEPT,
    "covers the host": Rule.KEPT,
    "trusted": Rule.KEPT,
    "in date": Rule.KEPT,
}
"""The rule of a fact by its name; every other fact must stay the same."""


def differences(
    before: Sequence[ProbeResult], after: Sequence[ProbeResult], *, gone: Collection[str] = ()
) -> tuple[Difference, ...]:
    """Name what got worse, in the order of `after`, then what was ok before and not asked again.

    `gone` names probes whose app was taken away by somebody meanwhile: they are not compared.
    """
    earlier = {result.name: result for result in before}
    found = [d for now in after if now.name not in gone for d in _compare(earlier.get(now.name), now)]
    asked = {result.name for result in after} | set(gone)
    lost = [
        Difference(probe=was.name, text="was fine before and was not asked again", gap=Gap.NOT_RUN)
        for was in before
        if was.ok and was.name not in asked
    ]
    return tuple(found + lost)


def probes_after(before: Sequence[Probe], now: Iterable[Probe], stacks: Collection[str]) -> tuple[Probe, ...]:
    """Choose what to ask after an upgrade: all that was asked before, and what is new.

    A route that an upgrade lost is in no label any more: asking the old list again is what shows the loss.
    Only probes of a stack that left the Swarm as a whole (not in `stacks`) are dropped.
    """
    kept = [probe for probe in before if not probe.stack or probe.stack in stacks]
    names = {probe.name for probe in before}
    return (*kept, *(probe for probe in now if probe.name not in names))


def wildcard_covers(pattern: str, host: str) -> bool:
    """Whether a certificate name is that host, or a wildcard one label above it; case does not count."""
    pattern, host = pattern.lower().rstrip("."), host.lower().rstrip(".")
    if pattern == host:
        return True
    return pattern.startswith("*.") and "." in host and host.split(".", 1)[1] == pattern[2:]


def split_address(address: str) -> tuple[str, int | None]:
    """Read `host`, `host:port`, `[v6]:port` or a bare IPv6 address; no port is None.

    Raises:
        ValueError: it is none of these.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError(f"no address: {tame_line(address)}")
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port < 65536:  # noqa: PLR2004 - TCP's ports
        raise ValueError(f"no port: {port}")
    return match["bracketed"] or match["bare"] or match["host"], port


def _compare(was: ProbeResult | None, now: ProbeResult) -> list[Difference]:
    if now.ok and was is not None:
        return [Difference(probe=now.name, text=text) for text in _moved(was.facts, now.facts, full=True)]
    if now.ok or now.gap is Gap.UNTOLD:
        return []
    if was is None:
        return [Difference(probe=now.name, text=f"is new and not fine: {now.detail}", gap=now.gap)]
    if was.ok:
        return [Difference(probe=now.name, text=f"was fine before: {now.detail}", gap=now.gap)]
    if was.gap is not Gap.NONE and now.red:
        return [Difference(probe=now.name, text=f"nothing was known before: {now.detail}")]
    return [Difference(probe=now.name, text=text) for text in _moved(was.facts, now.facts, full=False)]


def _moved(was: dict[str, str], now: dict[str, str], *, full: bool) -> list[str]:
    texts = []
    for name, old in was.items():
        new = now.get(name)
        if new is None:
            if full:
                texts.append(f"{name} was {_short(old)} and is not told any more")
        elif _worse(RULES.get(name, Rule.SAME), old, new):
            texts.append(f"{name} was {_short(old)}, is {_short(new)}")
    return texts


def _worse(rule: Rule, old: str, new: str) -> bool:
    match rule:
        case Rule.SAME:
            return old != new
        case Rule.NOT_FEWER:
            return not (old.isdecimal() and new.isdecimal() and int(new) >= int(old))
        case Rule.CONTAINS:
            return not set(old.split()) <= set(new.split())
        case Rule.NAMES:
            return not all(any(wildcard_covers(n, o) for n in new.split()) for o in old.split())
        case Rule.KEPT:
            return old == "yes" and new != "yes"
        case Rule.STATUS:
            return _status_worse(old, new)


def _status_worse(old: str, new: str) -> bool:
    if old == new or not (old.isdecimal() and new.isdecimal()):
        return old != new
    before, after = int(old), int(new)
    if before // 100 == after // 100 and before // 100 in (2, 3):
        return False
    if before >= 500:  # noqa: PLR2004 - HTTP's server errors: nothing is worse, and `ok` tells of another one
        return False
    if before in (401, 403):
        return True  # a page that asked who comes must not be open now
    return before < 400 or after >= 400  # noqa: PLR2004 - HTTP's errors begin there


def _short(text: str) -> str:
    shown = tame_line(text) or "nothing"
    return shown if len(shown) <= _CUT else f"{shown[:_CUT]}…"
