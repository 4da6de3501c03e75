"""What of a stack goes into a snapshot, and what stands against one: by the services' mounts, never by guessing."""

from dataclasses import dataclass

from ccci_upgrade.model.swarm import Mount, Service, Stack, Volume

OF_THE_HOST = frozenset(
    {"/var/run/docker.sock", "/run/docker.sock", "/etc/localtime", "/etc/timezone", "/etc/machine-id"}
)
"""Bind mounts that hold no data of an app: the host has them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One volume to be copied, with a service that mounts it and where."""

    volume: Volume
    service: Service
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What is copied, what is passed over with a word, and what refuses the whole."""

    sources: tuple[Source, ...]
    passed: tuple[str, ...]
    refused: tuple[str, ...]


def scope_of(stack: Stack, *, node: str, stopping: bool) -> Scope:
    """Sort a stack's mounts; `node` is the one that can be read, `stopping`: services are scaled to 0."""
    found: dict[str, Source] = {}
    passed: list[str] = []
    refused: list[str] = []
    for service in stack.services:
        if stopping and service.replicas is None:
            refused.append(f"{service.name} runs on every node and cannot be scaled to 0")
        for mount in service.mounts:
            where = f"{service.name}: {mount.source or mount.kind} at {mount.target}"
            source = _source(stack, service, mount)
            why = _against(stack, source, mount, node)
            if why:
                refused.append(f"{where} {why}")
            elif source is not None and not in_memory(source.volume):
                found.setdefault(mount.source, source)
            elif mount.kind != "tmpfs":
                passed.append(f"{where} is not kept: no data of the app's that lasts")
    if not found and not refused:
        refused.append("no service of it mounts a volume")
    return Scope(sources=tuple(found.values()), passed=tuple(passed), refused=tuple(refused))


def in_memory(volume: Volume) -> bool:
    """Whether a volume is a tmpfs: it is empty as soon as nothing runs with it, and nobody's data lasts in it."""
    return volume.driver == "local" and volume.options.get("type") == "tmpfs"


def strange(volume: Volume) -> str:
    """Why a volume is not one that can be copied and made anew with its options; empty where it can.

    A `size` only limits it. `type`, `o` and `device` make it something else: a share, a disk, a folder of the host.
    Their values are not shown, for `o` may hold a password.
    """
    if volume.driver != "local":
        return f"has the driver {volume.driver}, which is not read"
    if in_memory(volume) or not volume.options.keys() - {"size"}:
        return ""
    bind = "bind" in volume.options.get("o", "").split(",")
    kind = "a folder of the host" if bind else f"of type {volume.options.get('type') or 'unknown'}"
    return f"is {kind} behind the driver local, which is not read"


def _source(stack: Stack, service: Service, mount: Mount) -> Source | None:
    volume = next((v for v in stack.volumes if v.name == mount.source and mount.kind == "volume"), None)
    return None if volume is None else Source(volume=volume, service=service, target=mount.target)


def _against(stack: Stack, source: Source | None, mount: Mount, node: str) -> str:
    """Why a mount refuses the snapshot; a volume without a name does not: no task leaves it to the next."""
    if mount.kind == "volume":
        if source is None:
            return "is not on this node" if mount.source else ""
        if why := strange(source.volume):
            return why
        tasks = stack.tasks_of(source.service)
        return "is on another node" if {t.node_id for t in tasks if t.running} - {node} else ""
    known = mount.kind == "tmpfs" or (mount.kind == "bind" and mount.source in OF_THE_HOST)
    return "" if known else f"is a {mount.kind} mount, which is not read"
