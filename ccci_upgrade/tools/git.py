"""Read-only questions to one git repository.

No checkout, no index write, no hook, no file-system monitor, no filter: a recipe is somebody else's code, and
showing a plan must run none of it. The repository is named by `GIT_DIR` instead of being searched for: so a
plain folder inside somebody's work tree is not mistaken for that tree, and root can read what others own.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade import text
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.process import Completed, run
from ccci_upgrade.tools import gitobjects
from ccci_upgrade.tools.gitobjects import Entry, Requested

READ_SECONDS = 30.0
"""Deadline of one reading command, in seconds; they take milliseconds."""

_QUIET = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.quotePath": "false",
    "core.sshCommand": "false",
    "gc.auto": "0",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.ext.allow": "never",
    "submodule.recurse": "false",
}
_FILTER = re.compile(r"^filter\.(.+)\.(clean|smudge|process|required)$", re.DOTALL)
_DEFAULTS = (
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
    "HEAD",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tag:
    """One tag. `commit` is "" where the tag names no commit; `tag_object` is "" for a lightweight tag."""

    name: str
    commit: str
    annotated: bool
    tag_object: str


def git_env(git_dir: Path, config: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The variables that name a repository and override its configuration.

    Configuration goes by variables, not by `-c`: they hold any name, and keep URLs out of the argument list.
    """
    env = {"GIT_DIR": str(git_dir), "GIT_LITERAL_PATHSPECS": "1", "GIT_NO_REPLACE_OBJECTS": "1"}
    env |= {"GIT_ASKPASS": "", "GIT_NO_LAZY_FETCH": "1", "GIT_CONFIG_COUNT": str(len(config))}
    for number, (key, value) in enumerate(config.items()):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env | dict(extra)


def last_line(done: Completed) -> str:
    """What git said last before it failed, without a password that was in a URL."""
    lines = [line for line in text.decode(done.err).splitlines() if line.strip()]
    said = next((line for line in reversed(lines) if line.startswith(("fatal:", "error:"))), "")
    return without_password(said or (lines[-1] if lines else f"git ended with code {done.code}"))


def git_version() -> str:
    """What `git --version` says; NotReadyError where it cannot be run."""
    done = run(("git", "--version"), seconds=READ_SECONDS)
    if done.code != 0:
        raise NotReadyError(
            "git cannot be run",
            hint="install git: versions and notes are read from git objects",
            code="no-git",
        )
    return text.decode(done.out).strip()


def without_password(words: str) -> str:
    """Hide the user part of every URL: tokens are kept there."""
    return re.sub(r"://[^/@\s']+@", "://***@", words)


