"""The main job, top-down: guard → probe → plan → confirm → act → verify → record, for one app after another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ccci_upgrade.errors import Exit, UsageError
from ccci_upgrade.flows.deadruns import refuse_open
from ccci_upgrade.flows.gates import Gated, Planned, Result, gated
from ccci_upgrade.flows.ground import Held, exit_of, new_run
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.keptsecrets import recipients_for
from ccci_upgrade.flows.lease import LeaseTakenError, hold
from ccci_upgrade.flows.look import Depth, look, look_at_versions
from ccci_upgrade.flows.ports import Prompter, Reporter
from ccci_upgrade.flows.upgraderun import Choice, OnFailure, run_upgrade
from ccci_upgrade.model.app import App
from ccci_upgrade.model.facts import Facts, fingerprints
from ccci_upgrade.model.findings import ACK_KINDS, find
from ccci_upgrade.model.plan import make_plan, moved_facts, no_plan
from ccci_upgrade.model.run import UPGRADE, Run
from ccci_upgrade.model.verdict import Outcome
from ccci_upgrade.store.saved_plan import SavedPlan, read_saved
from ccci_upgrade.tools.apps import read_env_text
from ccci_upgrade.tools.git import Repository

LOCK_SECONDS = 10.0
"""How long an abra of ours that still runs on the same `ABRA_DIR` is waited for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What was asked for. `acks` are `ID`, or `APP:ID` with more than one app."""

    apps: tuple[str, ...] = ()
    every: bool = False
    to: str | None = None
    plan_file: Path | None = None
    acks: tuple[str, ...] = ()
    dry_run: bool = False
    keep_going: bool = False
    offline: bool = False
    lease_wait: float = 0.0
    on_failure: OnFailure | None = None
    passphrase: bool = False


def plan_apps(host: Host, request: Request) -> tuple[Planned, ...]:
    """Look at the apps and plan, reading only: what `plan` shows and `upgrade` acts on."""
    apps = _chosen(host, request)
    if request.to is not None and len(apps) > 1:
        raise UsageError("`--to` names a version of one app", hint="upgrade the apps one by one")
    acks = _acknowledged(apps, request.acks)
    return tuple(plan_app(host, app, request, acks[app.name]) for app in apps)


def plan_app(host: Host, app: App, request: Request, acknowledged: frozenset[str]) -> Planned:
    """Read one app's facts and make its plan."""
    facts = look(host, app, Depth(to=request.to, offline=request.offline))
    if request.passphrase:
        facts = replace(facts, protection=replace(facts.protection, recipient=True))
    return Planned(facts=facts, plan=make_plan(facts, find(facts), acknowledged))


def upgrade(host: Host, request: Request, *, reporter: Reporter, prompter: Prompter) -> Result:
    """Upgrade apps, one after another; every gate is passed by all of them before anything is changed."""
    saved = read_saved(request.plan_file) if request.plan_file else None
    if saved is not None:
        request = _as_saved(request, saved)
    if request.dry_run:
        return gated(host, plan_apps(host, request), saved, reporter, prompter=None)
    apps = _chosen(host, request)
    words = " ".join(("upgrade", *(("--all",) if request.every else (app.name for app in apps))))
    try:
        with (
            hold(host.swarm, command=words, wait=request.lease_wait, reporter=reporter) as lease,
            host.abra.alone(seconds=LOCK_SECONDS) as lock,
        ):
            for app in apps:
                refuse_open(host, app)
            passed = gated(host, plan_apps(host, request), saved, reporter, prompter)
            if passed.exit is not Exit.OK:
                return passed
            choice = Choice(said=request.on_failure, ask=prompter.undo if prompter.interactive else None)
            to = recipients_for(host.config, apps[0].name, prompter if request.passphrase else None)
            choice = replace(choice, secrets_for=to)
            with Interrupts() as interrupts:
                held = Held(lease=lease, lock=lock, interrupts=interrupts)
                return _act(host, request, passed, held=held, reporter=reporter, choice=choice)
    except LeaseTakenError as error:
        runs = tuple(_locked(host, app, request) for app in apps)
        return Result(runs=runs, plans=(), exit=Exit.LOCKED, error=error)


def chosen_by(host: Host, request: Request, prompter: Prompter) -> Request:
    """Where no app is named at a terminal: a menu of the apps that have something newer."""
    if request.apps or request.every or request.plan_file:
        return request
    newer = []
    for app in host.apps:
        facts = look_at_versions(host, app, offline=request.offline)
        if facts.target is not None:
            newer.append(app.name)
    if not newer:
        return replace(request, every=True)  # nothing to choose from: each app says that it is up to date
    return replace(request, apps=prompter.choose(tuple(newer)))


