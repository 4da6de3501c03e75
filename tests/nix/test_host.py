"""What the module makes of a host: each value that matters, and each assertion both ways."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from ccci_upgrade.config import read_config
from tests.nix.conftest import Evaluate
from tests.nix.nixlab import HERE, Answer

INIT = "config.systemd.services.ccci-swarm-init"
FAILED = "map (each: each.message) (builtins.filter (each: !each.assertion) config.assertions)"
SOPS = """
  { options.sops.secrets = lib.mkOption { default = { }; type = lib.types.attrsOf lib.types.anything; }; }
"""
SECRET = '{ ccci.host.secrets.hub_token = { sopsFile = "/srv/secrets.yaml"; }; }'
LOGIN = """
  ({ config, ... }: { ccci.host.registryLogins."docker.io" = {
    username = "ci"; passwordFile = config.ccci.host.secrets.hub_token.path; }; })
"""


# -- nothing without being asked ---------------------------------------------------------------------------


def test_a_host_that_does_not_enable_it_is_left_alone(evaluate: Evaluate) -> None:
    """Importing the module changes nothing."""
    wanted = """{
      inherit (config) assertions;
      inherit (config.environment) etc systemPackages;
      inherit (config.systemd) services targets;
      ports = config.networking.firewall.allowedTCPPorts;
      docker = config.virtualisation.docker.enable;
      zone = config.time.timeZone;
      sops = config.sops.secrets;
    }"""
    seen = evaluate(wanted, f'{SOPS} {SECRET} {{ ccci.host.settings.server = "x"; }}', enabled=False)

    assert seen == {
        "assertions": [],
        "etc": {},
        "systemPackages": [],
        "services": {},
        "targets": {},
        "ports": [],
        "docker": False,
        "zone": None,
        "sops": {},
    }


def test_a_plain_host_passes_every_assertion(evaluate: Evaluate) -> None:
    """There are eight: five of the host, one for each app."""
    assert evaluate(FAILED) == []
    assert evaluate("builtins.length config.assertions") == 8


# -- Docker and the Swarm ----------------------------------------------------------------------------------


def test_docker_runs_without_live_restore(evaluate: Evaluate) -> None:
    """NixOS' default is on, and a Swarm does not begin with it."""
    wanted = "{ inherit (config.virtualisation.docker) enable enableOnBoot liveRestore; }"

    assert evaluate(wanted) == {"enable": True, "enableOnBoot": True, "liveRestore": False}


@pytest.mark.parametrize(
    "how",
    [
        "{ virtualisation.docker.liveRestore = lib.mkForce true; }",
        "{ virtualisation.docker.daemon.settings.live-restore = true; }",
        '{ virtualisation.docker.extraOptions = "--debug --live-restore"; }',
        '{ virtualisation.docker.extraOptions = "--live-restore=true"; }',
    ],
)
def test_live_restore_is_refused_wherever_it_is_said(evaluate: Evaluate, how: str) -> None:
    """Also where a host forces it."""
    assert _one(evaluate(FAILED, how)).startswith("ccci.host: Docker's live-restore must be off")


def test_other_settings_of_docker_are_free(evaluate: Evaluate) -> None:
    """What looks alike is not refused."""
    others = """{ virtualisation.docker = {
      daemon.settings = { live-restore = false; debug = true; };
      extraOptions = "--log-level warn --live-restore=false"; }; }"""

    assert evaluate(FAILED, others) == []


@pytest.mark.parametrize("flag", ["-a", "--all", "--volumes"])
def test_dockers_own_pruning_may_not_take_what_a_rollback_needs(evaluate: Evaluate, flag: str) -> None:
    """With such a flag it is refused when it is on; without, it is the host's own affair."""
    on = "virtualisation.docker.autoPrune.enable = true;"
    flags = f'virtualisation.docker.autoPrune.flags = [ "--filter until=24h" "--force {flag}" ];'

    assert "autoPrune with --all or --volumes" in _one(evaluate(FAILED, f"{{ {on} {flags} }}"))
    assert evaluate(FAILED, f"{{ {flags} }}") == []
    assert evaluate(FAILED, f"{{ {on} }}") == []


def test_the_swarm_is_made_by_one_unit_once(evaluate: Evaluate) -> None:
    """Type, ordering, what it needs, and how long it may take."""
    seen = evaluate(f"{{ inherit ({INIT}) after requires wants wantedBy serviceConfig; }}")

    assert seen == {
        "after": ["docker.service", "network-online.target"],
        "requires": ["docker.service"],
        "wants": ["network-online.target"],
        "wantedBy": ["multi-user.target"],
        "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True, "TimeoutStartSec": "3min"},
    }