class Repository:
    """One repository, bare or with a work tree, read through `git`.

    `borrow` are object folders of other repositories, whose commits can be asked for here as well.
    """

    def __init__(self, path: Path, *, borrow: Sequence[Path] = ()) -> None:
        """Name the folder; raises NotReadyError when it holds no repository."""
        self.path = path = path.absolute()
        self.borrow = tuple(borrow)
        dotgit = path / ".git"
        self.bare = not dotgit.exists()
        self.git_dir = path if self.bare else dotgit
        if self.bare and not ((path / "HEAD").is_file() and (path / "objects").is_dir()):
            raise NotReadyError(
                f"{path} is not a git repository",
                hint="check the path, or let abra fetch it anew",
                code="no-repository",
            )

    def command(
        self, *arguments: str, data: bytes | None = None, config: Mapping[str, str] | None = None
    ) -> Completed:
        """Run one git command; raises NotReadyError where git is missing or does not answer in time."""
        extra = {} if self.bare else {"GIT_WORK_TREE": str(self.path)}
        if self.borrow:
            extra["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = ":".join(_quoted(p) for p in self.borrow)
        env = git_env(self.git_dir, _QUIET | dict(config or {}), extra)
        cwd = self.path if self.path.is_dir() else None
        done = run(["git", *arguments], seconds=READ_SECONDS, cwd=cwd, env=env, data=data)
        checked(done, self.path)
        return done

    def answer(
        self, *arguments: str, data: bytes | None = None, config: Mapping[str, str] | None = None
    ) -> bytes:
        """Run one git command that must succeed, and give its output."""
        done = self.command(*arguments, data=data, config=config)
        if done.code != 0 or done.cut:
            why = "it says too much" if done.cut else last_line(done)
            raise NotReadyError(
                f"git cannot read {self.path}: {why}",
                hint=f"look at it with: git -C {self.path} status",
                code="git",
            )
        return done.out

    def tags(self) -> tuple[Tag, ...]:
        """All tags, by name, from one command."""
        form = "%(refname)%00%(objecttype)%00%(objectname)%00%(*objecttype)%00%(*objectname)"
        rows = _rows(self.answer("for-each-ref", f"--format={form}", "refs/tags"))
        return self._peeled([row for row in rows if len(row) == 5])  # noqa: PLR2004 - fields of the format

    def _peeled(self, rows: list[list[str]]) -> tuple[Tag, ...]:
        nested = [row[2] for row in rows if row[3] == "tag"]
        deep = dict(zip(nested, self.commits([f"{oid}^{{commit}}" for oid in nested]), strict=True))
        return tuple(
            Tag(
                name=row[0].removeprefix("refs/tags/"),
                commit=deep.get(row[2]) or next((o for k, o in (row[1:3], row[3:5]) if k == "commit"), ""),
                annotated=row[1] == "tag",
                tag_object=row[2] if row[1] == "tag" else "",
            )
            for row in rows
        )

    def commits(self, names: Sequence[str]) -> list[str]:
        """The commit each name stands for, "" where it stands for none; one command for all."""
        if not names:
            return []
        heads = gitobjects.headers(self._cat("--batch-check", names), len(names), self.path)
        return [head.oid if head is not None and head.kind == "commit" else "" for head in heads]

    def head(self) -> str:
        """The commit that is checked out; "" before the first commit."""
        return self.commits(["HEAD^{commit}"])[0]

    def default_branch(self) -> str:
        """The newest commit of the main line as known here: origin's HEAD, else main or master, else HEAD."""
        found = self.commits([f"{name}^{{commit}}" for name in _DEFAULTS])
        return next((commit for commit in found if commit), "")

    def dirty(self, *paths: str) -> tuple[str, ...]:
        """What is changed or untracked, one `XY path` each, as abra refuses it; () for a bare repository."""
        if self.bare:
            return ()
        asked = ("status", "--porcelain=v1", "-z", "--no-renames", "--ignore-submodules=dirty")
        out = self.answer(*asked, "--", *paths, config=self.unfiltered())
        return tuple(text.decode(line) for line in out.split(b"\0") if line)

    def unfiltered(self) -> dict[str, str]:
        """Settings that switch off every clean filter: git would run them to compare a file."""
        done = self.command("config", "--null", "--name-only", "--get-regexp", r"^filter\.")
        names = {m[1] for key in text.decode(done.out).split("\0") if (m := _FILTER.match(key))}
        off = {"clean": "", "smudge": "", "process": "", "required": "false"}
        return {f"filter.{name}.{key}": value for name in sorted(names) for key, value in off.items()}

    def origin(self, remote: str = "origin") -> str:
        """Where a remote is fetched from, after the user's own rewriting rules; "" where there is none."""
        done = self.command("remote", "get-url", "--", remote)
        return text.decode(done.out).rstrip("\n") if done.code == 0 else ""

    def listing(
        self, commits: Iterable[str], folders: Iterable[str] = ("",)
    ) -> dict[tuple[str, str], dict[str, Entry]]:
        """The entries of folders ("" is the root) at commits, from one command; a missing folder is empty."""
        asked = gitobjects.folder_names(commits, list(folders))
        if not asked:
            return {}
        blobs = gitobjects.contents(self._cat("--batch", list(asked.values())), len(asked), self.path)
        return {key: gitobjects.tree(blob) if blob else {} for key, blob in zip(asked, blobs, strict=True)}

    def files(
        self, requests: Iterable[tuple[str, str]], *, limit: int = gitobjects.MAX_BLOB
    ) -> dict[tuple[str, str], Requested]:
        """Files as (commit, path), two commands for any number; what cannot be given says why.

        `limit` is in bytes, by file. Links and submodules are refused: they lead outside the commit.
        """
        wanted = list(dict.fromkeys(requests))
        found = {r: Requested(problem=why) for r in wanted if (why := gitobjects.path_problem(r[1]))}
        asked = [r for r in wanted if r not in found]
        places = gitobjects.folder_names(
            [commit for commit, _ in asked], list(dict.fromkeys(gitobjects.folder(path) for _, path in asked))
        )
        refused, small = self._sizes(asked, limit)
        listed, data = self._trees_and_blobs(places, small)
        for commit, path in asked:
            entry = listed.get((commit, gitobjects.folder(path)), {}).get(path.rsplit("/", 1)[-1])
            if why := gitobjects.entry_problem(entry):
                found[commit, path] = Requested(problem=why, missing=entry is None)
            elif entry is not None:
                found[commit, path] = data.get(entry.oid) or refused.get(entry.oid, gitobjects.BROKEN)
        return found

    def _sizes(self, asked: Sequence[tuple[str, str]], limit: int) -> tuple[dict[str, Requested], list[str]]:
        """The files' objects, parted by size; before any is read, for one may be of any size."""
        if not asked:
            return {}, []
        names = [f"{commit}:{path}" for commit, path in asked]
        heads = gitobjects.headers(self._cat("--batch-check", names), len(names), self.path)
        return gitobjects.by_size({head.oid: head for head in heads if head is not None}, limit)

    def _trees_and_blobs(
        self, places: Mapping[tuple[str, str], str], oids: Sequence[str]
    ) -> tuple[dict[tuple[str, str], dict[str, Entry]], dict[str, Requested]]:
        """Folders (their entries tell a file from a link) and file contents, from one command."""
        names = [*places.values(), *oids]
        objects = gitobjects.contents(self._cat("--batch", names), len(names), self.path) if names else []
        trees = dict(zip(places, objects, strict=False))
        blobs = dict(zip(oids, objects[len(places) :], strict=True))
        return (
            {place: gitobjects.tree(each) if each else {} for place, each in trees.items()},
            {oid: Requested(data=each.data) if each else gitobjects.BROKEN for oid, each in blobs.items()},
        )

    def _cat(self, mode: str, names: Sequence[str]) -> bytes:
        lines = "".join(f"{name}\n" for name in names).encode("utf-8", errors="surrogateescape")
        return self.answer("cat-file", mode, data=lines)


def checked(done: Completed, path: Path) -> None:
    """Raise NotReadyError where git could not be started or did not answer in time."""
    if done.code == 127:  # noqa: PLR2004 - `run` gives the shell's code for "not found"
        raise NotReadyError(
            f"git cannot be started: {text.decode(done.err)}",
            hint="install git and put it on PATH",
            code="no-git",
        )
    if done.timed_out:
        raise NotReadyError(
            f"git did not answer within {READ_SECONDS:.0f} s in {path}",
            hint="is the file system it lies on reachable?",
            code="git",
        )


def _rows(out: bytes) -> list[list[str]]:
    return [line.split("\0") for line in text.decode(out).split("\n") if line]


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
