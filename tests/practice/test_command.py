"""`ccci-upgrade practice`: made, used, broken, mended, stopped, on real processes in folders of all kinds."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ccci_upgrade.practice import engineroom
from ccci_upgrade.practice.faults import FAULTS
from ccci_upgrade.practice.world.place import MARK, Place
from tests.documents import problems

TOOL = (sys.executable, "-m", "ccci_upgrade")
ROOT = Path(__file__).parents[2]


class Folder:
    """Where the program is called, as somebody who has nothing but it, git and a shell."""

    def __init__(self, root: Path) -> None:
        """Remember the folder; what is made in it is removed by the fixture."""
        self.root = root
        self.host = root / "ccci-practice"

    def run(self, *words: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """Call the program without a terminal."""
        return subprocess.run(
            [*TOOL, *words],
            cwd=cwd or self.root,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def document(self, *words: str, cwd: Path | None = None) -> Any:
        """Call it with `--json`; the document fits the schema."""
        ran = self.run(*words, "--json", cwd=cwd)
        assert ran.stdout, ran.stderr
        document = json.loads(ran.stdout)
        assert problems(document) == []
        assert document["exit_code"] == ran.returncode
        return document

    def stop(self) -> None:
        """Take away whatever a test left."""
        for mark in list(self.root.rglob(MARK)):
            self.run("practice", "stop", "--folder", str(mark.parent))


@cache
def _tools() -> str:
    """A folder with links to git, ps and a shell, and to nothing else: no Docker can be found."""
    folder = tempfile.TemporaryDirectory(prefix="ccci-tools-")
    atexit.register(folder.cleanup)
    for name in ("git", "ps", "sh"):
        found = shutil.which(name)
        assert found is not None, name
        (Path(folder.name) / name).symlink_to(found)
    return folder.name


def environment(**more: str) -> dict[str, str]:
    """No Docker, no abra on the PATH: git, ps and a shell are all there is."""
    return {"PATH": _tools(), "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), **more}


def engines(folder: Path) -> list[int]:
    """The processes that run for hosts below a folder."""
    listed = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,args="],  # noqa: S607 - ps from PATH
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        int(line.split()[0])
        for line in listed.stdout.splitlines()
        if "ccci_upgrade.practice" in line and str(folder) in line
    ]


def wait(true: object, seconds: float = 20.0) -> None:
    """Wait until a call says yes."""
    deadline = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    """Give an empty folder to call the program in."""
    made = Folder(tmp_path)
    yield made
    made.stop()
    assert engines(tmp_path) == []


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """Give a host that is made once: tests of faults put back what they break."""
    made = Folder(tmp_path_factory.mktemp("shared"))
    ran = made.run("practice")
    assert ran.returncode == 0, ran.stderr
    yield made
    made.stop()


# -- made and used ----------------------------------------------------------------------------------------


def test_every_command_works_on_a_new_host(folder: Folder) -> None:
    """Made in seconds; read, upgraded, held, looked at and remembered without a word of configuration."""
    started = time.monotonic()
    made = folder.document("practice")
    took = time.monotonic() - started
    again = folder.document("practice", cwd=folder.host)
    codes = {
        words: folder.run(*words.split(), cwd=folder.host).returncode
        for words in (
            "status",
            "doctor",
            "notes keycloak",
            "plan",
            "upgrade drone",
            "upgrade keycloak",
            "health",
            "status --exit-code",
        )
    }
    runs = folder.document("history", cwd=folder.host)["data"]["runs"]
    gone = folder.document("practice", "stop")

    assert took < 30  # about 8 s where nothing else runs
    assert made["data"]["state"] == "made"
    assert again["data"] == made["data"] | {"state": "running"}
    assert codes.pop("upgrade keycloak") == 12
    assert codes.pop("status --exit-code") == 10
    assert set(codes.values()) == {0}, codes
    assert [(run["recipe"], run["outcome"]) for run in runs] == [("drone", "upgraded")]
    assert gone["data"] == {"folder": str(folder.host), "removed": True, "kept": []}
    assert list(folder.root.iterdir()) == []


@pytest.mark.parametrize("name", ["with space", "deep/" + "/".join(["d" * 40] * 4)])
def test_any_folder_will_do(folder: Folder, name: str) -> None:
    """Spaces, and a path that no Unix socket could have; nothing is left, not even outside."""
    where = folder.root / name
    made = folder.run("practice", "--folder", str(where))
    private = Place(root=where).mark()
    status = folder.document("status", cwd=where)
    gone = folder.run("practice", "stop", "--folder", str(where))

    assert made.returncode == 0, made.stderr
    assert private is not None
    assert bool(private.private) == name.startswith("deep")
    assert {row["state"] for row in status["data"]["apps"]} == {"converged"}
    assert gone.returncode == 0, gone.stderr
    assert not where.exists()
    assert not private.private or not Path(private.private).exists()


def test_what_is_shown_can_be_typed(folder: Folder) -> None:
    """In few lines: what there is, and whole commands, the first of which leads into the folder."""
    made = folder.run("practice")
    commands = [line.removeprefix("  $ ") for line in made.stdout.splitlines() if line.startswith("  $ ")]

    assert len(made.stdout.splitlines()) < 25
    assert commands[0] == f"cd {folder.host}"
    typed = "\n".join(commands[:3]).replace("ccci-upgrade ", f"{' '.join(TOOL)} ")
    ran = subprocess.run(
        ["sh", "-ec", typed],  # noqa: S607 - sh from PATH
        env=environment(),
        cwd=folder.root,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert "drone.ci.example.org" in ran.stdout


# -- refusals ---------------------------------------------------------------------------------------------


def test_a_folder_of_somebodys_is_not_touched(folder: Folder) -> None:
    """One error; the same for a file, and for a host that is not there."""
    (folder.root / "mine.txt").write_text("mine")
    before = sorted(folder.root.rglob("*"))

    taken = folder.run("practice", "--folder", str(folder.root))
    file = folder.run("practice", "--folder", str(folder.root / "mine.txt"))
    none = folder.run("practice", "stop")
    broken = folder.run("practice", "break", "crash-loop")
    unknown = folder.run("practice", "break", "nonsense")

    assert [ran.returncode for ran in (taken, file, none, broken, unknown)] == [2] * 5
    assert "is not empty and no practice host; nothing was touched" in taken.stderr
    assert "is no folder" in file.stderr
    assert "there is no practice host" in none.stderr
    assert "there is no practice host" in broken.stderr
    assert "crash-loop, " in unknown.stderr
    assert sorted(folder.root.rglob("*")) == before


def test_without_git_nothing_is_begun(folder: Folder, tmp_path: Path) -> None:
    """One error says what is missing."""
    ran = subprocess.run(
        [*TOOL, "practice"],
        cwd=folder.root,
        env=environment(PATH=str(tmp_path / "none")),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert ran.returncode == 13
    assert ran.stderr == "error: git cannot be started\nhint: install git\n"
    assert list(folder.root.iterdir()) == []


def test_two_at_once_do_not_meet(folder: Folder) -> None:
    """The second one is refused while the first one makes the host."""
    with subprocess.Popen(
        [*TOOL, "practice"],
        cwd=folder.root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as first:
        wait((folder.host / MARK).exists)
        second = folder.run("practice")
        first.wait(timeout=60)

    assert first.returncode == 0
    assert second.returncode == 11
    assert "is at work in" in second.stderr


# -- how it ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["recipes", "engine", "deploy keycloak", "wait until"])
def test_an_interrupt_leaves_nothing(folder: Folder, stage: str) -> None:
    """Whenever Ctrl-C comes: no folder, no process."""
    with subprocess.Popen(
        [*TOOL, "practice"],
        cwd=folder.root,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line.startswith(f"practice: {stage}"):
                break
        child.send_signal(signal.SIGINT)
        err = child.stderr.read()
        child.wait(timeout=30)

    assert child.returncode == 130, err
    assert err.endswith("interrupted; nothing was changed\n")
    assert list(folder.root.iterdir()) == []
    assert engines(folder.root) == []


def test_a_killed_engine_is_told_and_made_anew(folder: Folder) -> None:
    """By every command of the group; `practice` says what is lost before it makes it anew."""
    folder.run("practice")
    mark = Place(root=folder.host).mark()
    assert mark is not None
    os.kill(mark.pid, signal.SIGKILL)
    wait(lambda: not engineroom.running(mark))

    broken = folder.run("practice", "break", "crash-loop")
    status = folder.run("status", cwd=folder.host)
    made = folder.run("practice")
    healthy = folder.run("health", cwd=folder.host)

    assert broken.returncode == 13
    assert "is gone" in broken.stderr
    assert status.returncode == 13
    assert made.returncode == 0
    assert made.stderr.splitlines()[0].endswith(
        "is gone: making all anew, its apps and their history are lost"
    )
    assert healthy.returncode == 0


def test_a_stopped_host_leaves_what_is_not_ours(folder: Folder) -> None:
    """A file of somebody's in the folder is kept and named; a process that took the pid lives on."""
    folder.run("practice")
    place = Place(root=folder.host)
    mark = place.mark()
    assert mark is not None
    (folder.host / "plan.json").write_text("mine")
    os.kill(mark.pid, signal.SIGKILL)
    wait(lambda: not engineroom.running(mark))
    with subprocess.Popen(["sleep", "60"]) as bystander:  # noqa: S607 - sleep from PATH
        text = (folder.host / MARK).read_text().replace(f'"pid": {mark.pid}', f'"pid": {bystander.pid}')
        (folder.host / MARK).write_text(text)
        ran = folder.run("practice", "stop", "--folder", str(folder.host))
        lives = bystander.poll() is None
        bystander.kill()

    assert ran.returncode == 0, ran.stderr
    assert lives
    assert "kept, because it is not of this program: plan.json" in ran.stdout
    assert [path.name for path in folder.host.iterdir()] == ["plan.json"]
    shutil.rmtree(folder.host)


