"""The exact commands to type after a run that did not end well."""

import shlex

from ccci_upgrade.model.app import App
from ccci_upgrade.model.verdict import UNDOABLE, Outcome, State, Verdict


def next_steps(
    outcome: Outcome, verdict: Verdict | None, *, app: App, was: str | None, to: str, log: str
) -> tuple[str, ...]:
    """Commands after an upgrade, in the order to type them; a comment follows `#` where one is needed."""
    if verdict is None:
        return _without_verdict(outcome, f"ccci-upgrade plan {app.name}", app, log)
    if outcome is Outcome.ROLLED_BACK and verdict.state in UNDOABLE:
        return (f"ccci-upgrade health {app.name}", f"ccci-upgrade snapshot list {app.name}", *_log(log))
    # Labels and service names are foreign text, and these lines are there to be pasted into a shell.
    was, to = shlex.quote(was) if was else was, shlex.quote(to)
    named = next((e.service for e in verdict.evidence if e.service), "app")
    service, stack = shlex.quote(f"{app.stack}_{named}"), shlex.quote(app.stack)
    look = f"docker service ps --no-trunc {service}"
    again = f"ccci-upgrade upgrade {app.name} --to {to}"
    back = f"ccci-upgrade rollback {app.name} --to {was}" if was else ""
    steps: dict[State, tuple[str, ...]] = {
        State.CONVERGED: (),
        State.UNCHANGED: ("ccci-upgrade doctor", again),
        State.WRONG_VERSION: (look, f"ccci-upgrade plan {app.name}", back),
        State.NOT_CONVERGED: (look, f"ccci-upgrade health {app.name}", back),
        State.UNHEALTHY: (
            f"docker service logs --tail 50 {service}",
            f"ccci-upgrade health {app.name}",
            back,
        ),
        State.PAUSED: (look, f"docker service inspect --pretty {service}", back),
        State.SWARM_ROLLED_BACK: (look, f"ccci-upgrade health {app.name}", again),
        State.MIXED: (f"docker stack services {stack}", back),
        State.FLAPPING: (look, f"docker service logs --tail 50 {service}", back),
        State.ZERO_REPLICAS: (
            f"docker service scale {service}=1",
            f"ccci-upgrade health {app.name}",
            back,
        ),
        State.DATA_DETACHED: (
            f"docker service inspect {service} --format '{{{{json .Spec.TaskTemplate.ContainerSpec.Mounts}}}}'",
            f"docker volume ls --filter label=com.docker.stack.namespace={stack}  # the old volume is still there",
            back,
        ),
        State.DATA_SUSPECT: (
            f"docker service logs --tail 100 {service}  # did the new version migrate the data?",
            back,
        ),
        State.FOREIGN_CHANGE: (
            f"docker service inspect --pretty {service}",
            "ccci-upgrade history",
            f"ccci-upgrade plan {app.name}",
        ),
    }
    return (*(step for step in steps[verdict.state] if step), *_log(log))


def next_steps_back(
    outcome: Outcome, verdict: Verdict | None, *, app: App, again: str, log: str
) -> tuple[str, ...]:
    """Commands after a way back that did not end well: it can be gone `again`, from wherever it stopped."""
    if outcome is not Outcome.FAILED and verdict is None:
        return _without_verdict(outcome, again, app, log)
    named = next((e.service for e in verdict.evidence if e.service), "app") if verdict else "app"
    service = shlex.quote(f"{app.stack}_{named}")
    return (
        f"docker service ps --no-trunc {service}",
        f"ccci-upgrade health {app.name}",
        f"{again}  # begins anew; what was kept stays kept",
        *_log(log),
    )


def _without_verdict(outcome: Outcome, again: str, app: App, log: str) -> tuple[str, ...]:
    if outcome is Outcome.FAILED:
        return (f"ccci-upgrade health {app.name}  # once the Engine answers again", *_log(log))
    return ("ccci-upgrade lease show", again) if outcome is Outcome.LOCKED else (again,)


def _log(path: str) -> tuple[str, ...]:
    return (f"less {shlex.quote(path)}  # all that abra printed",) if path else ()
