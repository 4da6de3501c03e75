"""The shared memory of one app: its last good versions, as labels of a Swarm config. Pure.

Labels are foreign text: anybody who may talk to the Engine can write them. What does not read as a whole is not
read at all: half a memory could send a rollback to the wrong place.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, cast

from ccci_upgrade.model.version import RecipeVersion
from ccci_upgrade.text import tame_line

PREFIX = "ccci-upgrade-app-"
"""Config names begin so, and go on with the stack's name. Names are unique in a Swarm."""

SCHEMA = "1"
KEPT = 5
"""Versions of one app that are remembered."""

LONGEST = 32_000
"""Characters of the whole memory of one app; its oldest versions are left out where it would be longer."""

SHOWN = 200
"""Characters of a text for people that are kept."""

LONGEST_IMAGE, MOST_IMAGES = 350, 16
"""An image that is longer is left out, not cut: a part of it would name another one."""

LONGEST_TIME = 1e7
"""Seconds that going back may have taken."""

_NAME_LIMIT, _DIGITS = 64, 12
_LABEL = "ccci-upgrade.app"
_STACK, _GOOD = f"{_LABEL}.stack", f"{_LABEL}.good"
_PLAIN = r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?"
_SHAPES = {
    "app": r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}",
    "version": r"[0-9A-Za-z][0-9A-Za-z._+-]{0,127}",
    "recorded": r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z",
    "snapshot": r"[0-9]{8}T[0-9]{6}-[0-9a-f]{4}",
}
_TEXTS = ("recipe", "operator", "host", "run_id", "snapshot_host")


@dataclass(frozen=True, kw_only=True, slots=True)
class LastGood:
    """One version of an app that was healthy, and what a way back to it needs.

    `recorded`: UTC stamp, by whom and where; `run_id`: the run that says so. `snapshot`: the newest copy of the
    data of this very version, `snapshot_host`: the machine whose state folder has its files ("" without one).
    `images`: by service, with digest or local id. `rollback_seconds`: how long going back to it took before.
    """

    app: str
    stack: str
    recipe: str
    version: str
    recorded: str
    operator: str
    host: str
    run_id: str
    snapshot: str | None = None
    snapshot_host: str = ""
    images: tuple[tuple[str, str], ...] = ()
    rollback_seconds: float | None = None

    def after(self, older: "LastGood") -> "LastGood":
        """The same version recorded again: what is only known from before is kept."""
        kept = self
        if self.snapshot is None:
            kept = replace(kept, snapshot=older.snapshot, snapshot_host=older.snapshot_host)
        if self.rollback_seconds is None:
            kept = replace(kept, rollback_seconds=older.rollback_seconds)
        return kept if self.images else replace(kept, images=older.images)


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What is remembered of one stack: at least one version, the one recorded last first, each version once."""

    stack: str
    good: tuple[LastGood, ...]

    @property
    def last(self) -> LastGood:
        """The version that was recorded as good last."""
        return self.good[0]

    @property
    def snapshots(self) -> frozenset[str]:
        """Every snapshot that is referred to: pruning leaves these alone."""
        return frozenset(each.snapshot for each in self.good if each.snapshot is not None)

    def of(self, version: str | None) -> LastGood | None:
        """What is remembered of one version."""
        return next((each for each in self.good if each.version == version), None)

    def before(self, running: str | None) -> LastGood | None:
        """Where a way back from `running` leads: the last good version below it.

        Where what runs has no version that can be compared, it is the last good one.
        """
        now = RecipeVersion.parse(running) if running else None
        if now is None:
            return self.last if self.last.version != running else None
        for each in self.good:
            then = RecipeVersion.parse(each.version)
            if then is not None and then < now:
                return each
        return None


class Unreadable(NamedTuple):
    """A config of one of our names that is no memory: `why`, in one tame line."""

    name: str
    why: str


def config_name(stack: str) -> str:
    """The config's name, at most 64 characters; a stack that does not fit is named by its beginning and a hash.

    Swarm compares names without case, so a stack with capitals is told apart by its hash.
    """
    if re.fullmatch(_PLAIN, stack) and len(PREFIX) + len(stack) <= _NAME_LIMIT:
        return PREFIX + stack
    digest = hashlib.sha256(stack.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    begin = re.sub("[^a-z0-9_.-]", "-", stack.lower())[: _NAME_LIMIT - len(PREFIX) - _DIGITS - 1]
    return f"{PREFIX}{begin}-{digest}" if begin else f"{PREFIX}{digest}"


def with_good(memory: Memory | None, *goods: LastGood) -> Memory:
    """What is remembered after these, oldest first: the newest on top, each version once, at most `KEPT`."""
    found = memory.good if memory else ()
    for good in goods:
        old = next((each for each in found if each.version == good.version), None)
        new = good.after(old) if old else good
        found = (new, *(each for each in found if each.version != good.version))[:KEPT]
    return Memory(stack=found[0].stack, good=found)


def to_labels(memory: Memory) -> dict[str, str]:
    """The config's labels; the oldest versions are left out where they would be too long."""
    entries = [_entry(each) for each in memory.good[:KEPT]]
    while len(text := json.dumps(entries, ensure_ascii=False)) > LONGEST and len(entries) > 1:
        entries.pop()
    return {_LABEL: SCHEMA, _STACK: memory.stack, _GOOD: text}


