"""abra's backup as a second copy on a practice host: a bot that really copies, and one that only says so."""

import json
import os
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.config import read_config
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.flows.backupbot import find_bot
from ccci_upgrade.flows.host import Host, open_host
from ccci_upgrade.flows.interrupts import Interrupts
from ccci_upgrade.flows.secondcopy import CopyInterruptedError, CopyKind, CopyMade, check_copies
from ccci_upgrade.model.app import App
from ccci_upgrade.practice.backups import BOT, REPOSITORY
from ccci_upgrade.redact import Masker
from ccci_upgrade.tools.engine import Json
from tests.copying import Told, copy
from tests.practice.enginehost import service, until
from tests.practice.test_command import Folder

STACK = "keycloak_ci_example_org"
BOT_SERVICE = "backupbot_ci_example_org_app"


class Place:
    """A practice host, opened."""

    def __init__(self, folder: Folder, host: Host) -> None:
        """Take both."""
        self.folder = folder
        self.host = host
        self.runs = 0
        (self.app,) = (replace(app, settle=0.3) for app in host.apps if app.recipe == "keycloak")

    def habits(self, **habits: object) -> None:
        """Have abra misbehave."""
        (self.folder.host / "abra" / "practice.json").write_text(json.dumps(habits))

    def bot(self) -> None:
        """Deploy what makes backups."""
        labels = {BOT: "true", "com.docker.stack.namespace": "backupbot_ci_example_org"}
        spec = service(BOT_SERVICE, image="traefik:v3.0.0", labels=labels)
        made = self.host.swarm.engine.ask("POST", "/services/create", body=spec)
        assert made.status in (201, 409), made.message
        until(self.has_bot)

    def has_bot(self) -> bool:
        """Whether it runs."""
        try:
            return find_bot(self.host.swarm) == BOT_SERVICE
        except NotReadyError:
            return False

    def no_bot(self) -> None:
        """Take it away."""
        self.host.swarm.engine.ask("DELETE", f"/services/{BOT_SERVICE}")

    def copy(self, told: Told | None = None, *, app: App | None = None, **more: object) -> CopyMade:
        """One second copy."""
        self.runs += 1
        wanted = replace(app or self.app, backup=True)
        (made,) = copy(self.host, wanted, self.run, told=told, **more)  # type: ignore[arg-type]
        return made

    @property
    def run(self) -> Path:
        """The folder of the last run."""
        return self.folder.root / f"run-{self.runs}"

    @property
    def repository(self) -> Path:
        """Where the bot keeps things."""
        return self.folder.host / "abra" / REPOSITORY


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a host that is made once, in a folder that is the working directory of nobody."""
    folder = Folder(tmp_path_factory.mktemp("copies"))
    ran = folder.run("practice")
    assert ran.returncode == 0, ran.stderr
    try:
        config = read_config(folder.host / "ccci-upgrade.toml")
        with closing(open_host(config, "ci.example.org")) as host:
            yield Place(folder, host)
    finally:
        folder.stop()


@pytest.fixture
def place(made: Place) -> Place:
    """Give it with a bot, well behaved."""
    made.habits()
    made.bot()
    return made


def test_a_backup_is_there_and_not_called_proven(place: Place) -> None:
    """The documented listing has no sizes: new and of this run is all that can be seen, and that is said."""
    told = Told()

    made = place.copy(told)

    assert (made.kind, made.proven) == (CopyKind.ABRA, False)
    assert made.detail.endswith("(its size is not listed)")
    assert told.notes == [f"the second copy is not proven: {made.detail}"]
    assert told.commands == [("abra", "app", "backup", "create", place.app.name, "--no-input")]
    assert told.lines[-1] == "INFO backup finished"
    (folder,) = (f for f in place.repository.iterdir() if f.name in made.detail)
    with tarfile.open(folder / f"{STACK}_mariadb.tar") as archive:
        assert "__v/kid" in archive.getnames()
    assert {path.name for path in place.run.iterdir()} == {
        "backup-abra.log",
        "backups-before.log",
        "backups-after.log",
    }


def test_a_listing_with_sizes_proves_it(place: Place) -> None:
    """Restic's own JSON, with nanoseconds and another zone."""
    place.habits(backup_json=True)

    made = place.copy()

    assert made.proven
    assert " B" in made.detail or "kB" in made.detail


def test_success_with_the_data_missing_is_no_backup(place: Place) -> None:
    """Abra says that all went well; the listing shows an empty one. Without sizes it is at least not proven."""
    place.habits(backup_json=True, backup_empty=True)
    with pytest.raises(NotReadyError, match="is empty") as caught:
        place.copy()
    assert caught.value.code == "backup-missing"

    place.habits(backup_empty=True)
    assert not place.copy().proven


def test_success_without_a_backup_is_no_backup(place: Place) -> None:
    """Exit 0, and nothing new in the list."""
    place.copy()
    place.habits(noop=True)

    with pytest.raises(NotReadyError, match="no new backup is listed") as caught:
        place.copy()

    assert caught.value.code == "backup-missing"


