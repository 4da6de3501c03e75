"""Secrets from an Engine that misbehaves: a part never passes for the whole, and no reason holds a value."""

import itertools
import json
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from ccci_upgrade.errors import EngineError
from ccci_upgrade.model.keptsecrets import LARGEST
from ccci_upgrade.tools import execs, secretfiles
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.fakeengine import FakeEngine, Reply, answer, dripping, raw, silent

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
VALUE = b"sesame-open"
START = "/exec/e1/start"


def frame(data: bytes, stream: int = 1) -> bytes:
    """One of Docker's frames."""
    return struct.pack(">BxxxI", stream, len(data)) + data


def printing(*bodies: bytes) -> Reply:
    """Answer one start after another with these, the last one for ever, and end the connection as dockerd does."""
    waiting = itertools.chain(bodies, itertools.repeat(bodies[-1]))

    def reply(connection: socket.socket) -> bool:
        connection.sendall(HEAD + next(waiting))
        return False

    return reply


@pytest.fixture
def fake() -> Iterator[FakeEngine]:
    """An Engine with one container, one service, one task and one secret."""
    with FakeEngine() as engine:
        engine.says("/containers/c1/exec", {"Id": "e1"}, status=201)
        engine.says("/exec/e1/json", {"Running": False, "ExitCode": 0})
        engine.replies[START] = printing(frame(VALUE))
        file = {"Name": "db_password", "UID": "0", "GID": "0", "Mode": 0o444}
        container = {"Image": "i", "Secrets": [{"SecretName": "shop_db_password_v1", "File": file}]}
        template = {"ContainerSpec": container}
        labels = {"com.docker.stack.namespace": "shop"}
        service = {
            "ID": "s1",
            "Spec": {"Name": "shop_app", "Labels": labels, "TaskTemplate": template, "Mode": {"Global": {}}},
        }
        task = {
            "ID": "t1",
            "ServiceID": "s1",
            "NodeID": "n1",
            "Spec": template,
            "Status": {"State": "running", "ContainerStatus": {"ContainerID": "c1"}},
            "DesiredState": "running",
        }
        engine.says("/info", {"Swarm": {"NodeID": "n1"}, "ServerVersion": "25.0.0"})
        engine.says("/services", [service])
        engine.says("/services/s1", service)
        engine.says("/tasks", [task])
        engine.says("/volumes", {"Volumes": []})
        engine.says("/secrets", [{"Spec": {"Name": "shop_db_password_v1", "Labels": {"a": "b"}}}])
        yield engine


def read(fake: FakeEngine, node: str = "n1") -> tuple[list[bytes], list[str]]:
    """The values that were read, and the reasons of those that were not."""
    engine = Engine(fake.path, seconds=2)
    try:
        opened, unread = secretfiles.read(engine, Swarm(engine).stack("shop"), node=node)
    finally:
        engine.close()
    return [each.value.reveal() for each in opened], [each.reason for each in unread]


def test_it_is_read_twice_by_cat(fake: FakeEngine) -> None:
    """As root, at its path, with nothing of a terminal."""
    assert read(fake) == ([VALUE], [])
    bodies = [json.loads(each.body) for each in fake.asked("/containers/c1/exec")]
    assert [(each["Cmd"], each["User"], each.get("Tty", False)) for each in bodies] == [
        (["cat", "/run/secrets/db_password"], "0:0", False)
    ] * 2


@pytest.mark.parametrize(
    ("bodies", "reason"),
    [
        ((frame(VALUE), frame(VALUE[:4])), "could not be read whole"),
        ((b"",), "could not be read whole"),
        ((frame(VALUE)[:-3],), "broke off"),
        ((frame(VALUE) + b"\1\0",), "broke off"),
        ((VALUE * 3,), "broke off"),
        ((frame(bytes(LARGEST + 1)),), "printed more than can be"),
        ((frame(bytes(70_000)) * 30,), "printed more than can be"),
        ((frame(bytes(70_000), 2) * 30,), "printed more than can be"),
    ],
    ids=["shorter the second time", "nothing", "cut", "half a frame", "no frames", "too long", "far too long",
         "errors without end"],
)  # fmt: skip
def test_a_part_does_not_pass_for_the_whole(fake: FakeEngine, bodies: tuple[bytes, ...], reason: str) -> None:
    """The answer has no length, so only frames, exit code and a second reading tell."""
    fake.replies[START] = printing(*bodies)
    values, (said,) = read(fake)

    assert values == []
    assert reason in said
    assert "sesame" not in said


