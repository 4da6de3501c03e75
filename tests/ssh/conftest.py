"""Fixtures of the tests over ssh: where sshd is missing they are skipped with the reason, in CI they fail."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.cli.scene import Ran, Scene, standing
from tests.ssh.server import SshServer, missing, ssh_server

_HERE = Path(__file__).parent
_IN_CI = os.environ.get("CI") == "true"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what lies in this folder where there is no sshd, but not in CI."""
    lacks = missing()
    skip = pytest.mark.skip(reason=f"tests over ssh need {', '.join(lacks)}")
    for item in items:
        if lacks and not _IN_CI and item.path.is_relative_to(_HERE):
            item.add_marker(skip)


@dataclass(frozen=True, kw_only=True, slots=True)
class Far:
    """A scene whose Engine is behind a real sshd."""

    scene: Scene
    server: SshServer

    @property
    def env(self) -> dict[str, str]:
        """What makes the tool find our ssh."""
        return {"PATH": self.server.path, "TMPDIR": str(self.scene.folder)}

    def at(self, url: str) -> None:
        """Put the Engine at this address."""
        text = self.scene.config.read_text()
        lines = [f'docker_host = "{url}"' if s.startswith("docker_host") else s for s in text.splitlines()]
        self.scene.config.write_text("\n".join(lines) + "\n")

    def run(self, *words: str) -> Ran:
        """Run the tool from afar, without a terminal."""
        return self.scene.run(*words, env=self.env)


@pytest.fixture
def far() -> Iterator[Far]:
    """Give a server behind ssh; folders are short because sockets' paths must be."""
    if lacks := missing():
        pytest.fail(f"tests over ssh need {', '.join(lacks)}", pytrace=False)
    with (
        TemporaryDirectory(prefix="far-", ignore_cleanup_errors=True) as folder,
        standing(Path(folder)) as scene,
        ssh_server(Path(folder) / "s") as server,
    ):
        made = Far(scene=scene, server=server)
        made.at(server.url(scene.engine.socket))
        yield made
        assert not server.running(), "an ssh was left behind"
