"""Compose files: every form of a field, names in the Swarm, merging as Docker does, and one clear error."""

import contextlib
import dataclasses
import json
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccci_upgrade.model.compose import (
    Compose,
    ComposeConfig,
    ComposeError,
    ComposeNetwork,
    ComposeSecret,
    ComposeService,
    ComposeUse,
    ComposeVolume,
    compose_files,
    read_compose,
)
from ccci_upgrade.model.swarm import Mount, Port
from tests.unit.dockerconfig import needs_docker, stack_config

RECIPE = """\
version: "3.8"

x-deploy: &deploy
  restart_policy: {condition: on-failure}
  update_config:
    failure_action: rollback
    order: start-first

services:
  app:
    image: quay.io/keycloak/keycloak:26.0.8
    networks: [proxy, internal]
    environment:
      - KC_HOSTNAME=https://${DOMAIN}
      - KC_LOG_LEVEL=${LOG_LEVEL:-info}
      - KC_DB_PASSWORD_FILE=/run/secrets/db_password
    secrets: [admin_password, db_password]
    configs:
      - source: entrypoint
        target: /entrypoint.sh
        mode: 0555
    volumes: [providers:/opt/keycloak/providers]
    healthcheck:
      test: ["CMD", "curl", "-f", "http://localhost:8080"]
      start_period: 1m30s
    deploy:
      <<: *deploy
      labels:
        - traefik.enable=true
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`${EXTRA_DOMAINS})"
        - coop-cloud.${STACK_NAME}.version=10.7.1+26.0.8
  db:
    image: mariadb:10.11
    networks: [internal]
    volumes: [mariadb:/var/lib/mysql]
    stop_grace_period: 1m
    deploy: {replicas: 0}

networks:
  proxy: {external: true}
  internal:

configs:
  entrypoint:
    name: ${STACK_NAME}_entrypoint_${ENTRYPOINT_VERSION}
    file: entrypoint.sh.tmpl
    template_driver: golang

volumes:
  providers:
  mariadb: {name: kept, driver: local}

secrets:
  admin_password:
    external: true
    name: ${STACK_NAME}_admin_password_${SECRET_ADMIN_PASSWORD_VERSION}
  db_password: {external: true}
"""
ENV = {"DOMAIN": "sso.example.org", "ENTRYPOINT_VERSION": "v2", "SECRET_ADMIN_PASSWORD_VERSION": "v1"}


def read(*texts: str, env: dict[str, str] | None = None) -> Compose:
    files = [(f"compose.{index}.yml", text) for index, text in enumerate(texts)]
    return read_compose(files, env or {}, stack="st")


def app(*texts: str, env: dict[str, str] | None = None) -> ComposeService:
    (service,) = read(*texts, env=env).services
    return service


def fields(text: str) -> str:
    """A file with one service and these fields, next to its image."""
    return f"services: {{app: {{image: a, {text}}}}}\nvolumes: {{vol: {{}}}}\nnetworks: {{n: {{}}}}"


def test_a_recipe_is_read_with_the_names_its_objects_have_in_the_swarm() -> None:
    found = read_compose([("compose.yml", RECIPE)], ENV, stack="sso")
    assert found.service("app") == ComposeService(
        name="app",
        image="quay.io/keycloak/keycloak:26.0.8",
        order="start-first",
        failure_action="rollback",
        mounts=(Mount(kind="volume", source="sso_providers", target="/opt/keycloak/providers"),),
        networks=("proxy", "sso_internal"),
        labels={
            "traefik.enable": "true",
            "traefik.http.routers.sso.rule": "Host(`sso.example.org`)",
            "coop-cloud.sso.version": "10.7.1+26.0.8",
        },
        configs=("sso_entrypoint_v2",),
        secrets=("db_password", "sso_admin_password_v1"),
        has_healthcheck=True,
        start_period=90.0,
        environment={
            "KC_HOSTNAME": "https://sso.example.org",
            "KC_LOG_LEVEL": "info",
            "KC_DB_PASSWORD_FILE": "/run/secrets/db_password",
        },
    )
    assert found.service("db") == ComposeService(
        name="db",
        image="mariadb:10.11",
        replicas=0,
        mounts=(Mount(kind="volume", source="kept", target="/var/lib/mysql", driver="local"),),
        networks=("sso_internal",),
        stop_grace=60.0,
        labels={},
        environment={},
    )
    assert found.configs == (
        ComposeConfig(key="entrypoint", name="sso_entrypoint_v2", file="entrypoint.sh.tmpl", external=False),
    )
    assert found.secrets == (
        ComposeSecret(key="admin_password", name="sso_admin_password_v1", external=True),
        ComposeSecret(key="db_password", name="db_password", external=True),
    )
    assert found.volumes == (
        ComposeVolume(key="mariadb", name="kept", external=False, driver="local"),
        ComposeVolume(key="providers", name="sso_providers", external=False, driver=""),
    )
    assert found.networks == (
        ComposeNetwork(key="internal", name="sso_internal", external=False),
        ComposeNetwork(key="proxy", name="proxy", external=True),
    )


