"""What git knows of an app's `.env`: changes nobody committed, and newer ones a colleague pushed.

Many keep `servers/` in a git repository, some link it there. That repository is theirs: upstream is fetched
into a mirror of our own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade import text
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.tools import mirror
from ccci_upgrade.tools.git import Repository

_AT_MOST = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvCommit:
    """The newest commit that changes the file upstream; `date` is the author's, ISO 8601."""

    commit: str
    date: str
    author: str
    subject: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EnvGit:
    """One `.env` in a work tree at `top`.

    `changes` are git's status lines for it, () when it is committed; `stat` is like `+3 -1`. `upstream` is
    None where upstream changes nothing; `stale` is "" or why upstream could not be asked.
    """

    top: Path
    path: str
    tracked: bool
    changes: tuple[str, ...]
    stat: str
    upstream: EnvCommit | None
    stale: str

    @property
    def uncommitted(self) -> bool:
        """Whether the file differs from what is committed; an ignored file does not count."""
        return bool(self.changes)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tracking:
    remote: str
    branch: str
    local: str


def env_git_state(
    path: Path, cache_dir: Path, *, offline: bool, seconds: float = mirror.FETCH_SECONDS
) -> EnvGit | None:
    """What git says of a `.env` (of its target where it is a link); None where no repository holds it."""
    real = path.resolve()
    top = next((folder for folder in real.parents if (folder / ".git").exists()), None)
    if top is None:
        return None
    repository = Repository(top)
    name = str(real.relative_to(top))
    changes = repository.dirty(name)
    tips, stale, borrow = _tips(repository, cache_dir, offline=offline, seconds=seconds)
    upstream = _newer(Repository(top, borrow=borrow), tips, name) if tips else None
    return EnvGit(
        top=top,
        path=name,
        tracked=bool(repository.answer("ls-files", "-z", "--", name)),
        changes=changes,
        stat=_stat(repository, name) if changes else "",
        upstream=upstream,
        stale=stale,
    )


def _stat(repository: Repository, name: str) -> str:
    asked = ("diff", "--numstat", "--no-ext-diff", "--no-textconv", "HEAD", "--", name)
    done = repository.command(*asked, config=repository.unfiltered())
    words = text.decode(done.out).split("\t")
    return f"+{words[0]} -{words[1]}" if done.code == 0 and len(words) > 1 else ""


def _tips(
    repository: Repository, cache_dir: Path, *, offline: bool, seconds: float
) -> tuple[tuple[str, ...], str, tuple[Path, ...]]:
    """Commits of the tracked upstream branch, why it is not fresh, and where their objects are."""
    tracking = _tracking(repository)
    if tracking is None:
        return (), "", ()
    known = repository.commits([f"{tracking.local}^{{commit}}"])
    try:
        url = mirror.reachable(repository.origin(tracking.remote), repository.path)
    except NotReadyError as error:
        return tuple(filter(None, known)), error.message, ()
    where = mirror.place(cache_dir, "servers", url)
    ours = f"refs/remotes/origin/{tracking.branch.removeprefix('refs/heads/')}"
    asked = (f"+{tracking.branch}:{ours}",)
    stale = "offline" if offline else mirror.refresh(where, url, asked, seconds=seconds)
    try:
        fetched = Repository(where).commits([f"{ours}^{{commit}}"])
    except NotReadyError:
        return tuple(filter(None, known)), stale, ()
    return tuple(dict.fromkeys(filter(None, (*fetched, *known)))), stale, (where / "objects",)


def _tracking(repository: Repository) -> _Tracking | None:
    """The upstream branch of the branch that is checked out."""
    form = "%(HEAD)%00%(upstream:remotename)%00%(upstream:remoteref)%00%(upstream)"
    for line in text.decode(repository.answer("for-each-ref", f"--format={form}", "refs/heads")).split("\n"):
        head, *rest = line.split("\0")
        if head == "*" and all(rest) and rest[0] != "." and not rest[0].startswith("-"):
            return _Tracking(remote=rest[0], branch=rest[1], local=rest[2])
    return None


def _newer(repository: Repository, tips: Sequence[str], name: str) -> EnvCommit | None:
    """The newest commit upstream, not yet in HEAD, that changes the file to something else than HEAD's."""
    if not repository.head():
        return None
    form = "--format=%H%x00%aI%x00%an%x00%s"
    asked = ("log", form, f"--max-count={_AT_MOST}", *tips, "--not", "HEAD", "--", name)
    lines = [line.split("\0") for line in text.decode(repository.answer(*asked)).split("\n") if line]
    same = ("diff", "--quiet", "--no-ext-diff", "--no-textconv", "HEAD", tips[0], "--", name)
    if not lines or repository.command(*same).code == 0:
        return None
    commit, date, author, subject = lines[0]
    return EnvCommit(commit=commit, date=date, author=author, subject=subject, count=len(lines))
