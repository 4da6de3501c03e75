"""One operator at a time on one Swarm: taking the lease, keeping it alive, losing it, letting go of it."""

import getpass
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ccci_upgrade import clock, process
from ccci_upgrade.config import lease_limit
from ccci_upgrade.errors import CcciError, EngineError, HeldError, LockedError, NotReadyError
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.model.lease import (
    LIMIT,
    LONGEST,
    NAME,
    SHORTEST,
    Claim,
    LeaseState,
    Machine,
    Standing,
    from_labels,
    standing,
    to_labels,
)
from ccci_upgrade.text import tame_line
from ccci_upgrade.tools import lease as config
from ccci_upgrade.tools.swarm import Swarm

BEATS = 6
"""Signs of life within one limit: some may fail before anybody else may take the lease."""

WATCH = 0.25
"""Part of its limit that a silent lease is watched before it is taken: longer than one beat.

A clock of the Engine that jumps makes a living lease look old, until its next beat.
"""

TRIES = 20
"""Lost races in a row before the Engine is not believed."""

POLL_SECONDS = 0.25
"""Between two looks while waiting for a lease; one costs about 5 ms at a local socket."""

JOIN_SECONDS = 2.0
RELEASE_SECONDS = 5.0
"""For each question at the end: nobody waits long for an Engine that is silent, the lease goes stale by itself."""


class LeaseTakenError(LockedError):
    """Somebody else holds the lease; nothing was changed."""


class LeaseLostError(LockedError):
    """The lease was taken from a run that did not give signs of life: nothing more may be done."""

    code = "lease-lost"


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """What `lease release` found, and whether it let go of anything."""

    before: Standing
    released: bool


def look_at_lease(swarm: Swarm) -> Standing:
    """How the lease stands now."""
    kept = config.read(swarm.engine)
    now = config.engine_clock(swarm.engine) if kept and isinstance(from_labels(kept.labels), Claim) else None
    me = Machine(host=tame_line(process.this_host()), boot=process.this_boot())
    return standing(kept, now=now, me=me, dead=process.dead)


def foreign(seen: Standing) -> NotReadyError:
    """The config of that name is none of ours: it is neither used nor overwritten."""
    return NotReadyError(
        f"the Swarm config `{NAME}` is no lease that this version can read: {seen.why}",
        hint=f"look: docker config inspect {NAME}; where nobody needs it: docker config rm {NAME}",
        code="lease-foreign",
    )


@contextmanager
def hold(swarm: Swarm, *, command: str, wait: float, reporter: Reporter) -> "Iterator[Lease]":
    """Hold the lease; LeaseTakenError where somebody else still has it after `wait` seconds."""
    lease = Lease(swarm, _new_claim(swarm, command), reporter)
    try:
        lease.take(wait)
        yield lease
    finally:
        lease.release()


