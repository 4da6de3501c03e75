"""The Swarm read from the Engine's JSON: as API 1.41 writes it, and as nobody should."""

import base64
import contextlib
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.errors import EngineError, NotReadyError
from ccci_upgrade.flows.status import state_of
from ccci_upgrade.model.swarm import Mount, Port, Stack, UpdateState, UpdateStatus
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm, spec_hash
from tests.builders import service, task
from tests.fakeengine import FakeEngine, answer

STACK = "keycloak_ci_example_org"

INFO = {
    "Swarm": {"Cluster": {"ID": "c1"}, "ControlAvailable": True, "Nodes": 1, "LocalNodeState": "active"},
    "ServerVersion": "20.10.24+dfsg1",
    "Name": "ci",
    "SystemTime": "2026-03-01T12:00:00.123456789Z",
    "DockerRootDir": "/var/lib/docker",
}

TEMPLATE = {
    "ContainerSpec": {
        "Image": "keycloak/keycloak:25.0.6@sha256:abc",
        "Args": ["start"],
        "Env": ["KC_DB=postgres"],
        "Healthcheck": {"Test": ["CMD", "true"]},
        "Mounts": [
            {
                "Type": "volume",
                "Source": f"{STACK}_data",
                "Target": "/data",
                "VolumeOptions": {"DriverConfig": {}},
            },
            {"Type": "bind", "Source": "/srv", "Target": "/srv"},
        ],
        "Configs": [{"ConfigName": "entry_v1"}],
        "Secrets": [{"SecretName": "db_v1"}],
    },
    "Networks": [{"Target": "n1"}, {"Target": "n0"}],
    "ForceUpdate": 0,
}

SERVICE = {
    "ID": "s1",
    "Version": {"Index": 42},
    "UpdatedAt": "2026-03-01T11:00:00Z",
    "Spec": {
        "Name": f"{STACK}_app",
        "Labels": {"com.docker.stack.namespace": STACK, f"coop-cloud.{STACK}.version": "1.0.0+25.0.6"},
        "TaskTemplate": TEMPLATE | {"Runtime": "container"},
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {"Order": "start-first", "FailureAction": "rollback"},
        "EndpointSpec": {
            "Ports": [{"TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host", "Protocol": "tcp"}]
        },
    },
    "PreviousSpec": {"Name": f"{STACK}_app"},
    "ServiceStatus": {"RunningTasks": 1, "DesiredTasks": 1},
    "UpdateStatus": {
        "State": "completed",
        "StartedAt": "2026-03-01T11:00:00Z",
        "Message": "update completed",
    },
}

TASK = {
    "ID": "t1",
    "ServiceID": "s1",
    "Slot": 1,
    "NodeID": "n",
    "Spec": TEMPLATE,
    "CreatedAt": "2026-03-01T11:00:01Z",
    "DesiredState": "running",
    "Status": {
        "State": "running",
        "Timestamp": "2026-03-01T11:00:05Z",
        "ContainerStatus": {"ContainerID": "cafe1", "ExitCode": 0},
    },
}

GOOD: dict[str, Any] = {
    "/info": INFO,
    "/services": [SERVICE],
    "/tasks": [TASK],
    "/volumes": {
        "Volumes": [{"Name": f"{STACK}_data", "Driver": "local", "CreatedAt": "2026-01-01T00:00:00Z"}]
    },
    "/networks": [{"Id": "n1", "Name": "proxy"}, {"Id": "n0", "Name": "internal"}],
    "/secrets": [{"Spec": {"Name": "db_v1"}}],
    "/configs": [{"Spec": {"Name": "entry_v1", "Data": base64.b64encode(b"exec").decode()}}],
}


