"""What the practice engine speaks, and what it refuses."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from ccci_upgrade.practice.engine.server import TABLE
from ccci_upgrade.tools.images import find_image, pull
from ccci_upgrade.tools.swarm import Swarm
from tests.practice.enginehost import NEW, OLD, Host, Tree, at, host, service, until


@pytest.fixture(scope="module")
def here() -> Iterator[Host]:
    with host() as ours:
        yield ours


def test_every_list_of_the_program_can_be_read(here: Host) -> None:
    """The client of this program finds cluster, node, services, names and volumes in what is answered."""
    here.runs(service("read_app", volume="read_data", labels={"com.docker.stack.namespace": "read"}))
    swarm = Swarm(here.engine)

    cluster = swarm.cluster()
    stack = swarm.stack("read")

    assert (cluster.manager, cluster.nodes, cluster.engine_version) == (True, 1, "25.0.0-practice")
    assert [node.state for node in swarm.nodes()] == ["ready"]
    assert [(s.name, s.image, s.wanted, s.update) for s in stack.services] == [("app", OLD, 1, None)]
    assert [(t.state, t.template_hash) for t in stack.tasks] == [("running", stack.services[0].template_hash)]
    assert [v.name for v in stack.volumes] == ["read_data"]
    assert stack.volumes[0].created is not None
    assert "ingress" in swarm.names().networks
    lines = until(lambda: len(said := swarm.logs(stack.tasks[0])) == 2 and said)
    assert lines == ("traefik 3.0.0 starting", "traefik 3.0.0 ready")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/build"), ("POST", "/swarm/leave"), ("GET", "/plugins"), ("PUT", "/info")]
)
def test_what_is_not_spoken_is_501_with_its_name(here: Host, method: str, path: str) -> None:
    answer = here.engine.ask(method, path)

    assert answer.status == 501
    assert f"{method} {path}" in answer.message


@pytest.mark.parametrize(
    "path", ["/services/create", "/configs/create", "/containers/create", "/_practice/fault"]
)
@pytest.mark.parametrize("body", ["text", 7, [], {}])
def test_a_body_that_says_nothing_is_refused_in_one_line(here: Host, path: str, body: str | int) -> None:
    answer = here.engine.ask("POST", path, body=body)

    assert answer.status in (400, 404)
    assert answer.message


def test_the_list_of_routes_is_the_table() -> None:
    """`--routes` prints what is spoken, so that documents can be held to it."""
    argv = (sys.executable, "-m", "ccci_upgrade.practice.engine", "--routes")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)

    listed = [tuple(line.split()) for line in done.stdout.splitlines()]
    assert listed == [(route.method, route.path) for route in TABLE.routes]
    assert len(set(listed)) == len(listed) > 50


def test_images_are_here_or_pulled_or_nowhere(here: Host) -> None:
    """As the registry file says; a pull brings an image, a tag keeps it, a removal takes its name."""
    engine = here.engine
    away = "drone/drone:2.26.0"
    before = find_image(engine, away, ask_registry=True).place
    pull(engine, away, cancelled=lambda: False)

    assert before == "registry"
    assert find_image(engine, away, ask_registry=False).place == "local"
    assert find_image(engine, "drone/drone:9", ask_registry=True).place == "nowhere"
    assert engine.ask("POST", f"/images/{away}/tag", {"repo": "kept", "tag": "1"}).status == 201
    assert engine.ask("DELETE", f"/images/{away}").status == 200
    assert at(engine.find("/images/kept:1/json"), "RepoTags") == ["kept:1"]
    assert engine.find(f"/images/{away}/json") is None


def test_an_image_that_is_nowhere_is_rejected(here: Host) -> None:
    """The task says which image, and is tried again."""
    here.post("/services/create", service("gone", image="nothing:1"))

    task = until(
        lambda: next((t for t in here.tasks("gone") if at(t, "Status", "State") == "rejected"), None)
    )

    assert at(task, "Status", "Err") == "No such image: nothing:1"


def test_config_labels_change_by_compare_and_swap(here: Host) -> None:
    """Taken names, stale indexes, other data and configs in use are refused with the Engine's statuses."""
    made = here.post("/configs/create", {"Name": "lease", "Data": "YQ==", "Labels": {"holder": "a"}})
    path = f"/configs/{made['ID']}"
    index = at(here.tree(path), "Version", "Index")
    body: Tree = {"Name": "lease", "Data": "YQ==", "Labels": {"holder": "b"}}

    def change(version: object, **more: str) -> tuple[int, str]:
        answer = here.engine.ask("POST", f"{path}/update", {"version": str(version)}, body={**body, **more})
        return answer.status, answer.message

    assert here.engine.ask("POST", "/configs/create", body={"Name": "lease", "Data": "YQ=="}).status == 409
    assert change(index, Data="Yg==")[0] == 400
    assert change(index)[0] == 200
    assert change(index) == (500, "rpc error: code = Unknown desc = update out of sequence")
    assert at(here.tree(path), "Spec", "Labels", "holder") == "b"

    spec = service("user")
    template = spec["TaskTemplate"]
    assert isinstance(template, dict)
    container = template["ContainerSpec"]
    assert isinstance(container, dict)
    container["Configs"] = [{"ConfigID": made["ID"], "ConfigName": "lease", "File": {"Name": "/x"}}]
    here.runs(spec)
    used = here.engine.ask("DELETE", path)
    assert (used.status, "is in use by the following service: user" in used.message) == (400, True)


