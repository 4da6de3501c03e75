"""Compose files one by one, each laid over those before it, until they are one `Compose`.

What overrides what follows Docker's stack loader: services merge field by field (maps by key, mounts by
target, ports by the published one, an empty value overrides nothing), other objects are replaced whole.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ccci_upgrade.model import composefields as read
from ccci_upgrade.model.composeservice import Fields, Service, read_service
from ccci_upgrade.model.composetree import SECTIONS, Trees
from ccci_upgrade.model.composevalues import (
    Compose,
    ComposeConfig,
    ComposeError,
    ComposeNetwork,
    ComposeSecret,
    ComposeService,
    ComposeVolume,
)
from ccci_upgrade.model.swarm import Mount

_SERVICE = re.compile("[a-zA-Z0-9._-]{1,128}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Object:
    """A config, secret, volume or network as one file has it."""

    name: str
    external: bool
    file: str
    driver: str


class Parts:
    """The files read so far."""

    def __init__(self, *, env: Mapping[str, str], stack: str) -> None:
        """Take the environment all files are interpolated with, and the stack's name."""
        self._env = env
        self._stack = stack
        self._trees = Trees(env)
        self._services: dict[str, Service] = {}
        self._objects: dict[str, dict[str, _Object]] = {section: {} for section in SECTIONS}

    def add(self, file: str, text: str) -> None:
        """Lay one more file over the others."""
        root = Fields(self._trees.read(file, text), file)
        for name, part in root.each("services"):
            if not _SERVICE.fullmatch(name):
                raise ComposeError(f"{part.where}: {name!r} is no name for a service")
            service, below = read_service(part, self._env), self._services.get(name)
            self._services[name] = below.under(service) if below else service
        for section in SECTIONS:
            for key, part in root.each(section):
                self._objects[section][key] = self._object(key, part)

    def joined(self) -> Compose:
        """Give all files together. Raises ComposeError where a service names what no file defines."""
        services = tuple(self._finished(name, part) for name, part in sorted(self._services.items()))
        found = {section: sorted(self._objects[section].items()) for section in SECTIONS}
        return Compose(
            services=services,
            configs=tuple(
                ComposeConfig(key=k, name=o.name, file=o.file, external=o.external)
                for k, o in found["configs"]
            ),
            secrets=tuple(
                ComposeSecret(key=k, name=o.name, external=o.external) for k, o in found["secrets"]
            ),
            volumes=tuple(
                ComposeVolume(key=k, name=o.name, external=o.external, driver=o.driver)
                for k, o in found["volumes"]
            ),
            networks=tuple(
                ComposeNetwork(key=k, name=o.name, external=o.external) for k, o in found["networks"]
            ),
            uses=self._trees.uses,
        )

    def _finished(self, name: str, part: Service) -> ComposeService:
        if not part.image:
            raise ComposeError(f"services.{name}: no image")
        if "default" in (part.networks or {"default": None}) and "default" not in self._objects["networks"]:
            self._objects["networks"]["default"] = _Object(
                name=f"{self._stack}_default", external=False, file="", driver=""
            )
        defaults = {
            key: value
            for key in ("mode", "order", "failure_action", "monitor", "stop_grace", "start_period")
            if (value := getattr(part, key)) not in ("", None)
        }
        return ComposeService(
            name=name,
            image=part.image,
            replicas=part.replicas,
            max_failure_ratio=part.max_failure_ratio,
            ports=tuple(sorted(part.ports, key=lambda p: (p.published, p.target, p.protocol, p.mode))),
            mounts=tuple(self._mount(name, mount) for _, mount in sorted(part.mounts.items())),
            networks=self._real("networks", name, part.networks or {"default": None}),
            configs=self._real("configs", name, part.configs),
            secrets=self._real("secrets", name, part.secrets),
            labels=part.labels,
            environment=part.environment,
            has_healthcheck=bool(part.test) and part.test[0] != "NONE" and not part.disabled,
            **defaults,
        )

    def _mount(self, service: str, mount: Mount) -> Mount:
        if mount.kind != "volume" or not mount.source:
            return mount
        (name,) = self._real("volumes", service, {mount.source: None})
        driver = self._objects["volumes"][mount.source].driver
        return Mount(kind=mount.kind, source=name, target=mount.target, driver=driver)

    def _real(self, section: str, service: str, keys: Mapping[str, None]) -> tuple[str, ...]:
        """Give the Swarm's names of what a service names by key, sorted."""
        known = self._objects[section]
        if missing := [key for key in keys if key not in known]:
            raise ComposeError(f"services.{service}.{section}: no file defines {missing[0]!r}")
        return tuple(sorted(known[key].name for key in keys))

    def _object(self, key: str, part: Fields) -> _Object:
        external = part.value("external")
        if isinstance(external, dict):
            named = part.sub("external").read("name", read.text)
            is_external = True
        else:
            named, is_external = "", part.read("external", read.truth)
        name = part.read("name", read.text) or named
        return _Object(
            name=name or (key if is_external else f"{self._stack}_{key}"),
            external=is_external,
            file=part.read("file", read.text),
            driver=part.read("driver", read.text),
        )
