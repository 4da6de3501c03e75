"""Recipes from a checkout and from upstream: versions, files, notes; bounded, and never writing into abra's."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.model.recipe import Recipe
from ccci_upgrade.tools import mirror
from ccci_upgrade.tools.recipes import read_notes, read_recipe, read_trees
from tests.gitrepo import CountingGit, GitRepo

V1, V2, V3 = "1.0.0+25.0.6", "1.1.0+25.0.7", "2.0.0+26.0.8"
COMPOSE = "services:\n  app:\n    image: keycloak\n"


class Setup:
    """An upstream, abra's checkout of it, and a cache."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self.upstream = GitRepo(root / "upstream")
        self.upstream.release(
            V1, {"compose.yml": COMPOSE, f"release/{V1}": "first\n", ".env.sample": "A=1\n"}
        )
        self.upstream.release(V2, {"compose.yml": COMPOSE + "#2\n", "abra.sh": "export X_VERSION=v1\n"})
        self.checkout = GitRepo.clone(self.upstream.path, root / "abra" / "recipes" / "keycloak")

    def read(self, *, offline: bool = False, seconds: float = 20.0) -> Recipe:
        """Read the recipe as the tool does."""
        return read_recipe("keycloak", self.root / "abra", self.cache, offline=offline, seconds=seconds)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def _names(recipe: Recipe) -> list[str]:
    return [release.version.text for release in recipe.releases]


def _snapshot(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


# -- versions ------------------------------------------------------------------------------------------


def test_upstreams_new_version_is_known_and_readable_without_touching_the_checkout(setup: Setup) -> None:
    commit = setup.upstream.release(V3, {"compose.yml": COMPOSE + "#3\n", f"release/{V3}": "third\n"})
    before = _snapshot(setup.checkout.path)
    recipe = setup.read()
    assert recipe.stale == ""
    assert _names(recipe) == [V1, V2, V3]
    assert recipe.newest is not None
    assert (recipe.newest.commit, recipe.newest.annotated) == (commit, True)
    assert read_trees(recipe, [V3])[V3].files["compose.yml"] == (COMPOSE + "#3\n").encode()
    assert read_notes(recipe, [V3])[V3].text == "third\n"
    assert recipe.dirty == ()
    assert _snapshot(setup.checkout.path) == before


def test_offline_asks_nobody_and_keeps_what_was_known(setup: Setup) -> None:
    assert setup.read(offline=True).stale == "offline; never refreshed"
    assert not setup.cache.exists()
    setup.upstream.release(V3)
    setup.read()
    setup.upstream.release("3.0.0+27.0.0")
    recipe = setup.read(offline=True)
    assert recipe.stale.startswith("offline; last refreshed 20")
    assert _names(recipe) == [V1, V2, V3]


def test_versions_ascend_and_other_tags_are_listed_as_such(setup: Setup) -> None:
    for tag in ("10.0.0+1", "9.0.0+1", "v1.0.0", "latest"):
        setup.upstream.tag(tag)
    setup.checkout.git("tag", "-a", "-m", "x", "5.0.0+1", "HEAD:compose.yml")
    recipe = setup.read()
    assert _names(recipe) == [V1, V2, "9.0.0+1", "10.0.0+1"]
    assert recipe.others == ("5.0.0+1", "latest", "v1.0.0")
    middle = recipe.release(V2)
    assert middle is not None
    assert [r.version.text for r in recipe.newer_than(middle.version)] == ["9.0.0+1", "10.0.0+1"]
    assert recipe.release("1.1.0") is None


def test_a_lightweight_tag_is_marked(setup: Setup) -> None:
    setup.upstream.commit({"x": "y"})
    setup.upstream.tag(V3, annotated=False)
    newest = setup.read().newest
    assert newest is not None
    assert (newest.annotated, newest.tag_object) == (False, "")


def test_a_moved_tag_names_both_commits_and_the_checkouts_counts(setup: Setup) -> None:
    old = setup.checkout.git("rev-parse", f"{V2}^{{commit}}")
    new = setup.upstream.commit({"compose.yml": "moved\n"})
    setup.upstream.tag(V2, force=True)
    recipe = setup.read()
    assert recipe.moved == ((V2, old, new),)
    found = recipe.release(V2)
    assert found is not None
    assert found.commit == old


def test_a_tag_deleted_upstream_leaves_the_mirror_but_not_the_checkout(setup: Setup) -> None:
    setup.upstream.release(V3)
    setup.read()
    setup.upstream.git("tag", "-d", V3)
    setup.upstream.git("tag", "-d", V2)
    assert _names(setup.read()) == [V1, V2]


def test_a_dirty_checkout_is_reported(setup: Setup) -> None:
    setup.checkout.write({"compose.local.yml": ""})
    assert setup.read(offline=True).dirty == ("?? compose.local.yml",)


def test_300_versions_are_read_with_a_few_commands(
    setup: Setup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [f"3.{n}.0+26.{n}.0" for n in range(300)]
    setup.upstream.import_releases(versions)
    recipe = setup.read()
    counting = CountingGit(tmp_path / "bin")
    monkeypatch.setenv("PATH", counting.path)
    notes, trees = read_notes(recipe, versions), read_trees(recipe, versions)
    assert counting.starts() <= 8
    assert len(recipe.releases) == 302
    assert all(notes[v].text == f"note of {v}\n" for v in versions)
    assert all(trees[v].files["compose.yml"].startswith(f"# {v} ".encode()) for v in versions)


# -- names and places ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["..", "../x", "", "-x", "a/b", "a\nb", "."])
def test_a_recipe_name_never_leads_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotReadyError):
        read_recipe(name, tmp_path, tmp_path / "c", offline=True)


def test_a_missing_checkout_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(NotReadyError) as caught:
        read_recipe("keycloak", tmp_path, tmp_path / "c", offline=True)
    assert caught.value.hint == "fetch it with: abra recipe fetch keycloak"


def test_a_folder_that_is_no_repository_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "recipes" / "keycloak").mkdir(parents=True)
    with pytest.raises(NotReadyError, match="is not a git repository"):
        read_recipe("keycloak", tmp_path, tmp_path / "c", offline=True)