def test_a_secret_is_never_shown(here: Host) -> None:
    made = here.post("/secrets/create", {"Name": "word", "Data": "c2VjcmV0"})

    shown = here.engine.ask("GET", f"/secrets/{made['ID']}").body + here.engine.ask("GET", "/secrets").body

    assert b"c2VjcmV0" not in shown


def test_an_update_at_a_stale_index_changes_nothing(here: Host) -> None:
    here.runs(service("stale"))
    index = at(here.tree("/services/stale"), "Version", "Index")
    assert here.update(service("stale", labels={"a": "b"})).status == 200

    late = here.engine.ask(
        "POST", "/services/stale/update", {"version": index}, body=service("stale", image=NEW)
    )

    assert late.status == 500
    assert "update out of sequence" in late.message
    assert len(here.tasks("stale")) == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"Mode": {"Replicated": {"Replicas": 10**9}}},
        {"Mode": {"Replicated": {"Replicas": "many"}}},
        {"Mode": 7, "Labels": [], "EndpointSpec": "x", "UpdateConfig": 1},
        {"EndpointSpec": {"Ports": [{"PublishedPort": 99999, "PublishMode": "host"}, 7]}},
        {"TaskTemplate": {"ContainerSpec": {"Image": OLD, "Mounts": [{"Source": "../../etc"}]}}},
        {"TaskTemplate": {"ContainerSpec": {"Image": OLD, "Env": ["START_DELAY=inf", "CRASH_AFTER=nan", 3]}}},
        {"TaskTemplate": {"ContainerSpec": {"Image": OLD}, "RestartPolicy": {"Delay": 10**300}}},
        {"TaskTemplate": {"ContainerSpec": {"Image": "\ud800:\n"}, "Networks": [{"Target": 3}]}},
    ],
)
def test_a_strange_spec_is_refused_or_run_but_breaks_nothing(here: Host, bad: Tree) -> None:
    """Whatever the Engine makes of it, the services beside it go on."""
    answer = here.engine.ask("POST", "/services/create", body={**service("odd"), **bad})

    assert answer.status in (201, 400, 404), answer.message
    here.runs(service("beside"))
    for name in ("odd", "beside"):
        here.engine.ask("DELETE", f"/services/{name}")
    assert here.tree("/_practice")["bugs"] == []
