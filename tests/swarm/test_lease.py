"""The lease on a real Swarm: Raft makes one name one holder's."""

import json
import os
import time
from contextlib import ExitStack, closing
from pathlib import Path

from ccci_upgrade.model.lease import NAME
from tests.practice.test_lease import Racer
from tests.swarm.host import Host

RACES = int(os.environ.get("CCCI_UPGRADE_RACES", "200"))


def test_two_processes_race_on_a_real_swarm(host: Host) -> None:
    """Exactly one wins each time; a killed one is followed within a second."""
    socket = Path(host.engine.url.removeprefix("unix://"))
    with ExitStack() as stack:
        pair = [stack.enter_context(closing(Racer(socket))) for _ in range(2)]
        outcomes = []
        for number in range(RACES):
            if number % 2:
                host.engine.docker("config", "rm", NAME)
            start = time.time() + 0.02
            for each in pair:
                each.say(f"take {start}")
            said = [each.hear() for each in pair]
            outcomes.append(sorted(said))
            for each in pair:
                each.ask("free")
        assert outcomes == [["lost", "won"]] * RACES

        assert pair[0].ask("take") == "won"
        assert pair[1].ask("take") == "lost"
        began = time.monotonic()
        assert pair[0].ask("act") == "acted"
        proved = time.monotonic() - began
        pair[0].kill()
        began = time.monotonic()
        assert pair[1].ask("take") == "won"
        followed = time.monotonic() - began
    print(f"proved in {proved * 1000:.1f} ms, followed in {followed * 1000:.1f} ms")  # noqa: T201 - figures for people
    assert followed < 1


def test_an_upgrade_holds_it_and_lets_go(host: Host) -> None:
    """The config stays in the Swarm, and is free; a foreign one is refused and kept."""
    host.deploy("traefik")
    done = host.run_tool("upgrade", "traefik", "--json", "--offline")
    shown = json.loads(host.run_tool("lease", "show", "--json").out)
    labels = host.engine.docker("config", "inspect", NAME, "--format", "{{json .Spec.Labels}}")

    assert done.code == 0, done.err
    assert shown["data"]["state"] == "free"
    assert json.loads(labels) == {"ccci-upgrade.lease": "1", "ccci-upgrade.lease.state": "free"}

    host.engine.docker("config", "rm", NAME)
    host.engine.docker("config", "create", NAME, "-", data=b"mine")
    refused = host.run_tool("upgrade", "traefik", "--json", "--offline")

    assert refused.code == 13
    assert json.loads(refused.out)["errors"][0]["code"] == "lease-foreign"
    assert host.engine.docker("config", "inspect", NAME, "--format", "{{.Spec.Labels}}") == "map[]"
