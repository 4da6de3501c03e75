"""`snapshot create`: look → note replicas → quiesce → copy → bring back → read back, journaled, for one app."""

import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, Exit, NotReadyError
from ccci_upgrade.flows.act import InterruptedRunError, new_run
from ccci_upgrade.flows.history import SNAPSHOT
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.lease import Lease, hold
from ccci_upgrade.flows.look import probe
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.flows.quiesce import Quiesced, wait_healthy
from ccci_upgrade.flows.steps import Progress, Step, walk
from ccci_upgrade.model.app import App
from ccci_upgrade.model.plan import Plan
from ccci_upgrade.model.probe import Probe, ProbeResult, differences
from ccci_upgrade.model.profile import profile
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.snapshot import Manifest, ServiceFact, VolumeCopy, warnings
from ccci_upgrade.model.snapshotscope import Source, scope_of
from ccci_upgrade.model.verdict import OUTCOME_EXIT, Outcome
from ccci_upgrade.model.version import Bump
from ccci_upgrade.store import snapshots
from ccci_upgrade.store.journal import Journal
from ccci_upgrade.store.snapshots import Store
from ccci_upgrade.text import in_words
from ccci_upgrade.tools import volumes
from ccci_upgrade.tools.web import wait_probes

LOCK_SECONDS = 10.0
SETTLED_SECONDS = 60.0
"""Seconds an app gets to be settled before anything is done to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What came of one app: its run, the snapshot where there is one, and what is suspicious about it."""

    run: Run
    manifest: Manifest | None
    warnings: tuple[str, ...]
    error: CcciError | None


def create(host: Host, apps: tuple[App, ...], reporter: Reporter) -> tuple[tuple[Made, ...], Exit]:
    """Take a snapshot of each app, one after another; the first that fails ends the row."""
    done: list[Made] = []
    words = " ".join((SNAPSHOT, *(app.name for app in apps)))
    with (
        hold(host.swarm, command=words, wait=0.0, reporter=reporter) as lease,
        host.abra.alone(seconds=LOCK_SECONDS),
        Interrupts() as interrupts,
    ):
        for app in apps:
            one = SnapshotRun(host, app, reporter=reporter, interrupts=interrupts, lease=lease)
            done.append(one.run())
            code = OUTCOME_EXIT[done[-1].run.outcome or Outcome.FAILED]
            if code is not Exit.OK:
                return tuple(done), code
    return tuple(done), Exit.OK


