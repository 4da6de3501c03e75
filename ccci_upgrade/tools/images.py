"""Images: where they can be had, pulling them before anything stops, and keeping those that a rollback needs.

Swarm asks for `name:tag@sha256:…`, so an image it pulled has a digest and no tag, and the next prune takes it. A tag
keeps it from `docker image prune` and `docker system prune`; a container that was never started keeps it, with its
digest, from `docker image prune -a`. Nothing that does not run keeps it from `docker system prune -a`. Where the digest
is gone nothing but a registry brings it back, and a service that names it does not start; one that names the tag alone
does. (Tried on Engine 20.10: tests/swarm/test_kept_images.py.)
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.model.facts import ImageFact, ImagePlace
from ccci_upgrade.model.image import Image
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools.engine import Engine, Json
from ccci_upgrade.tools.registry import registry_auth, server_of

ASK_SECONDS = 20.0
REMOVE_SECONDS = 120.0
SILENCE_SECONDS = 120.0
"""The longest a pull may say nothing; a slow pull that goes on is let go on."""


KEPT = "0.invalid/ccci-upgrade/kept"
"""The repository of our tags. It sorts before every other: `image prune -a` takes an image's names away in that order,
and cannot take the last one where a container has the image. So it is our tag that goes, and never the digest."""

KEEPER = "ccci-upgrade.keeper"
"""The label of containers that keep an image; its value is the stack."""

_OK = frozenset({200, 201, 204, 404})
_HERE = 409


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """An image that is kept: our tag for it in full, and its local id."""

    tag: str
    image_id: str


def keep(engine: Engine, image: str, *, stack: str, service: str) -> Kept:
    """Keep a local image from being pruned until `let_go`; may be called again. NotReadyError where it is not here."""
    found = engine.find(f"/images/{image}/json")
    identity = found.get("Id") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(identity, str):
        raise NotReadyError(
            f"the image {tame_line(image)} is not here, so it cannot be kept",
            hint=f"try `docker pull {tame_line(image)}`",
            code="image-gone",
        )
    tag = f"{_prefix(stack)}{_word(service)}.{identity.removeprefix('sha256:')[:12]}"
    _name(engine, identity, KEPT, tag)
    config = found.get("Config")
    volumes = config.get("Volumes") if isinstance(config, dict) else None
    declared = list(volumes) if isinstance(volumes, dict) else []
    body: dict[str, Json] = {
        "Image": identity,
        "Cmd": ["never-started"],
        "Labels": {KEEPER: stack},
        "HostConfig": {
            # Else each volume that the image declares would be made, nameless, and filled.
            "Mounts": [{"Type": "tmpfs", "Target": path} for path in declared],
            "NetworkMode": "none",
        },
    }
    answer = engine.ask("POST", "/containers/create", {"name": _keeper(tag)}, body=body)
    if answer.status not in {201, _HERE}:
        raise EngineError(f"no container can be made to keep {tame_line(image)}: {answer.message}")
    return Kept(tag=f"{KEPT}:{tag}", image_id=identity)


def kept(engine: Engine, stack: str) -> tuple[Kept, ...]:
    """The images that are kept for a stack, by either means, sorted by tag."""
    found = {tag: identity for tag, identity in _tagged(engine) if tag.startswith(_prefix(stack))}
    query: dict[str, Json] = {"all": "true", "filters": {"label": [f"{KEEPER}={stack}"]}}
    for each in _objects(engine.get("/containers/json", query)):
        names, identity = each.get("Names"), each.get("ImageID")
        for name in names if isinstance(names, list) else []:
            tag = str(name).removeprefix(f"/{_keeper('')}")
            if tag.startswith(_prefix(stack)) and isinstance(identity, str):
                found[tag] = identity
    return tuple(Kept(tag=f"{KEPT}:{tag}", image_id=found[tag]) for tag in sorted(found))


def let_go(engine: Engine, tag: str) -> None:
    """Keep it no longer. An image that has no other name and no container goes at once, as a prune would take it."""
    short = tag.removeprefix(f"{KEPT}:")
    if not _TAG.fullmatch(short):
        raise EngineError(f"{tame_line(tag)} is no tag of a kept image")
    for path in (f"/containers/{_keeper(short)}", f"/images/{KEPT}:{short}"):
        answer = engine.ask(
            "DELETE", path, {"v": "1"} if "containers" in path else None, seconds=REMOVE_SECONDS
        )
        if answer.status not in _OK | {_HERE}:
            raise EngineError(f"{tame_line(tag)} cannot be let go: {answer.message}")


def restore_tag(engine: Engine, image_id: str, reference: str) -> bool:
    """Give a local image its name back; False where `reference` still does not find it.

    That is where it has a digest, which no tag can give back: then a registry is needed, or a service that asks for
    the tag alone.
    """
    parsed = Image.parse(reference)
    if parsed is None:
        return False
    if _id(engine, reference) != image_id:
        _name(engine, image_id, parsed.repository, parsed.tag or "latest")
    return _id(engine, reference) == image_id


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


_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


def _prefix(stack: str) -> str:
    """How a stack's tags begin; two stacks never share it."""
    return f"{_word(stack)}.{hashlib.sha256(stack.encode(errors='surrogateescape')).hexdigest()[:8]}."


def _word(text: str) -> str:
    """What of a name may stand in a tag and in a container's name."""
    return re.sub("[^A-Za-z0-9_-]", "-", text)[:40].strip("-") or "x"


def _keeper(tag: str) -> str:
    return f"ccci-upgrade-kept-{tag}"


def _name(engine: Engine, image_id: str, repository: str, tag: str) -> None:
    answer = engine.ask("POST", f"/images/{image_id}/tag", {"repo": repository, "tag": tag})
    if answer.status != 201:  # noqa: PLR2004 - HTTP Created
        raise EngineError(f"the image {image_id[:19]} cannot be tagged: {answer.message}")


def _id(engine: Engine, reference: str) -> str | None:
    found = engine.find(f"/images/{reference}/json")
    value = found.get("Id") if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _tagged(engine: Engine) -> Iterator[tuple[str, str]]:
    """Our tags without their repository, each with its image's id."""
    for each in _objects(engine.get("/images/json")):
        names, identity = each.get("RepoTags"), each.get("Id")
        for name in names if isinstance(names, list) else []:
            if isinstance(name, str) and name.startswith(f"{KEPT}:") and isinstance(identity, str):
                yield name.removeprefix(f"{KEPT}:"), identity


def _objects(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


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
