"""Images a rollback needs outlive what people prune, on an Engine of their own whose registry is gone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.tools import images
from ccci_upgrade.tools.engine import Engine as Client
from tests.swarm.harness import Engine, running_engine
from tests.swarm.registry import SERVER, registry

STACK = "app_ci_example_org"


@pytest.fixture(scope="module")
def own() -> Iterator[Engine]:
    """Give an Engine whose images may all go."""
    with running_engine() as engine:
        yield engine


@pytest.fixture
def client(own: Engine) -> Iterator[Client]:
    """Give its client; the service goes with it."""
    made = Client(own.socket)
    yield made
    made.close()
    own.docker("service", "rm", "app", check=False)


def deployed(own: Engine, folder: Path, image: str) -> str:
    """Deploy a service from a registry, and stop both; gives the image as Swarm names it."""
    with registry(own, folder, image):
        own.docker(
            "service", "create", "--detach", "--name", "app", "--endpoint-mode", "dnsrr", f"{SERVER}/{image}"
        )
        own.wait(lambda: tasks(own).startswith("Running"), "it does not run")
    named = own.docker("service", "inspect", "--format", "{{.Spec.TaskTemplate.ContainerSpec.Image}}", "app")
    stop(own)
    return named


def stop(own: Engine) -> None:
    """Scale to 0, and remove the ended containers, as a restore does."""
    label = "label=com.docker.swarm.service.name=app"
    own.docker("service", "scale", "--detach", "app=0")
    own.wait(lambda: not own.docker("ps", "-q", "--filter", label), "it does not stop")
    own.wait(lambda: not _removed(own, own.docker("ps", "-aq", "--filter", label).split()), "containers stay")


def _removed(own: Engine, found: list[str]) -> list[str]:
    if found:
        own.docker("rm", *found, check=False)
    return found


def tasks(own: Engine) -> str:
    """What the newest task does, with its error."""
    shown = own.docker("service", "ps", "app", "--no-trunc", "--format", "{{.CurrentState}} {{.Error}}")
    return shown.partition("\n")[0]


def starts(own: Engine) -> bool:
    """Whether the service starts now; it is stopped again."""
    own.docker("service", "scale", "--detach", "app=1")
    own.wait(lambda: tasks(own).startswith(("Running", "Rejected")), "nothing comes of it")
    came = tasks(own).startswith("Running")
    stop(own)
    return came


def test_a_kept_image_outlives_every_prune_but_one(own: Engine, client: Client, tmp_path: Path) -> None:
    """It starts by its digest after each; after `system prune -a` it is gone, and nothing says otherwise."""
    named = deployed(own, tmp_path, "traefik:v3.9.1")
    before = json.loads(own.docker("image", "inspect", named))[0]
    kept = images.keep(client, named, stack=STACK, service="app")
    own.docker("image", "prune", "--force")
    after_image = starts(own)
    own.docker("image", "prune", "--all", "--force")
    after_all = starts(own)
    names = json.loads(own.docker("image", "inspect", named))[0]
    still = images.kept(client, STACK)
    images.keep(client, named, stack=STACK, service="app")
    own.docker("container", "prune", "--force")
    own.docker("system", "prune", "--force")
    after_system = starts(own)
    own.docker("system", "prune", "--all", "--force")

    assert named.startswith(f"{SERVER}/traefik:v3.9.1@sha256:")
    assert before["RepoTags"] == []  # why a prune takes what nobody kept
    assert (after_image, after_all, after_system) == (True, True, True)
    assert (names["RepoTags"], len(names["RepoDigests"])) == ([], 1)
    assert still == (kept,)
    assert images.kept(client, STACK) == ()
    assert not starts(own)


def test_what_nobody_kept_is_gone_and_a_tag_alone_is_not_what_swarm_asks_for(
    own: Engine, client: Client, tmp_path: Path
) -> None:
    """A plain prune takes it; the same image under its tag serves a service that names no digest."""
    named = deployed(own, tmp_path, "traefik:v3.9.2")
    identity = json.loads(own.docker("image", "inspect", named))[0]["Id"]
    bare = named.partition("@")[0]
    own.docker("tag", identity, "elsewhere:kept")
    own.docker("image", "rm", f"{bare.rpartition(':')[0]}@{named.partition('@')[2]}")
    by_digest = images.restore_tag(client, identity, named)
    started = starts(own)
    own.docker("service", "update", "--detach", "--image", bare, "app")
    by_tag = starts(own)

    assert (by_digest, started, by_tag) == (False, False, True)


def test_a_keeper_makes_no_volumes(own: Engine, client: Client) -> None:
    """Though its image declares some."""
    own.docker("import", "--change", 'VOLUME ["/var/lib/data"]', "-", "declares:v1", data=_empty_tar())
    before = own.docker("volume", "ls", "-q")
    kept = images.keep(client, "declares:v1", stack=STACK, service="db")
    during = own.docker("volume", "ls", "-q")
    images.let_go(client, kept.tag)

    assert before == during


def _empty_tar() -> bytes:
    return bytes(10240)
