"""One server's Engine, as the stand-in needs it: services, secrets, and stacks deployed as Docker deploys them.

It speaks to the Engine's socket itself, so that a practice host needs no docker client.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade.practice.engineclient import EngineClient, table

if TYPE_CHECKING:
    from ccci_upgrade.model.yamltree import Tree


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


class Docker:
    """One server's Swarm."""

    def __init__(self, *, server: str) -> None:
        """Remember where; nothing is asked yet."""
        self._engine = EngineClient(server=server)

    def services(self, stack: str) -> dict[str, ServiceView]:
        """The stack's services by their short names; empty where it is not deployed."""
        views = [_view(stack, service) for service in self._services(stack)]
        return {view.name: view for view in views}

    def secrets(self) -> set[str]:
        """The names of all secrets."""
        return set(self._engine.ids("secrets"))

    def create_secret(self, name: str, data: bytes) -> None:
        """Create a secret. Raises FatalError where the name is taken."""
        self._engine.ask(
            "POST", "/secrets/create", body={"Name": name, "Data": base64.b64encode(data).decode()}
        )

    def deploy(
        self, stack: str, files: Sequence[tuple[str, str]], *, folder: Path, env: Mapping[str, str]
    ) -> str:
        """Deploy compose files (name and text each) as a stack, and give the docker client's words for it.

        Their relative paths start in `folder`. FatalError for what Docker or the Engine would refuse.
        """
        from ccci_upgrade.practice.stackdeploy import Deployer  # noqa: PLC0415 - start-up time is measured (yaml)

        return Deployer(engine=self._engine).deploy(stack, files, folder=folder, env=env)

    def remove(self, stack: str) -> None:
        """Ask for the stack to go, and do not wait for it."""
        for service in self._services(stack):
            self._engine.ask("DELETE", f"/services/{service['ID']}")

    def close(self) -> None:
        """Let go of the Engine."""
        self._engine.close()

    def _services(self, stack: str) -> "list[dict[str, Tree]]":
        return self._engine.of_stack("/services", stack, status="true")


def _view(stack: str, service: "dict[str, Tree]") -> ServiceView:
    spec = table(service.get("Spec"))
    template = table(spec.get("TaskTemplate"))
    update, status = table(service.get("UpdateStatus")), table(service.get("ServiceStatus"))
    return ServiceView(
        name=str(spec["Name"]).removeprefix(f"{stack}_"),
        labels={key: str(value) for key, value in table(spec.get("Labels")).items()},
        template=json.dumps(template, sort_keys=True),
        update=str(update.get("State") or ""),
        since=str(update.get("StartedAt") or ""),
        message=str(update.get("Message") or ""),
        image=str(table(template.get("ContainerSpec")).get("Image")),
        created=str(service.get("CreatedAt")),
        running=_number(status.get("RunningTasks")),
        desired=_number(status.get("DesiredTasks")),
    )


def _number(value: "Tree") -> int:
    return value if isinstance(value, int) else 0
