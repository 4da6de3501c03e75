"""Make the pictures of the documents from real runs on a practice host: `python -m scripts.pictures`.

Each picture is what a terminal of `COLUMNS` columns showed, in a dark and in a light theme. A test runs the same
commands and compares the text.
"""

import getpass
import html
import os
import pty
import re
import select
import signal
import socket
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME, SVG_EXPORT_THEME, TerminalTheme
from rich.text import Text

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
COLUMNS = 96
SECONDS = 120.0
"""How long one command may take."""

THEMES = {"dark": SVG_EXPORT_THEME, "light": DEFAULT_TERMINAL_THEME}

_PROGRAM = "ccci-upgrade"
_FONT = re.compile(r"@font-face\s*{.*?}\s*", re.DOTALL)
"""rich names a font on somebody's server: a picture must not ask anybody."""

_TEXT = re.compile(r"<text [^>]*>(.*?)</text>", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One picture: its file's name, its title, and the commands it shows, without the program's name.

    `before` are commands that are not shown; the one that is `killed` ends with SIGKILL while it says `at`.
    """

    name: str
    title: str
    shown: tuple[tuple[str, ...], ...]
    before: tuple[tuple[str, ...], ...] = ()
    killed: tuple[str, ...] = ()
    at: str = ""


SCENES = (
    Scene(name="status", title="what runs, and what is newer", shown=(("status",),)),
    Scene(name="held", title="an upgrade that is held", shown=(("upgrade", "keycloak", "--no-input"),)),
    Scene(name="upgrade", title="an upgrade", shown=(("upgrade", "drone", "--no-input"),)),
    Scene(
        name="rolled-back",
        title="an upgrade that Swarm took back behind a green page",
        shown=(("upgrade", "traefik", "--no-input"),),
    ),
    Scene(
        name="undone",
        title="an upgrade that is undone, with its data",
        before=(("practice", "break", "bad-version"),),
        shown=(("upgrade", "drone", "--no-input"),),
    ),
    Scene(
        name="died",
        title="after a run that died",
        killed=("upgrade", "keycloak", "--to", "10.1.0+26.1.0", "--no-input"),
        at="waiting for db to stop",
        shown=(("status",), ("upgrade", "keycloak", "--undo", "--no-input")),
    ),
)
"""In this order, on one practice host."""


def play(scene: Scene, folder: Path) -> list[str]:
    """Run a scene's commands in the folder of a practice host; gives lines with their colours."""
    lines: list[str] = []
    for words in scene.before:
        run(words, folder)
    if scene.killed:
        run(scene.killed, folder, until=scene.at)
    for words in scene.shown:
        lines += ["", f"\x1b[1m$ {' '.join((_PROGRAM, *words))}\x1b[0m", *_shown(words, folder)]
    return lines[1:]


def _shown(words: Sequence[str], folder: Path) -> list[str]:
    """What is there to see: where the folder is, and who sits here, is nobody's business."""
    who, where = getpass.getuser(), socket.gethostname()
    said = run(words, folder).replace(str(folder), "/srv")
    said = said.replace(f"{who}@{where}", "root@ci").replace(f"{who} on {where}", "root on ci")
    return re.sub(rf"(process \d+ on ){re.escape(where)}\b", r"\1ci", said).splitlines()


def run(words: Sequence[str], folder: Path, *, until: str = "") -> str:
    """Run the program at a terminal of its own, with nobody typing; gives what the terminal got.

    It is killed as soon as it says `until`.
    """
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        environment |= {"PYTHONPATH": str(ROOT), "HOME": str(folder), "COLORTERM": "truecolor"}
        os.execve(sys.executable, [sys.executable, "-m", "ccci_upgrade", *words], environment)  # noqa: S606
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    got = b""
    for piece in _read(terminal):
        got += piece
        if until and until.encode() in got:
            os.kill(child, signal.SIGKILL)
            until = ""
    os.close(terminal)
    os.waitpid(child, 0)
    return got.decode(errors="replace").replace("\r\n", "\n")


def draw(lines: Sequence[str], title: str, theme: TerminalTheme) -> str:
    """Draw lines as a picture that needs nothing from anywhere else."""
    screen = Console(record=True, width=COLUMNS, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    for line in lines:
        text = Text.from_ansi(line)
        for part in text.divide(range(COLUMNS, len(text), COLUMNS)):  # as a terminal breaks what is too long
            screen.print(part, soft_wrap=True)
    drawn = screen.export_svg(title=title, theme=theme, unique_id=title.replace(" ", "-"))
    screen.file.close()
    # Leading white space counts: not every viewer takes no-break spaces for it.
    drawn = drawn.replace("<text ", '<text xml:space="preserve" ')
    return _FONT.sub("", drawn).replace("Fira Code", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono")


def text_of(picture: str) -> list[str]:
    """The lines a picture shows, without its title."""
    pieces = [html.unescape(piece).replace("\xa0", " ") for piece in _TEXT.findall(picture)]
    return "".join(pieces[1:]).splitlines()


@contextmanager
def practice_host() -> Iterator[Path]:
    """Give the folder of a running practice host, and take it away afterwards."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "practice"
        run(("practice", "--folder", str(folder)), Path(parent))
        try:
            yield folder
        finally:
            run(("practice", "stop", "--folder", str(folder)), Path(parent))


def _read(terminal: int) -> Iterator[bytes]:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how a terminal says that its last program has gone
            return
        if not piece:
            return
        yield piece
    raise TimeoutError(f"the command still ran after {SECONDS:.0f} s")


def main() -> None:
    """Write every picture."""
    FOLDER.mkdir(exist_ok=True)
    with practice_host() as folder:
        for scene in SCENES:
            lines = play(scene, folder)
            for name, theme in THEMES.items():
                (FOLDER / f"{scene.name}-{name}.svg").write_text(
                    draw(lines, scene.title, theme), encoding="utf-8"
                )


if __name__ == "__main__":
    main()
