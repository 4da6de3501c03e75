"""Words in a release note that ask a person to do something: heuristics, for notes have no markers of their own.

A line that only says that nothing is to be done, or that something was fixed, must not hold an upgrade; a line
that asks for hands should. Where both readings are possible the line is shown.
"""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple


class Marker(NamedTuple):
    """One line that asks for hands: its number from 1, its text, and the rule that found it."""

    line: int
    text: str
    rule: str


_VERB = (
    r"(?:run|renam|re-?creat|re-?generat|re-?index|re-?set|re-?configur|re-?install|re-?issu|re-?enter|set|remov"
    r"|delet|chang|updat|upgrad|add|adjust|adapt|rotat|edit|mov|migrat|copy|copi|convert|insert|generat|replac"
    r"|creat|execut|dump|restor|import|export|stop|undeploy|unset|switch|start|configur|log|enabl|disabl|provid"
    r"|specif|follow|install|drop|purg|clear|review|check)\w*"
)
# "Please upgrade soon" is what the reader is about to do anyway.
_UPDATE_ONLY = r"(?!upgrad|updat\w+(?: (?:to|now|soon|as|immediately|asap|this)\b|\W*$))"
_CHANGE = (
    r"(?:renam|remov|dropp|delet|replac|mov|restructur|reorgani[sz]|split|merg|rework|rewritten|deprecat)\w*"
)
_NAME = r"[A-Z][A-Z0-9]*_[A-Z0-9_]+"
# Words on the way to an object: a point that is not followed by a blank is part of a name.
_NEAR = r"(?:[^.]|\.(?=\S)){0,60}?"
_THING = (
    r"(?:secrets?|(?:env(?:ironment)?[ -])?var(?:iable)?s?|(?:\.?env|environment)(?: files?)?|settings?|options?"
    rf"|volumes?|overlays?|compose files?|compose\.[\w.-]+|backends?|databases?|{_NAME})"
)

