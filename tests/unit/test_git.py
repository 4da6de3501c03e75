"""One repository, read: tags, commits, dirt, files of many versions; and nothing of it run or written."""

import os
import shutil
from pathlib import Path

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.tools.git import Repository, without_password
from tests.gitrepo import CountingGit, GitRepo


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo(tmp_path / "recipe")
    made.release("1.0.0+1.2.3", {"compose.yml": "one\n", "release/1.0.0+1.2.3": "first\n"})
    return made


def _snapshot(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_tags_say_whether_they_are_annotated_and_what_commit_they_name(repo: GitRepo) -> None:
    second = repo.commit({"compose.yml": "two\n"})
    repo.tag("1.1.0+1.2.4", annotated=False)
    found = {tag.name: tag for tag in Repository(repo.path).tags()}
    assert found["1.1.0+1.2.4"].commit == second
    assert not found["1.1.0+1.2.4"].annotated
    assert found["1.1.0+1.2.4"].tag_object == ""
    assert found["1.0.0+1.2.3"].annotated
    assert found["1.0.0+1.2.3"].commit == repo.git("rev-parse", "1.0.0+1.2.3^{commit}")
    assert found["1.0.0+1.2.3"].tag_object == repo.git("rev-parse", "1.0.0+1.2.3")


def test_a_tag_of_a_tag_names_the_commit_and_a_tag_of_a_file_names_none(repo: GitRepo) -> None:
    repo.git("tag", "-a", "-m", "again", "nested", "1.0.0+1.2.3")
    repo.git("tag", "-a", "-m", "file", "file", "HEAD:compose.yml")
    found = {tag.name: tag.commit for tag in Repository(repo.path).tags()}
    assert found["nested"] == repo.git("rev-parse", "HEAD")
    assert found["file"] == ""


def test_packed_and_bare_repositories_answer_alike(repo: GitRepo, tmp_path: Path) -> None:
    bare = GitRepo.clone(repo.path, tmp_path / "bare.git", "--bare")
    repo.git("pack-refs", "--all")
    assert Repository(bare.path).tags() == Repository(repo.path).tags()
    assert Repository(bare.path).head() == repo.git("rev-parse", "HEAD")
    assert Repository(bare.path).dirty() == ()


def test_sha256_repositories_are_read(tmp_path: Path) -> None:
    made = GitRepo(tmp_path / "r", options=("--object-format=sha256",))
    commit = made.release("1.0.0+1", {"release/a": "x"})
    assert Repository(made.path).files([(commit, "release/a")])[commit, "release/a"].data == b"x"


def test_an_unborn_repository_has_no_head_no_branch_no_tags(tmp_path: Path) -> None:
    empty = Repository(GitRepo(tmp_path / "empty").path)
    assert (empty.head(), empty.default_branch(), empty.tags()) == ("", "", ())


def test_default_branch_is_origins_head_then_main_then_head(repo: GitRepo, tmp_path: Path) -> None:
    old = repo.git("rev-parse", "HEAD")
    clone = GitRepo.clone(repo.path, tmp_path / "clone")
    clone.git("checkout", "-q", "1.0.0+1.2.3")
    new = repo.commit({"README.md": "later"})
    clone.git("fetch", "-q")
    assert Repository(clone.path).head() == old
    assert Repository(clone.path).default_branch() == new
    clone.git("remote", "remove", "origin")
    assert Repository(clone.path).default_branch() == old
    clone.git("branch", "-D", "main")
    assert Repository(clone.path).default_branch() == old


def test_dirt_is_changed_staged_and_untracked_files(repo: GitRepo) -> None:
    assert Repository(repo.path).dirty() == ()
    repo.write({"compose.yml": "changed\n", "compose.local.yml": "", "na me": ""})
    repo.git("add", "na me")
    assert Repository(repo.path).dirty() == (" M compose.yml", "A  na me", "?? compose.local.yml")


def test_reading_writes_nothing_into_the_repository(repo: GitRepo) -> None:
    os.utime(repo.path / "compose.yml")  # git status would refresh the index for this
    before = _snapshot(repo.path)
    reader = Repository(repo.path)
    reader.dirty()
    reader.tags()
    reader.files([(reader.head(), "compose.yml")])
    assert _snapshot(repo.path) == before


def test_nothing_the_repository_configures_is_run(repo: GitRepo, tmp_path: Path) -> None:
    """Hooks, monitors, filters, signature programs: each would leave a mark."""
    mark = tmp_path / "ran"
    script = repo.path / ".git" / "hooks" / "evil"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\necho $0 >> {mark}\ncat\n")
    script.chmod(0o755)
    for hook in ("post-index-change", "post-checkout", "reference-transaction", "fsmonitor-watchman"):
        shutil.copy(script, script.parent / hook)
    for key in ("core.fsmonitor", "filter.x.y.clean", "filter.x.y.process", "gpg.program", "core.pager"):
        repo.git("config", key, str(script))
    repo.git("config", "log.showSignature", "true")
    (repo.path / ".git" / "info").mkdir(exist_ok=True)
    (repo.path / ".git" / "info" / "attributes").write_text("* filter=x.y\n")
    os.utime(repo.path / "compose.yml")
    mark.unlink(missing_ok=True)
    reader = Repository(repo.path)
    assert reader.dirty() == ()
    reader.tags()
    reader.files([(reader.head(), "compose.yml")])
    assert not mark.exists()
    repo.git("status")
    assert mark.exists(), "the trap itself does not work"


def test_a_repository_of_another_user_is_read(repo: GitRepo) -> None:
    commit = repo.git("rev-parse", "HEAD")
    if os.getuid() == 0:
        for path in (repo.path, *repo.path.rglob("*")):
            os.chown(path, 4321, 4321)
    assert Repository(repo.path).head() == commit
    assert Repository(repo.path).dirty() == ()


def test_a_folder_inside_somebodys_work_tree_is_no_repository(repo: GitRepo) -> None:
    (repo.path / "inner").mkdir()
    with pytest.raises(NotReadyError, match="is not a git repository"):
        Repository(repo.path / "inner")


def test_without_git_the_error_says_to_install_it(repo: GitRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotReadyError) as caught:
        Repository(repo.path).tags()
    assert caught.value.code == "no-git"
    assert "install git" in caught.value.hint


def test_a_broken_repository_is_one_clear_error(repo: GitRepo) -> None:
    (repo.path / ".git" / "HEAD").write_text("nonsense")
    with pytest.raises(NotReadyError, match="git cannot read"):
        Repository(repo.path).tags()


def test_a_truncated_object_is_one_clear_error(repo: GitRepo) -> None:
    oid = repo.git("rev-parse", "HEAD:compose.yml")
    target = repo.path / ".git" / "objects" / oid[:2] / oid[2:]
    whole = target.read_bytes()
    target.chmod(0o644)
    commit = repo.git("rev-parse", "HEAD")
    target.write_bytes(whole[:-4])
    with pytest.raises(NotReadyError, match="git cannot read"):
        Repository(repo.path).files([(commit, "compose.yml")])
    target.write_bytes(b"garbage")
    found = Repository(repo.path).files([(commit, "compose.yml")])
    assert found[commit, "compose.yml"].problem == "its object is missing or broken"


def test_links_folders_and_submodules_are_refused_by_kind(repo: GitRepo) -> None:
    (repo.path / "link").symlink_to("/etc/passwd")
    (repo.path / "folder").symlink_to("release")
    repo.git("update-index", "--add", "--cacheinfo", "160000," + repo.git("rev-parse", "HEAD") + ",module")
    repo.git("add", "link", "folder")
    repo.git("commit", "-qm", "links")
    commit = repo.git("rev-parse", "HEAD")
    paths = ("link", "module", "release", "folder/1.0.0+1.2.3", "module/x", "absent")
    found = Repository(repo.path).files([(commit, path) for path in paths])
    assert {path: found[commit, path].problem for path in paths} == {
        "link": "it is a symbolic link",
        "module": "it is a submodule",
        "release": "it is a folder",
        "folder/1.0.0+1.2.3": "there is no such file",
        "module/x": "there is no such file",
        "absent": "there is no such file",
    }
    assert all(found[commit, path].data is None for path in paths)


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "a//b", "./x", "", "a\nHEAD:compose.yml"]
)
def test_paths_that_lead_elsewhere_are_refused(repo: GitRepo, path: str) -> None:
    commit = repo.git("rev-parse", "HEAD")
    found = Repository(repo.path).files([(commit, path), (commit, "compose.yml")])
    assert found[commit, path].data is None
    assert found[commit, path].problem
    assert found[commit, "compose.yml"].data == b"one\n"