class Lease:
    """Our claim on one Swarm. A thread of its own keeps it alive."""

    def __init__(self, swarm: Swarm, claim: Claim, reporter: Reporter) -> None:
        """Claim nothing yet."""
        self._swarm = swarm
        self._engine = swarm.engine
        self._claim = claim
        self._reporter = reporter
        self._taken = False
        self._lost = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_alive, daemon=True)

    @property
    def lost(self) -> bool:
        """Whether it is known to be lost; `renew` asks."""
        return bool(self._lost)

    def take(self, wait: float) -> None:
        """Take it, where it is free or nobody stands behind it any more."""
        deadline = clock.ticks() + wait
        for _ in range(TRIES):
            seen = self._takable(deadline)
            labels = to_labels(self._claim)
            won = (
                config.create(self._engine, labels)
                if seen.index is None
                else config.swap(self._engine, labels, seen.index)
            )
            if won:
                self._taken = True
                if seen.claim is not None:
                    self._reporter.note(f"took over the lease of {seen.claim.line}: {seen.why}")
                self._thread.start()
                return
        raise EngineError(
            f"the Engine neither shows the Swarm config `{NAME}` as it is nor takes a new one",
            hint=f"nothing was changed; look: docker config inspect {NAME}",
            code="lease-refused",
        )

    def renew(self) -> None:
        """Prove that it is still ours, in the Swarm itself; LeaseLostError where it is not."""
        for _ in range(TRIES):
            if self._lost:
                break
            kept = config.read(self._engine)
            found = from_labels(kept.labels) if kept else None
            if kept is None or not isinstance(found, Claim) or found.token != self._claim.token:
                self._lost = f"{found.line} has it" if isinstance(found, Claim) else "it was released"
                break
            beat = self._claim.beaten(clock.stamp(self._swarm.engine_time()))
            if config.swap(self._engine, to_labels(beat), kept.index):
                return
        raise LeaseLostError(
            f"this run lost the lease on the Swarm: {self._lost or 'it changes all the time'}",
            hint="nothing more is done; `ccci-upgrade lease show` says who works there now",
        )

    def release(self) -> None:
        """Let go of it, where it is ours. It is never deleted: that takes no version, so it could be anybody's."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)
        try:
            _free(self._swarm, self._claim.token)
        except CcciError as error:
            if self._taken:
                limit = f"{self._claim.limit:g}"
                self._reporter.note(f"the lease was not released ({error.message}): stale after {limit} s")

    def _takable(self, deadline: float) -> Standing:
        """Wait until it is free or stale.

        What is only silent is watched for one more beat, past the deadline too; a beat in that time proves
        that somebody lives, whatever the clocks say.
        """
        indexes: list[int | None] = []
        since = clock.ticks()
        while True:
            seen = look_at_lease(self._swarm)
            if seen.state is LeaseState.FOREIGN:
                raise foreign(seen)
            if seen.claim is None or seen.dead:
                return seen
            if seen.index not in indexes[-1:]:
                indexes, since = [*indexes[-1:], seen.index], clock.ticks()
            silent = seen.state is LeaseState.STALE
            if silent and clock.ticks() - since >= seen.claim.limit * WATCH:
                return seen
            left = deadline - clock.ticks()
            if silent and len(indexes) == 1:
                self._reporter.waiting(f"a sign of life of {seen.claim.holder}, who has the lease")
                left = POLL_SECONDS
            elif left <= 0:
                raise _taken(seen, seen.claim)
            else:
                self._reporter.waiting(f"the lease, held by {seen.claim.line}")
            clock.sleep(min(POLL_SECONDS, left))

    def _keep_alive(self) -> None:
        try:
            while not self._stop.wait(self._claim.limit / BEATS):
                try:
                    self.renew()
                except LeaseLostError:
                    return
                except CcciError:
                    continue  # the Engine may be back at the next beat; before an act it must be
        finally:
            self._engine.close()


def release_lease(swarm: Swarm, *, allowed: Callable[[Claim], None]) -> Released:
    """Take the lease away from whoever has it. `allowed` raises CcciError where nobody said so."""
    seen = look_at_lease(swarm)
    if seen.state is LeaseState.FOREIGN:
        raise foreign(seen)
    if seen.claim is None:
        return Released(before=seen, released=False)
    allowed(seen.claim)
    if not _free(swarm, seen.claim.token):
        raise HeldError(
            f"the lease of {seen.claim.holder} changed hands meanwhile; it was left alone",
            hint="ccci-upgrade lease show",
        )
    return Released(before=seen, released=True)


def _free(swarm: Swarm, token: str) -> bool:
    """Free the lease that has this token; False where another or none has it."""
    for _ in range(TRIES):
        kept = config.read(swarm.engine, seconds=RELEASE_SECONDS)
        found = from_labels(kept.labels) if kept else None
        if kept is None or not isinstance(found, Claim) or found.token != token:
            return False
        if config.swap(swarm.engine, to_labels(None), kept.index, seconds=RELEASE_SECONDS):
            return True
    return False


def _taken(seen: Standing, claim: Claim) -> LeaseTakenError:
    heard = "" if seen.age is None else f"; its last sign of life is {seen.age:.0f} s old"
    return LeaseTakenError(
        f"another operator is at work on this Swarm: {claim.line}{heard}",
        hint="wait for them with `--lease-wait 600`, or look with `ccci-upgrade lease show`",
    )


def _new_claim(swarm: Swarm, command: str) -> Claim:
    now = clock.stamp(swarm.engine_time())
    limit = lease_limit() or LIMIT
    return Claim(
        user=tame_line(os.environ.get("SUDO_USER") or getpass.getuser()),
        host=tame_line(process.this_host()),
        pid=os.getpid(),
        boot=process.this_boot(),
        command=tame_line(command),
        since=now,
        heartbeat=now,
        token=secrets.token_hex(16),
        limit=min(max(limit, SHORTEST), LONGEST),
    )
