"""A recipe as data: the files of its first version, and each later version as what changed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

HEALTH = """    healthcheck:
      test: ["CMD", "/healthcheck"]
      interval: 1s
      timeout: 2s
      retries: 3
      start_period: 5s
"""
"""A health check quick enough to practise with; every image has this program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One version: the images by service that it changes, its note (None: no note file), and swapped text.

    `files` are written as they are; `swap` replaces text of compose.yml.
    """

    version: str
    images: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None
    swap: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One recipe: the files of its first version, and its later steps, ascending."""

    name: str
    first: str
    files: Mapping[str, str]
    steps: tuple[Step, ...]

    def releases(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Each version, ascending, with the files it writes: all of them for the first one."""
        compose = self.files["compose.yml"]
        yield self.first, dict(self.files)
        for step in self.steps:
            compose = changed(compose, step)
            note = {} if step.note is None else {f"release/{step.version}": step.note}
            yield step.version, {"compose.yml": compose, **step.files, **note}

    def images(self) -> tuple[str, ...]:
        """Every image that any version names, in the order they come up."""
        named = [image for _, files in self.releases() for image in _images(files["compose.yml"])]
        return tuple(dict.fromkeys(named))


def changed(compose: str, step: Step) -> str:
    """Give a compose file at the step's version. ValueError where a change finds nothing to change."""
    compose, found = re.subn(r"(\.version=)[0-9][^\"\s]*", rf"\g<1>{step.version}", compose)
    _once(found, "version label")
    for service, image in step.images.items():
        pattern = rf"(\n  {service}:\n(?:    .*\n|\n)*?    image: )\S+"
        compose, found = re.subn(pattern, rf"\g<1>{image}", compose)
        _once(found, f"image of {service}")
    for old, new in step.swap:
        if old not in compose:
            raise ValueError(f"{old!r} is not in the compose file")
        compose = compose.replace(old, new)
    return compose


def with_env(compose: str, service: str, values: Mapping[str, str]) -> str:
    """Add to a service's environment. ValueError where the service has none."""
    lines = "".join(f"      - {name}={value}\n" for name, value in values.items())
    pattern = rf"(\n  {service}:\n(?:    .*\n|\n)*?    environment:\n)"
    compose, found = re.subn(pattern, lambda match: match[1] + lines, compose)
    _once(found, f"environment of {service}")
    return compose


def _images(compose: str) -> list[str]:
    return re.findall(r"^    image: (\S+)$", compose, re.MULTILINE)


def _once(found: int, what: str) -> None:
    if found != 1:
        raise ValueError(f"expected one {what} in the compose file, found {found}")
