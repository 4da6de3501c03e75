"""Reading commands from afar: the same documents over one ssh, and one clear error for each way it can fail."""

import json

import pytest

from tests.ssh.conftest import Far


@pytest.mark.parametrize("words", [("status",), ("plan",), ("health",), ("notes", "traefik")])
def test_a_far_server_reads_as_a_near_one(far: Far, words: tuple[str, ...]) -> None:
    """One ssh process, which ends with the command and leaves no socket; the answer is the near one's."""
    there = far.run(*words, "--json", "--offline") if words != ("health",) else far.run(*words, "--json")
    far.at(far.scene.engine.url)
    here = far.run(*words, "--json", "--offline") if words != ("health",) else far.run(*words, "--json")

    assert (there.code, here.code) == (0, 0), there.err
    assert len(far.server.started()) == 1
    assert not far.server.sockets()
    far_data, near_data = json.loads(there.out)["data"], json.loads(here.out)["data"]
    assert far_data.keys() == near_data.keys()
    assert len(far_data) == len(near_data)
