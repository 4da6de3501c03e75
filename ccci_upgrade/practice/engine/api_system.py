"""Routes about the Engine itself: ping, version, info, events, the Swarm and its one node."""

import json
import os
import platform
from collections.abc import Iterator

from ccci_upgrade import clock
from ccci_upgrade.practice.engine.events import parse_time, wanted
from ccci_upgrade.practice.engine.routes import Host, Route, filters
from ccci_upgrade.practice.engine.tree import Json, Tree
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError, stamp

API = "1.41"
VERSION = "25.0.0-practice"
NODE = "practice"


def ping(host: Host, request: Request, _: str) -> Answer:
    """Say that somebody is here."""
    del host
    return Answer(body=b"" if request.method == "HEAD" else b"OK", kind="text/plain")


def version(host: Host, request: Request, _: str) -> Answer:
    """Say which Engine this is."""
    del request
    details: Tree = {"ApiVersion": API, "MinAPIVersion": "1.24"}
    return as_json(
        {
            "Platform": {"Name": "ccci-upgrade practice engine"},
            "Components": [{"Name": "Engine", "Version": VERSION, "Details": details}],
            "Version": VERSION,
            "ApiVersion": API,
            "MinAPIVersion": "1.24",
            "Os": "linux",
            "Arch": "amd64",
            "KernelVersion": platform.release(),
            "BuildTime": host.world.started,
        }
    )


def info(host: Host, request: Request, _: str) -> Answer:
    """Tell about host and Swarm."""
    del request
    world = host.world
    states = [each.state for each in world.containers.values()]
    return as_json(
        {
            "ID": world.cluster_id,
            "Name": NODE,
            "ServerVersion": VERSION,
            "SystemTime": stamp(),
            "DockerRootDir": str(world.folder),
            "Driver": "practice",
            "OperatingSystem": platform.system(),
            "OSType": "linux",
            "Architecture": "x86_64",
            "NCPU": os.cpu_count() or 1,
            "MemTotal": 4 << 30,
            "Containers": len(states),
            "ContainersRunning": states.count("running"),
            "ContainersPaused": 0,
            "ContainersStopped": len(states) - states.count("running"),
            "Images": len(world.images.here()),
            "Warnings": None,
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "host", "null", "overlay"],
                "Log": ["json-file"],
            },
            "Swarm": {
                "NodeID": world.node_id,
                "NodeAddr": "127.0.0.1",
                "LocalNodeState": "active",
                "ControlAvailable": True,
                "Error": "",
                "RemoteManagers": [{"NodeID": world.node_id, "Addr": "127.0.0.1:2377"}],
                "Nodes": 1,
                "Managers": 1,
                "Cluster": _cluster(host),
            },
        }
    )


def swarm(host: Host, request: Request, _: str) -> Answer:
    """Describe the Swarm."""
    del request
    return as_json(_cluster(host))


def nodes(host: Host, request: Request, _: str) -> Answer:
    """List the one node."""
    given = filters(request)
    node = _node(host)
    fits = all(
        any(str(node["ID"]).startswith(word) for word in words) if key == "id" else NODE in words
        for key, words in given.items()
        if key in {"id", "name"}
    )
    return as_json([node] if fits else [])


def node(host: Host, request: Request, name: str) -> Answer:
    """Describe the node."""
    del request
    if name not in {host.world.node_id, NODE, "self"}:
        raise RefusedError(404, f"node {name} not found")
    return as_json(_node(host))


def events(host: Host, request: Request, _: str) -> Answer:
    """Tell what happens, line by line."""
    since = parse_time(request.query["since"]) if request.query.get("since") else None
    until = parse_time(request.query["until"]) if request.query.get("until") else None
    return Answer(stream=_told(host, filters(request), since, until))


def _told(
    host: Host, given: dict[str, list[str]], since: float | None, until: float | None
) -> Iterator[bytes]:
    world = host.world
    with world.clockwork.lock:
        queue = world.events.listen(since)
    try:
        while True:
            left = None if until is None else max(0.0, until - clock.now().timestamp())
            lines: list[bytes] = []
            with world.clockwork.lock:
                host.clockwork.wait_for(lambda: bool(queue) and not world.frozen, left)
                if not world.frozen:
                    lines = [json.dumps(event).encode() + b"\n" for event in queue if wanted(event, given)]
                    queue.clear()
            if lines:
                yield b"".join(lines)
            if host.clockwork.stopped or left == 0:
                return
    finally:
        world.events.leave(queue)


def _cluster(host: Host) -> Tree:
    world = host.world
    return {
        "ID": world.cluster_id,
        "Version": {"Index": 10},
        "CreatedAt": world.started,
        "UpdatedAt": world.started,
        "Spec": {
            "Name": "default",
            "Labels": {},
            "Orchestration": {"TaskHistoryRetentionLimit": 5},
            "Raft": {},
            "Dispatcher": {},
            "CAConfig": {},
            "TaskDefaults": {},
            "EncryptionConfig": {"AutoLockManagers": False},
        },
        "TLSInfo": {},
        "RootRotationInProgress": False,
        "DataPathPort": 4789,
    }


def _node(host: Host) -> Tree:
    world = host.world
    engine: Json = {"EngineVersion": VERSION, "Plugins": []}
    return {
        "ID": world.node_id,
        "Version": {"Index": 9},
        "CreatedAt": world.started,
        "UpdatedAt": world.started,
        "Spec": {"Labels": {}, "Role": "manager", "Availability": "active"},
        "Description": {
            "Hostname": NODE,
            "Platform": {"Architecture": "x86_64", "OS": "linux"},
            "Resources": {"NanoCPUs": 2_000_000_000, "MemoryBytes": 4 << 30},
            "Engine": engine,
        },
        "Status": {"State": "ready", "Addr": "127.0.0.1"},
        "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "127.0.0.1:2377"},
    }


ROUTES = [
    Route(method="GET", path="/_ping", answer=ping),
    Route(method="HEAD", path="/_ping", answer=ping),
    Route(method="GET", path="/version", answer=version),
    Route(method="GET", path="/info", answer=info),
    Route(method="GET", path="/events", answer=events),
    Route(method="GET", path="/swarm", answer=swarm),
    Route(method="GET", path="/nodes", answer=nodes),
    Route(method="GET", path="/nodes/{id}", answer=node),
]
