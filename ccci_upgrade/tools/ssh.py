"""ssh, in words: what an `ssh://` address may hold, the arguments made of it, and what its complaints mean.

The system's ssh and its configuration are used. An address comes from a file that others may write, so nothing
of it may reach ssh as an option or as a token that ssh expands.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.text import decode, tame_line

DEFAULT_SOCKET = "/var/run/docker.sock"
CONNECT_SECONDS = 10
ALIVE_SECONDS, ALIVE_COUNT = 5, 2
"""ssh asks after the server when it was silent for so long, and ends after so many questions without answer."""

_URL = re.compile(
    r"ssh://(?:(?P<user>[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63})@)?"
    r"(?:(?P<host>[A-Za-z0-9_][A-Za-z0-9_.-]{0,252})|\[(?P<six>[0-9A-Fa-f:]{2,39}(?:%[A-Za-z0-9_.-]{1,16})?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/?|(?:/[A-Za-z0-9_.+@-]+){1,16})"
)
_PORTS = range(1, 65536)
_LONGEST_SOCKET = 104
"""Bytes of a Unix socket's path, on the system that has least."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Where ssh goes; `port` None leaves it to ssh's configuration. `socket` is the Engine's on that machine."""

    host: str
    user: str = ""
    port: int | None = None
    socket: str = DEFAULT_SOCKET

    @property
    def url(self) -> str:
        """As docker writes it, without the socket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{port}"

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments that name the server; the same that a person types after `ssh`."""
        port = () if self.port is None else ("-p", str(self.port))
        return (*port, f"{self.user}@{self.host}" if self.user else self.host)


def parse_target(url: str) -> Target:
    """Read `ssh://[user@]host[:port][/path/to/docker.sock]`; NotReadyError for all else."""
    match = _URL.fullmatch(url)
    port = int(match["port"]) if match and match["port"] else None
    path = match["path"] if match else ""
    if match is None or (port is not None and port not in _PORTS) or len(path) >= _LONGEST_SOCKET:
        raise NotReadyError(
            f"`{tame_line(url)}` is no address for ssh",
            hint="write it like ssh://user@ci.example.org:22, or give that server a `Host` in ~/.ssh/config",
            code="docker-host",
        )
    socket = DEFAULT_SOCKET if path in ("", "/") else path
    return Target(host=match["host"] or match["six"], user=match["user"] or "", port=port, socket=socket)


def argv(target: Target, forwards: Sequence[tuple[Path, str]], *, batch: bool) -> tuple[str, ...]:
    """One ssh that does nothing but forward sockets of ours to places over there.

    No connection shared with others (`ControlPath`): its forwards would outlive us in a process that is not
    ours, and its death would not be ours to see. Forwards of the person's own configuration may fail, for they
    do when another ssh to the same server holds them. Host keys are left to ssh's configuration.
    """
    settings = {
        "BatchMode": "yes" if batch else "no",
        "ConnectTimeout": str(CONNECT_SECONDS),
        "ServerAliveInterval": str(ALIVE_SECONDS),
        "ServerAliveCountMax": str(ALIVE_COUNT),
        "ControlMaster": "no",
        "ControlPath": "none",
        "ExitOnForwardFailure": "no",
        "PermitLocalCommand": "no",
        "LogLevel": "INFO",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    places = [word for socket, place in forwards for word in ("-L", f"{socket}:{place}")]
    *before, name = target.words
    return ("-N", "-T", "-a", "-x", *options, *places, *before, "--", name)


def place(host: str, port: int) -> str:
    """The far end of a forward to a TCP port."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def explain(target: Target, said: bytes, otherwise: str) -> EngineError:
    """Make one error of what ssh said last; `otherwise` where it said nothing that is known."""
    lines = [
        tame_line(line.strip("@ \t"))
        for line in decode(said).replace("\r", "\n").split("\n")
        if line.strip("@ \t\n")
    ]
    typed = " ".join(("ssh", *target.words))
    for known in _COMPLAINTS:
        line = next((line for line in reversed(lines) if known.needle in line), None)
        if line is not None:
            return _failed(target, line, known.hint.format(ssh=typed, host=_known_as(target)), known.code)
    hint = f"`{typed}` must work without a question; try it"
    return _failed(target, lines[-1] if lines else otherwise, hint, "ssh")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Complaint:
    """Part of ssh's words, our code, and what to do."""

    needle: str
    hint: str
    code: str = "ssh"


_COMPLAINTS = (
    _Complaint(
        needle="REMOTE HOST IDENTIFICATION HAS CHANGED",
        code="ssh-host-key",
        hint="was the server made anew? Compare its new key there, then forget the old: `ssh-keygen -R '{host}'`",
    ),
    _Complaint(
        needle="Host key verification failed",
        code="ssh-host-key",
        hint="this machine does not know the server's key: type `{ssh}` once and compare the key it shows",
    ),
    _Complaint(
        needle="Permission denied",
        code="ssh-denied",
        hint="`{ssh}` must work without a question: load your key with `ssh-add`, or have it allowed there",
    ),
    _Complaint(
        needle="Could not resolve hostname", hint="check the name, and `Host` in your ssh configuration"
    ),
)
"""What ssh says, the gravest first."""


def refused(target: Target) -> EngineError:
    """Say that the server was reached and its Engine's socket was not; sshd does not tell why."""
    return EngineError(
        f"{target.url} was reached by ssh, but its `{target.socket}` takes no connection",
        hint=f"{by_hand(target)}; its sshd must allow `AllowStreamLocalForwarding`",
        code="ssh-forward",
    )


def by_hand(target: Target) -> str:
    """How a person finds out what is wrong with the Engine over there."""
    words = " ".join(("ssh", *target.words))
    return f"is Docker running there, and may your user use its socket? `{words} docker version` tells"


def _known_as(target: Target) -> str:
    """The server as `ssh-keygen -R` wants it."""
    return target.host if target.port is None else f"[{target.host}]:{target.port}"


def _failed(target: Target, why: str, hint: str, code: str) -> EngineError:
    return EngineError(f"{target.url} cannot be reached by ssh: {why}", hint=hint, code=code)
