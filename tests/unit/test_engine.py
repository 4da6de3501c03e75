"""The Engine's client against an Engine that misbehaves: every way ends in time, with one clear error."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.errors import EngineError
from ccci_upgrade.tools.engine import STREAM_PIECE, Engine
from tests.fakeengine import FakeEngine, Reply, answer, chunked, dripping, raw, silent, within

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    """A server for one test."""
    with FakeEngine() as server:
        yield server


@pytest.fixture
def engine(fake: FakeEngine) -> Iterator[Engine]:
    """Its client, with a short patience."""
    client = Engine(fake.path, seconds=5)
    yield client
    client.close()


# -- asking ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "used"),
    [
        ("1.41", "v1.41"),
        ("1.47", "v1.47"),
        ("1.99", "v1.47"),
        ("2.0", "v1.47"),
        ("", ""),
        ("new", ""),
        ("1.x", ""),
    ],
)
def test_the_version_is_the_engines_but_never_newer_than_known(
    fake: FakeEngine, engine: Engine, said: str, used: str
) -> None:
    """An Engine that does not tell is asked for its own default."""
    fake.replies["/_ping"] = answer(b"OK", headers={"Api-Version": said})
    fake.says("/info", {})
    engine.get("/info")
    engine.get("/info")

    assert [request.version for request in fake.asked("/info")] == [used, used]
    assert len(fake.asked("/_ping")) == 1


def test_a_question_carries_its_filters_and_its_body_as_json(fake: FakeEngine, engine: Engine) -> None:
    """Whatever is in a name stays in its place."""
    fake.says("/configs/a b/update", {"ID": "1"})

    engine.ask(
        "POST", "/configs/a b/update", {"filters": {"label": ["a=b&c"]}, "x": "y z"}, body={"Name": "ä"}
    )
    (request,) = fake.asked("/configs/a b/update")

    assert request.query == {"filters": ['{"label": ["a=b&c"]}'], "x": ["y z"]}
    assert (request.headers["content-type"], request.body) == ("application/json", b'{"Name": "\\u00e4"}')


def test_a_name_that_no_url_can_hold_is_unknown_and_no_crash(engine: Engine) -> None:
    """A lone surrogate of somebody's label."""
    assert engine.find("/images/\ud800/json", {"x": "\udcff"}) is None


def test_connections_are_kept_one_for_each_thread(fake: FakeEngine, engine: Engine) -> None:
    """Workers do not wait for each other."""
    fake.says("/info", {})

    def ask() -> None:
        engine.get("/info")
        engine.close()

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(5):
        engine.get("/info")

    assert fake.connections == 4


# -- errors it tells ---------------------------------------------------------------------------------------------


def test_404_is_none_for_find_and_an_error_for_get(fake: FakeEngine, engine: Engine) -> None:
    """In the Engine's own words."""
    fake.says("/images/x/json", {"message": "no such image: x"}, status=404)

    assert engine.find("/images/x/json") is None
    with pytest.raises(EngineError, match=r"no such image: x \(HTTP 404\)"):
        engine.get("/images/x/json")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "update out of sequence"}', "update out of sequence"),
        (b'{"message": "evil \\u001b[2J"}', r"evil \\x1b\[2J"),
        (b"<html>proxy</html>", "<html>proxy</html>"),
        (b'{"message": 5}', '"message": 5'),
        (b"[" * 100_000, r"\[\[\["),
        (b"\xff\xfe", r"\\xff\\xfe"),
        (b"", "refused"),
    ],
)
def test_an_error_is_told_in_one_tamed_line(
    fake: FakeEngine, engine: Engine, body: bytes, words: str
) -> None:
    """Whatever its body is."""
    fake.replies["/info"] = answer(body, status=500)

    with pytest.raises(EngineError, match=words) as caught:
        engine.get("/info")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 2200


def test_after_an_error_the_connection_is_used_again(fake: FakeEngine, engine: Engine) -> None:
    """It is an answer like any other."""
    fake.says("/info", {"ID": "x"})
    assert engine.find("/nothing") is None
    assert engine.get("/info") == {"ID": "x"}
    assert fake.connections == 1


# -- answers that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b"\xff\xfe\x00", b"[" * 100_000, b"1" * 10_000, b'{"a": 1} {"b": 2}'],
    ids=["half", "word", "bytes", "deep", "long number", "two"],
)
def test_what_is_not_json_is_an_engine_error(fake: FakeEngine, engine: Engine, body: bytes) -> None:
    """Never Python's own error."""
    fake.replies["/info"] = answer(body)

    with pytest.raises(EngineError, match="not JSON"):
        engine.get("/info")


