"""Each scenario is played on a private dockerd (marked `swarm`) and on the practice engine, which needs nothing."""

import http.client
import itertools
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccci_upgrade.practice.engine import PracticeEngine
from tests.contract.lab import Lab, cleaned
from tests.contract.specs import NEW, NEWER, OLD
from tests.swarm.harness import Engine, missing

_HERE = Path(__file__).parent
_IN_CI = os.environ.get("CI") == "true"
_STACKS = (f"k{number}" for number in itertools.count())
_PORTS = itertools.count(28000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a real Engine; where none can be had it is skipped in one line per file (not in CI)."""
    lacks = missing()
    skip = pytest.mark.skip(reason=f"Swarm tests need {', '.join(lacks)}")
    for item in items:
        if item.path.is_relative_to(_HERE) and _is_real(item):
            item.add_marker(pytest.mark.swarm)
            if lacks and not _IN_CI:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def practice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give the socket of a practice engine that has the images the scenarios use."""
    folder = tmp_path_factory.mktemp("practice")
    images = {reference: {"local": True} for reference in (OLD, NEW, NEWER)}
    (folder / "registry.json").write_text(json.dumps({"images": images}), encoding="utf-8")
    with PracticeEngine(folder) as engine:
        yield engine.socket


@pytest.fixture(params=["real", "practice"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Give one of the two Engines, with a stack of the scenario's own on it."""
    with cleaned(_lab(request)) as ours:
        yield ours


def _lab(request: pytest.FixtureRequest) -> Lab:
    stack = next(_STACKS)
    if request.param == "practice":
        socket_path: Path = request.getfixturevalue("practice")
        return Lab(socket_path, stack, reach=_reach, free_port=_free_port, practice=True)
    engine: Engine = request.getfixturevalue("engine")
    return Lab(engine.socket, stack, reach=engine.get, free_port=_PORTS.__next__, practice=False)


def _reach(port: int, path: str) -> tuple[int, str]:
    """Ask an app on this machine; 0 and "" where nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_real(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "[real" in item.name
