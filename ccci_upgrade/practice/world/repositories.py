"""Recipes as git repositories, made by the real git: the same commits every time and everywhere.

One `git fast-import` writes a whole history. Author and dates are fixed, and no configuration of whoever runs
it is read.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.practice.world.source import Source
from ccci_upgrade.process import run
from ccci_upgrade.text import decode

_SECONDS = 60.0
_WHO = "A Maintainer <maintainer@example.org>"
_FIRST = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_DAY = 24 * 3600
_ENV = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
_AUTHOR = {
    "GIT_AUTHOR_NAME": "A Maintainer",
    "GIT_AUTHOR_EMAIL": "maintainer@example.org",
    "GIT_COMMITTER_NAME": "A Maintainer",
    "GIT_COMMITTER_EMAIL": "maintainer@example.org",
    "GIT_AUTHOR_DATE": "2026-06-07T08:09:10+00:00",
    "GIT_COMMITTER_DATE": "2026-06-07T08:09:10+00:00",
}


def build(source: Source, path: Path, *, bare: bool = False) -> None:
    """Make the repository of one recipe, on branch `main`, with an annotated tag for each version."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch=main", "--template=", *(["--bare"] if bare else []))
    git(path, "config", "gc.auto", "0")
    git(path, "fast-import", "--quiet", data=b"".join(_stream(source)))
    if not bare:
        git(path, "reset", "--quiet", "--hard", "main")


def build_all(sources: Sequence[Source], folder: Path) -> Path:
    """Make the repositories of several recipes in one folder; gives it."""
    for source in sources:
        build(source, folder / source.name)
    return folder


def clone(origin: Path, path: Path) -> None:
    """Make a checkout with all tags, as abra does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    git(path.parent, "clone", "--quiet", "--template=", str(origin), str(path))


def publish(checkout: Path, version: str, files: Mapping[str, str], *, annotated: bool = True) -> None:
    """Add one more version at the newest end, in the checkout and in its origin."""
    git(checkout, "checkout", "--quiet", "main")
    for name, text in files.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text, encoding="utf-8")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "-m", f"chore: publish {version} release")
    git(checkout, "tag", *(["-a", "-m", version] if annotated else []), "--", version)
    git(checkout, "push", "--quiet", "origin", "main", f"refs/tags/{version}")


def withdraw(checkout: Path, version: str) -> None:
    """Take the newest version away again, here and from the origin."""
    git(checkout, "checkout", "--quiet", "--force", "main")
    if git(checkout, "tag", "--list", "--", version):
        git(checkout, "reset", "--quiet", "--hard", f"refs/tags/{version}^{{commit}}~1")
        git(checkout, "tag", "--delete", version)
    git(checkout, "push", "--quiet", "--force", "origin", "main", f":refs/tags/{version}")


def git(path: Path, *arguments: str, data: bytes | None = None) -> str:
    """Run git in a folder, away from anybody's configuration. NotReadyError with git's words."""
    done = run(["git", *arguments], seconds=_SECONDS, cwd=path, env=_ENV | _AUTHOR, data=data)
    if done.code == 0:
        return decode(done.out).strip()
    said = decode(done.err).strip().splitlines() or [f"exit {done.code}"]
    if done.code == 127:  # noqa: PLR2004 - what `run` gives where a program cannot be started
        raise NotReadyError("git cannot be started", hint="install git", code="no-git")
    raise NotReadyError(f"git {arguments[0]} failed in {path}: {said[-1]}", code="git")


def _stream(source: Source) -> Iterator[bytes]:
    """The history as fast-import reads it: a commit and an annotated tag a version, a day apart."""
    for number, (version, files) in enumerate(source.releases()):
        who = f"{_WHO} {int(_FIRST.timestamp()) + number * _DAY} +0000\n".encode()
        yield b"commit refs/heads/main\ncommitter " + who + _data(f"chore: publish {version} release")
        for name, text in files.items():
            yield f"M 100644 inline {name}\n".encode() + _data(text)
        yield f"tag {version}\nfrom refs/heads/main\ntagger ".encode() + who + _data(f"release {version}")


def _data(text: str) -> bytes:
    return f"data {len(text.encode())}\n{text}\n".encode()