def test_a_folder_that_cannot_be_made_is_one_error(folder: Folder) -> None:
    """Where and why, exit 13, and nothing is left."""
    (folder.root / "mine.txt").write_text("mine")

    ran = folder.run("practice", "--folder", str(folder.root / "mine.txt" / "host"))

    assert ran.returncode == 13
    assert ran.stderr.startswith(f"error: cannot work in `{folder.root}/mine.txt/host`: ")
    assert [path.name for path in folder.root.iterdir()] == ["mine.txt"]


# -- faults -----------------------------------------------------------------------------------------------


def test_every_fault_is_listed_in_one_line(shared: Folder, tmp_path: Path) -> None:
    """With a host and without one; each says what it does."""
    names = [fault.name for fault in FAULTS]
    listed = shared.run("practice", "break")
    without = shared.run("practice", "break", cwd=tmp_path)

    assert len(names) == len(set(names)) >= 15
    for ran in (listed, without):
        assert ran.returncode == 0
        assert [line.split()[0] for line in ran.stdout.splitlines()[1 : len(names) + 1]] == names


SHOWN = {
    "wrong-status": ("status 503 instead of 200", 16),
    "crash-loop": ("non-zero exit (3)", 16),
    "unhealthy": ("0 of 1 tasks running", 16),
    "engine-slow": ("converged", 0),
    "image-nowhere": ("image-unavailable:drone/drone:2.26.0", 0),
    "dirty-recipe": ("dirty-recipe", 0),
    "lightweight-tag": ("lightweight-tag:1.9.1+2.26.0", 0),
    "config-not-bumped": ("config-not-bumped:traefik_yml", 0),
    "volume-lost": ("volume-removed:drone_ci_example_org_data", 0),
    "bad-version": ("and back to 1.8.0+2.25.0 (converged)", 14),
    "secret-missing": ("secret-missing:rpc_secret", 0),
    "env-behind": ("env-behind", 0),
}
"""What the first command that a fault names shows, and its exit code."""


