"""Shapes of services: the same on every Swarm, another one for every setting that is changed."""

import copy
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.errors import EngineError
from ccci_upgrade.tools.engine import Engine
from ccci_upgrade.tools.shapes import read_shapes, shape_of
from tests.fakeengine import FakeEngine

NETWORKS = {"net1": "proxy", "net2": "keycloak_internal"}
SPEC: dict[str, Any] = {
    "Name": "keycloak_app",
    "Labels": {
        "com.docker.stack.namespace": "keycloak",
        "com.docker.stack.image": "keycloak:26",
        "coop-cloud.keycloak.version": "1.0.0+26",
        "traefik.enable": "true",
    },
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "keycloak:26@sha256:00",
            "Args": ["start", "--optimized"],
            "Env": ["A=1", "B=2"],
            "Privileges": {},
            "Isolation": "default",
            "Mounts": [
                {"Type": "volume", "Source": "keycloak_db", "Target": "/db"},
                {"Type": "bind", "Source": "/etc/timezone", "Target": "/etc/timezone"},
            ],
            "Secrets": [
                {"File": {"Name": "db", "Mode": 292}, "SecretID": "s1", "SecretName": "keycloak_db_v1"},
                {"File": {"Name": "admin", "Mode": 292}, "SecretID": "s2", "SecretName": "keycloak_admin_v1"},
            ],
            "Configs": [{"File": {"Name": "/e.sh"}, "ConfigID": "c1", "ConfigName": "keycloak_entry_v1"}],
        },
        "Networks": [{"Target": "net1", "Aliases": ["app"]}, {"Target": "net2"}],
        "Placement": {"Platforms": [{"OS": "linux"}]},
        "ForceUpdate": 0,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 1}},
    "UpdateConfig": {"Order": "start-first", "FailureAction": "rollback"},
    "EndpointSpec": {"Ports": [{"TargetPort": 80, "PublishedPort": 80}, {"TargetPort": 443}]},
}


def _set(path: str, value: object) -> dict[str, Any]:
    spec = copy.deepcopy(SPEC)
    *way, last = (int(key) if key.isdigit() else key for key in path.split("/"))
    inner: Any = spec
    for key in way:
        inner = inner[key]
    inner[last] = value
    return spec


def _container(path: str) -> str:
    return f"TaskTemplate/ContainerSpec/{path}"


def _reversed(path: str) -> dict[str, Any]:
    inner: Any = SPEC
    for key in path.split("/"):
        inner = inner[key]
    return _set(path, inner[::-1])


SAME = {
    "an image": _set(_container("Image"), "keycloak:27@sha256:11"),
    "its label": _set("Labels/com.docker.stack.image", "keycloak:27"),
    "abra's label": _set("Labels/coop-cloud.keycloak.version", "1.1.0+27"),
    "a secret's id": _set(_container("Secrets/0/SecretID"), "s9"),
    "a secret's version": _set(_container("Secrets/0/SecretName"), "keycloak_db_v2"),
    "a config's id": _set(_container("Configs/0/ConfigID"), "c9"),
    "a config's version": _set(_container("Configs/0/ConfigName"), "keycloak_entry_v2"),
    "a volume": _set(_container("Mounts/0/Source"), "keycloak_data"),
    "a forced update": _set("TaskTemplate/ForceUpdate", 7),
    "the runtime": _set("TaskTemplate/Runtime", ""),
    "platforms": _set("TaskTemplate/Placement", {}),
    "what is empty": _set(_container("DNSConfig"), {"Nameservers": []}),
    "no replicas said": _set("Mode", {"Replicated": {}}),
    "the order of networks": _reversed("TaskTemplate/Networks"),
    "the order of secrets": _reversed(_container("Secrets")),
    "the order of variables": _reversed(_container("Env")),
}
OTHER = {
    "a variable": _set(_container("Env/0"), "A=2"),
    "one more variable": _set(_container("Env"), ["A=1", "B=2", "C="]),
    "the order of arguments": _reversed(_container("Args")),
    "a label": _set("Labels/traefik.enable", "false"),
    "replicas": _set("Mode", {"Replicated": {"Replicas": 2}}),
    "no replicas": _set("Mode", {"Replicated": {"Replicas": 0}}),
    "a bind mount": _set(_container("Mounts/1/Source"), "/etc"),
    "where a volume is": _set(_container("Mounts/0/Target"), "/data"),
    "where a secret is": _set(_container("Secrets/0/File"), {"Name": "other", "Mode": 292}),
    "a network": _set("TaskTemplate/Networks/1/Target", "net3"),
    "a limit": _set("TaskTemplate/Resources", {"Limits": {"MemoryBytes": 1}}),
    "a health check": _set(_container("Healthcheck"), {"Test": ["NONE"]}),
    "the failure action": _set("UpdateConfig/FailureAction", "pause"),
    "a port": _set("EndpointSpec/Ports/0/PublishedPort", 8080),
}


