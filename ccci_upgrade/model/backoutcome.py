"""How a run that went back ended, from what was done and what was seen. Pure."""

from ccci_upgrade.model.verdict import TABLE, Outcome, State, Verdict


def outcome_of_back(
    verdict: Verdict | None, *, touched: bool, asked: bool, taken_back: bool, untouched: Outcome
) -> Outcome:
    """One outcome.

    `touched`: the app was stopped, data put back, or abra let act; `asked`: the command itself was one that goes
    back; `taken_back`: it is an upgrade, or a way back, that is taken back; `untouched` is how it ended where
    nothing was touched.
    """
    if verdict is not None and verdict.state is State.CONVERGED:
        # A way back that is itself taken back leaves all as it was before it.
        return Outcome.NOT_READY if taken_back and asked else Outcome.ROLLED_BACK
    if taken_back:
        return Outcome.FAILED
    if touched:
        # Swarm's own way back from the old version, or nothing done to it, is no success of a way back.
        unhealthy = verdict is not None and TABLE[verdict.state][0] is Outcome.UNHEALTHY
        return Outcome.UNHEALTHY if unhealthy else Outcome.FAILED
    return untouched
