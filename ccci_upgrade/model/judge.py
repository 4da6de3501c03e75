"""The last word of a run: one verdict from the watch, the volumes and the probes."""

from collections.abc import Iterable

from ccci_upgrade.model.converge import Reading
from ccci_upgrade.model.probe import Difference
from ccci_upgrade.model.snapshot import Manifest
from ccci_upgrade.model.swarm import Service, Stack
from ccci_upgrade.model.verdict import Evidence, State, Verdict

_GREEN = (State.CONVERGED, State.SWARM_ROLLED_BACK, State.DATA_SUSPECT)


def judge(reading: Reading, *, detached: tuple[Evidence, ...], differences: Iterable[Difference]) -> Verdict:
    """Turn the watch's end into a verdict. `detached` names volumes that came off.

    A healthy-looking stack is overruled by data that came off (a healthy app on an empty volume) and by
    probes that got worse; probes red before the act and red after it do not count.
    """
    state = reading.state or State.NOT_CONVERGED
    if state not in _GREEN:
        return Verdict(state=state, evidence=reading.evidence)
    if detached:
        return Verdict(state=State.DATA_DETACHED, evidence=(*detached, *reading.evidence))
    worse = tuple(Evidence(text=f"probe {d.probe}: {_unproven(d)}{d.text}") for d in differences)
    if worse and state is not State.DATA_SUSPECT:
        return Verdict(state=State.UNHEALTHY, evidence=(*worse, *reading.evidence))
    return Verdict(state=state, evidence=(*reading.evidence, *worse))


def _unproven(difference: Difference) -> str:
    """Unknown is not fine, and it is not the same as seen to be worse: the evidence says which."""
    return "could not be proven as before: " if difference.gap else ""


def detached_volumes(before: Stack, now: Stack, acknowledged: frozenset[str]) -> Iterable[Evidence]:
    """Name every volume that a service had and has no more.

    An acknowledged `volume-removed:<name>` covers a mount that is gone, never a mount point that holds
    another volume now: that is a rename, and the app runs on an empty one.
    """
    for old in before.services:
        service = now.service(old.name)
        if service is None:
            continue
        for mount in old.mounts:
            if mount.kind == "volume" and mount.source:  # an anonymous one does not outlive its task
                yield from _lost(old.name, mount.source, mount.target, service, before, now, acknowledged)


def vanished(before: Stack, now: Stack) -> Iterable[Evidence]:
    """Name every volume that was there, is still to be mounted, and is not there: an empty one will take its place."""
    there, was = {volume.name for volume in now.volumes}, {volume.name for volume in before.volumes}
    for service in now.services:
        for mount in service.mounts:
            if mount.kind == "volume" and mount.source in was - there:
                text = f"{service.name}: volume {mount.source} was removed during the run"
                yield Evidence(service=service.name, text=text)


def not_mounted(manifest: Manifest, now: Stack) -> Iterable[Evidence]:
    """Name every volume of a snapshot that the service it was taken from does not mount now."""
    for volume in manifest.volumes:
        service = now.service(volume.service)
        there = (
            next((m.source for m in service.mounts if m.target == volume.target), None) if service else None
        )
        if there != volume.name:
            text = f"{volume.service}: {volume.target} holds {there or 'no volume'}, not {volume.name}"
            yield Evidence(service=volume.service, text=text)


def _lost(  # noqa: PLR0917 - one comparison of two moments
    name: str,
    source: str,
    target: str,
    service: Service,
    before: Stack,
    now: Stack,
    acknowledged: frozenset[str],
) -> Iterable[Evidence]:
    there = next((m.source for m in service.mounts if m.target == target), None)
    if there is None and source not in {m.source for m in service.mounts}:
        if f"volume-removed:{source}" not in acknowledged:
            yield Evidence(service=name, text=f"{name}: volume {source} is no longer mounted at {target}")
    elif there is not None and there != source:
        yield Evidence(service=name, text=f"{name}: {target} holds volume {there} now, not {source}")
    elif _created(before, source) != _created(now, source) and _created(before, source):
        yield Evidence(service=name, text=f"{name}: volume {source} was made anew during the run")


def _created(stack: Stack, volume: str) -> str:
    return next((str(v.created) for v in stack.volumes if v.name == volume and v.created), "")