def test_names_in_use_are_told_with_file_and_key() -> None:
    uses = read_compose([("compose.yml", RECIPE)], ENV, stack="sso").uses
    assert (
        ComposeUse(
            name="EXTRA_DOMAINS",
            has_default=False,
            required=False,
            where="compose.yml services.app.deploy.labels[1]",
        )
        in uses
    )
    assert {u.name for u in uses if u.has_default} == {"LOG_LEVEL"}
    assert {u.name for u in uses} == {
        "DOMAIN", "LOG_LEVEL", "EXTRA_DOMAINS", "STACK_NAME", "ENTRYPOINT_VERSION", "SECRET_ADMIN_PASSWORD_VERSION",
    }  # fmt: skip


def test_names_in_extension_fields_count_only_where_they_are_merged_in() -> None:
    unused = read("x-a: {b: $GONE}\nservices: {app: {image: a}}")
    merged = read("x-a: &a {B: $THERE}\nservices: {app: {image: a, environment: {<<: *a}}}")
    assert unused.uses == ()
    assert [(u.name, u.where) for u in merged.uses] == [("THERE", "compose.0.yml services.app.environment.B")]


def test_a_required_name_that_is_not_set_is_told_and_empty() -> None:
    found = read("services: {app: {image: 'a:${TAG:?set it}'}}")
    assert (found.services[0].image, found.uses[0].required) == ("a:", True)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [(80, 0, "ingress", "tcp")]),
        ("'80'", [(80, 0, "ingress", "tcp")]),
        ("22:22", [(22, 22, "ingress", "tcp")]),
        ("'8080:80/udp'", [(80, 8080, "ingress", "udp")]),
        ("'127.0.0.1:80:81'", [(81, 80, "ingress", "tcp")]),
        ("'[::1]:80:81'", [(81, 80, "ingress", "tcp")]),
        ("'3000-3001:4000-4001'", [(4000, 3000, "ingress", "tcp"), (4001, 3001, "ingress", "tcp")]),
        ("'3000-3001:80'", [(80, 3000, "ingress", "tcp"), (80, 3001, "ingress", "tcp")]),
        ("{target: 443, published: 443, mode: host}", [(443, 443, "host", "tcp")]),
        ("{target: 53, published: '53', protocol: udp}", [(53, 53, "ingress", "udp")]),
    ],
)
def test_ports_are_read_in_every_form(text: str, ports: list[tuple[int, int, str, str]]) -> None:
    expected = tuple(Port(target=t, published=p, mode=m, protocol=q) for t, p, m, q in ports)
    assert app(fields(f"ports: [{text}]")).ports == expected


