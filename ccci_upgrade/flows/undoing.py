"""The way back, for an upgrade that failed, for `rollback`, and for `snapshot restore`: one list of steps.

check the snapshot → stop → keep the failed state → put the data back → let abra act → verify → pin. Version
and data are one decision: what was copied with a version comes back with it, into emptied volumes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, NotReadyError
from ccci_upgrade.flows.acting import Acting, Task
from ccci_upgrade.flows.copying import Copying
from ccci_upgrade.flows.goals import goal_of, reached
from ccci_upgrade.flows.ground import Ground, InterruptedRunError
from ccci_upgrade.flows.keeping import name_images, remembered
from ccci_upgrade.flows.quiesce import Quiesced, as_noted
from ccci_upgrade.flows.saving import BACK, CHECK, QUIESCE, REPLICAS, Baseline
from ccci_upgrade.flows.steps import Progress, Step
from ccci_upgrade.model.compose import Compose
from ccci_upgrade.model.facts import Facts
from ccci_upgrade.model.judge import not_mounted
from ccci_upgrade.model.snapshot import Kind, Manifest, VolumeCopy
from ccci_upgrade.model.snapshotscope import Source
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.model.verdict import Evidence, State
from ccci_upgrade.store import snapshots
from ccci_upgrade.store.snapshots import Kept
from ccci_upgrade.tools import volumes

FAILED_STATE, RESTORE = "failed-state", "restore"
"""Ids of steps that others look for in the journal; `Way.prefix` stands before them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """Where to go back to.

    `kept` is the snapshot to put back, None where no data is; `failed_state` the id that the copy of what it
    replaces gets, None where that is not worth one. `images` are local ids by the reference that a deploy asks
    for. `noted` are the replicas of an app that a killed run left stopped; `restored`: it had put all data back,
    and nothing older is to be put over what was written since.
    """

    act: Task
    kept: Kept | None
    failed_state: str | None
    images: dict[str, str] = field(default_factory=dict)
    prefix: str = ""
    noted: str = ""
    restored: bool = False