def test_the_units_script_is_the_file_that_is_tested(evaluate: Evaluate) -> None:
    """And its PATH has Docker; a unit of NixOS has coreutils, findutils, grep and sed besides."""
    assert evaluate(f"{INIT}.script") == Path("nix/swarm-init.sh").read_text(encoding="utf-8")
    assert evaluate(f"map (each: each.name) {INIT}.path") == ["docker"]


def test_the_network_is_large_and_attachable(evaluate: Evaluate) -> None:
    """A /24 ran out of addresses."""
    assert evaluate(f"{INIT}.environment") == {
        "CCCI_ADVERTISE_ADDR": "127.0.0.1",
        "CCCI_LISTEN_ADDR": "127.0.0.1:2377",
        "CCCI_NETWORK": "proxy",
        "CCCI_NETWORK_ATTACHABLE": "true",
        "CCCI_NETWORK_SUBNET": "10.10.0.0/16",
    }


def test_every_setting_of_the_swarm_arrives(evaluate: Evaluate) -> None:
    """By the names that the script reads."""
    said = """{ ccci.host = { advertiseAddr = "192.0.2.1"; listenAddr = "0.0.0.0:2377";
      network = { name = "web"; attachable = false; subnet = null; }; }; }"""

    assert evaluate(f"{INIT}.environment", said) == {
        "CCCI_ADVERTISE_ADDR": "192.0.2.1",
        "CCCI_LISTEN_ADDR": "0.0.0.0:2377",
        "CCCI_NETWORK": "web",
        "CCCI_NETWORK_ATTACHABLE": "false",
        "CCCI_NETWORK_SUBNET": "",
    }


def test_other_units_can_wait_for_the_host(evaluate: Evaluate) -> None:
    """`ccci-host.target` is reached when the Swarm is there; a login that fails does not hold it."""
    target = "{ inherit (config.systemd.targets.ccci-host) after requires wants wantedBy; }"
    init, login = "ccci-swarm-init.service", "ccci-registry-login.service"

    assert evaluate(target) == {
        "after": [init], "requires": [init], "wants": [], "wantedBy": ["multi-user.target"],
    }  # fmt: skip
    assert evaluate(target, f"{SOPS} {SECRET} {LOGIN}") == {
        "after": [init, login], "requires": [init], "wants": [login], "wantedBy": ["multi-user.target"],
    }  # fmt: skip


def test_no_unit_runs_abra(evaluate: Evaluate) -> None:
    """With everything turned on, no text of any unit names it, and no PATH has it."""
    wanted = "{ inherit (config.systemd) services targets timers; }"
    seen = evaluate(wanted, f"{SOPS} {SECRET} {LOGIN} {{ ccci.host.prune.enable = true; }}")
    units = cast("dict[str, dict[str, object]]", seen)

    assert set(units["services"]) == {"ccci-swarm-init", "ccci-registry-login", "ccci-prune"}
    assert "abra" not in json.dumps(seen).lower()


# -- the rest of the host ----------------------------------------------------------------------------------


def test_two_ports_are_opened(evaluate: Evaluate) -> None:
    """Beside those that the host opens, and others where it says so."""
    ports = "config.networking.firewall.allowedTCPPorts"
    both = evaluate(ports, "{ networking.firewall.allowedTCPPorts = [ 22 ]; }")

    assert evaluate(ports) == [80, 443]
    assert sorted(cast("list[int]", both)) == [22, 80, 443]
    assert evaluate(ports, "{ ccci.host.openPorts = [ 8443 ]; }") == [8443]


def test_the_time_zone_is_written_where_recipes_look(evaluate: Evaluate) -> None:
    """One zone for both: the host's own `time.timeZone` wins."""
    wanted = "[ config.time.timeZone config.environment.etc.timezone.text ]"

    assert evaluate(wanted) == ["UTC", "UTC\n"]
    said = '{ ccci.host.timeZone = "Europe/Berlin"; }'
    assert evaluate(wanted, said) == ["Europe/Berlin", "Europe/Berlin\n"]
    own = '{ time.timeZone = "Asia/Tokyo"; }'
    assert evaluate(wanted, f"{said} {own}") == ["Asia/Tokyo", "Asia/Tokyo\n"]
    assert evaluate(wanted, "{ time.timeZone = lib.mkForce null; }") == [None, "UTC\n"]
    file = '{ environment.etc.timezone.text = "Etc/Custom"; }'
    assert evaluate(wanted, file) == ["UTC", "Etc/Custom"]


