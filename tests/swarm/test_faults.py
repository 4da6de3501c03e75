"""One case for each way an upgrade can go wrong: the right outcome, state, exit code and evidence, in time."""

import json
import re
import threading
import time
from pathlib import Path

from tests.swarm.host import Host
from tests.swarm.runs import Seen, findings, upgrade

BAD = "1.2.0+3.2.0"
"""A version of traefik that tests make bad in their own way."""


def test_an_image_that_is_nowhere_blocks_before_anything_stops(host: Host) -> None:
    """Neither here nor in a registry: exit 13, and the old version was not touched."""
    host.release("traefik", BAD, images={"app": "traefik:v3.1.9"}, made=False)
    host.deploy("traefik")

    seen = Seen(host.run_tool("upgrade", "traefik", "--json"))

    assert seen.end == ("not_ready", None, 13)
    assert findings(seen)["image-unavailable:traefik:v3.1.9"] == "block"
    assert host.label("traefik") == "1.0.0+3.0.0"


def test_an_image_that_vanishes_after_the_plan_fails_in_the_pull(host: Host) -> None:
    """Registries were not asked (--offline): the pre-pull finds out, still before anything stops."""
    host.release("traefik", BAD, images={"app": "traefik:v3.1.9"}, made=False)
    host.deploy("traefik")

    seen = upgrade(host, "traefik")

    assert seen.end == ("not_ready", None, 13)
    assert "cannot pull traefik:v3.1.9" in "\n".join(seen.run["notices"])
    assert host.label("traefik") == "1.0.0+3.0.0"


def test_a_health_check_that_is_never_green_without_rollback_is_paused(host: Host) -> None:
    """`failure_action: pause` is a verdict, not a wait."""
    host.release(
        "traefik",
        BAD,
        env={"app": {"HEALTHY": "never"}},
        swap=(("failure_action: rollback", "failure_action: pause"),),
    )
    host.deploy("traefik")

    seen = upgrade(host, "traefik")

    assert seen.end == ("failed", "paused", 15)
    assert "UpdateStatus is paused" in seen.evidence
    assert "ccci-upgrade rollback traefik.ci.example.org --to 1.0.0+3.0.0" in seen.next
    assert seen.ran.seconds < 60


def test_a_health_check_that_is_never_green_ends_with_the_budget(host: Host) -> None:
    """`failure_action: continue` never says anything: the failing tasks end it, or the budget does."""
    host.release(
        "traefik",
        BAD,
        env={"app": {"HEALTHY": "never"}},
        swap=(("failure_action: rollback", "failure_action: continue"),),
    )
    host.deploy("traefik")
    host.configure(budget="15s")

    seen = upgrade(host, "traefik")

    assert seen.outcome == "unhealthy"
    assert seen.state in ("not_converged", "unhealthy")
    assert seen.ran.code == 16
    assert seen.ran.seconds < 60


def test_green_then_a_crash_within_the_stability_window_is_flapping(host: Host) -> None:
    """Green after Swarm's monitor, dead within ours."""
    host.release(
        "traefik",
        BAD,
        env={"app": {"CRASH_AFTER": "6"}},
        swap=(("failure_action: rollback", "failure_action: continue"), ("monitor: 2s", "monitor: 1s")),
    )
    host.deploy("traefik")
    host.configure(settle="10s")

    seen = upgrade(host, "traefik")

    assert seen.end == ("unhealthy", "flapping", 16)
    assert "was green" in seen.evidence
    assert "exit 3" in seen.evidence
    assert "lost its mind" in seen.logs


def test_a_silent_rollback_behind_a_green_page_is_told(host: Host) -> None:
    """start-first + failure_action rollback: the page stays 200, the labels go back, exit is 14."""
    host.release("traefik", BAD, env={"app": {"EXIT": "7"}})
    host.deploy("traefik")

    seen = upgrade(host, "traefik")

    assert seen.end == ("rolled_back", "swarm_rolled_back", 14)
    assert "rolled it back to 1.0.0+3.0.0" in seen.evidence
    assert "exit 7" in seen.evidence
    assert "cannot start" in seen.logs
    assert host.label("traefik") == "1.0.0+3.0.0"
    assert host.answers("traefik")


def test_a_rollback_onto_data_the_new_version_had_is_suspect(host: Host) -> None:
    """Drone keeps data: an old version that Swarm itself put back on it is never a success."""
    # Without the host port: a rollback may wait for it long after the failed task is gone (Engine 20.10).
    host.release("drone", "1.9.9+2.26.9", env={"app": {"EXIT": "7"}}, swap=((_HOST_PORT.format(8082), ""),))
    host.deploy("drone")

    host.configure(budget="90s")  # Swarm's own way back takes its time where the machine is busy
    # Swarm goes back by itself only where the app was not stopped for a copy.
    seen = upgrade(host, "drone", "--to", "1.9.9+2.26.9", "--ack", "no-snapshot")

    assert seen.end == ("failed", "data_suspect", 15)
    assert "ran on the data" in seen.evidence