class Undoing:
    """One way back being gone. `acting.verdict` says how it ended; `restoring`: the old data is not there any more."""

    def __init__(self, ground: Ground, way: Way) -> None:
        """Nothing is done yet."""
        self.acting = Acting(ground, way.act)
        self.copying = Copying(ground, way.failed_state or "", kind=Kind.FAILED_STATE)
        self.restoring = way.restored
        self.down = False
        self._ground = ground
        self._way = way
        self._quiesced: Quiesced | None = None
        self._began = 0.0

    @property
    def noted(self) -> str:
        """Replicas as they were, as `docker service scale` takes them."""
        return self._quiesced.noted if self._quiesced else ""

    @property
    def failed_state(self) -> str | None:
        """The id of the copy of what was replaced; None where there is none."""
        return self._way.failed_state if self._kept_failed() else None

    def steps(self) -> tuple[Step, ...]:
        """The whole way; without a snapshot only the version goes back."""
        naming = self._step("images", "find the old images", self._name_images)
        good = self._step(
            "remember", "remember what is good", self._remember, probe=self._not_good, unguarded=True
        )
        if self._way.kept is None or self._way.restored:
            return (naming, *self.acting.steps(), good)
        return (
            naming,
            self._step(CHECK, "read the snapshot back", self._check),
            self._step(REPLICAS, "note the replicas", lambda: self.noted),
            self._step(QUIESCE, "stop it", self._stop, intent=lambda: self.noted),
            *self._keeping(),
            self._step(RESTORE, "put the snapshot's data back", self._restore, intent=lambda: self.noted),
            Step(
                id=self._way.prefix + BACK,
                title="bring it back as it was",
                act=self._back,
                probe=self._untouched,
                always=True,
                unguarded=True,
            ),
            *self.acting.steps(),
            good,
        )

    def _keeping(self) -> tuple[Step, ...]:
        failed = self._way.failed_state
        if failed is None:
            return ()
        title = "keep the state that is replaced"
        step = self._step(FAILED_STATE, title, self._keep, intent=lambda: failed, probe=self._done_keeping)
        return (step,)

    def _step(
        self,
        id_: str,
        title: str,
        act: Callable[[], str],
        *,
        intent: Callable[[], str] = str,
        probe: Callable[[], Progress] = lambda: Progress.OPEN,
        unguarded: bool = False,
    ) -> Step:
        name = self._way.prefix + id_
        return Step(id=name, title=title, act=act, intent=intent, probe=probe, unguarded=unguarded)

    # -- the steps ---------------------------------------------------------------------------------------

    def _name_images(self) -> str:
        self._began = clock.ticks()
        return name_images(self._ground, self._way.images)

    def _remember(self) -> str:
        return remembered(self._ground, seconds=clock.ticks() - self._began)

    def _not_good(self) -> Progress:
        verdict = self.acting.verdict
        return Progress.OPEN if verdict and verdict.state is State.CONVERGED else Progress.DONE

    def _check(self) -> str:
        (kept, manifest), ground = self._whole(), self._ground
        problems = snapshots.verify(kept)
        if problems:
            raise NotReadyError(
                f"the snapshot {kept.id} is damaged: {'; '.join(problems)}",
                hint="choose another one: `ccci-upgrade snapshot list`",
                code="snapshot-damaged",
            )
        swarm = ground.host.swarm
        volumes.remove_left(swarm.engine, stack=ground.app.stack)
        stack = as_noted(swarm.stack(ground.app.stack), self._way.noted)
        self._quiesced = Quiesced(swarm=swarm, before=stack, reporter=ground.reporter, strict=False)
        if self._way.failed_state is not None and not self._kept_failed():
            self.copying.measure(self._sources(), copies=1)
        self._stop_if_pressed()
        return f"snapshot {kept.id} of {manifest.version} is good"

    def _stop(self) -> str:
        self._stop_if_pressed()
        self.down = True
        return self._looked().stop(self._stop_if_pressed)

    def _keep(self) -> str:
        """What is here now, good or not: undo can be undone until somebody drops it."""
        looked, sources = self._looked(), self._sources()
        if not sources:
            # An Engine that died between removing a volume and making it anew leaves none: nothing to go back to.
            return "no volume of it is here: there is no state to keep"
        try:
            said = self.copying.copy(sources, looked.before, looked.codes, looked.still)
            self.copying.check()
        except CcciError:
            self._stop_if_pressed()  # what fails after Ctrl-C failed because of it
            raise
        return f"failed state {self._way.failed_state}: {said}"

    def _restore(self) -> str:
        """Put every volume back. From here on nothing stops it: half a restore helps nobody."""
        self._stop_if_pressed()
        self._looked().still()
        self.restoring = True
        kept, manifest = self._whole()
        for volume in manifest.volumes:
            self._restore_one(kept, volume, self._image(manifest, volume))
        return f"{len(manifest.volumes)} volumes as in snapshot {kept.id}"

    def _restore_one(self, kept: Kept, volume: VolumeCopy, image: str) -> None:
        app, reporter = self._ground.app, self._ground.reporter

        def shown() -> Iterator[bytes]:
            done = 0
            for piece in snapshots.opened(kept, volume):
                done += len(piece)
                reporter.progress(f"volume {volume.name}", done, volume.size)
                yield piece

        engine = self._ground.host.swarm.engine
        digest = volumes.replace(
            engine,
            stack=app.stack,
            image=image,
            name=volume.name,
            driver=volume.driver,
            options=volume.options,
            labels=volume.labels,
            pieces=shown(),
            cancelled=lambda: False,
        )
        whole = volumes.same(
            engine, stack=app.stack, image=image, name=volume.name, digest=digest, cancelled=lambda: False
        )
        if not whole:
            raise NotReadyError(
                f"volume {volume.name} does not hold what was put into it",
                hint="look at the Engine's disk; then go back once more",
                code="restore-unproven",
            )

    def _back(self) -> str:
        """Nothing was put back: the app gets its replicas, and is no worse than it was."""
        self._looked().start()
        self.down = False
        return f"replicas as before: {self.noted}"

    # -- probes of steps ---------------------------------------------------------------------------------

    def _untouched(self) -> Progress:
        return Progress.OPEN if self.down and not self.restoring else Progress.DONE

    def _done_keeping(self) -> Progress:
        """A run that was killed after it kept the failed state must not keep half a restore in its place."""
        return Progress.DONE if self._kept_failed() else Progress.OPEN

    # -- parts of them -----------------------------------------------------------------------------------

    def _kept_failed(self) -> bool:
        found = self._ground.store.find(self._way.failed_state) if self._way.failed_state else None
        return found is not None and found.good

    def _sources(self) -> tuple[Source, ...]:
        """The volumes that are replaced, and those that services mount now: all that is here."""
        stack = self._looked().before
        names = {volume.name: volume for volume in self._whole()[1].volumes}
        found = {
            mount.source: Source(volume=volume, service=service, target=mount.target)
            for service in stack.services
            for mount in service.mounts
            if mount.kind == "volume"
            for volume in stack.volumes
            if volume.name == mount.source
        }
        for volume in stack.volumes:
            if volume.name in names and volume.name not in found:
                old = names[volume.name]
                service = stack.service(old.service) or stack.services[0]
                found[volume.name] = Source(volume=volume, service=service, target=old.target)
        return tuple(found.values())

    def _image(self, manifest: Manifest, volume: VolumeCopy) -> str:
        """An image that is here, to make the carrier of: the service's own as it runs now."""
        service = self._looked().before.service(volume.service)
        if service is not None:
            return service.image
        return next(each.image_id for each in manifest.services if each.name == volume.service)

    def _whole(self) -> tuple[Kept, Manifest]:
        kept = self._way.kept
        if kept is None or kept.manifest is None:
            raise NotReadyError(
                "there is no snapshot that can be used",
                hint="choose another one: `ccci-upgrade snapshot list`",
                code="snapshot-damaged",
            )
        return kept, kept.manifest

    def _looked(self) -> Quiesced:
        if self._quiesced is None:
            raise NotReadyError("the stack was not looked at")
        return self._quiesced

    def _stop_if_pressed(self) -> None:
        """Raise where Ctrl-C was pressed; of an upgrade that is taken back "nothing was changed" would be untrue."""
        if self._ground.interrupted:
            raise InterruptedRunError("interrupted before any data was put back")