# -- refreshing ----------------------------------------------------------------------------------------


def test_a_checkout_without_origin_is_stale(setup: Setup) -> None:
    setup.checkout.git("remote", "remove", "origin")
    recipe = setup.read()
    assert "no remote `origin`" in recipe.stale
    assert _names(recipe) == [V1, V2]


@pytest.mark.parametrize(
    "url", ["ext::sh -c touch% MARK", "--upload-pack=touch MARK", "git://127.0.0.1/x", "a\nb"]
)
def test_only_http_ssh_and_paths_are_fetched(setup: Setup, url: str) -> None:
    mark = setup.root / "mark"
    setup.checkout.git("config", "remote.origin.url", url.replace("MARK", str(mark)))
    recipe = setup.read()
    assert "neither http(s), ssh nor a path" in recipe.stale
    assert _names(recipe) == [V1, V2]
    assert not mark.exists()


def test_an_upstream_out_of_reach_is_stale_and_what_was_known_stays(setup: Setup) -> None:
    setup.upstream.release(V3)
    setup.read()
    setup.upstream.path.rename(setup.root / "gone")
    recipe = setup.read()
    assert "could not be fetched: fatal:" in recipe.stale
    assert _names(recipe) == [V1, V2, V3]


def test_a_file_url_to_nowhere_is_stale(setup: Setup) -> None:
    setup.checkout.git("remote", "set-url", "origin", "file:///nonexistent/keycloak.git")
    assert "could not be fetched" in setup.read().stale


def test_a_server_that_never_answers_ends_by_the_deadline(setup: Setup) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://me:s3cret@127.0.0.1:{server.getsockname()[1]}/keycloak.git"
        setup.checkout.git("remote", "set-url", "origin", url)
        started = time.monotonic()
        recipe = setup.read(seconds=1.0)
        took = time.monotonic() - started
    assert 0.9 < took < 10.0
    assert "did not answer within 1 s" in recipe.stale
    assert "s3cret" not in recipe.stale
    assert not any(b"s3cret" in data for data in _snapshot(setup.cache).values())


def test_an_upstream_without_commits_is_fetched(setup: Setup) -> None:
    empty = GitRepo(setup.root / "empty")
    setup.checkout.git("remote", "set-url", "origin", str(empty.path))
    assert setup.read().stale == ""


def test_a_relative_origin_is_seen_from_the_checkout(setup: Setup) -> None:
    setup.checkout.git("remote", "set-url", "origin", "../../../upstream")
    setup.upstream.release(V3)
    assert _names(setup.read()) == [V1, V2, V3]