def test_from_zero_replicas_a_good_version_converges(host: Host) -> None:
    """UpdateStatus stays null from 0 replicas: tasks and labels decide."""
    host.deploy("traefik")
    host.engine.docker("service", "scale", "--detach", f"{host.stack('traefik')}_app=0")
    _until_gone(host, "traefik")

    seen = upgrade(host, "traefik", "--ack", "unhealthy-before")

    assert seen.end == ("upgraded", "converged", 0)
    assert "no UpdateStatus of this run" in seen.evidence


def test_from_zero_replicas_a_crash_loop_ends_before_the_budget(host: Host) -> None:
    """failure_action never fires from 0 replicas: several failed tasks of the new spec end it."""
    host.release("traefik", BAD, env={"app": {"EXIT": "7"}})
    host.deploy("traefik")
    host.configure(budget="100s")
    host.engine.docker("service", "scale", "--detach", f"{host.stack('traefik')}_app=0")
    _until_gone(host, "traefik")
    host.habits(give_up_after=5)

    seen = upgrade(host, "traefik", "--ack", "unhealthy-before")

    assert seen.end == ("unhealthy", "unhealthy", 16)
    assert seen.evidence.count("exit 7") >= 3
    assert seen.ran.seconds < 60


def test_a_host_port_with_start_first_is_held_then_named(host: Host) -> None:
    """Acknowledged, it hangs in Swarm for good; we say why long before the budget."""
    host.release(
        "keycloak",
        "10.2.0+26.1.0",
        based_on="10.1.0+26.1.0",
        swap=(("order: stop-first\n        monitor: 2s", _START_FIRST),),
    )
    host.deploy("keycloak")
    host.configure(budget="100s")
    host.habits(give_up_after=3)

    # Stopped for a copy first, it would have let go of the port.
    running = ("--to", "10.2.0+26.1.0", "--ack", "no-snapshot")
    held = upgrade(host, "keycloak", *running)
    seen = upgrade(host, "keycloak", *running, "--ack", "host-port-start-first:app")

    assert held.end == ("held", None, 12)
    assert seen.end == ("unhealthy", "not_converged", 16)
    assert "holds host port 8081" in seen.evidence
    assert seen.ran.seconds < 60


def test_a_renamed_volume_is_data_detached_even_when_acknowledged(host: Host) -> None:
    """A healthy app on an empty volume is a failure."""
    host.release(
        "drone", "1.9.8+2.26.0", swap=(("- data:/data", "- store:/data"), ("\n  data:\n", "\n  store:\n"))
    )
    host.deploy("drone")
    volume = f"{host.stack('drone')}_data"

    held = upgrade(host, "drone", "--to", "1.9.8+2.26.0")
    seen = upgrade(host, "drone", "--to", "1.9.8+2.26.0", "--ack", f"volume-removed:{volume}")

    assert held.end == ("held", None, 12)
    assert seen.end == ("failed", "data_detached", 15)
    assert f"not {volume}" in seen.evidence


def test_abra_gives_up_but_the_swarm_converges(host: Host) -> None:
    """Abra's exit code ends nothing; the `.env` it did not write is pinned by us, and told."""
    host.deploy("traefik")
    host.habits(give_up_after=0.2)

    seen = upgrade(host, "traefik")

    assert seen.end == ("upgraded", "converged", 0)
    assert "abra exited 1" in seen.evidence
    assert host.pinned("traefik") == "1.1.0+3.1.0"
    assert "abra did not write the version" in "\n".join(seen.run["notices"])


def test_abra_says_all_is_well_and_nothing_changed(host: Host) -> None:
    """Exit 0 is no proof."""
    host.deploy("traefik")
    host.habits(noop=True)

    seen = upgrade(host, "traefik")

    assert seen.end == ("not_ready", "unchanged", 13)
    assert "abra exited 0" in seen.evidence
    assert host.pinned("traefik") == "1.0.0+3.0.0"
    assert seen.ran.seconds < 30


def test_abra_hangs_before_it_changes_anything(host: Host) -> None:
    """It is ended with the budget, and the Swarm is looked at all the same."""
    host.deploy("traefik")
    host.configure(budget="4s")
    host.habits(hang=True, ignore_sigterm=True)

    seen = upgrade(host, "traefik")

    assert seen.end == ("not_ready", "unchanged", 13)
    assert "ended with the budget" in seen.evidence
    assert seen.ran.seconds < 40


