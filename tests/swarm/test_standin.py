"""The stand-in abra on a real Engine: what the tool's own tests rely on."""

import signal
import time
from pathlib import Path

import pytest

from tests.swarm.harness import Engine
from tests.swarm.host import Host

NEXT = "1.0.1+3.0.1"
FIRST = "1.0.0+3.0.0"


def upgrade(host: Host, version: str = NEXT, *more: str) -> list[str]:
    """The line that upgrades traefik."""
    return ["app", "upgrade", host.app("traefik"), version, *more]


def test_an_upgrade_moves_the_label_and_then_the_env(host: Host) -> None:
    """After an upgrade label, page and `.env` agree, and the shared work tree is at the tag."""
    host.deploy("traefik")
    ran = host.abra(*upgrade(host), "-n")
    assert ran.code == 0, ran.out
    assert host.label("traefik") == NEXT
    assert host.label("traefik", "recipe") == "traefik"
    assert host.label("traefik", "chaos") == "false"
    assert host.pinned("traefik") == NEXT
    assert "Traefik 3.0.1 fixes two bugs" in ran.out
    assert '"3.0.1"' in host.engine.get(8080, "/api/version")[1]
    assert host.recipe("traefik").git("describe", "--tags", "--exact-match") == NEXT


def test_the_three_apps_work_together(host: Host) -> None:
    """All three come up, with their overlay, secrets and data."""
    host.deploy()
    assert host.engine.get(8081, "/realms/master")[0] == 200
    keys = "/realms/master/protocol/openid-connect/certs"
    before = host.engine.get(8081, keys)
    assert before[0] == 200
    assert "none" not in before[1]
    assert host.engine.get(8082, "/login")[0] == 303
    major = host.abra("app", "upgrade", host.app("keycloak"), "11.0.0+26.2.0", "-n")
    assert major.code == 0, major.out
    host.wait_for("keycloak")
    assert host.engine.get(8081, keys) == before, "the database kept its volume"
    listed = host.abra("app", "ls", "-S", "-m").document()[  # the shape its other users decode
        "ci.example.org"
    ]
    assert isinstance(listed, dict)
    versions = {app["recipe"]: (app["version"], app["upgrade"]) for app in listed["apps"]}
    assert versions == {
        "drone": ("1.8.0+2.25.0", "1.9.0+2.26.0"),
        "keycloak": ("11.0.0+26.2.0", "latest"),
        "traefik": (FIRST, "1.1.0+3.1.0\n1.0.1+3.0.1"),
    }


def test_an_older_database_refuses_newer_data(host: Host) -> None:
    """A downgrade over a database's jump does not come up, as with the real ones."""
    host.deploy("keycloak", version="11.0.0+26.2.0")
    ran = host.abra("app", "rollback", host.app("keycloak"), "10.1.0+26.1.0", "-n", "-c")
    assert ran.code == 0, ran.out
    logs = ["docker", "-H", host.engine.url, "service", "logs", "--raw", f"{host.stack('keycloak')}_db"]
    refused = "the data was written by 10.11, this is 10.6"
    host.engine.wait(lambda: refused in host.engine.run(logs).err, "no refusal")


def test_rollback_refuses_what_is_no_downgrade(host: Host) -> None:
    """The live label counts, not the `.env`: where Swarm already went back, rollback refuses."""
    host.deploy("traefik")
    host.env_path("traefik").write_text(host.env_path("traefik").read_text().replace(FIRST, NEXT))
    refused = host.abra("app", "rollback", host.app("traefik"), FIRST, "-n")
    assert refused.code == 1
    assert "FATA" in refused.out
    assert "is not a downgrade" in refused.out
    assert host.abra("app", "deploy", host.app("traefik"), FIRST, "-f", "-n", "-o").code == 0
    assert host.pinned("traefik") == FIRST


def test_rollback_goes_back(host: Host) -> None:
    """An older version is deployed and pinned."""
    host.deploy("traefik", version=NEXT)
    assert host.abra("app", "rollback", host.app("traefik"), FIRST, "-n").code == 0
    assert (host.label("traefik"), host.pinned("traefik")) == (FIRST, FIRST)