def test_the_programs_are_on_the_path(evaluate: Evaluate) -> None:
    """Both, and git, which abra and recipes need."""
    names = "map (each: each.name) config.environment.systemPackages"

    assert evaluate(names) == ["git", "ccci-upgrade", "abra"]
    other = '({ ... }: { ccci.host.abraPackage = { type = "derivation"; name = "abra-0.13"; }; })'
    assert evaluate(names, other) == ["git", "ccci-upgrade", "abra-0.13"]


@pytest.mark.parametrize("option", ["package", "abraPackage"])
def test_a_host_without_a_program_is_refused(evaluate: Evaluate, option: str) -> None:
    """It names the one that is missing, and no other."""
    failed = _one(evaluate(FAILED, f"{{ ccci.host.{option} = null; }}"))

    assert failed.startswith(f"ccci.host: {option} must be set")


def test_a_nixpkgs_without_abra_is_told(ask: Callable[[str], Answer]) -> None:
    """By the assertion, not by an error of evaluation."""
    answer = ask(f"""
      let inherit (import {HERE}/evaluate.nix {{ inherit lib root;
        modules = [ {{ ccci.host.enable = true; }} ]; without = [ "abra" ]; }}) config;
      in {FAILED}""")

    assert not answer.error
    assert _one(answer.value).startswith("ccci.host: abraPackage must be set")


# -- secrets -----------------------------------------------------------------------------------------------


def test_secrets_are_given_to_sops_by_path(evaluate: Evaluate) -> None:
    """With its defaults, and each setting as it was said."""
    other = """{ ccci.host.secrets.other = {
      sopsFile = "/srv/other.yaml"; key = "a/b"; owner = "drone"; mode = "0440"; }; }"""

    assert evaluate("config.sops.secrets", f"{SOPS} {SECRET} {other}") == {
        "hub_token": {
            "sopsFile": "/srv/secrets.yaml", "key": "hub_token", "owner": "root", "mode": "0400",
            "restartUnits": [],
        },
        "other": {
            "sopsFile": "/srv/other.yaml", "key": "a/b", "owner": "drone", "mode": "0440",
            "restartUnits": [],
        },
    }  # fmt: skip
    assert evaluate("config.ccci.host.secrets.other.path", f"{SOPS} {other}") == "/run/secrets/other"


def test_secrets_need_sops(evaluate: Evaluate) -> None:
    """Without its module they are refused; without secrets it need not be there."""
    assert _one(evaluate(FAILED, SECRET)).startswith("ccci.host.secrets needs sops-nix")
    assert evaluate(FAILED, f"{SOPS} {SECRET}") == []


@pytest.mark.parametrize("mode", ["0444", "0404", "400", "u=r"])
def test_a_secret_is_not_for_everybody(refused: Callable[..., str], mode: str) -> None:
    """A mode that lets others read is no mode here."""
    said = f'{{ ccci.host.secrets.a = {{ sopsFile = "/srv/a"; mode = "{mode}"; }}; }}'

    assert "ccci.host.secrets.a.mode" in refused("config.ccci.host.secrets.a.mode", said)


def test_where_a_secret_lies_cannot_be_set(refused: Callable[..., str]) -> None:
    """It is sops-nix' own place."""
    said = '{ ccci.host.secrets.a = { sopsFile = "/srv/a"; path = "/elsewhere"; }; }'

    assert "read-only" in refused("config.ccci.host.secrets.a.path", said)


def test_no_value_of_a_secret_is_in_any_text(evaluate: Evaluate, tmp_path: Path) -> None:
    """The file's content is nowhere in what the host is made of, only its path."""
    sentinel = "hunter2-sentinel"
    file = tmp_path / "secrets.yaml"
    file.write_text(f"hub_token: {sentinel}\n")
    password = tmp_path / "password"
    password.write_text(sentinel)
    modules = f"""{SOPS}
      {{ ccci.host.secrets.hub_token = {{ sopsFile = {file}; }}; }}
      {{ ccci.host.registryLogins."ci.example.org" = {{ username = "ci"; passwordFile = "{password}"; }}; }}
      {{ ccci.host.settings.apps."drone.ci.example.org".token_file = "{password}"; }}"""
    everything = "{ inherit (config) assertions environment sops systemd; }"

    text = json.dumps(evaluate(everything, modules))

    assert sentinel not in text
    assert str(password) in text


