"""The files themselves: syntax, scripts, units as systemd reads them, the flake, the package, the page, no secrets."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import pytest

import ccci_upgrade
from scripts.hostmodule import PAGE, options, page
from tests.nix import nixlab
from tests.nix.conftest import Evaluate, need
from tests.nix.nixlab import ROOT, Answer
from tests.nix.test_host import LOGIN, SECRET, SOPS

NIX = (
    ROOT / "flake.nix",
    *sorted((ROOT / "nix").glob("*.nix")),
    *sorted((ROOT / "tests" / "nix").glob("*.nix")),
)
SCRIPTS = sorted((ROOT / "nix").glob("*.sh"))
EVERYTHING = f"{SOPS} {SECRET} {LOGIN} {{ ccci.host.prune.enable = true; }}"


def _has(*tools: str) -> list[str]:
    return [tool for tool in tools if shutil.which(tool) is None]


@pytest.mark.parametrize("path", NIX, ids=lambda path: str(path.relative_to(ROOT)))
def test_nix_can_read_it(path: Path, tmp_path: Path) -> None:
    """Its syntax; and a line fits a screen."""
    need(nixlab.missing())
    done = subprocess.run(
        ["nix-instantiate", "--parse", str(path)],  # noqa: S607 - from PATH
        env=nixlab.environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    text = path.read_text(encoding="utf-8")

    assert done.returncode == 0, done.stderr
    assert [line for line in text.splitlines() if len(line) > 120 or line != line.rstrip()] == []


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(path: Path) -> None:
    """And a script can be run by hand as it is."""
    need(_has("shellcheck"))
    done = subprocess.run(
        ["shellcheck", str(path)],  # noqa: S607 - from PATH
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout
    assert os.access(path, os.X_OK)
    assert "|| true" not in path.read_text(encoding="utf-8")


def test_systemd_reads_the_units(evaluate: Evaluate, tmp_path: Path) -> None:
    """Every key and value; what it does not know it only warns of, so any word of it fails."""
    need(_has("systemd-analyze"))
    found = cast(
        "dict[str, dict[str, dict[str, object]]]",
        evaluate("{ inherit (config.systemd) services targets; }", EVERYTHING),
    )
    names = [f"{name}.service" for name in found["services"]] + [
        f"{name}.target" for name in found["targets"]
    ]
    for name, unit in found["services"].items():
        (tmp_path / f"{name}.service").write_text(_service(unit))
    for name, unit in found["targets"].items():
        (tmp_path / f"{name}.target").write_text(_section("Unit", _ordering(unit)))
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / name) for name in names)],  # noqa: S607
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert sorted(names) == [
        "ccci-host.target", "ccci-prune.service", "ccci-registry-login.service", "ccci-swarm-init.service",
    ]  # fmt: skip
    assert [line for line in done.stderr.splitlines() if "ccci-" in line] == []
    assert done.returncode == 0, done.stderr


def test_systemd_knows_the_time_of_pruning(evaluate: Evaluate) -> None:
    """A time that it cannot read would never come."""
    need(_has("systemd-analyze"))
    when = evaluate("config.ccci.host.prune.startAt")
    done = subprocess.run(
        ["systemd-analyze", "calendar", str(when)],  # noqa: S607 - from PATH
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr


def test_the_flake_has_module_and_overlay(tmp_path: Path) -> None:
    """Without inputs, without a network, from a copy: a flake in git sees tracked files only."""
    need(nixlab.missing())
    for name in ("flake.nix", "nix"):
        target = tmp_path / "tree" / name
        target.parent.mkdir(exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    expression = f"""
      let flake = import {tmp_path}/tree/flake.nix; outputs = flake.outputs {{ self = outputs; }};
      in {{
        inputs = flake ? inputs; names = builtins.mapAttrs (_: builtins.attrNames) outputs;
        overlay = outputs.overlays.default {{ callPackage = file: _: baseNameOf file; }} {{ }};
        module = (lib.evalModules {{
          modules = [ outputs.nixosModules.default {ROOT}/tests/nix/stubs.nix {{ ccci.host.enable = true; }} ];
          specialArgs.pkgs = {{ callPackage = _: _: null; }};
        }}).config.systemd.services ? ccci-swarm-init;
      }}"""
    answer = nixlab.ask(expression, tmp_path)

    assert answer == Answer(
        value={
            "inputs": False,
            "names": {"nixosModules": ["default", "host"], "overlays": ["default"]},
            "overlay": {"ccci-upgrade": "package.nix"},
            "module": True,
        },
        error="",
    )


def test_nix_itself_takes_the_flake(tmp_path: Path) -> None:
    """`nix flake show` and the attribute that a host names, in a store of its own, with no network and no lock."""
    need([*nixlab.missing(), *_has("nix")])
    tree = tmp_path / "tree"
    shutil.copytree(ROOT / "nix", tree / "nix")
    shutil.copy(ROOT / "flake.nix", tree)
    store = f"local?root={tmp_path}/store"
    names = [
        "nix",
        "--store",
        store,
        "eval",
        "--json",
        "--no-write-lock-file",
        f"path:{tree}#nixosModules",
        "--apply",
        "builtins.attrNames",
    ]
    done = subprocess.run(
        names, env=nixlab.environment(tmp_path), capture_output=True, text=True, check=False, timeout=120
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["default", "host"]


def test_the_package_is_the_projects(ask: Callable[[str], Answer]) -> None:
    """Name, version, build tool and dependencies are those of pyproject.toml; a host's own pyrage is taken."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = sorted(re.match(r"[\w-]+", each)[0] for each in project["project"]["dependencies"])  # type: ignore[index]
    seen = cast("Mapping[str, object]", _package(ask, has_pyrage=True))

    assert sorted(cast("list[str]", seen["dependencies"])) == wanted
    assert seen["version"] == ccci_upgrade.__version__
    assert seen["pname"] == project["project"]["name"]
    assert seen["main"] in project["project"]["scripts"]
    assert [each.partition(">")[0] for each in project["build-system"]["requires"]] == seen["build"]
    assert seen["relaxed"] == ["typer"]


