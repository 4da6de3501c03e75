"""A served certificate: the few fields a person is told, and whether it will do.

The standard library parses a certificate only after it trusted it, and the ones worth a message are just
those it does not trust; so the few fields needed are read from the DER here (X.509, RFC 5280).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from ccci_upgrade.model.probe import Gap, ProbeResult, wildcard_covers
from ccci_upgrade.text import tame_line

TRAEFIK_DEFAULT = "TRAEFIK DEFAULT CERT"
"""The common name of the certificate traefik makes for itself when it has none for a host."""

_SEQUENCE, _OID = 0x30, 0x06
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UTC_TIME, _GENERAL_TIME, _BMP_STRING = 0x17, 0x18, 0x1E
_DNS, _IP = 0x82, 0x87
_ALT_NAMES = bytes.fromhex("551d11")
_COMMON_NAME = bytes.fromhex("550403")
_SHOWN = {_COMMON_NAME: "CN", bytes.fromhex("55040a"): "O", bytes.fromhex("550406"): "C"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaf:
    """The certificate a server showed for one name.

    `fingerprint` is SHA-256 in hex; `names` are its alternative names, `common_name` is only shown. Times are
    aware UTC. `chain_ok` is None where it could not be checked (no trusted roots here); `chain_problem` says
    why it is not True. All texts are foreign.
    """

    fingerprint: str
    subject: str
    common_name: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    self_signed: bool
    chain_ok: bool | None
    chain_problem: str

    @property
    def default_cert(self) -> bool:
        """Whether it is the one traefik made for itself."""
        return self.common_name == TRAEFIK_DEFAULT

    def covers(self, host: str) -> bool:
        """Whether it is made out for that host (name or IP address)."""
        try:
            return str(ip_address(host.strip("[]"))) in self.names
        except ValueError:
            return any(wildcard_covers(name, host) for name in self.names)


def parse_leaf(der: bytes, *, chain_ok: bool | None, chain_problem: str) -> Leaf:
    """Read a certificate.

    Raises:
        ValueError: the bytes are no certificate.
    """
    try:
        fields = list(_parts(_only(_parts(_only(_parts(der), _SEQUENCE)), _SEQUENCE)))
        if fields and fields[0][0] == _VERSION:
            del fields[0]
        issuer, validity, subject = fields[2][1], fields[3][1], fields[4][1]
        start, end = (_time(tag, value) for tag, value in _parts(validity))
        names = tuple(_names(next((v for t, v in fields[5:] if t == _EXTENSIONS), b"")))
        return Leaf(
            fingerprint=hashlib.sha256(der).hexdigest(),
            subject=_name(subject),
            common_name=next((text for oid, text in _attributes(subject) if oid == _COMMON_NAME), ""),
            issuer=_name(issuer),
            names=names,
            not_before=start,
            not_after=end,
            self_signed=issuer == subject,
            chain_ok=chain_ok,
            chain_problem=chain_problem,
        )
    except (IndexError, ValueError, StopIteration) as error:
        raise ValueError("what the server showed is no certificate that can be read") from error


def judge_leaf(name: str, host: str, leaf: Leaf, *, now: datetime, seconds: float) -> ProbeResult:
    """Judge what was served for a host; the facts are the qualities that an upgrade may not take away."""
    qualities = {
        "real certificate": not leaf.default_cert,
        "covers the host": leaf.covers(host),
        "in date": leaf.not_before <= now <= leaf.not_after,
    }
    if leaf.chain_ok is not None:
        qualities["trusted"] = leaf.chain_ok
    facts = {fact: "yes" if held else "no" for fact, held in qualities.items()}
    if not leaf.default_cert:  # its name is made up anew at every start
        facts["names"] = " ".join(sorted(n.lower() for n in leaf.names))
    good = all(qualities.values())
    unproven = good and leaf.chain_ok is None
    detail = "; ".join([*_problems(host, leaf, qualities), _told(leaf, now)])
    return ProbeResult(
        name=name,
        ok=good and not unproven,
        detail=tame_line(detail)[:500],
        seconds=seconds,
        facts=facts,
        gap=Gap.NOT_RUN if unproven else Gap.NONE,
    )


def _told(leaf: Leaf, now: datetime) -> str:
    days = (leaf.not_after - now).days
    left = f"{days} days left" if days >= 0 else f"expired {-days} days ago"
    names = ", ".join(leaf.names[:5]) or leaf.subject or "a certificate without a name"
    return f"{names}, {left}, SHA-256 {leaf.fingerprint[:16]}…"


def _problems(host: str, leaf: Leaf, qualities: dict[str, bool]) -> Iterator[str]:
    if leaf.default_cert:
        yield f"{TRAEFIK_DEFAULT} is served: traefik has no certificate for {host}"
        return
    if not qualities["covers the host"]:
        yield f"not made out for {host}"
    if not qualities["in date"]:
        yield "out of date"
    elif leaf.chain_ok is False:
        yield f"not trusted: {leaf.chain_problem}"
    elif leaf.chain_ok is None:
        yield f"the chain could not be checked: {leaf.chain_problem}"


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split DER into (tag, content); only the short tags and definite lengths that certificates use."""
    at = 0
    while at < len(data):
        tag, size, start = data[at], data[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4:  # noqa: PLR2004 - four bytes of length are 4 GiB
                raise ValueError("length")
            size, start = int.from_bytes(data[start : start + count]), start + count
        if start + size > len(data):
            raise ValueError("cut off")
        yield tag, data[start : start + size]
        at = start + size


def _only(parts: Iterator[tuple[int, bytes]], tag: int) -> bytes:
    """Give the first part's content, which must carry that tag."""
    found, content = next(parts)
    if found != tag:
        raise ValueError("tag")
    return content


def _attributes(name: bytes) -> Iterator[tuple[bytes, str]]:
    for _, relative in _parts(name):
        for _, pair in _parts(relative):
            (_, oid), (tag, value) = list(_parts(pair))[:2]
            coding = "utf-16-be" if tag == _BMP_STRING else "utf-8"
            yield oid, value.decode(coding, errors="backslashreplace")


def _name(name: bytes) -> str:
    return ", ".join(f"{_SHOWN[oid]}={text}" for oid, text in _attributes(name) if oid in _SHOWN)


def _names(extensions: bytes) -> Iterator[str]:
    for _, listed in _parts(extensions):
        for _, extension in _parts(listed):
            fields = list(_parts(extension))
            if fields[0] == (_OID, _ALT_NAMES):
                for tag, value in _parts(_only(_parts(fields[-1][1]), _SEQUENCE)):
                    if tag == _DNS:
                        yield value.decode("ascii", errors="backslashreplace")
                    elif tag == _IP:
                        yield str(ip_address(value))


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if text < "5" else "19") + text
    elif tag != _GENERAL_TIME:
        raise ValueError("time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