class Server(FakeEngine):
    """A fake Engine with its one client."""

    client: Engine | None = None

    def done(self) -> None:
        """Let the client go."""
        if self.client is not None:
            self.client.close()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One server for all tests; each says what it answers."""
    with Server() as fake:
        yield fake
        fake.done()


def asking(fake: Server, **answers: Any) -> Swarm:
    """A Swarm that answers well, but for these paths."""
    fake.done()
    for path, value in (GOOD | {f"/{name}": value for name, value in answers.items()}).items():
        fake.says(path, value)
    fake.requests.clear()
    fake.client = Engine(fake.path, seconds=20)
    return Swarm(fake.client)


def changed(value: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A copy with other values at the top."""
    return json.loads(json.dumps(value)) | more  # type: ignore[no-any-return]


def specced(**more: Any) -> dict[str, Any]:
    """The service with another spec."""
    return changed(SERVICE, Spec=changed(SERVICE["Spec"], **more))  # type: ignore[arg-type]


# -- as it should be ---------------------------------------------------------------------------------------------


def test_a_service_is_read_as_the_engine_writes_it(server: Server) -> None:
    """Every part that findings and verdicts stand on."""
    (app,) = asking(server).stack(STACK).services

    assert (app.id, app.name, app.full_name, app.stack) == ("s1", "app", f"{STACK}_app", STACK)
    assert app.image == "keycloak/keycloak:25.0.6@sha256:abc"
    assert (app.replicas, app.wanted, app.order, app.failure_action) == (1, 1, "start-first", "rollback")
    assert app.has_healthcheck
    assert app.mounts == (
        Mount(kind="volume", source=f"{STACK}_data", target="/data"),
        Mount(kind="bind", source="/srv", target="/srv"),
    )
    assert app.ports == (Port(target=80, published=8080, mode="host"),)
    assert app.networks == ("internal", "proxy")
    assert (app.configs, app.secrets) == (("entry_v1",), ("db_v1",))
    assert app.update == UpdateStatus(
        state=UpdateState.COMPLETED,
        started=datetime(2026, 3, 1, 11, tzinfo=UTC),
        completed=None,
        message="update completed",
    )


def test_a_task_is_known_to_be_of_its_services_template(server: Server) -> None:
    """A task carries the template without its Runtime."""
    stack = asking(server).stack(STACK)
    (app,), (running,) = stack.services, stack.tasks

    assert running.template_hash == app.template_hash
    assert running.running
    assert running.exit_code is None
    assert running.created == datetime(2026, 3, 1, 11, 0, 1, tzinfo=UTC)


def test_an_exit_code_belongs_to_an_ended_task_only(server: Server) -> None:
    """The Engine says 0 of a running one."""
    ended = changed(TASK, Status=changed(TASK["Status"], State="failed", ContainerStatus={"ExitCode": 137}))  # type: ignore[arg-type]

    (seen,) = asking(server, tasks=[ended]).stack(STACK).tasks

    assert (seen.exit_code, seen.failed) == (137, True)


def test_a_spec_is_the_same_whatever_its_keys_order_and_the_version_index() -> None:
    """The index moves when only UpdateStatus does."""
    assert spec_hash({"a": 1, "b": [{"c": 2, "d": 3}]}) == spec_hash({"b": [{"d": 3, "c": 2}], "a": 1})
    assert spec_hash({"a": [1, 2]}) != spec_hash({"a": [2, 1]})


def test_an_update_status_moves_no_hash(server: Server) -> None:
    """Nor do times and indices."""
    (before,) = asking(server).services()
    (after,) = asking(
        server, services=[changed(SERVICE, Version={"Index": 99}, UpdateStatus={"State": "updating"})]
    ).services()

    assert (before.spec_hash, before.template_hash) == (after.spec_hash, after.template_hash)


@pytest.mark.parametrize(
    ("mode", "replicas", "wanted"),
    [({"Replicated": {}}, 1, 1), ({"Replicated": {"Replicas": 0}}, 0, 0), ({"Global": {}}, None, 3)],
)
def test_replicas_are_counted_by_mode(
    server: Server, mode: dict[str, Any], replicas: int | None, wanted: int
) -> None:
    """A silent file means one; a global service wants what the Swarm says."""
    (app,) = asking(
        server, services=[changed(specced(Mode=mode), ServiceStatus={"DesiredTasks": 3})]
    ).services()

    assert (app.replicas, app.wanted) == (replicas, wanted)