def test_what_is_no_commit_name_never_reaches_git(repo: GitRepo) -> None:
    with pytest.raises(NotReadyError):
        Repository(repo.path).files([("HEAD", "compose.yml")])


def test_large_files_are_refused_with_their_size_and_the_others_read(repo: GitRepo) -> None:
    commit = repo.commit({"big": b"x" * 2_000_000, "edge": b"y" * 1_048_576})
    found = Repository(repo.path).files([(commit, "big"), (commit, "edge"), (commit, "compose.yml")])
    assert "2000000 bytes" in found[commit, "big"].problem
    assert found[commit, "edge"].data == b"y" * 1_048_576
    assert found[commit, "compose.yml"].data == b"one\n"


def test_content_is_exact_whatever_it_holds(repo: GitRepo) -> None:
    odd = {"a": b"", "b": b"\n", "c": bytes(range(256)), "d": b"deadbeef missing\n", "dé f/g h": b"x"}
    commit = repo.commit(odd)
    found = Repository(repo.path).files([(commit, path) for path in odd])
    assert {path: found[commit, path].data for path in odd} == odd


def test_objects_of_another_repository_can_be_borrowed(repo: GitRepo, tmp_path: Path) -> None:
    other = GitRepo(tmp_path / 'an "odd": name')
    commit = other.commit({"only": "there"})
    with pytest.raises(NotReadyError):
        Repository(repo.path).answer("cat-file", "-e", commit)
    reader = Repository(repo.path, borrow=[other.path / ".git" / "objects"])
    assert reader.files([(commit, "only")])[commit, "only"].data == b"there"


