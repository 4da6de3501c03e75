"""An app stopped for a copy and brought back: the app before its database, the database seen to stop cleanly."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError, ForeignChangeError, NotReadyError
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.status import state_of
from ccci_upgrade.model.image import is_database
from ccci_upgrade.model.stackstate import unhealthy_lines
from ccci_upgrade.model.swarm import Service, Stack
from ccci_upgrade.tools import scaling, volumes
from ccci_upgrade.tools.scaling import Deaths
from ccci_upgrade.tools.swarm import Swarm

POLL = 0.2
STOP_SECONDS = 30.0
"""Seconds beyond its own grace that a service may take to be gone: Swarm waits for its network's gossip."""

EVENT_SECONDS = 5.0
KILLED_BY = 128
"""Codes from here on are signals."""

TERMINATED = 143
"""How a program ends that SIGTERM ended: its own doing, unlike 137."""

Stop = Callable[[], None]
"""Raises where a person pressed Ctrl-C."""


@dataclass(slots=True)
class Quiesced:
    """A stack and what was done to it. `codes` by service: how its containers ended.

    `strict`: a keeper of data must stop cleanly; a failed state is kept as it is.
    """

    swarm: Swarm
    before: Stack
    reporter: Reporter
    strict: bool = True
    touched: bool = False
    codes: dict[str, tuple[int | None, ...]] = field(default_factory=dict)

    @property
    def order(self) -> list[Service]:
        """Services that are stopped, first to last: databases last."""
        running = [s for s in self.before.services if s.replicas]
        return sorted(running, key=lambda s: (is_database(s.image) is not None, s.name))

    @property
    def noted(self) -> str:
        """Replica counts as `docker service scale` takes them, in the order they come back."""
        return " ".join(f"{s.full_name}={s.replicas}" for s in reversed(self.order))

    def stop(self, check: Stop) -> str:
        """Scale to 0, one after another; NotReadyError where a keeper of data does not stop cleanly."""
        keepers = self._keepers()
        with Deaths(self.swarm.engine, since=self.swarm.engine_time()) as deaths:
            self.touched = True
            for service in self.order:
                check()
                self._stop_one(service, deaths, check)
                if self.strict and service.name in keepers and not self._clean(service):
                    self._once_more(service, deaths, check)
            self._unused(check)
        ended = ", ".join(f"{name} {_words(codes)}" for name, codes in self.codes.items())
        return f"stopped with exit {ended}" if ended else "nothing ran"

    def still(self) -> None:
        """ForeignChangeError where somebody changed the stack since it was stopped: the copy is of no use."""
        now = self.swarm.stack(self.before.name)
        for old in self.before.services:
            new = now.service(old.name)
            wanted = 0 if old.replicas else old.replicas
            if new is None or (new.template_hash, new.replicas) != (old.template_hash, wanted):
                raise ForeignChangeError(
                    f"somebody changed {old.full_name} while it was stopped for the snapshot",
                    hint="find out who works on this app; then try again",
                )

    def start(self) -> None:
        """Scale back, database first; a service that is not at 0 any more belongs to whoever changed it."""
        now = self.swarm.stack(self.before.name)
        for service in reversed(self.order):
            found = now.service(service.name)
            if found is None or (found.replicas and found.replicas != service.replicas):
                self.reporter.note(f"{service.full_name} was changed by somebody else; it is left as it is")
                continue
            scaling.scale(self.swarm.engine, service.full_name, service.replicas or 0)

    # -- one service -------------------------------------------------------------------------------------

    def _keepers(self) -> set[str]:
        """Who must stop cleanly: databases, or where there is none, services that mount volumes."""
        databases = {s.name for s in self.order if is_database(s.image)}
        mounting = {s.name for s in self.order if any(m.kind == "volume" for m in s.mounts)}
        return databases or mounting

    def _clean(self, service: Service) -> bool:
        """A database says so with 0; others may end with any code of their own (drone: 1), but not be killed."""
        codes = self.codes[service.name]
        if is_database(service.image):
            return bool(codes) and set(codes) == {0}
        return bool(codes) and all(c is not None and (c < KILLED_BY or c == TERMINATED) for c in codes)

    def _stop_one(self, service: Service, deaths: Deaths, check: Stop) -> None:
        self.reporter.waiting(f"{service.name} to stop")
        now = self.swarm.stack(self.before.name)
        found = now.service(service.name)
        tasks = now.tasks_of(found) if found else ()
        containers = [t.container_id for t in tasks if t.state in ("starting", "running") and t.container_id]
        grace = scaling.stop_grace(self.swarm.engine, service.full_name)
        scaling.scale(self.swarm.engine, service.full_name, 0)
        deadline = clock.ticks() + grace + STOP_SECONDS
        while self._running(service):
            check()
            if clock.ticks() >= deadline:
                raise NotReadyError(
                    f"{service.full_name} did not stop within {grace + STOP_SECONDS:.0f} s",
                    hint="look at its log: docker service logs",
                    code="unclean-stop",
                )
            clock.sleep(POLL)
        self.codes[service.name] = tuple(deaths.code(each, seconds=EVENT_SECONDS) for each in containers)

    def _once_more(self, service: Service, deaths: Deaths, check: Stop) -> None:
        """A database that was killed repairs itself at its next start: only after that its files are whole."""
        first = _words(self.codes[service.name])
        self.reporter.note(f"{service.name} ended with exit {first}: it is started and stopped once more")
        scaling.scale(self.swarm.engine, service.full_name, service.replicas or 0)
        deadline = clock.ticks() + STOP_SECONDS
        while not self._up(service) and clock.ticks() < deadline:
            check()
            clock.sleep(POLL)
        self._stop_one(service, deaths, check)
        if not self._clean(service):
            again = _words(self.codes[service.name])
            raise NotReadyError(
                f"{service.full_name} does not stop cleanly: exit {first}, then {again}",
                hint="a copy of its files may be of no use; look at its log, or give it a longer `stop_grace_period`",
                code="unclean-stop",
            )

    def _up(self, service: Service) -> bool:
        now = self.swarm.stack(self.before.name)
        found = now.service(service.name)
        return found is not None and sum(t.running for t in now.tasks_of(found)) >= (service.replicas or 0)

    def _running(self, service: Service) -> bool:
        now = self.swarm.stack(self.before.name)
        found = now.service(service.name)
        tasks = now.tasks_of(found) if found else ()
        if any(t.state in ("preparing", "ready", "starting", "running") for t in tasks):
            return True
        label = f"com.docker.swarm.service.name={service.full_name}"
        return bool(self.swarm.engine.get("/containers/json", {"filters": {"label": [label]}}))

    def _unused(self, check: Stop) -> None:
        """Somebody outside the stack may mount a volume of it as well."""
        names = {m.source for s in self.before.services for m in s.mounts if m.kind == "volume" and m.source}
        deadline = clock.ticks() + EVENT_SECONDS
        for name in sorted(names):
            while volumes.users(self.swarm.engine, name):
                check()
                if clock.ticks() >= deadline:
                    raise NotReadyError(
                        f"a container that is not of {self.before.name} uses the volume {name}",
                        hint=f"docker ps --filter volume={name}",
                        code="volume-in-use",
                    )
                clock.sleep(POLL)


