"""The Engine through the `docker` client: Debian's 20.10 as well as a current one."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.practice.console import FatalError
from ccci_upgrade.process import Completed, run
from ccci_upgrade.text import decode

_SECONDS = 60.0
_NAMESPACE = "com.docker.stack.namespace"


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

    def services(self, stack: str) -> dict[str, ServiceView]:
        """The stack's services by their short names; empty where it is not deployed."""
        complaint = ""
        for _ in range(3):
            listed = self.call("service", "ls", *_of(stack), "--format", "{{.ID}} {{.Replicas}}").splitlines()
            if not listed:
                return {}
            replicas = {row.split(" ")[0]: row.split(" ")[1] for row in listed}
            done = self._try("service", "inspect", *replicas)
            if done.code == 0:
                return _views(stack, json.loads(done.out), replicas)
            complaint = decode(done.err).strip()
            time.sleep(0.2)  # one of them went away in between
        raise FatalError(f"unable to read the services of {stack}: {complaint}")

    def secrets(self) -> set[str]:
        """The names of all secrets."""
        return set(self.call("secret", "ls", "--format", "{{.Name}}").split())

    def create_secret(self, name: str, data: bytes) -> None:
        """Create a secret. Raises FatalError where the name is taken."""
        done = self._try("secret", "create", name, "-", data=data)
        if done.code != 0:
            raise FatalError(decode(done.err).strip())

    def deploy(self, stack: str, files: Sequence[Path], *, env: Mapping[str, str]) -> str:
        """Deploy the files as a stack and give the client's words. Raises FatalError with them."""
        # From 26 on the client may wait by itself; 20.10 has no such flag and never waits.
        wait = ["--detach=true"] if "--detach" in self.call("stack", "deploy", "--help") else []
        named = [part for file in files for part in ("--compose-file", str(file))]
        # `never`: a stand-in's images are local ones, and asking a registry for their digest costs minutes.
        words = ("stack", "deploy", "--resolve-image", "never", *wait, *named, stack)
        done = self._try(*words, env=env, seconds=300.0)
        if done.code != 0:
            raise FatalError(f"deploy failed: {decode(done.err or done.out).strip()}")
        return decode(done.out).strip()

    def remove(self, stack: str) -> None:
        """Ask for the stack to go, and do not wait for it."""
        for name in self.call("service", "ls", *_of(stack), "--quiet").split():
            self.call("service", "rm", name)

    def call(self, *words: str) -> str:
        """Run the client and give its standard output. Raises FatalError with its words."""
        done = self._try(*words)
        if done.code != 0:
            raise FatalError(decode(done.err or done.out).strip() or f"docker {words[0]}: exit {done.code}")
        return decode(done.out)

    def _try(
        self,
        *words: str,
        data: bytes | None = None,
        env: Mapping[str, str] | None = None,
        seconds: float = _SECONDS,
    ) -> Completed:
        where = (
            [] if self.server == "default" or os.environ.get("DOCKER_HOST") else ["--context", self.server]
        )
        return run(["docker", *where, *words], seconds=seconds, data=data, env=env)


def _of(stack: str) -> tuple[str, str]:
    return ("--filter", f"label={_NAMESPACE}={stack}")


def _views(
    stack: str, inspected: list[dict[str, object]], replicas: dict[str, str]
) -> dict[str, ServiceView]:
    views = {}
    for service in inspected:
        spec = _table(service, "Spec")
        template = _table(spec, "TaskTemplate")
        update = _table(service, "UpdateStatus")
        running, desired = replicas[str(service["ID"])[:12]].split("/")[:2]
        view = ServiceView(
            name=str(spec["Name"]).removeprefix(f"{stack}_"),
            labels={key: str(value) for key, value in _table(spec, "Labels").items()},
            template=json.dumps(template, sort_keys=True),
            update=str(update.get("State") or ""),
            since=str(update.get("StartedAt") or ""),
            message=str(update.get("Message") or ""),
            image=str(_table(template, "ContainerSpec").get("Image")),
            created=str(service.get("CreatedAt")),
            running=int(running),
            desired=int(desired.split(" ")[0]),
        )
        views[view.name] = view
    return views


def _table(of: dict[str, object], key: str) -> dict[str, object]:
    found = of.get(key)
    return found if isinstance(found, dict) else {}
