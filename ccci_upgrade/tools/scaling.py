"""Services scaled through the Engine, and how their containers ended: one of the two acts that are not abra's."""

import threading
from datetime import datetime
from types import TracebackType
from typing import Self

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.tools.engine import Engine, Json

ATTEMPTS = 5
OUT_OF_SEQUENCE = "out of sequence"
GRACE = 10.0
"""Seconds between TERM and KILL where a service says nothing else."""


def scale(engine: Engine, service: str, replicas: int) -> None:
    """Give a replicated service this many replicas and change nothing else of it.

    Somebody may write the service between our reading and writing: then it is read again.
    """
    for _ in range(ATTEMPTS):
        spec, index = _spec(engine.get(f"/services/{service}"))
        mode = spec.get("Mode")
        replicated = mode.get("Replicated") if isinstance(mode, dict) else None
        if not isinstance(replicated, dict):
            raise EngineError(f"service {service} has no number of replicas")
        if replicated.get("Replicas") == replicas:
            return
        spec["Mode"] = {"Replicated": {**replicated, "Replicas": replicas}}
        answer = engine.ask("POST", f"/services/{service}/update", {"version": index}, body=spec)
        if answer.status < 300:  # noqa: PLR2004 - HTTP success
            return
        if OUT_OF_SEQUENCE not in answer.message:
            raise EngineError(f"service {service} cannot be scaled: {answer.message}")
    raise EngineError(f"service {service} cannot be scaled: somebody else keeps changing it")


def stop_grace(engine: Engine, service: str) -> float:
    """Seconds that a service's containers get to end by themselves."""
    spec, _ = _spec(engine.get(f"/services/{service}"))
    at: Json = spec
    for key in ("TaskTemplate", "ContainerSpec", "StopGracePeriod"):
        at = at.get(key) if isinstance(at, dict) else None
    return at / 1e9 if isinstance(at, int) else GRACE


class Deaths:
    """Listens to `die` events from before an act on: soon after, nothing else has a container's exit code."""

    def __init__(self, engine: Engine, *, since: datetime) -> None:
        """Listen from the Engine's time `since` on."""
        self._engine = engine
        self._since = f"{since.timestamp():.3f}"
        self._codes: dict[str, int] = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._closed.set()
        self._thread.join(timeout=2)

    def code(self, container: str, *, seconds: float) -> int | None:
        """How a container ended; None where no event says so within `seconds`."""
        deadline = clock.ticks() + seconds
        while container not in self._codes and clock.ticks() < deadline:
            clock.sleep(0.05)
        return self._codes.get(container)

    def _listen(self) -> None:
        query: dict[str, Json] = {"since": self._since, "filters": {"type": ["container"], "event": ["die"]}}
        while not self._closed.is_set():
            try:
                lines = self._engine.lines("GET", "/events", query, seconds=60, cancelled=self._closed.is_set)
                for line in lines:
                    self._note(line)
            except EngineError:
                self._closed.wait(0.5)

    def _note(self, line: dict[str, Json]) -> None:
        actor = line.get("Actor")
        attributes = actor.get("Attributes") if isinstance(actor, dict) else None
        name = actor.get("ID") if isinstance(actor, dict) else None
        said = attributes.get("exitCode") if isinstance(attributes, dict) else None
        if isinstance(name, str) and isinstance(said, str) and said.lstrip("-").isdecimal():
            self._codes[name] = int(said)


def _spec(found: Json) -> tuple[dict[str, Json], int]:
    spec = found.get("Spec") if isinstance(found, dict) else None
    version = found.get("Version") if isinstance(found, dict) else None
    index = version.get("Index") if isinstance(version, dict) else None
    if not isinstance(spec, dict) or not isinstance(index, int):
        raise EngineError("the Engine's answer about a service is not what it must be")
    return spec, index