@pytest.mark.parametrize(
    ("raw", "state"),
    [(None, None), ({}, None), ({"State": ""}, None), ({"State": "from the future"}, UpdateState.UNKNOWN)],
)
def test_an_update_status_may_be_none_or_new(server: Server, raw: object, state: UpdateState | None) -> None:
    """An unknown word is not taken for a known one."""
    (app,) = asking(server, services=[changed(SERVICE, UpdateStatus=raw)]).services()

    assert (app.update and app.update.state) == state


def test_only_the_asked_stacks_services_tasks_and_volumes_are_in_it(server: Server) -> None:
    """The Engine filters; what slips through is not ours either."""
    other = changed(TASK, ID="t2", ServiceID="another")
    volumes = {"Volumes": [{"Name": "unrelated", "Driver": "local"}, *GOOD["/volumes"]["Volumes"]]}
    swarm = asking(server, tasks=[TASK, other], volumes=volumes)

    stack = swarm.stack(STACK)

    assert [t.id for t in stack.tasks] == ["t1"]
    assert [v.name for v in stack.volumes] == [f"{STACK}_data"]
    wanted = {"label": [f"com.docker.stack.namespace={STACK}"]}
    for path in ("/services", "/tasks"):
        assert [json.loads(r.query["filters"][0]) for r in server.asked(path)] == [wanted]


def test_a_stack_that_is_not_there_has_no_services(server: Server) -> None:
    """Go writes an empty list as null."""
    stack = asking(server, services=None, tasks=None, volumes={"Volumes": None}).stack(STACK)

    assert (stack.name, stack.services, stack.tasks, stack.volumes) == (STACK, (), (), ())


def test_all_stacks_come_from_two_questions(server: Server) -> None:
    """`status` asks for many apps at once."""
    swarm = asking(server)

    assert set(swarm.stacks()) == {STACK}
    assert (len(server.asked("/services")), len(server.asked("/tasks"))) == (1, 1)


def test_the_engines_clock_counts_and_not_ours(server: Server) -> None:
    """Its time goes on from what it said."""
    said = asking(server).engine_time()

    assert timedelta() <= said - datetime(2026, 3, 1, 12, tzinfo=UTC) < timedelta(seconds=60)


def test_names_are_those_a_deploy_refers_to(server: Server) -> None:
    """Configs with their data."""
    names = asking(server).names()

    assert (names.secrets, names.networks) == (frozenset({"db_v1"}), frozenset({"proxy", "internal"}))
    assert names.configs == {"entry_v1": b"exec"}


@pytest.mark.parametrize("data", ["%%%", "ä", "YQ"])
def test_a_config_whose_data_cannot_be_read_is_unknown(server: Server, data: str) -> None:
    """It is not taken for an empty one."""
    assert asking(server, configs=[{"Spec": {"Name": "x", "Data": data}}]).names().configs == {"x": None}


@pytest.mark.parametrize(
    ("swarm", "state"),
    [
        ({"LocalNodeState": "inactive"}, "inactive"),
        ({"LocalNodeState": "active", "Cluster": None}, "active"),
        (None, "unknown"),
    ],
)
def test_an_engine_that_is_no_manager_is_told_apart(server: Server, swarm: object, state: str) -> None:
    """With the command that would make it one."""
    with pytest.raises(NotReadyError, match=state) as caught:
        asking(server, info=changed(INFO, Swarm=swarm)).cluster()

    assert caught.value.code == "no-swarm"
    assert "docker swarm init" in caught.value.hint


def test_the_cluster_is_named_by_its_id(server: Server) -> None:
    """Names of servers may be anything."""
    cluster = asking(server).cluster()

    assert (cluster.id, cluster.engine_version, cluster.manager) == ("c1", "20.10.24+dfsg1", True)


# -- logs ---------------------------------------------------------------------------------------------------------


