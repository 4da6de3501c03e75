"""A far Engine brought near: one ssh process that forwards private sockets of ours to its machine.

The Engine's socket is one of them; each address that probes connect to over there is another. A lost connection
is opened anew when somebody needs it, by one new ssh, never beside the old one.
"""

import shutil
import tempfile
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.process import Companion
from ccci_upgrade.tools import ssh

OPEN_SECONDS = 20.0
"""Until the sockets must be there, where nobody is asked anything."""

ASKING_SECONDS = 120.0
"""The same where ssh may ask for a passphrase at the terminal."""

PAUSE_SECONDS = 2.0
"""Between a failed attempt and the next one; whoever asks meanwhile gets the same error."""

_LONGEST = 90
"""Bytes of our sockets' paths: a Unix socket's may have 104 on some systems."""

_WORDS_SECONDS = 0.3


@dataclass(frozen=True, kw_only=True, slots=True)
class _Link:
    """One ssh process and the folder of its sockets, which goes when it ends."""

    ssh: Companion
    folder: Path


class Forward:
    """The way to one server. Every method but `close` may be called by any thread at any time."""

    def __init__(self, target: ssh.Target, places: Iterable[tuple[str, int]] = ()) -> None:
        """Name the server and the (host, port) pairs over there that probes will connect to."""
        self.target = target
        self._places = {pair: f"p{number}" for number, pair in enumerate(dict.fromkeys(places))}
        self._lock = threading.Lock()
        self._link: _Link | None = None
        self._closed = False
        self._failed: EngineError | None = None
        self._failed_at = 0.0

    @property
    def url(self) -> str:
        """What to call it in words."""
        return self.target.url

    def open(self, *, may_ask: bool) -> None:
        """Connect for the first time. With `may_ask` ssh may ask at the terminal: nothing of ours is shown yet.

        Raises:
            EngineError: in ssh's words, within `OPEN_SECONDS`, or `ASKING_SECONDS` where somebody is asked.
        """
        with self._lock:
            self._connect(may_ask=may_ask)

    def socket(self) -> Path:
        """Where the Engine can be reached now; connects anew where ssh has ended.

        Raises:
            EngineError: there is no connection, and none can be had now.
        """
        return self._alive().folder / "e"

    def door(self, host: str, port: int) -> Path:
        """Where a place over there can be reached now.

        Raises:
            EngineError: there is no connection, or no forward to that place was asked for.
        """
        name = self._places.get((host, port))
        if name is None:
            raise EngineError(
                f"nothing is forwarded to {ssh.place(host, port)} of {self.url}", code="ssh-forward"
            )
        return self._alive().folder / name

    def blame(self, error: EngineError) -> EngineError:
        """Say why the Engine's socket gave no answer, where ssh knows better."""
        link = self._link
        if link is None:
            return error
        deadline = clock.ticks() + _WORDS_SECONDS
        while clock.ticks() < deadline:
            if link.ssh.ended:
                return ssh.explain(self.target, link.ssh.words, "the connection was lost")
            if b"open failed" in link.ssh.words:
                return ssh.refused(self.target)
            clock.sleep(0.02)
        return EngineError(error.message, hint=ssh.by_hand(self.target), code=error.code)

    def close(self) -> None:
        """End ssh, and wait for that."""
        self._closed = True
        with self._lock:
            if self._link is not None:
                self._link.ssh.close()
                self._link = None

    def _alive(self) -> _Link:
        with self._lock:
            link = self._link
            if link is not None and not link.ssh.ended and link.folder.exists():
                return link
            if self._closed:
                raise EngineError(f"the connection to {self.url} is closed", code="ssh")
            if self._failed is not None and clock.ticks() - self._failed_at < PAUSE_SECONDS:
                raise self._failed
            return self._connect(may_ask=False)

    def _connect(self, *, may_ask: bool) -> _Link:
        """Start ssh and wait for its sockets; the lock is held."""
        if self._link is not None:
            self._link.ssh.close()
            self._link = None
        try:
            self._link = self._started(may_ask=may_ask)
        except EngineError as error:
            self._failed, self._failed_at = error, clock.ticks()
            raise
        self._failed = None
        return self._link

    def _started(self, *, may_ask: bool) -> _Link:
        program = shutil.which("ssh")
        if program is None:
            raise EngineError(
                f"{self.url} cannot be reached: there is no `ssh` here",
                hint="install OpenSSH's client, or run this tool on the server itself",
                code="no-ssh",
            )
        folder = _private_folder()
        forwards = [(folder / "e", self.target.socket)]
        forwards += [(folder / name, ssh.place(*pair)) for pair, name in self._places.items()]
        # ssh listens in this order: when the last socket is there, all others take connections.
        forwards.append((folder / "z", self.target.socket))
        words = (program, *ssh.argv(self.target, forwards, batch=not may_ask))
        try:
            link = _Link(ssh=Companion(words, folder=folder, terminal=may_ask), folder=folder)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise EngineError(f"cannot start `{program}`: {error.strerror}", code="no-ssh") from error
        try:
            self._wait(link, ASKING_SECONDS if may_ask else OPEN_SECONDS)
        except BaseException:
            link.ssh.close()
            raise
        return link

    def _wait(self, link: _Link, seconds: float) -> None:
        deadline = clock.ticks() + seconds
        while not (link.folder / "z").exists():
            if link.ssh.ended:
                raise ssh.explain(self.target, link.ssh.words, "ssh ended without a word")
            if self._closed or clock.ticks() >= deadline:
                raise ssh.explain(self.target, link.ssh.words, f"no connection within {seconds:.0f} s")
            clock.sleep(0.01)


def _private_folder() -> Path:
    """Make a folder that only we can enter, with a path short and plain enough for sockets and ssh."""
    places = (Path(tempfile.gettempdir()), Path("/tmp"))  # noqa: S108 - mkdtemp makes it ours alone
    for place in places:
        plain = all(c.isascii() and (c.isalnum() or c in "/._+-") for c in str(place))
        if plain and len(str(place)) < _LONGEST - len("/ccci-12345678/p999"):
            try:
                return Path(tempfile.mkdtemp(prefix="ccci-", dir=place))
            except OSError:
                continue
    raise NotReadyError(
        "no folder for sockets can be made",
        hint="set TMPDIR to a short path that can be written to",
        code="ssh",
    )
