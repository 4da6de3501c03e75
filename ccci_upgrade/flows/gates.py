"""The gates: a plan is shown, and refused in the order of refusals, before anything is changed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ccci_upgrade.errors import CcciError, Exit, StaleError
from ccci_upgrade.flows.ground import new_run
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.ports import Prompter, Reporter
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.finding import Finding, Severity
from ccci_upgrade.model.plan import Plan, moved_facts
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.verdict import Outcome
from ccci_upgrade.store.saved_plan import SavedPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One app looked at: its facts and the plan made from them."""

    facts: Facts
    plan: Plan


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of a request: one run for each app, the plans, and the exit code of the first that was not good."""

    runs: tuple[Run, ...]
    plans: tuple[Plan, ...]
    exit: Exit
    error: CcciError | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gated(Result):
    """A result whose gates are all open: what is still to be done."""

    todo: tuple[Planned, ...] = ()


def gated(
    host: Host,
    planned: Sequence[Planned],
    saved: SavedPlan | None,
    reporter: Reporter,
    prompter: Prompter | None,
) -> Gated:
    """Show every plan, then refuse in the order of refusals: stale (19), block (13), held (12), declined (17)."""
    for each in planned:
        reporter.plan(each.plan)
    stale = _stale(saved, planned) if saved is not None else None
    if stale is not None:
        return replace(_refused(host, planned, Outcome.STALE, Exit.STALE), error=stale)
    blocked = [p for p in planned if p.plan.to_version and p.plan.blocks]
    if blocked:
        return _refused(host, planned, Outcome.NOT_READY, Exit.NOT_READY)
    if prompter is not None:
        planned = _all_asked(planned, prompter)
    if any(p.plan.to_version and p.plan.holds for p in planned):
        declined = prompter is not None and prompter.interactive
        outcome, code = (Outcome.DECLINED, Exit.DECLINED) if declined else (Outcome.HELD, Exit.HELD)
        return _refused(host, planned, outcome, code)
    if prompter is not None and not all(prompter.confirm(p.plan) for p in planned if p.plan.to_version):
        return _refused(host, planned, Outcome.DECLINED, Exit.DECLINED)
    return Gated(runs=(), plans=tuple(p.plan for p in planned), exit=Exit.OK, todo=tuple(planned))


def _all_asked(planned: Sequence[Planned], prompter: Prompter) -> list[Planned]:
    """Ask about app after app; after the first no there is nothing left to ask about."""
    asked: list[Planned] = []
    for each in planned:
        refused = any(p.plan.to_version and p.plan.holds for p in asked)
        asked.append(each if refused else _asked(each, prompter))
    return asked


def _asked(planned: Planned, prompter: Prompter) -> Planned:
    """Have what holds a plan acknowledged, one finding after another; the first no ends the asking."""
    plan = planned.plan
    if plan.to_version is None or not prompter.interactive:
        return planned
    for finding in _holding(plan):
        if not prompter.acknowledge(plan.app, finding):
            break
        plan = replace(plan, acknowledged=plan.acknowledged | {finding.id})
    return Planned(facts=planned.facts, plan=plan)


def _holding(plan: Plan) -> Iterable[Finding]:
    return [f for f in plan.findings if f.severity is Severity.ACK and f.id in plan.holds]


def _stale(saved: SavedPlan, planned: Sequence[Planned]) -> StaleError | None:
    for each in planned:
        moved = moved_facts(saved.facts, each.plan.fingerprints)
        if moved:
            return StaleError(
                f"the saved plan for {each.plan.app} is stale: {', '.join(moved)} moved",
                hint=f"look again: ccci-upgrade plan {each.plan.app} --out {saved.path}",
            )
    return None


def _refused(host: Host, planned: Sequence[Planned], outcome: Outcome, code: Exit) -> Gated:
    """One run for each app: those at fault with the outcome, the others skipped, up-to-date ones noop."""

    def guilty(plan: Plan) -> bool:
        if outcome is Outcome.NOT_READY:
            return bool(plan.blocks)
        return bool(plan.holds) or outcome is not Outcome.HELD

    runs = []
    for plan in (each.plan for each in planned):
        word = Outcome.NOOP if plan.to_version is None else outcome if guilty(plan) else Outcome.SKIPPED
        runs.append(new_run(host, plan, outcome=word))
    return Gated(runs=tuple(runs), plans=tuple(p.plan for p in planned), exit=code)
