"""A real sshd on loopback with keys of its own, and an ssh on the PATH that counts itself.

OpenSSH takes the home folder from the system, not from `$HOME`: so a wrapper named `ssh` adds `-F` with a
configuration of the test, which names known hosts and key. It becomes the real ssh (`exec`), and so each line
of its log is one ssh process.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ALIAS = "far.example.org"
_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
NEEDED = ("sshd", "ssh", "ssh-keygen")
Start = Callable[[Sequence[str]], list[str]]


def missing() -> list[str]:
    """What this machine lacks for a server of our own."""
    lacks = [tool for tool in NEEDED if shutil.which(tool, path=_PATH) is None]
    # sshd run by root separates privileges and insists on this folder.
    if not lacks and os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    return lacks


class SshServer:
    """One sshd in a folder. `bin` goes first on a PATH; `url` is for `docker_host`."""

    def __init__(self, folder: Path, start: Start = list) -> None:
        """Make keys and files; `start` changes the command that runs sshd, to have it run elsewhere."""
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        self.port = _free_port()
        self.log = folder / "ssh.log"
        self.config = folder / "ssh_config"
        self.known_hosts = folder / "known_hosts"
        self._start = start
        self._sshd: subprocess.Popen[bytes] | None = None
        for name in ("host", "user"):
            self.new_key(name)
        (folder / "authorized_keys").write_text((folder / "user.pub").read_text())
        self.configure_server()
        self.know()
        self.config.write_text(
            f"Host {ALIAS}\n  HostName 127.0.0.1\n  Port {self.port}\n  User {getpass.getuser()}\n"
            f"  HostKeyAlias {ALIAS}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  IdentityAgent none\n"
            f"  UserKnownHostsFile {self.known_hosts}\n  GlobalKnownHostsFile none\n"
        )
        wrapper = self.bin / "ssh"
        real = shutil.which("ssh", path=_PATH)
        wrapper.write_text(f'#!/bin/sh\necho $$ "$@" >>{self.log}\nexec {real} -F {self.config} "$@"\n')
        wrapper.chmod(0o755)

    @property
    def path(self) -> str:
        """A PATH on which our ssh is found first."""
        return f"{self.bin}:{_PATH}"

    def url(self, path: Path | str = "") -> str:
        """The address of an Engine's socket over there."""
        return f"ssh://{ALIAS}{path}"

    def new_key(self, name: str) -> None:
        """Make a key, in place of an older one."""
        for old in (self.folder / name, self.folder / f"{name}.pub"):
            old.unlink(missing_ok=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name))

    def know(self) -> None:
        """Write the server's key down as known."""
        words = (self.folder / "host.pub").read_text().split()
        self.known_hosts.write_text(f"{ALIAS} {words[0]} {words[1]}\n")

    def configure_server(self, *extra: str) -> None:
        """Write sshd's configuration; holds from its next start."""
        lines = (
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host",
            f"PidFile {self.folder}/sshd.pid",
            f"AuthorizedKeysFile {self.folder}/authorized_keys",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            *extra,
        )
        (self.folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Listen."""
        program = shutil.which("sshd", path=_PATH)
        assert program is not None
        words = [program, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        with (self.folder / "sshd.log").open("ab") as log:
            self._sshd = subprocess.Popen(
                self._start(words), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        listening = self.folder / "sshd.pid"
        until(listening.exists, "sshd did not start: " + (self.folder / "sshd.log").read_text())

    def cut(self) -> None:
        """End sshd and every connection at once; nobody listens any more."""
        if self._sshd is None:
            return
        for pid in (*self.children(), self._sshd.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._sshd.wait(timeout=10)
        self._sshd = None
        (self.folder / "sshd.pid").unlink(missing_ok=True)

    def signal_connections(self, number: signal.Signals) -> None:
        """Signal the processes of every open connection; sshd itself goes on listening."""
        for pid in self.children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def children(self) -> list[int]:
        """Every process that sshd started, children of children too."""
        assert self._sshd is not None
        found: list[int] = []
        todo = [self._sshd.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                todo += map(int, below)
                found += map(int, below)
        return found

    def started(self) -> list[int]:
        """The numbers of all ssh processes there were."""
        return (
            [int(line.split()[0]) for line in self.log.read_text().splitlines()] if self.log.exists() else []
        )

    def running(self) -> list[int]:
        """Those that are still there."""
        return [pid for pid in self.started() if alive(pid)]

    def sockets(self) -> list[Path]:
        """The folders of sockets that some ssh was given, and that still exist."""
        text = self.log.read_text() if self.log.exists() else ""
        folders = {Path(word.partition(":")[0]).parent for word in text.split() if "/z:" in word}
        return [folder for folder in folders if folder.exists()]


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], object], otherwise: str, seconds: float = 20.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@contextlib.contextmanager
def ssh_server(folder: Path, start: Start = list) -> Iterator[SshServer]:
    """Give a server that listens; afterwards no process of it is left."""
    server = SshServer(folder, start)
    server.start()
    try:
        yield server
    finally:
        server.cut()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _run(*words: str) -> None:
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, env={"PATH": _PATH})
