"""Snapshots on a real Engine: what an archive keeps, how a database stops, how much memory a large volume takes."""

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.swarm.host import Host

SECOND = 1_000_000_000
LARGE = 200 * 1024 * 1024
MEMORY = 160 * 1024
"""Kilobytes that the program may have at its highest: far less than a volume's size."""


def mountpoint(host: Host, volume: str) -> Path:
    """Where the Engine keeps a volume, seen from outside its namespaces."""
    return Path(host.engine.docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume))


def folder_of(host: Host, document: Any) -> Path:
    """The folder of the one snapshot that was made."""
    (made,) = document["data"]["snapshots"]
    (folder,) = host.state_dir.glob(f"*/snapshots/*/{made['id']}")
    return folder


def fill(place: Path) -> None:
    """Put in what is hard to keep."""
    place.chmod(0o2750)
    os.chown(place, 1234, 5678)
    (place / "sub" / "empty").mkdir(parents=True)
    (place / "sub").chmod(0o1777)
    (place / "sub" / "data").write_bytes(os.urandom(100_000))
    os.chown(place / "sub" / "data", 33, 44)
    (place / "sub" / "data").chmod(0o640)
    (place / "twice").hardlink_to(place / "sub" / "data")
    (place / "soft").symlink_to("sub/data")
    (place / "away").symlink_to("/etc/passwd")
    (place / ("ä" * 100)).write_text("a long name")
    (place / "nothing").touch()
    for path in (place / "sub" / "data", place / "nothing", place / "sub" / "empty"):
        os.utime(path, ns=(SECOND * 1_600_000_000, SECOND * 1_600_000_001))
    os.utime(place, ns=(SECOND * 1_500_000_000, SECOND * 1_500_000_000))


def expected(place: Path) -> dict[str, tuple[object, ...]]:
    """What is in a folder, as the archive must have it: kind, mode, owner, time, target or checksum."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [place, *place.rglob("*")]:
        stat = path.lstat()
        name = str(Path("__v") / path.relative_to(place))
        what = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, int(stat.st_mtime))
        if path.is_symlink():
            found[name] = ("link", *what[1:], str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", *what)
        else:
            found[name] = ("file", *what, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def kept(file: Path) -> dict[str, tuple[object, ...]]:
    """The same of an archive; a hard link is the file it leads to."""
    found: dict[str, tuple[object, ...]] = {}
    with tarfile.open(file) as archive:
        for member in archive:
            what = (member.mode & 0o7777, member.uid, member.gid, int(member.mtime))
            if member.issym():
                found[member.name] = ("link", *what[1:], member.linkname)
            elif member.isdir():
                found[member.name] = ("folder", *what)
            else:
                content = archive.extractfile(member)
                assert content is not None
                found[member.name] = ("file", *what, hashlib.sha256(content.read()).hexdigest())
    return found


def test_an_archive_keeps_all_it_can(host: Host) -> None:
    """Owners, modes (the root's too), links of both kinds, empty folders, whole seconds, content."""
    host.deploy("keycloak")
    place = mountpoint(host, f"{host.stack('keycloak')}_mariadb")
    fill(place)

    ran = host.run_tool("snapshot", "create", "keycloak", "--json")

    assert ran.code == 0, ran.err
    folder = folder_of(host, ran.document())
    manifest = json.loads((folder / "manifest.json").read_text())
    volumes = {volume["service"]: volume for volume in manifest["volumes"]}
    archive = folder / volumes["db"]["file"]
    found, there = kept(archive), expected(place)
    del found["__v/version"], there["__v/version"]  # the database writes it anew when it comes back
    assert found == there
    with tarfile.open(archive) as tar:
        assert [member.name for member in tar if member.islnk()] != []
    assert {each["name"]: each["exit_codes"] for each in manifest["services"]} == {"app": [0], "db": [0]}
    assert all(each["image_id"].startswith("sha256:") for each in manifest["services"])
    assert volumes["db"]["labels"]["com.docker.stack.namespace"] == host.stack("keycloak")
    assert host.converged("keycloak")
    assert host.engine.docker("ps", "-aq", "--filter", "label=ccci-upgrade.carrier") == ""
    assert host.run_tool("snapshot", "verify").code == 0


def test_a_database_that_does_not_stop_cleanly_is_no_snapshot(host: Host) -> None:
    """It is killed after its grace, twice; the app is back and healthy, and the exit is 13."""
    service = f"{host.stack('keycloak')}_db"
    host.deploy("keycloak")
    host.engine.docker(
        "service", "update", "--detach", "--env-add", "IGNORE_TERM=1", "--stop-grace-period", "2s", service
    )
    host.wait_for("keycloak")

    ran = host.run_tool("snapshot", "create", "keycloak", "--json")

    document: Any = ran.document()
    assert ran.code == 13, ran.err
    assert document["errors"][0]["code"] == "unclean-stop"
    assert "exit 137, then 137" in document["errors"][0]["message"]
    assert document["data"]["snapshots"] == []
    assert host.converged("keycloak")
    assert host.answers("keycloak")
    assert host.run_tool("snapshot", "list", "--json").document()["data"] == {"snapshots": []}


@pytest.mark.slow
def test_a_large_volume_takes_little_memory(host: Host) -> None:
    """200 MB of noise and zeros, read, compressed, written and read back; figures are printed."""
    host.deploy("drone")
    place = mountpoint(host, f"{host.stack('drone')}_data")
    with (place / "large").open("wb") as file:
        for _ in range(LARGE // (1024 * 1024) // 2):
            file.write(os.urandom(1024 * 1024) + bytes(1024 * 1024))
    # Not `ru_maxrss`: that begins with the peak of who started it, and a worker of many tests is large.
    code = (
        "import re, sys\n"
        "from ccci_upgrade.cli.start import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)\n"
    )
    argv = host.argv("snapshot", "create", "drone", "--json")
    ran = host.engine.run([argv[0], "-c", code, *argv[3:]], seconds=300)

    document: Any = ran.document()
    peak = int(ran.err.split()[-1])
    (run,) = document["data"]["runs"]
    copy = next(phase for phase in run["phases"] if phase["name"] == "copy")
    print(f"copy: {copy['detail']}; peak {peak} kB")  # noqa: T201 - figures for whoever runs it
    assert ran.code == 0, ran.err
    assert document["data"]["snapshots"][0]["size"] >= LARGE
    assert peak < MEMORY
