"""One server's Engine, as the stand-in needs it: services, secrets, and stacks deployed as Docker deploys them.

It speaks to the Engine's socket itself, so that a practice host needs no docker client.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade.errors import EngineError
from ccci_upgrade.model.composevalues import ComposeError
from ccci_upgrade.practice import stackspec
from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.practice.stackparts import IMAGE, LOCAL_NETWORKS, NAMESPACE
from ccci_upgrade.practice.stackservice import Ids
from ccci_upgrade.tools.contexts import context_host

if TYPE_CHECKING:
    from ccci_upgrade.model.yamltree import Tree
    from ccci_upgrade.practice.stackfiles import StackFiles, Table
    from ccci_upgrade.tools.engine import Answer, Engine

_SECONDS = 60.0
_DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceView:
    """One service.

    `template` is its task template as JSON; `update` is the state of its last update, or "", and `since` when
    that began.
    """

    name: str
    labels: dict[str, str]
    template: str
    update: str
    since: str
    message: str
    image: str
    created: str
    running: int
    desired: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Docker:
    """One server's Engine: `$DOCKER_HOST`, else the local one for `default`, else the context of its name."""

    server: str
    _opened: "list[Engine]" = field(default_factory=list)

    def services(self, stack: str) -> dict[str, ServiceView]:
        """The stack's services by their short names; empty where it is not deployed."""
        views = [_view(stack, service) for service in self._services(stack)]
        return {view.name: view for view in views}

    def secrets(self) -> set[str]:
        """The names of all secrets."""
        return set(self._ids("secrets"))

    def create_secret(self, name: str, data: bytes) -> None:
        """Create a secret. Raises FatalError where the name is taken."""
        self._ask("POST", "/secrets/create", body={"Name": name, "Data": base64.b64encode(data).decode()})

    def deploy(
        self, stack: str, files: Sequence[tuple[str, str]], *, folder: Path, env: Mapping[str, str]
    ) -> str:
        """Deploy compose files (name and text each) as a stack, and give the docker client's words for it.

        Their relative paths start in `folder`. FatalError for what Docker or the Engine would refuse.
        """
        from ccci_upgrade.practice.stackfiles import read_stack  # noqa: PLC0415 - start-up time is measured (yaml)

        try:
            read = read_stack(files, env, stack=stack)
            said = [*self._networks(read), *self._objects(read, "secrets", folder)]
            said += self._objects(read, "configs", folder)
            ids = Ids(configs=self._used(read, "configs"), secrets=self._used(read, "secrets"))
            said += self._put(stack, stackspec.services(read, ids, folder=str(folder)))
        except ComposeError as error:
            raise FatalError(f"deploy failed: {error}") from None
        return "\n".join(said)

    def remove(self, stack: str) -> None:
        """Ask for the stack to go, and do not wait for it."""
        for service in self._services(stack):
            self._ask("DELETE", f"/services/{service['ID']}")

    def close(self) -> None:
        """Let go of the Engine; the next question opens it again."""
        while self._opened:
            self._opened.pop().close()

    # --- parts of a deploy --------------------------------------------------------------------------------

    def _networks(self, read: "StackFiles") -> Iterator[str]:
        made, outside = stackspec.networks(read)
        for name in outside:
            self._check_network(name)
        present = {str(found["Name"]) for found in self._list("/networks", read.stack)}
        for name, spec in made.items():
            if name not in present:
                self._ask("POST", "/networks/create", body={"Name": name, "CheckDuplicate": True, **spec})
                yield f"Creating network {name}"

    def _check_network(self, name: str) -> None:
        if name in LOCAL_NETWORKS:
            return
        answer = self._ask("GET", f"/networks/{name}", missing=True)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise FatalError(
                f'deploy failed: network "{name}" is declared as external, but could not be found. You need to '
                "create a swarm-scoped network before the stack is deployed"
            )
        found = _table(answer.json)
        if found.get("Scope") != "swarm":
            raise FatalError(
                f'deploy failed: network "{name}" is declared as external, but it is not in the right scope: '
                f'"{found.get("Scope")}" instead of "swarm"'
            )

    def _objects(self, read: "StackFiles", section: str, folder: Path) -> Iterator[str]:
        kind = section.removesuffix("s")
        for name, (file, spec) in stackspec.objects(read, section).items():
            try:
                data = (folder / file).read_bytes()
            except OSError as error:
                raise FatalError(f"deploy failed: open {folder / file}: {error.strerror}") from error
            body: Table = {**spec, "Data": base64.b64encode(data).decode()}
            answer = self._ask("GET", f"/{section}/{name}", missing=True)
            if answer.status == HTTPStatus.NOT_FOUND:
                self._ask("POST", f"/{section}/create", body=body, doing=f"failed to create {kind} {name}: ")
                yield f"Creating {kind} {name}"
            else:
                # The Engine takes the same content again, and refuses any other.
                there = _table(answer.json)
                self._ask(
                    "POST",
                    f"/{section}/{there['ID']}/update",
                    query={"version": _version(there)},
                    body=body,
                    doing=f"failed to update {kind} {name}: ",
                )

    def _used(self, read: "StackFiles", section: str) -> dict[str, str]:
        return self._ids(section) if stackspec.references(read, section) else {}

    def _put(self, stack: str, specs: Mapping[str, "Table"]) -> Iterator[str]:
        present = {str(_table(found["Spec"])["Name"]): found for found in self._services(stack)}
        for spec in specs.values():
            name = str(spec["Name"])
            if name not in present:
                self._ask("POST", "/services/create", body=spec, doing=f"failed to create service {name}: ")
                yield f"Creating service {name}"
                continue
            there = present[name]
            self._ask(
                "POST",
                f"/services/{there['ID']}/update",
                query={"version": _version(there)},
                body=_kept(spec, _table(there["Spec"])),
                doing=f"failed to update service {name}: ",
            )
            yield f"Updating service {name} (id: {there['ID']})"

    # --- the Engine ---------------------------------------------------------------------------------------

    def _services(self, stack: str) -> "list[Table]":
        return self._list("/services", stack, status="true")

    def _ids(self, section: str) -> dict[str, str]:
        return {str(_table(found["Spec"])["Name"]): str(found["ID"]) for found in self._list(f"/{section}")}

    def _list(self, path: str, stack: str = "", **query: str) -> "list[Table]":
        filters = {"filters": json.dumps({"label": [f"{NAMESPACE}={stack}"]})} if stack else {}
        found = self._ask("GET", path, query={**query, **filters}).json
        return [_table(each) for each in found] if isinstance(found, list) else []

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: "Table | None" = None,
        missing: bool = False,
        doing: str = "",
    ) -> "Answer":
        """Ask the Engine. FatalError with its words for any refusal; with `missing` 404 is an answer."""
        try:
            answer = self._engine().ask(method, path, query, body=body)
            if answer.status < HTTPStatus.BAD_REQUEST or (missing and answer.status == HTTPStatus.NOT_FOUND):
                return answer
            raise FatalError(f"{doing}Error response from daemon: {answer.message}")
        except EngineError as error:
            raise FatalError(error.message) from error

    def _engine(self) -> "Engine":
        from ccci_upgrade.tools.engine import Engine  # noqa: PLC0415 - start-up time is measured

        if not self._opened:
            self._opened.append(Engine(_socket(self.server), seconds=_SECONDS))
        return self._opened[0]


