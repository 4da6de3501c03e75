"""Other owners: who else deploys or upgrades these apps, by units of this host or services of the Swarm.

An owner is named by a command it would run for one of our apps, not by a name that looks alike: a dashboard
or a build runner that never deploys is none. Units are read as text; nothing of them is run.
"""

import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ccci_upgrade.model.facts import OtherOwner, OwnerKind
from ccci_upgrade.process import run
from ccci_upgrade.text import decode, tame_line
from ccci_upgrade.tools import deploycommands
from ccci_upgrade.tools.units import Unit, read_units

SYSTEMCTL_SECONDS = 5.0
_EVIDENCE = 6
_ASKED = "Id,ActiveState,SubState,Type,RemainAfterExit,Job"

_ACTORS = {
    "watchtower": "replaces images by itself",
    "shepherd": "updates services by itself",
    "gantry": "updates services by itself",
    "ouroboros": "replaces images by itself",
}
"""Images that act; diun and the like only tell people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One of our apps, by all the names a command could give it."""

    recipe: str
    domain: str
    stack: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SwarmService:
    """One service: its full name, its image, its arguments and `NAME=value` environment, its labels."""

    name: str
    image: str
    words: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)


def host_owners(
    targets: Sequence[Target], *, root: Path = Path("/"), systemctl: str = "systemctl"
) -> tuple[OtherOwner, ...]:
    """The systemd units below `root` that deploy one of these apps, or rebuild the host; sorted by name.

    A unit that nothing starts (no timer, no target, no other unit) and that is not running is left out.
    """
    units = read_units(root)
    suspects = {name: found for name, unit in units.items() if (found := _suspicion(unit, targets))}
    states = _states(sorted(suspects), systemctl)
    owners = []
    for name, (kind, evidence) in sorted(suspects.items()):
        acting = _acting(states.get(name, {}))
        started = units[name].started_by
        if acting:
            state = " ".join(states[name].get(key, "") for key in ("ActiveState", "SubState")).strip()
            owners.append(_owner(name, OwnerKind.ACTING, (f"systemd says: {state}", *evidence)))
        elif started:
            owners.append(_owner(name, kind, (*evidence, f"started by {', '.join(started[:3])}")))
    return tuple(owners)


def swarm_owners(services: Iterable[SwarmService], stacks: Iterable[str]) -> tuple[OtherOwner, ...]:
    """The services of a Swarm that update others by themselves; kadabra only where an app asks it to."""
    known = list(services)
    asked = [
        f"{service.name}: {key}=true"
        for service in known
        for stack in stacks
        if service.labels.get(key := f"coop-cloud.{stack}.autoupdate", "").lower() == "true"
    ]
    owners = []
    for service in known:
        image = service.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
        what = _ACTORS.get(image)
        if what is not None and not _only_watches(service):
            owners.append(_owner(service.name, OwnerKind.MAY_ACT, (f"{service.image} {what}",)))
        elif image == "kadabra" and asked:
            evidence = (f"{service.image} upgrades apps that ask for it", *asked)
            owners.append(_owner(service.name, OwnerKind.MAY_ACT, evidence))
    return tuple(sorted(owners, key=lambda owner: owner.name))


def _suspicion(unit: Unit, targets: Sequence[Target]) -> tuple[OwnerKind, tuple[str, ...]] | None:
    names = [{t.recipe, t.domain, t.stack} - {""} for t in targets]
    deploys = deploycommands.deploying(unit.texts, names)
    known = deploycommands.known_unit(unit.name, {t.recipe for t in targets})
    if deploys or known:
        return OwnerKind.MAY_ACT, (*([f"{unit.path}: {known}"] if known else []), *deploys)
    rebuilds = deploycommands.rebuilding(unit.texts)
    return (OwnerKind.HOST_REBUILD, rebuilds) if rebuilds else None


def _owner(name: str, kind: OwnerKind, evidence: Sequence[str]) -> OtherOwner:
    lines = tuple(tame_line(line) for line in dict.fromkeys(evidence))
    return OtherOwner(name=tame_line(name), kind=kind, evidence=lines[:_EVIDENCE])


def _only_watches(service: SwarmService) -> bool:
    words = " ".join(service.words).lower()
    return re.search(r"watchtower_monitor_only=(?:true|1)\b|--monitor-only(?!=false)\b", words) is not None


def _states(names: Sequence[str], systemctl: str) -> dict[str, dict[str, str]]:
    """What systemd says of units, by name; {} where it is not there or does not answer."""
    if not names or shutil.which(systemctl) is None:
        return {}
    done = run([systemctl, "show", "--property", _ASKED, "--", *names], seconds=SYSTEMCTL_SECONDS)
    blocks = decode(done.out).split("\n\n") if done.code == 0 else []
    shown = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return {state["Id"]: state for state in shown if "Id" in state}


def _acting(state: dict[str, str]) -> bool:
    """Whether a unit is at work now, or about to be; a finished oneshot that `RemainAfterExit` is not."""
    if state.get("ActiveState") in ("activating", "reloading"):
        return True
    running = state.get("ActiveState") == "active" and state.get("SubState") == "running"
    return running or state.get("Job", "0") not in ("", "0")
