"""What this program reads of a Swarm, through its own reader: the same values from both Engines."""

import re
import threading
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

from ccci_upgrade import clock
from ccci_upgrade.model.swarm import Mount, Port, UpdateState
from ccci_upgrade.tools.engine import Json
from ccci_upgrade.tools.swarm import Swarm
from tests.contract.jsontree import Tree, number, rows, text, tree
from tests.contract.lab import Lab
from tests.contract.specs import NEW, OLD, STACK, volume


def test_a_whole_stack_is_read(lab: Lab) -> None:
    """Services, tasks, volumes, update states, previous specs: every field of the model."""
    port, data = lab.free_port(), f"{lab.stack}_data"
    swarm = Swarm(lab.engine)
    how = {"port": port, "monitor": 0.2, "healthcheck": True, "order": "stop-first"}
    how |= {"mounts": [volume(data, labels={STACK: lab.stack})], "env": {"DATA_DIR": "/data"}}
    label = f"coop-cloud.{lab.stack}.version"
    lab.start("app", **how, labels={label: "1.0.0+3.0.0"})
    first = swarm.stack(lab.stack)
    lab.change("app", **how, image=NEW, labels={label: "1.1.0+3.0.1"})
    lab.updated("app")
    lab.settled("app")
    second = swarm.stack(lab.stack)
    (before,), (after,) = first.services, second.services
    (task,) = [task for task in second.tasks if task.running]
    (old,) = [task for task in second.tasks if not task.running]

    assert (before.name, before.full_name, before.stack) == ("app", f"{lab.stack}_app", lab.stack)
    assert (before.image, before.replicas, before.wanted) == (OLD, 1, 1)
    assert (before.order, before.failure_action, before.has_healthcheck) == ("stop-first", "pause", True)
    assert before.arguments == ("DATA_DIR=/data",)
    assert before.mounts == (Mount(kind="volume", source=data, target="/data"),)
    assert before.ports == (Port(target=8080, published=port, mode="host"),)
    assert (before.networks, before.configs, before.secrets) == ((), (), ())
    assert (before.update, before.previous_hash) == (None, None)
    assert after.update is not None
    assert after.update.state is UpdateState.COMPLETED
    assert after.update.started is not None
    assert after.update.completed is not None
    assert after.previous_hash == before.spec_hash != after.spec_hash
    assert before.updated is not None
    assert after.updated is not None
    assert before.updated < after.update.started <= after.update.completed
    # The Engine's clock is known to us to within the time of a question.
    assert after.update.completed <= second.taken + timedelta(seconds=1)
    assert (task.template_hash, old.template_hash) == (after.template_hash, before.template_hash)
    assert (task.image, old.image, task.slot, old.slot) == (NEW, OLD, 1, 1)
    assert (task.state, task.desired, task.error, task.exit_code) == ("running", "running", "", None)
    assert (old.state, old.desired, old.error, old.exit_code) == ("shutdown", "shutdown", "", 0)
    assert task.created < task.changed
    assert task.container_id in {text(each, "Id") for each in lab.containers("app")}
    assert [(v.name, v.driver, v.labels) for v in second.volumes] == [(data, "local", {STACK: lab.stack})]
    assert second.label("version") == "1.1.0+3.0.1"
    assert replace(swarm.stacks()[lab.stack], volumes=second.volumes, taken=second.taken) == second


def test_the_cluster_and_its_node(lab: Lab) -> None:
    """One manager that is ready; a clock near ours; an id that stays."""
    swarm = Swarm(lab.engine)
    cluster, (node,) = swarm.cluster(), swarm.nodes()

    assert (cluster.manager, cluster.nodes) == (True, 1)
    assert re.fullmatch("[a-z0-9]{25}", cluster.id)
    assert re.match(r"[0-9]+[.][0-9]+", cluster.engine_version)
    assert cluster.root_dir.startswith("/")
    assert cluster == Swarm(lab.engine).cluster()
    assert (node.role, node.state, node.availability, node.works) == ("manager", "ready", "active", True)
    assert node.name == cluster.node
    assert abs((swarm.engine_time() - clock.now()).total_seconds()) < 2


