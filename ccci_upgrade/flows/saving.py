"""An app's data kept before anything else is done to it: look → stop → copy → read back, and bring back.

Steps of a run, each with what the journal must hold to put the app back. An app whose profile says so is
copied while it runs.
"""

import threading
from dataclasses import dataclass, replace

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, NotReadyError, VolumeGoneError
from ccci_upgrade.flows.copying import Copying, last_good
from ccci_upgrade.flows.ground import Ground
from ccci_upgrade.flows.keptsecrets import Recipients
from ccci_upgrade.flows.look import probe
from ccci_upgrade.flows.quiesce import Quiesced, wait_healthy
from ccci_upgrade.flows.steps import Progress, Step
from ccci_upgrade.model.image import is_database
from ccci_upgrade.model.judge import detached_volumes, vanished
from ccci_upgrade.model.probe import Probe, ProbeResult, differences
from ccci_upgrade.model.protection import SUSPECT
from ccci_upgrade.model.snapshot import Kind, suspicious
from ccci_upgrade.model.snapshotscope import Source, scope_of
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.tools import volumes
from ccci_upgrade.tools.web import wait_probes

SETTLED_SECONDS = 60.0
"""Seconds an app gets to be settled before anything is done to it."""

SICK = "unhealthy-before"
"""The acknowledgement that an app was not healthy before."""

REPLICAS, QUIESCE, COPY, CHECK, BACK = "replicas", "quiesce", "copy", "check", "back"
"""Ids of steps that others look for in the journal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """How an app answered before anything was done to it; nothing `before`: every probe must be fine after it.

    `sick`: it was not healthy, and somebody accepted that.
    """

    probes: tuple[Probe, ...]
    before: tuple[ProbeResult, ...] = ()
    sick: bool = False


class Saving:
    """The snapshot of one run. `steps` take it; `back` is the step that brings a stopped app back."""

    def __init__(
        self,
        ground: Ground,
        snapshot: str,
        *,
        while_running: bool,
        copies: int,
        accepted: frozenset[str] = frozenset(),
        baseline: Baseline | None = None,
        secrets_for: Recipients | None = None,
    ) -> None:
        """Nothing is looked at yet.

        `copies` must have room on the disk; `accepted` are acknowledged findings; `secrets_for` whoever may open
        the secrets that are kept with the copy.
        """
        self._secrets_for = secrets_for
        self._ground = ground
        self._while_running = while_running
        self._copies = copies
        self._accepted = accepted
        self._baseline = baseline
        self._sources: tuple[Source, ...] = ()
        self.copying = Copying(ground, snapshot, kind=Kind.SNAPSHOT, while_running=while_running)
        self.quiesced: Quiesced | None = None
        self.down = False
        self.proven = False
        self._gone = ""
        self._last = last_good(ground)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is suspicious about the copy."""
        return self.copying.suspicious(self._last.manifest if self._last else None)

    @property
    def noted(self) -> str:
        """Replicas as they were, as `docker service scale` takes them."""
        return self.quiesced.noted if self.quiesced else ""

    def steps(self) -> tuple[Step, ...]:
        """From the first look to a copy that was read back; the app is down then, unless it is copied running."""
        stopping = (
            Step(id=REPLICAS, title="note the replicas", act=lambda: self.noted),
            Step(id=QUIESCE, title="stop it for the copy", act=self._stop, intent=lambda: self.noted),
        )
        held = self._ground.or_interrupted
        return (
            Step(id="look", title="wait until it is settled", act=lambda: held(self._look)),
            *self._keeping_secrets(),
            *(() if self._while_running else stopping),
            Step(id=COPY, title="copy its volumes", act=lambda: held(self._copy)),
            Step(id=CHECK, title="read the snapshot back", act=lambda: held(self._check)),
        )

    def _keeping_secrets(self) -> tuple[Step, ...]:
        """Only a running container can tell its secrets, so this comes before it is stopped."""
        to = self._secrets_for
        if to is None:
            return ()

        def act() -> str:
            return self.copying.keep_secrets(self._looked().before, to)

        return (Step(id="secrets", title="keep its secrets", act=lambda: self._ground.or_interrupted(act)),)

    def back(self) -> Step:
        """Bring the replicas back where they were taken and nothing else has brought them back."""
        return Step(
            id=BACK,
            title="bring it back",
            act=self.start,
            probe=self._untouched,
            intent=lambda: self.noted,
            always=True,
            unguarded=True,
        )

    def still(self) -> None:
        """NotReadyError where somebody changed the app, or took a volume of it, since it was stopped."""
        if self.quiesced is not None and not self._while_running:
            self.quiesced.still()
            now = self._ground.host.swarm.stack(self._ground.app.stack)
            self._gone = "; ".join(each.text for each in vanished(self.quiesced.before, now))
            if self._gone:
                raise VolumeGoneError(self._gone, hint="find out who removed it")

    # -- the steps ---------------------------------------------------------------------------------------

    def _look(self) -> str:
        ground, app = self._ground, self._ground.app
        swarm = ground.host.swarm
        volumes.remove_left(swarm.engine, stack=app.stack)
        stack = self._settled(swarm.stack(app.stack))
        self.quiesced = Quiesced(swarm=swarm, before=stack, reporter=ground.reporter)
        scope = scope_of(stack, node=swarm.node_id(), stopping=not self._while_running)
        for text in scope.passed:
            ground.reporter.note(text)
        if scope.refused:
            raise NotReadyError(
                f"no snapshot of {app.name}: {'; '.join(scope.refused)}",
                hint="this needs a backup of another kind; nothing was changed",
                code="snapshot-scope",
            )
        self._sources = scope.sources
        said = self.copying.measure(self._sources, copies=self._copies)
        if self._baseline is None and not self._while_running:
            probes, before = probe(ground.host, app)
            self._baseline = Baseline(probes=probes, before=before)
        ground.stop_if_pressed()
        return said

    def _settled(self, stack: Stack) -> Stack:
        app = self._ground.app
        if not stack.services:
            raise NotReadyError(
                f"{app.name} is not deployed", hint="there is nothing to copy", code="undeployed"
            )
        if self._baseline is not None and self._baseline.sick:
            return stack
        down = ", ".join(each.full_name for each in stack.services if each.replicas == 0)
        if down:  # it will not come up by itself
            raise NotReadyError(
                f"{down}: scaled to 0 replicas",
                hint="an earlier snapshot may have been killed: `ccci-upgrade status` says so; bring it back first",
                code="unsettled",
            )
        deadline = clock.ticks() + SETTLED_SECONDS + app.settle
        return _wait(self._ground, deadline)

    def _stop(self) -> str:
        self._ground.stop_if_pressed()
        self.down = True
        return self._looked().stop(self._ground.stop_if_pressed)

    def _copy(self) -> str:
        looked = self._looked()
        try:
            return self.copying.copy(self._sources, looked.before, looked.codes, self._left_alone)
        except VolumeGoneError as error:
            self._gone = error.message
            raise

    def _check(self) -> str:
        said = self.copying.check()
        odd = self._odd()
        self.proven = not odd or SUSPECT in self._accepted
        if not self.proven and self._copies > 1:
            raise NotReadyError(
                f"the snapshot is suspicious: {'; '.join(odd)}",
                hint=f"look at the app's data; where this is right, say `--ack {SUSPECT}`",
                code="snapshot-suspect",
            )
        return said

    def _odd(self) -> tuple[str, ...]:
        manifest, last = self.copying.manifest, self._last.manifest if self._last else None
        return suspicious(
            {volume.name: volume.size for volume in manifest.volumes} if manifest else {},
            {volume.name: volume.size for volume in last.volumes} if last else {},
            last_id=last.id if last else "",
            databases={s.volume.name for s in self._sources if is_database(s.service.image)},
        )

    def start(self) -> str:
        """Bring the replicas back and prove it."""
        said = bring_back(self._ground, self._looked(), self._baseline)
        if self._gone:  # it may look as healthy as ever, on an empty volume
            raise NotReadyError(
                f"{self._ground.app.name} runs again without its data: {self._gone}",
                hint=f"ccci-upgrade snapshot list {self._ground.app.name}",
                code="not-back",
            )
        self.down = False
        return said

    # -- parts of them -----------------------------------------------------------------------------------

    def _left_alone(self) -> None:
        """NotReadyError where somebody changed the app meanwhile, or took a volume: the Engine makes an empty one."""
        self.still()
        lost = _lost(self._ground, self._looked())
        if lost:
            raise VolumeGoneError(
                f"what was copied is not the data of {self._ground.app.name}: {lost}",
                hint="find out who removed it; a backup of your own is all that has its data now",
            )

    def _looked(self) -> Quiesced:
        if self.quiesced is None:
            raise NotReadyError("the stack was not looked at")
        return self.quiesced

    def _untouched(self) -> Progress:
        return Progress.OPEN if self.down else Progress.DONE


