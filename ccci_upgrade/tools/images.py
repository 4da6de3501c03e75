"""Images: where they can be had, and pulling them before anything stops."""

from collections.abc import Callable

from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.model.facts import ImageFact, ImagePlace
from ccci_upgrade.model.image import Image
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.registry import registry_auth, server_of

ASK_SECONDS = 20.0
SILENCE_SECONDS = 120.0
"""The longest a pull may say nothing; a slow pull that goes on is let go on."""


def find_image(engine: Engine, image: str, *, ask_registry: bool) -> ImageFact:
    """Say whether an image is here, else whether its registry has it (asked by the Engine)."""
    if engine.find(f"/images/{image}/json") is not None:
        return ImageFact(image=image, place=ImagePlace.LOCAL)
    if not ask_registry:
        return ImageFact(image=image, place=ImagePlace.UNKNOWN, detail="not here; registries were not asked")
    try:
        answer = engine.ask("GET", f"/distribution/{image}/json", headers=_auth(image), seconds=ASK_SECONDS)
    except EngineError as error:
        detail = _why(image, error, ASK_SECONDS)
        return ImageFact(image=image, place=ImagePlace.NOWHERE, detail=detail)
    if answer.status == 200:  # noqa: PLR2004 - HTTP OK
        return ImageFact(image=image, place=ImagePlace.REGISTRY)
    return ImageFact(image=image, place=ImagePlace.NOWHERE, detail=answer.message)


def pull(engine: Engine, image: str, *, cancelled: Callable[[], bool]) -> None:
    """Pull one image; NotReadyError with the registry's words where that fails. Ends early when cancelled."""
    parsed = Image.parse(image)
    tag = (parsed.digest or parsed.tag or "latest") if parsed else "latest"
    name = parsed.repository if parsed else image
    query = {"fromImage": name, "tag": tag}
    lines = engine.lines(
        "POST",
        "/images/create",
        dict(query),
        headers=_auth(image),
        seconds=SILENCE_SECONDS,
        cancelled=cancelled,
    )
    try:
        for line in lines:
            error = line.get("error")
            if isinstance(error, str):
                raise _failed(image, error)
            if cancelled():
                return
    except EngineError as error:
        raise _failed(image, _why(image, error, SILENCE_SECONDS)) from error


def _failed(image: str, why: str) -> NotReadyError:
    return NotReadyError(
        f"cannot pull {tame_line(image)}: {tame_line(why)}",
        hint=f"nothing was changed; try `docker pull {tame_line(image)}`",
        code="pull",
    )


def _why(image: str, error: EngineError, seconds: float) -> str:
    """An Engine that is silent here waits for the registry itself: it is the registry that is named."""
    parsed = Image.parse(image)
    if not isinstance(error.__cause__, TimeoutError) or parsed is None:
        return error.message
    return f"the registry {server_of(parsed.repository)} did not answer within {seconds:.0f} s"


def _auth(image: str) -> dict[str, str]:
    parsed = Image.parse(image)
    token = registry_auth(parsed.repository) if parsed else ""
    return {"X-Registry-Auth": token} if token else {}
