"""Single values of a compose file as Swarm wants them: nanoseconds, bytes, lists of plain shapes.

Every function raises FieldError with what it expected; the caller says where.
"""

import re
import shlex
from fractions import Fraction

from ccci_upgrade.model import composefields as read
from ccci_upgrade.model.composefields import FieldError
from ccci_upgrade.model.yamltree import Tree

PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_CPUS = re.compile(r"\d{1,6}(?:\.\d{0,9})?|\.\d{1,9}")
_MODES = 3
"""Where in `source:target:modes` the modes are."""
_MOUNT_KEYS = {"type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs"}
_PORT_KEYS = {"target", "published", "protocol", "mode"}
_FILE_KEYS = {"source", "target", "uid", "gid", "mode"}
_NETWORK_KEYS = {"aliases", "driver_opts"}


def known(value: Tree, keys: set[str]) -> dict[str, Tree]:
    """Give a mapping. FieldError for a key that is not one of `keys`: nothing is dropped in silence."""
    found = read.mapping(value)
    if strange := sorted(found.keys() - keys):
        raise FieldError(f"{strange[0]!r} is not supported")
    return found


def nanos(value: Tree) -> Tree:
    """Give a duration in nanoseconds."""
    found = read.seconds(value)
    return None if found is None else round(found * 1_000_000_000)


def size(value: Tree) -> Tree:
    """Give bytes: `64m`, `1.5GiB`, `1024`."""
    match = _SIZE.fullmatch(read.text(value))
    if match is None:
        raise FieldError(f"a size like 64m was expected, not {value!r}")
    return int(Fraction(match[1]) * 1024 ** _POWERS[match[2].lower()])


def cpus(value: Tree) -> Tree:
    """Give processors in billionths."""
    found = read.text(value)
    if not _CPUS.fullmatch(found):
        raise FieldError(f"a number of processors was expected, not {found!r}")
    return int(Fraction(found) * 1_000_000_000)


def signed(value: Tree) -> Tree:
    """Give a whole number that may be negative."""
    found = read.text(value)
    number = read.whole(found.removeprefix("-"))
    return -number if number is not None and found.startswith("-") else number


def texts(value: Tree) -> Tree:
    """Give a list of texts; one text is a list of one."""
    return [read.text(v) for v in value] if isinstance(value, list) else [read.text(value)]


def words(value: Tree) -> Tree:
    """Give a command: a list, or one line split as a shell would."""
    if isinstance(value, list):
        return [read.text(item) for item in value]
    try:
        return list[Tree](shlex.split(read.text(value)))
    except ValueError as error:
        raise FieldError(f"{value!r}: {error}") from None


def test(value: Tree) -> Tree:
    """Give a health check's test."""
    return list[Tree](read.command(value))


def table(value: Tree) -> Tree:
    """Give names with texts, from a mapping or `NAME=value` lines; a name alone has an empty text."""
    return {name: found or "" for name, found in read.pairs(value).items()}


def environment(value: Tree) -> Tree:
    """Give names with texts; None for a name without a value."""
    return dict[str, Tree](read.pairs(value))


def hosts(value: Tree) -> Tree:
    """Give `address name` lines, as Swarm writes them, of `name:address` or `name=address` ones."""
    if isinstance(value, dict):
        value = [f"{name}:{read.text(at)}" for name, at in sorted(value.items()) if at is not None]
    lines: list[Tree] = []
    for line in map(read.text, read.sequence(value)):
        name, mark, address = line.partition("=" if "=" in line else ":")
        if not mark:
            raise FieldError(f"{line!r}: name:address was expected")
        bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
        lines.append(f"{bare} {name}")
    return lines


def ulimits(value: Tree) -> Tree:
    """Give `soft` and `hard` by name."""
    found: dict[str, Tree] = {}
    for name, said in read.mapping(value).items():
        limits = known(said, {"soft", "hard"}) if isinstance(said, dict) else {"soft": said, "hard": said}
        found[name] = {"soft": signed(limits.get("soft")), "hard": signed(limits.get("hard"))}
    return found


