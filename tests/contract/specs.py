"""Service specs as the Engine takes them: small, quick to converge, the same for both Engines."""

from collections.abc import Mapping, Sequence

from ccci_upgrade.tools.engine import Json
from tests.contract.jsontree import Tree

STACK = "com.docker.stack.namespace"
SECOND = 1_000_000_000
"""Durations of the Engine are nanoseconds."""

OLD, NEW, NEWER = "traefik:v3.0.0", "traefik:v3.0.1", "traefik:v3.1.0"
"""Images of one app; what it does is said by its environment. Data of the last is nothing for the others."""


def service(
    stack: str,
    name: str,
    *,
    image: str = OLD,
    env: Mapping[str, str] | None = None,
    replicas: int = 1,
    labels: Mapping[str, str] | None = None,
    port: int | None = None,
    mounts: Sequence[Tree] = (),
    configs: Sequence[Tree] = (),
    secrets: Sequence[Tree] = (),
    order: str = "stop-first",
    on_failure: str = "pause",
    monitor: float = 1.0,
    restart: str = "any",
    attempts: int = 0,
    delay: float = 0.2,
    grace: float = 5.0,
    healthcheck: bool = False,
) -> Tree:
    """Make a whole spec, named `STACK_NAME` and labelled as a stack's; seconds where the Engine takes ns."""
    return {
        "Name": f"{stack}_{name}",
        "Labels": {STACK: stack, **(labels or {})},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": image,
                "Labels": {STACK: stack},
                "Env": [f"{key}={value}" for key, value in (env or {}).items()],
                "Mounts": list(mounts),
                "Configs": list(configs),
                "Secrets": list(secrets),
                "StopGracePeriod": _ns(grace),
                **({"Healthcheck": _HEALTH} if healthcheck else {}),
            },
            "RestartPolicy": {"Condition": restart, "Delay": _ns(delay), "MaxAttempts": attempts},
        },
        "Mode": {"Replicated": {"Replicas": replicas}},
        "UpdateConfig": _update(order, on_failure, monitor),
        "RollbackConfig": _update(order, "pause", monitor),
        "EndpointSpec": {"Mode": "dnsrr", "Ports": _ports(port)},
    }


def volume(name: str, target: str = "/data", labels: Mapping[str, str] | None = None) -> Tree:
    """Mount a named volume; the labels are given to it when it is made."""
    mount: Tree = {"Type": "volume", "Source": name, "Target": target}
    return mount if labels is None else mount | {"VolumeOptions": {"Labels": dict(labels)}}


_HEALTH: Json = {
    "Test": ["CMD", "/healthcheck"],
    "Interval": SECOND // 2,
    "Timeout": SECOND,
    "Retries": 2,
}


def _update(order: str, on_failure: str, monitor: float) -> Tree:
    return {
        "Parallelism": 1,
        "Order": order,
        "FailureAction": on_failure,
        "Monitor": _ns(monitor),
        "MaxFailureRatio": 0,
    }


def _ports(port: int | None) -> list[Json]:
    if port is None:
        return []
    return [{"Protocol": "tcp", "TargetPort": 8080, "PublishedPort": port, "PublishMode": "host"}]


def _ns(seconds: float) -> int:
    return int(seconds * SECOND)