def test_an_empty_answer_is_nothing(fake: FakeEngine, engine: Engine) -> None:
    """As of a POST that has nothing to tell."""
    fake.replies["/info"] = answer(b"", status=204)

    assert engine.get("/info") is None


@pytest.mark.parametrize(
    "reply",
    [
        raw(b""),
        raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw(b"HTTP/1.1 ??? what\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
        raw(HEAD + b'{"half": '),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n{}"),
        raw(STREAM + b"zz\r\n{}\r\n"),
        chunked([b'{"half": '], end=False),
    ],
    ids=["nothing", "ssh", "status", "header", "body", "headers", "long header", "chunk size", "chunks"],
)
def test_a_broken_answer_is_an_engine_error(fake: FakeEngine, engine: Engine, reply: Reply) -> None:
    """On a new connection it is not tried again: it is what this Engine says."""
    fake.replies["/info"] = reply

    with pytest.raises(EngineError):
        engine.get("/info")
    assert len(fake.asked("/info")) == 1


def test_chunks_are_joined(fake: FakeEngine, engine: Engine) -> None:
    """As the Engine sends its long lists, and then the connection goes on."""
    fake.replies["/services"] = chunked([b'[{"ID"', b": ", b'"x"}]'])

    assert engine.get("/services") == [{"ID": "x"}]
    assert engine.get("/services") == [{"ID": "x"}]
    assert fake.connections == 1


# -- silence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\n", HEAD, HEAD + b"[{", STREAM + b"2\r\n[{\r\n"])
def test_silence_ends_with_the_deadline(fake: FakeEngine, engine: Engine, head: bytes) -> None:
    """Before, within and after the head; and the next question gets a connection of its own."""
    fake.replies["/info"] = silent(head, fake.ended)
    fake.says("/version", {"Version": "20.10.24"})
    in_time = within(3)

    with pytest.raises(EngineError, match="timed out") as caught:
        engine.get("/info", seconds=0.3)

    in_time()
    assert caught.value.code == "engine-unreachable"
    assert engine.get("/version") == {"Version": "20.10.24"}


@pytest.mark.parametrize(
    ("head", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (HEAD, b" "),
        (STREAM, b"1\r\n \r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["head", "body", "chunks", "continue"],
)
def test_a_byte_now_and_then_is_silence_too(
    fake: FakeEngine, engine: Engine, head: bytes, drop: bytes
) -> None:
    """The deadline is over the whole answer, not between two bytes of it."""
    fake.replies["/info"] = dripping(head, drop, fake.ended)
    in_time = within(4)

    with pytest.raises(EngineError):
        engine.get("/info", seconds=0.5)

    in_time()


def test_a_deadline_holds_on_a_kept_connection_and_on_one_that_is_made_anew(
    fake: FakeEngine, engine: Engine
) -> None:
    """Not the one the connection was once made with."""
    fake.says("/version", {})
    engine.get("/version", seconds=30)
    fake.replies["/info"] = silent(b"", fake.ended)
    in_time = within(4)

    for _ in range(2):
        with pytest.raises(EngineError):
            engine.get("/info", seconds=0.3)

    in_time()


# -- connections that are gone -------------------------------------------------------------------------------------


def test_a_kept_connection_that_the_engine_dropped_is_made_anew(fake: FakeEngine, engine: Engine) -> None:
    """An Engine that was restarted between two looks is no error."""
    fake.says("/info", {"ID": "x"})
    engine.get("/info")
    fake.drop()

    assert engine.get("/info") == {"ID": "x"}
    assert fake.connections == 2


def test_only_questions_are_asked_twice(fake: FakeEngine, engine: Engine) -> None:
    """Nobody knows whether a POST was heard before the connection broke."""
    fake.says("/info", {})
    engine.get("/info")
    fake.replies["/configs/create"] = raw(b"")

    with pytest.raises(EngineError):
        engine.ask("POST", "/configs/create", body={})
    assert len(fake.asked("/configs/create")) == 1


def test_an_answer_may_say_that_it_is_the_last(fake: FakeEngine, engine: Engine) -> None:
    """`Connection: close` is honoured."""
    fake.replies["/info"] = raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    assert [engine.get("/info"), engine.get("/info")] == [{}, {}]
    assert fake.connections == 2


@pytest.mark.parametrize("kind", ["nothing", "file", "folder", "nobody listens", "too long"])
def test_no_engine_is_one_error_with_a_way_out(tmp_path: Path, kind: str) -> None:
    """Path and reason are in the message."""
    path = tmp_path / "docker.sock"
    if kind == "file":
        path.write_text("")
    elif kind == "folder":
        path.mkdir()
    elif kind == "nobody listens":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
    elif kind == "too long":
        path = tmp_path / ("x" * 200)

    with pytest.raises(EngineError, match="did not answer GET /info") as caught:
        Engine(path).get("/info")

    assert str(path) in caught.value.message
    assert "docker version" in caught.value.hint


# -- streams -------------------------------------------------------------------------------------------------------


def test_a_stream_gives_its_objects_and_passes_over_the_rest(fake: FakeEngine, engine: Engine) -> None:
    """Junk, other values, blank lines and a line without end between two events."""
    lines = [
        b'{"status": 1}\n',
        b"junk\n",
        b"[1]\n",
        b"\n",
        b"[" * 9999 + b"\n",
        b'{"sta',
        b'tus": 2}\n{"status": 3}',
    ]
    fake.replies["/events"] = chunked(lines)

    assert [event["status"] for event in engine.lines("GET", "/events", seconds=5)] == [1, 2, 3]


def test_a_stream_that_falls_silent_is_an_engine_error(fake: FakeEngine, engine: Engine) -> None:
    """What came before it was given."""
    fake.replies["/events"] = silent(STREAM + b'e\r\n{"status": 1}\n\r\n', fake.ended)
    in_time = within(4)
    events = engine.lines("GET", "/events", seconds=0.3)

    assert next(events) == {"status": 1}
    with pytest.raises(EngineError):
        next(events)
    in_time()


def test_a_stream_may_last_longer_than_one_silence(fake: FakeEngine, engine: Engine) -> None:
    """A pull takes minutes; only its pauses are bounded."""
    fake.replies["/events"] = dripping(STREAM, b'e\r\n{"status": 1}\n\r\n', fake.ended, every=0.1)
    events = engine.lines("GET", "/events", seconds=0.6)

    assert [next(events) for _ in range(12)] == [{"status": 1}] * 12


def test_a_stream_that_breaks_off_is_an_engine_error(fake: FakeEngine, engine: Engine) -> None:
    """An end in the middle of a chunk is not its end."""
    fake.replies["/events"] = raw(STREAM + b'ff\r\n{"status": 1}\n')

    with pytest.raises(EngineError):
        list(engine.lines("GET", "/events", seconds=5))


def test_a_refused_stream_tells_why(fake: FakeEngine, engine: Engine) -> None:
    """Before anything is given."""
    fake.says("/images/create", {"message": "manifest unknown"}, status=404)

    with pytest.raises(EngineError, match="manifest unknown"):
        list(engine.lines("POST", "/images/create", seconds=5))


def test_a_cancelled_stream_ends_soon_and_without_an_error(fake: FakeEngine, engine: Engine) -> None:
    """In the middle of a silence too."""
    fake.replies["/events"] = silent(STREAM, fake.ended)
    in_time = within(5)

    assert list(engine.lines("GET", "/events", seconds=60, cancelled=lambda: True)) == []
    in_time()


def test_a_cancelled_stream_that_is_never_silent_ends_too(fake: FakeEngine, engine: Engine) -> None:
    """A crash loop has events all the time."""
    fake.replies["/events"] = dripping(STREAM, b'e\r\n{"status": 1}\n\r\n', fake.ended, every=0.01)
    seen: list[object] = []
    for event in engine.lines("GET", "/events", seconds=60, cancelled=lambda: len(seen) >= 3):
        seen.append(event)
        assert len(seen) < 500, "it goes on for ever"

    assert seen


def test_a_long_body_comes_in_pieces(fake: FakeEngine, engine: Engine) -> None:
    """All of it, and never more at once than a piece is long."""
    data = bytes(range(256)) * 4096
    fake.replies["/archive"] = chunked([data])
    pieces = list(engine.stream("/archive", seconds=5))

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= STREAM_PIECE < len(data)


def test_a_part_of_a_body_never_passes_for_the_whole(fake: FakeEngine, engine: Engine) -> None:
    """Broken off, silent, refused or cancelled: an error each, in time."""
    in_time = within(5)
    fake.replies["/broken"] = raw(STREAM + b"ff\r\nabc")
    fake.replies["/silent"] = silent(STREAM + b"3\r\nabc\r\n", fake.ended)
    fake.says("/refused", {"message": "no such container"}, status=404)

    for path in ("/broken", "/silent"):
        with pytest.raises(EngineError):
            list(engine.stream(path, seconds=0.3))
    with pytest.raises(EngineError, match="no such container"):
        list(engine.stream("/refused", seconds=5))
    with pytest.raises(EngineError, match="cancelled"):
        list(engine.stream("/silent", seconds=60, cancelled=lambda: True))
    in_time()


# -- long bodies that are sent -------------------------------------------------------------------------------------

MANY = 1000
"""Pieces of 256 KiB: far more than the kernel keeps between two processes."""


def pieces(given: list[int], count: int = MANY) -> Iterator[bytes]:
    """Give pieces, and note each that was asked for."""
    for number in range(count):
        given.append(number)
        yield bytes(STREAM_PIECE)


def test_a_long_body_is_sent_in_pieces_and_ended_in_order(fake: FakeEngine, engine: Engine) -> None:
    """An empty piece is no end; the next is asked for when the one before it went out."""
    fake.replies["/archive"] = answer(b"")
    engine.put("/archive", {"path": "/"}, [b"abc", b"", b"d" * 1_000_000], seconds=5)
    (request,) = fake.asked("/archive")

    assert (request.method, request.version, request.query) == ("PUT", "v1.41", {"path": ["/"]})
    assert request.headers["content-type"] == "application/x-tar"
    assert request.body == b"abc" + b"d" * 1_000_000


@pytest.mark.parametrize("taken", [0, 1000, 20 * STREAM_PIECE])
def test_a_refusal_in_the_middle_of_a_body_is_told_in_the_engines_words(
    fake: FakeEngine, engine: Engine, taken: int
) -> None:
    """It answers, takes no more and hangs up; not all pieces are asked for."""
    given: list[int] = []
    fake.takes["/archive"] = taken
    message = b'{"message": "no space left on device"}'
    fake.replies["/archive"] = raw(
        b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n%s" % (len(message), message)
    )

    with pytest.raises(EngineError, match="no space left on device \\(HTTP 500\\)") as caught:
        engine.put("/archive", {}, pieces(given), seconds=5)

    assert caught.value.code == "engine"
    assert len(given) < MANY


def test_a_refusal_without_hanging_up_is_heard(fake: FakeEngine, engine: Engine) -> None:
    """Long before the silence would have ended it."""
    in_time = within(5)
    fake.takes["/archive"] = 1000
    refusal = b'HTTP/1.1 404 X\r\nContent-Length: 22\r\n\r\n{"message": "no path"}'
    fake.replies["/archive"] = silent(refusal, fake.ended)

    with pytest.raises(EngineError, match="no path"):
        engine.put("/archive", {}, pieces([]), seconds=60)
    in_time()


def test_a_good_answer_before_the_end_of_a_body_is_no_good_one(fake: FakeEngine, engine: Engine) -> None:
    """What it did not take is not there."""
    fake.takes["/archive"] = 1000
    fake.replies["/archive"] = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(EngineError, match="before it had taken everything"):
        engine.put("/archive", {}, pieces([]), seconds=5)


@pytest.mark.parametrize("taken", [0, 1000, 20 * STREAM_PIECE])
def test_an_engine_that_is_gone_in_the_middle_of_a_body_is_an_error(
    fake: FakeEngine, engine: Engine, taken: int
) -> None:
    """Killed, without a word."""
    fake.takes["/archive"] = taken
    fake.replies["/archive"] = raw(b"")

    with pytest.raises(EngineError, match="did not answer PUT /archive") as caught:
        engine.put("/archive", {}, pieces([]), seconds=5)

    assert caught.value.code == "engine-unreachable"


@pytest.mark.parametrize("count", [2, MANY])
def test_an_engine_that_takes_nothing_or_never_answers_is_an_error_in_time(
    fake: FakeEngine, engine: Engine, count: int
) -> None:
    """The body fits into what the kernel keeps, or it does not."""
    in_time = within(5)
    fake.takes["/archive"] = 1000
    fake.replies["/archive"] = silent(b"", fake.ended)

    with pytest.raises(EngineError, match="timed out"):
        engine.put("/archive", {}, pieces([], count), seconds=0.5)
    in_time()


def test_sending_a_body_ends_soon_when_it_is_cancelled(fake: FakeEngine, engine: Engine) -> None:
    """While the Engine takes nothing."""
    in_time = within(5)
    given: list[int] = []
    fake.takes["/archive"] = 1000
    fake.replies["/archive"] = silent(b"", fake.ended)

    with pytest.raises(EngineError) as caught:
        engine.put("/archive", {}, pieces(given), seconds=60, cancelled=lambda: bool(given))

    assert caught.value.code == "engine-cancelled"
    in_time()


def test_what_the_pieces_raise_is_raised_and_the_body_has_no_end(fake: FakeEngine, engine: Engine) -> None:
    """Not even an OSError of theirs passes for the Engine's."""

    def broken() -> Iterator[bytes]:
        yield b"abc"
        raise OSError("a bad disk")

    fake.replies["/archive"] = answer(b"")
    with pytest.raises(OSError, match="a bad disk"):
        engine.put("/archive", {}, broken(), seconds=5)

    assert fake.asked("/archive") == []  # it never had a whole one
