"""The stand-in's command line: which commands and flags there are, their help, and how arguments are read.

Flags may stand anywhere on the line, short ones together (`-nf`); an unknown one is refused before anything
is read, as cobra does it for abra.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ccci_upgrade.practice.console import FatalError

VERSION = "abra version 0.13.0-beta-practice"

_GLOBAL = (
    ("h", "help", "help for this command"),
    ("n", "no-input", "toggle non-interactive mode"),
    ("o", "offline", "prefer offline & filesystem access"),
    ("i", "ignore-env-version", "ignore .env version checks"),
    ("d", "debug", "show debug messages"),
)
_FORCE = ("f", "force", "perform action without further prompt")
_CHAOS = ("C", "chaos", "ignore uncommitted recipes changes")
_NO_CHECKS = ("c", "no-converge-checks", "disable converge logic checks")
_NO_DOMAIN = ("D", "no-domain-checks", "disable public DNS checks")
_MACHINE = ("m", "machine", "print machine-readable output")
_STATUS = ("S", "status", "show app deployment status")
_ALL = ("a", "all", "generate all secrets")
_FILE = ("f", "file", "treat input as a file")
_NOTES = ("r", "releasenotes", "only show release notes")


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One command: the words it is called by, what its arguments are, and its own flags (short, long, help).

    `least` and `most` are how many arguments it takes.
    """

    words: tuple[str, ...]
    arguments: str
    about: str
    least: int = 1
    most: int = 1
    flags: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A line that was read: the command, its arguments, and the long names of the flags that were given."""

    command: Command
    arguments: tuple[str, ...]
    flags: frozenset[str]

    @property
    def verb(self) -> str:
        """The last word of the command: `upgrade`, `deploy`."""
        return self.command.words[-1]

    def argument(self, index: int) -> str | None:
        """The argument at `index`, None where it was not given."""
        return self.arguments[index] if index < len(self.arguments) else None


COMMANDS = (
    Command(
        words=("app", "deploy"),
        arguments="<domain> [version] [flags]",
        about="Deploy an app",
        most=2,
        flags=(_FORCE, _CHAOS, _NO_CHECKS, _NO_DOMAIN),
    ),
    Command(
        words=("app", "upgrade"),
        arguments="<domain> [version] [flags]",
        about="Upgrade an app",
        most=2,
        flags=(_FORCE, _NO_CHECKS, _NO_DOMAIN, _NOTES),
    ),
    Command(
        words=("app", "rollback"),
        arguments="<domain> [version] [flags]",
        about="Roll an app back to a previous version",
        most=2,
        flags=(_FORCE, _NO_CHECKS, _NO_DOMAIN),
    ),
    Command(words=("app", "undeploy"), arguments="<domain> [flags]", about="Undeploy an app"),
    Command(words=("app", "backup", "create"), arguments="<domain> [flags]", about="Create a new snapshot"),
    Command(words=("app", "backup", "snapshots"), arguments="<domain> [flags]", about="List all snapshots"),
    Command(
        words=("app", "ls"),
        arguments="[flags]",
        about="List all managed apps",
        least=0,
        most=0,
        flags=(_STATUS, _MACHINE),
    ),
    Command(
        words=("app", "ps"), arguments="<domain> [flags]", about="Check app deployment", flags=(_MACHINE,)
    ),
    Command(
        words=("app", "secret", "ls"),
        arguments="<domain> [flags]",
        about="List all secrets",
        flags=(_MACHINE,),
    ),
    Command(
        words=("app", "secret", "generate"),
        arguments="<domain> [[secret] [version] | --all] [flags]",
        about="Generate secrets",
        most=3,
        flags=(_ALL, _MACHINE),
    ),
    Command(
        words=("app", "secret", "insert"),
        arguments="<domain> <secret> <version> <data> [flags]",
        about="Insert secret",
        least=4,
        most=4,
        flags=(_FILE,),
    ),
    Command(
        words=("recipe", "versions"),
        arguments="<recipe> [flags]",
        about="List recipe versions",
        flags=(_MACHINE,),
    ),
    Command(words=("recipe", "fetch"), arguments="<recipe> [flags]", about="Fetch recipe"),
    Command(
        words=("server", "ls"), arguments="[flags]", about="List servers", least=0, most=0, flags=(_MACHINE,)
    ),
)
_ALIASES = {"list": "ls"}


def parse(argv: Sequence[str]) -> Call | str:
    """Read a line: the call, or the text to print for `--help` and `--version`. Raises FatalError."""
    words = [word for word in argv if not word.startswith("-")]
    asked = {word for word in argv if word.startswith("-")}
    if not words and asked & {"--version", "-v"}:
        return VERSION
    command = _find(words)
    if command is None:
        return _group_help(words)
    if asked & {"--help", "-h"}:
        return help_of(command)
    return _read(command, argv)


def help_of(command: Command) -> str:
    """Write the help of one command in cobra's shape: usage, own flags, global flags."""
    own = "".join(_flag_line(flag) for flag in command.flags)
    everywhere = "".join(_flag_line(flag) for flag in _GLOBAL[1:])
    return (
        f"{command.about}.\n\nUsage:\n  abra {' '.join(command.words)} {command.arguments}\n\n"
        f"Flags:\n{own}{_flag_line(_GLOBAL[0])}\nGlobal Flags:\n{everywhere}"
    )


def _find(words: Sequence[str]) -> Command | None:
    named = tuple(_ALIASES.get(word, word) for word in words)
    return next((c for c in COMMANDS if named[: len(c.words)] == c.words), None)


def _group_help(words: Sequence[str]) -> str:
    under = [c for c in COMMANDS if c.words[: len(words)] == tuple(words)]
    if not under:
        raise FatalError(f'unknown command "{" ".join(words)}" for "abra"')
    depth = len(words)
    names: dict[str, str] = {}
    for command in under:
        last = len(command.words) == depth + 1
        names.setdefault(command.words[depth], command.about if last else f"Manage {command.words[depth]}s")
    listed = "".join(f"  {name:<10} {about}\n" for name, about in sorted(names.items()))
    path = " ".join(("abra", *words))
    everywhere = "".join(_flag_line(flag) for flag in _GLOBAL)
    return f"Usage:\n  {path} [command]\n\nAvailable Commands:\n{listed}\nFlags:\n{everywhere}"


def _read(command: Command, argv: Sequence[str]) -> Call:
    by_name = {
        name: long for short, long, _ in (*_GLOBAL, *command.flags) for name in (f"-{short}", f"--{long}")
    }
    flags: set[str] = set()
    arguments: list[str] = []
    for word in argv:
        if word.startswith("--"):
            flags.add(_flag(by_name, word))
        elif word.startswith("-") and len(word) > 1:
            flags |= {_flag(by_name, f"-{letter}") for letter in word[1:]}
        else:
            arguments.append(word)
    arguments = arguments[len(command.words) :]
    if not command.least <= len(arguments) <= command.most:
        raise FatalError(f"accepts {command.least} to {command.most} args, received {len(arguments)}")
    return Call(command=command, arguments=tuple(arguments), flags=frozenset(flags))


def _flag(by_name: dict[str, str], word: str) -> str:
    if word not in by_name:
        raise FatalError(f"unknown flag: {word}")
    return by_name[word]


def _flag_line(flag: tuple[str, str, str]) -> str:
    short, long, about = flag
    return f"  -{short}, --{long:<22} {about}\n"