@pytest.mark.parametrize(
    ("text", "kind", "source", "target"),
    [
        ("vol:/data", "volume", "st_vol", "/data"),
        ("vol:/data:ro", "volume", "st_vol", "/data"),
        ("/data", "volume", "", "/data"),
        ("./x:/data", "bind", "./x", "/data"),
        (
            "/var/run/docker.sock:/var/run/docker.sock:ro",
            "bind",
            "/var/run/docker.sock",
            "/var/run/docker.sock",
        ),
        ("~/x:/data", "bind", "~/x", "/data"),
        ("{type: volume, source: vol, target: /data}", "volume", "st_vol", "/data"),
        ("{type: bind, source: /x, target: /data}", "bind", "/x", "/data"),
        ("{type: tmpfs, target: /data}", "tmpfs", "", "/data"),
    ],
)
def test_mounts_are_read_in_every_form(text: str, kind: str, source: str, target: str) -> None:
    found = app(fields(f"volumes: [{text if text.startswith('{') else repr(text)}]"))
    assert found.mounts == (Mount(kind=kind, source=source, target=target),)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1m30s", 90.0), ("10s", 10.0), ("1h", 3600.0), ("500ms", 0.5), ("1.5m", 90.0), ("0s", 0.0), ("0", 0.0)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert app(fields(f"stop_grace_period: '{text}'")).stop_grace == seconds


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("{test: [CMD, 'true']}", True),
        ("{test: curl localhost}", True),
        ("{test: [NONE]}", False),
        ("{disable: true}", False),
        ("{test: [CMD, x], disable: true}", False),
        ("{interval: 5s}", False),
    ],
)
def test_a_health_check_is_there_when_it_tests_something(text: str, has: bool) -> None:  # noqa: FBT001 - a table
    assert app(fields(f"healthcheck: {text}")).has_healthcheck is has


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("{a: b, n: 1, t: true, f: 1.10, e: null}", {"a": "b", "n": "1", "t": "true", "f": "1.1", "e": ""}),
        ("['a=b=c', d]", {"a": "b=c", "d": ""}),
        (
            "{y: yes, d: 2024-01-01, z: 1000000.0, o: 0777}",
            {"y": "yes", "d": "2024-01-01", "z": "1e+06", "o": "511"},
        ),
    ],
)
def test_labels_are_text_in_every_form(text: str, labels: dict[str, str]) -> None:
    assert app(fields(f"deploy: {{labels: {text}}}")).labels == labels


def test_a_name_without_a_value_takes_it_from_the_environment() -> None:
    assert app(fields("environment: {A: , B: , C: ''}"), env={"A": "1", "C": "3"}).environment == {
        "A": "1",
        "B": None,
        "C": "3",
    }


@pytest.mark.parametrize(
    ("section", "name"),
    [
        ("{data: {}}", "st_data"),
        ("{data: null}", "st_data"),
        ("{data: {name: x}}", "x"),
        ("{data: {external: true}}", "data"),
        ("{data: {external: true, name: x}}", "x"),
        ("{data: {external: {name: x}}}", "x"),
    ],
)
def test_objects_have_their_swarm_names(section: str, name: str) -> None:
    text = "services: {app: {image: a, volumes: ['data:/d']}}\nvolumes: "
    found = read(text + section)
    assert found.volumes[0].name == found.services[0].mounts[0].source == name


def test_a_service_without_networks_is_in_the_stacks_default_one() -> None:
    found = read("services: {app: {image: a}}")
    assert found.services[0].networks == ("st_default",)
    assert found.networks == (ComposeNetwork(key="default", name="st_default", external=False),)


def test_an_empty_value_overrides_a_label_and_no_variable() -> None:
    """Docker's merge, tried: tests/swarm/test_stackspec.py."""
    base = fields("environment: {A: 1, B: 2}, deploy: {labels: [a=1]}")
    found = app(base, fields("environment: {A: '', B: , C: ''}, deploy: {labels: {a: ''}}"))
    assert found.environment == {"A": "1", "B": "2", "C": ""}
    assert found.labels == {"a": ""}