def from_labels(name: str, labels: Mapping[str, str]) -> Memory | Unreadable:
    """Read a config of this name back, or say why it is no memory."""
    try:
        return _read(name, labels)
    except _WrongError as error:
        return Unreadable(name=tame_line(name), why=str(error))


class _WrongError(ValueError):
    """What is wrong, in one tame line."""


def _read(name: str, labels: Mapping[str, str]) -> Memory:
    schema, stack, text = (labels.get(key) for key in (_LABEL, _STACK, _GOOD))
    if schema is None:
        raise _WrongError(f"it has no label `{_LABEL}`")
    if schema != SCHEMA:
        said = _short(schema)[:40]
        raise _WrongError(f"its label `{_LABEL}` is `{said}`, and this version knows only `{SCHEMA}`")
    if not stack or config_name(stack) != name:
        raise _WrongError(f"its label `{_STACK}` names another stack")
    if text is None or len(text) > LONGEST:
        raise _WrongError(f"its label `{_GOOD}` is {'missing' if text is None else 'too long'}")
    try:
        raw: object = json.loads(text)
    except (ValueError, RecursionError):
        raise _WrongError(f"its label `{_GOOD}` is no JSON") from None
    if not isinstance(raw, list) or not 0 < len(raw) <= KEPT:
        raise _WrongError(f"its label `{_GOOD}` is no list of 1 to {KEPT} versions")
    good = tuple(_good(stack, each) for each in raw)
    if len({each.version for each in good}) != len(good):
        raise _WrongError(f"its label `{_GOOD}` names a version twice")
    return Memory(stack=stack, good=good)


def _entry(good: LastGood) -> dict[str, object]:
    images = {service: image for service, image in good.images if _fits(service) and _fits(image)}
    return {
        "app": good.app,
        "version": good.version,
        "recorded": good.recorded,
        "snapshot": good.snapshot,
        **{key: _short(getattr(good, key)) for key in _TEXTS},
        "images": dict(sorted(images.items())[:MOST_IMAGES]),
        "rollback_seconds": good.rollback_seconds,
    }


def _good(stack: str, raw: object) -> LastGood:
    if not isinstance(raw, dict):
        raise _WrongError("a version in it is no object")
    tree = cast("dict[str, object]", raw)
    snapshot = None if tree.get("snapshot") is None else _shaped(tree, "snapshot")
    said = {key: _text(tree, key) for key in _TEXTS}
    if snapshot is None:
        said["snapshot_host"] = ""
    return LastGood(
        **said,
        stack=stack,
        app=_shaped(tree, "app"),
        version=_shaped(tree, "version"),
        recorded=_shaped(tree, "recorded"),
        snapshot=snapshot,
        images=_images(tree.get("images")),
        rollback_seconds=_seconds(tree.get("rollback_seconds")),
    )


def _text(tree: Mapping[str, object], key: str) -> str:
    value = tree.get(key)
    if not isinstance(value, str):
        raise _WrongError(f"`{key}` in it is no text")
    return _short(value)


def _shaped(tree: Mapping[str, object], key: str) -> str:
    value = tree.get(key)
    if not isinstance(value, str) or re.fullmatch(_SHAPES[key], value) is None:
        raise _WrongError(f"`{key}` in it is not what it must be")
    return value


def _images(raw: object) -> tuple[tuple[str, str], ...]:
    pairs = sorted(raw.items()) if isinstance(raw, dict) else [("", None)]
    if len(pairs) > MOST_IMAGES or not all(isinstance(v, str) and _fits(k) and _fits(v) for k, v in pairs):
        raise _WrongError("`images` in it are not what they must be")
    return tuple(pairs)


def _fits(text: str) -> bool:
    return 0 < len(text) <= LONGEST_IMAGE and tame_line(text) == text


def _seconds(raw: object) -> float | None:
    if raw is None:
        return None
    # A number of JSON may be larger than any float, and none at all (NaN).
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= LONGEST_TIME:
        raise _WrongError("`rollback_seconds` in it is no time")
    return float(raw)


def _short(text: str) -> str:
    line = tame_line(text)
    return line if len(line) <= SHOWN else f"{line[: SHOWN - 1]}…"
