"""Starting and ending a practice engine: one for each socket, and nothing is left of it."""

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.practice.engine import PracticeEngine
from tests.practice.enginehost import IMAGES, Host, free_port, page, service, until


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pe-") as name:
        (Path(name) / "registry.json").write_text(json.dumps({"images": IMAGES}))
        yield Path(name)


def run(folder: Path) -> "subprocess.Popen[str]":
    """Start the program, and wait until it says that it is ready."""
    argv = (sys.executable, "-m", "ccci_upgrade.practice.engine", str(folder))
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline().startswith("ready at ")
    return child


def test_stop_leaves_no_thread_no_port_and_no_socket(folder: Path) -> None:
    """In the middle of everything: tasks running, an event stream open, a client connected."""
    before = set(threading.enumerate())
    port = free_port()
    engine = PracticeEngine(folder)
    engine.start()
    host = Host(engine)
    lines = host.engine.lines("GET", "/events", seconds=10)
    reader = threading.Thread(target=lambda: list(lines))
    reader.start()
    host.runs(service("app", port=(port, "host"), healthcheck=True))
    until(lambda: page(port)[0] == 200)
    engine.stop()
    engine.stop()
    reader.join(5)
    host.engine.close()

    assert set(threading.enumerate()) == before
    assert not engine.socket.exists()
    assert not (folder / "roots").exists()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


@pytest.mark.parametrize("how", ["TERM", "INT", "asked"])
def test_the_program_ends_when_it_is_told(folder: Path, how: str) -> None:
    with run(folder) as child:
        if how == "asked":
            host = Host(PracticeEngine(folder))
            host.post("/_practice/stop", None, status=200)
            host.engine.close()
        else:
            child.send_signal(signal.Signals[f"SIG{how}"])
        _, err = child.communicate(timeout=10)

    assert (child.returncode, err) == (0, "")
    assert not (folder / "engine.sock").exists()


def test_a_socket_that_is_left_over_is_replaced_and_a_living_one_is_not(folder: Path) -> None:
    with run(folder) as child:
        with pytest.raises(NotReadyError, match="another practice engine runs already"):
            PracticeEngine(folder).start()
        child.kill()
        child.communicate(timeout=10)

    assert (folder / "engine.sock").exists()
    with PracticeEngine(folder) as engine:
        host = Host(engine)
        assert host.tree("/info")["Name"] == "practice"
        host.engine.close()


def test_a_path_too_long_for_a_socket_is_one_clear_error(folder: Path) -> None:
    with pytest.raises(NotReadyError, match="longer than 103 bytes"):
        PracticeEngine(folder / ("x" * 100))


def test_volumes_are_found_again(folder: Path) -> None:
    """Services are forgotten at the end; what was in volumes is not."""
    names: list[object] = []
    for _ in range(2):
        with PracticeEngine(folder) as engine:
            host = Host(engine)
            names = [volume["Name"] for volume in _volumes(host)]
            host.post("/volumes/create", {"Name": "kept"})
            host.engine.close()

    assert names == ["kept"]


def _volumes(host: Host) -> list[dict[str, object]]:
    value = host.tree("/volumes")["Volumes"]
    assert isinstance(value, list)
    return [dict(each) for each in value if isinstance(each, dict)]


def test_many_requests_at_once_lose_none(folder: Path) -> None:
    """Each connection has its own thread; names stay unique."""
    with PracticeEngine(folder) as engine:
        host = Host(engine)
        done: list[int] = []

        def create() -> None:
            answer = host.engine.ask("POST", "/configs/create", body={"Name": "one", "Data": ""})
            done.append(answer.status)
            host.engine.close()

        threads = [threading.Thread(target=create) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert sorted(done) == [201] + [409] * 11