def bring_back(ground: Ground, quiesced: Quiesced, baseline: Baseline | None) -> str:
    """Give a stopped app its replicas and prove that it is as before; NotReadyError where it is not.

    The first Ctrl-C does not end this, another one does.
    """
    ground = replace(ground, pressed=ground.held.interrupts.pressed)
    deadline = clock.ticks() + ground.app.budget
    given_up = threading.Event()
    ground.held.interrupts.on_press = given_up.set
    try:
        _scale_back(ground, quiesced, deadline)
        if baseline is None or not baseline.sick:
            _wait(ground, deadline)
        worse = _lost(ground, quiesced) or _worse(ground, baseline, deadline, given_up)
    finally:
        ground.held.interrupts.on_press = None
    if worse:
        raise NotReadyError(
            f"{ground.app.name} came back, and is not as before: {worse}",
            hint=f"`ccci-upgrade health {ground.app.name}` says what is true",
            code="not-back",
        )
    return f"healthy again: {quiesced.noted}"


def _lost(ground: Ground, quiesced: Quiesced) -> str:
    """Which volumes are gone or others since the stack was looked at; empty where all are there."""
    now = ground.host.swarm.stack(ground.app.stack)
    return "; ".join(each.text for each in detached_volumes(quiesced.before, now, frozenset()))


def _wait(ground: Ground, deadline: float) -> Stack:
    return wait_healthy(
        ground.host.swarm,
        ground.app.stack,
        ground.reporter,
        settle=ground.app.settle,
        deadline=deadline,
        stop=lambda: ground.interrupted,
    )


def _worse(ground: Ground, baseline: Baseline | None, deadline: float, given_up: threading.Event) -> str:
    if baseline is None or (baseline.sick and not baseline.before):
        return ""
    ground.reporter.waiting("probes")
    door = ground.host.door
    after = wait_probes(baseline.probes, baseline.before, deadline=deadline, cancelled=given_up, door=door)
    return "; ".join(f"probe {each.probe}: {each.text}" for each in differences(baseline.before, after))


def _scale_back(ground: Ground, quiesced: Quiesced, deadline: float) -> None:
    """Try until the Engine takes it: it may be restarting."""
    while True:
        try:
            quiesced.start()
        except CcciError as error:
            if clock.ticks() >= deadline:
                raise
            ground.reporter.waiting(f"the Engine: {error.message}")
            clock.sleep(1.0)
        else:
            return
