"""Apps of the practice engine answer over HTTP, keep data in volumes, and break on purpose."""

import io
import json
import socket
import tarfile
import time
from collections.abc import Iterator

import pytest

from ccci_upgrade.tools.unixhttp import UnixConnection
from tests.practice.enginehost import NEW, Host, at, free_port, host, page, service, until

KEYCLOAK = "quay.io/keycloak/keycloak:26.0.0"


@pytest.fixture(scope="module")
def here() -> Iterator[Host]:
    with host() as ours:
        yield ours


def test_a_host_port_answers_while_its_task_runs(here: Host) -> None:
    port = free_port()
    here.runs(service("web", port=(port, "host")))
    until(lambda: page(port, "/ping") == (200, "OK"))

    assert json.loads(page(port, "/api/version")[1])["Version"] == "3.0.0"
    here.update(service("web", port=(port, "host"), replicas=0))
    until(lambda: page(port) == (0, ""))


def test_a_port_of_another_program_fails_the_task(here: Host) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        here.post("/services/create", service("taken", port=(other.getsockname()[1], "host")))

        task = until(lambda: next((t for t in here.tasks("taken") if at(t, "Status", "Err")), None))

    assert str(at(task, "Status", "Err")).startswith("starting container failed: cannot bind a port: ")
    here.engine.ask("DELETE", "/services/taken")


def test_an_ingress_port_is_the_services(here: Host) -> None:
    """It answers through any running task, and goes with the service."""
    port = free_port()
    here.runs(service("mesh", port=(port, "ingress"), replicas=2))

    until(lambda: page(port, "/ping") == (200, "OK"))
    again = here.engine.ask("POST", "/services/create", body=service("mesh2", port=(port, "ingress")))
    here.engine.ask("DELETE", "/services/mesh")

    assert again.status == 400
    until(lambda: page(port) == (0, ""))


def test_traefik_sends_requests_where_their_host_belongs(here: Host) -> None:
    """404 for a host nobody has, 503 for one whose tasks are gone, itself for its own."""
    port = free_port()
    rule = "traefik.http.routers.r.rule"
    front = {rule: "Host(`traefik.ci.example.org`)"}
    back = {rule: "Host(`kc.ci.example.org`)"}
    here.runs(service("front", port=(port, "host"), labels=front))
    here.runs(service("kc", image=KEYCLOAK, labels=back))

    until(lambda: page(port, "/realms/master", "kc.ci.example.org")[0] == 200)
    assert page(port, "/api/version", "traefik.ci.example.org")[0] == 200
    assert page(port, "/", "nobody.ci.example.org")[0] == 404
    here.fault({"status": {"kc": 500}})
    assert page(port, "/realms/master", "kc.ci.example.org")[0] == 500
    here.update(service("kc", image=KEYCLOAK, labels=back, replicas=0))
    until(lambda: page(port, "/", "kc.ci.example.org")[0] == 503)


def test_keycloak_asks_its_neighbour_for_keys(here: Host) -> None:
    """By its name in a network both are in; a service elsewhere is not found."""
    net = str(here.post("/networks/create", {"Name": "inside", "Driver": "overlay"})["Id"])
    port = free_port()
    here.runs(service("db", image="mariadb:10.6", network=net, volume="keys", env={"DATA_DIR": "/data"}))
    env = {"KEYS_FROM": "http://db:8080/kid"}
    here.runs(service("realm", image=KEYCLOAK, network=net, env=env, port=(port, "host")))
    here.runs(service("alone", image=KEYCLOAK, env=env, port=(alone := free_port(), "host")))
    certs = "/realms/master/protocol/openid-connect/certs"

    def kid(asked: int) -> str:
        status, body = page(asked, certs)
        return str(json.loads(body)["keys"][0]["kid"]) if status == 200 else ""

    written = (here.practice.folder / "volumes" / "keys" / "kid").read_text().strip()
    assert until(lambda: kid(port)) == written
    assert until(lambda: kid(alone)) == "none"


def test_data_never_goes_back(here: Host) -> None:
    """A newer version migrates what it finds; the older one then refuses to start."""
    env = {"DATA_DIR": "/data"}
    folder = here.practice.folder / "volumes" / "moved"
    here.runs(service("moving", image="mariadb:10.6", volume="moved", env=env))
    here.update(service("moving", image="mariadb:10.11", volume="moved", env=env))
    until(lambda: here.status("moving") == "completed")
    here.update(service("moving", image="mariadb:10.6", volume="moved", env=env))
    until(lambda: "failed" in here.states("moving"))
    failed = next(t for t in here.tasks("moving") if at(t, "Status", "State") == "failed")
    logs = here.engine.ask(
        "GET", f"/containers/{at(failed, 'Status', 'ContainerStatus', 'ContainerID')}/logs", {"stderr": "1"}
    )

    assert (folder / "migrations").read_text() == "migrated from 10.6 to 10.11\n"
    assert b"fatal: the data was written by 10.11, this is 10.6" in logs.body
    here.engine.ask("DELETE", "/services/moving")


