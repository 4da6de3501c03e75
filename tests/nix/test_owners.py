"""Another owner of an app is refused by name, and what only looks like one is not."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import pytest

from ccci_upgrade.tools.deploycommands import deploying, known_unit
from tests.nix.conftest import Evaluate
from tests.nix.test_host import FAILED, LOGIN, SECRET, SOPS

APPS = ("traefik", "keycloak", "drone")


def owners(evaluate: Evaluate, modules: str) -> dict[str, list[str]]:
    """By app, what the host is told to remove."""
    found = {}
    for message in cast("list[str]", evaluate(FAILED, modules)):
        head, *lines, last = message.split("\n")
        assert head.startswith("ccci.host: ")
        assert head.endswith("upgraded by maintainers with abra (ccci-upgrade upgrade). Remove:")
        assert last == "What only looks like an owner is named in ccci.host.allowedUnits."
        found[head.split()[1]] = [line.removeprefix("  - ") for line in lines]
    return found


def service(name: str, text: str) -> str:
    """Give a module with one service."""
    return f'{{ systemd.services."{name}" = {text}; }}'


def script(name: str, text: str) -> str:
    """Give a module with one service that runs a script."""
    return service(name, f"{{ script = {nix(text)}; }}")


def nix(text: str) -> str:
    """Write a text as Nix would."""
    return json.dumps(text).replace("${", "\\${")


def together(evaluate: Evaluate, units: Iterable[str]) -> dict[str, list[str]]:
    """Ask about many units at once."""
    return owners(evaluate, " ".join(units))


# -- names -------------------------------------------------------------------------------------------------


def test_the_known_reconcilers_are_named(evaluate: Evaluate) -> None:
    """cc-ci's own units, though nothing in their text says what they do."""
    known = ("deploy-proxy", "deploy-drone", "warm-keycloak", "nightly-sweep")
    text = '{ serviceConfig.ExecStart = "/nix/store/x-run/bin/run"; }'

    assert together(evaluate, (service(name, text) for name in known)) == {
        "traefik": ["systemd.services.deploy-proxy", "systemd.services.nightly-sweep"],
        "keycloak": ["systemd.services.nightly-sweep", "systemd.services.warm-keycloak"],
        "drone": ["systemd.services.deploy-drone"],
    }


def test_a_known_program_under_another_name(evaluate: Evaluate) -> None:
    """What a unit starts is looked at by its name too."""
    started = 'serviceConfig.ExecStart = "/nix/store/x-cc-ci-reconcile-proxy/bin/cc-ci-reconcile-proxy"'
    named = 'serviceConfig.ExecStartPost = [ "-/srv/bin/upgrade-drone.sh --quiet" ]'
    stored = f'serviceConfig.ExecStart = "/nix/store/{"0a" * 16}-warm-keycloak"'
    others = 'serviceConfig.ExecStart = "/bin/keycloak /srv/drone-runner-exec deploy-drone"'
    python = 'serviceConfig.ExecStart = "/srv/bin/update_drone.py"'
    units = {"setup": started, "b": named, "c": stored, "d": others, "e": python}

    assert together(evaluate, (service(name, f"{{ {said}; }}") for name, said in units.items())) == {
        "traefik": ["systemd.services.setup"],
        "keycloak": ["systemd.services.c"],
        "drone": ["systemd.services.b", "systemd.services.e"],
    }


def test_what_is_known_can_be_said(evaluate: Evaluate) -> None:
    """A host has names of its own."""
    said = '{ ccci.host.legacyReconcilers = { front = [ "traefik" ]; }; }'

    assert owners(evaluate, said + service("front", "{ }") + service("deploy-proxy", "{ }")) == {
        "traefik": ["systemd.services.front"]
    }


@pytest.mark.parametrize("app", APPS)
def test_names_that_own(evaluate: Evaluate, app: str) -> None:
    """The app with a word for acting, in any order."""
    names = [
        app, f"deploy-{app}", f"{app}-upgrade", f"update-{app}", f"reconcile-{app}", f"warm-{app}", f"redeploy-{app}",
        f"{app}-reconciler", f"nightly-{app}-upgrade", f"abra-upgrade@{app}", f"roll-{app}", f"{app}-sweep",
        f"cc-ci-deploy-{app}", f"ci-auto-update-{app}-app",
        f"{app}-upgrade@", f"weekly-{app}-update", f"daily-{app}-deploy",
    ]  # fmt: skip

    found = together(evaluate, (service(name, "{ }") for name in names))

    assert {each: set(listed) for each, listed in found.items()} == {
        app: {f"systemd.services.{name}" for name in names}
    }


