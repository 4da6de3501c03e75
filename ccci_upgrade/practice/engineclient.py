"""The Engine of one server, asked as the docker client would: its refusals are fatal, in its own words."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade.errors import EngineError
from ccci_upgrade.practice.console import FatalError

if TYPE_CHECKING:
    from ccci_upgrade.model.yamltree import Tree
    from ccci_upgrade.tools.engine import Answer, Engine

NAMESPACE = "com.docker.stack.namespace"
"""The label of all that belongs to a stack."""

_SECONDS = 60.0
_DEFAULT = "unix:///var/run/docker.sock"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineClient:
    """One server's Engine: `$DOCKER_HOST`, else the local one for `default`, else the context of its name."""

    server: str
    _opened: "list[Engine]" = field(default_factory=list)

    def close(self) -> None:
        """Let go of the Engine; the next question opens it again."""
        while self._opened:
            self._opened.pop().close()

    def ids(self, section: str) -> dict[str, str]:
        """The ids of all `configs` or `secrets`, by name."""
        return {str(table(found["Spec"])["Name"]): str(found["ID"]) for found in self.of_stack(f"/{section}")}

    def of_stack(self, path: str, stack: str = "", **query: str) -> "list[dict[str, Tree]]":
        """A list the Engine gives; with `stack` only what belongs to that."""
        filters = {"filters": json.dumps({"label": [f"{NAMESPACE}={stack}"]})} if stack else {}
        found = self.ask("GET", path, query={**query, **filters}).json
        return [table(each) for each in found] if isinstance(found, list) else []

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: "dict[str, Tree] | None" = None,
        missing: bool = False,
        doing: str = "",
    ) -> "Answer":
        """Ask the Engine. FatalError with its words for any refusal; with `missing` 404 is an answer."""
        try:
            answer = self.engine().ask(method, path, query, body=body)
            if answer.status < HTTPStatus.BAD_REQUEST or (missing and answer.status == HTTPStatus.NOT_FOUND):
                return answer
            raise FatalError(f"{doing}Error response from daemon: {answer.message}")
        except EngineError as error:
            raise FatalError(error.message) from error

    def engine(self) -> "Engine":
        """The Engine itself, opened where it is not."""
        from ccci_upgrade.tools.engine import Engine  # noqa: PLC0415 - start-up time is measured

        if not self._opened:
            self._opened.append(Engine(_socket(self.server), seconds=_SECONDS))
        return self._opened[0]


def _socket(server: str) -> Path:
    said = os.environ.get("DOCKER_HOST") or (_DEFAULT if server == "default" else _context(server))
    if not said.startswith("unix://"):
        raise FatalError(
            f"unable to reach the Docker daemon of {server} at {said or 'no known place'}: only unix:// can be used"
        )
    return Path(said.removeprefix("unix://"))


def _context(server: str) -> str:
    from ccci_upgrade.tools.contexts import context_host  # noqa: PLC0415 - start-up time is measured

    return context_host(server)


def table(value: "Tree") -> "dict[str, Tree]":
    """A mapping; anything else is an empty one."""
    return value if isinstance(value, dict) else {}
