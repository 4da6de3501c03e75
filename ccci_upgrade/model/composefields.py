"""Single fields of a compose file, in each form Docker takes them, as one kind of value.

Every function raises FieldError with what it expected; the caller says where.
"""

import re
from collections.abc import Iterator
from math import floor, log10

from ccci_upgrade.model.swarm import Mount, Port
from ccci_upgrade.model.yamltree import Tree

MOST_PORTS = 2000
"""Ports one entry may publish: a range is cheap to write and costly to hold."""

_DURATION = re.compile("([0-9]+(?:[.][0-9]*)?|[.][0-9]+)(ns|us|\u00b5s|\u03bcs|ms|s|m|h)")
_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_RANGE = re.compile("([0-9]{1,5})(?:-([0-9]{1,5}))?")
_HIGHEST_PORT = 65535
_PLAIN_FLOAT = (-4, 6)
_MOUNT_PARTS = 3


class FieldError(ValueError):
    """A value Docker would refuse here."""


def mapping(value: Tree) -> dict[str, Tree]:
    """Give a mapping; an empty field is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FieldError("a mapping was expected")
    return value


def sequence(value: Tree) -> list[Tree]:
    """Give a list; an empty field is an empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise FieldError("a list was expected")
    return value


def text(value: Tree) -> str:
    """Give a scalar as the text Docker makes of it; an empty field is an empty text."""
    if isinstance(value, (dict, list)):
        raise FieldError("a plain text was expected")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    return "" if value is None else str(value)


def whole(value: Tree) -> int | None:
    """Give a whole number, also from text (interpolation leaves text); None for an empty field."""
    found = text(value)
    if not found:
        return None
    if not re.fullmatch("[0-9]{1,9}", found):
        raise FieldError(f"a whole number was expected, not {found!r}")
    return int(found)


def ratio(value: Tree) -> float:
    """Give a number such as `max_failure_ratio`; 0 for an empty field."""
    found = text(value)
    if not re.fullmatch("[0-9]{0,9}(?:[.][0-9]{0,17})?(?:e[-+]?[0-9]{1,2})?", found) or found == ".":
        raise FieldError(f"a number was expected, not {found!r}")
    return float(found or "0")


def truth(value: Tree) -> bool:
    """Give a truth value, also from text."""
    found = text(value).lower()
    if found not in ("true", "false", ""):
        raise FieldError(f"true or false was expected, not {found!r}")
    return found == "true"


def seconds(value: Tree) -> float | None:
    """Give a duration such as `1m30s` in seconds; None for an empty field."""
    found = text(value)
    if found in ("", "0"):
        return 0.0 if found else None
    parts = _DURATION.findall(found)
    if "".join(f"{number}{unit}" for number, unit in parts) != found:
        raise FieldError(f"a duration like 1m30s was expected, not {found!r}")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def command(value: Tree) -> tuple[str, ...]:
    """Give a health check's test, a list or one line for the shell; empty for an empty field."""
    if isinstance(value, list):
        return tuple(text(item) for item in value)
    return ("CMD-SHELL", text(value)) if value else ()


def pairs(value: Tree) -> dict[str, str | None]:
    """Give a list of `NAME=value` or a mapping; None for a name without a value."""
    if isinstance(value, list):
        split = [text(item).partition("=") for item in value]
        return {name: found if equals else None for name, equals, found in split}
    return {name: None if found is None else text(found) for name, found in mapping(value).items()}


def names(value: Tree) -> tuple[str, ...]:
    """Give the networks of a service, a list or a mapping."""
    return tuple(mapping(value)) if isinstance(value, dict) else tuple(text(item) for item in sequence(value))


def sources(value: Tree) -> tuple[str, ...]:
    """Give the configs or secrets a service uses: each a name, or a mapping with `source`."""
    return tuple(text(mapping(i).get("source")) if isinstance(i, dict) else text(i) for i in sequence(value))


def ports(value: Tree) -> tuple[Port, ...]:
    """Give published ports of both forms; `published` is 0 where Swarm chooses one."""
    found: list[Port] = []
    for item in sequence(value):
        found += [_long_port(item)] if isinstance(item, dict) else _short_ports(text(item))
    return tuple(found)


def mounts(value: Tree) -> tuple[Mount, ...]:
    """Give mounts of both forms; a volume's source is its key in the file, empty for an anonymous one."""
    return tuple(_long_mount(i) if isinstance(i, dict) else _short_mount(text(i)) for i in sequence(value))


def _float_text(value: float) -> str:
    """Write a number as Go's `%v` does: Docker makes `1e+06` of 1000000.0, and 1 of 1.0."""
    if value in (0.0, float("inf"), float("-inf")):
        return {0.0: "0", float("inf"): "+Inf"}.get(value, "-Inf")
    low, high = _PLAIN_FLOAT
    exponent = floor(log10(abs(value)))
    shortest = repr(value)
    if low <= exponent < high:
        return shortest.removesuffix(".0") if "e" not in shortest else f"{value:.17f}".rstrip("0")
    digits = re.sub("e.*|[-.]", "", shortest).strip("0") or "0"
    sign, rest = "-" if value < 0 else "", f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{exponent:+03d}"


def _range(found: str) -> range:
    match = _RANGE.fullmatch(found)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if not 0 < first <= last <= _HIGHEST_PORT or last - first >= MOST_PORTS:
        raise FieldError(f"a port or a range of ports was expected, not {found!r}")
    return range(first, last + 1)


def _short_ports(spec: str) -> Iterator[Port]:
    body, slash, protocol = spec.partition("/")
    outside, colon, inside = body.rpartition(":")
    published = outside.rpartition(":")[2] if colon else ""
    targets = _range(inside)
    chosen: range | list[int] = _range(published) if published else [0] * len(targets)
    if len(targets) not in (1, len(chosen)):
        raise FieldError(f"{spec!r} publishes {len(chosen)} ports for {len(targets)}")
    for index, port in enumerate(chosen):
        target = targets[index if len(targets) > 1 else 0]
        yield Port(
            target=target, published=port, mode="ingress", protocol=(protocol if slash else "tcp").lower()
        )


def _long_port(value: Tree) -> Port:
    fields = mapping(value)
    target, published = whole(fields.get("target")), whole(fields.get("published"))
    if target is None:
        raise FieldError("a port without a target")
    mode, protocol = text(fields.get("mode")) or "ingress", text(fields.get("protocol")) or "tcp"
    return Port(target=target, published=published or 0, mode=mode, protocol=protocol)


def _short_mount(spec: str) -> Mount:
    # A single letter before a colon is a Windows drive to Docker, in the source as in the target.
    parts = re.findall(r"(?:(?:^|(?<=:))[^\W\d_]:)?[^:]+", spec)
    if ":".join(parts) != spec or not 0 < len(parts) <= _MOUNT_PARTS:
        raise FieldError(f"a mount like name:/path was expected, not {spec!r}")
    if len(parts) == 1:
        return Mount(kind="volume", source="", target=spec)
    source = parts[0]
    kind = "bind" if re.match(r"[./~]|\\\\|[^\W\d_]:", source) else "volume"
    return Mount(kind=kind, source=source, target=parts[1])


def _long_mount(value: Tree) -> Mount:
    fields = mapping(value)
    target = text(fields.get("target"))
    if not target:
        raise FieldError("a mount without a target")
    kind = text(fields.get("type")) or "volume"
    return Mount(kind=kind, source=text(fields.get("source")), target=target)