def test_abra_hangs_after_the_stack_changed(host: Host) -> None:
    """The Swarm converged meanwhile: upgraded, and pinned by us."""
    host.deploy("traefik")
    host.configure(budget="12s")
    host.habits(hang_after_deploy=True)

    seen = upgrade(host, "traefik")

    assert seen.end == ("upgraded", "converged", 0)
    assert host.pinned("traefik") == "1.1.0+3.1.0"


def test_abra_is_killed_after_the_stack_changed(host: Host) -> None:
    """Killed by the kernel between deploy and its own wait."""
    host.deploy("traefik")
    host.habits(die_after_deploy=True)

    seen = upgrade(host, "traefik")

    assert seen.end == ("upgraded", "converged", 0)
    assert "killed by SIGKILL" in seen.evidence
    assert host.pinned("traefik") == "1.1.0+3.1.0"


def test_two_megabytes_of_output_are_read_and_kept(host: Host) -> None:
    """No pipe fills up, and the log beside the journal has all of it."""
    host.deploy("traefik")
    host.habits(noise_bytes=2_000_000)

    seen = upgrade(host, "traefik")

    assert seen.end == ("upgraded", "converged", 0)
    (log,) = host.state_dir.glob("*/runs/*/abra.log")
    assert log.stat().st_size > 2_000_000


def test_a_secret_that_abra_prints_is_masked_everywhere(host: Host) -> None:
    """Values of secret-named settings reach neither screen nor journal nor log."""
    secret = "s3ntinel-of-the-night"
    env = host.env_path("traefik")
    env.write_text(env.read_text() + f"GANDI_API_KEY={secret}\n")
    host.deploy("traefik")
    host.habits(secret_leak=f"your key is {secret}, keep it safe", give_up_after=0.2)

    seen = upgrade(host, "traefik")

    assert secret not in seen.ran.out + seen.ran.err
    written = [p for p in host.state_dir.rglob("*") if p.is_file()]
    assert written
    assert not [p for p in written if secret.encode() in p.read_bytes()]


def test_somebody_scales_a_service_in_the_middle(host: Host) -> None:
    """A spec that moves again after it was reached is somebody else's."""
    host.deploy("traefik")
    host.configure(settle="8s")
    service = f"{host.stack('traefik')}_app"
    meddler = threading.Thread(target=_scale_once_updated, args=(host, service, "3"))
    meddler.start()

    seen = upgrade(host, "traefik")
    meddler.join(timeout=30)

    assert seen.end == ("failed", "foreign_change", 15)
    assert "replicas to 3" in seen.evidence


def test_somebody_scales_to_zero_in_the_middle(host: Host) -> None:
    """Nothing runs: never a success, and never a wait."""
    host.deploy("traefik")
    host.configure(settle="8s")
    service = f"{host.stack('traefik')}_app"
    meddler = threading.Thread(target=_scale_once_updated, args=(host, service, "0"))
    meddler.start()

    seen = upgrade(host, "traefik")
    meddler.join(timeout=30)

    assert seen.outcome in ("failed", "unhealthy")
    assert seen.state in ("foreign_change", "zero_replicas")
    assert seen.ran.code in (15, 16)


def test_one_service_back_and_another_on_the_target_is_mixed(host: Host) -> None:
    """Swarm rolls services back one by one: a stack of two versions is never a success."""
    host.release(
        "keycloak",
        "10.3.0+26.1.0",
        based_on="10.1.0+26.1.0",
        env={"app": {"EXIT": "5"}},
        images={"db": "mariadb:10.6.1"},
        swap=((_HOST_PORT.format(8081), ""),),
    )
    host.deploy("keycloak")

    # Stopped for a copy first, Swarm would not go back by itself.
    seen = upgrade(host, "keycloak", "--to", "10.3.0+26.1.0", "--ack", "no-snapshot")

    assert seen.end == ("failed", "mixed", 15)
    assert "db: on target" in seen.evidence
    assert "app: went back" in seen.evidence


def test_an_engine_out_of_reach_changes_nothing(host: Host) -> None:
    """Exit 13 at once, with the socket's path and what to do."""
    text = host.config.read_text()
    host.config.write_text(re.sub(r"unix://\S+\.sock", f"unix://{host.folder}/nobody.sock", text))

    ran = host.run_tool("upgrade", "traefik", "--json")

    assert ran.code == 13
    document = json.loads(ran.out)
    assert document["exit_code"] == 13
    assert document["errors"][0]["code"] == "engine-unreachable"
    assert "nobody.sock" in ran.err
    assert ran.seconds < 10


