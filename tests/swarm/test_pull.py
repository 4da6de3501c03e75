"""Images come from a registry before anything stops, or nothing is changed."""

import contextlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tests.swarm.host import Host
from tests.swarm.registry import SERVER, docker_config, registry
from tests.swarm.runs import Seen, findings

TARGET = "1.2.0+3.2.0"
PASSWORD = "s3ntinel-of-the-registry"


def test_an_image_only_a_registry_has_is_pulled_before_abra_acts(host: Host, tmp_path: Path) -> None:
    """No finding, the whole layer is fetched before the act's intent is journaled, and the upgrade converges."""
    image = _published(host, "v3.2.0")
    host.deploy("traefik")

    with registry(host.engine, tmp_path, "traefik:v3.2.0") as known:
        seen = _upgrade(host)

    assert not [each for each in findings(seen) if each.startswith("image-unavailable")]
    assert seen.end == ("upgraded", "converged", 0)
    assert _phase(seen, "pull").startswith("1 pulled")
    (fetched,) = known.asked("layer")
    assert fetched < _begun(host, "act")
    assert host.inspect("traefik", "app", "{{.Spec.TaskTemplate.ContainerSpec.Image}}").startswith(image)


def test_a_registrys_password_is_used_and_nowhere_seen(host: Host, tmp_path: Path) -> None:
    """Docker's own configuration has it: it reaches no output, no journal, and no command line."""
    _published(host, "v3.2.1")
    host.deploy("traefik")
    env = docker_config(tmp_path / "docker", PASSWORD)

    with registry(host.engine, tmp_path, "traefik:v3.2.1", password=PASSWORD), _command_lines() as lines:
        seen = _upgrade(host, env=env)

    secrets = (
        PASSWORD,
        json.loads((tmp_path / "docker" / "config.json").read_text())["auths"][SERVER]["auth"],
    )
    written = b"".join(p.read_bytes() for p in host.state_dir.rglob("*") if p.is_file()).decode(
        errors="replace"
    )
    assert seen.end == ("upgraded", "converged", 0)
    assert _phase(seen, "pull").startswith("1 pulled")
    assert "ccci_upgrade" in "".join(lines), "no command line was seen at all"
    assert "journal" in str(list(host.state_dir.rglob("*")))
    for secret in secrets:
        assert secret not in seen.ran.out + seen.ran.err
        assert secret not in written
        assert not [line for line in lines if secret in line]


def test_a_registry_that_wants_a_password_we_lack_blocks(host: Host, tmp_path: Path) -> None:
    """The Engine's own words are the evidence; exit 13, nothing was changed."""
    image = _published(host, "v3.2.2")
    host.deploy("traefik")

    with registry(host.engine, tmp_path, "traefik:v3.2.2", password=PASSWORD):
        seen = _upgrade(host, env={"DOCKER_CONFIG": str(tmp_path / "none")})

    assert seen.end == ("not_ready", None, 13)
    assert findings(seen)[f"image-unavailable:{image}"] == "block"
    assert "no basic auth credentials" in _evidence(seen, f"image-unavailable:{image}")
    assert host.label("traefik") == "1.0.0+3.0.0"


def test_a_registry_that_never_answers_is_named_in_time(host: Host, tmp_path: Path) -> None:
    """Silence is bounded, and it is the registry that is named, not the Engine."""
    image = _published(host, "v3.2.3")
    host.deploy("traefik")

    with registry(host.engine, tmp_path, "traefik:v3.2.3", silent=True) as known:
        seen = _upgrade(host)

    assert known.asked("silent"), "the registry was never asked"
    assert seen.end == ("not_ready", None, 13)
    assert SERVER in _evidence(seen, f"image-unavailable:{image}")
    assert str(host.engine.socket) not in _evidence(seen, f"image-unavailable:{image}")
    assert seen.ran.seconds < 40
    assert host.label("traefik") == "1.0.0+3.0.0"


def test_ctrl_c_ends_a_pull_that_stalls_and_nothing_was_changed(host: Host, tmp_path: Path) -> None:
    """Half a layer, then silence: the press is heeded at once, exit 130, abra was never called."""
    _published(host, "v3.2.4")
    host.deploy("traefik")
    before = host.inspect("traefik", "app", "{{json .Spec}}")

    words = ("upgrade", "traefik", "--to", TARGET)
    with (
        registry(host.engine, tmp_path, "traefik:v3.2.4", stall=True) as known,
        host.engine.popen(host.argv(*words)) as child,
    ):
        host.engine.wait(lambda: bool(known.asked("stalled")), "the layer was never asked for")
        pressed = time.monotonic()
        child.send_signal(signal.SIGINT)
        told = "".join(child.communicate(timeout=60))
        took = time.monotonic() - pressed

    assert child.returncode == 130, told
    assert took < 10
    assert "nothing was changed" in told
    assert host.inspect("traefik", "app", "{{json .Spec}}") == before
    assert host.pinned("traefik") == "1.0.0+3.0.0"
    run = json.loads(host.run_tool("history", "--json").out)["data"]["runs"][0]
    assert run["outcome"] == "interrupted"
    assert next(phase["name"] for phase in run["phases"]) == "pull"
    assert not list(host.state_dir.rglob("abra.log"))


def _published(host: Host, tag: str) -> str:
    """Release a traefik whose image nobody has yet; gives the image's full name."""
    image = f"{SERVER}/traefik:{tag}"
    host.release("traefik", TARGET, images={"app": image}, made=False)
    return image


def _upgrade(host: Host, env: dict[str, str] | None = None) -> Seen:
    """Upgrade with the registry asked, unlike most tests."""
    words = ("upgrade", "traefik", "--json", "--to", TARGET)
    return Seen(host.run_tool(*words, env=env))


def _phase(seen: Seen, name: str) -> str:
    return next(str(phase["detail"]) for phase in seen.run["phases"] if phase["name"] == name)


def _evidence(seen: Seen, finding: str) -> str:
    return "\n".join(next(f["evidence"] for f in seen.plan["findings"] if f["id"] == finding))


def _begun(host: Host, step: str) -> float:
    (journal,) = host.state_dir.glob("*/journal.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    at = next(line["at"] for line in lines if line["word"] == "begin" and line["step"] == step)
    return datetime.fromisoformat(at).timestamp()


@contextlib.contextmanager
def _command_lines() -> Iterator[set[str]]:
    """Every command line of this machine that could be seen while the block ran."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_text(errors="replace"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join(timeout=10)