# -- registry logins ---------------------------------------------------------------------------------------

LOGIN_UNIT = "config.systemd.services.ccci-registry-login"


def test_a_login_is_written_by_a_unit(evaluate: Evaluate) -> None:
    """The Hub has a name of its own; the password is a path."""
    wanted = f"{{ inherit ({LOGIN_UNIT}) environment serviceConfig wantedBy; }}"
    seen = cast("dict[str, dict[str, object]]", evaluate(wanted, f"{SOPS} {SECRET} {LOGIN}"))
    logins = json.loads(str(seen["environment"].pop("CCCI_REGISTRY_LOGINS")))

    assert logins == [
        {
            "registry": "https://index.docker.io/v1/",
            "username": "ci",
            "passwordFile": "/run/secrets/hub_token",
        }
    ]
    assert seen == {
        "environment": {"CCCI_DOCKER_CONFIG": "/root/.docker"},
        "serviceConfig": {"Type": "oneshot", "RemainAfterExit": True, "TimeoutStartSec": "1min"},
        "wantedBy": ["multi-user.target"],
    }


def test_no_logins_make_no_unit(evaluate: Evaluate) -> None:
    """It would have nothing to write."""
    assert evaluate("config.systemd.services ? ccci-registry-login") is False


def test_the_logins_script_is_the_file_that_is_tested(evaluate: Evaluate) -> None:
    """And its PATH has jq."""
    modules = f"{SOPS} {SECRET} {LOGIN}"
    script = evaluate(f"{LOGIN_UNIT}.script", modules)

    assert script == Path("nix/registry-login.sh").read_text(encoding="utf-8")
    assert evaluate(f"map (each: each.name) {LOGIN_UNIT}.path", modules) == ["jq"]


def test_other_registries_keep_their_names(evaluate: Evaluate) -> None:
    """Only the Hub is renamed."""
    said = '{ ccci.host.registryLogins."ci.example.org" = { username = "a"; passwordFile = "/p"; }; }'

    text = evaluate(f"{LOGIN_UNIT}.environment.CCCI_REGISTRY_LOGINS", said)

    assert json.loads(str(text)) == [{"registry": "ci.example.org", "username": "a", "passwordFile": "/p"}]


def test_a_new_password_is_written_again(evaluate: Evaluate) -> None:
    """sops-nix restarts the unit when that secret changes, and no other secret does."""
    other = '{ ccci.host.secrets.other.sopsFile = "/srv/secrets.yaml"; }'
    wanted = "lib.mapAttrs (_: each: each.restartUnits) config.sops.secrets"

    assert evaluate(wanted, f"{SOPS} {SECRET} {LOGIN} {other}") == {
        "hub_token": ["ccci-registry-login.service"],
        "other": [],
    }


def test_a_password_in_the_store_is_refused(evaluate: Evaluate) -> None:
    """Everybody can read the store."""
    said = '{ ccci.host.registryLogins.a = { username = "a"; passwordFile = "/nix/store/x-password"; }; }'

    assert "lies in the Nix store" in _one(evaluate(FAILED, said))


def test_a_password_is_no_file_of_the_configuration(refused: Callable[..., str]) -> None:
    """A path of Nix, without quotes, would be copied into the store."""
    said = '{ ccci.host.registryLogins.a = { username = "a"; passwordFile = /etc/password; }; }'

    assert "passwordFile" in refused(f"{LOGIN_UNIT}.environment", said)


# -- pruning -----------------------------------------------------------------------------------------------


def test_nothing_is_pruned_unless_asked(evaluate: Evaluate) -> None:
    """Off by default."""
    assert evaluate("config.systemd.services ? ccci-prune") is False


def test_pruning_is_a_timer_on_a_full_disk(evaluate: Evaluate) -> None:
    """Nothing starts it but its time, and it needs Docker."""
    on = "{ ccci.host.prune.enable = true; }"
    unit = "config.systemd.services.ccci-prune"

    assert evaluate(
        f"{{ inherit ({unit}) after requires wantedBy startAt environment serviceConfig; }}", on
    ) == {
        "after": ["docker.service"],
        "requires": ["docker.service"],
        "wantedBy": [],
        "startAt": "*-*-* 04:30:00",
        "environment": {"CCCI_PRUNE_PERCENT": "80"},
        "serviceConfig": {"Type": "oneshot", "TimeoutStartSec": "30min"},
    }
    assert evaluate(f"{unit}.script", on) == Path("nix/prune.sh").read_text(encoding="utf-8")
    assert evaluate(f"map (each: each.name) {unit}.path", on) == ["docker"]
    said = f'{on} {{ ccci.host.prune = {{ startAt = "weekly"; diskPercent = 0; }}; }}'
    assert evaluate(f"[ {unit}.startAt {unit}.environment ]", said) == [
        "weekly",
        {"CCCI_PRUNE_PERCENT": "0"},
    ]


