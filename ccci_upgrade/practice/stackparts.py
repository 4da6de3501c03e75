"""What the specs of services and of the objects beside them have in common."""

from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.model.yamltree import Tree
from ccci_upgrade.practice.engineclient import NAMESPACE
from ccci_upgrade.practice.stackfiles import StackFiles, Table

IMAGE = "com.docker.stack.image"
LOCAL_NETWORKS = frozenset({"bridge", "host", "none", "default", "nat"})
"""Networks every Engine has; they know no aliases."""


def network_keys(service: Table) -> tuple[str, ...]:
    """The networks of a service, by key."""
    return tuple(table(service.get("networks"))) or ("default",)


def network_of(files: StackFiles, key: str, service: str = "") -> Table:
    """The network a key names. Raises ComposeError where no file defines it."""
    if key in files.objects["networks"]:
        return files.objects["networks"][key]
    if key != "default":
        raise ComposeError(f"services.{service}.networks: no file defines {key!r}")
    return {"name": f"{files.stack}_default", "external": False}


def object_of(files: StackFiles, section: str, service: str, use: Table) -> Table:
    """The config or secret a service's entry names. Raises ComposeError where no file defines it."""
    found = files.objects[section].get(str(use["source"]))
    if found is None:
        raise ComposeError(f"services.{service}.{section}: no file defines {use['source']!r}")
    return found


def labelled(stack: str, labels: Tree) -> Table:
    """Labels with the stack's own."""
    return table(labels) | {NAMESPACE: stack}


def filled(spec: Table) -> Table:
    """A spec without what nobody said."""
    return {key: value for key, value in spec.items() if value is not None and value not in ("", [])}


def table(value: Tree) -> Table:
    """A mapping; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def in_order(found: list[Table], key: str) -> Tree:
    """Entries sorted by the text of one field."""
    found.sort(key=lambda each: str(each[key]))
    return list[Tree](found)


def tables(value: Tree) -> list[Table]:
    """The mappings in a list."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