@pytest.mark.parametrize("app", APPS)
def test_names_that_do_not_own(evaluate: Evaluate, app: str) -> None:
    """A runner, a backup, a certificate, units of other apps: none of them deploys it."""
    names = [
        f"{app}-runner-exec", f"{app}-exec-runner", f"ci-{app}", f"backup-{app}", f"{app}-certs-deploy",
        f"{app}-exporter",
        "deploy-bridge", "deploy-dashboard", "deploy-reports", "ci-docker-prune", "backupbot", f"my{app}-deploy",
        f"{app}s-update", "docker-prune", "nixos-upgrade", f"update-{app}-dns",
    ]  # fmt: skip

    assert together(evaluate, (service(name, "{ }") for name in names)) == {}


# -- texts -------------------------------------------------------------------------------------------------

ACTING = (
    "abra app upgrade {app}.ci.example.org",
    "abra app deploy -n -f warm-{app}.ci.example.org 1.0.0+1.0.0",
    "abra -n app rollback {app}.ci.example.org",
    "abra app --debug upgrade {app}.ci.example.org",
    "abra app undeploy {app}.ci.example.org",
    "abra app new {app}",
    "abra a up {app}.ci.example.org",
    "abra a d {app}.ci.example.org",
    "abra app rl {app}.ci.example.org",
    "abra app un {app}.ci.example.org",
    "/run/current-system/sw/bin/abra --debug app upgrade '{app}.ci.example.org'",
    "cd /srv && abra app upgrade {app}.ci.example.org || true",
    'out=$(abra app upgrade "{app}.ci.example.org" 2>&1)',
    "if ! abra app upgrade {app}.ci.example.org; then exit 1; fi",
    "abra app upgrade \\\n  --no-input \\\n  {app}.ci.example.org",
    "docker stack deploy -c compose.yml {app}_ci_example_org",
    "docker --context default stack up -c compose.yml {app}_ci_example_org",
    "docker stack rm {app}_ci_example_org",
    "docker service update --image {app}:latest {app}_ci_example_org_app",
    "docker service create --name front {app}:v3",
    "docker service rollback {app}_ci_example_org_app",
    "docker service scale {app}_ci_example_org_app=0",
    "docker service rm {app}_ci_example_org_app",
    "ccci-upgrade upgrade {app} --ack major",
    "ccci-upgrade --server ci.example.org rollback {app}.ci.example.org",
    "ccci-upgrade redeploy --lock /srv/{app}.lock.toml",
    "ccci-upgrade snapshot restore 20260101T000000-0000 {app}",
    "python3 /srv/runner/warm_reconcile.py {app}",
    'for app in {app} gitea; do\n  abra app upgrade "${app_domain}"\ndone',
    'DOMAIN={app}.ci.example.org\nabra app deploy "$DOMAIN"',
    "abra app upgrade {app}.$DOMAIN",
    "echo now; abra app upgrade {app}.ci.example.org",
    "echo now & abra app upgrade {app}.ci.example.org",
    "echo yes | abra app upgrade {app}.ci.example.org",
    "echo $(abra app upgrade {app}.ci.example.org)",
    "echo `abra app upgrade {app}.ci.example.org`",
    "(abra app upgrade {app}.ci.example.org)",
    "run(['abra', 'app', 'deploy', '{app}.ci.example.org'])",
    'run(["abra","app","deploy"]+["{app}.ci.example.org"])',
    'run(("abra","app","deploy")+("{app}.ci.example.org",))',
)  # fmt: skip


@pytest.mark.parametrize("app", APPS)
def test_texts_that_own(evaluate: Evaluate, app: str) -> None:
    """Each command that changes the app, alone in a unit with a name that says nothing."""
    units = [script(f"u{at:02}", text.replace("{app}", app)) for at, text in enumerate(ACTING)]

    assert together(evaluate, units) == {app: [f"systemd.services.u{at:02}" for at in range(len(ACTING))]}