def test_no_hook_runs_while_fetching(setup: Setup) -> None:
    mark = setup.root / "mark"
    template = setup.root / "template" / "hooks"
    template.mkdir(parents=True)
    for folder in (setup.upstream.path / ".git" / "hooks", setup.checkout.path / ".git" / "hooks", template):
        folder.mkdir(exist_ok=True)
        for name in ("reference-transaction", "post-checkout", "post-merge", "pre-auto-gc", "post-update"):
            hook = folder / name
            hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
            hook.chmod(0o755)
    setup.upstream.git("config", "core.hooksPath", "/dev/null")
    setup.upstream.release(V3)
    setup.upstream.git("config", "--unset", "core.hooksPath")
    assert _names(setup.read()) == [V1, V2, V3]
    assert not mark.exists()
    cached = setup.read(offline=True).cache
    assert cached is not None
    assert not (cached / "hooks").exists()


def test_a_broken_mirror_is_made_anew(setup: Setup) -> None:
    cached = setup.read().cache
    assert cached is not None
    (cached / "HEAD").write_text("garbage")
    (cached / "packed-refs").write_text("garbage")
    setup.upstream.release(V3)
    recipe = setup.read()
    assert recipe.stale == ""
    assert _names(recipe) == [V1, V2, V3]


def test_what_a_killed_fetch_left_behind_is_swept_away(setup: Setup) -> None:
    cached = setup.read().cache
    assert cached is not None
    for left in ("packed-refs.lock", "HEAD.lock", f"refs/tags/{V3}.lock", "objects/pack/tmp_pack_abc"):
        (cached / left).parent.mkdir(parents=True, exist_ok=True)
        (cached / left).write_text("")
    setup.upstream.release(V3)
    assert setup.read().stale == ""
    assert not list(cached.rglob("*.lock"))
    assert not list(cached.rglob("tmp_pack*"))


