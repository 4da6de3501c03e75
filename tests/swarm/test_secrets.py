"""Secrets read from real running containers: odd names and modes, large and binary, and images without `cat`."""

import base64
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

from ccci_upgrade.config import read_config
from ccci_upgrade.flows.host import open_host
from ccci_upgrade.flows.keptsecrets import keep_secrets, recipients_for
from ccci_upgrade.model.keptsecrets import KeptSecrets
from ccci_upgrade.store.snapshots import Store, verify
from tests.swarm.harness import Engine
from tests.swarm.host import SERVER, Host
from tests.swarm.images import busybox
from tests.unit.test_age import pair
from tests.unit.test_snapshots import APP, FIRST, manifest, tar

STACK = "shop"
LARGE = os.urandom(500 * 1024 - 1)
VALUES = {
    "shop_large_v1": LARGE,
    "shop_db_password_v3": b"sesame-open\n\n",
    "shop_locked_v1": b"sesame-locked-\x00-\xff",
    "shop_bare_v1": b"sesame-nobody-can-read-me",
    "shop_idle_v1": b"sesame-idle",
    "shared": b"sesame-shared",
}
READABLE = {name for name in VALUES if name not in {"shop_bare_v1", "shop_idle_v1"}}
BARE = "bare:v1"


def bare_image(engine: Engine) -> None:
    """An image with nothing but one program that sleeps."""
    program = busybox()
    assert program is not None
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as made:
        member = tarfile.TarInfo("sleep")
        member.size, member.mode = program.stat().st_size, 0o755
        made.addfile(member, io.BytesIO(program.read_bytes()))
    engine.docker("import", "--change", 'CMD ["/sleep", "100000"]', "-", BARE, data=whole.getvalue())


def service(engine: Engine, name: str, image: str, *words: str, secrets: tuple[str, ...]) -> None:
    """Make a service of the stack; it need not be up."""
    label = f"com.docker.stack.namespace={STACK}"
    given = [word for each in secrets for word in ("--secret", each)]
    full = f"{STACK}_{name}"
    engine.docker("service", "create", "--detach", "--name", full, "--label", label, *words, *given, image)


def shop(engine: Engine) -> None:
    """A stack that has secrets in every way they can be had."""
    bare_image(engine)
    for name, value in VALUES.items():
        engine.docker("secret", "create", "--label", "kept=yes", name, "-", data=value)
    image = "traefik:v3.0.0"
    service(
        engine,
        "app",
        image,
        "--user=1000",
        secrets=(
            "source=shop_large_v1,target=an odd näme.bin,mode=0400,uid=1234,gid=55",
            "source=shop_db_password_v3,target=/etc/app/the password,mode=0040",
        ),
    )
    # Root without rights cannot read what belongs to another: its owner can.
    service(
        engine, "locked", image, "--cap-drop=ALL", secrets=("source=shop_locked_v1,uid=1234,gid=1,mode=0400",)
    )
    service(engine, "bare", BARE, secrets=("shop_bare_v1", "shop_db_password_v3", "shared"))
    service(engine, "other", image, secrets=("shared",))
    service(engine, "idle", image, "--replicas=0", secrets=("shop_idle_v1",))

    def up() -> bool:
        listed = engine.docker("service", "ls", "--format", "{{.Replicas}}").split()
        return sorted(listed) == ["0/0", "1/1", "1/1", "1/1", "1/1"]

    engine.wait(up, "the shop did not come up")


def kept_by(host: Host) -> tuple[KeptSecrets, bytes]:
    """Read and encrypt, as a snapshot will."""
    config = read_config(host.config)
    opened = open_host(config, SERVER)
    try:
        to = recipients_for(config)
        assert to is not None
        return keep_secrets(opened, opened.swarm.stack(STACK), to)
    finally:
        opened.close()


def seen(folder: Path) -> bytes:
    """All that is in a folder's files."""
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_secrets_of_running_apps_are_kept_and_given_back(host: Host) -> None:
    """Every byte, whatever name, owner and mode; what cannot be read is named with the reason; no value is seen."""
    public, private = pair()
    host.configure(f'\n[snapshots]\nage_recipients = ["{public}"]\n')
    shop(host.engine)

    kept, data = kept_by(host)

    assert {each.swarm_name for each in kept.secrets} == READABLE
    assert {each.swarm_name: each.reason for each in kept.unread} == {
        "shop_bare_v1": "bare: its image has no program that prints a file (cat)",
        "shop_idle_v1": "idle: no task of it runs",
    }
    by_name = {each.swarm_name: each for each in kept.secrets}
    large = by_name["shop_large_v1"].files[0]
    assert (large.service, large.file, large.uid, large.gid, large.mode) == (
        "app",
        "an odd näme.bin",
        "1234",
        "55",
        0o400,
    )
    password = by_name["shop_db_password_v3"]
    assert (password.name, password.version, password.services) == ("db_password", "v3", ("app", "bare"))
    assert (password.files[0].file, password.labels) == ("/etc/app/the password", {"kept": "yes"})
    assert (by_name["shared"].name, by_name["shared"].version) == ("", "")

    cluster = host.engine.docker("info", "--format", "{{.Swarm.Cluster.ID}}")
    writing = Store(host.state_dir, cluster).begin(APP, FIRST)
    written = writing.archive(0, [tar()])
    writing.seal(replace(manifest(written), stack=STACK, secrets=writing.secrets(kept, data, (public,))))
    assert verify(Store(host.state_dir, cluster).listed()[0]) == ()
    key = host.folder / "key"
    key.write_bytes(private)
    out = host.folder / "out"
    ran = host.run_tool("snapshot", "secrets", FIRST, "--identity", str(key), "--out", str(out), "--json")
    told = host.run_tool("snapshot", "secrets", FIRST)
    history = host.run_tool("history", "--json")

    assert ran.code == 0, ran.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {n: VALUES[n] for n in READABLE}
    assert {row["swarm_name"] for row in json.loads(ran.out)["data"]["secrets"]} == READABLE
    everything = (
        seen(host.state_dir) + (host.engine.folder / "dockerd.log").read_bytes() + repr(kept).encode()
    )
    everything += "".join(each.out + each.err for each in (ran, told, history)).encode()
    for value in VALUES.values():
        for form in (value.strip(), base64.b64encode(value)[:40], LARGE[1000:1016]):
            assert form not in everything
    assert host.engine.docker("ps", "-aq", "--filter", "status=exited") == ""


def test_a_task_that_ended_meanwhile_is_a_reason_not_an_error(host: Host) -> None:
    """A container that is paused, then gone: named, and nothing else is lost."""
    public, _ = pair()
    host.configure(f'\n[snapshots]\nage_recipients = ["{public}"]\n')
    host.engine.docker("secret", "create", "shop_db_password_v3", "-", data=b"sesame")
    service(host.engine, "app", "traefik:v3.0.0", secrets=("shop_db_password_v3",))
    one = "label=com.docker.swarm.service.name=shop_app"
    host.engine.wait(lambda: kept_by(host)[0].unread == (), "it was not read")
    container = host.engine.docker("ps", "-q", "--no-trunc", "--filter", one)
    host.engine.docker("pause", container)
    try:
        (paused,) = kept_by(host)[0].unread
    finally:
        host.engine.docker("unpause", container)

    assert "is paused" in paused.reason
    assert kept_by(host)[0].unread == ()