def backward(
    ground: Ground,
    facts: Facts,
    compose: Compose | None,
    version: str,
    *,
    kept: Kept | None,
    baseline: Baseline,
    prefix: str = "",
    stoppable: bool = True,
    resumed: bool = False,
) -> Task:
    """What abra is to do for it, asked for at the last moment: what runs may have changed since it was planned.

    Where it is `resumed`, abra may have done it already; what moves because of that counts from the run's start.
    """
    host, app = ground.host, ground.app
    since = clock.parse_stamp(ground.record.started) if resumed else None

    def live() -> str | None:
        return host.swarm.stack(app.stack).label("version")

    return Task(
        title=f"go back to {version}",
        argv=lambda: host.abra.back_argv(app.name, version, live=live()),
        version=version,
        before=lambda: host.swarm.stack(app.stack),
        goal=lambda acted: goal_of(facts, compose, version, was=live(), acted=since or acted),
        detached=_detached_after(kept),
        baseline=baseline,
        prefix=prefix,
        stoppable=stoppable,
        there=lambda now: resumed and reached(facts, compose, version, now),
    )


def _detached_after(kept: Kept | None) -> Callable[[Stack], Iterable[Evidence]]:
    """What to compare after the way back: the snapshot's volumes must be mounted where they were."""
    manifest = kept.manifest if kept else None
    return lambda now: not_mounted(manifest, now) if manifest else ()