# -- the act ----------------------------------------------------------------------------------------------


def _locked(host: Host, app: App, request: Request) -> Run:
    """A run that did not even look: what runs and what there is are unknown."""
    return new_run(host, no_plan(app, command=UPGRADE, to=request.to), outcome=Outcome.LOCKED)


def _act(
    host: Host, request: Request, passed: Gated, *, held: Held, reporter: Reporter, choice: Choice
) -> Result:
    """Act app by app; stop at the first bad verdict unless told to keep going, and at Ctrl-C in any case."""
    runs: list[Run] = []
    code = Exit.OK
    for each in passed.todo:
        if each.plan.to_version is None:
            runs.append(new_run(host, each.plan, outcome=Outcome.NOOP))
            continue
        if held.interrupts.pressed or (code is not Exit.OK and not request.keep_going):
            runs.append(new_run(host, each.plan, outcome=Outcome.SKIPPED))
            continue
        run = _act_on_one(host, each, held=held, reporter=reporter, choice=choice)
        runs.append(run)
        code = exit_of(run) if code is Exit.OK else code
    return Result(runs=tuple(runs), plans=passed.plans, exit=code)


def _act_on_one(host: Host, planned: Planned, *, held: Held, reporter: Reporter, choice: Choice) -> Run:
    """Look once more at what the plan stands on: a person may have thought about it for an hour."""
    facts = _again(host, planned.facts)
    moved = moved_facts(planned.plan.fingerprints, fingerprints(facts))
    if moved:
        reporter.note(f"{planned.plan.app}: {', '.join(moved)} moved since the plan was shown; look again")
        return new_run(host, planned.plan, outcome=Outcome.STALE)
    return run_upgrade(host, facts, planned.plan, held=held, reporter=reporter, choice=choice)


def _again(host: Host, facts: Facts) -> Facts:
    """The facts that others can move meanwhile, read anew: stack, `.env`, the target's commit."""
    app = replace(facts.app, text=read_env_text(facts.app.path))
    stack = host.swarm.stack(app.stack)
    release = facts.target
    if release is not None and release.annotated:
        tags = {tag.name: tag.commit for tag in Repository(facts.recipe.path).tags()}
        # A tag that only upstream has is fetched by abra itself.
        release = replace(release, commit=tags.get(release.version.text, release.commit))
    return replace(facts, app=app, stack=stack, target=release, deployed_text=stack.label("version"))


# -- what was asked for -----------------------------------------------------------------------------------


def _chosen(host: Host, request: Request) -> tuple[App, ...]:
    if request.every == bool(request.apps):
        raise UsageError(
            "name apps or say `--all`, one of the two", hint=f"apps: {' '.join(a.name for a in host.apps)}"
        )
    apps = host.apps if request.every else host.find(request.apps)
    return tuple(sorted(apps, key=lambda app: (app.upgrade_last, app.order, app.name)))


def _acknowledged(apps: Sequence[App], acks: Iterable[str]) -> dict[str, frozenset[str]]:
    """Sort acknowledgements to their apps; an id that no finding can have is a usage error."""
    found: dict[str, set[str]] = {app.name: set() for app in apps}
    for ack in acks:
        owner = next((a for a in apps if ack.startswith((f"{a.name}:", f"{a.recipe}:"))), None)
        plain = ack.split(":", 1)[1] if owner else ack
        if plain.split(":", 1)[0] not in ACK_KINDS:
            raise UsageError(
                f"`--ack {ack}`: there is no such finding to acknowledge",
                hint=f"ids begin with one of {', '.join(sorted(ACK_KINDS))}; `ccci-upgrade plan APP` shows them",
            )
        if owner is None and len(apps) > 1:
            raise UsageError(
                f"`--ack {ack}`: which app?", hint=f"with several apps write `--ack {apps[0].name}:{ack}`"
            )
        found[(owner or apps[0]).name].add(plain)
    return {name: frozenset(ids) for name, ids in found.items()}


def _as_saved(request: Request, saved: SavedPlan) -> Request:
    if request.every or (request.apps and request.apps != (saved.app,)):
        raise UsageError(f"`{saved.path}` is a plan for {saved.app} alone", hint="leave out apps and `--all`")
    if request.to is not None and request.to != saved.to:
        raise UsageError(f"`{saved.path}` goes to {saved.to}, not {request.to}", hint="leave out `--to`")
    return replace(request, apps=(saved.app,), to=saved.to)