def test_commands_that_own_all(evaluate: Evaluate) -> None:
    """By a flag, and by a loop over what abra lists."""
    texts = (
        "ccci-upgrade upgrade --all",
        "for each in $(abra app ls -m | jq -r '.[]'); do abra app upgrade \"$each\"; done",
    )
    units = [script(f"u{at}", text) for at, text in enumerate(texts)]
    every = ["systemd.services.u0", "systemd.services.u1"]

    assert together(evaluate, units) == dict.fromkeys(APPS, every)


def test_a_command_that_names_its_app_is_about_that_one(evaluate: Evaluate) -> None:
    """Though its domain is a variable, and others are mentioned."""
    text = "curl https://keycloak.ci.example.org\nabra app upgrade traefik.$DOMAIN\nccci-upgrade upgrade drone --all"

    assert owners(evaluate, script("job", text)) == {
        "traefik": ["systemd.services.job"],
        "drone": ["systemd.services.job"],
    }


HARMLESS = (
    "abra app ls; abra app ps {app}.ci.example.org; abra app logs {app}.ci.example.org",
    "abra app backup create {app}.ci.example.org",
    "abra recipe upgrade {app}",
    "abra app doctor {app}.ci.example.org",
    "abra app deploy gitea.ci.example.org  # behind {app}",
    "abra app deploy gitea.ci.example.org\ncurl https://{app}.ci.example.org/healthz",
    "# abra app upgrade {app}.ci.example.org is done by hand",
    "echo 'to upgrade: abra app upgrade {app}.ci.example.org'",
    "logger abra app upgrade {app}",
    "printf 'abra app upgrade {app}\\n'",
    "docker stack services {app}_ci_example_org",
    "docker service ls --filter name={app}",
    "docker service logs {app}_ci_example_org_app",
    "docker service update drone-runner-exec-{app}x",
    "ccci-upgrade status --exit-code || mail -s '{app}: upgrades' ops",
    "ccci-upgrade plan {app} --out plan.json",
    "ccci-upgrade snapshot create {app}",
    "ccci-upgrade health {app}",
    "ccci-upgrade upgrade {app} --dry-run",
    "systemctl restart {app}-runner-exec",
    'abra app deploy "$DOMAIN"',
    "myabra app deploy {app}.ci.example.org",
    "docker exec {app} sh -c upgrade",
)  # fmt: skip


@pytest.mark.parametrize("app", APPS)
def test_texts_that_do_not_own(evaluate: Evaluate, app: str) -> None:
    """Reading, backing up, telling people, other apps: none of it is refused."""
    units = [script(f"u{at:02}", text.replace("{app}", app)) for at, text in enumerate(HARMLESS)]

    assert together(evaluate, units) == {}


@pytest.mark.parametrize("key", ["script", "preStart", "postStart", "reload", "preStop", "postStop"])
@pytest.mark.parametrize("where", ["systemd.services", "systemd.user.services"])
def test_every_text_of_a_unit_is_read(evaluate: Evaluate, where: str, key: str) -> None:
    """Of the system's units and of people's."""
    said = f'{{ {where}.job.{key} = "abra app upgrade traefik.ci.example.org"; }}'

    assert owners(evaluate, said) == {"traefik": [f"{where}.job"]}