def test_a_container_replaced_meanwhile_is_a_doubt(place: Place) -> None:
    """So a backup gets lost behind a success: sizes may still look right."""
    place.habits(backup_json=True, delay_before=1.5)
    told = Told()

    def replaced() -> None:
        until(lambda: told.commands)
        engine = place.host.swarm.engine  # one connection for each thread
        with closing(engine):
            found = engine.get(f"/services/{STACK}_db")
            assert isinstance(found, dict)
            spec, version = found["Spec"], found["Version"]
            assert isinstance(spec, dict)
            assert isinstance(version, dict)
            template = spec["TaskTemplate"]
            assert isinstance(template, dict)
            template["ForceUpdate"] = 1
            index: dict[str, Json] = {"version": version["Index"]}
            assert engine.ask("POST", f"/services/{STACK}_db/update", index, body=spec).status == 200

    other = threading.Thread(target=replaced)
    other.start()
    made = place.copy(told)
    other.join()

    assert not made.proven
    assert "a container of the app was replaced meanwhile" in made.detail


@pytest.mark.parametrize(
    ("habits", "words"),
    [({"backup_conflict": True}, "409"), ({"fail_before": True, "commands": ["create"]}, "wrong password")],
    ids=["conflict", "fails"],
)
def test_a_backup_that_fails_stops_the_upgrade(place: Place, habits: dict[str, object], words: str) -> None:
    """With abra's last lines."""
    place.habits(**habits)

    with pytest.raises(NotReadyError) as caught:
        place.copy()

    assert caught.value.code == "backup-failed"
    assert words in caught.value.message


def test_abra_gets_the_terminal_it_needs(place: Place) -> None:
    """Without one the stand-in refuses, as abra does."""
    lines: list[str] = []
    with place.host.abra.alone(seconds=5) as lock:
        act = place.host.abra.act(
            place.host.abra.backups_argv(place.app.name),
            lock=lock,
            show=lines.append,
            log=place.folder.root / "log",
            masker=Masker(()),
        )
        until(lambda: not act.running())
        result = act.result(timed_out=False)

    assert result.code == 1
    assert lines == ["FATA the input device is not a TTY"]


def test_a_secret_it_prints_is_masked(place: Place) -> None:
    """Through the terminal too."""
    place.habits(secret_leak="password hunter2-sentinel")
    told = Told()

    place.copy(told, secrets=("hunter2-sentinel",))

    assert "password [masked]" in told.lines
    assert all(b"sentinel" not in path.read_bytes() for path in place.run.iterdir())


def test_an_abra_that_hangs_is_ended(place: Place) -> None:
    """Deaf to Ctrl-C and to SIGTERM as it is; the lock is free again."""
    place.habits(hang=True, ignore_sigterm=True, commands=["create"])
    began = time.monotonic()

    with pytest.raises(NotReadyError, match="was ended after") as caught:
        place.copy(app=replace(place.app, backup_budget=1.0))

    assert caught.value.code == "backup-failed"
    assert time.monotonic() - began < 15
    place.habits()
    place.copy()


def test_ctrl_c_reaches_abra(place: Place) -> None:
    """It stops, and nothing was changed."""
    place.habits(hang=True, commands=["create"])
    told = Told()

    def press() -> None:
        until(lambda: told.commands)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    with Interrupts() as interrupts:
        presser = threading.Thread(target=press)
        presser.start()
        with pytest.raises(CopyInterruptedError):
            place.copy(told, interrupts=interrupts)
        presser.join()

    assert told.notes == ["SIGINT sent to abra app backup create"]


def test_without_a_bot_nothing_is_begun(place: Place) -> None:
    """Known before anything else, by `doctor` too."""
    place.no_bot()
    told = Told()

    with pytest.raises(NotReadyError) as caught:
        place.copy(told)

    assert caught.value.code == "no-backup-bot"
    assert told.commands == []


def test_an_app_that_is_not_marked_is_not_called_backed_up(place: Place) -> None:
    """Drone's recipe has no labels for backups: a backup of it would have nothing in it."""
    (drone,) = (app for app in place.host.apps if app.recipe == "drone")

    with pytest.raises(NotReadyError) as caught:
        check_copies(place.host, replace(drone, backup=True))

    assert caught.value.code == "not-backed-up"
    assert "backup_command" in caught.value.hint


def test_doctor_says_whether_it_could_be_made(place: Place) -> None:
    """Good with a bot and the program; bad without."""
    text = (place.folder.host / "ccci-upgrade.toml").read_text()
    head = f'[apps."{place.app.name}"]\n'
    assert head in text
    config = place.folder.host / "other.toml"
    config.write_text(text.replace(head, f'{head}backup = "abra"\nbackup_command = ["sh", "-c", "exit 0"]\n'))
    config.chmod(0o644)

    def checks() -> list[tuple[str, str]]:
        ran = place.folder.run("--config", str(config), "doctor", "--json", cwd=place.folder.host)
        found = json.loads(ran.stdout)["data"]["checks"]
        return [(c["health"], c["detail"]) for c in found if c["name"].startswith("second copies")]

    ((health, detail),) = checks()
    assert health == "good", detail
    assert BOT_SERVICE in detail
    place.no_bot()
    ((health, detail),) = checks()
    assert health == "bad"
    assert "no backup bot" in detail
