"""What a practice host is made of: recipes as data, repositories, the folder. No engine is needed."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from ccci_upgrade.config import read_config
from ccci_upgrade.errors import NotReadyError, UsageError
from ccci_upgrade.model.envfile import parse_env
from ccci_upgrade.model.probe_config import probe_from_config
from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.practice.world import repositories, writing
from ccci_upgrade.practice.world.place import MARK, OURS, Broken, Mark, Place, find_place, service
from ccci_upgrade.practice.world.recipes import PRACTICE, SOURCES, images, practice_env
from ccci_upgrade.practice.world.source import Source, Step, changed, with_env

BY_NAME = {source.name: source for source in PRACTICE}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a practice host's folder with everything in it but a running engine."""
    made = Place(root=tmp_path / "host")
    made.root.mkdir()
    mark = writing.new_mark(made)
    made.write_mark(mark)
    writing.fill(made, mark)
    return made


# -- recipes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [*SOURCES, *PRACTICE], ids=lambda source: source.name)
def test_versions_ascend_and_each_says_its_own_name(source: Source) -> None:
    """The label in the compose file is the tag's, and every version names its images."""
    versions = [RecipeVersion.parse(version) for version, _ in source.releases()]

    assert None not in versions
    assert versions == sorted(versions, key=lambda version: (version is not None, version))
    for version, files in source.releases():
        assert f".version={version}" in files["compose.yml"]


def test_a_practice_host_has_what_can_be_practised() -> None:
    """A clean step, a major with work by hand, a silent rollback, a late break, a hole in the notes."""
    files = {name: dict(source.releases()) for name, source in BY_NAME.items()}
    noted = {
        (name, version): f"release/{version}" in written
        for name in files
        for version, written in files[name].items()
    }
    bad = files["traefik"]["1.2.0+3.2.0"]["compose.yml"]
    major = files["keycloak"]["11.0.0+26.2.0"]["compose.yml"]

    assert noted[("drone", "1.8.1+2.25.1")]
    assert noted[("drone", "1.9.0+2.26.0")]
    assert "EXIT=3" in bad
    assert "order: start-first" in bad
    assert "failure_action: rollback" in bad
    assert "UNHEALTHY_AFTER=60" in files["keycloak"]["10.1.1+26.1.1"]["compose.yml"]
    assert not noted[("keycloak", "10.1.1+26.1.1")]
    assert "mariadb:10.11" in major
    assert "UNHEALTHY_AFTER" not in major


def test_nothing_but_traefik_has_a_port_on_a_practice_host() -> None:
    """Two hosts on one machine must not meet: the one port there is stands in the `.env`."""
    for source in PRACTICE:
        published = [
            line
            for _, files in source.releases()
            for line in files["compose.yml"].splitlines()
            if "published:" in line
        ]
        assert set(published) == ({"        published: ${WEB_PORT}"} if source.name == "traefik" else set())
    assert "WEB_PORT=8123\n" in practice_env(8123)["traefik"]


def test_a_change_that_finds_nothing_is_told() -> None:
    """A recipe that was reworded would quietly lose its faults."""
    compose = BY_NAME["drone"].files["compose.yml"]

    with pytest.raises(ValueError, match="not in the compose file"):
        changed(compose, Step(version="2.0.0+3.0.0", swap=(("nonsense", "x"),)))
    with pytest.raises(ValueError, match="image of web"):
        changed(compose, Step(version="2.0.0+3.0.0", images={"web": "a:1"}))
    with pytest.raises(ValueError, match="version label"):
        changed("services: {}\n", Step(version="2.0.0+3.0.0"))
    with pytest.raises(ValueError, match="environment of web"):
        with_env(compose, "web", {"A": "1"})


# -- repositories -----------------------------------------------------------------------------------------


