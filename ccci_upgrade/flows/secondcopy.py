"""Second copies before an upgrade: a person's own backup command, and abra's backup with the artefact looked at."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import CcciError, Exit, NotReadyError
from ccci_upgrade.flows.backupbot import check_marked, find_bot
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.ports import Reporter
from ccci_upgrade.model.app import App
from ccci_upgrade.model.backups import Backup, Seen, compare, parse_backups
from ccci_upgrade.model.stackstate import unhealthy_lines
from ccci_upgrade.model.swarm import Stack
from ccci_upgrade.redact import Masker
from ccci_upgrade.text import decode, in_words
from ccci_upgrade.tools.hook import find_hook, start_hook
from ccci_upgrade.tools.shown import ActResult, ShownChild

LISTING_SECONDS = 120.0
"""Seconds that listing an app's backups may take: the repository may be far."""

LISTING_BYTES = 8 * 1024 * 1024
"""Bytes of a listing that are read; a line has about 60."""

SETTLING_SECONDS = 60.0
POLL = 0.1
EVIDENCE_LINES = 5


class CopyKind(StrEnum):
    """Who made a second copy."""

    COMMAND = "command"
    ABRA = "abra"


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyMade:
    """One second copy. `proven`: the copy itself was seen with time and size; else only its maker vouches for it.

    `detail` is one line for people, with what is not proven.
    """

    kind: CopyKind
    detail: str
    proven: bool
    seconds: float


class CopyInterruptedError(CcciError):
    """Ctrl-C while a second copy was made: before anything was changed."""

    exit = Exit.INTERRUPTED
    code = "interrupted"


def wanted(app: App) -> bool:
    """Whether the configuration asks for any."""
    return app.backup or bool(app.backup_command)


def check_copies(host: Host, app: App) -> tuple[str, ...]:
    """What would be run, a line each; NotReadyError where one could not be. Changes nothing."""
    lines = []
    if app.backup_command:
        lines.append(find_hook(app.backup_command, host.config.source))
    if app.backup:
        lines.append(f"abra's backup, by {find_bot(host.swarm)}")
        check_marked(host.swarm, app)
    return tuple(lines)