@pytest.mark.parametrize(
    ("code", "reason", "users"),
    [
        (1, "cat in its container ended with exit 1", {"0:0"}),
        (126, "its image has no program that prints a file", {"0:0"}),
        (127, "its image has no program that prints a file", {"0:0"}),
    ],
)
def test_what_a_failed_program_prints_is_neither_value_nor_reason(
    fake: FakeEngine, code: int, reason: str, users: set[str]
) -> None:
    """The Engine's words of a failed start are on standard output too."""
    fake.says("/exec/e1/json", {"Running": False, "ExitCode": code})
    values, (said,) = read(fake)

    assert values == []
    assert said.startswith(f"app: {reason}")
    assert "sesame" not in said
    bodies = [json.loads(each.body) for each in fake.asked("/containers/c1/exec")]
    assert {each["User"] for each in bodies} == users
    assert {tuple(each["Cmd"][:-1]) for each in bodies} == set(secretfiles.PROGRAMS)


def test_where_root_may_not_the_owner_is_tried(fake: FakeEngine) -> None:
    """A container's root may be without rights."""
    file = {"Name": "f", "UID": "1234", "GID": "5", "Mode": 0o400}
    container = {"Secrets": [{"SecretName": "shop_db_password_v1", "File": file}]}
    fake.says("/services/s1", {"Spec": {"TaskTemplate": {"ContainerSpec": container}}})
    codes = itertools.cycle([1, 0])

    def inspect(connection: socket.socket) -> bool:
        return answer(json.dumps({"Running": False, "ExitCode": next(codes)}).encode())(connection)

    fake.replies["/exec/e1/json"] = inspect
    assert read(fake) == ([VALUE], [])
    users = [json.loads(each.body)["User"] for each in fake.asked("/containers/c1/exec")]
    assert users == ["0:0", "1234:5"] * 2


@pytest.mark.parametrize("made", [{"Id": "../../x"}, {"Id": 7}, [], {}])
def test_an_id_that_leads_elsewhere_is_refused(fake: FakeEngine, made: object) -> None:
    """It becomes a part of a path."""
    fake.says("/containers/c1/exec", made, status=201)
    assert "nothing can be run" in read(fake)[1][0]


def test_a_container_that_is_gone_is_a_reason(fake: FakeEngine) -> None:
    """In the Engine's words, for no value is in them."""
    fake.says("/containers/c1/exec", {"message": "Container c1 is not running"}, status=409)
    assert read(fake) == ([], ["app: nothing can be run in container c1: Container c1 is not running"])


def test_only_containers_of_this_node_are_asked(fake: FakeEngine) -> None:
    """A secret of another node's task is named."""
    assert read(fake, node="n2") == ([], ["app: its tasks run on another node"])
    assert fake.asked("/containers/c1/exec") == []


def test_an_engine_that_is_gone_is_an_error(fake: FakeEngine) -> None:
    """Not one secret after another that cannot be read."""
    fake.replies["/containers/c1/exec"] = raw(b"")
    with pytest.raises(EngineError) as caught:
        read(fake)
    assert caught.value.code == "engine-unreachable"


def test_silence_and_dripping_end_with_the_deadline(fake: FakeEngine) -> None:
    """A program that prints a byte now and then is not waited for without end; nor one that never ends."""
    engine = Engine(fake.path, seconds=2)

    began = time.monotonic()
    for reply in (dripping(HEAD, frame(b"x"), fake.ended), silent(HEAD, fake.ended), silent(b"", fake.ended)):
        fake.replies[START] = reply
        with pytest.raises(EngineError, match=r"did not end within 0\.5 s") as caught:
            execs.run(engine, "c1", ["cat"], user="", limit=100, seconds=0.5)
        assert caught.value.code != "engine-unreachable"
    fake.replies[START] = printing(frame(b"x"))
    fake.says("/exec/e1/json", {"Running": True, "ExitCode": None})
    with pytest.raises(EngineError, match="did not end within"):
        execs.run(engine, "c1", ["cat"], user="", limit=100, seconds=0.5)
    engine.close()
    assert time.monotonic() - began < 10


def test_how_it_ended_does_not_show_what_it_printed() -> None:
    """Neither in a log nor in a traceback."""
    assert "sesame" not in repr(execs.Ended(code=0, out=VALUE))


@pytest.mark.parametrize("secrets", [[], None, [7, {}, {"SecretName": 1}], [{"SecretName": "another"}]])
def test_a_secret_is_never_left_out_in_silence(fake: FakeEngine, secrets: object) -> None:
    """The list of services named it; the service itself, asked a moment later, does not, or is gone."""
    fake.says("/services/s1", {"Spec": {"TaskTemplate": {"ContainerSpec": {"Secrets": secrets}}}})
    assert read(fake) == ([], ["app: its spec names it no longer, or not as a file"])
    fake.replies["/services/s1"] = answer(b"{}", status=404)
    assert read(fake) == ([], ["app: its spec names it no longer, or not as a file"])