def test_undeploy_returns_before_the_stack_is_gone(host: Host) -> None:
    """Containers outlive the command; volumes stay."""
    host.deploy("drone")
    ran = host.abra("app", "undeploy", host.app("drone"), "-n")
    running = host.engine.docker("ps", "-q", "--filter", f"name={host.stack('drone')}_app")
    assert ran.code == 0, ran.out
    assert running
    assert f"{host.stack('drone')}_data" in host.engine.docker("volume", "ls", "-q")
    again = host.abra("app", "upgrade", host.app("drone"), "-n")
    assert again.code == 1
    assert "is not deployed" in again.out


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("dirty", "has locally unstaged changes"),
        ("lightweight", "R014"),
        ("secret", "secrets not generated"),
        ("tag", "unable to find tag"),
        ("older", "is not an upgrade"),
    ],
)
def test_refusals_change_nothing(host: Host, prepare: str, words: str) -> None:
    """Each is fatal on standard output with exit 1, and label and `.env` stay."""
    recipe, target = "drone", "1.9.0+2.26.0"
    host.deploy(recipe)
    match prepare:
        case "dirty":
            (host.recipe(recipe).path / "compose.local.yml").write_text("# mine\n")
        case "lightweight":
            host.release(recipe, "1.9.1+2.26.0", annotated=False)
        case "secret":
            path = host.env_path(recipe)
            path.write_text(path.read_text().replace("CLIENT_SECRET_VERSION=v1", "CLIENT_SECRET_VERSION=v2"))
        case "tag":
            target = "9.9.9+9"
        case _:
            target = "1.8.0+2.25.0"
    ran = host.abra("app", "upgrade", host.app(recipe), target, "-n")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("FATA "), ran.out
    assert words in ran.out
    assert (host.label(recipe), host.pinned(recipe)) == ("1.8.0+2.25.0", "1.8.0+2.25.0")


def test_a_silent_rollback_is_fatal_and_the_page_stays(host: Host) -> None:
    """Start-first with `failure_action: rollback`: Swarm goes back, labels included, and nobody outside sees it."""
    host.deploy("traefik")
    host.release("traefik", "1.2.0+3.2.0", images={"app": "traefik:v3.2.0"}, env={"app": {"EXIT": "1"}})
    with host.engine.popen(
        [str(host.abra_path), *upgrade(host, "1.2.0+3.2.0"), "-n"], env=abra_env(host)
    ) as child:
        pages = set()
        while child.poll() is None:
            pages.add(host.engine.get(8080, "/api/version")[0])
        out, _ = child.communicate()
    assert child.returncode == 1, out
    assert "deploy failed" in out
    assert pages == {200}
    host.engine.wait(lambda: host.label("traefik") == FIRST, "Swarm did not go back")
    assert host.pinned("traefik") == FIRST


def test_never_healthy_times_out(host: Host) -> None:
    """`TIMEOUT` ends the wait; the `.env` is not written."""
    host.deploy("keycloak")
    path = host.env_path("keycloak")
    path.write_text(path.read_text().replace("TIMEOUT=60", "TIMEOUT=3"))
    host.release("keycloak", "10.2.0+26.3.0", env={"app": {"HEALTHY": "never"}})
    ran = host.abra("app", "upgrade", host.app("keycloak"), "10.2.0+26.3.0", "-n")
    assert ran.code == 1
    assert "FATA deploy timed out" in ran.out
    assert host.pinned("keycloak") == "10.0.0+26.0.0"