def test_a_clone_with_alternates_is_read(repo: GitRepo, tmp_path: Path) -> None:
    clone = GitRepo.clone(repo.path, tmp_path / "shared", "--shared")
    commit = clone.git("rev-parse", "HEAD")
    assert Repository(clone.path).files([(commit, "compose.yml")])[commit, "compose.yml"].data == b"one\n"


def test_any_number_of_versions_takes_as_many_commands_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = GitRepo(tmp_path / "many")
    made.import_releases([f"1.{n}.0+2.{n}.0" for n in range(50)])
    counting = CountingGit(tmp_path / "bin")
    monkeypatch.setenv("PATH", counting.path)
    reader = Repository(made.path)
    tags = reader.tags()
    assert counting.starts() == 1
    for some in (tags[:1], tags):
        found = reader.files([(t.commit, p) for t in some for p in ("compose.yml", f"release/{t.name}")])
        assert counting.starts() == 2
        assert all(found[t.commit, f"release/{t.name}"].data == f"note of {t.name}\n".encode() for t in some)


def test_words_of_git_never_show_a_password() -> None:
    assert without_password("fatal: 'https://me:s3cret@ci.example.org/x' and ssh://git@h/x") == (
        "fatal: 'https://***@ci.example.org/x' and ssh://***@h/x"
    )