def test_a_kill_in_the_middle_leaves_a_readable_mirror_and_the_next_refresh_works(setup: Setup) -> None:
    setup.upstream.import_releases([f"3.{n}.0+1" for n in range(200)])
    code = (
        "import sys; from pathlib import Path; from ccci_upgrade.tools.recipes import read_recipe\n"
        "a, c = map(Path, sys.argv[1:]); print('go', flush=True)\n"
        "read_recipe('keycloak', a, c, offline=False)"
    )
    for delay in (0.01, 0.05, 0.1):
        argv = [sys.executable, "-c", code, str(setup.root / "abra"), str(setup.cache)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(delay)
            child.send_signal(signal.SIGKILL)
        assert len(setup.read(offline=True).releases) >= 2
    recipe = setup.read()
    assert recipe.stale == ""
    assert len(recipe.releases) == 202


def test_a_held_lock_is_waited_for_until_the_deadline_only(setup: Setup) -> None:
    where = mirror.place(setup.cache, "keycloak", str(setup.upstream.path))
    where.parent.mkdir(parents=True)
    with subprocess.Popen(
        ["flock", str(where.with_suffix(".lock")), "sh", "-c", "echo held; sleep 3"],  # noqa: S607 - from PATH
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        started = time.monotonic()
        assert "another refresh" in setup.read(seconds=0.5).stale
        assert time.monotonic() - started < 2.5
        assert setup.read().stale == ""


def test_several_refreshes_at_once_all_succeed(setup: Setup) -> None:
    setup.upstream.release(V3)
    found: list[Recipe] = []
    threads = [threading.Thread(target=lambda: found.append(setup.read())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [(r.stale, len(r.releases)) for r in found] == [("", 3)] * 4


def test_a_cache_that_cannot_be_written_is_stale(setup: Setup) -> None:
    setup.cache.write_text("a file")
    recipe = setup.read()
    assert str(setup.cache) in recipe.stale
    assert _names(recipe) == [V1, V2]


# -- files ---------------------------------------------------------------------------------------------


def test_a_tree_has_compose_files_templates_and_the_files_of_configs(setup: Setup) -> None:
    compose = (
        "configs:\n  a:\n    file: entrypoint.sh.tmpl\n  b:\n    file: ./conf/realm.json\n"
        "  c: {file: 'plain.ini'}\n  d:\n    file: gone.txt\n  e:\n    file: ../../etc/passwd\n"
        "  f:\n    file: ${X}.conf\nservices:\n  app:\n    env_file: secret.env\n"
    )
    files = {
        "compose.yml": compose,
        "compose.mariadb.yaml": "services: {}\n",
        "abra.sh": "x",
        ".env.sample": "y",
        "entrypoint.sh.tmpl": "t",
        "conf/realm.json": "{}",
        "plain.ini": "i",
        "README.md": "no",
        "secret.env": "no",
    }
    setup.upstream.release(V3, files)
    recipe = setup.read()
    tree = read_trees(recipe, [V3, V1, "9.9.9+9"])
    assert tree.keys() == {V3, V1}
    assert tree[V3].files.keys() == files.keys() - {"README.md", "secret.env"}
    assert tree[V3].files["conf/realm.json"] == b"{}"
    assert tree[V3].refused == {
        "gone.txt": "there is no such file",
        "../../etc/passwd": "its path leads outside the recipe",
    }
    assert tree[V1].files.keys() == {"compose.yml", ".env.sample"}


def test_a_linked_compose_file_and_a_huge_one_are_refused_by_name(setup: Setup) -> None:
    (setup.upstream.path / "compose.link.yml").symlink_to("/etc/passwd")
    setup.upstream.release(V3, {"compose.huge.yml": b"#" * 2_000_000})
    tree = read_trees(setup.read(), [V3])[V3]
    assert tree.refused["compose.link.yml"] == "it is a symbolic link"
    assert "2000000 bytes" in tree.refused["compose.huge.yml"]
    assert "compose.yml" in tree.files


# -- notes ---------------------------------------------------------------------------------------------


def test_a_note_written_after_its_release_is_found_and_a_missing_one_is_none(setup: Setup) -> None:
    setup.upstream.release(V3, {f"release/{V2}": "late\n"})
    setup.upstream.commit({f"release/{V3}": "on the main line\n", "release/9.9.9+9": "not yet\n"})
    notes = read_notes(setup.read(), [V1, V2, V3, "8.0.0+1"])
    assert {v: n.text for v, n in notes.items()} == {
        V1: "first\n",
        V2: "late\n",
        V3: "on the main line\n",
        "8.0.0+1": None,
    }
    assert notes[V2].sha256 == hashlib.sha256(b"late\n").hexdigest()
    assert notes["8.0.0+1"].problem == ""


def test_upstreams_correction_of_a_note_wins_over_the_releases_own(setup: Setup) -> None:
    setup.upstream.release(V3, {f"release/{V1}": "corrected\n"})
    assert read_notes(setup.read(), [V1])[V1].text == "corrected\n"


def test_a_note_that_only_its_own_version_has_is_found(setup: Setup) -> None:
    (setup.upstream.path / "release" / V1).unlink()
    setup.upstream.release(V3, {})
    assert read_notes(setup.read(), [V1])[V1].text == "first\n"


def test_a_linked_note_is_refused_by_name_and_nothing_else_is_shown_for_it(setup: Setup) -> None:
    note = setup.upstream.path / "release" / V1
    note.unlink()
    note.symlink_to("/etc/passwd")
    setup.upstream.release(V3, {})
    found = read_notes(setup.read(), [V1])[V1]
    assert found.text is None
    assert found.problem == "it is a symbolic link"


def test_a_huge_note_is_cut_and_says_so(setup: Setup) -> None:
    setup.upstream.release(V3, {f"release/{V3}": b"a line\n" * 1_500_000})
    found = read_notes(setup.read(), [V3])[V3]
    assert found.text is not None
    assert len(found.text) <= 64 * 1024
    assert "too large: 10" in found.problem
    assert found.sha256 == hashlib.sha256(b"a line\n" * 1_500_000).hexdigest()


def test_a_note_too_large_to_read_at_all_is_refused_by_name(setup: Setup) -> None:
    setup.upstream.release(V3, {f"release/{V3}": bytes(20_000_000)})
    found = read_notes(setup.read(), [V3])[V3]
    assert found.text is None
    assert "20000000 bytes" in found.problem


def test_bytes_that_are_no_utf8_are_shown_as_such(setup: Setup) -> None:
    setup.upstream.release(V3, {f"release/{V3}": b"caf\xe9 \x1b[2J\n"})
    assert read_notes(setup.read(), [V3])[V3].text == "caf\\xe9 \x1b[2J\n"


def test_no_versions_ask_nothing(setup: Setup) -> None:
    recipe = setup.read(offline=True)
    assert (read_notes(recipe, []), read_trees(recipe, [])) == ({}, {})


def test_another_users_recipe_is_read(setup: Setup) -> None:
    if os.getuid() == 0:
        for path in (setup.checkout.path, *setup.checkout.path.rglob("*")):
            os.chown(path, 4321, 4321, follow_symlinks=False)
    assert _names(setup.read()) == [V1, V2]
