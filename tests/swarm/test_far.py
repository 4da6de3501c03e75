"""A real Swarm from afar: sshd runs in the Engine's network, and the tool outside of it reaches nothing else."""

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.consoles import steps
from tests.ssh.server import ALIAS, SshServer, missing, ssh_server, until
from tests.swarm.harness import Engine, Ran
from tests.swarm.host import SERVER, Host
from tests.swarm.images import busybox
from tests.swarm.runs import Seen

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "from-a-laptop.md"


@pytest.fixture
def server(engine: Engine, host: Host) -> Iterator[SshServer]:
    """Give an sshd beside the Engine, reached from outside by a pipe: the two networks share no address."""
    if lacks := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(
            f"tests over ssh need {', '.join(lacks)}"
        )
    with TemporaryDirectory(prefix="far-") as folder, ssh_server(Path(folder), engine.beside) as made:
        enter = " ".join(engine.beside((str(busybox()), "nc", "127.0.0.1", str(made.port))))
        made.config.write_text(made.config.read_text() + f"  ProxyCommand {enter}\n")
        text = host.config.read_text()
        url = made.url(engine.socket)
        host.config.write_text(text.replace(f'docker_host = "{engine.url}"', f'docker_host = "{url}"'))
        yield made
        until(lambda: not made.running(), "an ssh was left behind")


def environment(server: SshServer) -> dict[str, str]:
    """What the tool is run with outside of the Engine's network."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "CCCI_", "ABRA_"))}
    return {**kept, "PATH": server.path, "PYTHONPATH": str(ROOT)}


def outside(host: Host, server: SshServer, *words: str) -> Ran:
    """Run the tool on this machine, where no app and no Engine answers."""
    began = time.monotonic()
    done = subprocess.run(
        host.argv(*words),
        env=environment(server),
        cwd=host.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr, seconds=time.monotonic() - began)


def upgrade(host: Host, server: SshServer, *words: str) -> Seen:
    """Upgrade traefik from afar."""
    return Seen(outside(host, server, "upgrade", "traefik", "--json", "--offline", *words))


def test_an_upgrade_from_afar(host: Host, server: SshServer) -> None:
    """Probes by `address` too: one ssh for all of it, and the same verdict as on the server."""
    host.deploy("traefik")

    seen = upgrade(host, server)

    assert seen.end == ("upgraded", "converged", 0)
    assert len(server.started()) == 1
    health = json.loads(outside(host, server, "health", "traefik", "--json").out)
    checks = {check["name"]: check["ok"] for check in health["data"]["apps"][0]["checks"]}
    assert checks == {"stack": True, "page": True}


def test_a_connection_that_is_cut_and_comes_back(host: Host, server: SshServer) -> None:
    """The watch goes on over a new ssh; a short loss is no verdict."""
    host.deploy("traefik")
    host.habits(delay_before=2)
    cutter = threading.Thread(target=_cut_once_acting, args=(host, server, 4.0))
    cutter.start()

    seen = upgrade(host, server)
    cutter.join(60)

    assert seen.end == ("upgraded", "converged", 0)
    assert len(server.started()) >= 2


def test_a_connection_that_is_cut_and_stays_away(host: Host, server: SshServer) -> None:
    """Nobody can say what is true: no verdict, exit 15, and the journal says so."""
    host.deploy("traefik")
    host.config.write_text(host.config.read_text().replace('budget = "40s"', 'budget = "12s"'))
    host.habits(delay_before=2)
    cutter = threading.Thread(target=_cut_once_acting, args=(host, server, None))
    cutter.start()

    seen = upgrade(host, server)
    cutter.join(60)

    assert seen.end == ("failed", None, 15)
    assert ALIAS in "\n".join(seen.run["notices"])
    assert "ccci-upgrade health" in seen.next
    assert seen.ran.seconds < 60
    history = json.loads(outside(host, server, "history", "--json").out)
    assert history["data"]["runs"][0]["outcome"] == "failed"


def test_the_guide_is_what_happens(host: Host, server: SshServer) -> None:
    """Each command of the guide ends well, in its order, through a Docker context with an `ssh://` address."""
    host.deploy("traefik")
    text = host.config.read_text()
    host.config.write_text(text.replace(f'docker_host = "{server.url(host.engine.socket)}"\n', ""))
    contexts = _context(host.folder / "docker", server.url(host.engine.socket))
    env = environment(server) | {"DOCKER_CONFIG": str(contexts)}

    for step in steps(GUIDE.read_text(encoding="utf-8")):
        words = step.command.removeprefix("ccci-upgrade ").split()
        done = subprocess.run(
            host.argv(*words),
            env=env,
            cwd=host.folder,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, f"$ {step.command}\n{done.stdout}{done.stderr}"

    assert host.label("traefik") != "1.0.0+3.0.0"


def _context(folder: Path, url: str) -> Path:
    """Write a Docker context as `docker context create` does."""
    meta = folder / "contexts" / "meta" / hashlib.sha256(SERVER.encode()).hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": SERVER, "Metadata": {}, "Endpoints": {"docker": {"Host": url}}}))
    return folder


def _cut_once_acting(host: Host, server: SshServer, back_after: float | None) -> None:
    def acting() -> bool:
        texts = [path.read_text() for path in host.state_dir.glob("*/journal.jsonl")]
        return any('"begin"' in line and '"act"' in line for text in texts for line in text.splitlines())

    until(acting, "no act began", 60)
    time.sleep(1.0)
    server.cut()
    if back_after is not None:
        time.sleep(back_after)
        server.start()
