"""Output streams: what they do when nobody reads, when the reader left, and when there is none at all."""

import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import TextIO

import pytest

from ccci_upgrade.ui.streams import Lasting, Patient, columns


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """Give a pipe: the reading descriptor, and a stream that writes."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        yield reading, stream
    os.close(reading)


def test_a_reader_that_left_is_no_error() -> None:
    """After EPIPE everything is dropped, silently."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as stream:
        for lasting in (Lasting(stream), Patient(stream)):
            lasting.write("one\n")
            lasting.write("two\n")
            assert lasting.gone
            assert not lasting.isatty()


def test_a_stream_that_was_closed_is_no_error() -> None:
    """Writing to a closed stream drops the text."""
    stream = io.StringIO()
    lasting = Lasting(stream)
    stream.close()
    lasting.write("one\n")
    assert lasting.gone


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "→ é\n".encode()), ("latin-1", b"\\u2192 \xe9\n"), ("ascii", b"\\u2192 \\xe9\n")],
)
def test_what_an_encoding_cannot_say_is_shown_as_an_escape(encoding: str, expected: bytes) -> None:
    """A terminal without UTF-8 gets escapes, not an error."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding=encoding) as stream:
        Lasting(stream).write("→ é\n")
    assert os.read(reading, 100) == expected
    os.close(reading)


def test_a_descriptor_that_does_not_block_is_written_to_its_end(pipe: tuple[int, TextIO]) -> None:
    """Another program on the same terminal may have made it non-blocking: nothing is lost."""
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    patient = Patient(stream)
    patient.write("x" * 300_000)
    said = b""
    while len(said) < 300_000:
        said += os.read(reading, 65536)
    assert not patient.gone


def test_a_reader_that_stands_still_is_waited_for_once_and_briefly(pipe: tuple[int, TextIO]) -> None:
    """Then writes return at once; when it reads again nothing that was kept is lost, and drops are counted."""
    reading, stream = pipe
    patient = Patient(stream)
    started = time.monotonic()
    for _ in range(4000):
        patient.write("x" * 99 + "\n")
    assert time.monotonic() - started < 4
    said, sent = b"", 4000
    os.set_blocking(reading, False)
    deadline = time.monotonic() + 10
    while _accounted(said) < sent and time.monotonic() < deadline:
        try:
            said += os.read(reading, 65536)
        except BlockingIOError:
            if b"end\n" not in said:  # a next line is what tells how many were dropped
                patient.write("end\n")
                sent += 1
            time.sleep(0.01)
    assert _accounted(said) == sent
    assert b"lines were not shown: nobody read them" in said


def _accounted(said: bytes) -> int:
    dropped = sum(
        int(count) for count in re.findall(rb"\((\d+) lines were not shown: nobody read them\)\n", said)
    )
    return said.count(b"x" * 99 + b"\n") + said.count(b"end\n") + dropped


def test_order_is_kept_between_the_streams(pipe: tuple[int, TextIO]) -> None:
    """What was said on stderr stands before what is shown on stdout afterwards."""
    reading, stream = pipe
    patient, lasting = Patient(stream), Lasting(stream)
    for number in range(50):
        patient.write(f"{number}e\n")
        patient.drain(1.0)
        lasting.write(f"{number}o\n")
    assert os.read(reading, 65536).decode() == "".join(f"{n}e\n{n}o\n" for n in range(50))


def test_no_terminal_has_no_width(pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines for a pipe stay whole, whatever `COLUMNS` says."""
    monkeypatch.setenv("COLUMNS", "20")
    assert columns(Lasting(pipe[1])) is None


@pytest.mark.parametrize(
    ("said", "size", "expected"), [("", 0, 80), ("", 40, 40), ("132", 40, 132), ("x", 50, 50)]
)
def test_a_terminals_width(said: str, size: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`COLUMNS` counts, else what the terminal says; one that says 0 has 80."""
    monkeypatch.setenv("COLUMNS", said)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, size, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        assert columns(Lasting(stream)) == expected
    os.close(ours)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_not_taken_by_the_next_file(closed: str) -> None:
    """A file opened later must not become standard output: what is printed would land in it."""
    script = (
        "from ccci_upgrade.ui.streams import hold_standard_streams as hold\n"
        "import os, sys\n"
        "hold()\n"
        "number = os.open(os.devnull, os.O_RDONLY)\n"
        "sys.exit(number > 2)\n"
    )
    ran = subprocess.run(
        ["bash", "-c", f'"$@" {closed}', "bash", sys.executable, "-c", script],  # noqa: S607 - bash from PATH
        check=False,
        timeout=60,
    )
    assert ran.returncode == 1