def test_a_volume_is_in_use_by_whoever_mounts_it(here: Host) -> None:
    """An exited container counts, and one that never ran; a fault removes it all the same."""
    here.runs(service("holds", volume="held"))
    here.update(service("holds", volume="held", image=NEW))
    until(lambda: here.status("holds") == "completed")
    made = here.post("/containers/create", {"Image": NEW, "HostConfig": {"Binds": ["held:/__v"]}})

    def remove() -> int:
        return here.engine.ask("DELETE", "/volumes/held").status

    assert remove() == 409
    here.engine.ask("DELETE", "/services/holds")
    until(lambda: len(here.rows("/containers/json", {"all": "1", "filters": {"volume": ["held"]}})) == 1)
    assert remove() == 409
    assert here.engine.ask("DELETE", f"/containers/{made['Id']}", {"v": "1"}).status == 204
    assert remove() == 204
    assert not (here.practice.folder / "volumes" / "held").exists()


def test_archives_go_out_and_in_with_the_folders_mode(here: Host) -> None:
    """`GET /__v` and `PUT` to `/` keep it; `PUT` merges; nothing is written outside the volume."""
    here.post("/volumes/create", {"Name": "packed"})
    made = here.post("/containers/create", {"Image": NEW, "HostConfig": {"Binds": ["packed:/__v"]}})
    path = f"/v1.41/containers/{made['Id']}/archive"
    folder = here.practice.folder / "volumes" / "packed"
    (folder / "old").write_text("stays")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, mode in (("__v", tarfile.DIRTYPE, 0o711), ("__v/new", tarfile.REGTYPE, 0o640)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid = kind, mode, folder.stat().st_uid, 0
            tar.addfile(member, io.BytesIO(b""))
        link = tarfile.TarInfo("__v/out")
        link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
        tar.addfile(link)

    connection = UnixConnection(here.practice.socket, timeout=10)
    connection.request("PUT", f"{path}?path=/", body=packed.getvalue())
    assert connection.getresponse().read() == b""
    connection.request("GET", f"{path}?path=/__v")
    answer = connection.getresponse()
    with tarfile.open(fileobj=io.BytesIO(answer.read())) as tar:
        out = {member.name: member.mode for member in tar}
    evil = io.BytesIO()
    with tarfile.open(fileobj=evil, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("__v/out/evil"))
    connection.request("PUT", f"{path}?path=/", body=evil.getvalue())
    refused = connection.getresponse()
    refused.read()
    connection.close()

    assert folder.stat().st_mode & 0o777 == 0o711
    assert (out["__v"], out["__v/new"]) == (0o711, 0o640)
    assert sorted(out) == ["__v", "__v/new", "__v/old", "__v/out"]
    assert refused.status == 400


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"crash": "nobody"}, 404),
        ({"freeze": -1}, 400),
        ({"remove_volume": "nothing"}, 404),
        ({"status": {"web": "much"}}, 400),
        ({"forget_image": "nothing:1"}, 404),
        ({"crash": "a", "loop": "b"}, 400),
        ({"unknown": 1}, 400),
    ],
)
def test_a_fault_that_cannot_be_is_refused(here: Host, fault: dict[str, object], status: int) -> None:
    assert here.fault(json.loads(json.dumps(fault)), status)


def test_crashes_and_bad_health_on_purpose(here: Host) -> None:
    """A crash is once, bad health lasts until the next deploy, a loop until it is cleared."""
    here.runs(service("poor", healthcheck=True))
    here.fault({"crash": "poor", "code": 9})
    until(lambda: here.states("poor")[0] == "failed" and here.states("poor")[-1] == "running")
    here.fault({"unhealthy": "poor"})
    until(lambda: "complete" in here.states("poor"))
    assert at(here.tree("/_practice"), "faults", "unhealthy") == ["poor"]
    here.update(service("poor", healthcheck=True, image=NEW))
    until(lambda: here.states("poor")[-1] == "running")
    assert at(here.tree("/_practice"), "faults", "unhealthy") == []

    here.fault({"loop": "poor"})
    until(lambda: here.states("poor").count("failed") >= 2)
    here.fault({"clear": True})
    until(lambda: here.states("poor")[-1] == "running")


def test_a_frozen_engine_takes_requests_and_answers_later(here: Host) -> None:
    """Its own page answers meanwhile, so that the freeze can be ended."""
    here.fault({"freeze": 30})
    connection = UnixConnection(here.practice.socket, timeout=0.3)
    connection.request("GET", "/_ping")
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    here.fault({"clear": True})

    began = time.monotonic()
    here.fault({"slow": 0.3})
    here.tree("/info")
    assert time.monotonic() - began >= 0.3
