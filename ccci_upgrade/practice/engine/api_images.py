"""Routes of images, and of the registry behind them."""

import json
from collections.abc import Iterator

from ccci_upgrade.practice.engine.images import Known, plain
from ccci_upgrade.practice.engine.routes import Host, Route, filters, known_filters
from ccci_upgrade.practice.engine.tree import Json, Tree
from ccci_upgrade.practice.engine.wire import Answer, Request, as_json
from ccci_upgrade.practice.engine.world import RefusedError

SIZE = 4 << 20
CREATED = 1767225600
"""When every image was made, as lists say it; a single one says the same day in words."""


def listed(host: Host, request: Request, _: str) -> Answer:
    """List local images; `reference` is a whole name, not a pattern."""
    wanted = known_filters(filters(request), "reference").get("reference")
    by_id: dict[str, list[str]] = {}
    known: dict[str, Known] = {}
    for tag, each in host.world.images.here().items():
        if wanted is not None and tag not in wanted:
            continue
        by_id.setdefault(each.id, []).append(tag)
        known[each.id] = each
    return as_json([_summary(known[name], tags) | {"Created": CREATED} for name, tags in by_id.items()])


def inspect(host: Host, request: Request, ref: str) -> Answer:
    """Describe a local image."""
    del request
    known = _local(host, ref)
    tags = [tag for tag, each in host.world.images.here().items() if each == known]
    return as_json(
        _summary(known, tags) | {"Os": "linux", "Architecture": "amd64", "Config": {"Cmd": ["/app"]}}
    )


def tag(host: Host, request: Request, ref: str) -> Answer:
    """Give a local image one more name."""
    repository = request.query.get("repo", "")
    if not repository:
        raise RefusedError(400, "invalid reference format: a repository is needed")
    host.world.images.tag(_local(host, ref), f"{repository}:{request.query.get('tag') or 'latest'}")
    return Answer(status=201)


def remove(host: Host, request: Request, ref: str) -> Answer:
    """Take a name of an image away; the last one stays where a container has the image."""
    known = _local(host, ref)
    name = plain(ref)
    images = host.world.images
    used = [each for each in host.world.containers.values() if images.local(each.image) == known]
    names = [tag for tag, each in images.here().items() if each == known]
    if used and names == [name] and not request.flag("force"):
        said = f"container {used[0].id[:12]} is using its referenced image {known.id[7:19]}"
        raise RefusedError(
            409, f'conflict: unable to remove repository reference "{ref}" (must force) - {said}'
        )
    host.world.images.remove(name)
    return as_json([{"Untagged": name}])


def pull(host: Host, request: Request, _: str) -> Answer:
    """Pull an image, telling how it goes."""
    name, word = request.query.get("fromImage", ""), request.query.get("tag", "")
    if not name:
        raise RefusedError(400, "fromImage is needed: images cannot be imported here")
    joined = f"{name}@{word}" if word.startswith("sha256:") else f"{name}:{word}" if word else name
    known = host.world.images.remote(joined)
    if known is None:
        raise RefusedError(404, f"manifest for {joined} not found: manifest unknown: manifest unknown")
    return Answer(stream=_pulled(host, known))


def _pulled(host: Host, known: Known) -> Iterator[bytes]:
    tag = known.ref.rpartition(":")[2]
    yield _line({"status": f"Pulling from {known.ref.rpartition(':')[0]}", "id": tag})
    layer = known.id[7:19]
    yield _line({"status": "Pulling fs layer", "progressDetail": {}, "id": layer})
    with host.clockwork.lock:
        here = host.world.images.local(known.ref) is not None
        if not here:
            host.clockwork.wait_for(lambda: False, known.seconds)
            host.world.images.pulled(known)
            host.world.events.tell("image", "pull", known.ref, {"name": known.ref})
    yield _line({"status": "Already exists" if here else "Pull complete", "progressDetail": {}, "id": layer})
    yield _line({"status": f"Digest: {known.digest}"})
    word = "Image is up to date for" if here else "Downloaded newer image for"
    yield _line({"status": f"Status: {word} {known.ref}"})


def distribution(host: Host, request: Request, ref: str) -> Answer:
    """Say what the registry has."""
    del request
    known = host.world.images.remote(ref)
    if known is None:
        raise RefusedError(404, f"manifest unknown: manifest unknown: {ref}")
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    platforms: Json = [{"architecture": "amd64", "os": "linux"}]
    descriptor: Json = {"mediaType": kind, "digest": known.digest, "size": 528}
    return as_json({"Descriptor": descriptor, "Platforms": platforms})


def _local(host: Host, ref: str) -> Known:
    known = host.world.images.local(ref)
    if known is None:
        name = ref if "@" in ref else plain(ref)
        raise RefusedError(404, f"no such image: {name}: No such image: {name}")
    return known


def _summary(known: Known, tags: list[str]) -> Tree:
    repository = known.ref.rpartition(":")[0]
    named: list[Json] = [*tags]
    return {
        "Id": known.id,
        "RepoTags": named,
        "RepoDigests": [f"{repository}@{known.digest}"],
        "Created": "2026-01-01T00:00:00Z",
        "Size": SIZE,
        "VirtualSize": SIZE,
        "Labels": None,
    }


def _line(said: Tree) -> bytes:
    return json.dumps(said).encode() + b"\r\n"


ROUTES = [
    Route(method="GET", path="/images/json", answer=listed),
    Route(method="POST", path="/images/create", answer=pull),
    Route(method="GET", path="/images/{ref}/json", answer=inspect),
    Route(method="POST", path="/images/{ref}/tag", answer=tag),
    Route(method="DELETE", path="/images/{ref}", answer=remove),
    Route(method="GET", path="/distribution/{ref}/json", answer=distribution),
]
