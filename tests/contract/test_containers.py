"""Plain containers and images, as far as moving data and keeping an old image need them."""

import base64
import json
import threading

from ccci_upgrade.tools.engine import Json
from tests.contract.jsontree import Tree, number, rows, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import OLD, STACK


def test_the_life_of_a_container(lab: Lab) -> None:
    """Created, running, exited: 204 and 304 where it is so already, 409 for a kill or removal that cannot be."""
    name = f"{lab.stack}-plain"
    body: Tree = {"Image": OLD, "Cmd": ["/app"], "Labels": {STACK: lab.stack}}
    identity = text(lab.post("/containers/create", body, status=201, query={"name": name}), "Id")
    taken = lab.engine.ask("POST", "/containers/create", {"name": name}, body=body)
    lacking = lab.engine.ask("POST", "/containers/create", body=body | {"Image": "nothing:here"})
    path = f"/containers/{identity}"
    created = tree(lab.engine.get(f"{path}/json"))
    kill_created = lab.engine.ask("POST", f"{path}/kill")
    starts = [lab.engine.ask("POST", f"{path}/start").status for _ in range(2)]
    removed = lab.engine.ask("DELETE", path)
    running = tree(lab.engine.get(f"/containers/{name}/json"))
    waited: list[Tree] = []
    waiter = threading.Thread(target=lambda: waited.append(_wait(lab, path)))
    waiter.start()
    stops = [lab.engine.ask("POST", f"{path}/stop", {"t": "5"}).status for _ in range(2)]
    waiter.join(10)
    exited = tree(lab.engine.get(f"{path}/json"))

    assert (taken.status, lacking.status) == (409, 404)
    assert taken.message.startswith(f'Conflict. The container name "/{name}" is already in use by container')
    assert (text(created, "State", "Status"), text(created, "Name")) == ("created", f"/{name}")
    assert (kill_created.status, starts, removed.status, stops) == (409, [204, 304], 409, [204, 304])
    assert (text(running, "State", "Status"), number(running, "State", "ExitCode")) == ("running", 0)
    assert (text(exited, "State", "Status"), number(exited, "State", "ExitCode")) == ("exited", 0)
    assert [number(each, "StatusCode") for each in waited] == [0]
    assert lab.engine.ask("DELETE", path).status == 204
    assert {lab.engine.ask(method, path).status for method in ("DELETE",)} == {404}
    assert lab.engine.ask("POST", f"{path}/start").status == 404


def test_containers_are_listed_and_pruned(lab: Lab) -> None:
    """Only running ones unless all are asked for; by label, status and volume; a prune takes those that ended."""
    body: Tree = {"Image": OLD, "Cmd": ["/app"], "Labels": {STACK: lab.stack}}
    mounted = body | {
        "HostConfig": {"Mounts": [{"Type": "volume", "Source": f"{lab.stack}_v", "Target": "/v"}]}
    }
    runs = text(lab.post("/containers/create", body, status=201), "Id")
    idle = text(lab.post("/containers/create", mounted, status=201), "Id")
    lab.engine.ask("POST", f"/containers/{runs}/start")
    ours = f"{STACK}={lab.stack}"

    def listed(every: str = "1", **wanted: str) -> set[str]:
        filters: Json = {"label": [ours], **{key: [value] for key, value in wanted.items()}}
        return {
            text(each, "Id")
            for each in rows(lab.engine.get("/containers/json", {"all": every, "filters": filters}))
        }

    assert listed() == {runs, idle}
    assert listed("0") == {runs}
    assert listed(status="created") == {idle}
    assert listed(status="running") == {runs}
    assert listed(volume=f"{lab.stack}_v") == {idle}
    assert listed(id=idle[:12]) == {idle}
    pruned = lab.post("/containers/prune", None, status=200, query={"filters": {"label": [ours]}})
    assert pruned["ContainersDeleted"] == [idle]
    assert listed() == {runs}
    assert lab.engine.ask("GET", f"/volumes/{lab.stack}_v").status == 200
    assert lab.engine.ask("DELETE", f"/containers/{runs}", {"force": "1"}).status == 204


