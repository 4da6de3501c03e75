"""Second copies on a real Swarm: abra's backup by a bot that copies a real volume, and a hook beside it."""

import os
import tarfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ccci_upgrade.config import read_config
from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.flows.backupbot import find_bot
from ccci_upgrade.flows.host import open_host
from ccci_upgrade.flows.secondcopy import CopyKind
from ccci_upgrade.practice.backups import BOT, REPOSITORY
from tests.copying import Told, copy
from tests.swarm.host import SERVER, Host

BOT_SERVICE = "backupbot_app"


def deploy_bot(host: Host) -> None:
    """A service that carries the bot's label; the stand-in's abra does its work."""
    host.engine.docker(
        *("service", "create", "--detach", "--name", BOT_SERVICE, "--endpoint-mode", "dnsrr"),
        *("--label", f"{BOT}=true", "--label", "com.docker.stack.namespace=backupbot"),
        host.inspect("traefik", "app", "{{.Spec.TaskTemplate.ContainerSpec.Image}}"),
    )


def test_the_data_of_a_real_volume_is_copied_and_a_lost_one_noticed(host: Host) -> None:
    """Proven where sizes are listed; an empty backup behind a success is refused; a bot that stopped is missed."""
    host.deploy("traefik", "keycloak")
    deploy_bot(host)
    mounted = host.engine.docker(
        "volume", "inspect", "--format", "{{.Mountpoint}}", f"{host.stack('keycloak')}_mariadb"
    )
    (Path(mounted) / "realm").write_bytes(os.urandom(100_000))
    host.config.chmod(0o644)
    with closing(open_host(read_config(host.config), SERVER)) as opened:
        (app,) = (app for app in opened.apps if app.recipe == "keycloak")
        app = replace(app, backup=True, backup_command=("sh", "-c", 'echo "for $CCCI_UPGRADE_STACK"'))
        host.engine.wait(lambda: _runs(host), "the bot does not run")
        assert find_bot(opened.swarm) == BOT_SERVICE
        host.habits(backup_json=True)
        told = Told()

        command, backup = copy(opened, app, host.folder / "first", told=told)

        assert (command.kind, command.proven) == (CopyKind.COMMAND, False)
        assert (backup.kind, backup.proven) == (CopyKind.ABRA, True), backup.detail
        assert f"for {host.stack('keycloak')}" in told.lines
        (archive,) = (host.abra_dir / REPOSITORY).glob("*/*_mariadb.tar")
        with tarfile.open(archive) as kept:
            assert kept.getmember("__v/realm").size == 100_000

        (Path(mounted) / "realm").unlink()
        assert "the one before" in copy(opened, app, host.folder / "second")[1].detail

        host.habits(backup_json=True, backup_empty=True)
        with pytest.raises(NotReadyError, match="is empty"):
            copy(opened, app, host.folder / "third")

        host.engine.docker("service", "scale", "--detach", f"{BOT_SERVICE}=0")
        host.engine.wait(lambda: not _runs(host), "the bot does not stop")
        with pytest.raises(NotReadyError, match="no backup bot runs"):
            copy(opened, app, host.folder / "fourth")


def _runs(host: Host) -> bool:
    states = host.engine.docker("service", "ps", "--format", "{{.CurrentState}}", BOT_SERVICE)
    return "Running" in states
