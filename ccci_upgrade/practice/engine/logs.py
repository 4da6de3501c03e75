"""What containers printed, in Docker's stream frames."""

import struct
from dataclasses import dataclass

from ccci_upgrade.practice.engine.routes import Host
from ccci_upgrade.practice.engine.things import Container
from ccci_upgrade.practice.engine.wire import Request
from ccci_upgrade.practice.engine.world import RefusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of one container; `stream` is 1 or 2."""

    moment: str
    stream: int
    text: str
    container: Container


def frames(host: Host, request: Request, found: list[Container]) -> bytes:
    """The lines of these containers by time, each in a frame: stream, three zeros, length."""
    streams = [number for number, name in ((1, "stdout"), (2, "stderr")) if request.flag(name)]
    if not streams:
        raise RefusedError(400, "Bad parameters: you must choose at least one stream")
    lines = [
        Line(moment=moment, stream=stream, text=text, container=container)
        for container in found
        for stream, moment, text in container.logs
        if stream in streams
    ]
    lines.sort(key=lambda line: line.moment)
    tail = request.query.get("tail", "all")
    if tail.isdecimal():
        lines = lines[-int(tail) :] if int(tail) else []
    return b"".join(_frame(host, request, line) for line in lines)


def _frame(host: Host, request: Request, line: Line) -> bytes:
    text = f"{line.text}\n"
    if request.flag("details"):
        held = line.container.labels
        names = {
            "com.docker.swarm.node.id": host.world.node_id,
            "com.docker.swarm.service.id": held.get("com.docker.swarm.service.id", ""),
            "com.docker.swarm.task.id": held.get("com.docker.swarm.task.id", ""),
        }
        text = f"{','.join(f'{name}={value}' for name, value in names.items())} {text}"
    if request.flag("timestamps"):
        text = f"{line.moment} {text}"
    body = text.encode(errors="replace")
    return struct.pack(">BxxxI", line.stream, len(body)) + body
