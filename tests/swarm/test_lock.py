"""The lock on a real Swarm: what was deployed anew has not drifted, and what was changed is named, with exit 20."""

import json
import tomllib
from typing import Any

from tests.documents import problems
from tests.swarm.host import Host
from tests.swarm.images import image_tar
from tests.swarm.runs import upgrade

TRAEFIK = "1.0.0+3.0.0"


def _configured(host: Host) -> None:
    """Have runs write the lock."""
    host.config.write_text(f'lock_file = "infra.lock.toml"\n{host.config.read_text()}')


def _locked(host: Host, recipe: str) -> Any:
    text = (host.folder / "infra.lock.toml").read_text()
    return tomllib.loads(text)["apps"][host.app(recipe)]


def _written(host: Host, *words: str) -> dict[str, str]:
    ran = host.run_tool("lock", "write", *words, "--json", "--no-input")
    assert ran.code == 0, ran.err
    document = json.loads(ran.out)
    assert problems(document) == []
    return {row["app"]: row["change"] for row in document["data"]["apps"]}


def _diff(host: Host, *, info: bool = False) -> dict[str, Any]:
    """What differs, as `recipe what`; with `info` what does not count. The exit code fits."""
    ran = host.run_tool("lock", "diff", "--json", "--no-input", "--offline")
    document = json.loads(ran.out)
    assert problems(document) == []
    data = document["data"]
    assert (ran.code, data["unknown"]) == (20 if data["drift"] else 0, []), ran.out
    return {f"{row['app'].split('.')[0]} {row['what']}": row for row in data["info" if info else "drift"]}


def _update(host: Host, *words: str) -> None:
    """Change traefik behind everybody's back; what comes of it is not waited for."""
    host.engine.docker("service", "update", "--detach", "--quiet", *words, f"{host.stack('traefik')}_app")


def test_what_is_deployed_anew_has_not_drifted(host: Host) -> None:
    """Networks, secrets and tasks have other ids then; versions, names and settings are the same."""
    _configured(host)
    host.deploy("traefik", "keycloak")
    up = upgrade(host, "traefik", "--to", "1.0.1+3.0.1")
    begun = _locked(host, "traefik")
    changes = _written(host)
    before = _diff(host)
    ids = host.engine.docker("network", "ls", "--quiet"), host.engine.docker("secret", "ls", "--quiet")
    host.abra("app", "undeploy", host.app("keycloak"), "-n", check=True)
    host.engine.wait(lambda: not host.services("keycloak"), "keycloak stays")
    gone = _diff(host)
    names = host.engine.docker("secret", "ls", "--format", "{{.Name}}").split()
    ours = [name for name in names if name.startswith(host.stack("keycloak"))]
    host.engine.wait(lambda: _removed(host, ours), "secrets stay")
    host.deploy("keycloak")

    assert up.end == ("upgraded", "converged", 0)
    assert (begun["version"], begun["verdict"]["run"]) == ("1.0.1+3.0.1", up.run["run_id"])
    assert begun["images"]["app"]["image"] == "traefik:v3.0.1"
    assert changes == {host.app("traefik"): "same", host.app("keycloak"): "new"}
    assert before == {}
    assert set(gone) == {"keycloak deployed"}
    assert ours
    assert ids != (
        host.engine.docker("network", "ls", "--quiet"),
        host.engine.docker("secret", "ls", "--quiet"),
    )
    assert _diff(host) == {}
    assert _diff(host, info=True) == {}
    assert _written(host) == {host.app("traefik"): "same", host.app("keycloak"): "same"}


def _removed(host: Host, secrets: list[str]) -> bool:
    host.engine.docker("secret", "rm", *secrets, check=False)
    return not set(secrets) & set(host.engine.docker("secret", "ls", "--format", "{{.Name}}").split())


