"""Traefik's routes as the Swarm's service labels have them: host, path and scheme.

The rules of traefik v2 and v3 are read (`Host`, `PathPrefix`, `Path`, `&&`, `||`, `!`, brackets; strings in
backticks or double quotes). What cannot be asked by one plain request is listed as skipped, not guessed.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product

from ccci_upgrade.text import tame_line

STACK_LABEL = "com.docker.stack.namespace"

_TOKEN = re.compile(
    r'\s*(?:(?P<word>[A-Za-z]\w*)|(?P<raw>`[^`]*`)|(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<mark>&&|\|\||[!(),]))'
)
_ROUTER = re.compile(r"traefik\.http\.routers\.(?P<name>[^.]+)\.rule", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_PATH = re.compile(r"/[A-Za-z0-9._~/@:+=-]*")
_SECURE = frozenset({"web-secure", "websecure", "https"})
_PLAIN = frozenset({"web", "http"})
_READ = frozenset({"host", "hostheader", "path", "pathprefix"})
_LONGEST = 8192
_MOST = 64
"""Alternatives one rule may have, and how deep its brackets may nest: real rules have a handful."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Route:
    """One question a router answers. `stack` is the stack whose label it comes from."""

    scheme: str
    host: str
    path: str
    stack: str

    @property
    def url(self) -> str:
        """What to ask."""
        return f"{self.scheme}://{self.host}{self.path}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes:
    """All routes, sorted, each URL once; `skipped` says in one line each what could not be read or asked."""

    routes: tuple[Route, ...]
    skipped: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Match:
    name: str
    values: tuple[str, ...]
    negated: bool = False


_Alternatives = list[tuple[_Match, ...]]
"""A rule as alternatives, each of which holds when all its matches hold."""


def read_routes(service_labels: Iterable[Mapping[str, str]]) -> Routes:
    """Read every HTTP router of every service's labels; a rule that cannot be read hides no other."""
    found: dict[str, Route] = {}
    skipped: list[str] = []
    for labels in service_labels:
        if labels.get("traefik.enable", "true").lower() == "false":
            continue
        for key, rule in sorted(labels.items()):
            router = _ROUTER.fullmatch(key)
            if router is None:
                continue
            routes, problems = _routes_of(labels, router["name"], rule)
            for route in routes:
                found.setdefault(route.url, route)
            skipped += [f"{tame_line(router['name'])}: {problem}" for problem in problems]
    return Routes(routes=tuple(sorted(found.values())), skipped=tuple(skipped))


def stacks_of(service_labels: Iterable[Mapping[str, str]]) -> frozenset[str]:
    """Name the stacks that have any service at all."""
    return frozenset(labels[STACK_LABEL] for labels in service_labels if labels.get(STACK_LABEL))


