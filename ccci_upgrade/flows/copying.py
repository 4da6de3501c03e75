"""Volumes copied into one snapshot, sealed, and read back: of a good state, or of a failed one."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from ccci_upgrade import clock
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.flows.ground import Ground
from ccci_upgrade.flows.keptsecrets import Recipients, keep_secrets
from ccci_upgrade.model.keptsecrets import KeptSecrets
from ccci_upgrade.model.snapshot import Kind, Manifest, ServiceFact, VolumeCopy, warnings
from ccci_upgrade.model.snapshotscope import Source
from ccci_upgrade.model.suspect import suspicion
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.store import snapshots
from ccci_upgrade.store.snapshots import Kept
from ccci_upgrade.text import in_words
from ccci_upgrade.tools import volumes

Codes = dict[str, tuple[int | None, ...]]
"""By service: how its containers ended."""


class Copying:
    """One snapshot being taken. `manifest` is there once it is sealed."""

    def __init__(self, ground: Ground, snapshot: str, *, kind: Kind, while_running: bool = False) -> None:
        """Nothing is read yet; `snapshot` is the id it gets."""
        self.id = snapshot
        self.manifest: Manifest | None = None
        self.sizes: dict[str, int] = {}
        self.secrets: tuple[KeptSecrets, bytes] | None = None
        self._recipients: tuple[str, ...] = ()
        self._ground = ground
        self._kind = kind
        self._while_running = while_running

    def measure(self, sources: tuple[Source, ...], *, copies: int) -> str:
        """Ask the Engine for sizes, and see that `copies` of them have room; gives both in words.

        What the Engine cannot tell is read once while the app still runs: to be down for long, only to find the
        disk full, is worse.
        """
        ground = self._ground
        known = volumes.sizes(ground.host.swarm.engine)
        for source in sources:
            if source.volume.name not in known:
                known[source.volume.name] = sum(map(len, self._pieces(source)))
        self.sizes = {source.volume.name: known[source.volume.name] for source in sources}
        size = sum(self.sizes.values())
        need, free = size * copies + snapshots.RESERVE, ground.store.free()
        if need > free:
            raise NotReadyError(
                f"{copies} copies of {ground.app.name} may need {in_words(need)}, and {in_words(free)} are free "
                f"in `{ground.host.config.state_dir}`",
                hint="free space, `ccci-upgrade snapshot prune`, or set `state_dir` in ccci-upgrade.toml",
                code="snapshot-space",
            )
        return f"{len(sources)} volumes, {in_words(size)}"

    def keep_secrets(self, stack: Stack, to: Recipients) -> str:
        """Read the app's secrets from its running containers and encrypt them; they are written with the copy."""
        kept, data = keep_secrets(self._ground.host, stack, to)
        self._recipients = to.keys
        self.secrets = (kept, data) if data else None
        for each in kept.unread:
            self._ground.reporter.note(f"secret {each.swarm_name} is not kept: {each.reason}")
        return f"{len(kept.secrets)} kept, {len(kept.unread)} not"

    def copy(self, sources: tuple[Source, ...], stack: Stack, codes: Codes, still: Callable[[], None]) -> str:
        """Copy and seal; `still` raises where the app was not left alone meanwhile: then nothing is kept."""
        began = clock.ticks()
        writing = self._ground.store.begin(self._ground.app.name, self.id)
        try:
            copies = tuple(self._copy_one(writing, at, source) for at, source in enumerate(sources))
            self._ground.stop_if_pressed()
            still()
            about = writing.secrets(*self.secrets, self._recipients) if self.secrets else None
            self.manifest = writing.seal(replace(self._describe(copies, stack, codes), secrets=about))
        finally:
            writing.drop()
        size, kept = in_words(self.manifest.size), in_words(self.manifest.compressed)
        return f"{size} in {clock.ticks() - began:.1f} s, {kept} on the disk"

    def check(self) -> str:
        """Read the whole back; NotReadyError where it is not what was written."""
        kept = self._ground.store.find(self.id)
        problems = ("it is gone",) if kept is None else snapshots.verify(kept)
        if kept is None or problems:
            raise NotReadyError(
                f"the snapshot {self.id} cannot be read back: {'; '.join(problems)}",
                hint="look at the disk; then try again",
                code="snapshot-damaged",
            )
        why = suspicion(self._ground.earlier, self._ground.app.name) if self._kind is Kind.SNAPSHOT else ""
        if why:
            # Whole as it is, it must not pass for the state of the version that runs.
            self._ground.store.spoil(kept, why)
            self._ground.reporter.note(f"no way back will choose snapshot {self.id} by itself: {why}")
            return f"snapshot {self.id} is whole, but {why}"
        return f"snapshot {self.id} is good"

    def suspicious(self, last: Manifest | None) -> tuple[str, ...]:
        """What is odd about it beside the last one."""
        return warnings(self.manifest, last) if self.manifest else ()

    def _copy_one(self, writing: snapshots.Writing, number: int, source: Source) -> VolumeCopy:
        written = writing.archive(number, self._shown(source))
        return VolumeCopy(
            name=source.volume.name,
            driver=source.volume.driver,
            options=source.volume.options,
            labels=source.volume.labels,
            service=source.service.name,
            target=source.target,
            file=written.file,
            sha256=written.sha256,
            compressed=written.compressed,
            size=written.size,
            entries=written.entries,
        )

    def _pieces(self, source: Source) -> Iterator[bytes]:
        ground, name = self._ground, source.volume.name
        engine, image = ground.host.swarm.engine, source.service.image
        volumes.must_be_there(engine, name)
        with volumes.carrier(engine, stack=ground.app.stack, image=image, volume=name) as container:
            yield from volumes.read(engine, container, cancelled=lambda: ground.interrupted)

    def _shown(self, source: Source) -> Iterator[bytes]:
        done, name = 0, source.volume.name
        for piece in self._pieces(source):
            done += len(piece)
            self._ground.reporter.progress(f"volume {name}", done, self.sizes.get(name, 0))
            yield piece

    def _describe(self, copies: tuple[VolumeCopy, ...], stack: Stack, codes: Codes) -> Manifest:
        ground, app = self._ground, self._ground.app
        services = tuple(
            ServiceFact(
                name=each.name,
                image=each.image,
                image_id=volumes.image_id(ground.host.swarm.engine, each.image),
                replicas=each.replicas,
                exit_codes=codes.get(each.name, ()),
            )
            for each in stack.services
        )
        return Manifest(
            id=self.id,
            app=app.name,
            recipe=app.recipe,
            stack=app.stack,
            cluster=ground.host.cluster.id,
            server=ground.host.server,
            version=stack.label("version"),
            env_sha256=hashlib.sha256(app.text.encode(errors="surrogateescape")).hexdigest(),
            taken=clock.stamp(clock.now()),
            run_id=ground.record.run_id,
            while_running=self._while_running,
            services=services,
            volumes=copies,
            kind=self._kind,
        )


def last_good(ground: Ground) -> Kept | None:
    """The newest snapshot of this app that can be gone back to."""
    good = [kept for kept in ground.store.listed(ground.app.name) if kept.usable]
    return good[-1] if good else None
