"""Docker's own client, whichever are installed, on either Engine: what people and the stand-in type."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.contract.lab import Lab

Client = Callable[..., list[str]]
COMPOSE = """---
version: "3.8"
services:
  app:
    image: traefik:{tag}
    environment:
      - DATA_DIR=/data
    configs:
      - source: settings
        target: /etc/settings
    networks: [inner]
    volumes:
      - data:/data
    healthcheck:
      test: ["CMD", "/healthcheck"]
      interval: 1s
    deploy:
      endpoint_mode: dnsrr
      labels:
        - "coop-cloud.version={tag}"
      update_config: {{monitor: 200ms}}
configs:
  settings:
    file: settings
volumes:
  data:
networks:
  inner:
"""
CLIENTS = sorted(
    {
        str(Path(folder, "docker").resolve())
        for folder in os.environ["PATH"].split(os.pathsep)
        if shutil.which("docker", path=folder)
    }
)


@pytest.mark.skipif(not CLIENTS and os.environ.get("CI") != "true", reason="no docker client is installed")
def test_a_stack_is_deployed_read_updated_and_removed(lab: Lab, tmp_path: Path) -> None:
    """`stack deploy`, `service ls`, `ps`, `inspect`, `scale`, `stack rm`: one client after another."""
    assert CLIENTS
    (tmp_path / "settings").write_text("a = 1\n")
    for number, program in enumerate(
        CLIENTS if lab.practice else CLIENTS[:1]
    ):  # the real one is known to know them
        name = f"{lab.stack}x{number}"

        docker = partial(_run, program, lab.socket, tmp_path)
        _compose(tmp_path, "v3.0.0")
        docker("stack", "deploy", "-c", "compose.yml", name)
        lab.until(partial(_runs, docker, name), "it runs")
        _compose(tmp_path, "v3.0.1")
        docker("stack", "deploy", "-c", "compose.yml", name)
        lab.until(partial(_updated, docker, name), "it is updated")

        assert docker("stack", "ls", "--format", "{{.Name}} {{.Services}}").count(f"{name} 1") == 1
        tasks = docker("service", "ps", f"{name}_app", "--format", "{{.Image}} {{.DesiredState}}")
        assert tasks == ["traefik:v3.0.1 Running", "traefik:v3.0.0 Shutdown"]
        assert docker("config", "ls", "--format", "{{.Name}}").count(f"{name}_settings") == 1
        assert docker("volume", "ls", "--format", "{{.Name}}").count(f"{name}_data") == 1
        docker("service", "scale", "--detach", f"{name}_app=0")
        docker("stack", "rm", name)
        lab.until(partial(_gone, docker, name), "containers go")
        assert docker("stack", "ls", "--format", "{{.Name}}").count(name) == 0
        assert docker("config", "ls", "--format", "{{.Name}}").count(f"{name}_settings") == 0
        docker("volume", "rm", f"{name}_data")


def _compose(folder: Path, tag: str) -> None:
    (folder / "compose.yml").write_text(COMPOSE.format(tag=tag))


def _runs(docker: Client, stack: str) -> bool:
    words = ("--filter", f"name={stack}", "--format", "{{.Name}} {{.Replicas}} {{.Image}}")
    return docker("service", "ls", *words) == [f"{stack}_app 1/1 traefik:v3.0.0"]


def _updated(docker: Client, stack: str) -> bool:
    said = '{{.UpdateStatus.State}} {{index .Spec.Labels "coop-cloud.version"}}'
    return docker("service", "inspect", f"{stack}_app", "--format", said) == ["completed v3.0.1"]


def _gone(docker: Client, stack: str) -> bool:
    return not docker("ps", "-aq", "--filter", f"name={stack}")


def _run(client: str, socket: Path, folder: Path, *words: str) -> list[str]:
    ran = subprocess.run(
        [client, "-H", f"unix://{socket}", *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, f"docker {' '.join(words)}: {ran.stderr}"
    return ran.stdout.splitlines()
