"""Images brought here before anything is changed: an app that is down does not wait for a registry."""

from collections.abc import Sequence

from ccci_upgrade.flows.ground import Ground
from ccci_upgrade.model.facts import ImageFact, ImagePlace
from ccci_upgrade.tools.images import pull


def pull_images(ground: Ground, images: Sequence[ImageFact]) -> str:
    """Pull what is not here; Ctrl-C stops it, for nothing was changed."""
    wanted = [fact.image for fact in images if fact.place is not ImagePlace.LOCAL]
    for image in wanted:
        ground.reporter.waiting(f"image {image}")
        pull(ground.host.swarm.engine, image, cancelled=lambda: ground.interrupted)
        ground.stop_if_pressed()
    ground.stop_if_pressed()
    return f"{len(wanted)} pulled, {len(images) - len(wanted)} were here already"
