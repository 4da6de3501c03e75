"""Reading an HTTP answer: are the probe's expectations met, and which facts does it tell.

The body is foreign: it is parsed here, never quoted beyond one short tamed value.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urljoin, urlsplit

from ccci_upgrade.model.drone import read_builds, read_queue
from ccci_upgrade.model.probe import Gap, Probe, ProbeResult, Reading, Scalar
from ccci_upgrade.text import decode, tame_line

REDIRECTS = (301, 302, 303, 307, 308)

_STEP = re.compile(r"([^.\[\]]+)|\[(\d{1,9}|\*)\]")
_PATH = re.compile(r"(?:[^.\[\]]+|\[(?:\d{1,9}|\*)\])(?:\.[^.\[\]]+|\[(?:\d{1,9}|\*)\])*")
_WORST = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One HTTP answer. Header names are lower case; `body` is empty where not needed, `cut` at its limit."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    cut: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unreadable:
    """Why there is no JSON."""

    why: str


def needs_body(probe: Probe) -> bool:
    """Whether anything asked for stands in the body; if not, a page without an end does no harm."""
    in_body = any(f.source.split(":")[0] in ("json", "set", "count", "true") for f in probe.facts)
    return bool(probe.body or probe.json or probe.json_has or in_body or probe.reading is not Reading.PLAIN)


def read_answer(probe: Probe, answer: Answer, *, seconds: float) -> ProbeResult:
    """Judge one answer; `seconds` is how long it took."""
    data = _json(answer) if needs_body(probe) else _Unreadable(why="")
    problems = [p for p in (*_outside(probe, answer), *_inside(probe, answer, data)) if p]
    facts = {f.name: v for f in probe.facts if (v := _fact(f.source, answer, data)) is not None}
    if probe.reading is Reading.DRONE_BUILDS and not problems:
        return read_builds(probe.name, data, seconds=seconds)
    if probe.reading is Reading.DRONE_QUEUE and not problems:
        return read_queue(probe.name, data, answer.headers.get("date", ""), seconds=seconds)
    refused = probe.token is not None and answer.status in (401, 403)
    return ProbeResult(
        name=probe.name,
        ok=not problems,
        detail="; ".join(problems) or f"status {answer.status}",
        seconds=seconds,
        facts=facts,
        gap=Gap.NOT_RUN if refused else Gap.NONE,
    )


def parse_path(text: str) -> tuple[str | int, ...]:
    """Read a JSON path like `a.b[0].c` or `keys[*].kid` ("*" is every item); the empty path is the whole.

    Raises:
        ValueError: it is not such a path.
    """
    if text and _PATH.fullmatch(text) is None:
        raise ValueError(f"no JSON path: {tame_line(text)}")
    steps = (match.groups() for match in _STEP.finditer(text))
    return tuple(key or ("*" if index == "*" else int(index)) for key, index in steps)


def matches(wanted: str, text: str, *, whole: bool) -> bool:
    """Whether `/regex/` is found in a text; anything else must be in it, or be the `whole` of it."""
    if is_regex(wanted):
        return re.search(wanted[1:-1], text) is not None
    return text == wanted if whole else wanted in text


def is_regex(wanted: str) -> bool:
    """Whether a configured text is written as `/regex/`."""
    return len(wanted) > 2 and wanted[0] == wanted[-1] == "/"  # noqa: PLR2004 - the two slashes


def redirect_target(answer: Answer) -> str:
    """Give the absolute URL a redirect leads to; empty where it is none, or no URL."""
    if answer.status not in REDIRECTS:
        return ""
    try:
        target = urljoin(answer.url, answer.headers.get("location", ""))
        return target if urlsplit(target).hostname else ""
    except ValueError:
        return ""


def host_of(url: str) -> str:
    """Give `host` or `host:port` of a URL or of a bare host, lower case and without the scheme's own port."""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    own = {"http": 80, "https": 443}.get(parts.scheme)
    return host if port is None or port == own else f"{host}:{port}"


