"""The abra adapter against small programs that behave as badly as an abra can."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ccci_upgrade.errors import LockedError, NotReadyError
from ccci_upgrade.process import alive
from ccci_upgrade.redact import Masker
from ccci_upgrade.tools.abra import LOCK, TAIL, Abra, Act, ActResult

ROOT = Path(__file__).parent.parent.parent
ARGUMENTS = ("app", "upgrade", "keycloak.ci.example.org", "1.1.0+25.1.0", "--no-input")

TWO_MEGABYTES = """
import sys, threading
def write(stream, word):
    for number in range(16384):
        stream.write(b"%s %06d %s\\n" % (word, number, b"x" * 110))
threads = [threading.Thread(target=write, args=a) for a in ((sys.stdout.buffer, b"out"), (sys.stderr.buffer, b"err"))]
[t.start() for t in threads]; [t.join() for t in threads]
"""

HELP = """
case "$*" in
  --version) echo "abra version 0.13.0-beta" ;;
  *) printf 'Usage:\\n  abra %s [flags]\\n\\nFlags:\\n  --no-input  never ask\\n  --force     anyway\\n' "$*" ;;
esac
"""


@dataclass(kw_only=True)
class Bench:
    """A folder with an abra made of a script, and what it showed."""

    folder: Path
    shown: list[str] = field(default_factory=list)

    def abra(self, script: str, *, interpreter: str = "/bin/sh") -> Abra:
        """An abra that is this script."""
        program = self.folder / "abra"
        program.write_text(f"#!{interpreter}\n{script}")
        program.chmod(0o755)
        (self.folder / "abra_dir").mkdir(exist_ok=True)
        return Abra(str(program), self.folder / "abra_dir")

    @property
    def log(self) -> Path:
        """Where its raw output goes."""
        return self.folder / "abra.log"

    def start(self, abra: Abra, *, lock: int, secrets: tuple[str, ...] = (), log: Path | None = None) -> Act:
        """Start an act."""
        return abra.act(
            ARGUMENTS, lock=lock, show=self.shown.append, log=log or self.log, masker=Masker(secrets)
        )

    def whole(
        self, script: str, *secrets: str, interpreter: str = "/bin/sh", log: Path | None = None
    ) -> ActResult:
        """One act from beginning to end."""
        abra = self.abra(script, interpreter=interpreter)
        with abra.alone(seconds=0) as lock:
            act = self.start(abra, lock=lock, secrets=secrets, log=log)
            wait_for(lambda: not act.running())
            return act.result(timed_out=False)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench; processes whose numbers were written to `pids` are ended afterwards."""
    yield Bench(folder=tmp_path)
    pids = tmp_path / "pids"
    for pid in pids.read_text().split() if pids.exists() else ():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- what it says of itself ----------------------------------------------------------------------------------


def test_version_and_flags_are_read_from_its_help(bench: Bench) -> None:
    """Nothing is missing, everything could be read."""
    info = bench.abra(HELP).info()

    assert (info.version, info.unread, info.missing) == ("0.13.0-beta", (), ())
    assert info.path == str(bench.folder / "abra")


def test_a_flag_its_help_does_not_have_is_named(bench: Bench) -> None:
    """With the command it is missing from."""
    info = bench.abra(HELP.replace("--force ", "--forced-exit")).info()

    assert info.missing == ("abra app deploy: --force",)


@pytest.mark.parametrize("script", ["exit 0", "echo nonsense; exit 1", "printf '\\377\\033[2J'"])
def test_help_that_cannot_be_read_is_said_to_be_unread(bench: Bench, script: str) -> None:
    """Not the same as a missing flag."""
    info = bench.abra(script).info()

    asked = ("upgrade", "rollback", "deploy")
    assert info.unread == tuple(f"abra app {command} --help" for command in asked)
    assert info.missing == ()
    assert info.version == "unknown"


