"""Steps into the Engine's JSON for tests: what is not there fails the test with its path."""

from ccci_upgrade.tools.engine import Json

Tree = dict[str, Json]


def tree(value: Json, *path: str) -> Tree:
    """The object at `path`; {} where a step is absent."""
    found = value
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def text(value: Json, *path: str) -> str:
    """The string at `path`; "" where there is none."""
    found = tree(value, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def number(value: Json, *path: str) -> int | None:
    """The number at `path`; None where there is none."""
    found = tree(value, *path[:-1]).get(path[-1])
    return found if isinstance(found, int) else None


def rows(value: Json) -> list[Tree]:
    """A list of objects; null is an empty one."""
    assert value is None or isinstance(value, list), f"no list: {value!r}"
    return [each for each in value or [] if isinstance(each, dict)]