def frame(stream: int, data: bytes) -> bytes:
    """One frame of a log without a tty."""
    return struct.pack(">BxxxI", stream, len(data)) + data


def printed(fake: Server, body: bytes, *, status: int = 200, container: str = "cafe1") -> tuple[str, ...]:
    """What the last lines of a task are, when the Engine answers so."""
    swarm = asking(fake)
    fake.replies[f"/containers/{container}/logs"] = answer(body, status=status)
    return swarm.logs(replace(task(service()), container_id=container), tail=2)


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (frame(1, b"one\ntw") + frame(2, b"o\nthree\n"), ("two", "three")),
        (b"a tty has\r\nno frames\r\n", ("a tty has", "no frames")),
        (frame(1, b"whole\n") + frame(1, b"cut off")[:-3], ("whole", "cut ")),
        (frame(1, b"\x1b]52;c;x\x07\xff\n"), (r"\x1b]52;c;x\x07\xff",)),
        (b"", ()),
        (b"\x01\x00\x00", ()),
    ],
)
def test_log_lines_are_taken_out_of_their_frames(server: Server, body: bytes, lines: tuple[str, ...]) -> None:
    """Both streams in their order, tamed, whatever is cut."""
    assert printed(server, body) == lines


def test_a_container_that_is_gone_has_no_log(server: Server) -> None:
    """Swarm removes it soon after its end."""
    assert printed(server, b'{"message": "no such container"}', status=404) == ()


@pytest.mark.parametrize("container", ["", "../../info", "a/b", "\ud800"])
def test_an_odd_container_id_is_never_part_of_a_path(server: Server, container: str) -> None:
    """Nothing is asked."""
    swarm = asking(server)

    assert swarm.logs(replace(task(service()), container_id=container)) == ()
    assert server.requests == []


# -- as it should never be ------------------------------------------------------------------------------------------

texts = st.text(st.characters(), max_size=8) | st.sampled_from(
    [
        "running",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00Z",
        "2026-01-01",
        "volume",
        "{",
        "\ud800",
        "9" * 5000,
    ]
)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def spoiled(draw: st.DrawFn, value: Any) -> Any:
    """The same document with a part of it replaced by anything."""
    if not draw(st.integers(0, 7)):
        return draw(junk)
    if isinstance(value, dict) and value:
        key = draw(st.sampled_from(sorted(value)))
        return value | {key: spoiled(draw, value[key])}
    if isinstance(value, list) and value:
        return [spoiled(draw, value[0]), *value[1:]]
    return draw(junk)


STATES = {"undeployed", "updating", "paused", "degraded", "rolled_back", "converged"}
QUESTIONS: tuple[Callable[[Swarm], object], ...] = (
    Swarm.cluster,
    Swarm.engine_time,
    Swarm.services,
    Swarm.stacks,
    Swarm.names,
    lambda swarm: swarm.stack(STACK),
)


@given(data=st.data())
def test_whatever_the_engine_says_is_read_or_refused(server: Server, data: st.DataObject) -> None:
    """Any JSON anywhere: a value, or one expected error, and never another one."""
    path = data.draw(st.sampled_from(sorted(GOOD)))
    document = data.draw(st.composite(spoiled)(GOOD[path]))
    swarm = asking(server, **{path[1:]: document})

    for question in QUESTIONS:
        with contextlib.suppress(EngineError):
            try:
                found = question(swarm)
            except NotReadyError as error:
                if error.code == "no-swarm":
                    continue
                raise
            if isinstance(found, Stack):
                assert state_of(found) in STATES


def test_nesting_is_refused_and_never_overflows(server: Server) -> None:
    """From what can be read to what cannot, through what can be read but not hashed."""
    swarm = asking(server)
    known = json.dumps([SERVICE])
    read = []
    for depth in range(100, 1100, 10):
        server.replies["/services"] = answer(known.replace('"start"', "[" * depth + "]" * depth).encode())
        try:
            read.append(len(swarm.services()))
        except EngineError:
            read.append(0)

    assert read == sorted(read, reverse=True)
    assert {0, 1} == set(read)
