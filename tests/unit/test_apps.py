"""`servers/` as found on real machines: odd files, links, pins, and the repository it may be kept in."""

import base64
import json
import os
import stat
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.tools.apps import find_servers, read_apps, read_env_text, write_pin
from ccci_upgrade.tools.envgit import env_git_state
from ccci_upgrade.tools.registry import registry_auth
from tests.gitrepo import GitRepo

SERVER = "ci.example.org"
GOOD = "TYPE=traefik:1.0.0+2.0.0\nDOMAIN=traefik.ci.example.org\n"


@pytest.fixture
def servers(tmp_path: Path) -> Path:
    folder = tmp_path / "servers" / SERVER
    folder.mkdir(parents=True)
    (folder / "traefik.ci.example.org.env").write_text(GOOD)
    return folder


def _errors(tmp_path: Path) -> dict[str, str]:
    return {app.name: app.error for app in read_apps(tmp_path, SERVER)}


def test_servers_are_folders_or_links_to_them_sorted(tmp_path: Path, servers: Path) -> None:
    (tmp_path / "servers" / "default").symlink_to(servers)
    for name in (".git", "-rf", "bad\nname"):
        (tmp_path / "servers" / name).mkdir()
    (tmp_path / "servers" / "README.md").write_text("")
    (tmp_path / "servers" / "gone").symlink_to("/nonexistent")
    assert find_servers(tmp_path) == [SERVER, "default"]


def test_no_servers_folder_means_no_servers(tmp_path: Path) -> None:
    assert find_servers(tmp_path / "nothing") == []
    assert read_apps(tmp_path / "nothing", SERVER) == []


@pytest.mark.parametrize("name", ["..", "../etc", "", "-x", "a/b", "a\nb"])
def test_a_server_name_never_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotReadyError):
        read_apps(tmp_path, name)


def test_apps_are_parsed_and_sorted(tmp_path: Path, servers: Path) -> None:
    (servers / "drone.ci.example.org.env").symlink_to(servers / "traefik.ci.example.org.env")
    (servers / "notes.txt").write_text("")
    first, second = read_apps(tmp_path, SERVER)
    assert (first.name, second.name) == ("drone.ci.example.org", "traefik.ci.example.org")
    assert second.env is not None
    assert (second.env.recipe, second.env.pinned, second.text) == ("traefik", "1.0.0+2.0.0", GOOD)