def test_no_abra_at_all_says_which_setting_names_it(bench: Bench) -> None:
    """Both for questions and for acts."""
    abra = Abra("no-such-abra", bench.folder)

    for ask in (abra.info, lambda: bench.start(abra, lock=0)):
        with pytest.raises(NotReadyError) as caught:
            ask()
        assert caught.value.code == "no-abra"
        assert "`abra`" in caught.value.hint


def test_an_upgrade_names_app_and_version_and_never_asks() -> None:
    """Exactly one version, no prompt."""
    assert Abra.upgrade_argv("keycloak.ci.example.org", "1.1.0+25.1.0", live="1.0.0+25.0.0") == ARGUMENTS


def test_a_backup_is_asked_for_without_questions(bench: Bench) -> None:
    """And an abra whose help does not show its commands is noticed: cobra then shows the group's help."""
    assert Abra.backup_argv("a.example.org") == ("app", "backup", "create", "a.example.org", "--no-input")
    assert Abra.backups_argv("a.example.org")[:3] == ("app", "backup", "snapshots")
    knows = 'case "$3" in create) echo "Usage: abra app backup create <domain>";; '

    both = bench.abra(f'{knows} *) echo "Usage: abra app backup snapshots <domain>";; esac').backup_unread()
    one = bench.abra(f'{knows} *) echo "Usage: abra app backup [command]"; esac').backup_unread()

    assert (both, one) == ((), ("abra app backup snapshots",))


# -- one act ---------------------------------------------------------------------------------------------------


def test_an_act_has_its_own_world(bench: Bench) -> None:
    """No terminal, no input, a folder without settings, words in English, its `ABRA_DIR`."""
    result = bench.whole(
        'echo "$*"; pwd; echo "$ABRA_DIR $LC_ALL $NO_COLOR"; cat; cut -d" " -f6 /proc/$$/stat; echo $$; exit 5'
    )

    assert (result.code, result.signals, result.timed_out) == (5, 0, False)
    assert result.argv == ("abra", *ARGUMENTS)
    assert bench.shown[:3] == [" ".join(ARGUMENTS), "/", f"{bench.folder / 'abra_dir'} C 1"]
    assert bench.shown[3] == bench.shown[4]
    assert result.tail == tuple(bench.shown)


def test_two_megabytes_on_each_stream_are_shown_and_kept(bench: Bench) -> None:
    """Every byte, and each stream in its own order."""
    result = bench.whole(TWO_MEGABYTES, interpreter=sys.executable)

    logged = bench.log.read_text().splitlines()
    for word in ("out", "err"):
        numbers = [int(line.split()[1]) for line in logged if line.startswith(word) and len(line) == 121]
        assert len(numbers) >= 16384 - 200
        assert numbers == sorted(numbers)
    assert bench.log.stat().st_size == 2 * 16384 * 122
    assert sum(len(line) for line in bench.shown) == 2 * 16384 * 121
    assert len(result.tail) == TAIL


def test_a_secret_that_comes_in_two_pieces_is_shown_nowhere(bench: Bench) -> None:
    """Not on the screen, not in the log, not in the evidence."""
    result = bench.whole(
        "printf 'a hunter2; '; sleep 0.2; printf 'er2-hunt'; sleep 0.2; echo 'er2-secret'", "er2-hunter2-sec"
    )

    everything = "\n".join((*bench.shown, *result.tail, bench.log.read_text()))
    assert "er2-hunter2-sec" not in everything
    assert bench.shown == ["a hunter2; [masked]ret"]


def test_what_is_no_text_is_shown_as_escapes_and_kept_as_it_is(bench: Bench) -> None:
    """No control character of a colleague's recipe reaches the terminal."""
    bench.whole(r"printf 'bad \377\376 \033]52;c;eA==\007 end\r\n'")

    assert bench.shown == [r"bad \xff\xfe \x1b]52;c;eA==\x07 end"]
    assert b"bad \xff\xfe \x1b]52;c;eA==\x07 end\r\n" in bench.log.read_bytes()