@pytest.mark.parametrize(
    ("habits", "code", "changed"),
    [
        ({"give_up_after": 0.1}, 1, True),
        ({"die_after_deploy": True}, -signal.SIGKILL, True),
        ({"noop": True}, 0, False),
        ({"fail_before": True}, 1, False),
        ({"prompt_anyway": True}, 1, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_habits_that_end_without_the_env(
    host: Host, habits: dict[str, object], code: int, *, changed: bool
) -> None:
    """Whatever the stack did, the `.env` still pins the old version."""
    host.deploy("traefik")
    host.habits(**habits)
    ran = host.abra(*upgrade(host), "-n")
    assert ran.code == code, ran.out
    assert (host.label("traefik") == NEXT) is changed
    assert host.pinned("traefik") == FIRST


def test_habits_that_only_talk(host: Host) -> None:
    """Noise, translated prose and a leaked secret come with an upgrade that works."""
    host.deploy("traefik")
    host.habits(
        noise_bytes=2_000_000, lang="desplegando", secret_leak="admin_password: hunter2", delay_before=0.1
    )
    ran = host.abra(*upgrade(host), "-n")
    assert ran.code == 0, ran.out[-500:]
    assert len(ran.out) > 2_000_000
    assert "admin_password: hunter2" in ran.out
    assert ran.out.splitlines()[-1] == "INFO desplegando"
    assert host.pinned("traefik") == NEXT


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("habit", ["hang", "hang_after_deploy"])
def test_a_signal_ends_a_hang_and_leaves_the_stack(
    host: Host, habit: str, sent: signal.Signals, code: int
) -> None:
    """It stops like any program: one line, 128 + signal, and the stack as it is."""
    host.deploy("traefik")
    host.habits(**{habit: True})
    with host.engine.popen([str(host.abra_path), *upgrade(host), "-n"], env=abra_env(host)) as child:
        wait_for_hang(host, after=habit == "hang_after_deploy")
        child.send_signal(sent)
        out, _ = child.communicate(timeout=10)
    assert child.returncode == code, out
    assert "stopped by signal" in out
    assert (host.label("traefik") == NEXT) is (habit == "hang_after_deploy")
    assert host.pinned("traefik") == FIRST


def test_it_can_be_deaf_to_ctrl_c(host: Host) -> None:
    """`ignore_sigint`: only the next harder signal ends it."""
    host.deploy("traefik")
    host.habits(hang_after_deploy=True, ignore_sigint=True)
    with host.engine.popen([str(host.abra_path), *upgrade(host), "-n"], env=abra_env(host)) as child:
        wait_for_hang(host, after=True)
        child.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=10)
    assert child.returncode == 143


def test_two_at_once_race_and_one_fails_fast(host: Host) -> None:
    """A second stand-in on the same directory is fatal at once."""
    host.deploy("traefik")
    host.habits(hang_after_deploy=True)
    with host.engine.popen([str(host.abra_path), *upgrade(host), "-n"], env=abra_env(host)) as child:
        wait_for_hang(host, after=True)
        second = host.abra("app", "upgrade", host.app("drone"), "-n")
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=10)
    assert second.code == 1
    assert second.seconds < 3
    assert "another abra" in second.out


@pytest.mark.parametrize(("answer", "version"), [("y\n", NEXT), ("n\n", FIRST), (None, FIRST)])
def test_without_no_input_it_asks(host: Host, answer: str | None, version: str) -> None:
    """A yes acts, a no does not, and a closed input ends it instead of hanging."""
    host.deploy("traefik")
    ran = host.abra(*upgrade(host), data=answer)
    assert ran.code == (1 if answer is None else 0), ran.out
    assert "proceed?" in ran.out
    assert host.label("traefik") == version


def test_chaos_deploys_the_tree_as_it_is(host: Host) -> None:
    """The label keeps the version, `chaos-version` and the `.env` name the commit and the changes."""
    host.deploy("traefik")
    (host.recipe("traefik").path / "notes.txt").write_text("local\n")
    ran = host.abra("app", "deploy", host.app("traefik"), "-C", "-n", "-o")
    assert ran.code == 0, ran.out
    assert host.label("traefik", "chaos") == "true"
    assert host.label("traefik", "chaos-version").endswith("+U")
    assert host.pinned("traefik").endswith("+U")


def test_a_missing_image_stays_missing(host: Host) -> None:
    """Nothing can pull it, and Swarm says so quickly."""
    host.deploy("drone")
    host.release("drone", "1.10.0+2.27.0", images={"app": "drone/drone:2.27.0"}, made=False)
    assert host.abra("app", "upgrade", host.app("drone"), "1.10.0+2.27.0", "-n", "-c").code == 0
    tasks = ("service", "ps", "--no-trunc", "--format", "{{.Error}}", f"{host.stack('drone')}_app")
    host.engine.wait(
        lambda: "No such image" in host.engine.docker(*tasks), "no complaint about the image", 15
    )


def test_secrets_are_listed_generated_and_inserted(host: Host, tmp_path: Path) -> None:
    """Names and presence without values; inserted ones from a file."""
    app = host.app("drone")
    (tmp_path / "value").write_text("s3cret")
    inserted = host.abra(
        "app", "secret", "insert", app, "client_secret", "v1", str(tmp_path / "value"), "-f", "-n"
    )
    assert inserted.code == 0, inserted.out
    before = host.abra("app", "secret", "ls", app, "-m")
    assert '"created on server": "true"' in before.out
    assert '"created on server": "false"' in before.out
    assert "s3cret" not in before.out
    assert host.abra("app", "secret", "generate", app, "-a", "-n").code == 0
    assert '"false"' not in host.abra("app", "secret", "ls", app, "-m").out


def test_the_engine_comes_back_with_its_stacks(engine: Engine, host: Host) -> None:
    """Killed or frozen in the middle, the Engine is found again as it was."""
    host.deploy("traefik")
    engine.kill()
    assert host.abra(*upgrade(host), "-n").code == 1
    engine.restart()
    host.wait_for("traefik")
    assert host.label("traefik") == FIRST
    engine.freeze()
    frozen = engine.popen(["docker", "-H", engine.url, "info"])
    time.sleep(1)
    assert frozen.poll() is None
    engine.thaw()
    frozen.communicate(timeout=20)
    assert frozen.returncode == 0


def test_a_terminal_can_answer(host: Host) -> None:
    """The pty variant of the harness talks to it."""
    host.deploy("traefik")
    child = host.engine.pty([str(host.abra_path), *upgrade(host)], env=abra_env(host))
    child.expect_exact("proceed?")
    child.sendline("y")
    child.expect("upgrade successful")
    child.wait()
    child.close()
    assert child.exitstatus == 0


def abra_env(host: Host) -> dict[str, str]:
    """What the tool sets for abra."""
    return {"ABRA_DIR": str(host.abra_dir)}


def wait_for_hang(host: Host, *, after: bool) -> None:
    """Wait until it has changed the stack, or is far enough to hang before that."""
    if after:
        host.engine.wait(lambda: host.label("traefik") == NEXT, "the stack did not change", 20)
    else:
        at_tag = host.recipe("traefik").path / ".git" / "HEAD"
        commit = host.recipe("traefik").git("rev-list", "-n1", f"refs/tags/{NEXT}")
        host.engine.wait(lambda: commit in at_tag.read_text(), "no checkout of the tag", 20)
    time.sleep(0.7)
