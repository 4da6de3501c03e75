"""JSON as the Engine speaks it, read without trust: what is absent or of another kind is empty."""

import json

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Tree = dict[str, Json]

LARGE = 10**16
"""No number that means anything here is larger: as nanoseconds it is a hundred days."""

PORTS = range(1, 65536)


def sub(value: Json, *path: str) -> Tree:
    """The object at `path`; {} where there is none."""
    found = value
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def text(value: Json, *path: str) -> str:
    """The string at `path`; "" where there is none."""
    found = sub(value, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def number(value: Json, *path: str, default: float = 0) -> float:
    """The number at `path`."""
    found = sub(value, *path[:-1]).get(path[-1])
    if not isinstance(found, int | float) or isinstance(found, bool) or not -LARGE <= found <= LARGE:
        return default  # NaN and infinities are in no range
    return found


def seconds(value: Json, *path: str, default: float = 0.0) -> float:
    """The Engine's nanoseconds at `path`, as seconds; zero counts as absent."""
    return number(value, *path) / 1e9 or default


def rows(value: Json, *path: str) -> list[Tree]:
    """The list of objects at `path`; [] where there is none."""
    found = sub(value, *path[:-1]).get(path[-1]) if path else value
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def words(value: Json, *path: str) -> list[str]:
    """The list of strings at `path`."""
    found = sub(value, *path[:-1]).get(path[-1]) if path else value
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def labels(value: Json, *path: str) -> dict[str, str]:
    """The strings of the object at `path`."""
    return {key: each for key, each in sub(value, *path).items() if isinstance(each, str)}


def copied(value: Tree) -> Tree:
    """A copy that shares nothing."""
    again: Tree = json.loads(json.dumps(value))
    return again


def pruned(value: Json) -> Json:
    """Without what is empty or zero: the Engine does not tell absent from empty when it compares specs."""
    if isinstance(value, dict):
        inner = {key: pruned(each) for key, each in value.items()}
        return {key: each for key, each in inner.items() if each not in (None, "", 0, [], {})}
    return [pruned(each) for each in value] if isinstance(value, list) else value


def env_of(value: Json) -> dict[str, str]:
    """`NAME=value` words as a mapping."""
    pairs = (word.partition("=") for word in words(value))
    return {name: rest for name, _, rest in pairs}
