"""A task's way on the node, as swarmkit's scheduler and agent take it: from new to running, and to its end."""

from collections.abc import Generator

from ccci_upgrade.practice.engine.clockwork import Pause, Steps
from ccci_upgrade.practice.engine.containers import Containers
from ccci_upgrade.practice.engine.things import Container, Mount, State, Task
from ccci_upgrade.practice.engine.tree import Tree, copied, env_of, labels, rows, seconds, sub, text
from ccci_upgrade.practice.engine.world import RefusedError, World, hex_id, stamp

GOSSIP = 2.0
"""Seconds a container with a network of the Swarm's goes on after it was told to go (moby's own constant)."""

GRACE = 10.0
PORT_TAKEN = "no suitable node (host-mode port already in use on 1 node)"
UNHEALTHY = ": dockerexec: unhealthy container"


class Agent:
    """Lets tasks live."""

    def __init__(self, world: World, containers: Containers) -> None:
        self.world = world
        self._containers = containers

    def life(self, task: Task) -> Steps:
        """One task from its creation to its end."""
        if not (yield from self._scheduled(task)):
            return
        error = yield from self._prepared(task)
        if error:
            self._set(task, State.REJECTED, "preparing", error)
        if error or task.ends or task.container is None:
            yield from self._ended(task)
            return
        self._set(task, State.READY, "prepared")
        yield Pause(until=lambda: task.ends or task.desired >= State.RUNNING)
        if not task.ends:
            yield from self._run(task, task.container)
        yield from self._ended(task)

    def _scheduled(self, task: Task) -> Generator[Pause, bool, bool]:
        """Place it on the node; False where it was told to go before it had one."""
        yield Pause(seconds=0.02)
        self._set(task, State.PENDING, "pending task scheduling")
        yield Pause(seconds=0.03)
        while not task.ends and self._taken(task):
            self._set(task, State.PENDING, "pending task scheduling", PORT_TAKEN)
            yield Pause(until=lambda: task.ends or not self._taken(task))
        if task.ends:
            return False
        self._set(task, State.ASSIGNED, "scheduler assigned task to node")
        for state, message in ((State.ACCEPTED, "accepted"), (State.PREPARING, "preparing")):
            yield Pause(seconds=0.03)
            if task.ends:
                break
            self._set(task, state, message)
        return True

    def _taken(self, task: Task) -> bool:
        mine = set(task.host_ports)
        if not mine:
            return False
        return any(
            mine & set(other.host_ports)
            for other in self.world.tasks.values()
            if other is not task and State.ASSIGNED <= other.state <= State.RUNNING
        )

    def _prepared(self, task: Task) -> Generator[Pause, bool, str]:
        """Pull the image where it is missing, and create volumes and container; the error, or ""."""
        image = text(task.spec, "ContainerSpec", "Image")
        images = self.world.images
        if images.local(image) is None:
            known = images.remote(image)
            yield Pause(seconds=known.seconds if known else 0.2, until=lambda: task.ends)
            if known is None:
                return f"No such image: {image}"
            if task.ends:
                return ""
            images.pulled(known)
        yield Pause(seconds=0.08)
        if task.ends:
            return ""
        try:
            task.container = self._create(task)
        except (RefusedError, OSError) as error:
            return str(error)
        return ""

    def _create(self, task: Task) -> Container:
        service = self.world.services.get(task.service_id)
        name = text(service.spec, "Name") if service else ""
        spec = copied(sub(task.spec, "ContainerSpec"))
        mounts = [self._mount(each) for each in rows(spec, "Mounts")]
        full = f"{name}.{task.slot or self.world.node_id}.{task.id}"
        spec["Labels"] = {
            **labels(spec, "Labels"),
            "com.docker.swarm.node.id": self.world.node_id,
            "com.docker.swarm.service.id": task.service_id,
            "com.docker.swarm.service.name": name,
            "com.docker.swarm.task": "",
            "com.docker.swarm.task.id": task.id,
            "com.docker.swarm.task.name": full,
        }
        container = self.world.add_container(full, spec, mounts, env_of(spec.get("Env")))
        container.service_id, container.task_id = task.service_id, task.id
        return container

    def _mount(self, given: Tree) -> Mount:
        mount = Mount(
            kind=text(given, "Type") or "volume",
            source=text(given, "Source") or hex_id(),
            target=text(given, "Target"),
            read_only=given.get("ReadOnly") is True,
        )
        if mount.kind == "volume":
            self.world.volume(mount.source, labels(given, "VolumeOptions", "Labels"))
        return mount

    def _run(self, task: Task, container: Container) -> Steps:
        self._set(task, State.STARTING, "starting")
        yield Pause(seconds=0.1)
        if task.ends:
            return
        try:
            self._containers.start(container, task.host_ports)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            self._set(task, State.FAILED, "starting", f"starting container failed: cannot bind a port: {why}")
            return
        if container.health:
            yield Pause(
                until=lambda: container.health != "starting" or container.state != "running" or task.ends
            )
        else:
            yield Pause(seconds=0.02)
        sick = container.health == "unhealthy"
        if sick:
            yield from self._stop(task, container)
        if task.ends:
            return
        # moby's Start gives no error for a container that ended with 0: the task runs for a moment even then.
        if container.state == "running" or container.code == 0:
            self._set(task, State.RUNNING, "started")
        yield Pause(
            until=lambda: container.state != "running" or container.health == "unhealthy" or task.ends
        )
        if task.ends:
            return
        if container.state == "running":
            sick = True
            yield from self._stop(task, container)
        if container.code:
            self._fail(task, container, sick=sick)
        else:
            self._set(task, State.COMPLETE, "finished")

    def _fail(self, task: Task, container: Container, *, sick: bool) -> None:
        why = f"task: non-zero exit ({container.code})"
        self._set(task, State.FAILED, "started", why + (UNHEALTHY if sick else ""))

    def _stop(self, task: Task, container: Container) -> Steps:
        if self._gossips(task) and container.state == "running":
            yield Pause(seconds=GOSSIP, until=lambda: container.state != "running")
        grace = sub(task.spec, "ContainerSpec")
        yield from self._containers.stop(container, seconds(grace, "StopGracePeriod", default=GRACE))

    def _gossips(self, task: Task) -> bool:
        """Whether it is on a network of the Swarm's; `host` and `bridge` are each node's own."""
        targets = [text(each, "Target") for each in rows(task.spec, "Networks")]
        found = [self.world.network(target) for target in targets]
        return any(network is None or network.driver == "overlay" for network in found)

    def _ended(self, task: Task) -> Steps:
        """Bring it down where it was told to go, and its container away once the store forgot the task."""
        yield Pause(until=lambda: task.ends)
        container = task.container
        if task.state <= State.RUNNING:
            if container is not None:
                yield from self._stop(task, container)
            self._set(task, State.SHUTDOWN, "shutdown")
        yield Pause(until=lambda: task.gone)
        if container is not None:
            self.world.remove_container(container)

    def _set(self, task: Task, state: State, message: str, error: str = "") -> None:
        task.state = state
        task.message = message
        task.err = error
        task.stamp = task.updated = stamp()
        task.index = self.world.next_index()
        self.world.clockwork.touch()
