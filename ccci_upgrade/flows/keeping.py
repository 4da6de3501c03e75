"""What a way back needs beside the data: the images that run now, and what is remembered of good versions."""

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, NotReadyError
from ccci_upgrade.flows.ground import Ground
from ccci_upgrade.flows.lock import record_run
from ccci_upgrade.flows.memory import recall_one, remember
from ccci_upgrade.model.image import bare_image
from ccci_upgrade.model.memory import LastGood
from ccci_upgrade.model.suspect import DATA_NOT_RESTORED, suspicion
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.tools import images, volumes


def keep_images(ground: Ground, stack: Stack) -> str:
    """Keep what runs now from every prune, and let go of what was kept for an older version."""
    engine, kept = ground.host.swarm.engine, set[str]()
    for service in stack.services:
        try:
            kept.add(images.keep(engine, service.image, stack=stack.name, service=service.name).tag)
        except NotReadyError as error:  # a service of another node, or one that never found its image
            ground.reporter.note(f"{service.name}: {error.message}")
    for each in images.kept(engine, stack.name):
        if each.tag not in kept:
            images.let_go(engine, each.tag)
    return f"{len(kept)} of {len(stack.services)} images kept"


def name_images(ground: Ground, wanted: dict[str, str]) -> str:
    """Give images that are here their names back: Swarm's have a digest only. `wanted`: ids by reference."""
    engine = ground.host.swarm.engine
    known = {image: identity for image, identity in wanted.items() if identity}
    lost = [image for image, identity in known.items() if not images.restore_tag(engine, identity, image)]
    return f"not here: {', '.join(lost)}" if lost else f"{len(known)} images are here"


def image_ids(ground: Ground, stack: Stack) -> dict[str, str]:
    """The local id of each service's image, by its reference without digest."""
    engine = ground.host.swarm.engine
    return {bare_image(each.image): volumes.image_id(engine, each.image) for each in stack.services}


def remember_good(
    ground: Ground, stack: Stack, *, snapshot: str | None = None, seconds: float | None = None
) -> str:
    """Tell every maintainer of this Swarm that what runs in `stack` is good, and where the copy of its data is."""
    version, run = stack.label("version"), ground.record
    if version is None or stack.label("chaos") == "true":
        return "it has no version to remember"
    # What was acted on already is judged by its own run, and not by those before it.
    acted = version == run.to_version
    if DATA_NOT_RESTORED in run.acknowledged or (not acted and suspicion(ground.earlier, run.app)):
        return f"{version} runs on data that may be newer: it is not remembered as good"
    good = LastGood(
        app=run.app,
        stack=stack.name,
        recipe=run.recipe,
        version=version,
        recorded=clock.stamp(ground.host.swarm.engine_time()),
        operator=run.operator,
        host=run.host,
        run_id=run.run_id,
        snapshot=snapshot,
        snapshot_host=run.host if snapshot else "",
        images=tuple(sorted((each.name, each.image) for each in stack.services)),
        rollback_seconds=seconds,
    )
    remember(ground.host.swarm, good)
    return f"{version} is remembered as good"


def remembered(ground: Ground, *, seconds: float | None = None) -> str:
    """The same after a good verdict, and the lock where one is configured: what fails of it does not change it."""
    try:
        said = remember_good(ground, ground.host.swarm.stack(ground.app.stack), seconds=seconds)
    except CcciError as error:
        ground.reporter.note(f"it could not be remembered as good: {error.message}")
        said = error.message
    return "; ".join(filter(None, (said, record_run(ground))))


def remembered_seconds(ground: Ground, version: str) -> float | None:
    """How long the way back to a version took before, whoever went it; None where nobody knows."""
    try:
        memory = recall_one(ground.host.swarm, ground.app.stack)
    except CcciError:
        return None
    good = memory.of(version) if memory else None
    return good.rollback_seconds if good else None