def test_an_overlay_overrides_field_by_field() -> None:
    base = fields(
        "environment: {A: 1, B: 2}, ports: ['80:80'], volumes: ['vol:/d', 'vol:/e'], networks: [n],"
        " deploy: {replicas: 2, labels: [a=1, b=2], update_config: {order: start-first, monitor: 9s}}"
    )
    over = (
        "services: {app: {environment: [B=3], ports: ['81:80'], volumes: ['more:/d'], networks: {m: },"
        " deploy: {replicas: 0, labels: {b: 4}, update_config: {failure_action: rollback}}}}\n"
        "volumes: {more: {}}\nnetworks: {m: {}}"
    )
    found = app(base, over)
    assert found.environment == {"A": "1", "B": "3"}
    assert [p.published for p in found.ports] == [80, 81]
    assert [(m.source, m.target) for m in found.mounts] == [("st_more", "/d"), ("st_vol", "/e")]
    assert found.networks == ("st_m", "st_n")
    assert (found.replicas, found.labels) == (0, {"a": "1", "b": "4"})
    assert (found.order, found.monitor, found.failure_action) == ("start-first", 9.0, "rollback")


@pytest.mark.parametrize(
    ("base", "over", "seconds"), [("5s", "0s", 5.0), ("0s", "5s", 5.0), ("0s", "0s", 0.0)]
)
def test_nothing_in_an_overlay_overrides_nothing(base: str, over: str, seconds: float) -> None:
    found = app(fields(f"stop_grace_period: {base}"), fields(f"stop_grace_period: {over}"))
    assert found.stop_grace == seconds


def test_an_overlay_cannot_bring_back_a_health_check_that_was_taken_away() -> None:
    assert not app(
        fields("healthcheck: {test: [NONE]}"), fields("healthcheck: {test: [CMD, x]}")
    ).has_healthcheck


def test_an_overlay_turns_a_published_port_into_a_host_port() -> None:
    found = app(fields("ports: ['80:80']"), fields("ports: [{target: 80, published: 80, mode: host}]"))
    assert found.ports == (Port(target=80, published=80, mode="host"),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a", "compose.0.yml: a mapping"),
        ("", "compose.0.yml: a mapping"),
        ("a: [", "compose.0.yml: line"),
        ("services: {app: {image: a, image: b}}", "line 1: 'image' is there twice"),
        ("services: []", "compose.0.yml services: a mapping"),
        ("services: {app: []}", "compose.0.yml services.app: a mapping"),
        ("services: {app: {}}", "services.app: no image"),
        ("services: {'a b': {image: a}}", "'a b' is no name"),
        ("services: {app: {image: [a]}}", "services.app.image: a plain text"),
        ("services: {app: {image: '$'}}", r"services.app.image: '\$'"),
        (fields("ports: [99999]"), r"services.app.ports: .*'99999'"),
        (fields("ports: ['1-60000:1-60000']"), "services.app.ports"),
        (fields("ports: ['1-3:1-2']"), "3 ports for 2"),
        (fields("ports: 80"), "services.app.ports: a list"),
        (fields("ports: [{published: 1}]"), "without a target"),
        (fields("volumes: ['gone:/x']"), "no file defines 'gone'"),
        (fields("volumes: ['aa:bb:cc:dd']"), "services.app.volumes"),
        (fields("networks: [gone]"), "no file defines 'gone'"),
        (fields("configs: [gone]"), "no file defines 'gone'"),
        (fields("secrets: [gone]"), "no file defines 'gone'"),
        (fields("stop_grace_period: 5"), "duration"),
        (fields("deploy: {replicas: many}"), "services.app.deploy.replicas: a whole number"),
        (fields("deploy: {replicas: -1}"), "whole number"),
        (fields("deploy: {update_config: {max_failure_ratio: x}}"), "a number"),
        (fields("deploy: []"), "services.app.deploy: a mapping"),
        (fields("healthcheck: {disable: perhaps}"), "true or false"),
        ("services: {app: {image: a}}\nvolumes: {v: []}", "volumes.v: a mapping"),
        ("? {a: b}\n: c", "a key must be"),
        ("a: *b", "names nothing above"),
        ("a: " + "x" * 1024 * 1024, "larger than 1024 KiB"),
        ("a: " + "[" * 200_000, "nested deeper"),
        ("a: \0", "compose.0.yml"),
        ("a: \ud800", "compose.0.yml"),
    ],
)
def test_a_file_docker_would_refuse_is_one_error_with_file_and_key(text: str, words: str) -> None:
    with pytest.raises(ComposeError, match=words):
        read(text)