def parse_rule(rule: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """Give the (host, path) pairs a rule answers to, and what of it is skipped.

    Raises:
        ValueError: the text is not a rule.
    """
    pairs: list[tuple[str, str]] = []
    skipped: list[str] = []
    for matches in _Parser(rule).parse():
        hosts, path, problems = _question(matches)
        pairs += [(host, path) for host in hosts if (host, path) not in pairs]
        skipped += [problem for problem in problems if problem not in skipped]
    return tuple(pairs), tuple(skipped)


def _routes_of(labels: Mapping[str, str], router: str, rule: str) -> tuple[list[Route], list[str]]:
    scheme = _scheme(labels, router)
    try:
        pairs, skipped = parse_rule(rule)
    except ValueError as error:
        return [], [f"the rule cannot be read ({error}): {tame_line(rule[:200])}"]
    if not scheme:
        return [], ["its entry points are neither the web nor the secure one"]
    stack = labels.get(STACK_LABEL, "")
    return [Route(scheme=scheme, host=h, path=p, stack=stack) for h, p in pairs], list(skipped)


def _scheme(labels: Mapping[str, str], router: str) -> str:
    """Tell https from http by entry points and TLS labels; nothing where the port cannot be known."""
    prefix = f"traefik.http.routers.{router}."
    own = {k[len(prefix) :].lower(): v for k, v in labels.items() if k.lower().startswith(prefix.lower())}
    points = {p.strip().lower() for p in own.get("entrypoints", "").split(",") if p.strip()}
    secure = (
        any(k == "tls" or k.startswith("tls.") for k in own) and own.get("tls", "true").lower() != "false"
    )
    if points & _SECURE or (secure and (not points or points & _PLAIN)) or not points:
        return "https"
    return "http" if points & _PLAIN else ""


def _question(matches: tuple[_Match, ...]) -> tuple[list[str], str, list[str]]:
    hosts: list[str] = []
    path, problems = "/", []
    for match in matches:
        name = match.name.lower()
        if match.negated or name not in _READ:
            problems.append(f"{'not ' if match.negated else ''}{match.name} is not asked for")
            continue
        pattern = _HOST if name.startswith("host") else _PATH
        values = [v.lower().rstrip(".") if pattern is _HOST else v for v in match.values]
        good = [v for v in values if pattern.fullmatch(v)]
        problems += [f"{match.name} {tame_line(v)[:80]} cannot be asked for" for v in values if v not in good]
        if pattern is _HOST:
            hosts += good
        elif good and path == "/":
            path = good[0]
    return hosts, path, problems


class _Parser:
    """A reader of one rule by recursive descent; `&&` binds tighter than `||`, `!` tightest."""

    def __init__(self, rule: str) -> None:
        self._tokens = _tokens(rule)
        self._at = 0
        self._depth = 0

    def parse(self) -> _Alternatives:
        found = self._either(negated=False)
        if self._at != len(self._tokens):
            raise ValueError(f"unexpected {self._peek()}")
        return found

    def _either(self, *, negated: bool) -> _Alternatives:
        parts = [self._both(negated=negated)]
        while self._take("||"):
            parts.append(self._both(negated=negated))
        return _joined(parts) if negated else _listed(parts)  # de Morgan

    def _both(self, *, negated: bool) -> _Alternatives:
        parts = [self._one(negated=negated)]
        while self._take("&&"):
            parts.append(self._one(negated=negated))
        return _listed(parts) if negated else _joined(parts)

    def _one(self, *, negated: bool) -> _Alternatives:
        if self._take("!"):
            return self._nested(lambda: self._one(negated=not negated))
        if self._take("("):
            inner = self._nested(lambda: self._either(negated=negated))
            self._need(")")
            return inner
        return [(self._match(negated=negated),)]

    def _nested(self, inner: Callable[[], _Alternatives]) -> _Alternatives:
        self._depth += 1
        if self._depth > _MOST:
            raise ValueError("nested too deeply")
        found = inner()
        self._depth -= 1
        return found

    def _match(self, *, negated: bool) -> _Match:
        name = self._next()
        if not name[:1].isalpha():
            raise ValueError(f"unexpected {name}")
        self._need("(")
        values = [self._string()]
        while self._take(","):
            values.append(self._string())
        self._need(")")
        return _Match(name=name, values=tuple(values), negated=negated)

    def _string(self) -> str:
        token = self._next()
        if token[:1] == "`":
            return token[1:-1]
        if token[:1] == '"':
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        raise ValueError(f"a text is missing before {token}")

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else "end of the rule"

    def _next(self) -> str:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, mark: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == mark:
            self._at += 1
            return True
        return False

    def _need(self, mark: str) -> None:
        if not self._take(mark):
            raise ValueError(f"{mark} is missing before {self._peek()}")


def _tokens(rule: str) -> list[str]:
    tokens, at = [], 0
    text = rule.strip()
    if len(text) > _LONGEST:
        raise ValueError("too long")
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"unexpected {tame_line(text[at : at + 10])}")
        tokens.append(match.group().strip())
        at = match.end()
    return tokens


def _listed(parts: list[_Alternatives]) -> _Alternatives:
    return _few([matches for part in parts for matches in part])


def _joined(parts: list[_Alternatives]) -> _Alternatives:
    found: _Alternatives = [()]
    for part in parts:
        found = _few([left + right for left, right in product(found, part)])
    return found


def _few(found: _Alternatives) -> _Alternatives:
    if len(found) > _MOST:
        raise ValueError("too many alternatives")
    return found