# -- settings ----------------------------------------------------------------------------------------------

ETC = 'config.environment.etc."ccci-upgrade/ccci-upgrade.toml".text'


def test_settings_are_what_the_program_reads(evaluate: Evaluate, tmp_path: Path) -> None:
    """Written by Nix, read by `read_config`: every kind of value and of name."""
    said = r"""{ ccci.host.settings = {
      server = "ci.example.org";
      state_dir = "/srv/a \"quoted\" \\ path";
      servers."ci.example.org".docker_host = "unix:///var/run/docker.sock";
      apps."keycloak.ci.example.org" = {
        order = 20; holds_data = true; budget = "15m"; recipe = null;
        backup_command = [ "/run/current-system/sw/bin/my-backup" "a b" ];
        probes = [
          { name = "realm"; url = "https://{domain}/realms/master"; status = [ 200 ]; json.realm = "master"; }
          { name = "tcp"; tcp = "127.0.0.1:443"; }
        ];
      };
    }; }"""
    text = str(evaluate(ETC, said))
    file = tmp_path / "ccci-upgrade.toml"
    file.write_text(text, encoding="utf-8")
    config = read_config(file)
    app = config.apps["keycloak.ci.example.org"]

    assert (config.server, str(config.state_dir)) == ("ci.example.org", '/srv/a "quoted" \\ path')
    assert config.docker_hosts == {"ci.example.org": "unix:///var/run/docker.sock"}
    assert (app.order, app.holds_data, app.budget, app.recipe) == (20, True, 900.0, None)
    assert app.backup_command == ("/run/current-system/sw/bin/my-backup", "a b")
    assert app.probes == (
        {
            "name": "realm", "url": "https://{domain}/realms/master", "status": [200],
            "json": {"realm": "master"},
        },
        {"name": "tcp", "tcp": "127.0.0.1:443"},
    )  # fmt: skip


def test_odd_values_are_toml_too(evaluate: Evaluate) -> None:
    """Line ends, control characters, empty lists, names with dots, sets in lists of lists."""
    said = r"""{ ccci.host.settings = {
      text = "a\nb\tc" + (builtins.fromJSON ''"\u007f\u0001é"'');
      none = [ ]; truths = [ true false ]; number = 1.5; "a.b"."c d" = { }; mixed = [ 1 { a."b.c" = "d"; } ];
    }; }"""

    assert tomllib.loads(str(evaluate(ETC, said))) == {
        "text": "a\nb\tc\x7f\x01é",
        "none": [],
        "truths": [True, False],
        "number": 1.5,
        "a.b": {"c d": {}},
        "mixed": [1, {"a": {"b.c": "d"}}],
    }


def test_settings_of_several_files_come_together(evaluate: Evaluate) -> None:
    """As everywhere in NixOS."""
    a = '{ ccci.host.settings.apps."drone.ci.example.org".order = 30; }'
    b = '{ ccci.host.settings.apps."drone.ci.example.org".budget = "5m"; }'

    assert tomllib.loads(str(evaluate(ETC, a + b))) == {
        "apps": {"drone.ci.example.org": {"order": 30, "budget": "5m"}}
    }


def test_no_settings_make_no_file(evaluate: Evaluate) -> None:
    """A plain server needs none."""
    assert evaluate('config.environment.etc ? "ccci-upgrade/ccci-upgrade.toml"') is False


@pytest.mark.parametrize("value", ["./secret", "(x: x)", "[ ./secret ]"])
def test_a_file_is_never_taken_into_the_settings(refused: Callable[..., str], value: str) -> None:
    """A path without quotes would put the file's content into the store."""
    said = f'{{ ccci.host.settings.apps."drone.ci.example.org".token_file = {value}; }}'

    assert 'ccci.host.settings: `apps."drone.ci.example.org".token_file` is a ' in refused(ETC, said)


def _one(failed: object) -> str:
    assert isinstance(failed, list)
    assert len(failed) == 1, failed
    return str(failed[0])