def test_one_unusable_file_says_why_and_never_hides_the_others(tmp_path: Path, servers: Path) -> None:
    (servers / "folder.env").mkdir()
    os.mkfifo(servers / "pipe.env")
    (servers / "dangling.env").symlink_to(servers / "nothing")
    (servers / "loop.env").symlink_to("loop.env")
    (servers / "device.env").symlink_to("/dev/zero")
    (servers / "latin.env").write_bytes(b"TYPE=traefik\nNAME=caf\xe9\n")
    (servers / "nul.env").write_bytes(b"TYPE=tra\0efik\n")
    (servers / "broken.env").write_text("TYPE=traefik\nno assignment\n")
    with (servers / "huge.env").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    (servers / "-n.env").write_text(GOOD)
    (servers / "esc\x1b[2J.env").write_text(GOOD)
    started = time.monotonic()
    errors = _errors(tmp_path)
    assert time.monotonic() - started < 5.0
    expected = {
        "folder": "it is a folder",
        "pipe": "pipe",
        "dangling": "No such file",
        "loop": "symbolic links",
        "device": "device",
        "latin": "not UTF-8",
        "nul": "NUL",
        "broken": "line 2",
        "huge": "104857600 bytes",
        "-n": "cannot be an app's",
        "esc\\x1b[2J": "cannot be an app's",
    }
    assert errors.keys() == expected.keys() | {"traefik.ci.example.org"}
    assert errors["traefik.ci.example.org"] == ""
    for name, part in expected.items():
        assert part in errors[name], name


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # the child only reads, and ends
def test_a_file_without_read_permission_is_an_entry_with_its_error(tmp_path: Path, servers: Path) -> None:
    """Root reads everything: a child that gave root up stands for the ordinary user."""
    secret = servers / "secret.env"
    secret.write_text(GOOD)
    secret.chmod(0)
    folder = tmp_path
    while folder not in (Path("/"), Path("/tmp")):
        folder.chmod(0o755)
        folder = folder.parent
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        if os.getuid() == 0:
            os.setuid(65534)
        os.write(writer, json.dumps(_errors(tmp_path)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    errors = json.loads(os.read(reader, 65536))
    os.close(reader)
    os.close(writer)
    assert "Permission denied" in errors["secret"]
    assert errors["traefik.ci.example.org"] == ""


def test_a_pin_replaces_the_file_and_keeps_mode_owner_and_link(tmp_path: Path, servers: Path) -> None:
    real = tmp_path / "elsewhere.env"
    real.write_text(GOOD)
    real.chmod(0o640)
    if os.getuid() == 0:
        os.chown(real, 4321, 4322)
    before = real.stat()
    link = servers / "link.env"
    link.symlink_to(real)
    new = GOOD.replace("1.0.0+2.0.0", "1.1.0+2.1.0")
    write_pin(link, GOOD, new)
    after = real.stat()
    assert real.read_text() == new
    assert link.is_symlink()
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert [p.name for p in tmp_path.iterdir() if "ccci-upgrade" in p.name] == []


def test_a_pin_is_refused_when_the_file_has_moved_on(servers: Path) -> None:
    path = servers / "traefik.ci.example.org.env"
    path.write_text(GOOD + "# by a colleague\n")
    with pytest.raises(NotReadyError) as caught:
        write_pin(path, GOOD, "TYPE=traefik:9\n")
    assert caught.value.code == "env-changed"
    assert path.read_text() == GOOD + "# by a colleague\n"
    assert [p.name for p in servers.iterdir()] == [path.name]


def test_a_pin_into_a_missing_file_is_one_clear_error(servers: Path) -> None:
    with pytest.raises(NotReadyError, match="cannot be read"):
        write_pin(servers / "gone.env", GOOD, GOOD)


def test_text_keeps_every_byte(servers: Path) -> None:
    path = servers / "x.env"
    path.write_bytes(b"\xef\xbb\xbfTYPE=a\r\n# \xe2\x82\xac\r\n")
    assert read_env_text(path).encode() == path.read_bytes()


# -- the repository `servers/` may be kept in ----------------------------------------------------------


class Shared:
    """A servers repository with a colleague: `mine` and `theirs` are clones of one bare upstream."""

    def __init__(self, root: Path) -> None:
        seed = GitRepo(root / "seed")
        seed.commit({"a.env": GOOD, "b.env": GOOD})
        GitRepo.clone(seed.path, root / "upstream.git", "--bare")
        self.mine = GitRepo.clone(root / "upstream.git", root / "mine")
        self.theirs = GitRepo.clone(root / "upstream.git", root / "theirs")
        self.cache = root / "cache"
        self.env = self.mine.path / "a.env"

    def push(self, name: str, content: str) -> str:
        """A colleague changes a file and pushes it."""
        commit = self.theirs.commit({name: content}, "raise the log level")
        self.theirs.git("push", "-q")
        return commit


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(tmp_path)


def test_without_git_there_is_nothing_to_say(servers: Path, tmp_path: Path) -> None:
    assert env_git_state(servers / "traefik.ci.example.org.env", tmp_path / "c", offline=False) is None


def test_a_committed_file_that_upstream_did_not_touch_is_clean(shared: Shared) -> None:
    shared.push("b.env", GOOD + "X=1\n")
    state = env_git_state(shared.env, shared.cache, offline=False)
    assert state is not None
    assert (state.uncommitted, state.tracked, state.upstream, state.stale) == (False, True, None, "")


def test_uncommitted_lines_are_counted(shared: Shared) -> None:
    shared.env.write_text(GOOD + "X=1\nY=2\n")
    state = env_git_state(shared.env, shared.cache, offline=True)
    assert state is not None
    assert state.changes == (" M a.env",)
    assert state.stat == "+2 -0"


def test_an_untracked_file_is_uncommitted_and_an_ignored_one_is_not(shared: Shared) -> None:
    new = shared.mine.path / "deep" / "c.env"
    new.parent.mkdir()
    new.write_text(GOOD)
    state = env_git_state(new, shared.cache, offline=True)
    assert state is not None
    assert state.uncommitted
    assert not state.tracked
    shared.mine.write({".gitignore": "deep/\n"})
    ignored = env_git_state(new, shared.cache, offline=True)
    assert ignored is not None
    assert not ignored.uncommitted


def test_a_colleagues_push_is_named_and_their_repository_stays_as_it_was(shared: Shared) -> None:
    commit = shared.push("a.env", GOOD + "LOG_LEVEL=DEBUG\n")
    before = shared.mine.git("for-each-ref"), shared.mine.git("count-objects", "-v")
    link = shared.cache.parent / "link.env"
    link.symlink_to(shared.env)
    state = env_git_state(link, shared.cache, offline=False)
    assert state is not None
    assert state.upstream is not None
    assert state.upstream.commit == commit
    assert state.upstream.subject == "raise the log level"
    assert datetime.fromisoformat(state.upstream.date) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert state.upstream.count == 1
    assert (shared.mine.git("for-each-ref"), shared.mine.git("count-objects", "-v")) == before


def test_the_same_content_under_another_commit_is_not_newer(shared: Shared) -> None:
    shared.push("a.env", GOOD + "X=1\n")
    shared.mine.commit({"a.env": GOOD + "X=1\n"}, "the same by hand")
    state = env_git_state(shared.env, shared.cache, offline=False)
    assert state is not None
    assert state.upstream is None


def test_what_their_own_fetch_brought_counts_offline(shared: Shared) -> None:
    shared.push("a.env", GOOD + "X=1\n")
    shared.mine.git("fetch", "-q")
    state = env_git_state(shared.env, shared.cache, offline=True)
    assert state is not None
    assert state.upstream is not None
    assert state.stale == "offline"


def test_an_upstream_out_of_reach_is_stale_not_an_error(shared: Shared) -> None:
    shared.mine.git("remote", "set-url", "origin", "file:///nonexistent/servers.git")
    state = env_git_state(shared.env, shared.cache, offline=False)
    assert state is not None
    assert "could not be fetched" in state.stale
    assert state.upstream is None


@pytest.mark.parametrize("case", ["detached", "no-upstream", "unborn"])
def test_without_a_tracked_branch_there_is_no_upstream(shared: Shared, tmp_path: Path, case: str) -> None:
    env = shared.env
    if case == "detached":
        shared.mine.git("checkout", "-q", "--detach")
    elif case == "no-upstream":
        shared.mine.git("branch", "--unset-upstream")
    else:
        env = GitRepo(tmp_path / "fresh").path / "a.env"
        env.write_text(GOOD)
    state = env_git_state(env, shared.cache, offline=False)
    assert state is not None
    assert (state.upstream, state.stale) == (None, "")


# -- docker's credentials ------------------------------------------------------------------------------


def _auth(tmp_path: Path, config: object, repository: str) -> dict[str, str]:
    (tmp_path / "config.json").write_text(json.dumps(config))
    header = registry_auth(repository, tmp_path)
    found = json.loads(base64.urlsafe_b64decode(header)) if header else {}
    assert isinstance(found, dict)
    return found


def test_the_hub_and_other_registries_have_their_own_credentials(tmp_path: Path) -> None:
    def entry(words: str) -> dict[str, str]:
        return {"auth": base64.b64encode(words.encode()).decode()}

    config = {
        "auths": {
            "https://index.docker.io/v1/": entry("me:p:w?>"),
            "https://ci.example.org/v2/": entry("bot:secret"),
            "token.example.org:5000": {"identitytoken": "t"},
        }
    }
    hub = {"username": "me", "password": "p:w?>", "serveraddress": "https://index.docker.io/v1/"}
    assert _auth(tmp_path, config, "postgres") == hub
    assert _auth(tmp_path, config, "drone/drone") == hub
    assert _auth(tmp_path, config, "docker.io/library/postgres") == hub
    assert _auth(tmp_path, config, "ci.example.org/a/b")["username"] == "bot"
    assert _auth(tmp_path, config, "token.example.org:5000/x")["identitytoken"] == "t"
    assert _auth(tmp_path, config, "other.example.org/x") == {}


@pytest.mark.parametrize(
    "config",
    [[], 1, {"auths": []}, {"auths": {"x.example.org": 1}}, {"auths": {"x.example.org": {"auth": "%"}}}],
)
def test_a_strange_configuration_means_anonymous(tmp_path: Path, config: object) -> None:
    assert _auth(tmp_path, config, "x.example.org/y") == {}


def test_without_a_configuration_pulls_are_anonymous(tmp_path: Path) -> None:
    assert registry_auth("postgres", tmp_path / "nothing") == ""


def test_a_credential_helper_is_asked_by_the_server_on_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-vault"
    helper.write_text(
        '#!/bin/sh\n[ "$1" = get ] && server=$(cat) && [ "$server" = ci.example.org ] || exit 1\n'
        'echo \'{"ServerURL":"x","Username":"\'"$NAME"\'","Secret":"s3"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("NAME", "bot")
    config = {"credHelpers": {"ci.example.org": "vault"}, "credsStore": "vault"}
    assert _auth(tmp_path, config, "ci.example.org/x")["password"] == "s3"
    assert _auth(tmp_path, config, "postgres") == {}
    monkeypatch.setenv("NAME", "<token>")
    assert _auth(tmp_path, config, "ci.example.org/x")["identitytoken"] == "s3"
    assert _auth(tmp_path, {"credsStore": "../../bin/sh"}, "postgres") == {}