# A rule's patterns ignore case unless its name ends in "!", which is not part of the name.
_TABLE: dict[str, tuple[str, ...]] = {
    "attention!": (
        r"^\W*(?:ATTENTION|WARNING|CAUTION|DANGER|IMPORTANT)\b",
        r"\b(?:ATTENTION|WARNING|CAUTION|DANGER|IMPORTANT)\b\W*[:!]",
        "[⚠🚨]",
    ),
    "attention": (r"^\W*(?:attention|warning|caution|danger|important)\W*[:!]",),
    "command": (
        r"\babra +app +(?:secret|cmd|command|volume|config|run|restore|undeploy|rm|remove|cp)\b",
        r"\bdocker +(?:volume|secret|config|service|exec|stack) +\w",
        r"\bpg_(?:dump|dumpall|upgrade|restore)\b",
    ),
    "breaking": (
        r"(?<![\w-])breaking\b(?! (?:the )?(?:test|build|ci)s?\b)",
        r"\bbackwards?[- ]incompatib|\bnot backwards?[- ]compatib",
    ),
    "irreversible": (
        r"\birreversibl|\bone-way\b|\bdata loss\b|\bwill be lost\b|\bpoint of no return\b",
        (
            r"\b(?:can ?not|can't|no way to|not possible to|impossible to)(?: be)? "
            r"(?:roll(?:ed)?[ -]?back|revert|downgrad|go back|undo)"
        ),
    ),
    "manual": (
        (
            r"\bmanual (?:\w+ )?(?:steps?|actions?|intervention|migrations?|work|changes?|upgrades?|updates?|tasks?"
            r"|procedures?|adjust\w*|edit\w*|clean\w*|process|operations?|config\w*)\b"
        ),
        r"\bmanually\b|\bby hand\b",
    ),
    "migration": (r"\bmigrat(?:e|es|ing|ions?)\b|\b(?:to|must) be migrated\b",),
    "before": (
        (
            r"\b(?:before|prior to) (?:you |the |this |doing |running |starting |performing |an? )*"
            r"(?:upgrad|updat|deploy)\w*"
        ),
    ),
    "after": (
        (
            r"\b(?:after|once) (?:you |the |this |have |an? )*(?:upgrad|updat|deploy)\w*[ ,:]+"
            r"(?:please|you|run|execute|set|re-?\w+|log|go|make|check)\b"
        ),
    ),
    "must": (
        (
            r"\b(?:must|needs? to|have to|has to|(?:is|are) required to)(?: be)?(?: first| also| now| then)? "
            rf"{_UPDATE_ONLY}{_VERB}"
        ),
        (
            rf"\b(?:please|make sure to|make sure you|be sure to|remember to|forget to) "
            rf"(?:first |also |now |then )?{_UPDATE_ONLY}{_VERB}"
        ),
        r"\b(?:do not|don't|never) (?:upgrade|update|deploy|skip)\b",
    ),
    "required": (
        r"\b(?:actions?|steps?|intervention) (?:is |are )?(?:required|needed|necessary)\b",
        r"\b(?:requires?|needs?) an? new \w",
        (
            r"\brequires? (?:an? |the |some |your )?(?:new |manual |additional )*"
            r"(?:secrets?|env\w*|variables?|volumes?|dns|actions?|steps?|intervention|restore|dump|re-?\w+ing)\b"
        ),
    ),
    "backup": (
        r"\b(?:make|take|create|do|perform|have) (?:\w+ ){0,3}?(?:backups?|snapshots?|dumps?)\b",
        r"\bback[- ]?up (?:your|first|everything|all|the (?:db|data\w*|volumes?|app))\b",
    ),
    "yours": (
        rf"\b{_VERB} {_NEAR}\byours?\b(?! (?:own|convenience|users?))",
        rf"^\W*(?:set|change|add|remove|replace|rename) {_NEAR}\b(?:in|to|from) the (?:app's )?\.?env(?: file)?\b",
    ),
    "moved": (
        rf"\b{_THING}\b{_NEAR}\b(?:is|are|was|were|been|got) (?:now |been )?{_CHANGE}",
        rf"\b{_THING} (?:is|are) (?:now called|no longer|gone)\b",
        r"\benv(?:ironment)?(?: file)?(?: layout| format| structure)? (?:has |was |is |has been )?chang",
    ),
    "moved!": (
        rf"\b[Rr]enam\w+ {_NEAR}\b{_THING}\b",
        rf"\b[Rr]emov\w+ {_NEAR}\b(?:secrets?|{_NAME})\b",
        rf"\b{_NAME}\b (?:is|was|has been|becomes?) (?:now )?\b{_NAME}\b",
    ),
    "sample": (
        r"\b(?:copy|start|sync|compare|merge|diff)\b[^.]{0,40}\.env\.sample\b|\b(?:start|copy) from the new sample",
    ),
    "recreate": (
        r"\bre-?creat\w+ (?:the |all |every |any )*(?:\w+ )?(?:volume|secret|config|database|db|network|stack|app)",
        r"\bundeploy\b",
        (
            r"^\W*(?:please |then |and )?(?:delete|drop|remove|rotate|(?:re-?)?generate) (?:\w+ ){0,3}"
            r"(?:volume|secret|database)s?\b"
        ),
    ),
    "stepwise": (
        r"\b(?:upgrade|update|go) (?:\w+ ){0,3}to \S+ first\b|\bintermediate version",
        r"\bone (?:major|minor|version) (?:\w+ )?at a time\b",
    ),
    "guide": (
        (
            r"\b(?:read|see|follow|consult|check)\b[^.]{0,40}\b(?:migration|upgrad(?:e|ing)) "
            r"(?:guide|notes|docs|documentation|instructions)\b"
        ),
        r"https?://\S{0,200}?(?:migrat|/upgrading)",
    ),
}


