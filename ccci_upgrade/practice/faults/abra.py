"""Bad habits of abra, as the stand-in shows them: the next upgrade meets them."""

import json
from collections.abc import Callable, Mapping

from ccci_upgrade.practice.faults.kinds import Caused, Fault, subject
from ccci_upgrade.practice.world.place import Mark, Place


def _habit(habits: Mapping[str, object], did: str) -> Callable[[Place, Mark], Caused]:
    def cause(place: Place, mark: Mark) -> Caused:
        recipe = subject(mark)
        place.habits.write_text(json.dumps(habits), encoding="utf-8")
        return Caused(did=did, see=(f"ccci-upgrade upgrade {recipe}",))

    return cause


def _behave(place: Place, _mark: Mark, _kept: Mapping[str, str]) -> None:
    place.habits.unlink(missing_ok=True)


FAULTS = (
    Fault(
        name="abra-gives-up",
        summary="abra fails while Swarm still converges",
        cause=_habit({"give_up_after": 0.3}, "abra says that the deploy timed out, 0.3 s after it began"),
        mend=_behave,
    ),
    Fault(
        name="abra-does-nothing",
        summary="abra ends with 0 and has changed nothing",
        cause=_habit({"noop": True}, "abra ends with 0 and changes nothing"),
        mend=_behave,
    ),
    Fault(
        name="abra-hangs",
        summary="abra changes the stack and never ends",
        cause=_habit(
            {"hang_after_deploy": True},
            "abra changes the stack and never ends: it is ended with the budget, after 40 s",
        ),
        mend=_behave,
    ),
    Fault(
        name="abra-dies",
        summary="abra is killed in the middle",
        cause=_habit({"die_after_deploy": True}, "abra is killed right after it changed the stack"),
        mend=_behave,
    ),
)
