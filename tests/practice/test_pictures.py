"""The pictures in the documents show what happens; `python -m scripts.pictures` makes them anew."""

import re
from xml.etree import ElementTree as ET

from rich.text import Text

from scripts.pictures import FOLDER, SCENES, THEMES, play, practice_host, text_of

_MOVES = (
    (r"\d+\.\ds", "0.0s"),  # durations
    (r"\(id:\w+\)", "(id:)"),
    (r"task\w{25}", "task"),
    (r"task\w{12}(?=failed)", "task"),
    (r"app\w{12}\|", "app|"),
    (r"state/\w+/runs/\d+T\d+", "state/runs/"),
    (r"-[0-9a-f]{4}/abra\.log", "/abra.log"),
    (r"\d{8}T\d{6}-([a-z-]*?)-?[0-9a-f]{4}(?![0-9a-f])", r"run-\1"),
    (r"(pid|process)\d+", r"\1"),
    (r"since\d{4}-\d\d-\d\dT[\d:.]+Z", "since"),
)
"""What differs from run to run, and what it is compared as; white space is gone by then."""


def test_every_picture_is_a_picture_and_asks_nobody() -> None:
    """Well-formed; no font, image or script from somebody's server."""
    made = {f"{scene.name}-{theme}.svg" for scene in SCENES for theme in THEMES}

    assert made == {path.name for path in FOLDER.iterdir()}
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8")
        ET.fromstring(text)  # noqa: S314 - our own file
        assert not re.search(r"url\(\s*[\"']?https?:|href=|<script|@import", text), path.name


def test_the_pictures_show_what_happens() -> None:
    """Each command prints what its picture shows, in both themes."""
    with practice_host() as folder:
        for scene in SCENES:
            seen = _comparable([Text.from_ansi(line).plain for line in play(scene, folder)])
            for theme in THEMES:
                shown = text_of((FOLDER / f"{scene.name}-{theme}.svg").read_text(encoding="utf-8"))
                assert _comparable(shown) == seen, f"{scene.name}-{theme}: python -m scripts.pictures"


_PASSING = re.compile(r"\s*(waiting for|volume \S+: .* left$|\S+_db: stopped by this run)")
"""Lines that are there or not as the machine is slow or fast; a kill comes a little before or after a step."""


_PHASES = re.compile(r"(?:(?<=\s)[a-z-]+\s+\d+\.\d\s+s\s+)+")
"""Those that took time, in a row: which ones did is not the same each time."""


def _comparable(lines: list[str]) -> str:
    """All the text there is, without white space, without what is waited for: that is never the same."""
    kept = [line for line in lines if not _PASSING.match(line)]
    text = re.sub(r"\s", "", _PHASES.sub("phases ", " ".join(kept) + " "))
    for pattern, same in _MOVES:
        text = re.sub(pattern, same, text)
    return text
