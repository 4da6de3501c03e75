"""Findings: everything that could hold an upgrade, each with evidence and a remedy."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding holds, the gravest first."""

    BLOCK = "block"
    ACK = "ack"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One finding.

    `evidence` are lines a person can check by hand (file and line, version, label); `remedy` is a sentence
    with what can be typed. Texts may hold foreign text: printers tame them.
    """

    id: str
    severity: Severity
    title: str
    evidence: tuple[str, ...] = ()
    remedy: str = ""


GRAVEST_FIRST = {severity: rank for rank, severity in enumerate(Severity)}


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Sort the gravest first, then by id."""
    return tuple(sorted(findings, key=lambda f: (GRAVEST_FIRST[f.severity], f.id)))
