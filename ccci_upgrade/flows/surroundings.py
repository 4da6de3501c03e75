"""What stands around an app: other owners, the `.env`'s history, builds and test stacks at work."""

import re
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ccci_upgrade.errors import CcciError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.model.app import App
from ccci_upgrade.model.builtin_probes import builds_probe
from ccci_upgrade.model.facts import EnvHistory, OtherOwner
from ccci_upgrade.model.probe import Token
from ccci_upgrade.tools.envgit import env_git_state
from ccci_upgrade.tools.owners import SwarmService, Target, host_owners, swarm_owners
from ccci_upgrade.tools.web import run_probes

if TYPE_CHECKING:
    from ccci_upgrade.tools.tls import Door

BUILDS_SECONDS = 5.0
"""The longest a plan waits for the answer to whether builds run."""

_TEST_STACK = re.compile(r"[a-z]{1,4}-[0-9a-f]{6}(?:_.*)?")
"""cc-ci deploys an app under test as its recipe's first four letters and six hex digits."""


def other_owners(host: Host, apps: Sequence[App]) -> tuple[OtherOwner, ...]:
    """Everybody else who deploys or upgrades these apps: in the Swarm, and on this machine."""
    services = [
        SwarmService(name=s.full_name, image=s.image, words=s.arguments, labels=s.labels)
        for s in host.swarm.services()
    ]
    found = swarm_owners(services, [app.stack for app in apps])
    if not host.local:
        return found
    targets = [Target(recipe=app.recipe, domain=app.name, stack=app.stack) for app in apps]
    return (*found, *host_owners(targets))


def unseen_from_here(host: Host, *, disk_known: bool) -> tuple[str, ...]:
    """What only the server's own machine tells, in a line each; nothing of this machine stands for it."""
    lines = []
    if not host.local:
        lines.append("other owners: the server's systemd units were not looked at")
    if not disk_known:
        lines.append("disk space: unknown where the Engine keeps its data")
    return tuple(lines)


def env_history(app: App, cache_dir: Path, *, offline: bool) -> EnvHistory:
    """What git says of the `.env`; nothing where it is in no repository."""
    try:
        state = env_git_state(app.path, cache_dir, offline=offline)
    except CcciError:
        return EnvHistory()
    if state is None:
        return EnvHistory()
    newer = state.upstream
    return EnvHistory(
        uncommitted=f"{state.path}: {state.stat or 'not in git yet'}" if state.uncommitted else "",
        upstream=f"{newer.commit[:12]} {newer.date[:10]} {newer.author}: {newer.subject}" if newer else "",
    )


def busy_lines(host: Host) -> tuple[str, ...]:
    """Test stacks and builds that run now: an upgrade of any app under them makes them fail."""
    names = sorted({s.stack for s in host.swarm.services() if _TEST_STACK.fullmatch(s.stack)})
    return (*(f"test stack {name} is deployed" for name in names), *running_builds(host.apps, host.door))


def running_builds(apps: Iterable[App], door: "Door | None" = None) -> tuple[str, ...]:
    """One line for each build that runs or waits in a Drone whose token is configured.

    A Drone that does not answer in `BUILDS_SECONDS`, or not to this token, tells nothing here.
    """
    probes = [
        builds_probe(app.name, app.domain, app.address, Token(file=app.token_file))
        for app in apps
        if app.recipe == "drone" and app.token_file
    ]
    results = run_probes(probes, seconds_total=BUILDS_SECONDS, cancelled=threading.Event(), door=door)
    return tuple(f"{result.name}: {line}" for result in results for line in result.facts.values())
