"""A program run in a container through the Engine's exec: what it printed, and how it ended."""

import struct
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from ccci_upgrade import clock
from ccci_upgrade.errors import EngineError
from ccci_upgrade.tools.engine import Engine, Json

LOOK = 0.05
"""Seconds between two questions whether it has ended: the Engine may know a little later than its output ends."""

PATIENCE = 5.0
"""Seconds of silence past the deadline before the Engine counts as gone: a silent program is no dead Engine."""

_HEAD = 8
_STDOUT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a program ended. `out` may be a secret: it is never shown. 126 and 127: it could not be started."""

    code: int
    out: bytes

    def __repr__(self) -> str:
        return f"Ended(code={self.code})"


def run(
    engine: Engine, container: str, argv: Sequence[str], *, user: str, limit: int, seconds: float
) -> Ended:
    """Run it and wait for its end, at most `seconds`; of its standard output at most `limit` bytes are taken.

    Raises EngineError where the container does not run, or the output is longer, broken off, or late.
    """
    deadline = clock.ticks() + seconds
    body: Json = {"AttachStdout": True, "AttachStderr": True, "User": user, "Cmd": list(argv)}
    made = engine.ask("POST", f"/containers/{container}/exec", body=body, seconds=seconds)
    identity = made.json.get("Id") if made.status == 201 and isinstance(made.json, dict) else None  # noqa: PLR2004 - HTTP Created
    if not isinstance(identity, str) or not identity.isalnum():  # it becomes part of a path
        raise EngineError(f"nothing can be run in container {container[:12]}: {made.message}")
    pieces = engine.stream(
        f"/exec/{identity}/start",
        method="POST",
        body={"Detach": False, "Tty": False},
        seconds=seconds + PATIENCE,
        cancelled=lambda: clock.ticks() >= deadline,
    )
    late = EngineError(f"a program in container {container[:12]} did not end within {seconds:g} s")
    try:
        with closing(pieces):
            out = _standard_output(pieces, limit)
    except EngineError as error:
        raise late if error.code == "engine-cancelled" else error from None
    while True:
        told = engine.get(f"/exec/{identity}/json")
        code = told.get("ExitCode") if isinstance(told, dict) and told.get("Running") is False else None
        if isinstance(code, int):
            return Ended(code=code, out=out)
        if clock.ticks() >= deadline:
            raise late
        clock.sleep(LOOK)


def _standard_output(pieces: Iterable[bytes], limit: int) -> bytes:
    """Take Docker's frames apart: stream, three zeros, length, content. A part of a frame is an error."""
    held, out, total = bytearray(), bytearray(), 0
    for piece in pieces:
        held += piece
        total += len(piece)
        if total > 2 * limit + 64 * 1024:
            raise EngineError("a program in a container printed more than can be")
        while len(held) >= _HEAD:
            stream, length = struct.unpack(">BxxxI", held[:_HEAD])
            if len(held) < _HEAD + length:
                break
            if stream == _STDOUT:
                out += held[_HEAD : _HEAD + length]
            del held[: _HEAD + length]
    if held:
        raise EngineError("the output of a program in a container broke off")
    if len(out) > limit:
        raise EngineError("a program in a container printed more than can be")
    return bytes(out)