@functools.cache
def _rules() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Compile the table when the first note is read: commands that read none would wait for it at start-up."""
    return tuple(
        (name.removesuffix("!"), re.compile(pattern, 0 if name.endswith("!") else re.IGNORECASE))
        for name, patterns in _TABLE.items()
        for pattern in patterns
    )


_NEEDED = r"(?:necessary|needed|required)"
_NEGATED = re.compile(
    r"\bno (?!longer\b|way\b)(?:[\w-]+[ ,/]+(?:or |and )?){0,4}?(?:manual|migrat|breaking|action|step|intervention"
    r"|backup|changes?|need|further|downtime|work|preparation)"
    r"|\bnothing\b.{0,30}\b(?:to|needs?|required|breaking|manual|changes?)\b"
    rf"|\b(?:not|n't) (?:\w+ )?{_NEEDED}\b|\bnon-breaking\b"
    r"|(?:\bnot|n't) (?:an? |any |be |really |strictly )?(?:breaking|affect)"
    r"|(?:\b(?:do|does|did|is|are|should|will|would|need) ?n[o']t|\bneedn't|\bnever) "
    r"(?:need|require|have to|break|contain|include|involve|any)"
    r"|\bwithout (?:any |the need |needing |having |a )*(?:to |for |of )?"
    r"(?:manual|migrat|breaking|action|intervention|downtime|backup)"
    rf"|\b(?:breaking(?: changes?)?|migrations?|manual steps?|actions?(?: {_NEEDED})?)\W*"
    r"\b(?:none|no|nothing|n/a)\b"
    r"|\bno longer (?:\w+ )?(?:need|have to|require|necessary)",
    re.IGNORECASE,
)
_AUTOMATIC = re.compile(
    r"\bautomat|\bon its own\b|\bby itself\b|\bhandled (?:by|for|in)\b|\btaken care of\b|\btransparent"
    r"|\bmigrat[^.]{0,60}\b(?:on|at|during|upon) (?:the )?(?:first |next )?(?:start|boot|launch|deploy)",
    re.IGNORECASE,
)
_NOT_AUTOMATIC = re.compile(r"(?:\bnot|n't|\bcannot|\bno) (?:\w+ ){0,4}automat", re.IGNORECASE)
_HOUSEKEEPING = re.compile(
    r"\W*(?:\w+\([\w -]+\)!?: *)?(?:fix(?:e[sd])?|bug ?fix|hot ?fix|typos?|bump(?:s|ed)?|chore|refactor\w*|docs?|ci"
    r"|tests?|lint|improve[sd]?|clarif\w+|correct(?:s|ed)?|document(?:s|ed)?)\b",
    re.IGNORECASE,
)
_OFFERED = re.compile(
    r"\b(?:can now|now possible to|allows? (?:\w+ ){0,3}to|able to|options? to|ability to|if you (?:want|like|wish)"
    r"|optional(?:ly)?|feel free)\b",
    re.IGNORECASE,
)
_MENDED = re.compile(r"\b(?:bugs?|fix\w*|issues?|errors?|crash\w*|fail\w*)\b", re.IGNORECASE)
_NONE = re.compile(r"\W*(?:none|nothing|n/a|no(?: \w+){0,3})\W*", re.IGNORECASE)
_LOUD = frozenset({"attention", "command", "breaking", "must", "after", "irreversible"})
_QUIET_FOR_OFFERS = frozenset({"manual", "yours", "must", "backup", "command", "moved", "required", "sample"})

_URL = re.compile(r"https?://\S+")
_BREAK = re.compile(r"[.!?](?=\s|$)|;|,? but\b|,? however\b|,? except\b| [\u2013\u2014] ")
_BULLET = re.compile(r"\s*(?:[-*+•] |[0-9]{1,3}[.)] |#+ |>)")
_HEADING = re.compile(r"\s*#+ |.*:\s*$")
_FENCE = re.compile(r"\s*(?:```|~~~)")


def markers(text: str) -> tuple[Marker, ...]:
    """Give the lines that ask for hands, each once with the first rule that found it, in order."""
    lines = text.split("\n")
    found: dict[int, Marker] = {}
    blocks = list(_blocks(lines))
    for index, (first, block) in enumerate(blocks):
        after = blocks[index + 1][1] if index + 1 < len(blocks) else ""
        if _HEADING.match(block) and _NONE.fullmatch(after):
            continue
        for offset, rule in _hits(block):
            line = first + block.count("\n", 0, offset)
            found.setdefault(line, Marker(line, lines[line - 1].strip(), rule))
    return tuple(found[line] for line in sorted(found))


def _blocks(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Give what is read as one run of text, with the number of its first line; fenced lines stay alone."""
    block: list[str] = []
    fenced = False
    for number, line in enumerate([*lines, ""], start=1):
        fence = _FENCE.match(line) is not None
        ends = not line.strip() or fence or fenced or _BULLET.match(line) is not None
        if block and (ends or _HEADING.match(block[-1])):
            yield number - len(block), "\n".join(block)
            block = []
        if line.strip() and not fence:
            block.append(line)
        fenced ^= fence


def _hits(block: str) -> Iterator[tuple[int, str]]:
    flat = block.replace("\n", " ").replace("\r", " ")
    plain = _URL.sub(lambda m: " " * len(m[0]), flat)
    for start, end in _clauses(plain):
        clause = plain[start:end]
        if _NEGATED.search(clause):
            continue
        quiet = _quiet(clause)
        if _NOT_AUTOMATIC.search(clause):
            yield start + len(clause) - len(clause.lstrip()), "manual"
        for rule, pattern in _rules():
            where = flat[start:end] if rule == "guide" else clause
            if rule not in quiet and (match := pattern.search(where)):
                yield start + match.start(), rule


def _clauses(text: str) -> Iterator[tuple[int, int]]:
    """Give the spans of what is judged by itself: "no migration, but rename X" is two."""
    start = 0
    for match in _BREAK.finditer(text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def _quiet(clause: str) -> frozenset[str]:
    """Give the rules that do not count in a clause: what is done by itself, fixed, or only offered."""
    quiet: frozenset[str] = frozenset({"migration"} if _MENDED.search(clause) else ())
    if _AUTOMATIC.search(clause) and not _NOT_AUTOMATIC.search(clause):
        quiet |= {"migration", "manual"}
    if _HOUSEKEEPING.match(clause):
        quiet |= {name.removesuffix("!") for name in _TABLE} - _LOUD
    if _OFFERED.search(clause):
        quiet |= _QUIET_FOR_OFFERS
    return quiet