def test_a_line_without_end_is_shown_in_pieces(bench: Bench) -> None:
    """A megabyte is not held until a newline comes."""
    bench.whole("print('x' * 1_000_000, end='')", interpreter=sys.executable)

    assert sum(map(len, bench.shown)) == 1_000_000
    assert max(map(len, bench.shown)) < 100_000


def test_progress_bars_are_lines(bench: Bench) -> None:
    """A carriage return ends what can be shown."""
    bench.whole(r"printf '10%%\r20%%\rdone\n\n'")

    assert bench.shown == ["10%", "20%", "done"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_log_that_cannot_take_more_does_not_stop_the_act(bench: Bench) -> None:
    """An abra that waits for its reader would hang with the stack half done."""
    (bench.folder / "full.log").symlink_to("/dev/full")

    result = bench.whole("yes | head -n 100000; echo end", log=bench.folder / "full.log")

    assert result.code == 0
    assert bench.shown[-1] == "end"


def test_a_log_that_cannot_be_opened_is_refused_before_abra_starts(bench: Bench) -> None:
    """Nothing was changed yet, and the error says so."""
    abra = bench.abra(f"touch {bench.folder}/started")

    with abra.alone(seconds=0) as lock, pytest.raises(NotReadyError) as caught:
        bench.start(abra, lock=lock, log=bench.folder / "none" / "abra.log")

    assert caught.value.code == "journal"
    assert not (bench.folder / "started").exists()


def test_a_program_that_cannot_be_run_is_refused(bench: Bench) -> None:
    """An interpreter that is not there, as after a rebuild."""
    abra = bench.abra("", interpreter="/nonexistent/interpreter")

    with abra.alone(seconds=0) as lock, pytest.raises(NotReadyError, match="cannot start"):
        bench.start(abra, lock=lock)


# -- ending it ---------------------------------------------------------------------------------------------------


def test_three_presses_end_even_what_ignores_two(bench: Bench) -> None:
    """Interrupt, terminate, kill: each is named, and each reaches the whole group."""
    abra = bench.abra('trap "echo int" INT; trap "echo term" TERM; echo up; while :; do sleep 0.05; done')
    with abra.alone(seconds=0) as lock:
        act = bench.start(abra, lock=lock)
        wait_for(lambda: "up" in bench.shown)
        pressed = [act.press()]
        wait_for(lambda: "int" in bench.shown)
        pressed.append(act.press())
        wait_for(lambda: "term" in bench.shown)
        assert act.running()
        pressed.append(act.press())
        wait_for(lambda: not act.running())
        result = act.result(timed_out=False)

    assert pressed == ["SIGINT", "SIGTERM", "SIGKILL"]
    assert (result.code, result.signals) == (-signal.SIGKILL, 3)
    assert act.press() == "SIGKILL"


def test_one_press_is_enough_for_a_polite_abra(bench: Bench) -> None:
    """Its own end is its own code."""
    abra = bench.abra('trap "exit 130" INT; echo up; while :; do sleep 0.05; done')
    with abra.alone(seconds=0) as lock:
        act = bench.start(abra, lock=lock)
        wait_for(lambda: "up" in bench.shown)
        act.press()
        wait_for(lambda: not act.running())

        assert act.result(timed_out=False).code == 130


@pytest.mark.parametrize("ignored", ["", "INT TERM HUP"])
def test_the_budgets_end_ends_a_hanging_abra_for_good(bench: Bench, ignored: str) -> None:
    """Terminated, and after two seconds killed, with its children."""
    trap = f'trap "" {ignored}; ' if ignored else ""
    abra = bench.abra(f"{trap}sleep 300 & echo $! > {bench.folder}/pids; echo up; wait")
    with abra.alone(seconds=0) as lock:
        act = bench.start(abra, lock=lock)
        wait_for(lambda: "up" in bench.shown)
        begun = time.monotonic()
        act.end()
        result = act.result(timed_out=True)

    assert time.monotonic() - begun < 10
    assert result.timed_out
    assert result.code == (-signal.SIGKILL if ignored else -signal.SIGTERM)


def test_a_grandchild_that_keeps_the_pipes_holds_up_nobody(bench: Bench) -> None:
    """And what it prints after the end is nobody's any more."""
    abra = bench.abra(f"(sleep 4; echo late) & echo $! > {bench.folder}/pids; echo done; exit 0")
    with abra.alone(seconds=0) as lock:
        act = bench.start(abra, lock=lock)
        wait_for(lambda: not act.running())
        begun = time.monotonic()
        result = act.result(timed_out=False)

    assert time.monotonic() - begun < 3.5
    assert (result.code, result.tail) == (0, ("done",))
    time.sleep(2.5)
    assert bench.shown == ["done"]


# -- alone ----------------------------------------------------------------------------------------------------------


def test_one_abra_at_a_time_for_each_folder(bench: Bench) -> None:
    """A second one is told, waits as long as it was told to, and gets its turn."""
    abra = bench.abra("")
    entered = threading.Event()

    def second() -> None:
        with abra.alone(seconds=30):
            entered.set()

    with abra.alone(seconds=0):
        with pytest.raises(LockedError, match="another abra"), abra.alone(seconds=0.2):
            pass
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.3)
    waiting.join(30)

    assert entered.is_set()


