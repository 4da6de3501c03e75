"""Real git repositories for tests, made by the real git."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A Maintainer",
    "GIT_AUTHOR_EMAIL": "maintainer@example.org",
    "GIT_COMMITTER_NAME": "A Maintainer",
    "GIT_COMMITTER_EMAIL": "maintainer@example.org",
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05+00:00",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05+00:00",
}


class GitRepo:
    """One work tree, or a bare repository, to build a case in."""

    def __init__(self, path: Path, *, options: Sequence[str] = ()) -> None:
        """Create the repository on branch `main`; `options` are those of `git init`."""
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.git("init", "--quiet", "--initial-branch=main", *options)

    @classmethod
    def clone(cls, source: Path, path: Path, *options: str) -> "GitRepo":
        """Clone with every tag, as abra does."""
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["git", "clone", "--quiet", *options, str(source), str(path)],  # noqa: S607 - git from PATH
            check=True,
            env=ENV,
            capture_output=True,
        )
        repo = cls.__new__(cls)
        repo.path = path
        return repo

    def git(self, *arguments: str, data: bytes | None = None) -> str:
        """Run git here; a failure fails the test with git's words."""
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - git from PATH
            cwd=self.path,
            env=ENV,
            input=data,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr.decode()}"
        return done.stdout.decode(errors="replace").strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files of the work tree."""
        for name, content in files.items():
            target = self.path / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, str | bytes], message: str = "change") -> str:
        """Write and commit files; gives the commit."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, *, annotated: bool = True, force: bool = False) -> None:
        """Tag HEAD."""
        options = (["-a", "-m", f"release {name}"] if annotated else []) + (["-f"] if force else [])
        self.git("tag", *options, "--", name)

    def release(self, version: str, files: Mapping[str, str | bytes] | None = None) -> str:
        """Commit and tag a version; gives the commit."""
        commit = self.commit(files or {"compose.yml": f"# {version}\n"}, f"chore: publish {version} release")
        self.tag(version)
        return commit

    def import_releases(self, versions: Sequence[str]) -> None:
        """Make many releases in one go: a compose file and a note each."""
        stream = bytearray()
        onto = b"from refs/heads/main^0\n" if self.git("branch", "--list", "main") else b""
        for number, version in enumerate(versions):
            who = b"A Maintainer <maintainer@example.org> 1767323045 +0000\n"
            stream += b"commit refs/heads/main\ncommitter " + who + _data(f"publish {version}") + onto
            onto = b""
            stream += b"M 100644 inline compose.yml\n" + _data(f"# {version} {number}\n")
            stream += f"M 100644 inline release/{version}\n".encode() + _data(f"note of {version}\n")
            stream += f"tag {version}\nfrom refs/heads/main\ntagger ".encode() + who + _data(version)
        self.git("fast-import", "--quiet", data=bytes(stream))
        if (self.path / ".git").exists():
            self.git("reset", "--hard", "--quiet", "main")


class CountingGit:
    """A `git` for PATH that notes each start, and is the real one otherwise."""

    def __init__(self, folder: Path) -> None:
        """Put it into `folder`."""
        folder.mkdir()
        self.log = folder / "log"
        self.path = f"{folder}:{os.environ['PATH']}"
        script = folder / "git"
        script.write_text(f'#!/bin/sh\necho "$1" >> {self.log}\nexec {shutil.which("git")} "$@"\n')
        script.chmod(0o755)

    def starts(self) -> int:
        """How often it was started since the last question."""
        count = len(self.log.read_text().splitlines()) if self.log.exists() else 0
        self.log.unlink(missing_ok=True)
        return count


def _data(content: str) -> bytes:
    return f"data {len(content.encode())}\n{content}\n".encode()