@pytest.mark.parametrize("spec", SAME.values(), ids=list(SAME))
def test_what_every_swarm_makes_anew_is_no_setting(spec: dict[str, Any]) -> None:
    """Nor is what the lock records on its own."""
    assert shape_of(spec, NETWORKS) == shape_of(SPEC, NETWORKS)


@pytest.mark.parametrize("spec", OTHER.values(), ids=list(OTHER))
def test_every_setting_counts(spec: dict[str, Any]) -> None:
    """One of them changed is another shape."""
    assert shape_of(spec, NETWORKS) != shape_of(SPEC, NETWORKS)


def test_networks_are_known_by_name() -> None:
    """On another Swarm they have other ids; an id that is not known stands for itself."""
    moved = _set("TaskTemplate/Networks", [{"Target": "n9", "Aliases": ["app"]}, {"Target": "n8"}])

    assert shape_of(moved, {"n9": "proxy", "n8": "keycloak_internal"}) == shape_of(SPEC, NETWORKS)
    assert shape_of(moved, NETWORKS) != shape_of(SPEC, NETWORKS)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(["Labels", "Mode", "TaskTemplate", "EndpointSpec", "x"]), _JSON)
def test_any_answer_has_a_shape(key: str, value: Any) -> None:
    """An Engine may say anything."""
    for spec in ({**SPEC, key: value}, {**SPEC, "TaskTemplate": {"ContainerSpec": {"Mounts": value}}}):
        found = shape_of(spec, NETWORKS, SPEC)
        assert len(found.hash) == 16
        assert bool(found.changed) is (found.hash != found.previous)


def test_what_changed_is_told_by_keys_alone() -> None:
    """Against the spec before; nothing that is no setting, and no value."""
    changed = _set(_container("Env/0"), "A=sentinel")
    changed["Labels"] |= {"coop-cloud.keycloak.version": "2", "traefik.enable": "sentinel"}
    changed["UpdateConfig"] = {}

    found = shape_of(changed, NETWORKS, SPEC)

    assert found.previous == shape_of(SPEC, NETWORKS).hash
    assert found.changed == ("Labels.traefik.enable", "ContainerSpec.Env", "UpdateConfig")
    assert shape_of(SPEC, NETWORKS, SPEC).changed == ()
    assert shape_of(SPEC, NETWORKS).previous == ""


def test_an_answer_without_end_is_an_error() -> None:
    """Not a crash."""
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep, "b": 1}

    with pytest.raises(EngineError, match="nested"):
        shape_of({"Name": "x", "TaskTemplate": deep}, {})


def test_all_shapes_are_two_questions() -> None:
    """`status` is measured."""
    with FakeEngine() as fake, closing(Engine(fake.path)) as engine:
        fake.says("/networks", [{"Id": key, "Name": name} for key, name in NETWORKS.items()])
        fake.says("/services", [{"Spec": SPEC, "PreviousSpec": SPEC}, {"Spec": None}, 3])

        assert read_shapes(engine) == {"keycloak_app": shape_of(SPEC, NETWORKS, SPEC)}
        assert [request.path for request in fake.requests] == ["/_ping", "/networks", "/services"]