def test_an_abra_that_outlives_the_run_still_holds_the_folder(bench: Bench) -> None:
    """Its stack is still moving: the next run must not look at it yet."""
    abra = bench.abra("echo up; sleep 1.5")
    with abra.alone(seconds=0) as lock:
        act = bench.start(abra, lock=lock)
        wait_for(lambda: "up" in bench.shown)
    with pytest.raises(LockedError), abra.alone(seconds=0.1):
        pass
    with abra.alone(seconds=30):
        wait_for(lambda: not act.running(), seconds=2)
    act.result(timed_out=False)


OPERATOR = """
import os, sys, time
from pathlib import Path
from ccci_upgrade.redact import Masker
from ccci_upgrade.tools.abra import Abra

abra = Abra(sys.argv[1], Path(sys.argv[2]))
with abra.alone(seconds=0) as lock:
    shown = lambda line: print(line, flush=True)
    act = abra.act(("app", "upgrade"), lock=lock, show=shown, log=Path(os.devnull), masker=Masker(()))
    time.sleep(300)
"""


def test_a_killed_operators_abra_still_holds_the_folder(bench: Bench) -> None:
    """SIGKILL leaves no time to wait for it; the lock went with the child."""
    abra = bench.abra(f"echo $$ > {bench.folder}/pids; echo up; sleep 300")
    with subprocess.Popen(
        (sys.executable, "-c", OPERATOR, abra.binary, str(abra.abra_dir)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as operator:
        assert operator.stdout is not None
        assert operator.stdout.readline() == "up\n"
        operator.kill()
    child = int((bench.folder / "pids").read_text())

    with pytest.raises(LockedError), abra.alone(seconds=0.2):
        pass
    assert alive(child)
    os.killpg(child, signal.SIGKILL)
    with abra.alone(seconds=30):
        pass


def test_a_lock_that_is_a_link_is_refused(bench: Bench) -> None:
    """It would be made where it leads to."""
    abra = bench.abra("")
    (abra.abra_dir / LOCK).symlink_to(bench.folder / "elsewhere")

    with pytest.raises(NotReadyError, match="cannot write"), abra.alone(seconds=0):
        pass
    assert not (bench.folder / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_refused(bench: Bench) -> None:
    """Here: a file in its place."""
    (bench.folder / "file").write_text("")

    with (
        pytest.raises(NotReadyError, match="cannot write"),
        Abra("abra", bench.folder / "file").alone(seconds=0),
    ):
        pass