@pytest.mark.parametrize("name", SHOWN)
def test_a_fault_shows_and_is_put_back(shared: Folder, name: str) -> None:
    """By the command that it names; afterwards everything is as before."""
    before = snapshot(shared)
    broken = shared.document("practice", "break", name)
    twice = shared.run("practice", "break", name)
    text, code = SHOWN[name]
    command = broken["data"]["caused"]["see"][0].split()[1:]
    seen: list[subprocess.CompletedProcess[str]] = []

    def shows() -> bool:
        seen.append(shared.run(*command, cwd=shared.host))
        return text in seen[-1].stdout and seen[-1].returncode == code

    try:
        wait(shows)
    finally:
        mended = shared.document("practice", "mend", cwd=shared.host)
    wait(lambda: shared.run("health", cwd=shared.host).returncode == 0)

    assert [fault["name"] for fault in broken["data"]["faults"] if fault["active"]] == [name]
    assert twice.returncode == 2
    assert mended["data"]["mended"] == [name]
    assert snapshot(shared) == before


def test_a_frozen_engine_answers_after_mending(shared: Folder) -> None:
    """The fault's own socket calls still work; the Engine is silent for everybody else."""
    shared.run("practice", "break", "engine-frozen")
    mark = Place(root=shared.host).mark()
    assert mark is not None
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(mark.socket)
        client.settimeout(1.0)
        client.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)
    shared.run("practice", "mend")

    assert shared.run("status", cwd=shared.host).returncode == 0


@pytest.mark.parametrize(
    ("name", "code", "state"),
    [
        ("abra-does-nothing", 13, "unchanged"),
        ("abra-gives-up", 0, "converged"),
        ("foreign-change", 15, "foreign_change"),
    ],
)
def test_a_fault_of_an_upgrade_decides_its_verdict(folder: Folder, name: str, code: int, state: str) -> None:
    """The next upgrade meets it."""
    folder.run("practice")
    broken = folder.document("practice", "break", name)
    (command,) = broken["data"]["caused"]["see"]
    ran = folder.document(*command.split()[1:], cwd=folder.host)
    mended = folder.run("practice", "mend")

    (run,) = ran["data"]["runs"]
    assert (ran["exit_code"], run["verdict"]["state"]) == (code, state)
    assert mended.returncode == 0, mended.stderr
    assert not (folder.host / "abra" / "practice.json").exists()


def snapshot(folder: Folder) -> list[tuple[str, str]]:
    """Recipes, tags, `.env`s and what images there are, as they are now."""
    found = [
        (path.name, path.read_text())
        for path in [*folder.host.glob("abra/servers/*/*.env"), folder.host / "registry.json"]
    ]
    for repository in sorted([*folder.host.glob("abra/recipes/*"), *folder.host.glob("origins/*")]):
        for words in (("for-each-ref",), ("status", "--porcelain")):
            if words[0] == "status" and repository.parent.name == "origins":
                continue
            done = subprocess.run(
                ["git", *words],  # noqa: S607 - git from PATH
                cwd=repository,
                capture_output=True,
                text=True,
                check=True,
            )
            found.append((f"{repository} {words[0]}", done.stdout))
    return sorted(found)
