"""Bare repositories of our own that follow an upstream, so that nobody's checkout is ever written to.

A refresh is one bounded `git fetch` under a lock. The child inherits the lock: a fetch that outlives us still
holds it, so whoever has the lock may sweep away what a killed fetch left behind. Readers take no lock: git's
references and packs appear by rename.
"""

import fcntl
import hashlib
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.process import Completed, run
from ccci_upgrade.tools.git import Repository, git_env, last_line, without_password

FETCH_SECONDS = 20.0
"""Deadline of one refresh, the wait for the lock included."""

EVERYTHING = ("+refs/tags/*:refs/tags/*", "+refs/heads/*:refs/remotes/origin/*")
HEAD = "+HEAD:refs/remotes/origin/HEAD"

_URL = re.compile(r"(?:https?|ssh|file)://[^\s\x00-\x1f]+")
_SCP = re.compile(r"(?:[A-Za-z0-9][\w.-]*@)?[A-Za-z0-9][\w.-]*:(?!:|//)[^\x00-\x1f]+")
_STAMP = "refreshed"
_CONFIG = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "credential.interactive": "never",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
}


def place(cache_dir: Path, name: str, url: str) -> Path:
    """Where the mirror of a URL is kept; another origin gets another place."""
    digest = hashlib.sha256(without_password(url).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return cache_dir.absolute() / "git" / f"{name}-{digest}.git"


def reachable(url: str, base: Path) -> str:
    """The URL to fetch, a relative one resolved; raises NotReadyError for a kind that is not fetched."""
    if _URL.fullmatch(url) or url.startswith("/"):
        return url
    if url.startswith(("./", "../")):
        return str((base / url).resolve())
    if _SCP.fullmatch(url):
        return url
    raise NotReadyError(
        f"the origin {without_password(url)!r} is neither http(s), ssh nor a path",
        hint=f"set it with: git -C {base} remote set-url origin URL",
        code="origin",
    )


def refreshed(where: Path) -> datetime | None:
    """When a mirror was last refreshed, or None when it never was."""
    try:
        return datetime.fromtimestamp((where / _STAMP).stat().st_mtime, UTC)
    except OSError:
        return None


def refresh(where: Path, url: str, refs: Sequence[str], *, seconds: float = FETCH_SECONDS) -> str:
    """Fetch `refs` of a URL into the mirror; "" or one sentence that says why it stays as it was."""
    started, deadline = time.time(), time.monotonic() + seconds
    try:
        where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(where.with_suffix(".lock"), deadline) as lock:
            if lock is None:
                return f"another refresh of {where.name} has not ended within {seconds:g} s"
            if (last := refreshed(where)) is not None and last.timestamp() > started:
                return ""  # whoever had the lock before us has just done it
            return _fetch_all(where, url, refs, lock=lock, deadline=deadline, seconds=seconds)
    except OSError as error:
        return f"{error.filename or where}: {error.strerror or error}"


def _fetch_all(
    where: Path, url: str, refs: Sequence[str], *, lock: int, deadline: float, seconds: float
) -> str:
    _prepare(where, lock)
    done = _fetch(where, url, refs, lock=lock, seconds=max(0.1, deadline - time.monotonic()))
    if HEAD in refs and b"couldn't find remote ref HEAD" in done.err:
        refs = [ref for ref in refs if ref != HEAD]
        done = _fetch(where, url, refs, lock=lock, seconds=max(0.1, deadline - time.monotonic()))
    shown = without_password(url)
    if done.timed_out:
        return f"{shown} did not answer within {seconds:g} s"
    if done.code != 0:
        return f"{shown} could not be fetched: {last_line(done)}"
    (where / _STAMP).touch()
    return ""


def _prepare(where: Path, lock: int) -> None:
    """Make the mirror usable: create it, or sweep away what a killed fetch left."""
    for left in [*where.glob("*.lock"), *where.glob("refs/**/*.lock"), *where.glob("objects/pack/tmp_*")]:
        left.unlink(missing_ok=True)
    try:
        Repository(where).tags()
    except NotReadyError as error:
        if error.code == "no-git":
            return
    else:
        return
    fresh = where.with_suffix(".new")
    for old in (where, fresh):
        if old.exists():
            shutil.rmtree(old)
    run(
        ["git", "init", "--quiet", "--bare", "--template=", str(fresh)],
        seconds=10.0,
        env={"GIT_CONFIG_NOSYSTEM": "1"},
        keep_open=(lock,),
    )
    if fresh.exists():
        fresh.rename(where)


def _fetch(where: Path, url: str, refs: Sequence[str], *, lock: int, seconds: float) -> Completed:
    ssh = os.environ.get("GIT_SSH_COMMAND") or "ssh"
    extra = {
        "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",
        "GIT_SSH_COMMAND": f"{ssh} -oBatchMode=yes -oConnectTimeout=10",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
    }
    options = ("--quiet", "--no-write-fetch-head", "--no-recurse-submodules", "--no-tags", "--prune")
    return run(
        ["git", "fetch", *options, "origin", *refs],
        seconds=seconds,
        cwd=where if where.is_dir() else None,
        env=git_env(where, _CONFIG | {"remote.origin.url": url}, extra),
        keep_open=(lock,),
    )


@contextmanager
def _locked(path: Path, deadline: float) -> Iterator[int | None]:
    """Hold a lock file, or give None where it was not to be had before the deadline."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _try_lock(handle):
            if time.monotonic() >= deadline:
                yield None
                return
            time.sleep(0.05)
        yield handle
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
