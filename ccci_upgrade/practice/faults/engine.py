"""Faults of the Engine and of the apps on it."""

from collections.abc import Callable, Mapping

from ccci_upgrade.practice import engineroom
from ccci_upgrade.practice.faults.kinds import Caused, Fault, forget, newest, subject
from ccci_upgrade.practice.world import writing
from ccci_upgrade.practice.world.place import Mark, Place, app, service
from ccci_upgrade.practice.world.recipes import PRACTICE
from ccci_upgrade.tools.engine import Json

FREEZE_SECONDS = 20
SLOW_SECONDS = 1.5

_HEALTH = ("ccci-upgrade health drone", "ccci-upgrade status")


def _on_drone(make: Callable[[str], dict[str, Json]], did: str) -> Callable[[Place, Mark], Caused]:
    """A fault of drone's app that its health shows."""

    def cause(_place: Place, mark: Mark) -> Caused:
        engineroom.fault(mark, make(service("drone")))
        return Caused(did=f"{app('drone')}: {did}", see=_HEALTH)

    return cause


def _freeze(_place: Place, mark: Mark) -> Caused:
    engineroom.fault(mark, {"freeze": FREEZE_SECONDS})
    return Caused(did=f"the Engine answers nobody for {FREEZE_SECONDS} s", see=("ccci-upgrade status",))


def _slow(_place: Place, mark: Mark) -> Caused:
    engineroom.fault(mark, {"slow": SLOW_SECONDS})
    return Caused(
        did=f"every answer of the Engine takes {SLOW_SECONDS} s longer", see=("ccci-upgrade status",)
    )


def _image_nowhere(place: Place, mark: Mark) -> Caused:
    recipe = subject(mark)
    image = next(source.images()[-1] for source in PRACTICE if source.name == recipe)
    writing.write_registry(place, without=image)
    return Caused(
        did=f"{image}, which {newest(recipe)} needs, is neither here nor in any registry",
        see=(f"ccci-upgrade plan {recipe}",),
    )


def _image_back(place: Place, _mark: Mark, _kept: Mapping[str, str]) -> None:
    writing.write_registry(place)


FAULTS = (
    Fault(
        name="crash-loop",
        summary="an app ends again and again",
        cause=_on_drone(lambda name: {"loop": name}, "it ends again and again"),
        mend=forget,
    ),
    Fault(
        name="unhealthy",
        summary="an app runs, and its health check fails",
        cause=_on_drone(lambda name: {"unhealthy": name}, "its health check fails from now on"),
        mend=forget,
    ),
    Fault(
        name="wrong-status",
        summary="an app answers 503, behind a Swarm that is green",
        cause=_on_drone(lambda name: {"status": {name: 503}}, "it answers 503, and Swarm sees nothing"),
        mend=forget,
    ),
    Fault(
        name="engine-frozen",
        summary=f"the Engine answers nobody for {FREEZE_SECONDS} s",
        cause=_freeze,
        mend=forget,
    ),
    Fault(
        name="engine-slow",
        summary=f"every answer of the Engine takes {SLOW_SECONDS} s longer",
        cause=_slow,
        mend=forget,
    ),
    Fault(
        name="image-nowhere",
        summary="the next version's image cannot be pulled",
        cause=_image_nowhere,
        mend=_image_back,
    ),
)
