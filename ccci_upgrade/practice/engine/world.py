"""The practice host's state in one object, and the small things everything needs: ids, stamps, events."""

import hashlib
import os
import re
import secrets
import shutil
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.practice.engine.clockwork import Clockwork
from ccci_upgrade.practice.engine.events import Events
from ccci_upgrade.practice.engine.images import Images
from ccci_upgrade.practice.engine.things import (
    Container,
    Exec,
    Faults,
    Kept,
    Mount,
    Network,
    Service,
    State,
    Task,
    Volume,
)
from ccci_upgrade.practice.engine.tree import Tree, labels, sub, text

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class RefusedError(Exception):
    """The Engine says no: an HTTP status and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class World:
    """All objects. Whoever reads or changes them holds `clockwork.lock`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clockwork = Clockwork()
        self.events = Events(self.clockwork.lock)
        self.images = Images(folder / "registry.json")
        self.faults = Faults()
        self.started = stamp()
        seed = hashlib.sha256(str(folder).encode()).hexdigest()
        self.cluster_id = _base36(seed, "cluster")
        self.node_id = _base36(seed, "node")
        self.index = 10
        self.services: dict[str, Service] = {}
        self.tasks: dict[str, Task] = {}
        self.containers: dict[str, Container] = {}
        self.configs: dict[str, Kept] = {}
        self.secrets: dict[str, Kept] = {}
        self.execs: dict[str, Exec] = {}
        self.networks: dict[str, Network] = {}
        self.volumes: dict[str, Volume] = {}
        self.dirty: dict[str, None] = {}
        for name, driver in (
            ("bridge", "bridge"),
            ("host", "host"),
            ("none", "null"),
            ("ingress", "overlay"),
        ):
            self.add_network(name, driver, {}, ingress=name == "ingress")
        self._find_volumes()

    # --- small things -------------------------------------------------------------------------------------

    def next_index(self) -> int:
        """A version index no object had before."""
        self.index += 1
        return self.index

    @property
    def frozen(self) -> bool:
        """Whether the Engine is silent on purpose now."""
        return self.faults.frozen_until > clock.ticks()

    def add_network(
        self,
        name: str,
        driver: str,
        given: dict[str, str],
        *,
        attachable: bool = False,
        ingress: bool = False,
    ) -> Network:
        """Make a network."""
        network = Network(
            id=new_id() if driver == "overlay" else hex_id(),
            name=name,
            driver=driver,
            labels=given,
            created=stamp(),
            attachable=attachable,
            ingress=ingress,
        )
        self.networks[network.id] = network
        self.events.tell("network", "create", network.id, {"name": name, "type": driver})
        return network

    def network(self, name: str) -> Network | None:
        """A network by id or name."""
        found = self.networks.get(name)
        return found or next((each for each in self.networks.values() if each.name == name), None)

    # --- volumes ------------------------------------------------------------------------------------------

    def volume(self, name: str, given: dict[str, str], options: dict[str, str] | None = None) -> Volume:
        """A volume by name, made with these labels and options when it is not there."""
        if name in self.volumes:
            return self.volumes[name]
        if not _NAME.fullmatch(name):
            said = 'only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed'
            raise RefusedError(
                400, f'create {name}: "{name}" includes invalid characters for a local volume name, {said}'
            )
        folder = self.folder / "volumes" / name
        folder.mkdir(parents=True, exist_ok=True)
        volume = Volume(name=name, folder=folder, labels=given, created=stamp(), options=options or {})
        self.volumes[name] = volume
        self.events.tell("volume", "create", name, {"driver": "local"})
        self.clockwork.touch()
        return volume

    def remove_volume(self, name: str) -> None:
        """Remove a volume and its files, in use or not."""
        volume = self.volumes.pop(name)
        shutil.rmtree(volume.folder, ignore_errors=True)
        self.events.tell("volume", "destroy", name, {"driver": "local"})
        self.clockwork.touch()

    def users_of(self, name: str) -> list[Container]:
        """Containers that mount a volume; exited ones and ones that never started count."""
        return [
            each
            for each in self.containers.values()
            if any(mount.kind == "volume" and mount.source == name for mount in each.mounts)
        ]

    def _find_volumes(self) -> None:
        home = self.folder / "volumes"
        for folder in sorted(home.iterdir()) if home.is_dir() else []:
            if folder.is_dir() and _NAME.fullmatch(folder.name):
                self.volumes[folder.name] = Volume(
                    name=folder.name, folder=folder, labels={}, created=stamp()
                )

    # --- services and tasks -------------------------------------------------------------------------------

    def changed(self, service: Service) -> None:
        """Give a service a new index, and have the orchestrator look at it."""
        service.index = self.next_index()
        service.updated = stamp()
        self._tell_service(service)
        self.dirty[service.id] = None
        self.clockwork.touch()

    def _tell_service(self, service: Service) -> None:
        """An event for every change, with what changed, as moby's `logServiceEvent` words it."""
        replicas = sub(service.spec, "Mode", "Replicated").get("Replicas")
        now = {
            "image": text(service.spec, "TaskTemplate", "ContainerSpec", "Image"),
            "replicas": str(replicas) if isinstance(replicas, int) else "",
            "updatestate": text(service.update, "State"),
        }
        attributes = {"name": text(service.spec, "Name")}
        for key, value in now.items():
            if service.told and value and value != service.told[key]:
                attributes |= {f"{key}.old": service.told[key]} if service.told[key] else {}
                attributes[f"{key}.new"] = value
        self.events.tell("service", "update" if service.told else "create", service.id, attributes)
        service.told = now

    def service(self, name: str) -> Service | None:
        """A service by id, name, or the beginning of its id."""
        if name in self.services:
            return self.services[name]
        named = [each for each in self.services.values() if each.spec.get("Name") == name]
        begun = [each for each in self.services.values() if name and each.id.startswith(name)]
        return named[0] if named else begun[0] if len(begun) == 1 else None

    def tasks_of(self, service_id: str) -> list[Task]:
        """A service's tasks, oldest first."""
        return [task for task in self.tasks.values() if task.service_id == service_id]

    def running(self, service_id: str) -> list[Container]:
        """The containers of a service that a request could go to."""
        return [
            task.container
            for task in self.tasks_of(service_id)
            if task.state == State.RUNNING and task.container and task.container.state == "running"
        ]

    def service_name(self, container: Container) -> str:
        """The name of the service a container belongs to; "" where there is none."""
        return container.labels.get("com.docker.swarm.service.name", "")

    def container(self, name: str) -> Container | None:
        """A container by id, name, or the beginning of its id."""
        if name in self.containers:
            return self.containers[name]
        found = [
            each
            for each in self.containers.values()
            if each.id.startswith(name) or each.name == name.lstrip("/")
        ]
        return found[0] if name and len(found) == 1 else None

    def add_container(self, name: str, spec: Tree, mounts: list[Mount], env: dict[str, str]) -> Container:
        """Make a container with its volumes; it is not started."""
        image = spec.get("Image")
        container = Container(
            id=hex_id(),
            name=name,
            image=image if isinstance(image, str) else "",
            spec=spec,
            env=env,
            labels=labels(spec, "Labels"),
            mounts=mounts,
            created=stamp(),
        )
        self.containers[container.id] = container
        self.tell(container, "create")
        return container

    def remove_container(self, container: Container) -> None:
        """Forget a container and what it wrote outside its volumes."""
        if self.containers.pop(container.id, None) is not None:
            shutil.rmtree(self.folder / "roots" / container.id, ignore_errors=True)
            self.execs = {key: each for key, each in self.execs.items() if each.container is not container}
            self.tell(container, "destroy")
            self.clockwork.touch()

    def tell(self, container: Container, action: str, **more: str) -> None:
        """Tell what happened to a container."""
        attributes = {"image": container.image, "name": container.name, **container.labels, **more}
        self.events.tell("container", action, container.id, attributes)


def stamp() -> str:
    """Now, as the Engine writes it: nanoseconds."""
    return f"{clock.now().replace(tzinfo=None).isoformat(timespec='microseconds')}000Z"


def new_id() -> str:
    """An id like swarmkit's: 25 letters and digits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(25))


def hex_id() -> str:
    """An id like a container's."""
    return os.urandom(32).hex()


def _base36(seed: str, what: str) -> str:
    value = int(hashlib.sha256(f"{seed} {what}".encode()).hexdigest(), 16)
    letters: list[str] = []
    while len(letters) < 25:  # noqa: PLR2004 - the length of swarmkit's ids
        value, rest = divmod(value, 36)
        letters.append(_ALPHABET[rest])
    return "".join(letters)
