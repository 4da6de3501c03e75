"""The script that writes registry logins: beside what is there, read by Docker, and no password anywhere else."""

import base64
import json
import os
import shutil
import signal
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccci_upgrade.tools.registry import registry_auth
from tests.nix import nixlab
from tests.nix.conftest import need
from tests.nix.unitlab import Unit, unit
from tests.swarm.harness import Engine, missing
from tests.swarm.registry import SERVER, USER, registry

PASSWORD = 'pa"ss $word\\'
HUB = "https://index.docker.io/v1/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """The unit with two logins, and root's Docker folder."""

    unit: Unit
    folder: Path

    @property
    def config(self) -> Path:
        """The file that is written."""
        return self.folder / ".docker" / "config.json"

    def run(self) -> "subprocess.CompletedProcess[str]":
        """Run it as NixOS would, but for another home."""
        argv = self.unit.argv(CCCI_DOCKER_CONFIG=str(self.config.parent))
        ran = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert PASSWORD not in ran.stdout + ran.stderr
        return ran

    def read(self) -> dict[str, object]:
        """What is written."""
        found = json.loads(self.config.read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found

    def put(self, **settings: object) -> None:
        """Let a person have a configuration."""
        self.config.parent.mkdir(exist_ok=True)
        self.config.write_text(json.dumps(settings), encoding="utf-8")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Give the unit with the Hub and one registry more."""
    need([*nixlab.missing(), *([] if shutil.which("jq") else ["jq"])])
    (tmp_path / "hub").write_text(f"{PASSWORD}\n")
    (tmp_path / "own").write_text("other")
    said = f"""{{ ccci.host.registryLogins = {{
      "docker.io" = {{ username = "ci user"; passwordFile = "{tmp_path}/hub"; }};
      "{SERVER}" = {{ username = "{USER}"; passwordFile = "{tmp_path}/own"; }};
    }}; }}"""
    return Lab(unit=unit("ccci-registry-login", tmp_path, said), folder=tmp_path)


def auth(user: str, password: str) -> dict[str, str]:
    """What Docker keeps of a login."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_logins_are_written_for_nobody_else(lab: Lab) -> None:
    """The line end of a file is no part of a password."""
    ran = lab.run()

    assert ran.returncode == 0, ran.stderr
    assert lab.read() == {"auths": {HUB: auth("ci user", PASSWORD), SERVER: auth(USER, "other")}}
    assert stat.S_IMODE(lab.config.stat().st_mode) == 0o600
    assert stat.S_IMODE(lab.config.parent.stat().st_mode) == 0o700
    assert ran.stdout == "ccci-registry-login: 2 logins written\n"


def test_this_program_reads_them(lab: Lab) -> None:
    """As it reads what `docker login` wrote."""
    lab.run()

    header = json.loads(base64.urlsafe_b64decode(registry_auth("postgres", lab.config.parent)))

    assert header == {"username": "ci user", "password": PASSWORD, "serveraddress": HUB}


def test_what_is_there_stays(lab: Lab) -> None:
    """Other logins, contexts, anything; the same login is replaced."""
    others = {"ci.example.org": auth("a", "b"), HUB: auth("old", "old") | {"email": "x"}}
    lab.put(auths=others, currentContext="ci", credHelpers={"gcr.io": "gcloud"})

    assert lab.run().returncode == 0
    assert lab.read() == {
        "auths": {
            "ci.example.org": auth("a", "b"),
            HUB: auth("ci user", PASSWORD),
            SERVER: auth(USER, "other"),
        },
        "currentContext": "ci",
        "credHelpers": {"gcr.io": "gcloud"},
    }


def test_again_it_writes_nothing_and_a_new_password_is_written(lab: Lab) -> None:
    """The file is not even touched; after a rotation it is."""
    lab.run()
    before = lab.config.stat()
    again = lab.run()
    same = lab.config.stat()
    (lab.folder / "own").write_text("newer")
    lab.run()

    assert again.stdout == "ccci-registry-login: nothing to change\n"
    assert (same.st_ino, same.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert lab.read()["auths"] == {HUB: auth("ci user", PASSWORD), SERVER: auth(USER, "newer")}


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_a_password_that_is_not_there_changes_nothing(lab: Lab, how: str) -> None:
    """Half of the logins would be worse than the old ones."""
    lab.put(auths={"ci.example.org": auth("a", "b")})
    before = lab.config.read_bytes()
    if how == "gone":
        (lab.folder / "own").unlink()
    else:
        (lab.folder / "own").write_bytes(b"")

    ran = lab.run()

    assert ran.returncode == 1
    assert f"the password for {SERVER} is not there, or empty: {lab.folder}/own" in ran.stderr
    assert lab.config.read_bytes() == before


@pytest.mark.parametrize("settings", [{"credsStore": "pass"}, {"credHelpers": {SERVER: "pass"}}])
def test_a_credential_helper_would_win(lab: Lab, settings: dict[str, object]) -> None:
    """Docker would never look at what is written; that is said."""
    lab.put(**settings)

    ran = lab.run()

    assert ran.returncode == 1
    assert "names a credential helper" in ran.stderr
    assert lab.read() == settings


@pytest.mark.parametrize("text", ["[]", "{", "nothing"])
def test_a_file_that_is_no_configuration_is_left(lab: Lab, text: str) -> None:
    """Somebody may still want what is in it."""
    lab.config.parent.mkdir()
    lab.config.write_text(text)

    ran = lab.run()

    assert ran.returncode == 1
    assert "is no JSON object; mend it, or move it away" in ran.stderr
    assert lab.config.read_text() == text


def test_a_link_belongs_to_somebody_else(lab: Lab) -> None:
    """A secret of sops-nix may be put at this path; then two would write it."""
    lab.config.parent.mkdir()
    (lab.folder / "secret").write_text("{}")
    lab.config.symlink_to(lab.folder / "secret")

    ran = lab.run()

    assert ran.returncode == 1
    assert "is a symbolic link" in ran.stderr
    assert lab.config.is_symlink()
    assert (lab.folder / "secret").read_text() == "{}"


def test_killed_it_leaves_the_old_file_or_the_new(lab: Lab) -> None:
    """Never half of one."""
    old = {"auths": {"ci.example.org": auth("a", "b")}}
    new = {"auths": old["auths"] | {HUB: auth("ci user", PASSWORD), SERVER: auth(USER, "other")}}
    for delay in (0.005, 0.01, 0.02, 0.03, 0.04, 0.05):
        lab.put(**old)
        argv = lab.unit.argv(CCCI_DOCKER_CONFIG=str(lab.config.parent))
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, start_new_session=True) as child:
            try:
                child.wait(timeout=delay)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)

        assert lab.read() in (old, new)

    assert lab.run().returncode == 0
    assert lab.read() == new


@pytest.mark.swarm
def test_docker_pulls_with_it(lab: Lab, request: pytest.FixtureRequest) -> None:
    """A registry that wants a password gives the image, with the client's own configuration and nothing else."""
    need(missing())
    engine: Engine = request.getfixturevalue("engine")
    image = "traefik:v3.8.1"
    lab.run()
    with registry(engine, lab.folder, image, password="other"):
        without = engine.run(
            ["docker", "-H", engine.url, "--config", str(lab.folder), "pull", f"{SERVER}/{image}"]
        )
        folder = str(lab.config.parent)
        with_it = engine.run(["docker", "-H", engine.url, "--config", folder, "pull", f"{SERVER}/{image}"])

    assert without.code != 0
    assert with_it.code == 0, with_it.err
