"""Commands in scripts that deploy, upgrade or rebuild: found in text, judged by what they name.

A command that names its app counts for that app only. One that takes it from a variable counts for what the
script assigns to that variable, else for what the script or its unit mentions.
"""

import re
from collections.abc import Collection, Iterable, Sequence

Texts = Sequence[tuple[str, str]]
"""(path, text): the unit first, then its scripts."""

_ARGUMENTS = r"(?P<rest>[^\n;|&<>]*)"
_FIRST, _LAST = 0, -1
_COMMANDS = (
    (
        re.compile(
            r"(?<![\w.-])abra(?:\s+-\S+)*\s+(?:app|a)\s+(?:deploy|d|upgrade|up|rollback|rl)\b" + _ARGUMENTS
        ),
        _FIRST,
    ),
    (re.compile(r"(?<![\w.-])docker(?:\s+-\S+)*\s+stack\s+(?:deploy|up)\b" + _ARGUMENTS), _LAST),
    (re.compile(r"(?<![\w.-])docker(?:\s+-\S+)*\s+service\s+update\b" + _ARGUMENTS), _LAST),
    (re.compile(r"(?<![\w.-])warm_reconcile\.py\b" + _ARGUMENTS), _FIRST),
)
"""Commands, and which of their words says what they act on."""

_REBUILD = re.compile(
    r"(?<![\w.-])nixos-rebuild(?:\s+-\S+)*\s+(?:switch|boot|test)\b|(?<![\w.-])nixos-upgrade\b"
)
_SAID = re.compile(r"(?:^|[;&|\s])\$?(?:echo|printf|logger|print|die|warn)\b[^;&|]*$")
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_PUNCTUATION = re.compile(r"[\"',\[\](){}]")
_BRACES = re.compile(r"\$\{(\w+)[^}]*\}")
_PYTHON = re.compile(r""""([^"]*)"|'([^']*)'|([A-Za-z_][\w.]*)""")
_ORDERING = re.compile(
    r"^(?:After|Before|Wants|Requires|PartOf|BindsTo|Conflicts|Description|Documentation|WantedBy)[ \t]*=.*$",
    re.MULTILINE,
)
_EACH = re.compile(r"(?<![\w.-])abra(?:\s+-\S+)*\s+(?:app|a)\s+(?:ls|list)\b")
_WORD = r"(?<![\w.-]){}(?![\w-])"

_KNOWN = {
    "deploy-proxy": ("traefik",),
    "deploy-drone": ("drone",),
    "warm-keycloak": ("keycloak",),
    "nightly-sweep": ("traefik", "keycloak"),
}
"""Units that cc-ci's own machinery used for these recipes."""


def known_unit(name: str, recipes: Collection[str]) -> str:
    """What a unit of cc-ci's own is known to reconcile among these recipes; "" for any other unit."""
    ours = [recipe for recipe in _KNOWN.get(name.removesuffix(".service"), ()) if recipe in recipes]
    return f"cc-ci's reconciler of {', '.join(ours)}" if ours else ""


def deploying(texts: Texts, apps: Sequence[Collection[str]]) -> tuple[str, ...]:
    """`path:line: command` for each command that deploys one of `apps`, each given by all its names."""
    everything = "\n".join(_ORDERING.sub("", _COMMENT.sub("", text)) for _, text in texts)
    found = []
    for path, text in texts:
        for number, line, target in _matches(path, text):
            if _concerns(target, everything, apps):
                found.append(f"{path}:{number}: {line[:200]}")
    return tuple(found)


def rebuilding(texts: Texts) -> tuple[str, ...]:
    """`path:line: command` for each command that rebuilds the host."""
    return tuple(
        f"{path}:{number}: {written[:200]}"
        for path, text in texts
        for number, line, written in _lines(path, text)
        if (match := _REBUILD.search(line)) and not _SAID.search(line[: match.start()])
    )


def _matches(path: str, text: str) -> Iterable[tuple[int, str, str]]:
    for number, line, written in _lines(path, text):
        for command, place in _COMMANDS:
            for match in command.finditer(line):
                if not _SAID.search(line[: match.start()]):
                    yield number, written, _target(match["rest"], place)


def _target(rest: str, place: int) -> str:
    """The word a command acts on; "" where it has none. Python's keyword arguments are not its words."""
    words = re.split(r"\s\$\w+=", f" {rest}")[0].split()
    words = [word for word in words if not word.startswith("-") and not word.isdigit()]
    return words[place] if words else ""


def _lines(path: str, text: str) -> Iterable[tuple[int, str, str]]:
    """Numbered lines without comments, continued ones joined: as plain words, and as they were written."""
    number, kept = 1, ""
    python = path.endswith(".py") or re.match(r"#!.*python", text) is not None
    for offset, raw in enumerate(text.split("\n"), start=1):
        line = _COMMENT.sub("", raw)
        if not kept:
            number = offset
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        yield number, _words(kept + line, python=python), " ".join((kept + line).split())
        kept = ""


def _words(line: str, *, python: bool) -> str:
    """Make a line plain words; a variable is `$name`, in Python every bare name is one."""
    if python:
        line = _PYTHON.sub(lambda m: f"${m[3]}" if m[3] else f" {m[1] or m[2]} ", line)
    return _PUNCTUATION.sub(" ", _BRACES.sub(r"$\1", line))


def _concerns(target: str, everything: str, apps: Sequence[Collection[str]]) -> bool:
    if target and "$" not in target:
        return any(_names(target, app) for app in apps)
    assigned = _assigned(target.strip("$:"), everything) if target else []
    if assigned:
        return any(_names(value, app) for value in assigned for app in apps)
    return _EACH.search(everything) is not None or any(
        re.search(_WORD.format(re.escape(name)), everything) for app in apps for name in app
    )


def _names(word: str, app: Collection[str]) -> bool:
    return any(word == name or word.startswith(f"{name}_") for name in app)


def _assigned(variable: str, text: str) -> list[str]:
    """Literal values a script gives a variable, one by one or in a `for` loop."""
    name = re.escape(variable)
    plain = re.findall(rf"(?:^|[\s;=\"']){name}\s*=\s*[\"']?([A-Za-z0-9][\w.-]*)", text, re.MULTILINE)
    loops = re.findall(rf"\bfor\s+{name}\s+in\s+([^;\n$]+)", text)
    return plain + [word.strip("\"'") for loop in loops for word in loop.split()]