def aliases(template: str) -> str:
    """Ten levels, each of which names the one before ten times."""
    lines = ["l0: &l0 " + template.format(", ".join(["a"] * 10) if "[" in template else "a: b")]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        aliases("[{}]"),
        "a: &a {b: c}\n"
        + "".join(
            f"a{i}: &a{i} {{<<: [{', '.join(['*a' if i == 0 else f'*a{i - 1}'] * 9)}], k{i}: v}}\n"
            for i in range(9)
        ),
        "services: {app: {image: a, environment: {" + ", ".join(f"A{i}: $BIG" for i in range(3000)) + "}}}",
        "services: {app: {image: a, ports: [" + ", ".join(["'1-2000:1-2000'"] * 5) + "]}}",
    ],
)
def test_a_file_that_would_fill_the_memory_ends_soon(text: str) -> None:
    started = time.monotonic()
    with contextlib.suppress(ComposeError):
        read(text, env={"BIG": "x" * 100_000})
    assert time.monotonic() - started < 10


@given(st.text(max_size=120))
def test_any_text_is_read_or_refused_with_the_one_error(text: str) -> None:
    with contextlib.suppress(ComposeError):
        read(text)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(alphabet="a:/$-1s=.", max_size=6)
)
KEYS = st.sampled_from(
    ["image", "ports", "volumes", "deploy", "labels", "update_config", "environment", "networks", "configs", "secrets",
     "target", "published", "source", "type", "external", "name", "healthcheck", "test", "replicas", "monitor"]
)  # fmt: skip
TREES = st.recursive(
    SCALARS, lambda t: st.one_of(st.lists(t, max_size=3), st.dictionaries(KEYS, t, max_size=4))
)


@given(TREES, TREES)
def test_any_shape_is_read_or_refused_with_the_one_error(service: object, volumes: object) -> None:
    with contextlib.suppress(ComposeError):
        read(json.dumps({"services": {"app": service}, "volumes": volumes}))


@pytest.mark.parametrize(
    ("value", "files"),
    [
        (None, ["compose.yml"]),
        ("", ["compose.yml"]),
        ("compose.yml:compose.host.yml", ["compose.yml", "compose.host.yml"]),
        (":compose.yml::", ["compose.yml"]),
        ("sub/compose.yml", ["sub/compose.yml"]),
    ],
)
def test_the_files_are_those_compose_file_names(value: str | None, files: list[str]) -> None:
    assert compose_files({} if value is None else {"COMPOSE_FILE": value}) == files


@pytest.mark.parametrize(
    "value", ["/etc/passwd", "compose.yml:../x.yml", "a/../../b", "..", "~/x", "a\x1bb", "a\nb"]
)
def test_a_file_outside_the_recipe_is_refused(value: str) -> None:
    with pytest.raises(ComposeError, match="COMPOSE_FILE"):
        compose_files({"COMPOSE_FILE": value})