def test_the_head_of_an_archive(lab: Lab) -> None:
    """`HEAD` tells name, size and mode without the content; a missing path is 404."""
    mount: Json = [{"Type": "volume", "Source": f"{lab.stack}_v", "Target": "/v"}]
    body: Tree = {"Image": OLD, "Labels": {STACK: lab.stack}, "HostConfig": {"Mounts": mount}}
    identity = text(lab.post("/containers/create", body, status=201), "Id")
    status, content, headers = lab.raw("HEAD", f"/containers/{identity}/archive", {"path": "/v"})

    assert (status, content) == (200, b"")
    told = json.loads(base64.b64decode(headers["x-docker-container-path-stat"]))
    assert told.keys() == {"name", "size", "mode", "mtime", "linkTarget"}
    assert (told["name"], told["mode"] & 0o777, told["mode"] >> 31) == ("v", 0o755, 1)
    assert lab.raw("HEAD", f"/containers/{identity}/archive", {"path": "/none"})[0] == 404


def test_a_tag_keeps_an_image(lab: Lab) -> None:
    """A second name for one id: 201; the name goes alone with 200; a name that is nowhere is 404."""
    keep = f"{lab.stack}/keep:v1"
    path = "/images/" + OLD
    identity = text(lab.engine.get(f"{path}/json"), "Id")
    tagged = lab.engine.ask("POST", f"{path}/tag", {"repo": f"{lab.stack}/keep", "tag": "v1"})
    kept = text(lab.engine.get(f"/images/{keep}/json"), "Id")
    listed = rows(lab.engine.get("/images/json", {"filters": {"reference": [keep]}}))
    by_id = lab.engine.ask("GET", f"/images/{identity}/json")
    removed = lab.engine.ask("DELETE", f"/images/{keep}")

    assert (tagged.status, kept, by_id.status) == (201, identity, 200)
    assert [text(each, "Id") for each in listed] == [identity]
    assert removed.status == 200
    assert removed.json == [{"Untagged": keep}]
    assert lab.engine.ask("DELETE", f"/images/{keep}").status == 404
    assert lab.engine.ask("POST", "/images/nothing:here/tag", {"repo": "a", "tag": "b"}).status == 404
    assert lab.engine.ask("GET", f"{path}/json").status == 200


def test_the_logs_of_a_service(lab: Lab) -> None:
    """Framed like a container's; an unknown service is 404."""
    lab.start("app")
    path = f"/services/{lab.stack}_app/logs"
    query = {"stdout": "1", "stderr": "1"}

    def told() -> bytes:
        return lab.raw("GET", path, query)[1]

    lab.until(lambda: told().count(b"\n") >= 2, "two lines")
    body = told()
    assert body[:1] == b"\x01"
    assert b"traefik 3.0.0 starting\n" in body
    assert lab.raw("GET", "/services/nothing/logs", query)[0] == 404


def test_the_swarm_of_this_engine(lab: Lab) -> None:
    """`/swarm` has the id of `/info`; `/version` and `_ping` the API that is spoken."""
    info, swarm = tree(lab.engine.get("/info")), tree(lab.engine.get("/swarm"))
    version = tree(lab.engine.get("/version"))
    status, body, headers = lab.raw("GET", "/_ping")

    assert text(swarm, "ID") == text(info, "Swarm", "Cluster", "ID")
    assert text(info, "Swarm", "LocalNodeState") == "active"
    assert number(swarm, "Spec", "Orchestration", "TaskHistoryRetentionLimit") == 5
    assert (status, body) == (200, b"OK")
    assert headers["api-version"] == text(version, "ApiVersion") == "1.41"
    assert headers["ostype"] == "linux"
    assert text(version, "Version") == text(info, "ServerVersion")
    node = tree(lab.engine.get(f"/nodes/{text(info, 'Swarm', 'NodeID')}"))
    assert text(node, "Description", "Hostname") == text(info, "Name")
    assert node["ManagerStatus"] is not None


def _wait(lab: Lab, path: str) -> Tree:
    try:
        return lab.post(f"{path}/wait", None, status=200)
    finally:
        lab.engine.close()