def _socket(server: str) -> Path:
    said = os.environ.get("DOCKER_HOST") or (_DEFAULT if server == "default" else context_host(server))
    if not said.startswith("unix://"):
        raise FatalError(
            f"unable to reach the Docker daemon of {server} at {said or 'no known place'}: only unix:// can be used"
        )
    return Path(said.removeprefix("unix://"))


def _kept(spec: "Table", there: "Table") -> "Table":
    """What a deploy keeps of the service that is there: an image whose name did not change, and `ForceUpdate`."""
    template, before = _table(spec["TaskTemplate"]), _table(there["TaskTemplate"])
    container, was = _table(template["ContainerSpec"]), _table(before["ContainerSpec"])
    if container["Image"] == _table(there.get("Labels")).get(IMAGE):
        container = container | {"Image": was["Image"]}
    force = {"ForceUpdate": before["ForceUpdate"]} if "ForceUpdate" in before else {}
    return {**spec, "TaskTemplate": {**template, "ContainerSpec": container, **force}}


def _version(found: "Table") -> str:
    return str(_table(found["Version"])["Index"])


def _view(stack: str, service: "Table") -> ServiceView:
    spec = _table(service.get("Spec"))
    template = _table(spec.get("TaskTemplate"))
    update, status = _table(service.get("UpdateStatus")), _table(service.get("ServiceStatus"))
    return ServiceView(
        name=str(spec["Name"]).removeprefix(f"{stack}_"),
        labels={key: str(value) for key, value in _table(spec.get("Labels")).items()},
        template=json.dumps(template, sort_keys=True),
        update=str(update.get("State") or ""),
        since=str(update.get("StartedAt") or ""),
        message=str(update.get("Message") or ""),
        image=str(_table(template.get("ContainerSpec")).get("Image")),
        created=str(service.get("CreatedAt")),
        running=_number(status.get("RunningTasks")),
        desired=_number(status.get("DesiredTasks")),
    )


def _number(value: "Tree") -> int:
    return value if isinstance(value, int) else 0


def _table(value: "Tree") -> "Table":
    return value if isinstance(value, dict) else {}
