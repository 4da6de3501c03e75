"""A stack put on an Engine: networks, secrets, configs and services, in the order of `docker stack deploy`."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.practice import stackspec
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.practice.engineclient import EngineClient
from ccci_upgrade.practice.stackfiles import StackFiles, Table, read_stack
from ccci_upgrade.practice.stackparts import IMAGE, LOCAL_NETWORKS, table
from ccci_upgrade.practice.stackservice import Ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployer:
    """Deploys to one Engine."""

    engine: EngineClient

    def deploy(
        self, stack: str, files: Sequence[tuple[str, str]], *, folder: Path, env: Mapping[str, str]
    ) -> str:
        """See `swarmclient.Docker.deploy`."""
        try:
            read = read_stack(files, env, stack=stack)
            said = [*self._networks(read), *self._objects(read, "secrets", folder)]
            said += self._objects(read, "configs", folder)
            ids = Ids(configs=self._used(read, "configs"), secrets=self._used(read, "secrets"))
            said += self._put(stack, stackspec.services(read, ids, folder=str(folder)))
        except ComposeError as error:
            raise FatalError(f"deploy failed: {error}") from None
        return "\n".join(said)

    def _networks(self, read: StackFiles) -> Iterator[str]:
        made, outside = stackspec.networks(read)
        for name in outside:
            self._check_network(name)
        present = {str(found["Name"]) for found in self.engine.of_stack("/networks", read.stack)}
        for name, spec in made.items():
            if name not in present:
                self.engine.ask(
                    "POST", "/networks/create", body={"Name": name, "CheckDuplicate": True, **spec}
                )
                yield f"Creating network {name}"

    def _check_network(self, name: str) -> None:
        if name in LOCAL_NETWORKS:
            return
        answer = self.engine.ask("GET", f"/networks/{name}", missing=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise FatalError(
                f'deploy failed: network "{name}" is declared as external, but could not be found. You need to '
                "create a swarm-scoped network before the stack is deployed"
            )
        found = table(answer.json)
        if found.get("Scope") != "swarm":
            raise FatalError(
                f'deploy failed: network "{name}" is declared as external, but it is not in the right scope: '
                f'"{found.get("Scope")}" instead of "swarm"'
            )

    def _objects(self, read: StackFiles, section: str, folder: Path) -> Iterator[str]:
        kind = section.removesuffix("s")
        for name, (file, spec) in stackspec.objects(read, section).items():
            try:
                data = (folder / file).read_bytes()
            except OSError as error:
                raise FatalError(f"deploy failed: open {folder / file}: {error.strerror}") from error
            body: Table = {**spec, "Data": base64.b64encode(data).decode()}
            answer = self.engine.ask("GET", f"/{section}/{name}", missing=True)
            if answer.status == HTTPStatus.NOT_FOUND:
                self.engine.ask(
                    "POST", f"/{section}/create", body=body, doing=f"failed to create {kind} {name}: "
                )
                yield f"Creating {kind} {name}"
            else:
                # The Engine takes the same content again, and refuses any other.
                there = table(answer.json)
                self.engine.ask(
                    "POST",
                    f"/{section}/{there['ID']}/update",
                    query={"version": _version(there)},
                    body=body,
                    doing=f"failed to update {kind} {name}: ",
                )

    def _used(self, read: StackFiles, section: str) -> dict[str, str]:
        return self.engine.ids(section) if stackspec.references(read, section) else {}

    def _put(self, stack: str, specs: Mapping[str, Table]) -> Iterator[str]:
        present = {
            str(table(found["Spec"])["Name"]): found for found in self.engine.of_stack("/services", stack)
        }
        for spec in specs.values():
            name = str(spec["Name"])
            if name not in present:
                self.engine.ask(
                    "POST", "/services/create", body=spec, doing=f"failed to create service {name}: "
                )
                yield f"Creating service {name}"
                continue
            there = present[name]
            self.engine.ask(
                "POST",
                f"/services/{there['ID']}/update",
                query={"version": _version(there)},
                body=_kept(spec, table(there["Spec"])),
                doing=f"failed to update service {name}: ",
            )
            yield f"Updating service {name} (id: {there['ID']})"


def _kept(spec: Table, there: Table) -> Table:
    """What a deploy keeps of the service that is there: an image whose name did not change, and `ForceUpdate`."""
    template, before = table(spec["TaskTemplate"]), table(there["TaskTemplate"])
    container, was = table(template["ContainerSpec"]), table(before["ContainerSpec"])
    if container["Image"] == table(there.get("Labels")).get(IMAGE):
        container = container | {"Image": was["Image"]}
    force = {"ForceUpdate": before["ForceUpdate"]} if "ForceUpdate" in before else {}
    return {**spec, "TaskTemplate": {**template, "ContainerSpec": container, **force}}


def _version(found: Table) -> str:
    return str(table(found["Version"])["Index"])
