"""The shared memory on a real Swarm: what one maintainer recorded, another one's laptop knows."""

import json
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ccci_upgrade.flows.memory import recall_one, remember
from ccci_upgrade.model.memory import KEPT, config_name
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.documents import problems
from tests.practice.memory_writer import good
from tests.swarm.host import Host

_RECORD = """
import sys
from pathlib import Path
from ccci_upgrade.flows.memory import remember
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.swarm import Swarm
from tests.practice.memory_writer import good
engine = Engine(Path(sys.argv[1]))
remember(Swarm(engine), good(sys.argv[2], 1), good(sys.argv[2], 2))
engine.close()
"""


def _socket(host: Host) -> Path:
    return Path(host.engine.url.removeprefix("unix://"))


def test_a_fresh_laptop_knows_what_another_one_recorded(host: Host, tmp_path: Path) -> None:
    """Recorded by one process; shown by `status` with another state folder and another home; read by docker."""
    host.deploy("drone")
    stack = host.stack("drone")
    subprocess.run([sys.executable, "-c", _RECORD, str(_socket(host)), stack], check=True, timeout=60)

    laptop = tmp_path / "laptop"
    (laptop / "home").mkdir(parents=True)
    text = host.config.read_text().replace(f'"{host.state_dir}"', f'"{laptop / "state"}"')
    (laptop / "ccci-upgrade.toml").write_text(text)
    assert str(laptop / "state") in text
    words = ["--config", str(laptop / "ccci-upgrade.toml"), "status", "--json", "--offline"]
    ran = host.engine.run(
        [sys.executable, "-m", "ccci_upgrade", *words], env={"HOME": str(laptop / "home")}, seconds=60
    )
    found = json.loads(ran.out)
    (row,) = [row for row in found["data"]["apps"] if row["app"] == host.app("drone")]

    assert ran.code == 0, ran.err
    assert problems(found) == []
    assert row["last_good"] == {
        "version": "1.0.2+2",
        "recorded": "2026-03-01T12:00:00.000Z",
        "operator": "mia",
        "host": "laptop",
        "run_id": "run-2",
        "snapshot": "20260301T120000-0002",
        "snapshot_host": "laptop",
        "rollback_seconds": None,
    }
    assert found["data"]["leases"][0]["state"] == "free"
    labels = json.loads(
        host.engine.docker("config", "inspect", config_name(stack), "--format", "{{json .Spec.Labels}}")
    )
    assert [each["version"] for each in json.loads(labels["ccci-upgrade.app.good"])] == ["1.0.2+2", "1.0.1+2"]


def test_two_processes_lose_nothing_on_a_real_swarm(host: Host) -> None:
    """From no config at all, at the same moment; and a memory as long as one may be is taken."""
    stack, begin = "w" * 60, time.time() + 1.5
    argv = [sys.executable, "-m", "tests.practice.memory_writer", str(_socket(host)), stack]
    writers = [subprocess.Popen([*argv, str(first), "2", str(begin)]) for first in (0, 100)]
    assert [each.wait(60) for each in writers] == [0, 0]
    with closing(Engine(_socket(host))) as engine:
        swarm = Swarm(engine)
        found = recall_one(swarm, stack)
        assert found is not None
        assert {each.version for each in found.good} == {f"1.0.{number}+2" for number in (0, 1, 100, 101)}

        images = tuple((f"{number:02}" + "s" * 300, "i" * 350) for number in range(16))
        longest = [replace(good(stack, number), images=images) for number in range(KEPT)]
        began = time.monotonic()
        written = remember(swarm, *longest)
        took = time.monotonic() - began
        assert recall_one(swarm, stack) == written
        assert written.last == longest[-1]
    print(f"remembered in {took * 1000:.1f} ms")  # noqa: T201 - figures for people
    host.engine.docker("config", "rm", config_name(stack))
