"""A program in a running container: how secrets are read, for the Engine gives none out."""

import base64
import struct

from ccci_upgrade.tools.engine import Json
from ccci_upgrade.tools.execs import Ended, run
from tests.contract.jsontree import Tree, number, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import STACK

VALUE = bytes(range(256)) * 300
"""More than one frame, and no text."""


def _secret(lab: Lab, name: str, file: str, **how: object) -> Tree:
    spec: Tree = {"Name": f"{lab.stack}_{name}", "Labels": {STACK: lab.stack}}
    identity = lab.post("/secrets/create", spec | {"Data": base64.b64encode(VALUE).decode()}, status=201)
    place: Tree = {"Name": file, "UID": "0", "GID": "0", "Mode": 0o444}
    place.update({key: value for key, value in how.items() if isinstance(value, str | int)})
    return {"File": place, "SecretID": text(identity, "ID"), "SecretName": f"{lab.stack}_{name}"}


def _container(lab: Lab, *secrets: Tree) -> str:
    lab.start("app", secrets=list(secrets))
    return text(lab.running("app")[0], "Status", "ContainerStatus", "ContainerID")


def _cat(lab: Lab, container: str, *argv: str, user: str = "") -> Ended:
    return run(lab.engine, container, argv, user=user, limit=1024 * 1024, seconds=15)


def test_a_secret_is_read_from_its_container(lab: Lab) -> None:
    """Whole, by name below `/run/secrets` and by its own path; only where its mode allows the user."""
    odd = _secret(lab, "odd", "an odd näme", UID="33", GID="44", Mode=0o440)
    far = _secret(lab, "far", "/etc/app/far")
    container = _container(lab, odd, far)
    path = "/run/secrets/an odd näme"

    assert _cat(lab, container, "cat", path) == Ended(code=0, out=VALUE)
    assert _cat(lab, container, "/bin/busybox", "cat", "/etc/app/far") == Ended(code=0, out=VALUE)
    allowed = {
        user: _cat(lab, container, "cat", path, user=user).code for user in ("33:0", "1:44", "1:1", "0:0")
    }
    assert allowed == {"33:0": 0, "1:44": 0, "1:1": 1, "0:0": 0}
    assert _cat(lab, container, "cat", "/run/secrets/none") == Ended(code=1, out=b"")


def test_only_the_exit_code_tells_a_failed_start(lab: Lab) -> None:
    """A program that is not there is 126 (127 on newer Engines), and the Engine's words come as its output."""
    container = _container(lab)
    missing, elsewhere = _cat(lab, container, "nothere"), _cat(lab, container, "/bin/nothere", "x")

    assert {missing.code, elsewhere.code} <= {126, 127}
    assert missing.out.startswith(b"OCI runtime exec failed: exec failed: ")
    assert b'"nothere": executable file not found in $PATH' in missing.out
    assert b"stat /bin/nothere: no such file or directory" in elsewhere.out


def test_the_life_of_an_exec(lab: Lab) -> None:
    """201, 200, and a second start says that it has run; 400 for nothing, 404 for nobody, 409 for who stands still."""
    container = _container(lab)
    body: Json = {"AttachStdout": True, "AttachStderr": True, "Cmd": ["cat", "/none"], "User": "0:0"}
    path = f"/containers/{container}/exec"
    identity = text(lab.post(path, body, status=201), "Id")
    before = tree(lab.engine.get(f"/exec/{identity}/json"))
    start: Json = {"Detach": False, "Tty": False}
    first = lab.engine.ask("POST", f"/exec/{identity}/start", body=start)
    after = tree(lab.engine.get(f"/exec/{identity}/json"))
    second = lab.engine.ask("POST", f"/exec/{identity}/start", body=start)
    stopped = text(
        lab.post("/containers/create", {"Image": "traefik:v3.0.0", "Labels": {STACK: lab.stack}}, status=201),
        "Id",
    )
    refused = [
        lab.engine.ask("POST", path, body={"Cmd": []}),
        lab.engine.ask("POST", "/containers/nobody/exec", body=body),
        lab.engine.ask("POST", f"/containers/{stopped}/exec", body=body),
        lab.engine.ask("POST", "/exec/nothing/start", body=start),
        lab.engine.ask("GET", "/exec/nothing/json"),
    ]

    assert (before["Running"], before["ExitCode"], text(before, "ProcessConfig", "entrypoint")) == (
        False,
        None,
        "cat",
    )
    assert struct.unpack(">BxxxI", first.body[:8]) == (2, len(first.body) - 8)
    assert first.body[8:] == b"cat: can't open '/none': No such file or directory\n"
    assert (after["Running"], number(after, "ExitCode"), text(after, "ContainerID")) == (False, 1, container)
    assert (second.status, second.body[8:]) == (
        200,
        f"Error: Exec command {identity} has already run\r\n".encode(),
    )
    assert [each.status for each in refused] == [400, 404, 409, 404, 404]
    assert refused[0].message == "No exec command specified"
    assert refused[2].message == f"Container {stopped} is not running"
    assert refused[3].message == "No such exec instance: nothing"
