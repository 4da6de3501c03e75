"""`status`: rows from real `.env` files and git repositories, and an Engine that answers what a test says."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.config import Config
from ccci_upgrade.errors import UsageError
from ccci_upgrade.flows.status import AppStatus, Status, read_status, state_of
from ccci_upgrade.model.lease import LeaseState, Standing
from ccci_upgrade.model.run import Run
from ccci_upgrade.model.swarm import UpdateState
from ccci_upgrade.model.verdict import Outcome
from ccci_upgrade.model.version import Bump
from ccci_upgrade.store.journal import Journal
from tests.builders import DB_IMAGE, OLD, failed, service, stack, task, update
from tests.fakeengine import FakeEngine, Reply
from tests.gitrepo import GitRepo

SERVER = "ci.example.org"
APP, DB = service(version=OLD), service("db", image=DB_IMAGE)
CLUSTER = "c1"


# -- the word for a stack -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "word"),
    [
        (None, "converged"),
        (UpdateState.COMPLETED, "converged"),
        (UpdateState.UPDATING, "updating"),
        (UpdateState.ROLLBACK_STARTED, "updating"),
        (UpdateState.PAUSED, "paused"),
        (UpdateState.ROLLBACK_PAUSED, "paused"),
        (UpdateState.ROLLBACK_COMPLETED, "rolled_back"),
        (UpdateState.UNKNOWN, "converged"),
    ],
)
def test_a_running_stack_is_called_by_its_last_update(state: UpdateState | None, word: str) -> None:
    """One service is enough."""
    assert state_of(stack(APP, replace(DB, update=update(state) if state else None))) == word


def test_a_stack_without_services_is_undeployed() -> None:
    """Nothing runs under its name."""
    assert state_of(stack()) == "undeployed"


@pytest.mark.parametrize("state", [None, UpdateState.ROLLBACK_COMPLETED, UpdateState.COMPLETED])
def test_a_stack_that_lacks_tasks_is_degraded_whatever_its_update_was(state: UpdateState | None) -> None:
    """Green and red, red counts; so does a service scaled to 0."""
    broken = replace(APP, update=update(state) if state else None)

    assert state_of(stack(broken, DB, tasks=(failed(broken, "1", created=-9), task(DB)))) == "degraded"
    assert state_of(stack(replace(broken, replicas=0, wanted=0), DB)) == "degraded"


# -- rows -----------------------------------------------------------------------------------------------------------


def deployed(name: str, version: str | None, **labels: str) -> dict[str, object]:
    """A service `app` of a stack as the Engine writes it."""
    own = {} if version is None else {f"coop-cloud.{name}.version": version}
    own |= {f"coop-cloud.{name}.{key.replace('_', '-')}": value for key, value in labels.items()}
    return {
        "ID": f"id-{name}",
        "Spec": {
            "Name": f"{name}_app",
            "Labels": {"com.docker.stack.namespace": name} | own,
            "TaskTemplate": {"ContainerSpec": {"Image": "x:1"}},
            "Mode": {"Replicated": {"Replicas": 1}},
        },
    }


def running(name: str) -> dict[str, object]:
    """Its one task."""
    return {
        "ID": f"task-{name}",
        "ServiceID": f"id-{name}",
        "DesiredState": "running",
        "Status": {"State": "running"},
        "Spec": {"ContainerSpec": {"Image": "x:1"}},
    }


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """An Engine with an empty Swarm."""
    with FakeEngine() as fake:
        fake.says("/info", {"Swarm": {"Cluster": {"ID": CLUSTER}, "ControlAvailable": True}, "Name": "ci"})
        fake.says("/services", [])
        fake.says("/tasks", [])
        fake.says("/configs", [])
        yield fake


@pytest.fixture
def config(tmp_path: Path, engine: FakeEngine) -> Config:
    """One server with a traefik whose recipe has three versions."""
    recipe = GitRepo(tmp_path / "abra" / "recipes" / "traefik")
    for version in ("1.0.0+v2.1", "1.1.0+v2.2", "2.0.0+v3.0"):
        recipe.release(version)
    env(tmp_path, "traefik.ci.example.org", "TYPE=traefik:1.0.0+v2.1\nDOMAIN=traefik.ci.example.org\n")
    return Config(
        source=None,
        abra="abra",
        abra_dir=tmp_path / "abra",
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        server=None,
        docker_hosts={SERVER: f"unix://{engine.path}"},
    )


def env(folder: Path, name: str, text: str, server: str = SERVER) -> None:
    """Write one `.env`."""
    path = folder / "abra" / "servers" / server / f"{name}.env"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def read(config: Config, server: str | None = None) -> Status:
    """Read without any network."""
    return read_status(config, server, offline=True)


def row(config: Config) -> AppStatus:
    """The one row there is."""
    (found,) = read(config).apps
    return found


def says(engine: FakeEngine, version: str | None, **labels: str) -> None:
    """Deploy traefik with this label."""
    engine.says("/services", [deployed("traefik_ci_example_org", version, **labels)])
    engine.says("/tasks", [running("traefik_ci_example_org")])


def test_a_row_says_what_runs_and_what_is_newer(config: Config, engine: FakeEngine) -> None:
    """Every version above it, ascending."""
    says(engine, "1.0.0+v2.1")

    found = row(config)

    assert (found.app, found.recipe, found.server) == ("traefik.ci.example.org", "traefik", SERVER)
    assert (found.deployed, found.newest, found.state) == ("1.0.0+v2.1", "2.0.0+v3.0", "converged")
    assert found.upgrades == ("1.1.0+v2.2", "2.0.0+v3.0")
    assert (found.bump, found.chaos, found.last_run) == (Bump.MAJOR, False, None)


def test_the_newest_version_has_nothing_newer(config: Config, engine: FakeEngine) -> None:
    """And no step."""
    says(engine, "2.0.0+v3.0")

    assert (row(config).upgrades, row(config).bump) == ((), Bump.NONE)


@pytest.mark.parametrize("label", [None, "main", "1.2"])
def test_a_label_that_is_no_version_leaves_the_step_unknown(
    config: Config, engine: FakeEngine, label: str | None
) -> None:
    """Unknown is not `none`."""
    says(engine, label)

    assert (row(config).deployed, row(config).bump, row(config).upgrades) == (label, Bump.UNKNOWN, ())


@pytest.mark.parametrize(
    ("labels", "chaos"),
    [
        ({"chaos": "true"}, True),
        ({"chaos_version": "1a2b3c"}, True),
        ({"chaos": "false"}, False),
        ({}, False),
    ],
)
def test_a_deployed_commit_is_told(
    config: Config, engine: FakeEngine, *, labels: dict[str, str], chaos: bool
) -> None:
    """By either label."""
    says(engine, "1.0.0+v2.1", **labels)

    assert row(config).chaos is chaos


def test_an_app_that_is_not_deployed_is_a_row_too(config: Config) -> None:
    """With what could be deployed."""
    assert (row(config).state, row(config).deployed, row(config).newest) == ("undeployed", None, "2.0.0+v3.0")


def test_one_broken_file_hides_no_other(config: Config, tmp_path: Path) -> None:
    """It is shown as what it is."""
    env(tmp_path, "broken", "TYPE=traefik\nA='\n")

    rows = {found.app: found for found in read(config).apps}

    assert rows["broken"].problem
    assert rows["broken"].state == "unknown"
    assert rows["traefik.ci.example.org"].state == "undeployed"


def test_a_recipe_that_is_not_there_is_a_problem_of_its_app_alone(config: Config, tmp_path: Path) -> None:
    """What runs is still told."""
    env(tmp_path, "drone", "TYPE=drone:1.0.0+1\nDOMAIN=drone.ci.example.org\n")

    rows = {found.app: found for found in read(config).apps}

    assert "drone" in rows["drone"].problem
    assert rows["drone"].newest is None
    assert rows["traefik.ci.example.org"].newest == "2.0.0+v3.0"


def test_one_silent_server_hides_no_other(config: Config, engine: FakeEngine, tmp_path: Path) -> None:
    """Its apps are rows with the reason, and the reason is an error."""
    says(engine, "1.0.0+v2.1")
    env(tmp_path, "far", "TYPE=traefik\n", server="far.example.org")
    both = replace(config, docker_hosts=config.docker_hosts | {"far.example.org": f"unix://{tmp_path}/none"})

    found = read(both)
    states = {each.app: each.state for each in found.apps}

    assert states == {"traefik.ci.example.org": "converged", "far": "unknown"}
    assert [error.code for error in found.errors] == ["engine-unreachable"]


@pytest.mark.parametrize("said", [{}, {"message": "no configs for you"}])
def test_an_engine_that_keeps_its_configs_to_itself_hides_nothing_else(
    config: Config, engine: FakeEngine, said: object
) -> None:
    """What is remembered and who is at work are unknown, and the reason is told; that is no error."""
    says(engine, "1.0.0+v2.1")
    before = row(config)
    engine.says("/configs", said, status=403 if said else 200)

    found = read(config)

    (after,) = found.apps
    assert "/configs" in after.problem or "no configs for you" in after.problem
    assert replace(after, problem=before.problem) == before
    assert [(lease.server, lease.standing) for lease in found.leases] == [(SERVER, None)]
    assert found.errors == ()


def test_every_server_has_its_own_lease(config: Config, tmp_path: Path) -> None:
    """One that is silent has an unknown one."""
    env(tmp_path, "far", "TYPE=traefik\n", server="far.example.org")
    both = replace(config, docker_hosts=config.docker_hosts | {"far.example.org": f"unix://{tmp_path}/none"})

    found = {lease.server: lease.standing for lease in read(both).leases}

    assert found == {SERVER: Standing(state=LeaseState.FREE), "far.example.org": None}


def test_what_is_shared_is_asked_beside_the_stacks(config: Config, engine: FakeEngine) -> None:
    """On a connection of its own: an Engine far away answers both in the time of one."""
    both = threading.Barrier(2, timeout=10)
    for path in ("/configs", "/services"):

        def late(connection: socket.socket, reply: Reply = engine.replies[path]) -> bool:
            both.wait()
            return reply(connection)

        engine.replies[path] = late

    assert row(config).state == "undeployed"
    assert not both.broken


def test_a_named_server_is_the_only_one_asked(config: Config, tmp_path: Path) -> None:
    """By flag or by configuration; an unknown one is a usage error."""
    env(tmp_path, "far", "TYPE=traefik\n", server="far.example.org")

    assert {each.server for each in read(config, SERVER).apps} == {SERVER}
    assert {each.server for each in read(replace(config, server=SERVER)).apps} == {SERVER}
    with pytest.raises(UsageError, match=r"elsewhere\.example\.org"):
        read(config, "elsewhere.example.org")


def test_no_server_at_all_is_a_usage_error(config: Config, tmp_path: Path) -> None:
    """With the setting that leads to some."""
    with pytest.raises(UsageError) as caught:
        read(replace(config, abra_dir=tmp_path / "nothing"))

    assert "ABRA_DIR" in caught.value.hint


def test_the_last_ended_run_and_the_open_ones_are_told(config: Config) -> None:
    """An open run is not the last one."""
    first = Run(
        run_id="run-1",
        command="upgrade",
        app="traefik.ci.example.org",
        recipe="traefik",
        server=SERVER,
        cluster=CLUSTER,
        from_version="1.0.0+v2.1",
        to_version="1.1.0+v2.2",
        started="2026-03-01T12:00:00.000Z",
        operator="mia",
        host="laptop",
        pid=1,
    )
    ended = replace(first, outcome=Outcome.UPGRADED, finished="2026-03-01T12:01:00.000Z")
    still = replace(first, run_id="run-2", started="2026-03-02T12:00:00.000Z")
    journal = Journal(config.state_dir, CLUSTER)
    for run in (first, still):
        journal.open(run)
    journal.close(ended)

    found = read(config)

    assert found.apps[0].last_run == ended
    assert [run.run_id for run in found.open_runs] == ["run-2"]


def test_reading_writes_nothing_into_abras_folder(config: Config, engine: FakeEngine, tmp_path: Path) -> None:
    """Neither a lock, nor git's index, nor a state folder."""
    says(engine, "1.0.0+v2.1")
    before = {path: path.lstat().st_mtime_ns for path in (tmp_path / "abra").rglob("*")}

    read(config)

    assert {path: path.lstat().st_mtime_ns for path in (tmp_path / "abra").rglob("*")} == before
    assert not config.state_dir.exists()
    assert {request.method for request in engine.requests} == {"GET"}
