"""The kill matrix on a real Swarm: a chosen dozen, one after another on the same app, as a bad week would have it."""

import hashlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.killing import killer
from tests.swarm.harness import Ran
from tests.swarm.host import Host

OLD, NEW = "1.8.0+2.25.0", "1.9.0+2.26.0"
ROOT = Path(__file__).parents[2]
Data = dict[str, tuple[object, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """A command, where it dies, the way on, and the version that runs then.

    `at` is a line of the journal and a moment; `abra:1.0` is that many seconds after abra began.
    """

    words: str
    at: str
    way: str
    then: str

    def __str__(self) -> str:
        """Say it for people."""
        return f"{self.words} killed {self.at}, then {self.way}"


UPGRADE, ROLLBACK, SNAPSHOT = (
    "upgrade drone --offline",
    "rollback drone --offline --ack data-loss",
    "snapshot create drone",
)
STORIES = {
    "before and at the act": (
        Death(words=UPGRADE, at="begin quiesce:after", way="undo", then=OLD),
        Death(words=SNAPSHOT, at="end quiesce:before", way="resume", then=OLD),
        Death(words=SNAPSHOT, at="begin copy:after", way="undo", then=OLD),
        Death(words=UPGRADE, at="end copy:before", way="undo", then=OLD),
        Death(words=UPGRADE, at="begin act:after", way="resume", then=NEW),
        Death(words=ROLLBACK, at="begin quiesce:after", way="undo", then=NEW),
    ),
    "after it": (
        Death(words=UPGRADE, at="abra:1.0", way="resume", then=NEW),
        Death(words=ROLLBACK, at="begin restore:after", way="resume", then=OLD),
        Death(words=UPGRADE, at="end act:before", way="undo", then=OLD),
        Death(words=UPGRADE, at="end verify:torn", way="accept", then=NEW),
        Death(words=ROLLBACK, at="end restore:before", way="undo", then=NEW),
        Death(words=ROLLBACK, at="abra:1.0", way="resume", then=OLD),
    ),
}


class Scene:
    """drone on a real Swarm, with data, and an abra that notes when it acts."""

    def __init__(self, host: Host) -> None:
        """Deploy it."""
        self.host = host
        self._child = host.folder / "child"
        self._child.mkdir()
        shutil.copy(killer.__file__, self._child / "sitecustomize.py")
        self.log = host.folder / "acts.log"
        lines = host.abra_path.read_text().splitlines()
        note = f'case "$*" in *-version | *-help) ;; *) echo "$*" >>{self.log} ;; esac'
        host.abra_path.write_text("\n".join([lines[0], note, *lines[1:], ""]))
        host.deploy("drone")
        self.place = Path(
            host.engine.docker(
                "volume", "inspect", "--format", "{{.Mountpoint}}", f"{host.stack('drone')}_data"
            )
        )
        (self.place / "sub" / "empty").mkdir(parents=True)
        (self.place / "sub" / "rows").write_bytes(os.urandom(500_000))
        os.chown(self.place / "sub" / "rows", 33, 44)
        (self.place / "sub").chmod(0o1750)
        self.wholes = {OLD: self.data()}
        self.log.write_text("")

    def data(self) -> Data:
        """Kinds, modes, owners and contents."""
        found: Data = {}
        for path in [self.place, *sorted(self.place.rglob("*"))]:
            stat = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            found[str(path.relative_to(self.place))] = (stat.st_mode, stat.st_uid, stat.st_gid, content)
        return found

    def die(self, death: Death) -> None:
        """Run the command until it dies there."""
        self.log.write_text("")
        env = {"PYTHONPATH": f"{self._child}{os.pathsep}{ROOT}"}
        argv = self.host.argv(*death.words.split())
        word, _, moment = death.at.partition(":")
        if word != "abra":
            ran = self.host.engine.run(argv, env=env | {"KILL_AT": death.at})
            assert ran.code == -signal.SIGKILL, f"{death}: {ran}"
            return
        with self.host.engine.popen(argv, env=env) as child:
            self.host.engine.wait(lambda: self.log.stat().st_size > 0, f"{death}: abra was not started")
            time.sleep(float(moment))
            child.kill()
            child.communicate()

    def go_on(self, death: Death) -> Ran:
        """Go the way on."""
        ran = self.host.run_tool("status", "--json", "--offline")
        document: Any = ran.document()
        (run,) = document["data"]["open_runs"]
        assert any(way.endswith(f"--{death.way}") for way in run["what_can_be_done"]), f"{death}: {run}"
        return self.host.run_tool("upgrade", "drone", "--offline", f"--{death.way}")

    def problems(self, death: Death, ran: Ran) -> Iterator[str]:
        """What is not whole."""
        host = self.host
        if ran.code not in (0, 13, 14):
            yield f"exit {ran.code}: {ran.err[-2000:]}"
        if (runs := self._ask("status", "--offline")["open_runs"]) != []:
            yield f"open: {runs}"
        if self._ask("lease", "show")["state"] != "free":
            yield "the lease is not free"
        if not host.converged("drone") or host.services("drone", "{{.Replicas}}") != ["1/1"]:
            yield f"replicas: {host.services('drone', '{{.Replicas}}')}"
        if (host.label("drone"), host.pinned("drone")) != (death.then, death.then):
            yield f"{host.label('drone')} runs, `.env` pins {host.pinned('drone')}"
        if host.engine.docker("ps", "-aq", "--filter", "label=ccci-upgrade.carrier"):
            yield "a container for copying stays"
        kept = {name: what for name, what in self.data().items() if name.startswith(("sub", "kid"))}
        if not kept.items() <= self.wholes[OLD].items():
            yield f"data that nobody touches: {kept}"
        if self.data() != self.wholes.setdefault(death.then, self.data()):
            yield f"data: {self.data()}, and not {self.wholes[death.then]}"

    def _ask(self, *words: str) -> Any:
        document: Any = self.host.run_tool(*words, "--json").document()
        return document["data"]


@pytest.mark.real
@pytest.mark.timeout(900)
@pytest.mark.parametrize("story", STORIES)
def test_a_chosen_dozen(host: Host, story: str) -> None:
    """Every death is named, and made whole by the next command; then the next one comes."""
    scene = Scene(host)
    for death in STORIES[story]:
        began = time.monotonic()
        scene.die(death)
        died = time.monotonic()
        ran = scene.go_on(death)
        found = list(scene.problems(death, ran))
        print(f"{death}: died after {died - began:.1f} s, whole {time.monotonic() - died:.1f} s later")  # noqa: T201 - figures
        assert found == [], f"{death}: {found}"