def _outside(probe: Probe, answer: Answer) -> Iterator[str]:
    status = answer.status
    if probe.status and status not in probe.status:
        yield f"status {status} instead of {' or '.join(map(str, probe.status))}"
    if not probe.status and status >= _WORST:
        yield f"status {status}"
    for name, wanted in probe.headers.items():
        value = answer.headers.get(name.lower())
        if value is None:
            yield f"no header {name}"
        elif not matches(wanted, value, whole=True):
            yield f"header {name} is {_short(value)}"
    if probe.redirect_host or probe.redirect_query:
        yield _redirect_problem(probe, answer)


def _redirect_problem(probe: Probe, answer: Answer) -> str:
    target = redirect_target(answer)
    if not target:
        return f"no redirect to {_short(probe.redirect_host or 'another page')}"
    if probe.redirect_host and host_of(target) != host_of(probe.redirect_host):
        return f"redirects to {_short(host_of(target))} instead of {_short(host_of(probe.redirect_host))}"
    query = _query(target)
    wrong = [key for key, value in probe.redirect_query.items() if query.get(key) != [value]]
    return f"redirects with another {', '.join(wrong)} than configured" if wrong else ""


def _inside(probe: Probe, answer: Answer, data: object) -> Iterator[str]:
    if probe.body and not matches(probe.body, decode(answer.body), whole=False):
        yield f"the page does not hold {_short(probe.body)}" + (" in its first part" if answer.cut else "")
    if not (probe.json or probe.json_has or probe.reading is not Reading.PLAIN):
        return
    if isinstance(data, _Unreadable):
        yield data.why
        return
    for path in probe.json_has:
        if not list(_walk(data, parse_path(path))):
            yield f"the JSON has no {path}"
    for path, wanted in probe.json.items():
        yield _value_problem(path, wanted, list(_walk(data, parse_path(path))))


def _value_problem(path: str, wanted: Scalar, found: list[object]) -> str:
    if not found:
        return f"the JSON has no {path}"
    # True == 1 in Python, not in JSON
    same = all(v == wanted and isinstance(v, bool) == isinstance(wanted, bool) for v in found)
    return "" if same else f"{path} is {_short(_text(found[0]))}"


def _json(answer: Answer) -> object:
    if answer.cut:
        return _Unreadable(why=f"the answer is longer than {len(answer.body)} bytes")
    try:
        parsed: object = json.loads(answer.body)
    except (ValueError, RecursionError):
        return _Unreadable(why="the answer is not JSON")
    return parsed


def _walk(value: object, steps: tuple[str | int, ...]) -> Iterator[object]:
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    if isinstance(value, list):
        if step == "*":
            for item in value:
                yield from _walk(item, rest)
        elif isinstance(step, int) and step < len(value):
            yield from _walk(value[step], rest)
    elif isinstance(value, dict) and isinstance(step, str) and step in value:
        yield from _walk(value[step], rest)


def _query(url: str) -> dict[str, list[str]]:
    try:
        return parse_qs(urlsplit(url).query, max_num_fields=100)
    except ValueError:
        return {}


def _fact(source: str, answer: Answer, data: object) -> str | None:
    kind, _, argument = source.partition(":")
    outside: dict[str, Callable[[], str | None]] = {
        "status": lambda: str(answer.status),
        "redirect": lambda: host_of(redirect_target(answer)),
        "redirect-query": lambda: " ".join(
            parse_qs(urlsplit(redirect_target(answer)).query).get(argument, [])
        ),
        "header": lambda: answer.headers.get(argument.lower()),
    }
    if kind in outside:
        return outside[kind]()
    if isinstance(data, _Unreadable):
        return None
    return _told(kind, list(_walk(data, parse_path(argument))))


def _told(kind: str, found: list[object]) -> str | None:
    """Turn the values at a path into a fact; a path that is not there tells nothing."""
    if kind == "true":
        return str(sum(value is True for value in found))
    if not found:
        return None
    if kind == "count":
        return str(len(found[0])) if isinstance(found[0], list) else None
    if kind == "set":
        return " ".join(sorted({re.sub(r"\s", "_", _text(v)) for v in found}))
    return _text(found[0])


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _short(text: str) -> str:
    shown = tame_line(text)
    return shown if len(shown) <= 120 else f"{shown[:120]}…"  # noqa: PLR2004 - one line of a terminal
