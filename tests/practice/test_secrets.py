"""Secrets kept on a practice host, lost with their Swarm's objects, and put back by the printed commands."""

import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.age import decrypt
from ccci_upgrade.config import read_config
from ccci_upgrade.flows.host import open_host
from ccci_upgrade.flows.keptsecrets import Recipients, keep_secrets, look, open_secrets
from ccci_upgrade.model.keptsecrets import unpack
from ccci_upgrade.store.snapshots import Store
from ccci_upgrade.tools.swarm import Swarm
from tests.practice.test_command import Folder, environment, wait
from tests.practice.test_snapshot import KEYCLOAK, STACK
from tests.unit.test_age import pair
from tests.unit.test_snapshots import FIRST, manifest, tar


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Folder]:
    """A practice host, with abra's commands answered by the stand-in."""
    folder = Folder(tmp_path)
    ran = folder.run("practice")
    assert ran.returncode == 0, ran.stderr
    yield folder
    folder.stop()


def test_secrets_are_put_back_by_the_printed_commands(place: Folder, tmp_path: Path) -> None:
    """Kept, thrown away, put back: the app has the same values again, under the same names."""
    public, private = pair()
    config = read_config(place.host / "ccci-upgrade.toml")
    opened = open_host(config, config.server or "")
    try:
        swarm = opened.swarm
        kept, data = keep_secrets(opened, swarm.stack(STACK), Recipients(keys=(public,)))
        store = Store(config.state_dir, opened.cluster.id)
        writing = store.begin(KEYCLOAK, FIRST)
        about = writing.secrets(kept, data, (public,))
        writing.seal(replace(manifest(writing.archive(0, [tar()])), stack=STACK, secrets=about))
        (tmp_path / "key").write_bytes(private)
        before = open_secrets(store.listed()[0], identity=tmp_path / "key", asker=None)
        _run(config.abra, "app", "undeploy", KEYCLOAK, "-n")
        wait(lambda: swarm.stack(STACK).services == () and not _left(swarm))
        for each in before:
            assert swarm.engine.ask("DELETE", f"/secrets/{each.about.swarm_name}").status == 204

        found = look(config, FIRST, identity=tmp_path / "key", out=tmp_path / "out", asker=None)
        for command in found.commands:
            assert not any(each.value.reveal().decode() in command for each in before)
            _run(config.abra, *shlex.split(command)[1:])
        _run(config.abra, "app", "deploy", KEYCLOAK, "-n", "-f")
        wait(lambda: all(task.running for task in swarm.stack(STACK).tasks) and _left(swarm) >= 2)
        again, more = keep_secrets(opened, swarm.stack(STACK), Recipients(keys=(public,)))
    finally:
        opened.close()

    assert kept.unread == again.unread == ()
    assert {(each.name, each.services) for each in kept.secrets} == {
        ("admin_password", ("app",)),
        ("db_password", ("app", "db")),
        ("db_root_password", ("db",)),
    }
    after = {each.about.swarm_name: each.value for each in unpack(decrypt(more, private))}
    assert after == {each.about.swarm_name: each.value for each in before}
    assert all(each.value.reveal() for each in before)


def _run(abra: str, *words: str) -> None:
    ran = subprocess.run(
        [abra, *words],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def _left(swarm: Swarm) -> int:
    return len([task for task in swarm.stack(STACK).tasks if task.running])