# What follows builds files in all forms and lets Docker judge.
WORD = st.sampled_from(["a", "b", "${SET}", "${UNSET:-d}", "x-${EMPTY-e}", "1.10", "yes"])
PAIRS = st.one_of(
    st.dictionaries(
        st.sampled_from(["K", "L", "SET", "EMPTY"]), st.one_of(WORD, st.integers(0, 10**7)), max_size=3
    ),
    st.lists(
        st.builds("{}={}".format, st.sampled_from(["K", "L", "M"]), WORD),
        max_size=3,
        unique_by=lambda p: p[0],
    ),
)
# One published port always means the same: Docker's releases differ in which of two they keep.
PORTS = st.one_of(
    st.integers(80, 84).map("{0}:{0}".format),
    st.just("90:80/udp"),
    st.just(70),
    st.integers(100, 102).map(lambda n: {"target": 80, "published": n, "mode": "host", "protocol": "tcp"}),
)
MOUNTS = st.one_of(
    st.builds("{}:/{}".format, st.sampled_from(["data", "more", "/abs"]), st.sampled_from(["d", "e"])),
    st.builds("{}:/{}:ro".format, st.sampled_from(["data", "more"]), st.sampled_from(["d", "f"])),
    st.fixed_dictionaries(
        {
            "type": st.just("volume"),
            "source": st.sampled_from(["data", "more"]),
            "target": st.sampled_from(["/d", "/e"]),
        },
    ),
)
DURATIONS = st.sampled_from(["1s", "1m30s", "2h", "500ms", "0s"])
DEPLOY = st.fixed_dictionaries(
    {},
    optional={
        "labels": PAIRS,
        "replicas": st.sampled_from([0, 1, 3, "${NUMBER}"]),
        "mode": st.sampled_from(["replicated", "global"]),
        "update_config": st.fixed_dictionaries(
            {},
            optional={
                "order": st.sampled_from(["start-first", "stop-first"]),
                "failure_action": st.sampled_from(["rollback", "pause", "continue"]),
                "monitor": DURATIONS,
                "max_failure_ratio": st.sampled_from([0, 0.25, 0.5]),
            },
        ),
    },
)
HEALTH = st.fixed_dictionaries(
    {},
    optional={
        "test": st.sampled_from([["CMD", "true"], "curl x", ["NONE"]]),
        "start_period": DURATIONS,
        "disable": st.booleans(),
    },
)
SERVICE = st.fixed_dictionaries(
    {"image": WORD.map("img:{}".format)},
    optional={
        "environment": PAIRS,
        "ports": st.lists(PORTS, max_size=3, unique_by=str),
        "volumes": st.lists(
            MOUNTS, max_size=2, unique_by=lambda m: m["target"] if isinstance(m, dict) else m.split(":")[1]
        ),
        "networks": st.one_of(
            st.lists(st.sampled_from(["web", "internal"]), unique=True, min_size=1),
            st.dictionaries(st.sampled_from(["web", "internal"]), st.none(), min_size=1),
        ),
        "configs": st.lists(
            st.one_of(
                st.just("one"), st.fixed_dictionaries({"source": st.just("two"), "target": st.just("/t")})
            ),
            unique_by=str,
        ),
        "secrets": st.lists(st.sampled_from(["hidden", "found"]), unique=True),
        "stop_grace_period": DURATIONS,
        "deploy": DEPLOY,
        "healthcheck": HEALTH,
    },
)
NAMED = st.fixed_dictionaries({}, optional={"external": st.just(value=True), "name": st.just("own_${SET}")})


@st.composite
def compose_texts(draw: st.DrawFn) -> list[str]:
    """One to three files; the first defines all objects, the others may replace some."""
    texts = []
    for index in range(draw(st.integers(1, 3))):
        names = {"volumes": ["data", "more"], "networks": ["web", "internal"]}
        root: dict[str, object] = {
            section: {key: draw(NAMED) for key in keys if index == 0 or draw(st.booleans())}
            for section, keys in names.items()
        }
        if index == 0:
            root["configs"] = {"one": {"external": True}, "two": {"name": "two_${SET}", "file": "/f"}}
            root["secrets"] = {"hidden": {"external": True}, "found": {"external": True, "name": "x_${SET}"}}
        root["services"] = draw(st.dictionaries(st.sampled_from(["app", "db"]), SERVICE, min_size=1))
        texts.append(json.dumps({"version": "3.8", **root}))
    return texts


@needs_docker
@settings(max_examples=60, deadline=None)
@given(compose_texts())
def test_docker_reads_the_same(texts: list[str]) -> None:
    """Docker's interpolated and merged result, read alone, is what we make of the files ourselves."""
    env = {"SET": "s", "EMPTY": "", "NUMBER": "2", "STACK_NAME": "st"}
    with tempfile.TemporaryDirectory() as folder:
        theirs = stack_config(Path(folder), texts, env)
    assert theirs.code == 0, theirs.err
    ours = dataclasses.replace(read(*texts, env=env), uses=())
    assert read_compose([("docker", theirs.out.decode())], {}, stack="st") == ours