def test_a_service_updated_behind_the_tools_back_is_named(host: Host) -> None:
    """Settings, replicas, an image, a version's label: each exits 20; a forced update changes no setting."""
    _configured(host)
    host.deploy("traefik")
    _written(host)
    label = f"coop-cloud.{host.stack('traefik')}.version"
    changes = [
        ("service:app", ("--env-add", "SENTINEL=of-a-value")),
        ("service:app", ("--limit-memory", "512M")),
        ("service:app", ("--replicas", "2")),
        ("image:app", ("--image", "traefik:v3.1.0", "--no-resolve-image")),
        ("version", ("--label-add", f"{label}=1.1.0+3.1.0")),
    ]
    found = []
    for _, words in changes:
        _update(host, *words)
        found.append(_diff(host))
        host.engine.docker("service", "rollback", "--detach", "--quiet", f"{host.stack('traefik')}_app")
        assert _diff(host) == {}
    _update(host, "--force")

    assert [set(rows) for rows in found] == [{f"traefik {what}"} for what, _ in changes]
    rows = [row for each in found for row in each.values()]
    assert {row["wins"] for row in rows} == {"lock"}
    named = [word in row["detail"] for row, word in zip(rows, ("Env", "Resources", "Replicas"), strict=False)]
    assert named == [True, True, True]
    assert [row["what"] for row in rows if row["other_owner"]] == ["version"]
    assert "of-a-value" not in json.dumps(rows)
    assert _diff(host) == {}


def test_another_image_under_the_same_tag_is_information(host: Host) -> None:
    """It is told, and the exit is 0."""
    _configured(host)
    host.deploy("traefik")
    _written(host)
    was, image = _locked(host, "traefik")["images"]["app"]["id"], "traefik:v3.0.0"

    host.engine.docker("import", "--change", 'CMD ["/app"]', "-", image, data=image_tar(image))
    drift, info = _diff(host), _diff(host, info=True)
    said = host.run_tool("lock", "diff", "--offline")

    assert drift == {}
    assert {what: row["lock"] for what, row in info.items()} == {"traefik image:app": was}
    assert info["traefik image:app"]["running"] == host.engine.docker(
        "image", "inspect", image, "--format", "{{.Id}}"
    )
    assert said.code == 0
    assert "info  image:app" in said.out


def test_an_edited_env_and_a_moved_tag_are_named(host: Host) -> None:
    """By the names of variables, and by both commits; `status` says the same, and exits as before."""
    _configured(host)
    host.deploy("traefik")
    _written(host)
    env = host.env_path("traefik")
    text, commit = env.read_text(), _locked(host, "traefik")["commit"]

    env.write_text(f"{text}SENTINEL=of-a-value\n")
    edited = _diff(host)
    env.write_text(text.replace(TRAEFIK, "1.0.1+3.0.1"))
    pinned = _diff(host)
    env.write_text(text)
    repository = host.recipe("traefik")
    repository.git("tag", "-f", "-a", "-m", "moved", TRAEFIK, "main")
    moved = _diff(host)
    status = host.run_tool("status", "--json", "--offline", "--no-input")

    assert set(edited) == {"traefik env"}
    assert "added: SENTINEL" in edited["traefik env"]["detail"]
    assert "of-a-value" not in json.dumps(edited)
    assert set(pinned) == {"traefik version"}
    assert (pinned["traefik version"]["wins"], pinned["traefik version"]["other_owner"]) == ("running", False)
    assert set(moved) == {"traefik commit"}
    row = moved["traefik commit"]
    assert (row["lock"], row["recipe"]) == (commit, repository.git("rev-parse", "main"))
    assert (row["wins"], row["lock"] == row["recipe"]) == ("lock", False)
    assert status.code == 0
    assert json.loads(status.out)["data"]["lock"]["drift"] == [row]


def test_what_is_stopped_is_not_recorded(host: Host) -> None:
    """It could not be brought back so: nothing is written."""
    _configured(host)
    host.deploy("traefik")
    _written(host)
    before = (host.folder / "infra.lock.toml").read_text()
    _update(host, "--replicas", "0")

    stopped = host.run_tool("lock", "write", "--json")

    assert stopped.code == 13
    assert "scaled to 0" in json.loads(stopped.out)["errors"][0]["message"]
    assert (host.folder / "infra.lock.toml").read_text() == before
