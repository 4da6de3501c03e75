"""A service's spec, checked and completed before it is kept."""

from ccci_upgrade.practice.engine.routes import Host, ports_of
from ccci_upgrade.practice.engine.things import Service
from ccci_upgrade.practice.engine.tree import Tree, copied, number, rows, sub, text
from ccci_upgrade.practice.engine.world import RefusedError

RPC = "rpc error: code ="
"""How the Engine begins what its Swarm refuses."""

MOST = 100
"""Replicas of one service; far more than practice needs, and far less than hurts."""


def read_spec(host: Host, given: Tree, service: Service | None) -> Tree:
    """The spec as it is kept: defaults filled in, networks by id, everything it names looked up.

    `service` is the one that is updated. RefusedError where something is missing or taken.
    """
    spec = copied(given)
    if not text(spec, "Name"):
        raise RefusedError(400, f"{RPC} InvalidArgument desc = meta: name must be provided")
    template = sub(spec, "TaskTemplate")
    container = sub(template, "ContainerSpec")
    if not text(container, "Image"):
        raise RefusedError(
            400, f"{RPC} InvalidArgument desc = ContainerSpec: image reference must be provided"
        )
    spec.setdefault("Labels", {})
    spec.setdefault("Mode", {"Replicated": {"Replicas": 1}})
    replicated = sub(spec, "Mode").get("Replicated")
    if isinstance(replicated, dict):
        replicated.setdefault("Replicas", 1)
    if number(spec, "Mode", "Replicated", "Replicas") > MOST:
        raise RefusedError(400, f"the practice engine runs at most {MOST} replicas of a service")
    container.setdefault("Isolation", "default")
    template.setdefault("ForceUpdate", 0)
    template.setdefault("Runtime", "container")
    for each in [*rows(template, "Networks"), *rows(spec, "Networks")]:
        network = host.world.network(text(each, "Target"))
        if network is None:
            raise RefusedError(404, f"network {text(each, 'Target')} not found")
        each["Target"] = network.id
    for each in rows(spec, "EndpointSpec", "Ports"):
        each.setdefault("Protocol", "tcp")
        each.setdefault("PublishMode", "ingress")
    _check_kept(host, container)
    _check_ports(host, spec, service)
    return spec


def _check_kept(host: Host, container: Tree) -> None:
    for key, kept in (("Secret", host.world.secrets), ("Config", host.world.configs)):
        names = [
            text(each, f"{key}Name")
            for each in rows(container, f"{key}s")
            if text(each, f"{key}ID") not in kept
        ]
        if names:
            word = key.lower() if len(names) == 1 else f"{key.lower()}s"
            raise RefusedError(400, f"{RPC} InvalidArgument desc = {word} not found: {', '.join(names)}")


def _check_ports(host: Host, spec: Tree, service: Service | None) -> None:
    for mode in ("ingress", "host"):
        for port in ports_of(spec, mode):
            for other in host.world.services.values():
                taken = ports_of(other.spec, "ingress") + (
                    ports_of(other.spec, "host") if mode == "ingress" else []
                )
                if other is not service and port in taken:
                    said = f"port '{port}' is already in use by service '{text(other.spec, 'Name')}' ({other.id})"
                    raise RefusedError(400, f"{RPC} InvalidArgument desc = {said} as an ingress port")
