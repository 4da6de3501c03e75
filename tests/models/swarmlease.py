"""The lease's config on an Engine that fails on order, and the rule that no write may break.

There is one door for each operator, so that it is known who asks.
"""

import json
import socket
from datetime import UTC, datetime, timedelta

from ccci_upgrade.model.lease import LIMIT, NAME, from_labels, to_labels
from tests.fakeengine import FakeEngine, Request, answer

WRITES = ("sequence", "refused", "lost", "late", "taken", "torn")
"""Faults of the next write. `lost`: it never came; `late`: it comes in later; the last two are taken, unanswered.

`silent` is one more: taken, and no answer for a second.
"""

READS = ("refused", "lost", "torn")
"""Faults of the next read."""

WATCHED = 0.25
"""The part of its limit for which nobody may be taken over after a sign of life, whatever the clocks say."""

_PATH = f"/configs/{NAME}"


class World:
    """One Swarm: the config, the Engine's clock, and a clock that never jumps (`ticks`)."""

    def __init__(self) -> None:
        """A Swarm without a lease."""
        self.now = datetime(2026, 3, 1, 12, tzinfo=UTC)
        self.ticks = 1000.0
        self.labels: dict[str, str] | None = None
        self.index = 1
        self.updated = self.now
        self.beaten = self.ticks
        self.jumped = False
        self.dead: set[str] = set()
        self.faults: dict[str, str] = {}
        self.pending: list[Request] = []
        self.every = ""
        self.meanwhile = ""
        self.met = 0
        self.broken: list[str] = []

    @property
    def token(self) -> str:
        """Whose it is; "" where it is free."""
        claim = from_labels(self.labels or {})
        return "" if claim is None or isinstance(claim, str) else claim.token

    def passes(self, seconds: float) -> None:
        """Time passes for everybody."""
        self.now += timedelta(seconds=seconds)
        self.ticks += seconds

    def write(self, request: Request) -> tuple[int, str]:
        """Take a write as a Swarm does; gives status and message."""
        said = json.loads(request.body)["Labels"]
        if request.path == "/configs/create":
            if self.labels is not None:
                return 409, "name conflicts with an existing object"
        elif self.labels is None:
            return 404, "no such config"
        elif request.query["version"] != [str(self.index)]:
            return 500, "rpc error: code = Unknown desc = update out of sequence"
        before = self.token
        self.put(said)
        self._judge(before, self.token)
        self.beaten = self.ticks
        return 200, ""

    def put(self, labels: dict[str, str]) -> None:
        """Have these labels, whoever wrote them."""
        self.labels, self.index, self.updated = labels, self.index + 1, self.now

    def _judge(self, before: str, after: str) -> None:
        if not before or not after or before == after or before in self.dead:
            return
        silent = self.ticks - self.beaten
        least = LIMIT * WATCHED if self.jumped else LIMIT
        if silent < least:
            self.broken.append(f"{after[:4]} took it from {before[:4]} {silent} s after a sign of life")


class Door(FakeEngine):
    """One operator's way to it."""

    def __init__(self, world: World) -> None:
        """Open it; nothing listens yet."""
        super().__init__()
        self.world = world
        self.shut = False
        self.replies |= {
            "/_ping": self._ping,
            "/info": self._info,
            _PATH: self._read,
            "/configs/create": self._write,
            f"{_PATH}/update": self._write,
        }

    def _ping(self, connection: socket.socket) -> bool:
        return not self.shut and answer(b"OK", headers={"Api-Version": "1.41"})(connection)

    def _info(self, connection: socket.socket) -> bool:
        return not self.shut and _say(connection, 200, {"SystemTime": self.world.now.isoformat()})

    def _read(self, connection: socket.socket) -> bool:
        world, fault = self.world, self._fault("read")
        if self.shut or fault == "lost":
            return False
        if fault == "torn":
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{")
            return False
        if fault == "refused":
            return _say(connection, 500, {"message": "no leader"})
        if world.labels is None:
            return _say(connection, 404, {"message": "no such config"})
        at = {"Version": {"Index": world.index}, "UpdatedAt": world.updated.isoformat()}
        return _say(connection, 200, {"Spec": {"Name": NAME, "Labels": world.labels}, **at})

    def _write(self, connection: socket.socket) -> bool:
        world, request, fault = self.world, self.requests[-1], self._fault("write")
        if self.shut or fault == "lost":
            return False
        if fault == "late":
            world.pending.append(request)
            return False
        if fault in {"refused", "sequence"}:
            said = "update out of sequence" if fault == "sequence" else "no leader"
            return _say(connection, 500, {"message": said})
        self._somebody()
        status, message = world.write(request)
        if fault == "silent":
            self.ended.wait(1.0)
        if fault == "torn":
            connection.sendall(b"HTTP/1.1 20")
        return not fault and _say(connection, status, {"message": message})

    def _fault(self, call: str) -> str:
        fault = "" if self.shut else self.world.faults.pop(call, self.world.every if call == "write" else "")
        self.world.met += bool(fault)
        return fault

    def _somebody(self) -> None:
        """What another did between our look and our write."""
        world, done = self.world, self.world.meanwhile
        world.meanwhile = ""
        if world.labels is not None and done:
            world.met += 1
            world.put(to_labels(None) if done == "freed" else world.labels)


def _say(connection: socket.socket, status: int, value: object) -> bool:
    return answer(json.dumps(value).encode(), status=status)(connection)
