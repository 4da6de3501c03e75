"""Reading a real Engine: events that wake, nodes, and an Engine that went away in between."""

import threading
from typing import Any

from ccci_upgrade.tools.engine import Engine as Api
from ccci_upgrade.tools.swarm import Swarm
from tests.swarm.harness import Engine
from tests.swarm.host import Host


def test_a_change_wakes_whoever_watches_and_so_after_a_restart_of_the_engine(
    host: Host, engine: Engine
) -> None:
    """A broken stream is opened again, and the thread ends soon after it is told to."""
    host.deploy("traefik")
    wake, stop = threading.Event(), threading.Event()
    swarm = Swarm(Api(engine.socket))
    listener = threading.Thread(target=swarm.tell, args=(wake, stop))
    listener.start()
    try:
        service = f"{host.stack('traefik')}_app"
        woken = [_woken(engine, wake, service)]
        engine.kill()
        engine.restart()
        woken.append(_woken(engine, wake, service))
    finally:
        stop.set()
        listener.join(timeout=5)

    assert woken == [True, True]
    assert not listener.is_alive()


def test_doctor_names_a_node_where_no_task_can_run(host: Host, engine: Engine) -> None:
    """A drained node looks like a failing app otherwise."""
    name = engine.docker("node", "ls", "--format", "{{.Hostname}}")
    try:
        engine.docker("node", "update", "--availability", "drain", name)
        document: Any = host.run_tool("doctor", "--json").document()
    finally:
        engine.docker("node", "update", "--availability", "active", name)

    (check,) = [each for each in document["data"]["checks"] if each["name"] == "node"]
    assert check["health"] == "warn"
    assert "drain" in check["detail"]


def test_doctor_names_a_version_that_no_run_here_brought(host: Host) -> None:
    """Somebody used bare abra after our last run."""
    host.deploy("traefik", version="1.0.0+3.0.0")
    host.run_tool("upgrade", "traefik", "--to", "1.0.1+3.0.1", "--offline")
    quiet = host.run_tool("doctor", "--json").document()
    host.abra("app", "upgrade", host.app("traefik"), "1.1.0+3.1.0", "--no-input", check=True)

    loud = host.run_tool("doctor", "--json").document()

    assert not _unexplained(quiet)
    (line,) = _unexplained(loud)
    assert "runs 1.1.0+3.1.0" in line
    assert "left it on 1.0.1+3.0.1" in line


def _unexplained(document: Any) -> list[str]:
    return [each["detail"] for each in document["data"]["checks"] if each["name"] == "unexplained version"]


def _woken(engine: Engine, wake: threading.Event, service: str) -> bool:
    """Whether a change of a service is told; tried a few times, for the stream may just be opening."""
    for replicas in ("2", "1", "2", "1"):
        wake.clear()
        engine.docker("service", "scale", "--detach", f"{service}={replicas}")
        if wake.wait(5):
            return True
    return False
