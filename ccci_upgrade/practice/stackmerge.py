"""One service of one compose file laid over the same service of an earlier one, as Docker's loader lays them.

Lists are joined, mappings merged by key, an empty value overrides nothing; below are the exceptions.
"""

from ccci_upgrade.model.yamltree import Tree

_COUNTS = frozenset({"replicas", "parallelism", "max_attempts", "retries"})
"""Numbers whose 0 is a wish."""
_REPLACED = frozenset({"command", "entrypoint"})
_BY = {"ports": "published", "volumes": "target", "configs": "source", "secrets": "source"}
"""Lists with one slot for each value of a field."""
_TABLES = frozenset({"labels", "options", "sysctls", "driver_opts", "ulimits"})
"""Mappings in which an empty text overrides, too."""


def merged(below: dict[str, Tree], above: dict[str, Tree]) -> dict[str, Tree]:
    """Give both as one."""
    found = dict(below)
    for key, value in above.items():
        found[key] = _over(key, below[key], value) if key in below else value
    return found


def _over(key: str, below: Tree, above: Tree) -> Tree:
    if isinstance(below, list) and isinstance(above, list):
        return _lists(key, below, above)
    if isinstance(below, dict) and isinstance(above, dict):
        return _tables(key, below, above)
    return above if above or (key in _COUNTS and above == 0) else below


def _lists(key: str, below: list[Tree], above: list[Tree]) -> list[Tree]:
    if key in _REPLACED:
        return above or below
    if key not in _BY:
        return below + above
    entries = [entry for entry in below + above if isinstance(entry, dict)]
    slots = {_slot(entry[_BY[key]]): entry for entry in entries}
    return [slots[slot] for slot in sorted(slots)]


def _slot(value: Tree) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, str(value))


def _tables(key: str, below: dict[str, Tree], above: dict[str, Tree]) -> dict[str, Tree]:
    if key in _TABLES:
        return below | above
    if key == "networks":
        return below | {name: said for name, said in above.items() if said is not None or name not in below}
    if key == "logging" and below.get("driver") and above.get("driver") not in (None, "", below["driver"]):
        return above
    return merged(below, above)
