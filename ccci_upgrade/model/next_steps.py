"""The exact commands to type after a run that did not end well."""

import shlex

from ccci_upgrade.model.app import App
from ccci_upgrade.model.verdict import Outcome, State, Verdict


def next_steps(
    outcome: Outcome, verdict: Verdict | None, *, app: App, was: str | None, to: str, log: str
) -> tuple[str, ...]:
    """Commands in the order to type them; a comment follows `#` where one is needed."""
    if verdict is None:
        if outcome is Outcome.FAILED:
            return (f"ccci-upgrade health {app.name}  # once the Engine answers again", *_log(log))
        if outcome is Outcome.LOCKED:
            return ("ccci-upgrade lease show", f"ccci-upgrade plan {app.name}")
        return (f"ccci-upgrade plan {app.name}",)
    # Labels and service names are foreign text, and these lines are there to be pasted into a shell.
    was, to = shlex.quote(was) if was else was, shlex.quote(to)
    named = next((e.service for e in verdict.evidence if e.service), "app")
    service, stack = shlex.quote(f"{app.stack}_{named}"), shlex.quote(app.stack)
    look = f"docker service ps --no-trunc {service}"
    again = f"ccci-upgrade upgrade {app.name} --to {to}"
    back = f"abra app rollback {app.name} {was} --no-input" if was else ""
    redeploy = f"abra app deploy {app.name} {was} --force --no-input" if was else ""
    steps: dict[State, tuple[str, ...]] = {
        State.CONVERGED: (),
        State.UNCHANGED: ("ccci-upgrade doctor", again),
        State.WRONG_VERSION: (look, f"ccci-upgrade plan {app.name}"),
        State.NOT_CONVERGED: (look, f"ccci-upgrade health {app.name}", back),
        State.UNHEALTHY: (
            f"docker service logs --tail 50 {service}",
            f"ccci-upgrade health {app.name}",
            back,
        ),
        State.PAUSED: (look, f"docker service inspect --pretty {service}", redeploy),
        State.SWARM_ROLLED_BACK: (look, f"ccci-upgrade health {app.name}", again),
        State.MIXED: (f"docker stack services {stack}", redeploy),
        State.FLAPPING: (look, f"docker service logs --tail 50 {service}", back),
        State.ZERO_REPLICAS: (f"docker service scale {service}=1", f"ccci-upgrade health {app.name}"),
        State.DATA_DETACHED: (
            f"docker service inspect {service} --format '{{{{json .Spec.TaskTemplate.ContainerSpec.Mounts}}}}'",
            f"docker volume ls --filter label=com.docker.stack.namespace={stack}  # the old volume is still there",
            back,
        ),
        State.DATA_SUSPECT: (
            f"docker service logs --tail 100 {service}  # did the new version migrate the data?",
            f"ccci-upgrade health {app.name}",
        ),
        State.FOREIGN_CHANGE: (
            f"docker service inspect --pretty {service}",
            "ccci-upgrade history",
            f"ccci-upgrade plan {app.name}",
        ),
    }
    return (*(step for step in steps[verdict.state] if step), *_log(log))


def _log(path: str) -> tuple[str, ...]:
    return (f"less {shlex.quote(path)}  # all that abra printed",) if path else ()
