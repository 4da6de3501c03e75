"""What a client can see of a stack over time, reduced to what no timing decides.

A look is made every 50 ms, and events are read beside it. What a look may miss is left out of a story: the states
of a task before `running`, `running` of one that failed or finished by itself, and a task that was taken away
before a look saw it run. `UpdateStatus` is read from events, for `rollback_started` may last 2 ms.
"""

import re
import threading
import time
from dataclasses import dataclass, field
from typing import Self

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.tools.engine import Engine, Json
from tests.contract.jsontree import Tree, number, rows, text, tree
from tests.contract.specs import STACK

LOOK = 0.05
_PASSING = ("new", "pending", "assigned", "accepted", "preparing", "ready", "starting")
_TAKEN = ("shutdown", "remove")
_ENDED = ("complete", "failed", "shutdown", "rejected", "orphaned", "remove")
_ID = re.compile(r"\b(?:[0-9a-z]{25}|[0-9a-f]{64}|[0-9a-f]{12})\b")


@dataclass(kw_only=True, slots=True)
class TaskStory:
    """One task: the states it was seen in, and its end."""

    image: str
    created: str
    states: list[str] = field(default_factory=list)
    desired: str = ""
    error: str = ""
    code: int | None = None

    def line(self) -> str:
        """Tag, state, exit code, and the Engine's words for its error; "" where it never came to run."""
        last = self.states[-1]
        if last in _PASSING or (last in _TAKEN and "running" not in self.states):
            return ""
        told = [self.image.rpartition(":")[2], *(["running"] if last in _TAKEN else []), last]
        if last in _ENDED and last != "rejected" and self.code is not None:
            told.append(f"exit {self.code}")
        return " ".join(told) + (f" ({plain(self.error)})" if self.error else "")


class Recorder:
    """Looks at one stack, and listens to its events, until the `with` ends."""

    def __init__(self, engine: Engine, stack: str) -> None:
        """Look through this Engine; nothing is asked yet."""
        self._engine = engine
        self._stack = stack
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=run) for run in (self._looking, self._listening)]
        self._failed: EngineError | None = None
        self._since = 0.0
        self._updates: dict[str, list[str]] = {}
        self._messages: dict[str, list[str]] = {}
        self._tasks: dict[tuple[str, int], dict[str, TaskStory]] = {}
        self._events: list[Tree] = []

    def __enter__(self) -> Self:
        began = clock.parse_stamp(text(self._engine.get("/info"), "SystemTime"))
        assert began is not None
        self._since = began.timestamp()
        self._look()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(2 * LOOK)  # what has just happened is told a moment later
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
        if self._failed is not None:
            raise self._failed
        self._look()

    def updates(self, name: str) -> list[str]:
        """All states of `UpdateStatus` in order, first the one that a first look saw (`null`: none)."""
        first = self._updates.get(name, [])[:1]
        events = [e for e in self._of("service") if _attribute(e, "name") == f"{self._stack}_{name}"]
        return first + [state for e in events if (state := _attribute(e, "updatestate.new"))]

    def looked(self, name: str) -> list[str]:
        """The distinct states of `UpdateStatus` that looks saw."""
        return self._updates.get(name, [])

    def messages(self, name: str) -> list[str]:
        """The distinct messages of `UpdateStatus` that looks saw, ids left out."""
        return self._messages.get(name, [])

    def tasks(self, name: str, slot: int = 1) -> list[str]:
        """The tasks of one slot, oldest first; equal neighbours are one, and one that never ran is left out."""
        stories = sorted(self._tasks.get((name, slot), {}).values(), key=lambda task: task.created)
        lines: list[str] = []
        for story in stories:
            if line := story.line():
                _append(lines, line)
        return lines

    def count(self, name: str, slot: int = 1) -> int:
        """How many tasks the slot has had."""
        return len(self._tasks.get((name, slot), {}))

    def slots(self, name: str) -> list[int]:
        """The slots that were ever used."""
        return sorted(slot for service, slot in self._tasks if service == name)

    def services(self, name: str) -> list[str]:
        """The actions of a service's own events, in order."""
        return [
            text(e, "Action") for e in self._of("service") if _attribute(e, "name") == f"{self._stack}_{name}"
        ]

    def containers(self, name: str) -> list[str]:
        """By container, oldest first: its events, with exit codes, signals and health."""
        service = "com.docker.swarm.service.name"
        told: dict[str, list[str]] = {}
        for event in self._of("container"):
            if _attribute(event, service) == f"{self._stack}_{name}":
                told.setdefault(text(event, "Actor", "ID"), []).append(_word(event))
        return [" ".join(words) for words in told.values()]

    def _of(self, kind: str) -> list[Tree]:
        return [event for event in self._events if event.get("Type") == kind]

    def _looking(self) -> None:
        try:
            while not self._stop.wait(LOOK):
                self._look()
        except EngineError as error:
            self._failed = error
        finally:
            self._engine.close()

    def _listening(self) -> None:
        query: dict[str, Json] = {"since": f"{self._since:.6f}"}
        try:
            for line in self._engine.lines("GET", "/events", query, seconds=60, cancelled=self._stop.is_set):
                self._events.append(line)
        except EngineError as error:
            self._failed = error

    def _look(self) -> None:
        wanted: Json = {"label": [f"{STACK}={self._stack}"]}
        names = {}
        for service in rows(self._engine.get("/services", {"filters": wanted})):
            name = text(service, "Spec", "Name").removeprefix(f"{self._stack}_")
            names[text(service, "ID")] = name
            _append(self._updates.setdefault(name, []), text(service, "UpdateStatus", "State") or "null")
            if said := text(service, "UpdateStatus", "Message"):
                _append(self._messages.setdefault(name, []), plain(said))
        for task in rows(self._engine.get("/tasks", {"filters": wanted})):
            if name := names.get(text(task, "ServiceID"), ""):
                self._see(self._tasks.setdefault((name, number(task, "Slot") or 0), {}), task)

    @staticmethod
    def _see(stories: dict[str, TaskStory], task: Tree) -> None:
        story = stories.setdefault(
            text(task, "ID"),
            TaskStory(image=text(task, "Spec", "ContainerSpec", "Image"), created=text(task, "CreatedAt")),
        )
        status = tree(task, "Status")
        state = text(status, "State")
        if not story.states or story.states[-1] != state:
            story.states.append(state)
        story.desired = text(task, "DesiredState")
        story.error = text(status, "Err")
        story.code = number(status, "ContainerStatus", "ExitCode")


def plain(said: str) -> str:
    """An Engine's words without ids."""
    return _ID.sub("<id>", said)


def _attribute(event: Tree, key: str) -> str:
    found = tree(event, "Actor", "Attributes").get(key)
    return found if isinstance(found, str) else ""


def _word(event: Tree) -> str:
    action = (
        text(event, "Action").partition(":")[0] if "exec" in text(event, "Action") else text(event, "Action")
    )
    detail = _attribute(event, "exitCode") or _attribute(event, "signal")
    return f"{action}({detail})" if detail and action in ("die", "kill") else action.replace(": ", "=")


def _append(told: list[str], word: str) -> None:
    if word not in told[-1:]:
        told.append(word)