def test_a_nixpkgs_without_pyrage_gets_its_wheel(ask: Callable[[str], Answer]) -> None:
    """Of the version that the tests run with, by the name it has at its registry."""
    seen = cast("Mapping[str, object]", _package(ask, has_pyrage=False))
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    wheel = "pyrage-1.4.0-cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    assert wheel in cast("list[str]", seen["dependencies"])
    assert "pyrage==1.4.0" in constraints


def _package(ask: Callable[[str], Answer], *, has_pyrage: bool) -> object:
    """What nix/package.nix asks nixpkgs for."""
    names = [
        "certifi",
        "hatchling",
        "httpcore",
        "httpx",
        "platformdirs",
        "pyyaml",
        "questionary",
        "rich",
        "typer",
    ]
    packages = " ".join(f'{name} = "{name}";' for name in [*names, *(["pyrage"] if has_pyrage else [])])
    answer = ask(f"""
      let python3Packages = {{
        {packages}
        fetchPypi = a: "${{a.pname}}-${{a.version}}-${{a.python}}-${{a.abi}}-${{a.platform}}.whl";
        buildPythonPackage = a: a.src;
        buildPythonApplication = a: {{
          inherit (a) pname version dependencies;
          build = a.build-system; relaxed = a.pythonRelaxDeps; main = a.meta.mainProgram;
        }};
      }};
      in import {ROOT}/nix/package.nix {{
        inherit python3Packages;
        lib = lib // {{
          cleanSource = x: x; getLib = x: x; makeBinPath = _: "bin"; licenses.mit = 1; platforms.linux = [ ]; }};
        stdenv.hostPlatform.system = "x86_64-linux"; stdenv.cc.cc = "cc";
        autoPatchelfHook = ""; git = "git"; openssh = "ssh";
      }}""")
    assert not answer.error, answer.error
    return answer.value


def test_the_options_page_is_what_the_options_say() -> None:
    """Written by `python -m scripts.hostmodule`; every option has words of its own."""
    need(nixlab.missing())
    listed = options()

    assert page(listed) == PAGE.read_text(encoding="utf-8"), "write it anew: python -m scripts.hostmodule"
    assert [each["name"] for each in listed if not each["description"]] == []


def test_the_example_host_says_what_is_there(ask: Callable[[str], Answer]) -> None:
    """The flake in the guide, which CI cannot build: each option it sets is one, each output it takes is one."""
    guide = (ROOT / "docs" / "guides" / "host-module.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```nix\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    flake = next(each for each in examples if "inputs" in each)
    answer = ask(f"""
      let
        flake = {flake};
        system = flake.outputs {{
          self = {{ outPath = ./.; }};
          nixpkgs.lib.nixosSystem = host: host;
          ccci-upgrade.nixosModules.default = {ROOT}/nix/host.nix;
          sops-nix.nixosModules.sops.options.sops.secrets =
            lib.mkOption {{ default = {{ }}; type = lib.types.attrsOf lib.types.anything; }};
        }};
        name = builtins.head (builtins.attrNames system.nixosConfigurations);
        ours = builtins.filter (each: !(builtins.isPath each && baseNameOf each == "configuration.nix"))
          system.nixosConfigurations.${{name}}.modules;
        host = import {nixlab.HERE}/evaluate.nix {{ inherit lib root; modules = builtins.tail ours; }};
      in {{
        first = builtins.head ours == {ROOT}/nix/host.nix;
        failed = map (each: each.message) (builtins.filter (each: !each.assertion) host.config.assertions);
        inherit (host.config.ccci.host) enable;
      }}""")

    assert answer == Answer(value={"first": True, "failed": [], "enable": True}, error="")


def _service(unit: Mapping[str, object]) -> str:
    """Write a unit as NixOS would, as far as the module says it."""
    settings = cast("Mapping[str, object]", unit["serviceConfig"])
    environment = cast("Mapping[str, str]", unit["environment"])
    lines = [f"{key}={_word(value)}" for key, value in settings.items()]
    lines += [
        f"Environment={json.dumps(f'{key}={value}').replace('%', '%%')}" for key, value in environment.items()
    ]
    return _section("Unit", _ordering(unit)) + _section("Service", [*lines, "ExecStart=/bin/true"])


def _ordering(unit: Mapping[str, object]) -> list[str]:
    keys = {"After": "after", "Requires": "requires", "Wants": "wants"}
    return [f"Description={unit['description']}"] + [
        f"{key}={' '.join(cast('list[str]', unit[name]))}" for key, name in keys.items() if unit[name]
    ]


def _section(name: str, lines: list[str]) -> str:
    return "\n".join([f"[{name}]", *lines, "", ""])


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