def test_repositories_are_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits and tags, whoever makes them, whatever their own git is set to."""
    heads = []
    for number in range(2):
        if number:
            home = tmp_path / "home"
            home.mkdir()
            (home / ".gitconfig").write_text(
                "[user]\n\tname = Me\n[core]\n\tautocrlf = true\n[tag]\n\tgpgSign = true\n"
            )
            monkeypatch.setenv("HOME", str(home))
            monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
            monkeypatch.setenv("TZ", "Asia/Tokyo")
        repositories.build_all(PRACTICE, tmp_path / str(number))
        refs = "for-each-ref", "--format=%(objectname) %(objecttype) %(refname)"
        heads.append([repositories.git(tmp_path / str(number) / name, *refs) for name in BY_NAME])

    assert heads[0] == heads[1]
    assert all(" tag refs/tags/" in listed for listed in heads[0])
    assert "commit refs/tags/" not in "".join(heads[0])


def test_a_checkout_is_clean_and_knows_its_origin(place: Place) -> None:
    """As abra leaves it: on the main branch, nothing changed, all tags, newer ones could come."""
    for name, source in BY_NAME.items():
        checkout = place.checkout(name)

        assert repositories.git(checkout, "status", "--porcelain", "--branch") == "## main...origin/main"
        assert repositories.git(checkout, "remote", "get-url", "origin") == str(place.origin(name))
        tags = repositories.git(checkout, "tag", "--list").split()
        assert set(tags) == {version for version, _ in source.releases()}


def test_a_version_is_published_and_withdrawn(place: Place) -> None:
    """In the checkout and its origin; afterwards everything is as before, wherever abra left the work tree."""
    checkout, origin = place.checkout("drone"), place.origin("drone")
    before = [repositories.git(path, "show-ref") for path in (checkout, origin)]

    repositories.publish(checkout, "9.9.9+9.9.9", {"release/9.9.9+9.9.9": "new\n"}, annotated=False)
    kind = repositories.git(origin, "cat-file", "-t", "9.9.9+9.9.9")
    repositories.git(checkout, "checkout", "--quiet", "refs/tags/1.8.0+2.25.0")
    repositories.withdraw(checkout, "9.9.9+9.9.9")

    assert kind == "commit"
    assert [repositories.git(path, "show-ref") for path in (checkout, origin)] == before


def test_without_git_one_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name and what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(NotReadyError, match="git cannot be started") as caught:
        repositories.build(PRACTICE[0], tmp_path / "x")

    assert caught.value.hint == "install git"
    assert caught.value.code == "no-git"


# -- the folder -------------------------------------------------------------------------------------------


def test_the_configuration_is_one_of_this_program(place: Place) -> None:
    """Read back: one server, its socket, the stand-in, a probe through traefik's port for each app."""
    mark = place.mark()
    config = read_config(place.config)

    assert mark is not None
    assert config.abra == str(place.abra)
    assert config.abra_dir == place.abra_dir
    assert config.docker_hosts == {"ci.example.org": f"unix://{mark.socket}"}
    assert set(config.apps) == {f"{name}.ci.example.org" for name in BY_NAME}
    for name, settings in config.apps.items():
        (raw,) = settings.probes or ()
        assert f":{mark.port}/" in str(raw["url"])
        probe_from_config(raw, name, "here")


def test_every_app_pins_a_version_there_is(place: Place) -> None:
    """And its images are here already; those of later versions have to be pulled."""
    registry = json.loads(place.registry.read_text())["images"]
    for name, source in BY_NAME.items():
        pinned = parse_env(place.env(name).read_text()).pinned
        assert pinned in {version for version, _ in source.releases()}
    local = {ref for ref, image in registry.items() if image["local"]}

    assert set(registry) == set(images())
    assert {"traefik:v3.0.0", "drone/drone:2.25.0", "mariadb:10.6"} <= local
    assert not {"traefik:v3.0.1", "drone/drone:2.25.1", "mariadb:10.11"} & local


def test_all_that_is_made_is_named_as_ours(place: Place) -> None:
    """What `stop` does not know would stay behind for ever."""
    assert {path.name for path in place.root.iterdir()} <= set(OURS)


@pytest.mark.parametrize("name", ["with space", "quo'te\"s", "ünïcode 🎉", "$HOME `id`", "x" * 90])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """The configuration can be read, the stand-in starts, and the socket's path is short enough."""
    place = Place(root=tmp_path / name)
    place.root.mkdir()
    mark = writing.new_mark(place)
    try:
        writing.fill(place, mark)
        ran = subprocess.run(
            [place.abra, "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
            env=_without_path(),
        )

        assert read_config(place.config).docker_hosts["ci.example.org"] == f"unix://{mark.socket}"
        assert len(os.fsencode(mark.socket)) <= writing.LONGEST_SOCKET
        assert Path(mark.socket).parent.samefile(place.root)
        assert "abra version" in ran.stdout
    finally:
        writing.sweep(mark.private)
    assert not mark.private or not Path(mark.private).exists()
    assert place.config.exists()


def _without_path() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def test_the_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Faults and what they kept included."""
    place = Place(root=tmp_path)
    mark = Mark(port=8123, socket="/s", private="/p", pid=7, faults=(Broken(name="a", kept={"b": "c"}),))

    place.write_mark(mark)

    assert place.mark() == mark
    assert mark.without(mark.faults[0]).faults == ()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"ccci_practice": 2}', '{"ccci_practice": 1, "port": "1"}', "[" * 100_000, "\x00"],
)
def test_a_mark_that_is_none_is_one_error(tmp_path: Path, text: str) -> None:
    """Whoever wrote it: which file, and what to do."""
    (tmp_path / MARK).write_text(text)

    with pytest.raises(UsageError, match=r"\.ccci-practice\.json.* cannot be read") as caught:
        Place(root=tmp_path).mark()

    assert caught.value.hint


def test_where_a_host_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder named, else this one where it is a host, else `./ccci-practice`."""
    monkeypatch.chdir(tmp_path)
    assert find_place(None).root == tmp_path / "ccci-practice"
    assert find_place(Path("x/../y")).root == tmp_path / "y"

    (tmp_path / MARK).write_text("{}")
    assert find_place(None).root == tmp_path
    with pytest.raises(UsageError, match="name that no configuration can hold"):
        find_place(Path("a\nb"))
    assert service("drone") == "drone_ci_example_org_app"