def as_noted(stack: Stack, noted: str) -> Stack:
    """A stack as it was before a killed run stopped it, from the `SERVICE=REPLICAS` that it noted."""
    counts = {name: int(count) for name, _, count in (word.rpartition("=") for word in noted.split())}
    services = (
        replace(each, replicas=counts[each.full_name], wanted=counts[each.full_name])
        if each.full_name in counts and each.replicas == 0
        else each
        for each in stack.services
    )
    return replace(stack, services=tuple(services))


def wait_healthy(
    swarm: Swarm, name: str, reporter: Reporter, *, settle: float, deadline: float, stop: Callable[[], bool]
) -> Stack:
    """Look until a stack was as it should be for `settle` seconds; NotReadyError at `deadline` (of `clock.ticks`)."""
    since, tasks, why = clock.ticks(), frozenset[str](), ""
    while True:
        try:
            stack = swarm.stack(name)
        except EngineError as error:
            calm = good = False
            why = error.message
        else:
            lines, state = unhealthy_lines(stack), state_of(stack)
            running = frozenset(task.id for task in stack.tasks if task.running)
            calm = not lines and state in ("converged", "rolled_back")
            good = calm and running == tasks
            tasks, why = running, "; ".join(lines) or state
            if good and clock.ticks() - since >= settle:
                return stack
        if not good:
            since = clock.ticks()
        reporter.waiting(f"the stability window ({settle:g} s)" if calm else why)
        if clock.ticks() >= deadline or stop():
            raise NotReadyError(
                f"{name} is not settled: {why}",
                hint="`ccci-upgrade health` says what is wrong",
                code="unsettled",
            )
        clock.sleep(POLL)


def _words(codes: tuple[int | None, ...]) -> str:
    return "/".join("unknown" if code is None else str(code) for code in codes) or "unknown"
