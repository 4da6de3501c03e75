"""Runs of `upgrade` on a real Swarm, read from their JSON document."""

import time
from typing import Any

from tests.swarm.harness import Ran
from tests.swarm.host import Host


class Seen:
    """One run's part of the document, its exit code and time."""

    def __init__(self, ran: Ran) -> None:
        """Read the one run of the document."""
        self.ran = ran
        document: Any = ran.document()
        assert document["exit_code"] == ran.code
        (self.run,) = document["data"]["runs"]
        (self.plan,) = document["data"]["plans"]
        self.outcome: str = self.run["outcome"]
        verdict = self.run["verdict"]
        self.state: str | None = verdict["state"] if verdict else None
        self.evidence = "\n".join(line["text"] for line in verdict["evidence"]) if verdict else ""
        self.next = "\n".join(self.run["next"])
        self.logs = "\n".join(self.run["logs"])
        # Shown by pytest where the test fails.
        print(ran.err, *(f["id"] for f in self.plan["findings"]), self.state, self.evidence, sep="\n")  # noqa: T201

    @property
    def end(self) -> tuple[str, str | None, int]:
        """Outcome, verdict state and exit code."""
        return self.outcome, self.state, self.ran.code


def upgrade(host: Host, recipe: str, *words: str, seconds: float = 120.0) -> Seen:
    """Upgrade one app without a terminal; what fails is left as it is, to be looked at."""
    left = ("--on-failure", "leave")
    return Seen(host.run_tool("upgrade", recipe, "--json", "--offline", *left, *words, seconds=seconds))


def soon(host: Host, step: str, *, seconds: float = 90.0) -> None:
    """Wait until the journal says that a step began."""
    deadline = time.monotonic() + seconds
    said = f'"step": "{step}"'
    while time.monotonic() < deadline:
        if any(said in path.read_text() for path in host.state_dir.glob("*/journal.jsonl")):
            return
        time.sleep(0.05)
    raise AssertionError(f"the step {step} never began")


def findings(seen: Seen) -> dict[str, str]:
    """Ids and severities of the plan's findings."""
    return {finding["id"]: finding["severity"] for finding in seen.plan["findings"]}
