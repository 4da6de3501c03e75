"""`health`: is an app what it should be, now? The stack and its probes, nothing compared, nothing changed."""

from collections.abc import Iterable
from dataclasses import dataclass

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, Exit
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.look import probe
from ccci_upgrade.flows.status import state_of
from ccci_upgrade.model.app import App
from ccci_upgrade.model.probe import Gap
from ccci_upgrade.model.stackstate import unhealthy_lines


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One check: `ok` is None where it could not be made, or did not tell."""

    name: str
    ok: bool | None
    detail: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """One app: `verdict` is healthy, unhealthy, undeployed or unknown."""

    app: str
    verdict: str
    checks: tuple[Check, ...]


def read_health(host: Host, apps: tuple[App, ...]) -> tuple[tuple[Health, ...], Exit]:
    """Check apps; 16 where one is not healthy."""
    found = tuple(_one(host, app) for app in apps)
    good = all(health.verdict == "healthy" for health in found)
    return found, Exit.OK if good else Exit.UNHEALTHY


def _one(host: Host, app: App) -> Health:
    started = clock.ticks()
    stack = host.swarm.stack(app.stack)
    state = state_of(stack)
    took = clock.ticks() - started
    if state == "undeployed":
        check = Check(name="stack", ok=False, detail="not deployed", seconds=took)
        return Health(app=app.name, verdict="undeployed", checks=(check,))
    lines = unhealthy_lines(stack)
    good = state in ("converged", "rolled_back") and not lines
    detail = "; ".join(lines) or f"{state}, version {stack.label('version') or 'unknown'}"
    checks = [Check(name="stack", ok=good, detail=detail, seconds=took)]
    try:
        _, results = probe(host, app)
    except CcciError as error:
        checks.append(Check(name="probes", ok=None, detail=error.message, seconds=0.0))
        results = ()
    for result in results:
        ok = None if result.gap else result.ok
        checks.append(Check(name=result.name, ok=ok, detail=result.detail, seconds=result.seconds))
    untold = {result.name for result in results if result.gap is Gap.UNTOLD}
    return Health(
        app=app.name, verdict=_word(c for c in checks if c.name not in untold), checks=tuple(checks)
    )


def _word(those: Iterable[Check]) -> str:
    checks = list(those)
    if any(check.ok is False for check in checks):
        return "unhealthy"
    return "unknown" if any(check.ok is None for check in checks) else "healthy"
