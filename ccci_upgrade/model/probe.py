"""Probes: what is asked of an app from outside, what it answered, and what got worse."""

from dataclasses import dataclass, field
from enum import StrEnum


class ProbeKind(StrEnum):
    """How a probe asks."""

    HTTP = "http"
    TCP = "tcp"
    COMMAND = "command"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One question to an app.

    `url` is absolute with `{domain}` already filled in; for TCP `tcp://host:port`. `address` is where to
    connect instead of asking DNS (the URL's host stays in Host and SNI). Expectations that are empty are not
    checked. `facts` names parts of the answer that must be the same before and after: `location` (redirect
    target without its changing parts), `json:<path>`, `json-keys:<path>`, `header:<name>`, `status`, `count`.
    """

    name: str
    kind: ProbeKind = ProbeKind.HTTP
    url: str = ""
    address: str = ""
    command: tuple[str, ...] = ()
    status: tuple[int, ...] = (200,)
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    json: dict[str, str] = field(default_factory=dict)
    facts: tuple[str, ...] = ()
    same_as_before: bool = False
    verify_tls: bool = False
    seconds: float = 10.0
    token_env: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    """One answer: whether expectations held, one line of detail, and the facts to compare."""

    name: str
    ok: bool
    detail: str
    seconds: float
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Something a probe saw that is worse after than before."""

    probe: str
    text: str
