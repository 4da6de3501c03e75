"""The lock on a practice host: written by hand and by runs, and every drift told by name."""

import copy
import hashlib
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ccci_upgrade.config import read_config
from ccci_upgrade.flows.host import engine_place
from ccci_upgrade.model.lease import NAME, to_labels
from ccci_upgrade.tools import lease
from ccci_upgrade.tools.engine import Engine
from tests.documents import problems
from tests.gitrepo import ENV as GIT
from tests.practice.test_command import Folder, wait
from tests.practice.test_lease import _claim

SERVER = "ci.example.org"
TRAEFIK, KEYCLOAK, DRONE = (f"{name}.{SERVER}" for name in ("traefik", "keycloak", "drone"))
OLD, NEW, BAD = "1.8.0+2.25.0", "1.9.0+2.26.0", "1.9.3+2.26.0"


class Place:
    """A practice host whose lock is configured, in a folder of its own."""

    def __init__(self, folder: Folder) -> None:
        """Make it; there is no lock yet."""
        self.folder = folder
        ran = folder.run("practice")
        assert ran.returncode == 0, ran.stderr
        self.config = folder.host / "ccci-upgrade.toml"
        self.lock = folder.host / "git" / "infra.lock.toml"
        self.lock.parent.mkdir()
        quick = self.config.read_text().replace('settle = "2s"', 'settle = "0.3s"')
        self.config.write_text(f'lock_file = "git/infra.lock.toml"\n{quick}')

    def document(self, code: int, *words: str) -> Any:
        """The data of a command's document, which fits the schema and ends with `code`."""
        ran = self.folder.run(*words, "--json", cwd=self.folder.host)
        assert ran.stdout, ran.stderr
        document = json.loads(ran.stdout)
        assert problems(document) == []
        assert (document["exit_code"], ran.returncode) == (code, code), ran.stdout + ran.stderr
        return document["data"] | {"errors": document["errors"]}

    def said(self, code: int, *words: str) -> str:
        """What a command says that ends with `code`, both streams."""
        ran = self.folder.run(*words, cwd=self.folder.host)
        assert ran.returncode == code, ran.stdout + ran.stderr
        return f"{ran.stdout}\n{ran.stderr}"

    def drift(self) -> dict[tuple[str, str], Any]:
        """The differences that count, by app and kind."""
        ran = self.folder.run("lock", "diff", "--json", cwd=self.folder.host)
        found = json.loads(ran.stdout)["data"]
        assert ran.returncode == (20 if found["drift"] else 0), ran.stderr
        return {(row["app"], row["what"]): row for row in found["drift"]}

    def locked(self, app: str) -> Any:
        """An app's entry, by any TOML reader."""
        return tomllib.loads(self.lock.read_text())["apps"][app]

    def env(self, app: str) -> Path:
        """An app's `.env`."""
        return self.folder.host / "abra" / "servers" / SERVER / f"{app}.env"

    def recipe(self, name: str, *words: str) -> str:
        """Git in a recipe's checkout."""
        where = self.folder.host / "abra" / "recipes" / name
        done = subprocess.run(
            ["git", *words],  # noqa: S607 - git from PATH
            cwd=where,
            env=GIT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def engine(self) -> Engine:
        """Its engine, for whoever does not use this program."""
        place = engine_place(read_config(self.config), SERVER)
        assert isinstance(place, Path)
        return Engine(place)

    def update(self, service: str, change: Any) -> Any:
        """Change a service as somebody with `docker service update` would; `change` is given its spec. As it was."""
        with closing(self.engine()) as engine:
            found: Any = engine.get(f"/services/{service}")
            before = copy.deepcopy(found["Spec"])
            change(found["Spec"])
            query = {"version": found["Version"]["Index"]}
            answer = engine.ask("POST", f"/services/{service}/update", query, body=found["Spec"])
            assert answer.status == 200, answer.message
        return before

    def settled(self) -> None:
        """Wait until nothing is being updated."""

        def still() -> bool:
            return {row["state"] for row in self.document(0, "status")["apps"]} == {"converged"}

        wait(still)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a host that is made once; each test leaves it as in the lock."""
    folder = Folder(tmp_path_factory.mktemp("lock"))
    yield Place(folder)
    folder.stop()


@pytest.fixture
def kept(place: Place) -> Iterator[Place]:
    """Give it with a lock that has everything, and put back what a test changes in files."""
    if place.folder.run("lock", "diff", cwd=place.folder.host).returncode != 0:
        place.settled()
        place.document(0, "lock", "write")
    text = place.lock.read_text()
    envs = {app: place.env(app).read_text() for app in (TRAEFIK, KEYCLOAK, DRONE)}
    yield place
    for app, env in envs.items():
        place.env(app).write_text(env)
    place.lock.unlink(missing_ok=True)
    place.lock.write_text(text)


# -- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_a_lock_is_begun_by_a_run_and_completed_by_hand(place: Place) -> None:
    """From no lock at all: each app that runs and is not in it is drift until it is recorded."""
    missing = place.document(13, "lock", "diff")
    status = place.document(0, "status")["lock"]
    (run,) = place.document(0, "upgrade", "drone", "--to", NEW)["runs"]
    begun, left = place.locked(DRONE), place.drift()
    written = place.document(0, "lock", "write")
    again = place.document(0, "lock", "write")

    assert [error["code"] for error in missing["errors"]] == ["no-lock"]
    assert "lock write" in status["problem"]
    assert (begun["version"], begun["verdict"]["run"]) == (NEW, run["run_id"])
    assert begun["commit"] == place.recipe("drone", "rev-parse", f"{NEW}^{{commit}}")
    assert "recorded in" in run["phases"][-1]["detail"]
    assert set(left) == {(TRAEFIK, "lock"), (KEYCLOAK, "lock")}
    changes = {row["app"]: row["change"] for row in written["apps"]}
    assert changes == {DRONE: "same", KEYCLOAK: "new", TRAEFIK: "new"}
    assert {row["change"] for row in again["apps"]} == {"same"}
    assert (written["written"], again["written"]) == (True, False)
    assert place.drift() == {}


def test_the_lock_holds_names_and_no_value(kept: Place) -> None:
    """Of variables and secrets; the hash of the `.env` is what `sha256sum` says of it."""
    path = kept.env(KEYCLOAK)
    path.write_text(f"{path.read_text()}SOME_TOKEN=sentinel-of-a-value\n")
    kept.document(0, "lock", "write")
    entry = kept.locked(KEYCLOAK)

    assert {"ADMIN_USERNAME", "SOME_TOKEN"} <= set(entry["env"])
    assert entry["secrets"] == {"admin_password": "v1", "db_password": "v1", "db_root_password": "v1"}
    assert entry["env_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "sentinel" not in kept.lock.read_text()


@pytest.mark.timeout(120)
def test_runs_that_go_on_and_go_back_are_recorded(kept: Place) -> None:
    """`rollback` writes the old version; an upgrade that is undone leaves it there, judged anew."""
    (back,) = kept.document(0, "rollback", "drone", "--to", OLD, "--ack", "data-loss")["runs"]
    gone_back, drift_back = kept.locked(DRONE), kept.drift()
    kept.said(0, "practice", "break", "bad-version")
    (bad,) = kept.document(14, "upgrade", "drone", "--to", BAD)["runs"]
    undone, drift_undone = kept.locked(DRONE), kept.drift()
    kept.said(0, "practice", "mend")
    (up,) = kept.document(0, "upgrade", "drone", "--to", NEW)["runs"]

    assert (gone_back["version"], gone_back["verdict"]["run"]) == (OLD, back["run_id"])
    assert (undone["version"], undone["commit"]) == (OLD, gone_back["commit"])
    assert (undone["verdict"]["run"], undone["verdict"]["state"]) == (bad["run_id"], "converged")
    assert (drift_back, drift_undone) == ({}, {})
    assert kept.locked(DRONE)["verdict"]["run"] == up["run_id"]


@pytest.mark.timeout(120)
def test_a_lock_that_cannot_be_written_does_not_change_how_a_run_ends(kept: Place) -> None:
    """It is told, and the file of somebody else stays."""
    kept.lock.write_text("mine\n")
    (back,) = kept.document(0, "rollback", "drone", "--to", OLD, "--ack", "data-loss")["runs"]
    said = kept.said(0, "upgrade", "drone", "--to", NEW)
    status = kept.document(0, "status")["lock"]

    assert back["outcome"] == "rolled_back"
    assert "the lock was not written" in back["phases"][-1]["detail"]
    assert "note: the lock was not written" in said
    assert "infra.lock.toml, line 1" in status["problem"]
    assert kept.lock.read_text() == "mine\n"


def test_what_is_no_lock_is_never_written_over(kept: Place) -> None:
    """One clear error with file and line, for both commands; a merge that went wrong is one."""
    torn = f"<<<<<<< HEAD\n{kept.lock.read_text()}"
    kept.lock.write_text(torn)
    for words in (("lock", "write"), ("lock", "diff"), ("lock",)):
        found = kept.document(13, *words)
        (error,) = found["errors"]
        assert error["code"] == "lock-unreadable"
        assert "infra.lock.toml, line 1: " in error["message"]
    assert kept.lock.read_text() == torn


def test_an_app_that_does_not_run_is_not_forgotten(kept: Place) -> None:
    """After a rebuild nothing runs: `lock write` keeps what was; only `--drop` takes it out."""
    kept.document(0, "lock", "write")  # with the newest verdicts
    text = kept.lock.read_text()
    gone = text.replace(DRONE, f"gone.{SERVER}").replace("drone_ci", "gone_ci")
    kept.lock.write_text(gone)

    drift = kept.drift()
    written = kept.document(0, "lock", "write")
    after = kept.lock.read_text()
    dropped = kept.document(0, "lock", "write", "--drop", f"gone.{SERVER}")

    assert set(drift) == {(f"gone.{SERVER}", "env"), (f"gone.{SERVER}", "deployed"), (DRONE, "lock")}
    assert drift[f"gone.{SERVER}", "deployed"]["remedy"] == f"abra app deploy gone.{SERVER} {NEW}"
    changes = {row["app"]: row["change"] for row in written["apps"]}
    assert changes == {DRONE: "new", f"gone.{SERVER}": "kept", KEYCLOAK: "same", TRAEFIK: "same"}
    assert f"gone.{SERVER}" in after
    assert {"app": f"gone.{SERVER}", "change": "dropped"} in dropped["apps"]
    assert tomllib.loads(kept.lock.read_text()) == tomllib.loads(text)
    assert "no such app in the lock" in kept.said(2, "lock", "write", "--drop", "nobody")


def test_the_lock_of_another_server_is_left(kept: Place, tmp_path: Path) -> None:
    """None of its apps is here."""
    other = tmp_path / "other.toml"
    other.write_text(kept.lock.read_text().replace(SERVER, "far.example.org"))
    before = other.read_text()

    (error,) = kept.document(13, "lock", "write", "--file", str(other))["errors"]

    assert error["code"] == "lock-elsewhere"
    assert other.read_text() == before


def test_while_somebody_is_at_work_nothing_is_written(kept: Place) -> None:
    """What runs then may not be what stays: exit 11, as everywhere. Reading goes on."""
    text = kept.lock.read_text()
    with closing(kept.engine()) as engine:
        engine.ask("DELETE", f"/configs/{NAME}")  # a run before has left it, free
        assert lease.create(engine, to_labels(_claim()))
        found = kept.document(11, "lock", "write")
        kept.document(0, "lock", "diff")
        engine.ask("DELETE", f"/configs/{NAME}")

    assert "mia" in found["errors"][0]["message"]
    assert kept.lock.read_text() == text


def test_only_named_apps_are_recorded(kept: Place, tmp_path: Path) -> None:
    """By recipe or by name; `--file` wins over the configuration, before and after the subcommand's name."""
    fresh = tmp_path / "one.toml"
    written = kept.document(0, "lock", "write", "keycloak", "--file", str(fresh))
    drift = kept.document(20, "lock", "--file", str(fresh), "diff")

    assert [row["app"] for row in written["apps"]] == [KEYCLOAK]
    assert {row["app"] for row in drift["drift"]} == {TRAEFIK, DRONE}
    assert set(tomllib.loads(fresh.read_text())["apps"]) == {KEYCLOAK}


def test_it_is_all_or_nothing(kept: Place, tmp_path: Path) -> None:
    """One app that cannot be recorded is named with its reason; the others can be, by name."""
    fresh = tmp_path / "new.toml"
    kept.env(DRONE).write_text("TYPE='\n")

    (error,) = kept.document(13, "lock", "write", "--file", str(fresh))["errors"]
    there = fresh.exists()
    others = kept.document(0, "lock", "write", "traefik", "keycloak", "--file", str(fresh))

    assert error["code"] == "lock-app"
    assert f"{DRONE}: " in error["message"]
    assert not there
    assert len(others["apps"]) == 2


# -- drift ------------------------------------------------------------------------------------------------------------


def _variable(spec: Any) -> None:
    spec["TaskTemplate"]["ContainerSpec"]["Env"] = ["SENTINEL=of-a-value"]


def _replicas(spec: Any) -> None:
    spec["Mode"]["Replicated"]["Replicas"] = 2


def _image(spec: Any) -> None:
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = "traefik:v3.1.0"


@pytest.mark.parametrize(
    ("change", "what"), [(_variable, "service:app"), (_replicas, "service:app"), (_image, "image:app")]
)
def test_a_service_changed_without_abra_is_named(kept: Place, change: Any, what: str) -> None:
    """20, and the lock wins; put back, there is none."""
    service = "traefik_ci_example_org_app"
    before = kept.update(service, change)
    said, found = kept.said(20, "lock", "diff"), kept.drift()
    kept.update(service, lambda spec: spec.update(before))
    kept.settled()

    assert set(found) == {(TRAEFIK, what)}
    assert found[TRAEFIK, what]["wins"] == "lock"
    assert "the lock wins" in said
    assert "of-a-value" not in said
    assert kept.drift() == {}


def test_a_version_that_nobody_in_the_journal_brought_is_another_owners(kept: Place) -> None:
    """Told on both screens; after somebody's run of this tool it is not."""
    label = "coop-cloud.traefik_ci_example_org.version"
    service = "traefik_ci_example_org_app"
    kept.update(service, lambda spec: spec["Labels"].update({label: "1.1.0+3.1.0"}))
    row = kept.drift()[TRAEFIK, "version"]
    text, status = kept.said(20, "lock", "diff"), kept.said(0, "status")
    scripts = kept.document(0, "status")["lock"]
    kept.update(service, lambda spec: spec["Labels"].update({label: row["lock"]}))

    assert (row["running"], row["env"], row["other_owner"]) == ("1.1.0+3.1.0", row["lock"], True)
    assert row["wins"] == "lock"
    assert (scripts["drift"], scripts["problem"]) == ([row], None)
    assert "another owner" in " ".join(text.split())
    assert "another owner" in " ".join(status.split())
    kept.settled()
    assert kept.drift() == {}


def test_an_edited_env_is_named(kept: Place) -> None:
    """By the names that came and went; a pin that was edited is a version."""
    text = kept.env(KEYCLOAK).read_text()
    kept.env(KEYCLOAK).write_text(f"{text}SENTINEL=of-a-value\n")
    added = kept.drift()
    kept.env(KEYCLOAK).write_text(text.replace(kept.locked(KEYCLOAK)["version"], "11.0.0+26.2.0"))
    pinned = kept.drift()
    kept.env(KEYCLOAK).unlink()
    missing = kept.drift()

    assert set(added) == {(KEYCLOAK, "env")}
    assert "added: SENTINEL" in added[KEYCLOAK, "env"]["detail"]
    assert "of-a-value" not in json.dumps(added[KEYCLOAK, "env"])
    assert set(pinned) == {(KEYCLOAK, "version")}
    assert (pinned[KEYCLOAK, "version"]["wins"], pinned[KEYCLOAK, "version"]["other_owner"]) == (
        "running",
        False,
    )
    assert set(missing) == {(KEYCLOAK, "env")}


def test_a_tag_that_moved_is_named(kept: Place) -> None:
    """In abra's checkout; with the commit it names now."""
    version, commit = kept.locked(KEYCLOAK)["version"], kept.locked(KEYCLOAK)["commit"]
    was = kept.recipe("keycloak", "rev-parse", f"refs/tags/{version}")
    tree = kept.recipe("keycloak", "rev-parse", f"{commit}^{{tree}}")
    other = kept.recipe("keycloak", "commit-tree", "-m", "other", tree)
    kept.recipe("keycloak", "tag", "-f", "-a", "-m", "moved", version, other)
    moved = kept.drift()
    kept.recipe("keycloak", "update-ref", f"refs/tags/{version}", was)

    row = moved.pop((KEYCLOAK, "commit"))
    assert moved == {}
    assert (row["lock"], row["recipe"], row["wins"]) == (commit, other, "lock")
    assert kept.drift() == {}


def test_a_tag_that_moved_upstream_is_named(kept: Place) -> None:
    """The next deploy would fetch it; `--offline` asks nobody, and goes by the last answer."""
    version, commit = kept.locked(KEYCLOAK)["version"], kept.locked(KEYCLOAK)["commit"]
    origin = kept.recipe("keycloak", "remote", "get-url", "origin")
    was = kept.recipe("keycloak", "--git-dir", origin, "rev-parse", f"refs/tags/{version}")
    other = kept.recipe("keycloak", "--git-dir", origin, "rev-parse", "HEAD")
    kept.recipe("keycloak", "--git-dir", origin, "update-ref", f"refs/tags/{version}", other)
    unasked = kept.document(0, "lock", "diff", "--offline")
    moved = kept.drift()
    kept.recipe("keycloak", "--git-dir", origin, "update-ref", f"refs/tags/{version}", was)

    row = moved.pop((KEYCLOAK, "commit"))
    assert (unasked["drift"], moved) == ([], {})
    assert (row["lock"], row["recipe"]) == (commit, other)
    assert "upstream" in row["detail"]
    assert kept.drift() == {}


def test_a_recipe_that_is_not_here_is_unknown(kept: Place, tmp_path: Path) -> None:
    """13, and not "no drift"; with drift beside it 20."""
    recipes = kept.folder.host / "abra" / "recipes"
    shutil.move(recipes / "keycloak", tmp_path / "away")
    try:
        found = kept.document(13, "lock", "diff")
        kept.env(DRONE).write_text(kept.env(DRONE).read_text() + "A=b\n")
        both = kept.document(20, "lock", "diff")
    finally:
        shutil.move(tmp_path / "away", recipes / "keycloak")

    assert [(row["app"], row["what"]) for row in found["unknown"]] == [(KEYCLOAK, "commit")]
    assert len(both["unknown"]) == len(both["drift"]) == 1


def test_another_image_under_the_same_tag_is_information(kept: Place) -> None:
    """It is told, and the exit is 0."""
    text = kept.lock.read_text()
    image = kept.locked(TRAEFIK)["images"]["app"]["id"]
    kept.lock.write_text(text.replace(image, f"sha256:{'0' * 64}"))

    found = kept.document(0, "lock", "diff")

    assert [(row["app"], row["what"], row["running"]) for row in found["info"]] == [
        (TRAEFIK, "image:app", image)
    ]
    assert found["drift"] == []
    assert "information" not in kept.said(0, "status")


def test_hostile_words_are_shown_in_escapes(kept: Place, tmp_path: Path) -> None:
    """Of the Swarm, and of a lock: whoever may deploy, or push, writes them."""
    label = "coop-cloud.traefik_ci_example_org.version"
    service, version = "traefik_ci_example_org_app", kept.locked(TRAEFIK)["version"]
    evil = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\u202e"
    kept.update(service, lambda spec: spec["Labels"].update({label: evil}))
    said = kept.said(20, "lock", "diff")
    refused = kept.said(13, "lock", "write", "traefik")
    kept.update(service, lambda spec: spec["Labels"].update({label: version}))
    lock = tmp_path / "evil.toml"
    keys = r'"\u001b[2J\u001b]52;c;ZXZpbA==\u0007\u202e" = 1'
    lock.write_text(f'schema = 1\nserver = "s"\n{keys}\n')
    unread = kept.said(13, "lock", "diff", "--file", str(lock))

    assert r"\x1b]52;c;" in said
    assert "\x1b]52" not in said + refused + unread
    assert r"\u202e" in unread
    assert "line 3" in unread
    kept.settled()


def test_the_lock_works_where_nothing_else_may_be_written(kept: Place) -> None:
    """Reading commands touch nothing in the lock's folder."""
    before = (kept.lock.stat().st_mtime_ns, sorted(kept.lock.parent.iterdir()))
    kept.document(0, "lock", "diff")
    kept.document(0, "status")

    assert (kept.lock.stat().st_mtime_ns, sorted(kept.lock.parent.iterdir())) == before