def test_names_of_configs_secrets_and_networks(lab: Lab) -> None:
    """With the configs' data; the networks of every Swarm are there."""
    spec: Tree = {"Labels": {STACK: lab.stack}, "Data": "b25l"}
    lab.post("/configs/create", spec | {"Name": f"{lab.stack}_c"}, status=201)
    lab.post("/secrets/create", spec | {"Name": f"{lab.stack}_s"}, status=201)
    network: Tree = {"Name": f"{lab.stack}_n", "Driver": "overlay", "Labels": {STACK: lab.stack}}
    lab.post("/networks/create", network, status=201)
    again = lab.engine.ask("POST", "/networks/create", body=network | {"CheckDuplicate": True})
    names = Swarm(lab.engine).names()

    def allocated() -> Tree:
        """The real Engine answers the creation first and names the driver once the manager has allocated it."""
        shown = tree(lab.engine.get(f"/networks/{lab.stack}_n"))
        return shown if text(shown, "Driver") else {}

    found = lab.until(allocated, "allocated")

    assert names.configs[f"{lab.stack}_c"] == b"one"
    assert f"{lab.stack}_s" in names.secrets
    assert {f"{lab.stack}_n", "ingress", "bridge", "host", "none"} <= names.networks
    assert again.status == 409
    assert (text(found, "Driver"), text(found, "Scope")) == ("overlay", "swarm")
    assert lab.engine.ask("DELETE", f"/networks/{lab.stack}_n").status == 204
    assert lab.engine.ask("GET", f"/networks/{lab.stack}_n").status == 404


def test_a_service_names_its_networks(lab: Lab) -> None:
    """By id in the spec, by name in the model; a network in use is not deleted."""
    network: Tree = {"Name": f"{lab.stack}_n", "Driver": "overlay", "Labels": {STACK: lab.stack}}
    identity = text(lab.post("/networks/create", network, status=201), "Id")
    spec = lab.spec("app", replicas=0)
    tree(spec, "TaskTemplate")["Networks"] = [{"Target": identity, "Aliases": ["app"]}]
    lab.post("/services/create", spec, status=201)
    (service,) = Swarm(lab.engine).stack(lab.stack).services
    refused = lab.engine.ask("DELETE", f"/networks/{identity}")
    lab.remove("app")

    assert service.networks == (f"{lab.stack}_n",)
    assert refused.status == 400
    assert refused.message == (
        f"rpc error: code = FailedPrecondition desc = network {identity} is in use by service {service.id}"
    )
    assert lab.engine.ask("DELETE", f"/networks/{identity}").status == 204


def test_logs_come_in_frames(lab: Lab) -> None:
    """Standard output is 1, standard error 2, each frame with its length; `tail` takes the last lines."""
    lab.create("app", env={"EXIT": "3"}, restart="none")
    lab.until(lambda: [text(each, "Status", "State") for each in lab.tasks("app")] == ["failed"], "it failed")
    (container,) = lab.containers("app")
    path = f"/containers/{text(container, 'Id')}/logs"
    status, body, _ = lab.raw("GET", path, {"stdout": "1", "stderr": "1"})
    (task,) = Swarm(lab.engine).stack(lab.stack).tasks

    assert status == 200
    assert sorted(frames(body)) == [
        (1, b"traefik 3.0.0 starting\n"),
        (2, b"fatal: traefik cannot start, exit 3\n"),
    ]
    assert frames(lab.raw("GET", path, {"stdout": "1"})[1]) == [(1, b"traefik 3.0.0 starting\n")]
    assert len(frames(lab.raw("GET", path, {"stdout": "1", "stderr": "1", "tail": "1"})[1])) == 1
    assert lab.raw("GET", path, {})[0] == 400
    assert set(Swarm(lab.engine).logs(task)) == {
        "traefik 3.0.0 starting",
        "fatal: traefik cannot start, exit 3",
    }
    assert lab.raw("GET", "/containers/0123456789ab/logs", {"stdout": "1"})[0] == 404


def test_events_are_filtered(lab: Lab) -> None:
    """By type and action as this program asks; a watch is woken by a change."""
    wake, stop = threading.Event(), threading.Event()
    teller = threading.Thread(target=Swarm(lab.engine).tell, args=(wake, stop))
    now = tree(lab.engine.get("/info"))
    since = clock.parse_stamp(text(now, "SystemTime")) or datetime.now(UTC)
    with lab.watch() as seen:
        teller.start()
        lab.until(teller.is_alive, "it listens")
        lab.start("app")
        assert wake.wait(5)
        lab.remove("app")
        lab.until(lambda: not lab.left(), "gone")
    stop.set()
    teller.join(5)
    until = clock.parse_stamp(text(lab.engine.get("/info"), "SystemTime")) or datetime.now(UTC)
    window = {"since": f"{since.timestamp():.6f}", "until": f"{until.timestamp():.6f}"}
    wanted: Json = {"type": ["service", "container"], "event": ["create", "die"]}
    told = list(lab.engine.lines("GET", "/events", {"filters": wanted, **window}, seconds=5))
    ours = [each for each in told if lab.stack in str(each)]

    assert not teller.is_alive()
    assert [(text(e, "Type"), text(e, "Action")) for e in ours] == [
        ("service", "create"),
        ("container", "create"),
        ("container", "die"),
    ]
    die = ours[-1]
    assert tree(die).keys() >= {
        "Type",
        "Action",
        "Actor",
        "scope",
        "time",
        "timeNano",
        "status",
        "id",
        "from",
    }
    assert text(die, "from") == OLD
    assert tree(die, "Actor", "Attributes").keys() >= {
        "com.docker.stack.namespace",
        "com.docker.swarm.service.name",
        "com.docker.swarm.task.id",
        "com.docker.swarm.task.name",
        "exitCode",
        "image",
        "name",
    }
    assert seen.services("app") == ["create", "remove"]


