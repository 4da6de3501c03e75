"""What a snapshot takes in is decided by the services' mounts; what cannot be read refuses it by name."""

from dataclasses import replace

import pytest

from ccci_upgrade.model.snapshotscope import Scope, scope_of
from ccci_upgrade.model.swarm import Mount, Volume
from tests.builders import service, stack, task, volume


def mount(source: str, kind: str = "volume", target: str = "/data", driver: str = "") -> Mount:
    """One mount."""
    return Mount(kind=kind, source=source, target=target, driver=driver)


def scoped(*mounts: Mount, volumes: tuple[Volume, ...] = (), stopping: bool = True) -> Scope:
    """One service with these mounts, all on the node that is asked."""
    app = service("app", mounts=mounts)
    here = task(app).node_id
    return scope_of(stack(app, volumes=volumes), node=here, stopping=stopping)


def test_a_volume_of_two_services_is_copied_once() -> None:
    """By its name; tmpfs, nameless volumes and the host's own files are no data that lasts."""
    one, two = (
        service("app", mounts=(mount("v"),)),
        service("db", mounts=(mount("v", target="/x"), mount("w"))),
    )
    found = scope_of(
        stack(one, two, volumes=(volume("v"), volume("w"))), node=task(one).node_id, stopping=True
    )
    more = scoped(
        mount("v"),
        mount(""),
        mount("", kind="tmpfs"),
        mount("/var/run/docker.sock", kind="bind"),
        volumes=(volume("v"),),
    )

    assert [source.volume.name for source in found.sources] == ["v", "w"]
    assert (found.passed, found.refused) == ((), ())
    assert [source.volume.name for source in more.sources] == ["v"]
    assert len(more.passed) == 2
    assert more.refused == ()


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (mount("/srv/data", kind="bind"), "/srv/data at /data is a bind mount"),
        (mount("x", kind="npipe"), "npipe"),
        (mount("lost"), "lost at /data is not on this node"),
        (mount("far"), "far at /data has the driver nfs"),
    ],
)
def test_what_cannot_be_read_is_named(bad: Mount, why: str) -> None:
    """Beside a good volume too: a part of an app's data is no snapshot."""
    volumes = (volume("v"), replace(volume("far"), driver="nfs"))
    (refused,) = scoped(mount("v"), bad, volumes=volumes).refused

    assert why in refused


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            {"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/srv"},
            "is of type nfs behind the driver local",
        ),
        ({"type": "cifs", "o": "username=u,password=s3cret", "device": "//n/s"}, "is of type cifs"),
        ({"type": "none", "o": "rw,bind", "device": "/srv/data"}, "is a folder of the host"),
        ({"device": "/dev/sdb1"}, "is of type unknown"),
    ],
)
def test_the_driver_local_can_be_a_share_a_disk_or_a_folder(options: dict[str, str], why: str) -> None:
    """Named, without what its options hold: a password may be among them."""
    (refused,) = scoped(mount("v"), volumes=(replace(volume("v"), options=options),)).refused

    assert f"v at /data {why}" in refused
    assert "s3cret" not in refused


def test_a_size_is_a_limit_and_a_tmpfs_holds_nothing() -> None:
    """The one is copied, the other passed over: it is empty as soon as the app stops."""
    limited = replace(volume("v"), options={"size": "1G"})
    memory = replace(volume("w"), options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m"})
    found = scoped(mount("v"), mount("w"), volumes=(limited, memory))

    assert [source.volume.name for source in found.sources] == ["v"]
    assert found.refused == ()
    assert "w at /data is not kept" in found.passed[0]


def test_an_app_elsewhere_one_everywhere_and_one_without_volumes_are_refused() -> None:
    """Volumes of another node, a global service, nothing to copy."""
    app = service("app", mounts=(mount("v"),))
    elsewhere = scope_of(stack(app, volumes=(volume("v"),)), node="other", stopping=True)
    everywhere = service("app", replicas=None, mounts=(mount("v"),))
    both = [
        scope_of(
            stack(everywhere, tasks=(), volumes=(volume("v"),)),
            node=task(everywhere).node_id,
            stopping=stopping,
        ).refused
        for stopping in (True, False)
    ]

    assert "is on another node" in elsewhere.refused[0]
    assert "cannot be scaled" in both[0][0]
    assert both[1] == ()
    assert scoped().refused == ("no service of it mounts a volume",)