def test_an_engine_gone_in_the_middle_is_recorded_as_unknown(host: Host) -> None:
    """Nobody can say what is true: no verdict, exit 15, and the journal says so."""
    host.deploy("traefik")
    host.configure(budget="12s")
    host.habits(hang_after_deploy=True)
    meddler = threading.Thread(target=_freeze_once_acting, args=(host,))
    meddler.start()
    try:
        seen = upgrade(host, "traefik")
    finally:
        meddler.join(timeout=30)
        host.engine.thaw()

    assert seen.end == ("failed", None, 15)
    assert "ccci-upgrade health" in seen.next
    assert seen.ran.seconds < 60
    history = json.loads(host.run_tool("history", "--json").out)
    assert history["data"]["runs"][0]["outcome"] == "failed"


def test_an_engine_that_comes_back_is_believed_again(host: Host) -> None:
    """A short silence is no verdict."""
    host.deploy("traefik")
    host.habits(delay_before=2)
    meddler = threading.Thread(target=_freeze_once_acting, args=(host,), kwargs={"thaw_after": 4.0})
    meddler.start()
    try:
        seen = upgrade(host, "traefik")
    finally:
        meddler.join(timeout=30)
        host.engine.thaw()

    assert seen.end == ("upgraded", "converged", 0)


def test_a_version_that_does_not_exist_is_a_usage_error(host: Host) -> None:
    """`--to` names no tag: exit 2 with the newest ones, no document."""
    host.deploy("traefik")

    ran = host.run_tool("upgrade", "traefik", "--to", "9.9.9+9.9.9", "--json")

    assert ran.code == 2
    assert not ran.out
    assert "1.1.0+3.1.0" in ran.err


def test_a_tag_that_vanishes_makes_abra_refuse(host: Host) -> None:
    """The tag is deleted while abra is about to look: nothing changes, and abra's own words are the evidence."""
    host.deploy("traefik")
    host.habits(delay_before=3)
    meddler = threading.Thread(target=_delete_tag_once_acting, args=(host, "traefik", "1.1.0+3.1.0"))
    meddler.start()

    seen = upgrade(host, "traefik")
    meddler.join(timeout=30)

    assert seen.end == ("not_ready", "unchanged", 13)
    assert "abra exited 1" in seen.evidence


def test_an_unreadable_env_is_named_and_hides_nobody(host: Host) -> None:
    """One broken `.env` is shown as such; upgrading that app is refused, the others go on."""
    host.deploy("traefik")
    host.env_path("drone").write_bytes(b"\xff\xfe not text\0")

    status = json.loads(host.run_tool("status", "--json", "--offline").out)
    refused = host.run_tool("upgrade", "drone.ci.example.org", "--json", "--offline")
    seen = upgrade(host, "traefik")

    rows = {row["app"]: row for row in status["data"]["apps"]}
    assert rows["drone.ci.example.org"]["state"] == "unknown"
    assert rows["drone.ci.example.org"]["problem"]
    assert refused.code == 13
    assert seen.end == ("upgraded", "converged", 0)


_HOST_PORT = (
    "    ports:\n      - target: 8080\n        published: {}\n        protocol: tcp\n        mode: host\n"
)
_START_FIRST = "order: start-first\n        monitor: 2s"


def _until_gone(host: Host, recipe: str) -> None:
    of = f"label=com.docker.swarm.service.name={host.stack(recipe)}_app"
    host.engine.wait(lambda: not host.engine.docker("ps", "-q", "--filter", of), "the tasks did not stop")


def _acting(host: Host) -> bool:
    return any(
        '"begin"' in line and '"act"' in line for p in _journals(host) for line in p.read_text().splitlines()
    )


def _journals(host: Host) -> list[Path]:
    return list(host.state_dir.glob("*/journal.jsonl"))


def _soon(host: Host, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not _acting(host) and time.monotonic() < deadline:
        time.sleep(0.05)


def _scale_once_updated(host: Host, service: str, replicas: str) -> None:
    _soon(host)
    deadline = time.monotonic() + 60
    state = ""
    while state != "completed" and time.monotonic() < deadline:
        state = host.engine.docker(
            "service", "inspect", service, "--format", "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}"
        )
        time.sleep(0.1)
    time.sleep(1.0)  # past one look of ours: the target was reached and seen
    host.engine.docker("service", "scale", "--detach", f"{service}={replicas}")


def _freeze_once_acting(host: Host, thaw_after: float | None = None) -> None:
    _soon(host)
    time.sleep(1.5)
    host.engine.freeze()
    if thaw_after is not None:
        time.sleep(thaw_after)
        host.engine.thaw()


def _delete_tag_once_acting(host: Host, recipe: str, tag: str) -> None:
    _soon(host)
    host.recipe(recipe).git("tag", "--delete", tag)