def second_copies(
    host: Host,
    app: App,
    *,
    run_folder: Path,
    run_id: str,
    version: str,
    reporter: Reporter,
    interrupts: Interrupts,
    masker: Masker,
    lock: int,
) -> tuple[CopyMade, ...]:
    """Make all that the configuration asks for; NotReadyError where one fails, CopyInterruptedError on Ctrl-C.

    `lock` is the descriptor of `ABRA_DIR`'s lock, `version` what runs now. Both logs go to `run_folder`.
    """
    check_copies(host, app)
    copier = _Copier(
        host=host, app=app, folder=run_folder, reporter=reporter, interrupts=interrupts, masker=masker
    )
    made = []
    if app.backup_command:
        made.append(copier.command(run_id=run_id, version=version))
    if app.backup:
        made.append(copier.abra(lock))
    return tuple(made)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copier:
    host: Host
    app: App
    folder: Path
    reporter: Reporter
    interrupts: Interrupts
    masker: Masker

    def command(self, *, run_id: str, version: str) -> CopyMade:
        """Run the person's own command."""
        argv = self.app.backup_command
        path = find_hook(argv, self.host.config.source)
        env = {
            "CCCI_UPGRADE_APP": self.app.name,
            "CCCI_UPGRADE_STACK": self.app.stack,
            "CCCI_UPGRADE_VERSION": version,
            "CCCI_UPGRADE_RUN": run_id,
        }
        shown = tuple(decode(self.masker.mask(word.encode(errors="surrogateescape"))) for word in argv)
        self.reporter.command(shown)
        log = self.folder / "backup-command.log"
        child = start_hook(path, argv, env=env, show=self.reporter.output, log=log, masker=self.masker)
        result = self._to_its_end(child, self.app.backup_budget, argv[0])
        self._good(result, argv[0], code="backup-command")
        return CopyMade(
            kind=CopyKind.COMMAND,
            detail=f"`{argv[0]}` exited 0; what it made was not looked at",
            proven=False,
            seconds=result.seconds,
        )

    def abra(self, lock: int) -> CopyMade:
        """Have abra's backup made, and look at what is listed before and after."""
        began = clock.ticks()
        running = self._settle()
        before = self._listed_before(lock)
        asked = self.host.swarm.engine_time()
        arguments = self.host.abra.backup_argv(self.app.name)
        self.reporter.command(("abra", *arguments))
        act = self.host.abra.act(
            arguments,
            lock=lock,
            show=self.reporter.output,
            log=self.folder / "backup-abra.log",
            masker=self.masker,
            pty=True,
        )
        result = self._to_its_end(act, self.app.backup_budget, "abra app backup create")
        self._good(result, "abra app backup create", code="backup-failed")
        seen = compare(before, self._listed("after", lock), began=asked)
        if _running(self.host.swarm.stack(self.app.stack)) != running:
            # The known way to a backup without data: the hook's container went while it wrote its dump.
            seen = replace(seen, doubts=(*seen.doubts, "a container of the app was replaced meanwhile"))
        made = CopyMade(
            kind=CopyKind.ABRA, detail=_detail(seen), proven=not seen.doubts, seconds=clock.ticks() - began
        )
        if seen.doubts:
            self.reporter.note(f"the second copy is not proven: {made.detail}")
        return made

    def _settle(self) -> frozenset[str]:
        """Wait until all tasks run, and give their ids: a hook that meets a container just replaced stores nothing."""
        deadline = clock.ticks() + SETTLING_SECONDS
        still: frozenset[str] = frozenset()
        since = clock.ticks()
        while True:
            self._stop_if_pressed()
            stack = self.host.swarm.stack(self.app.stack)
            why = unhealthy_lines(stack)
            now = _running(stack)
            if why or now != still:
                still, since = now, clock.ticks()
            elif clock.ticks() - since >= self.app.settle:
                return now
            if clock.ticks() >= deadline:
                raise NotReadyError(
                    f"{self.app.name} is not settled: {why[0] if why else 'its tasks come and go'}",
                    hint="find out why; then try again",
                    code="unsettled",
                )
            self.reporter.waiting(f"{self.app.name} to be settled")
            clock.sleep(POLL)

    def _listed_before(self, lock: int) -> tuple[Backup, ...] | None:
        """What there is already; None where that cannot be had: an empty repository may be an error to the bot."""
        try:
            return self._listed("before", lock)
        except NotReadyError as error:
            if error.code != "backup-unseen":
                raise
            return None

    def _listed(self, when: str, lock: int) -> tuple[Backup, ...]:
        log = self.folder / f"backups-{when}.log"
        arguments = self.host.abra.backups_argv(self.app.name)
        act = self.host.abra.act(arguments, lock=lock, show=_nothing, log=log, masker=self.masker, pty=True)
        result = self._to_its_end(act, LISTING_SECONDS, "abra app backup snapshots")
        self._good(result, "abra app backup snapshots", code="backup-unseen")
        try:
            with log.open("rb") as file:
                return parse_backups(decode(file.read(LISTING_BYTES)))
        except OSError as error:
            raise NotReadyError(f"cannot read `{log}`: {error.strerror}", code="journal") from error

    def _to_its_end(self, child: ShownChild, seconds: float, what: str) -> ActResult:
        """Wait for a child; what is pressed is passed on to it, and the budget ends it."""
        self.interrupts.on_press = lambda: self.reporter.note(f"{child.press()} sent to {what}")
        deadline = clock.ticks() + seconds
        timed_out = False
        try:
            if self.interrupts.pressed:
                self.interrupts.on_press()
            while child.running():
                if clock.ticks() >= deadline:
                    timed_out = True
                    child.end()
                    break
                clock.sleep(POLL)
        except BaseException:
            child.end()
            child.result(timed_out=False)
            raise
        finally:
            self.interrupts.on_press = None
        result = child.result(timed_out=timed_out)
        self._stop_if_pressed()
        return result

    def _good(self, result: ActResult, what: str, *, code: str) -> None:
        """NotReadyError for whatever did not end with 0, the last lines with it."""
        if result.code == 0 and not result.timed_out:
            return
        ended = f"was ended after {result.seconds:.0f} s" if result.timed_out else f"exited {result.code}"
        if result.code < 0 and not result.timed_out:
            ended = f"was killed by signal {-result.code}"
        lines = "".join(f"\n  {line}" for line in result.tail[-EVIDENCE_LINES:])
        raise NotReadyError(
            f"`{what}` {ended}; there is no second copy, and nothing was changed{lines}",
            hint=f"its whole output is in {result.output}",
            code=code,
        )

    def _stop_if_pressed(self) -> None:
        if self.interrupts.pressed:
            raise CopyInterruptedError("interrupted; nothing was changed")


def _running(stack: Stack) -> frozenset[str]:
    """The tasks that run."""
    return frozenset(task.id for task in stack.tasks if task.running)


def _detail(seen: Seen) -> str:
    """One line on a backup; NotReadyError where it is of no use."""
    if seen.refused or seen.backup is None:
        raise NotReadyError(
            f"abra says that a backup was made, and {seen.refused}; nothing was changed",
            hint="`abra app backup snapshots` lists what there is; the bot's own log may say why",
            code="backup-missing",
        )
    size = "" if seen.backup.size is None else f", {in_words(seen.backup.size)}"
    doubts = f" ({'; '.join(seen.doubts)})" if seen.doubts else ""
    return f"backup {seen.backup.id}{size}{doubts}"


def _nothing(_line: str) -> None:
    """A listing is kept, not shown."""