class SnapshotRun:
    """One snapshot of one app. `run` is the only public method; use it once."""

    def __init__(
        self, host: Host, app: App, *, reporter: Reporter, interrupts: Interrupts, lease: Lease
    ) -> None:
        """Nothing is looked at yet; `interrupts` is entered and `lease` held already."""
        self._host = host
        self._app = app
        self._reporter = reporter
        self._interrupts = interrupts
        self._lease = lease
        self._id = f"{clock.now():%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        self._record = replace(new_run(host, _plan(host, app), command=SNAPSHOT), snapshot=self._id)
        self._store = Store(host.config.state_dir, host.cluster.id)
        self._while_running = profile(app.recipe).copied_running and not app.holds_data
        self._sources: tuple[Source, ...] = ()
        self._sizes: dict[str, int] = {}
        self._quiesced: Quiesced | None = None
        self._probes: tuple[Probe, ...] = ()
        self._before: tuple[ProbeResult, ...] = ()
        self._manifest: Manifest | None = None
        self._back = True

    def run(self) -> Made:
        """Walk the steps and record them. Raises only where the journal cannot be opened."""
        version = self._host.swarm.stack(self._app.stack).label("version")
        self._record = replace(self._record, from_version=version, to_version=version or "unknown")
        last = self._last()
        journal = Journal(self._host.config.state_dir, self._host.cluster.id)
        journal.open(self._record)
        try:
            walked = walk(
                self._steps(),
                run=self._record,
                journal=journal,
                reporter=self._reporter,
                guard=self._lease.renew,
            )
        except BaseException:  # a bug of ours must not leave the app down
            if self._quiesced is not None and self._quiesced.touched:
                self._quiesced.start()
            raise
        done = replace(self._close(walked.error), phases=walked.phases)
        try:
            journal.close(done)
        except CcciError as error:
            self._reporter.note(error.message)
        said = warnings(self._manifest, last) if self._manifest else ()
        return Made(run=done, manifest=self._manifest, warnings=said, error=walked.error)

    def _steps(self) -> tuple[Step, ...]:
        noted = self._noted
        stopping = (
            Step(id="replicas", title="note the replicas", act=noted),
            Step(id="quiesce", title="stop it for the copy", act=self._stop, intent=noted),
        )
        back = Step(
            id="back", title="bring it back", act=self._start, intent=noted, always=True, unguarded=True
        )
        return (
            Step(id="look", title="wait until it is settled", act=lambda: self._or_interrupted(self._look)),
            *(() if self._while_running else stopping),
            Step(id="copy", title="copy its volumes", act=lambda: self._or_interrupted(self._copy)),
            *(() if self._while_running else (replace(back, probe=self._untouched),)),
            Step(id="verify", title="read the snapshot back", act=self._verify),
        )

    # -- the steps ---------------------------------------------------------------------------------------

    def _look(self) -> str:
        swarm, app = self._host.swarm, self._app
        volumes.remove_left(swarm.engine, stack=app.stack)
        services = swarm.stack(app.stack).services
        if not services:
            raise NotReadyError(
                f"{app.name} is not deployed", hint="there is nothing to copy", code="undeployed"
            )
        down = ", ".join(each.full_name for each in services if each.replicas == 0)
        if down:  # it will not come up by itself
            raise NotReadyError(
                f"{down}: scaled to 0 replicas",
                hint="an earlier snapshot may have been killed: `ccci-upgrade status` says so; bring it back first",
                code="unsettled",
            )
        deadline = clock.ticks() + SETTLED_SECONDS + app.settle
        stack = wait_healthy(
            swarm, app.stack, self._reporter, settle=app.settle, deadline=deadline, stop=self._pressed
        )
        self._quiesced = Quiesced(swarm=swarm, before=stack, reporter=self._reporter)
        scope = scope_of(stack, node=swarm.node_id(), stopping=not self._while_running)
        for text in scope.passed:
            self._reporter.note(text)
        if scope.refused:
            raise NotReadyError(
                f"no snapshot of {app.name}: {'; '.join(scope.refused)}",
                hint="this needs a backup of another kind; nothing was changed",
                code="snapshot-scope",
            )
        self._sources = scope.sources
        self._measure()
        if not self._while_running:
            self._probes, self._before = probe(self._host, app)
        self._stop_if_pressed()
        return f"{len(self._sources)} volumes, {in_words(sum(self._sizes.values()))}"

    def _measure(self) -> None:
        """Ask the Engine for sizes; what it cannot tell is read once while the app still runs."""
        known = volumes.sizes(self._host.swarm.engine)
        names = [source.volume.name for source in self._sources]
        for source in self._sources:
            if source.volume.name not in known:
                known[source.volume.name] = sum(map(len, self._pieces(source)))
        self._sizes = {name: known[name] for name in names}
        need, free = sum(self._sizes.values()) + snapshots.RESERVE, self._store.free()
        if need > free:
            raise NotReadyError(
                f"a snapshot of {self._app.name} may need {in_words(need)}, and {in_words(free)} are free in "
                f"`{self._host.config.state_dir}`",
                hint="free space, `ccci-upgrade snapshot prune`, or set `state_dir` in ccci-upgrade.toml",
                code="snapshot-space",
            )

    def _noted(self) -> str:
        return self._quiesced.noted if self._quiesced else ""

    def _stop(self) -> str:
        self._stop_if_pressed()
        return self._looked().stop(self._stop_if_pressed)

    def _copy(self) -> str:
        began = clock.ticks()
        writing = self._store.begin(self._app.name, self._id)
        try:
            copies = tuple(self._copy_one(writing, at, source) for at, source in enumerate(self._sources))
            self._stop_if_pressed()
            if not self._while_running:
                self._looked().still()
            self._manifest = writing.seal(self._describe(copies))
        finally:
            writing.drop()
        seconds = clock.ticks() - began
        size, kept = in_words(self._manifest.size), in_words(self._manifest.compressed)
        return f"{size} in {seconds:.1f} s, {kept} on the disk"

    def _copy_one(self, writing: snapshots.Writing, number: int, source: Source) -> VolumeCopy:
        written = writing.archive(number, self._shown(source))
        return VolumeCopy(
            name=source.volume.name,
            driver=source.volume.driver,
            labels=source.volume.labels,
            service=source.service.name,
            target=source.target,
            file=written.file,
            sha256=written.sha256,
            compressed=written.compressed,
            size=written.size,
            entries=written.entries,
        )

    def _start(self) -> str:
        """Bring the replicas back and prove it; the first Ctrl-C does not end this, another one does."""
        self._back = False
        pressed, app = self._interrupts.pressed, self._app
        deadline = clock.ticks() + app.budget
        given_up = threading.Event()
        self._interrupts.on_press = given_up.set
        try:
            self._scale_back(deadline)
            wait_healthy(
                self._host.swarm,
                app.stack,
                self._reporter,
                settle=app.settle,
                deadline=deadline,
                stop=lambda: self._interrupts.pressed > pressed,
            )
            self._reporter.waiting("probes")
            after = wait_probes(
                self._probes, self._before, deadline=deadline, cancelled=given_up, door=self._host.door
            )
        finally:
            self._interrupts.on_press = None
        worse = "; ".join(f"probe {each.probe}: {each.text}" for each in differences(self._before, after))
        if worse:
            raise NotReadyError(
                f"{app.name} came back, and is not as before: {worse}",
                hint=f"`ccci-upgrade health {app.name}` says what is true",
                code="not-back",
            )
        self._back = True
        return f"healthy again: {self._noted()}"

    def _scale_back(self, deadline: float) -> None:
        """Try until the Engine takes it: it may be restarting."""
        while True:
            try:
                self._looked().start()
            except CcciError as error:
                if clock.ticks() >= deadline:
                    raise
                self._reporter.waiting(f"the Engine: {error.message}")
                clock.sleep(1.0)
            else:
                return

    def _verify(self) -> str:
        kept = next((each for each in self._store.listed(self._app.name) if each.id == self._id), None)
        problems = ("it is gone",) if kept is None else snapshots.verify(kept)
        if problems:
            raise NotReadyError(
                f"the snapshot {self._id} cannot be read back: {'; '.join(problems)}",
                hint="look at the disk; then try again",
                code="snapshot-damaged",
            )
        return f"snapshot {self._id} is good"

    # -- parts of them -----------------------------------------------------------------------------------

    def _looked(self) -> Quiesced:
        if self._quiesced is None:
            raise NotReadyError("the stack was not looked at")
        return self._quiesced

    def _untouched(self) -> Progress:
        return Progress.OPEN if self._quiesced is not None and self._quiesced.touched else Progress.DONE

    def _pieces(self, source: Source) -> Iterator[bytes]:
        engine, name = self._host.swarm.engine, source.volume.name
        image = source.service.image
        with volumes.carrier(engine, stack=self._app.stack, image=image, volume=name) as container:
            yield from volumes.read(engine, container, cancelled=self._pressed)

    def _shown(self, source: Source) -> Iterator[bytes]:
        done, name = 0, source.volume.name
        for piece in self._pieces(source):
            done += len(piece)
            self._reporter.progress(f"volume {name}", done, self._sizes[name])
            yield piece

    def _describe(self, copies: tuple[VolumeCopy, ...]) -> Manifest:
        quiesced, engine, app = self._looked(), self._host.swarm.engine, self._app
        services = tuple(
            ServiceFact(
                name=each.name,
                image=each.image,
                image_id=volumes.image_id(engine, each.image),
                replicas=each.replicas,
                exit_codes=quiesced.codes.get(each.name, ()),
            )
            for each in quiesced.before.services
        )
        return Manifest(
            id=self._id,
            app=app.name,
            recipe=app.recipe,
            stack=app.stack,
            cluster=self._host.cluster.id,
            server=self._host.server,
            version=self._record.from_version,
            env_sha256=hashlib.sha256(app.text.encode(errors="surrogateescape")).hexdigest(),
            taken=clock.stamp(clock.now()),
            run_id=self._record.run_id,
            while_running=self._while_running,
            services=services,
            volumes=copies,
        )

    def _last(self) -> Manifest | None:
        good = [kept for kept in self._store.listed(self._app.name) if kept.good]
        return good[-1].manifest if good else None

    def _close(self, error: CcciError | None) -> Run:
        if not self._back:
            outcome = Outcome.FAILED  # it was stopped and is not proven to be back: needs hands
        elif isinstance(error, InterruptedRunError):
            outcome = Outcome.INTERRUPTED
        else:
            outcome = Outcome.SAVED if error is None else Outcome.NOT_READY
        by_hand = (f"docker service scale {self._noted()}", f"ccci-upgrade health {self._app.name}")
        return replace(
            self._record,
            finished=clock.stamp(clock.now()),
            outcome=outcome,
            snapshot=self._id if self._manifest else None,
            notices=(error.message,) if error else (),
            next_steps=() if self._back else by_hand,
        )

    def _pressed(self) -> bool:
        return self._interrupts.pressed > 0

    def _or_interrupted(self, act: Callable[[], str]) -> str:
        """What fails after Ctrl-C failed because of it."""
        try:
            return act()
        except CcciError:
            self._stop_if_pressed()
            raise

    def _stop_if_pressed(self) -> None:
        if self._interrupts.pressed:
            raise InterruptedRunError("interrupted; no snapshot was taken")


def _plan(host: Host, app: App) -> Plan:
    """What a run's record is made from; nothing is upgraded."""
    return Plan(
        app=app.name,
        recipe=app.recipe,
        server=host.server,
        from_version=None,
        to_version=None,
        bump=Bump.NONE,
        images=(),
        notes=(),
        findings=(),
        acknowledged=frozenset(),
        fingerprints={},
    )
