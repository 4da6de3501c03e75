"""People's own backup command: real programs, good and bad, slow, loud, missing, and not theirs."""

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.config import Config
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.flows.host import Host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.secondcopy import CopyInterruptedError, CopyKind, check_copies, wanted
from ccci_upgrade.model.app import App
from ccci_upgrade.process import alive
from ccci_upgrade.tools.abra import Abra
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Cluster, Swarm
from tests.builders import app as make_app
from tests.copying import Told, copy


class Bench:
    """A configuration, a script as the command, and no Engine at all."""

    def __init__(self, folder: Path) -> None:
        """Make the folder one that only we can write to."""
        folder.chmod(0o755)
        self.folder = folder
        self.config = folder / "ccci-upgrade.toml"
        self.config.touch(mode=0o644)
        self.program = folder / "hook"
        self.run = folder / "run"
        (folder / "abra").mkdir()

    @property
    def host(self) -> Host:
        """A server of which nothing is asked."""
        config = Config(
            source=self.config,
            abra="abra",
            abra_dir=self.folder / "abra",
            state_dir=self.folder,
            cache_dir=self.folder,
            server=None,
        )
        return Host(
            config=config,
            server="ci.example.org",
            swarm=Swarm(Engine(self.folder / "no.sock")),
            cluster=Cluster(id="c", node="n", engine_version="1", manager=True, nodes=1, root_dir="/"),
            abra=Abra("abra", self.folder / "abra"),
            local=True,
            apps=(),
            broken=(),
        )

    def app(self, script: str, *arguments: str, seconds: float = 20) -> App:
        """An app whose command is this script."""
        self.program.write_text(f"#!/bin/sh\n{script}\n")
        self.program.chmod(0o755)
        return replace(make_app(), backup_command=(str(self.program), *arguments), backup_budget=seconds)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Give a bench."""
    return Bench(tmp_path)


def test_nothing_is_made_that_nobody_asked_for(bench: Bench) -> None:
    """The default is none, of either kind."""
    assert not wanted(make_app())
    assert copy(bench.host, make_app(), bench.run) == ()
    assert list(bench.run.iterdir()) == []


def test_the_command_gets_its_arguments_and_its_world(bench: Bench) -> None:
    """No shell in between, no input, no terminal, a session of its own, and who it is for."""
    app = bench.app(
        'printf "%s|" "$@"; echo; env | grep ^CCCI_UPGRADE | sort; cat; pwd; cut -d" " -f6 /proc/$$/stat; echo $$',
        "$HOME",
        "two words; exit 1",
        "",
    )
    told = Told()

    (made,) = copy(bench.host, app, bench.run, told=told)

    assert wanted(app)
    assert (made.kind, made.proven) == (CopyKind.COMMAND, False)
    assert "exited 0" in made.detail
    assert told.lines[:6] == [
        "$HOME|two words; exit 1||",
        f"CCCI_UPGRADE_APP={app.name}",
        "CCCI_UPGRADE_RUN=run-1",
        f"CCCI_UPGRADE_STACK={app.stack}",
        "CCCI_UPGRADE_VERSION=1.0.0+25.0.6",
        "/",
    ]
    assert told.lines[6] == told.lines[7]
    assert told.commands == [app.backup_command]


def test_a_code_that_is_not_0_stops_the_upgrade(bench: Bench) -> None:
    """With its last lines, control characters shown, and where the rest is."""
    app = bench.app("for n in 1 2 3 4 5 6; do echo line $n; done; printf '\\033[2Jgone\\n' >&2; exit 3")

    with pytest.raises(NotReadyError) as caught:
        copy(bench.host, app, bench.run)

    assert caught.value.code == "backup-command"
    assert "exited 3" in caught.value.message
    assert "\\x1b[2Jgone" in caught.value.message
    assert "line 1" not in caught.value.message
    log = bench.run / "backup-command.log"
    assert str(log) in caught.value.hint
    assert b"line 1" in log.read_bytes()


def test_the_time_it_may_take_has_an_end(bench: Bench) -> None:
    """It is ended with all it started."""
    pid = bench.folder / "pid"
    app = bench.app(f"trap '' TERM; sleep 60 & echo $! > {pid}; wait; wait", seconds=0.5)
    began = time.monotonic()

    with pytest.raises(NotReadyError) as caught:
        copy(bench.host, app, bench.run)

    assert caught.value.code == "backup-command"
    assert "was ended after" in caught.value.message
    assert time.monotonic() - began < 10
    assert not alive(int(pid.read_text())) or _zombie(int(pid.read_text()))


def test_a_signal_that_killed_it_is_named(bench: Bench) -> None:
    """As a failure."""
    with pytest.raises(NotReadyError, match="was killed by signal 9"):
        copy(bench.host, bench.app("kill -9 $$"), bench.run)


@pytest.mark.parametrize("deaf", [False, True])
def test_ctrl_c_is_passed_on_and_nothing_was_changed(bench: Bench, *, deaf: bool) -> None:
    """Interrupt, then terminate; even a command that then says 0 does not let the upgrade go on."""
    trap = "trap '' INT; trap 'echo terminated; exit 0' TERM" if deaf else "trap 'echo stopped; exit 0' INT"
    app = bench.app(f"{trap}; echo ready; while :; do sleep 0.05; done")
    told = Told()

    with Interrupts() as interrupts:
        presser = threading.Thread(target=_press, args=(told, 2 if deaf else 1))
        presser.start()
        with pytest.raises(CopyInterruptedError) as caught:
            copy(bench.host, app, bench.run, told=told, interrupts=interrupts)
        presser.join()

    assert int(caught.value.exit) == 130
    assert told.lines[0] == "ready"
    assert ("terminated" if deaf else "stopped") in told.lines
    assert [note.split()[0] for note in told.notes] == ["SIGINT", "SIGTERM"][: 2 if deaf else 1]
    assert interrupts.on_press is None


def test_secrets_are_masked_in_the_log_and_on_the_screen(bench: Bench) -> None:
    """Even where the value comes in two pieces, and in the error."""
    app = bench.app("printf 'key hunter2-'; sleep 0.2; echo sentinel; exit 1", "hunter2-sentinel")
    told = Told()

    with pytest.raises(NotReadyError) as caught:
        copy(bench.host, app, bench.run, told=told, secrets=("hunter2-sentinel",))

    shown = "\n".join((*told.lines, caught.value.message, (bench.run / "backup-command.log").read_text()))
    assert "sentinel" not in shown
    assert shown.count("key [masked]") == 3
    assert told.commands == [(str(bench.program), "[masked]")]


def test_much_output_is_no_trouble(bench: Bench) -> None:
    """Megabytes, one endless line among them."""
    app = bench.app("head -c 3000000 /dev/zero | tr '\\0' x; yes | head -n 100000; echo end")
    told = Told()

    copy(bench.host, app, bench.run, told=told)

    assert told.lines[-1] == "end"
    assert (bench.run / "backup-command.log").stat().st_size > 3_000_000


@pytest.mark.parametrize("how", ["missing", "not executable", "a folder", "not a program"])
def test_a_command_that_cannot_run_is_found_before_anything_else(bench: Bench, how: str) -> None:
    """What can be seen without running it stops the check already."""
    app = bench.app("exit 0")
    if how == "missing":
        bench.program.unlink()
    elif how == "not executable":
        bench.program.chmod(0o644)
    elif how == "a folder":
        bench.program.unlink()
        bench.program.mkdir()
    else:
        bench.program.write_bytes(b"\x7fELF nonsense")

    with pytest.raises(NotReadyError) as caught:
        copy(bench.host, app, bench.run)

    assert caught.value.code == "backup-command"
    assert str(bench.program) in caught.value.message
    if how != "not a program":
        with pytest.raises(NotReadyError):
            check_copies(bench.host, app)


@pytest.mark.parametrize("which", ["config", "program", "folder"])
def test_what_others_can_write_is_not_run(bench: Bench, which: str) -> None:
    """Whoever may write the configuration or the program would decide what runs here."""
    app = bench.app(f"touch {bench.folder / 'ran'}")
    assert check_copies(bench.host, app) == (str(bench.program),)
    place = {"config": bench.config, "program": bench.program, "folder": bench.folder}[which]
    place.chmod(0o777)

    with pytest.raises(NotReadyError, match="everybody can write") as caught:
        copy(bench.host, app, bench.run)

    assert str(place) in caught.value.message
    assert not (bench.folder / "ran").exists()
    if which == "folder":
        place.chmod(0o1777)
        assert check_copies(bench.host, app) == (str(bench.program),)


@pytest.mark.parametrize("which", ["file", "folder"])
def test_a_link_is_no_way_around(bench: Bench, which: str) -> None:
    """The file that a link leads to counts too, and the folder where it really is."""
    app = bench.app("exit 0")
    real = bench.folder / "elsewhere" / "real"
    real.parent.mkdir(mode=0o755)
    bench.program.rename(real)
    bench.program.symlink_to(real)
    assert check_copies(bench.host, app) == (str(bench.program),)
    (real if which == "file" else real.parent).chmod(0o777)

    with pytest.raises(NotReadyError, match="everybody can write"):
        check_copies(bench.host, app)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_belongs_to_somebody_else_is_not_run(bench: Bench) -> None:
    """Nor what another group can write, for root."""
    app = bench.app("exit 0")
    os.chown(bench.config, 12345, 0)
    with pytest.raises(NotReadyError, match="belongs to user 12345"):
        check_copies(bench.host, app)
    os.chown(bench.config, 0, 12345)
    bench.config.chmod(0o664)
    with pytest.raises(NotReadyError, match="group 12345 can write"):
        check_copies(bench.host, app)


def _press(told: Told, times: int) -> None:
    """Press Ctrl-C once it is ready, and again once the first was told."""
    for number in range(times):
        deadline = time.monotonic() + 10
        while (not told.lines or len(told.notes) < number) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)


def _zombie(pid: int) -> bool:
    return " Z " in Path(f"/proc/{pid}/stat").read_text()
