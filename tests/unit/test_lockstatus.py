"""The lock in `status`: compared, or said why not. Rows are those of `lock diff`, tried on a practice host."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.config import Config
from ccci_upgrade.flows.host import Host, open_host
from ccci_upgrade.flows.locksight import Sight, apps_now
from ccci_upgrade.flows.lockstatus import LockStatus, begin, compared
from ccci_upgrade.flows.status import read_status
from ccci_upgrade.model.lockfile import lock_text
from ccci_upgrade.ui.lockdata import in_status
from tests import builders
from tests.builders import APP
from tests.fakeengine import FakeEngine
from tests.unit.locks import LOCK, LOCKED

SERVER = "ci.example.org"


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    """An Engine with an empty Swarm."""
    with FakeEngine() as fake:
        fake.says("/info", {"Swarm": {"Cluster": {"ID": "c1"}, "ControlAvailable": True}, "Name": "ci"})
        for path in ("/services", "/tasks", "/configs", "/networks"):
            fake.says(path, [])
        yield fake


@pytest.fixture
def config(tmp_path: Path, engine: FakeEngine) -> Config:
    """Two servers, of which one has the lock's app."""
    for server, name in ((SERVER, APP), ("far.example.org", "drone.far.example.org")):
        folder = tmp_path / "abra" / "servers" / server
        folder.mkdir(parents=True)
        (folder / f"{name}.env").write_text("TYPE=keycloak\n")
    return Config(
        source=None,
        abra="abra",
        abra_dir=tmp_path / "abra",
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        server=None,
        docker_hosts=dict.fromkeys((SERVER, "far.example.org"), f"unix://{engine.path}"),
        lock_file=tmp_path / "infra.lock.toml",
    )


def _status(config: Config, server: str | None = None) -> LockStatus:
    found = read_status(config, server, offline=True).lock
    assert found is not None
    return found


def _written(config: Config, text: str | None = None) -> None:
    assert config.lock_file is not None
    config.lock_file.write_text(lock_text(LOCK) if text is None else text)


def _whats(found: LockStatus) -> set[str]:
    return {row.what for row in found.rows}


def test_of_several_servers_the_one_that_has_its_apps_is_compared(config: Config) -> None:
    """The other one's apps are no drift."""
    _written(config)
    found = _status(config)

    assert {row.app for row in found.rows} == {APP}
    assert "deployed" in _whats(found)
    assert found.why == ""


def test_the_only_server_is_compared_whatever_it_has(config: Config) -> None:
    """Right after a rebuild it has nothing."""
    _written(config)
    (config.abra_dir / "servers" / SERVER / f"{APP}.env").unlink()

    assert _whats(_status(config, SERVER)) == {"env", "deployed"}


@pytest.mark.parametrize(
    ("text", "why"), [("junk", "line 1"), ("schema = 9\n", "does not know"), (None, "not compared")]
)
def test_what_was_not_compared_says_why(config: Config, text: str | None, why: str) -> None:
    """No drift is not the same as not looked."""
    _written(config, text)
    config.docker_hosts[SERVER] = "unix:///nonexistent"
    found = _status(config)

    assert why in found.why
    assert in_status(found)["problem"] == found.why


def test_a_lock_that_is_not_there_yet_says_what_to_type(config: Config) -> None:
    """It is configured, and nobody has written it."""
    assert "lock write" in _status(config).why


def test_an_engine_that_refuses_is_the_locks_problem_alone(config: Config, engine: FakeEngine) -> None:
    """The rest of `status` stands."""
    _written(config)
    engine.says("/networks", {"message": "no networks for you"}, status=500)
    found = _status(config)

    assert "no networks for you" in found.why
    assert found.rows == ()


def test_without_a_configured_lock_nothing_is_asked(config: Config, engine: FakeEngine) -> None:
    """`status` costs what it cost."""
    assert read_status(replace(config, lock_file=None), SERVER, offline=True).lock is None
    assert "/networks" not in {request.path for request in engine.requests}


def _host(config: Config) -> Host:
    return open_host(config, SERVER)


def test_one_app_can_be_looked_at_alone(config: Config) -> None:
    """As a run does at its end; without a lock those are the apps that have an `.env`."""
    other = config.abra_dir / "servers" / SERVER / "bad.ci.example.org.env"
    other.write_bytes(b"\xff")
    with closing(_host(config)) as host:
        sight = Sight(stacks={}, recipe=lambda _: builders.recipe())
        every = apps_now(host, sight, None)
        with_lock = apps_now(host, sight, LOCK.having(replace(LOCKED, name="gone.ci.example.org")))
        (one,) = apps_now(host, sight, LOCK, only=APP)

    assert [each.name for each in every] == [APP, "bad.ci.example.org"]
    assert [bool(each.problem) for each in every] == [False, True]
    assert [each.name for each in with_lock] == [APP, "bad.ci.example.org", "gone.ci.example.org"]
    assert one.name == APP


def test_what_is_the_same_is_no_row(config: Config) -> None:
    """A lock of nothing, on a server where nothing runs."""
    _written(config, f'schema = 1\nserver = "{SERVER}"\n')
    assert config.lock_file is not None
    with closing(_host(config)) as host:
        sight = Sight(stacks={}, recipe=lambda _: builders.recipe())
        found = compared(begin(config.lock_file), host, sight, alone=True)

    assert (found.rows, found.why) == ((), "")