def ports(value: Tree) -> Tree:
    """Give published ports of both forms."""
    for item in read.sequence(value):
        if isinstance(item, dict):
            known(item, _PORT_KEYS)
    return [
        {"target": p.target, "published": p.published, "protocol": p.protocol, "mode": p.mode}
        for p in read.ports(value)
    ]


def files(value: Tree) -> Tree:
    """Give the configs or secrets a service uses."""
    return [_file(item) for item in read.sequence(value)]


def networks(value: Tree) -> Tree:
    """Give a service's networks by key; None for one without settings."""
    if not isinstance(value, dict):
        return dict.fromkeys(read.names(value))
    found: dict[str, Tree] = {}
    for name, said in value.items():
        part = known(said, _NETWORK_KEYS)
        options = {"driver_opts": table(part["driver_opts"])} if "driver_opts" in part else {}
        aliases: list[Tree] = [read.text(alias) for alias in read.sequence(part.get("aliases"))]
        found[name] = None if said is None else {"aliases": aliases, **options}
    return found


def mounts(value: Tree) -> Tree:
    """Give mounts of both forms, each with type, source, target and its options."""
    found: list[Tree] = []
    for item in read.sequence(value):
        (mount,) = read.mounts([item])
        entry: dict[str, Tree] = {"type": mount.kind, "source": mount.source, "target": mount.target}
        found.append(entry | (_long_options(item) if isinstance(item, dict) else _modes(read.text(item))))
    return found


def preferences(value: Tree) -> Tree:
    """Give the texts of placement preferences, all of them `spread`."""
    return [read.text(known(item, {"spread"}).get("spread")) for item in read.sequence(value)]


def subnets(value: Tree) -> Tree:
    """Give the subnets of a network's `ipam.config`."""
    return [read.text(known(item, {"subnet"}).get("subnet")) for item in read.sequence(value)]


def _file(item: Tree) -> Tree:
    part = known(item, _FILE_KEYS) if isinstance(item, dict) else {"source": item}
    source = read.text(part.get("source"))
    mode = read.whole(part.get("mode"))
    return {
        "source": source,
        "target": read.text(part.get("target")) or source,
        "uid": read.text(part.get("uid")) or "0",
        "gid": read.text(part.get("gid")) or "0",
        "mode": 0o444 if mode is None else mode,
    }


def _modes(spec: str) -> dict[str, Tree]:
    parts = spec.split(":", _MODES - 1)
    options: dict[str, Tree] = {}
    for mode in parts[2].split(",") if len(parts) == _MODES else ():
        if mode in ("ro", "rw"):
            options["read_only"] = mode == "ro"
        elif mode == "nocopy":
            options["nocopy"] = True
        elif mode in PROPAGATIONS:
            options["propagation"] = mode
        elif mode not in ("z", "Z"):  # Docker drops every other word; these two have a meaning elsewhere
            raise FieldError(f"{spec!r}: the mode {mode!r} is not supported")
    return options


def _long_options(item: dict[str, Tree]) -> dict[str, Tree]:
    part = known(item, _MOUNT_KEYS)
    options: dict[str, Tree] = {}
    if "read_only" in part:
        options["read_only"] = read.truth(part["read_only"])
    if "consistency" in part:
        options["consistency"] = read.text(part["consistency"])
    if "bind" in part:
        options["propagation"] = read.text(known(part["bind"], {"propagation"}).get("propagation"))
    if "volume" in part:
        volume = known(part["volume"], {"nocopy", "subpath"})
        options["nocopy"] = read.truth(volume.get("nocopy"))
        options["subpath"] = read.text(volume.get("subpath"))
    if "tmpfs" in part:
        options["size"] = size(known(part["tmpfs"], {"size"}).get("size", 0))
    return options