def test_what_is_nowhere(lab: Lab) -> None:
    """404 with words for every kind of thing."""
    nothing = "nothing-here"
    told = {
        "/services/": f"service {nothing} not found",
        "/tasks/": f"task {nothing} not found",
        "/configs/": f"config {nothing} not found",
        "/secrets/": f"secret {nothing} not found",
        "/nodes/": f"node {nothing} not found",
        "/networks/": f"network {nothing} not found",
        "/volumes/": f"get {nothing}: no such volume",
    }
    answers = {path: lab.engine.ask("GET", path + nothing) for path in told}
    container = lab.engine.ask("GET", f"/containers/{nothing}/json")
    image = lab.engine.ask("GET", "/images/nothing:here/json")
    page = lab.engine.ask("GET", "/nothing/here")

    assert {path: (a.status, a.message) for path, a in answers.items()} == {
        p: (404, m) for p, m in told.items()
    }
    assert (container.status, container.message) == (404, f"No such container: {nothing}")
    assert (image.status, image.message) == (404, "no such image: nothing:here: No such image: nothing:here")
    assert page.status == (501 if lab.practice else 404)
    assert lab.engine.ask("DELETE", f"/services/{nothing}").status == 404
    assert lab.engine.ask("POST", f"/services/{nothing}/update", {"version": 1}, body={}).status in (400, 404)


def test_services_are_updated_at_their_index_only(lab: Lab) -> None:
    """Another index is 500, no index 400, a taken name 409, and nothing changed."""
    spec = lab.create("app", replicas=0)
    index = lab.index("app")
    stale = lab.update("app", spec, index=index - 1)
    none = lab.engine.ask("POST", f"/services/{lab.stack}_app/update", body=spec)
    again = lab.engine.ask("POST", "/services/create", body=spec)

    assert (stale.status, stale.message) == (500, "rpc error: code = Unknown desc = update out of sequence")
    assert none.status == 400
    assert again.status == 409
    assert again.message.startswith("rpc error: code = AlreadyExists desc = ")
    assert lab.index("app") == index


def test_lists_are_filtered(lab: Lab) -> None:
    """Services by id, by name (as a prefix), by label; what fits nothing is an empty list."""
    lab.create("app", replicas=0)
    lab.create("app2", replicas=0)
    identity = text(lab.inspect("app"), "ID")

    def names(**wanted: str) -> set[str]:
        found = rows(
            lab.engine.get("/services", {"filters": {key: [value] for key, value in wanted.items()}})
        )
        return {text(each, "Spec", "Name").removeprefix(f"{lab.stack}_") for each in found}

    assert names(id=identity) == {"app"}
    assert names(name=f"{lab.stack}_app") == {"app", "app2"}
    assert names(label=STACK) >= {"app", "app2"}
    assert names(label=f"{STACK}={lab.stack}") == {"app", "app2"}
    assert names(label=f"{STACK}=nothing") == set()
    assert names(name=f"{lab.stack}_app2", label=f"{STACK}={lab.stack}") == {"app2"}
    status = rows(lab.engine.get("/services", {"filters": {"id": [identity]}, "status": "true"}))
    assert tree(status[0], "ServiceStatus") == {"RunningTasks": 0, "DesiredTasks": 0, "CompletedTasks": 0}


def test_images(lab: Lab) -> None:
    """A local one has an id and its tag; what no registry has is not pulled, and the Engine says so."""
    found = tree(lab.engine.get(f"/images/{OLD}/json"))
    pull = lab.engine.ask("POST", "/images/create", {"fromImage": "nothing.invalid/none", "tag": "1"})
    distribution = lab.engine.ask("GET", "/distribution/nothing.invalid/none:1/json")

    assert re.fullmatch("sha256:[0-9a-f]{64}", text(found, "Id"))
    assert OLD in str(found["RepoTags"])
    assert text(found, "Os") == "linux"
    # The real one has no registry to ask; the practice one has its own, which does not know that image.
    assert (pull.status, distribution.status) == ((404, 404) if lab.practice else (500, 500))
    assert asdict(Swarm(lab.engine).cluster())["nodes"] == 1
    assert number(found, "Size") is not None


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """Stream number and bytes of each frame."""
    told, at = [], 0
    while at < len(body):
        length = int.from_bytes(body[at + 4 : at + 8], "big")
        told.append((body[at], body[at + 8 : at + 8 + length]))
        at += 8 + length
    return told
