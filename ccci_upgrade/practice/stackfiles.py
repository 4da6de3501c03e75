"""The compose files of a stack as one: every key of the Swarm's subset, merged as Docker's stack loader does.

A key that is not known here is refused by name. Those that Docker itself ignores in a stack are ignored, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ccci_upgrade.model import composefields as read
from ccci_upgrade.model.composeservice import Fields
from ccci_upgrade.model.composetree import SECTIONS, Trees
from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.model.yamltree import Tree
from ccci_upgrade.practice import stackvalues as values
from ccci_upgrade.practice.stackmerge import merged

Table: TypeAlias = dict[str, Tree]
Keys: TypeAlias = "Mapping[str, Callable[[Tree], Tree] | Keys]"

IGNORED = frozenset(
    {
        "build", "cgroup_parent", "cgroupns_mode", "container_name", "depends_on", "devices", "domainname",
        "expose", "external_links", "ipc", "links", "mac_address", "network_mode", "pid", "privileged",
        "security_opt", "shm_size", "userns_mode",
    }
)  # fmt: skip
"""Keys of a service that `docker stack deploy` leaves out as well."""

_UPDATE: Keys = {
    "parallelism": read.whole,
    "delay": values.nanos,
    "failure_action": read.text,
    "monitor": values.nanos,
    "max_failure_ratio": read.ratio,
    "order": read.text,
}
_RESERVED: Keys = {"cpus": values.cpus, "memory": values.size}
_DEPLOY: Keys = {
    "mode": read.text,
    "replicas": read.whole,
    "labels": values.table,
    "endpoint_mode": read.text,
    "update_config": _UPDATE,
    "rollback_config": _UPDATE,
    "restart_policy": {
        "condition": read.text,
        "delay": values.nanos,
        "max_attempts": read.whole,
        "window": values.nanos,
    },
    "resources": {"limits": {**_RESERVED, "pids": values.signed}, "reservations": _RESERVED},
    "placement": {
        "constraints": values.texts,
        "preferences": values.preferences,
        "max_replicas_per_node": read.whole,
    },
}
_SERVICE: Keys = {
    "image": read.text,
    "command": values.words,
    "entrypoint": values.words,
    "environment": values.environment,
    "labels": values.table,
    "hostname": read.text,
    "user": read.text,
    "working_dir": read.text,
    "stop_signal": read.text,
    "stop_grace_period": values.nanos,
    "restart": read.text,
    "init": read.truth,
    "read_only": read.truth,
    "stdin_open": read.truth,
    "tty": read.truth,
    "oom_score_adj": values.signed,
    "extra_hosts": values.hosts,
    "dns": values.texts,
    "dns_search": values.texts,
    "cap_add": values.texts,
    "cap_drop": values.texts,
    "sysctls": values.table,
    "ulimits": values.ulimits,
    "logging": {"driver": read.text, "options": values.table},
    "healthcheck": {
        "test": values.test,
        "interval": values.nanos,
        "timeout": values.nanos,
        "start_period": values.nanos,
        "start_interval": values.nanos,
        "retries": read.whole,
        "disable": read.truth,
    },
    "ports": values.ports,
    "volumes": values.mounts,
    "networks": values.networks,
    "configs": values.files,
    "secrets": values.files,
    "deploy": _DEPLOY,
}
_FILE: Keys = {"file": read.text, "template_driver": read.text}
_OBJECTS: Mapping[str, Keys] = {
    "configs": _FILE,
    "secrets": _FILE,
    "volumes": {"driver": read.text, "driver_opts": values.table},
    "networks": {
        "driver": read.text,
        "driver_opts": values.table,
        "internal": read.truth,
        "attachable": read.truth,
        "ipam": {"driver": read.text, "config": values.subnets},
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StackFiles:
    """A stack's files together: services and objects by their keys.

    Each object has `name` (the Swarm's), `external` and what its kind knows; durations are nanoseconds.
    """

    stack: str
    services: Mapping[str, Table]
    objects: Mapping[str, Mapping[str, Table]]


def read_stack(files: Sequence[tuple[str, str]], env: Mapping[str, str], *, stack: str) -> StackFiles:
    """Read compose files (name and text each), later ones over earlier ones.

    Raises ComposeError for what Docker would refuse, and for a key that is not known here.
    """
    trees = Trees(env)
    services: dict[str, Table] = {}
    objects: dict[str, dict[str, Table]] = {section: {} for section in SECTIONS}
    for name, text in files:
        root = Fields(trees.read(name, text), name)
        _refuse(root, {"version", "services", *SECTIONS})
        for key, part in root.each("services"):
            service = _service(part, env)
            services[key] = merged(services[key], service) if key in services else service
        for section in SECTIONS:
            for key, part in root.each(section):
                objects[section][key] = _object(part, key, stack, _OBJECTS[section])
    return StackFiles(stack=stack, services=dict(sorted(services.items())), objects=objects)


def _refuse(part: Fields, known: set[str]) -> None:
    strange = [key for key in part.keys if key not in known and not key.startswith("x-")]
    if strange:
        raise ComposeError(f"{part.where}: the key {strange[0]!r} is not supported")


def _table(part: Fields, keys: Keys, *more: str) -> Table:
    """Read all keys that are there and not empty."""
    _refuse(part, {*keys, *more})
    found: Table = {}
    for key, reader in keys.items():
        if part.value(key) is not None:
            found[key] = part.read(key, reader) if callable(reader) else _table(part.sub(key), reader)
    return found


def _service(part: Fields, env: Mapping[str, str]) -> Table:
    service = _table(part, _SERVICE, *IGNORED)
    said = part.read("environment", read.pairs)
    # As Docker does: a name without a value takes it from the environment, if that has it.
    service["environment"] = {name: value or env.get(name, value) for name, value in said.items()}
    return service


def _object(part: Fields, key: str, stack: str, keys: Keys) -> Table:
    found = _table(part, {"labels": values.table, **keys}, "name", "external")
    external, named = part.value("external"), ""
    if isinstance(external, dict):
        named = part.sub("external").read("name", read.text)
    outside = isinstance(external, dict) or part.read("external", read.truth)
    name = part.read("name", read.text) or named or (key if outside else f"{stack}_{key}")
    return {**found, "name": name, "external": outside}
