"""Who else deploys these apps: units as on a NixOS host and on Debian, look-alikes, services of the Swarm."""

from pathlib import Path

import pytest

from ccci_upgrade.model.facts import OtherOwner, OwnerKind
from ccci_upgrade.tools.owners import SwarmService, Target, host_owners, swarm_owners

TRAEFIK = Target(recipe="traefik", domain="traefik.ci.example.org", stack="traefik_ci_example_org")
KEYCLOAK = Target(recipe="keycloak", domain="keycloak.ci.example.org", stack="keycloak_ci_example_org")
DRONE = Target(recipe="drone", domain="drone.ci.example.org", stack="drone_ci_example_org")
ALL = (TRAEFIK, KEYCLOAK, DRONE)
NO_SYSTEMD = "/nonexistent/systemctl"


class HostFiles:
    """A copy of a host's files below `root`, laid out as NixOS does: all of it links into the store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.units = root / "nix/store/0a-system-units"
        self.units.mkdir(parents=True)
        (root / "etc/systemd").mkdir(parents=True)
        (root / "etc/systemd/system").symlink_to("/nix/store/0a-system-units")

    def script(self, name: str, body: str, *, shebang: str = "#!/nix/store/1-bash/bin/bash") -> str:
        """Put a script into the store."""
        path = f"/nix/store/1b-{name}/bin/{name}"
        (self.root / path[1:]).parent.mkdir(parents=True)
        (self.root / path[1:]).write_text(f"{shebang}\n{body}\n")
        return path

    def unit(self, name: str, body: str, *, wanted: bool = True) -> None:
        """Put a unit into the store, linked from etc; `wanted` by multi-user.target."""
        path = f"/nix/store/1c-unit-{name}/{name}"
        (self.root / path[1:]).parent.mkdir(parents=True)
        (self.root / path[1:]).write_text(body)
        (self.units / name).symlink_to(path)
        if wanted:
            pulls = self.units / "multi-user.target.wants"
            pulls.mkdir(exist_ok=True)
            (pulls / name).symlink_to(f"../{name}")

    def service(self, name: str, script: str, *, wanted: bool = True, extra: str = "") -> None:
        """A oneshot that runs a script of the store."""
        start = self.script(f"{name}-start", script)
        body = f"[Unit]\n{extra}\n[Service]\nType=oneshot\nRemainAfterExit=true\nExecStart={start}\n"
        self.unit(f"{name}.service", body, wanted=wanted)

    def owners(self, *targets: Target, systemctl: str = NO_SYSTEMD) -> dict[str, OtherOwner]:
        """The owners found, by name."""
        found = host_owners(targets or ALL, root=self.root, systemctl=systemctl)
        return {owner.name: owner for owner in found}


@pytest.fixture
def host(tmp_path: Path) -> HostFiles:
    return HostFiles(tmp_path / "host")


@pytest.mark.parametrize(
    "script",
    [
        "abra app deploy traefik.ci.example.org -n",
        "/nix/store/9-abra/bin/abra -n app deploy -f traefik.ci.example.org 1.0.0+1",
        "abra app \\\n  upgrade \\\n  traefik.ci.example.org",
        'domain="traefik.ci.example.org"\nabra app deploy "$domain" -o -n -f',
        'D=traefik.ci.example.org; abra a up "${D}"',
        "for app in traefik.ci.example.org other.example.org; do abra app upgrade -n $app; done",
        "abra app ls -m | jq -r .[] | while read -r a; do abra app upgrade -n $a; done",
        "docker stack deploy -c /etc/traefik/compose.yml traefik_ci_example_org 2>&1",
        "cd /x && docker stack deploy --compose-file a.yml traefik",
        "docker service update --image traefik:v3 traefik_ci_example_org_app",
        "exec python3 /nix/store/2-runner/warm_reconcile.py traefik",
    ],
)
def test_a_command_that_deploys_our_app_makes_an_owner_with_its_line(host: HostFiles, script: str) -> None:
    host.service("some-name", script)
    owner = host.owners(TRAEFIK)["some-name.service"]
    assert owner.kind is OwnerKind.MAY_ACT
    assert any("/some-name-start:" in line for line in owner.evidence)
    assert any("started by multi-user.target" in line for line in owner.evidence)
    assert host.owners(KEYCLOAK).keys() <= ({"some-name.service"} if "app ls" in script else set())


@pytest.mark.parametrize(
    "script",
    [
        "abra app deploy dashboard.ci.example.org -n",
        "# abra app deploy traefik.ci.example.org",
        'echo "now run: abra app upgrade traefik.ci.example.org"',
        "docker stack deploy -c /etc/dashboard.yml dashboard # beside traefik",
        "docker service ls | grep traefik; abra app ls",
        "abra app logs traefik.ci.example.org; abra app config traefik.ci.example.org",
        'd=reports.ci.example.org\nabra app deploy "$d"; curl https://traefik.ci.example.org/ping',
        "abra app deploy traefik-test.example.org",
        "docker system prune -f --filter until=24h",
        "ccci-upgrade status --exit-code",
    ],
)
def test_look_alikes_are_not_named(host: HostFiles, script: str) -> None:
    host.service(
        "look-alike", script, extra="After=deploy-proxy.service traefik.service\nDescription=for traefik"
    )
    assert host.owners() == {}


def test_the_build_runner_and_a_dashboard_are_not_named(host: HostFiles) -> None:
    start = "ExecStart=/nix/store/3-r/bin/drone-runner-exec"
    body = f"[Service]\nEnvironment=DRONE_RPC_HOST=drone.ci.example.org\n{start}\n"
    host.unit("drone-runner-exec.service", body)
    (host.root / "nix/store/3-r/bin").mkdir(parents=True)
    (host.root / "nix/store/3-r/bin/drone-runner-exec").write_bytes(
        b"\x7fELF\0abra app deploy drone.ci.example.org"
    )
    host.service(
        "deploy-dashboard", "docker stack deploy -c d.yml ccci-dashboard", extra="After=deploy-proxy.service"
    )
    assert host.owners() == {}


def test_python_that_deploys_is_read_as_python(host: HostFiles) -> None:
    reconcile = (
        'SPECS = {"keycloak": dict(domain="keycloak.ci.example.org")}\n'
        'def deploy(spec):\n    run(["abra", "app", "deploy", spec.domain, spec.latest, "-o", "-n"], check=True)\n'
        'print("abra app deploy drone.ci.example.org")\n'
    )
    start = host.script("reconcile.py", reconcile, shebang="#!/usr/bin/env python3")
    host.unit("converge.service", f"[Service]\nExecStart=/nix/store/4-python/bin/python3 {start}\n")
    assert host.owners(KEYCLOAK).keys() == {"converge.service"}
    host_again = host.owners(TRAEFIK)
    assert host_again == {}


def test_the_known_reconcilers_are_named_for_their_recipes_only(host: HostFiles) -> None:
    for name in ("deploy-proxy", "deploy-drone", "warm-keycloak"):
        host.unit(f"{name}.service", "[Service]\nExecStart=/nix/store/5-gone/bin/reconcile\n")
    host.unit("nightly-sweep.service", "[Service]\nExecStart=/nix/store/5-gone/bin/sweep\n", wanted=False)
    host.unit(
        "nightly-sweep.timer", "[Timer]\nOnCalendar=Sun *-*-* 03:00:00\n[Install]\nWantedBy=timers.target\n"
    )
    assert host.owners().keys() == {
        "deploy-drone.service",
        "deploy-proxy.service",
        "nightly-sweep.service",
        "warm-keycloak.service",
    }
    assert host.owners(DRONE).keys() == {"deploy-drone.service"}
    sweep = host.owners(KEYCLOAK)["nightly-sweep.service"]
    assert any("started by nightly-sweep.timer" in line for line in sweep.evidence)


def test_scripts_are_followed_from_script_to_script_and_not_for_ever(host: HostFiles) -> None:
    inner = host.script("inner", "abra app deploy keycloak.ci.example.org")
    middle = host.script("middle", f"exec {inner}")
    loop = host.script("loop", "exec /nix/store/1b-loop/bin/loop")
    host.service("outer", f"{middle}\n{loop}")
    evidence = host.owners()["outer.service"].evidence
    assert evidence[0].startswith("/nix/store/1b-inner/bin/inner:2: abra app deploy keycloak")


def test_a_unit_that_nothing_starts_is_left_out(host: HostFiles) -> None:
    host.service("by-hand", "abra app deploy traefik.ci.example.org", wanted=False)
    assert host.owners() == {}
    host.service("starter", "systemctl restart --no-block by-hand")
    assert host.owners().keys() == {"by-hand.service"}


def test_a_timer_nobody_enabled_starts_nothing(host: HostFiles) -> None:
    host.service("upgrade", "abra app upgrade traefik.ci.example.org", wanted=False)
    host.unit("upgrade.timer", "[Timer]\nOnCalendar=daily\n", wanted=False)
    assert host.owners() == {}


def test_a_timer_that_rebuilds_the_host_is_its_own_kind(host: HostFiles) -> None:
    host.service("nixos-upgrade", "/run/current-system/sw/bin/nixos-rebuild switch --flake x", wanted=False)
    host.unit("nixos-upgrade.timer", "[Timer]\nOnCalendar=04:40\n")
    host.service("help", "echo nixos-rebuild switch would help; nixos-rebuild build")
    owners = host.owners()
    assert owners.keys() == {"nixos-upgrade.service"}
    assert owners["nixos-upgrade.service"].kind is OwnerKind.HOST_REBUILD


def test_masked_overridden_and_dropped_in_units_count_as_systemd_sees_them(host: HostFiles) -> None:
    vendor = host.root / "usr/lib/systemd/system"
    vendor.mkdir(parents=True)
    for name in ("masked", "overridden", "plain"):
        (vendor / f"{name}.service").write_text(
            "[Service]\nExecStart=abra app deploy traefik.ci.example.org\n"
        )
        (host.units / "multi-user.target.wants").mkdir(exist_ok=True)
        (host.units / "multi-user.target.wants" / f"{name}.service").symlink_to(
            f"/usr/lib/systemd/system/{name}.service"
        )
    (host.units / "masked.service").symlink_to("/dev/null")
    (host.units / "overridden.service").write_text("[Service]\nExecStart=/bin/true\n")
    assert host.owners().keys() == {"plain.service"}
    (host.units / "overridden.service.d").mkdir()
    (host.units / "overridden.service.d" / "10.conf").write_text(
        "[Service]\nExecStartPost=abra app deploy traefik\n"
    )
    assert host.owners().keys() == {"overridden.service", "plain.service"}


def test_links_lead_nowhere_outside_the_root_and_loops_end(host: HostFiles, tmp_path: Path) -> None:
    (tmp_path / "outside.service").write_text("[Service]\nExecStart=abra app deploy traefik\n")
    (host.units / "outside.service").symlink_to(tmp_path / "outside.service")
    (host.units / "loop.service").symlink_to("loop.service")
    (host.units / "multi-user.target.wants").mkdir()
    for name in ("outside.service", "loop.service"):
        (host.units / "multi-user.target.wants" / name).symlink_to(f"../{name}")
    assert host.owners() == {}


def test_a_host_without_systemd_has_no_owners(tmp_path: Path) -> None:
    assert host_owners(ALL, root=tmp_path, systemctl=NO_SYSTEMD) == ()


@pytest.mark.parametrize(
    ("state", "acting"),
    [
        ("ActiveState=activating\nSubState=start\nType=oneshot", True),
        ("ActiveState=active\nSubState=running\nType=simple", True),
        ("ActiveState=active\nSubState=exited\nType=oneshot\nRemainAfterExit=yes", False),
        ("ActiveState=inactive\nSubState=dead\nType=oneshot", False),
        ("ActiveState=inactive\nSubState=dead\nType=oneshot\nJob=4711", True),
        ("ActiveState=failed\nSubState=failed", False),
    ],
)
def test_acting_is_at_work_now(host: HostFiles, tmp_path: Path, state: str, *, acting: bool) -> None:
    """A stand-in for `systemctl show` with the output its manual documents."""
    host.service("deploy-proxy", "abra app deploy traefik.ci.example.org")
    host.unit("ccci-rebuild.service", "[Service]\nExecStart=nixos-rebuild switch --flake x\n", wanted=False)
    shows = "\n\n".join(f"Id={name}\n{state}" for name in ("ccci-rebuild.service", "deploy-proxy.service"))
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(
        f"#!/bin/sh\n[ \"$1 $5\" = 'show ccci-rebuild.service' ] && cat <<'END'\n{shows}\nEND\n"
    )
    systemctl.chmod(0o755)
    kinds = {name: owner.kind for name, owner in host.owners(systemctl=str(systemctl)).items()}
    if acting:
        assert kinds == {
            "ccci-rebuild.service": OwnerKind.ACTING,
            "deploy-proxy.service": OwnerKind.ACTING,
        }
    else:
        assert kinds == {"deploy-proxy.service": OwnerKind.MAY_ACT}


def test_evidence_is_tamed(host: HostFiles) -> None:
    host.service("x", "abra app deploy traefik.ci.example.org \x1b[2J\u202e")
    line = host.owners()["x.service"].evidence[0]
    assert "\\x1b[2J\\u202e" in line


# -- the Swarm -----------------------------------------------------------------------------------------


def test_services_that_update_others_are_named_and_those_that_only_tell_are_not() -> None:
    services = [
        SwarmService(name="w_app", image="containrrr/watchtower:1.7.1@sha256:" + "0" * 64),
        SwarmService(name="m_app", image="containrrr/watchtower", words=("WATCHTOWER_MONITOR_ONLY=true",)),
        SwarmService(name="m2_app", image="containrrr/watchtower", words=("--monitor-only",)),
        SwarmService(name="s_app", image="ci.example.org:5000/containrrr/shepherd:latest"),
        SwarmService(name="o_app", image="pyouroboros/ouroboros"),
        SwarmService(name="d_app", image="crazymax/diun:4"),
        SwarmService(name="t_app", image="traefik:v3"),
        SwarmService(name="look_alike", image="example/watchtower-dashboard"),
    ]
    owners = swarm_owners(services, ["traefik_ci_example_org"])
    assert [owner.name for owner in owners] == ["o_app", "s_app", "w_app"]
    assert all(owner.kind is OwnerKind.MAY_ACT for owner in owners)


@pytest.mark.parametrize(("value", "named"), [("true", True), ("True", True), ("false", False), ("", False)])
def test_kadabra_counts_where_one_of_our_apps_asks_for_it(value: str, *, named: bool) -> None:
    stack = "keycloak_ci_example_org"
    app = SwarmService(
        name=f"{stack}_app", image="keycloak", labels={f"coop-cloud.{stack}.autoupdate": value}
    )
    kadabra = SwarmService(name="kadabra_app", image="git.example.org/coop-cloud/kadabra:0.1")
    assert [owner.name for owner in swarm_owners([app, kadabra], [stack])] == (
        ["kadabra_app"] if named else []
    )
    assert swarm_owners([app, kadabra], ["traefik_ci_example_org"]) == ()
    assert swarm_owners([app], [stack]) == ()
