"""A container from its start to its end: the app inside, its health check, its ports."""

from ccci_upgrade.practice.engine import data
from ccci_upgrade.practice.engine.clockwork import Pause, Process, Steps
from ccci_upgrade.practice.engine.doors import Doors
from ccci_upgrade.practice.engine.things import Container
from ccci_upgrade.practice.engine.tree import LARGE, number, seconds, sub, words
from ccci_upgrade.practice.engine.world import World, stamp

KILLED = 137
STOPPING = 0.06
"""Seconds an app takes to end when it is told to."""

LINES = 2000
"""Lines of log that are kept of one container."""


class Containers:
    """Starts and ends containers."""

    def __init__(self, world: World, doors: Doors) -> None:
        self.world = world
        self._doors = doors
        self._inside: dict[str, list[Process]] = {}
        self._pid = 4000

    def start(self, container: Container, ports: list[int]) -> None:
        """Start it; `ports` are the host's. OSError where a port cannot be had."""
        opened: list[int] = []
        try:
            for published in ports:
                self._doors.open(published, lambda: container, owner=container)
                opened.append(published)
        except OSError:
            for published in opened:
                self._doors.close(published)
            raise
        self._pid += 1
        container.pid = self._pid
        container.state = "running"
        container.started = stamp()
        container.finished = "0001-01-01T00:00:00Z"
        go = self.world.clockwork.go
        self._inside[container.id] = [go(self._app(container))]
        self.world.tell(container, "start")
        if _checked(container):
            container.health = "starting"
            self._inside[container.id].append(go(self._check(container)))
        self.world.clockwork.touch()

    def exit(self, container: Container, code: int) -> None:
        """It ends, now, with a code."""
        if container.state != "running":
            return
        container.state = "exited"
        container.code = code
        container.finished = stamp()
        container.serving = False
        container.pid = 0
        for process in self._inside.pop(container.id, []):
            self.world.clockwork.cancel(process)
        self._doors.close_of(container)
        self.world.tell(container, "die", exitCode=str(code))
        self.world.clockwork.touch()

    def stop(self, container: Container, grace: float) -> Steps:
        """TERM, and KILL after `grace` seconds."""
        if container.state == "running":
            self.world.tell(container, "kill", signal="15")
            deaf = bool(container.env.get("IGNORE_TERM"))
            yield Pause(seconds=grace if deaf else STOPPING, until=lambda: container.state != "running")
            if container.state == "running" and deaf:
                self.world.tell(container, "kill", signal="9")
            self.exit(container, KILLED if deaf else 0)
            self.world.tell(container, "stop")

    def say(self, container: Container, line: str, *, stream: int = 1) -> None:
        """Print a line: 1 to standard output, 2 to standard error."""
        container.logs.append((stream, stamp(), line))
        del container.logs[:-LINES]
        self.world.clockwork.touch()

    def _app(self, container: Container) -> Steps:
        env = container.env
        who = f"{container.kind} {container.version}"
        self.say(container, f"{who} starting")
        yield Pause(seconds=0.05)
        if code := env.get("EXIT", ""):
            self.say(container, f"fatal: {container.kind} cannot start, exit {code}", stream=2)
            self.exit(container, int(code) if code.isdigit() else 2)
            return
        if env.get("DATA_DIR") and not self._opened(container):
            self.exit(container, 1)
            return
        yield Pause(seconds=_float(env.get("START_DELAY")))
        container.serving = True
        self.say(container, f"{who} ready")
        self.world.clockwork.touch()
        yield from self._later(container)

    def _opened(self, container: Container) -> bool:
        opened = data.open_data(container, self.world)
        for line in opened.lines:
            self.say(container, line, stream=1 if opened.good else 2)
        return opened.good

    def _later(self, container: Container) -> Steps:
        """What an app does after it came up: nothing, or fail."""
        env, faults = container.env, self.world.faults
        name = self.world.service_name(container)
        if crash := env.get("CRASH_AFTER"):
            yield Pause(seconds=_float(crash))
            self._crash(container, 3)
            return
        if after := env.get("UNHEALTHY_AFTER"):
            yield Pause(seconds=_float(after))
            container.sick = True
            self.world.clockwork.touch()
        yield Pause(until=lambda: name in faults.loops)
        yield Pause(seconds=1.0)
        self._crash(container, faults.loops.get(name, 3))

    def _crash(self, container: Container, code: int) -> None:
        self.say(container, f"panic: {container.kind} {container.version} lost its mind", stream=2)
        self.exit(container, code)

    def crash(self, container: Container, code: int) -> None:
        """Crash on purpose."""
        self._crash(container, code)

    def healthy(self, container: Container) -> bool:
        """What the health check would find now."""
        if not container.serving or container.sick or container.env.get("HEALTHY") == "never":
            return False
        version = self.world.faults.unhealthy.get(self.world.service_name(container))
        task = self.world.tasks.get(container.task_id)
        return version is None or task is None or task.spec_version != version

    def _check(self, container: Container) -> Steps:
        check = sub(container.spec, "Healthcheck")
        interval = seconds(check, "Interval", default=30.0)
        retries = int(number(check, "Retries")) or 3
        patience = seconds(check, "StartPeriod")
        waited = 0.0
        while True:
            yield Pause(seconds=interval)
            waited += interval
            if self.healthy(container):
                container.failing = 0
                self._health(container, "healthy")
                # Nothing is asked again before the answer would be another one: no work while all is well.
                yield Pause(until=lambda: not self.healthy(container))
                continue
            if waited > patience or container.health == "healthy":
                container.failing += 1
            if container.failing >= retries:
                self._health(container, "unhealthy")
                yield Pause(until=lambda: self.healthy(container))

    def _health(self, container: Container, word: str) -> None:
        if container.health != word:
            container.health = word
            self.world.tell(container, f"health_status: {word}")
            self.world.clockwork.touch()


def _checked(container: Container) -> bool:
    test = words(container.spec, "Healthcheck", "Test")
    return bool(test) and test[0] != "NONE"


def _float(word: str | None) -> float:
    try:
        value = float(word or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value <= LARGE else 0.0