EXECS = ("ExecStart", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPost")


@pytest.mark.parametrize("key", EXECS)
def test_every_command_of_a_unit_is_read(evaluate: Evaluate, key: str) -> None:
    """A text, or a list of them."""
    command = "/bin/abra app upgrade drone.ci.example.org"
    one = f'{{ systemd.services.one.serviceConfig.{key} = "{command}"; }}'
    many = f'{{ systemd.services.two.serviceConfig.{key} = [ "" "echo soon" "-{command}" ]; }}'

    assert owners(evaluate, one + many) == {"drone": ["systemd.services.one", "systemd.services.two"]}


def test_an_app_named_by_the_environment(evaluate: Evaluate) -> None:
    """The script takes it from a variable of its unit."""
    said = service(
        "job",
        '{ environment = { DOMAIN = "keycloak.ci.example.org"; NO = null; }; script = "abra app upgrade $DOMAIN"; }',
    )

    assert owners(evaluate, said) == {"keycloak": ["systemd.services.job"]}


def test_a_script_of_a_package_is_no_obstacle(evaluate: Evaluate) -> None:
    """A text that refers to the store can be looked at, and stands in no message as a reference."""
    program = '${derivation { name = "cc-ci-reconcile-proxy"; system = "x"; builder = "x"; }}'
    said = service("setup", f'{{ serviceConfig.ExecStart = "{program}/bin/cc-ci-reconcile-proxy"; }}')

    assert owners(evaluate, said) == {"traefik": ["systemd.services.setup"]}


def test_a_unit_that_is_turned_off_owns_nothing(evaluate: Evaluate) -> None:
    """It is masked."""
    assert owners(evaluate, service("deploy-proxy", "{ enable = false; }")) == {}


@pytest.mark.parametrize("count", [100_000, 400_000])
def test_long_scripts_do_not_end_nix(evaluate: Evaluate, tmp_path: Path, count: int) -> None:
    """Its regular expressions overflow the stack on long texts; a word, a line and a script may be long."""
    (tmp_path / "long").write_text("x" * count + "\n" + "y " * (count // 20) + "\n" + "z\n" * (count // 50))
    (tmp_path / "end").write_text("\nAPP=traefik.ci.example.org\nabra app upgrade $APP\n")
    read = f"builtins.readFile {tmp_path}/long + builtins.readFile {tmp_path}/end"

    assert owners(evaluate, service("job", f"{{ script = {read}; }}")) == {
        "traefik": ["systemd.services.job"]
    }


# -- other places ------------------------------------------------------------------------------------------


def test_timers_are_known_by_their_names(evaluate: Evaluate) -> None:
    """Their own, and that of the unit they start; a unit may come from a package, unseen."""
    said = """{ systemd.timers = {
      nightly-sweep = { };
      evening.timerConfig.Unit = "upgrade-drone.service";
      morning.timerConfig.Unit = "deploy-proxy.service";
      ccci-status.timerConfig.Unit = "ccci-status.service";
      deploy-drone.enable = false;
    }; }"""

    assert owners(evaluate, said) == {
        "traefik": ["systemd.timers.morning", "systemd.timers.nightly-sweep"],
        "keycloak": ["systemd.timers.nightly-sweep"],
        "drone": ["systemd.timers.evening"],
    }


def test_activation_scripts_are_read(evaluate: Evaluate) -> None:
    """A text, or one with dependencies; NixOS' own sum of all is passed over."""
    said = """{ system.activationScripts = {
      a = "abra app deploy traefik.ci.example.org";
      b = { text = "abra app deploy drone.ci.example.org"; deps = [ ]; };
      upgrade-keycloak = "";
      c = "mkdir -p /srv/traefik";
      script = "abra app deploy traefik.ci.example.org";
    }; }"""

    assert owners(evaluate, said) == {
        "traefik": ["system.activationScripts.a"],
        "keycloak": ["system.activationScripts.upgrade-keycloak"],
        "drone": ["system.activationScripts.b"],
    }


def test_cron_is_read(evaluate: Evaluate) -> None:
    """A command, or a program by its name."""
    lines = [
        "0 3 * * * root abra app upgrade traefik.ci.example.org",
        "0 4 * * * root /srv/bin/upgrade-drone",
        "0 7 * * 1 root ccci-upgrade status --exit-code",
    ]
    said = f"{{ services.cron.systemCronJobs = [ {' '.join(map(nix, lines))} ]; }}"

    assert owners(evaluate, said) == {
        "traefik": [f"services.cron.systemCronJobs: {lines[0]}"],
        "drone": [f"services.cron.systemCronJobs: {lines[1]}"],
    }


def _containers(images: Sequence[tuple[str, str]]) -> str:
    said = " ".join(f'"{name}".image = "{image}";' for name, image in images)
    return f"{{ virtualisation.oci-containers.containers = {{ {said} }}; }}"


def test_containers_of_the_host_are_known_by_image(evaluate: Evaluate) -> None:
    """Beside the Swarm the host may run containers of its own; a runner is none of these apps."""
    said = _containers(
        (
            ("a", "docker.io/library/traefik:v3.1"),
            ("b", "quay.io:443/keycloak/keycloak@sha256:00"),
            ("c", "drone/drone:2"),
            ("d", "drone/drone-runner-docker:1"),
            ("e", "ci.example.org/traefik/whoami"),
            ("deploy-drone", "busybox"),
        )
    )
    where = "virtualisation.oci-containers.containers"

    assert owners(evaluate, said) == {
        "traefik": [f"{where}.a"],
        "keycloak": [f"{where}.b"],
        "drone": [f"{where}.c", f"{where}.deploy-drone"],
    }


@pytest.mark.parametrize("updater", ["watchtower", "shepherd", "gantry", "ouroboros"])
def test_programs_that_replace_images_own_all(evaluate: Evaluate, updater: str) -> None:
    """They ask nobody which service they may change."""
    found = owners(evaluate, _containers((("news", f"example/{updater}:1"), ("diun", "example/diun:4"))))

    assert found == {app: ["virtualisation.oci-containers.containers.news"] for app in APPS}


def test_native_services_are_refused(evaluate: Evaluate) -> None:
    """NixOS has modules for two of them; one that is off is no owner."""
    on = "{ services.traefik.enable = true; services.keycloak.enable = true; }"

    assert owners(evaluate, on) == {
        "traefik": ["services.traefik.enable"],
        "keycloak": ["services.keycloak.enable"],
    }
    assert owners(evaluate, "{ services.traefik.enable = false; }") == {}


# -- what can be said --------------------------------------------------------------------------------------


def test_all_owners_of_an_app_are_named_at_once(evaluate: Evaluate) -> None:
    """One after another would be a rebuild each."""
    said = (
        service("deploy-proxy", "{ }")
        + "{ services.traefik.enable = true; systemd.timers.deploy-traefik = { }; }"
    )

    assert owners(evaluate, said) == {
        "traefik": [
            "systemd.services.deploy-proxy",
            "systemd.timers.deploy-traefik",
            "services.traefik.enable",
        ]
    }


@pytest.mark.parametrize("name", ["deploy-drone", "deploy-drone.service"])
def test_a_look_alike_can_be_allowed(evaluate: Evaluate, name: str) -> None:
    """By its name, and nothing else is allowed with it."""
    allowed = f'{{ ccci.host.allowedUnits = [ "{name}" ]; }}'

    units = service("deploy-drone", "{ }") + service("upgrade-drone", "{ }")
    assert owners(evaluate, allowed + units) == {"drone": ["systemd.services.upgrade-drone"]}


def test_other_apps_can_be_kept_for_people(evaluate: Evaluate) -> None:
    """The list says which; what is not in it is free."""
    said = (
        '{ ccci.host.forbiddenApps = [ "gitea" ]; }'
        + service("deploy-gitea", "{ }")
        + service("deploy-drone", "{ }")
    )

    assert owners(evaluate, said) == {"gitea": ["systemd.services.deploy-gitea"]}


def test_doctor_knows_the_same_units(evaluate: Evaluate) -> None:
    """What is refused before a host is built is found on a host that was built otherwise."""
    known = cast("dict[str, list[str]]", evaluate("config.ccci.host.legacyReconcilers"))
    units = {name: apps for name, apps in known.items() if not name.startswith("cc-ci-")}

    assert len(units) == len(known) - 1
    assert [
        name for name, apps in units.items() for app in apps if not known_unit(f"{name}.service", {app})
    ] == []


def test_the_modules_own_units_are_no_owners(evaluate: Evaluate) -> None:
    """Neither here nor for `doctor`, with everything turned on."""
    everything = f"{SOPS} {SECRET} {LOGIN} {{ ccci.host.prune.enable = true; }}"
    scripts = cast(
        "dict[str, str]", evaluate("lib.mapAttrs (_: each: each.script) config.systemd.services", everything)
    )
    texts = [(f"/etc/systemd/system/{name}.service", text) for name, text in scripts.items()]

    assert evaluate(FAILED, everything) == []
    assert len(texts) == 3
    assert deploying(texts, [{app, f"{app}.ci.example.org"} for app in APPS]) == ()


def test_the_defaults_are_cc_cis(evaluate: Evaluate) -> None:
    """What is kept for people, and which units are known."""
    assert evaluate("{ inherit (config.ccci.host) forbiddenApps allowedUnits legacyReconcilers; }") == {
        "forbiddenApps": list(APPS),
        "allowedUnits": [],
        "legacyReconcilers": {
            "deploy-proxy": ["traefik"],
            "deploy-drone": ["drone"],
            "warm-keycloak": ["keycloak"],
            "nightly-sweep": ["keycloak", "traefik"],
            "cc-ci-reconcile-proxy": ["traefik"],
        },
    }
