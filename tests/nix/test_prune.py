"""The script that prunes, on an Engine of its own: what is needed stays, and so does every volume and container."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ccci_upgrade.model.lease import Claim, to_labels
from ccci_upgrade.tools import images, lease
from ccci_upgrade.tools.engine import Engine as Client
from tests.nix import nixlab
from tests.nix.conftest import need
from tests.nix.unitlab import Unit, unit
from tests.swarm.harness import Engine, Ran, missing, running_engine
from tests.swarm.registry import SERVER, registry

ALWAYS, NEVER = "0", "101"


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """An Engine whose images may go, and the unit."""

    engine: Engine
    client: Client
    unit: Unit
    folder: Path

    def run(self, percent: str = ALWAYS) -> Ran:
        """Prune, where the disk is fuller than `percent`."""
        more = {"CCCI_PRUNE_PERCENT": percent, "DOCKER_HOST": self.engine.url}
        return self.engine.run(self.unit.argv(**more))

    def pulled(self, image: str) -> str:
        """Let Swarm pull an image and need it no more; gives its name, which has a digest and no tag of ours."""
        with registry(self.engine, self.folder, image):
            words = ("--detach", "--name", "puller", "--endpoint-mode", "dnsrr", f"{SERVER}/{image}")
            self.engine.docker("service", "create", *words)
            self.engine.wait(lambda: "Running" in self._tasks(), "it does not run")
        show = "{{.Spec.TaskTemplate.ContainerSpec.Image}}"
        named = self.engine.docker("service", "inspect", "--format", show, "puller")
        self.engine.docker("service", "rm", "puller")
        label = "label=com.docker.swarm.service.name=puller"
        self.engine.wait(lambda: not self.engine.docker("ps", "-aq", "--filter", label), "containers stay")
        return named

    def untagged(self, content: str) -> str:
        """Make an image without any name; gives its id."""
        return self.engine.docker("import", "--message", content, "-", data=bytes(10240))

    def here(self, image: str) -> bool:
        """Whether an image is here."""
        return bool(self.engine.docker("image", "inspect", "--format", "x", image, check=False))

    def tagged(self) -> list[str]:
        """Every name with a tag."""
        listed = self.engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}")
        return sorted(line for line in listed.splitlines() if "<none>" not in line)

    def _tasks(self) -> str:
        return self.engine.docker("service", "ps", "puller", "--format", "{{.CurrentState}}")


@pytest.fixture(scope="module")
def own() -> Iterator[Engine]:
    """Give an Engine whose images may all go."""
    need([*nixlab.missing(), *missing()])
    with running_engine() as engine:
        yield engine


@pytest.fixture
def lab(own: Engine, tmp_path: Path) -> Iterator[Lab]:
    """Give it with the unit."""
    client = Client(own.socket)
    made = unit("ccci-prune", tmp_path, "{ ccci.host.prune.enable = true; }")
    yield Lab(engine=own, client=client, unit=made, folder=tmp_path)
    client.close()
    own.docker("service", "rm", "app", check=False)
    own.docker("rm", "--force", "ended", check=False)


def test_what_is_needed_stays_and_the_rest_goes(lab: Lab) -> None:
    """A stopped app's image, the one before its last update, what a rollback needs, what an ended container has."""
    now, before, kept, unused = (lab.pulled(f"traefik:v3.9.{number}") for number in range(1, 5))
    lab.engine.docker(
        "service", "create", "--detach", "--replicas", "0", "--no-resolve-image", "--name", "app", before
    )
    lab.engine.docker("service", "update", "--detach", "--no-resolve-image", "--image", now, "app")
    images.keep(lab.client, kept, stack="app", service="app")
    ended, nobodys = lab.untagged("ended"), lab.untagged("nobody's")
    lab.engine.docker("create", "--name", "ended", ended, "/never")
    lab.engine.docker("volume", "create", "precious")
    containers, volumes = lab.engine.docker("ps", "-aq"), lab.engine.docker("volume", "ls", "-q")
    tagged = lab.tagged()

    ran = lab.run()

    assert ran.code == 0, ran.err
    assert [lab.here(each) for each in (now, before, kept, ended)] == [True] * 4
    assert [lab.here(each) for each in (unused, nobodys)] == [False] * 2
    assert ran.out.startswith("ccci-prune: 2 images removed, ")
    assert lab.engine.docker("ps", "-aq") == containers
    assert lab.engine.docker("volume", "ls", "-q") == volumes
    assert lab.tagged() == tagged
    assert lab.run().out.startswith("ccci-prune: 0 images removed, ")


def test_a_disk_with_room_is_left_alone(lab: Lab) -> None:
    """What is here need not be pulled again."""
    image = lab.untagged("one more")

    ran = lab.run(NEVER)

    assert ran.code == 0
    assert "% full, and nothing is removed below 101 %" in ran.out
    assert lab.here(image)


def test_nothing_is_removed_while_somebody_works(lab: Lab) -> None:
    """Images are pulled before an app is stopped, and nothing names them yet; when the lease is free they may go."""
    claim = Claim(
        user="ops", host="ci", pid=1, boot="", command="upgrade", since="now", heartbeat="now", token="0" * 32
    )
    image = lab.untagged("pulled just now")
    assert lease.create(lab.client, to_labels(claim))

    held = lab.run()
    stayed = lab.here(image)
    found = lease.read(lab.client)
    assert found is not None
    assert lease.swap(lab.client, to_labels(None), found.index)
    free = lab.run()

    assert (held.code, held.out) == (
        0,
        "ccci-prune: somebody is at work (ccci-upgrade lease show), so nothing was removed\n",
    )
    assert stayed
    assert free.code == 0
    assert not lab.here(image)


def test_without_an_engine_it_fails(lab: Lab) -> None:
    """And says so; a timer that does nothing must not be green."""
    argv = lab.unit.argv(CCCI_PRUNE_PERCENT=ALWAYS, DOCKER_HOST=f"unix://{lab.folder}/none.sock")

    ran = lab.engine.run(argv)

    assert ran.code != 0
    assert ran.err


def test_without_a_swarm_it_fails(lab: Lab) -> None:
    """What is needed cannot be known then."""
    image = lab.untagged("unknown")
    bare = Engine()
    try:
        bare.start()
        image = bare.docker("import", "-", data=bytes(10240))
        ran = bare.run(lab.unit.argv(CCCI_PRUNE_PERCENT=ALWAYS, DOCKER_HOST=bare.url))

        assert ran.code != 0
        assert bare.docker("image", "ls", "--quiet", "--no-trunc") == image
    finally:
        bare.close()
