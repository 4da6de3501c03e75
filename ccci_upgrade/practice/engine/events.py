"""What happened, kept for a while and told to everyone who listens."""

import threading
from collections import deque
from datetime import datetime

from ccci_upgrade import clock
from ccci_upgrade.practice.engine.tree import Json, Tree

KEPT = 1000
"""Events that `since` can reach back to; dockerd keeps 256."""


class Events:
    """One list and the listeners' queues; all of it under the clockwork's lock."""

    def __init__(self, lock: threading.Condition) -> None:
        self._lock = lock
        self._past: deque[Tree] = deque(maxlen=KEPT)
        self._listeners: list[deque[Tree]] = []

    def tell(self, kind: str, action: str, identity: str, attributes: dict[str, str]) -> None:
        """Something happened to `identity`."""
        moment = clock.now()
        said: dict[str, Json] = dict(attributes)
        event: Tree = {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": identity, "Attributes": said},
            "scope": "swarm" if kind in {"service", "node", "config", "secret"} else "local",
            "time": int(moment.timestamp()),
            "timeNano": int(moment.timestamp() * 1e6) * 1000,
        }
        if kind == "container":
            event |= {"status": action, "id": identity, "from": attributes.get("image", "")}
        with self._lock:
            self._past.append(event)
            for queue in self._listeners:
                queue.append(event)
            self._lock.notify_all()

    def listen(self, since: float | None) -> deque[Tree]:
        """Open a queue that begins at `since` (a Unix time), else now."""
        queue: deque[Tree] = deque()
        if since is not None:
            queue.extend(event for event in self._past if _time(event) >= since)
        self._listeners.append(queue)
        return queue

    def leave(self, queue: deque[Tree]) -> None:
        """Close a queue."""
        with self._lock:
            self._listeners = [each for each in self._listeners if each is not queue]


def wanted(event: Tree, filters: dict[str, list[str]]) -> bool:
    """Whether an event passes the filters: any of one kind, all kinds."""
    actor = event["Actor"] if isinstance(event["Actor"], dict) else {}
    attributes = actor.get("Attributes")
    said = attributes if isinstance(attributes, dict) else {}
    kind, action = str(event["Type"]), str(event["Action"])
    for key, values in filters.items():
        if key == "type":
            good = kind in values
        elif key == "event":
            good = action in values or action.partition(":")[0] in values
        elif key == "label":
            good = all(_has(said, word) for word in values)
        elif key in {"container", "service", "volume", "network", "config", "secret", "image"}:
            good = kind == key and any(value in {actor.get("ID"), said.get("name")} for value in values)
        else:
            good = True
        if not good:
            return False
    return True


def _has(said: dict[str, Json], word: str) -> bool:
    name, equals, value = word.partition("=")
    return name in said and (not equals or said[name] == value)


def _time(event: Tree) -> float:
    nano = event["timeNano"]
    return nano / 1e9 if isinstance(nano, int) else 0.0


def parse_time(word: str) -> float | None:
    """A moment as the API takes it: Unix seconds with decimals, or RFC 3339."""
    try:
        return float(word)
    except ValueError:
        moment: datetime | None = clock.parse_stamp(word)
        return moment.timestamp() if moment else None
