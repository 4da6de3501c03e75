"""Images of real programs without an image registry: Debian by debootstrap, Keycloak from Maven Central.

Each image is one file system as a tar file, made once and kept in a cache folder: `CCCI_TEST_CACHE`, else
`~/.cache/ccci-upgrade-tests`. `python -m tests.real.images` makes what is missing, and says what it does.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.swarm import harness

DEBIAN = "bookworm"
OLD, NEW = "25.0.6", "26.0.8"
DISTRIBUTIONS = {
    OLD: "df21890b149be8e81b8bca802468dc52f70b8bbc8a06079906316a9ef1c373f0",
    NEW: "8cf143b894afcf7d3be4549dc5af4790bda63bd471a5ac8e384094fb729e4b15",
}
"""SHA-256 of `org.keycloak:keycloak-quarkus-dist:VERSION:tar.gz`, whose SHA-1 was what Maven Central says."""

MARIADB = "mariadb:10.11-bookworm"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_TOOLS = {
    "debootstrap": "debootstrap",
    "mvn": "maven",
    "chroot": "coreutils",
    "tar": "tar",
    "unshare": "util-linux",
}
_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
_SECONDS = 900.0
_USELESS = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man")

_START_MARIADB = """#!/bin/sh
# As the official image does it: an empty folder gets a database and its users, then the server takes over.
set -e
data=/var/lib/mysql
if [ ! -d "$data/mysql" ]; then
    mariadb-install-db --user=mysql --datadir="$data" --auth-root-authentication-method=normal \\
        --skip-test-db >/dev/null
    cat >/tmp/first.sql <<END
CREATE DATABASE IF NOT EXISTS $MYSQL_DATABASE;
CREATE USER IF NOT EXISTS '$MYSQL_USER'@'%' IDENTIFIED BY '$(cat "$MYSQL_PASSWORD_FILE")';
GRANT ALL ON $MYSQL_DATABASE.* TO '$MYSQL_USER'@'%';
ALTER USER root@localhost IDENTIFIED BY '$(cat "$MYSQL_ROOT_PASSWORD_FILE")';
END
    chown mysql /tmp/first.sql
    set -- --init-file=/tmp/first.sql
fi
mkdir -p /run/mysqld
chown mysql /run/mysqld
exec mariadbd --user=mysql --bind-address=0.0.0.0 "$@"
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image; `packages` are Debian's, `keycloak` is the version laid into it, `changes` for `docker import`."""

    reference: str
    packages: str
    keycloak: str = ""
    changes: tuple[str, ...]

    @property
    def tar(self) -> Path:
        """Where its file system is kept; another name as soon as it would be made in another way."""
        made_of = f"{self}|{DEBIAN}|{_START_MARIADB}|{_USELESS}|{DISTRIBUTIONS.get(self.keycloak)}"
        name = self.reference.rpartition("/")[2].replace(":", "-")
        return cache() / f"{name}-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.tar"


IMAGES = (
    *(
        Image(
            reference=f"quay.io/keycloak/keycloak:{version}",
            packages="openjdk-17-jre-headless",
            keycloak=version,
            changes=("USER 1000", "WORKDIR /opt/keycloak", 'ENTRYPOINT ["/opt/keycloak/bin/kc.sh"]'),
        )
        for version in DISTRIBUTIONS
    ),
    Image(reference=MARIADB, packages="mariadb-server", changes=('ENTRYPOINT ["/start"]',)),
)


def cache() -> Path:
    """Where downloads and file systems are kept from one run to the next."""
    named = os.environ.get("CCCI_TEST_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "ccci-upgrade-tests"


def missing() -> list[str]:
    """What this machine lacks for these tests, beyond what is in the cache already."""
    lacks = harness.missing()
    if not all(image.tar.exists() for image in IMAGES):
        lacks += [
            f"{tool} (package {package})"
            for tool, package in _TOOLS.items()
            if shutil.which(tool, path=_PATH) is None
        ]
    return lacks


def make_all() -> None:
    """Make every file system that is not in the cache. AssertionError with the words of what failed."""
    lacks = missing()
    assert not lacks, f"tests on real apps need {', '.join(lacks)}"
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for image in IMAGES:
            if not image.tar.exists():
                _make(image)


def import_all(engine: harness.Engine) -> None:
    """Bring them into an Engine."""
    for image in IMAGES:
        changes = [word for change in image.changes for word in ("--change", change)]
        engine.docker("import", *changes, str(image.tar), image.reference)


# -- how they are made --------------------------------------------------------------------------------------


def _make(image: Image) -> None:
    started = time.monotonic()
    with TemporaryDirectory(prefix="image-", dir=cache()) as folder:
        root = Path(folder) / "root"
        root.mkdir(mode=0o755)
        _run("tar", "-xpf", str(_debian(image.packages)), "-C", str(root))
        if image.keycloak:
            _lay_keycloak(image.keycloak, root)
        else:
            _lay_mariadb(root)
        _pack(root, image.tar)
    _say(f"{image.reference}: {time.monotonic() - started:.0f} s, {image.tar.stat().st_size >> 20} MB")


def _debian(packages: str) -> Path:
    """A minimal Debian with packages, as a tar file."""
    made = cache() / f"debian-{DEBIAN}-{packages}.tar"
    if made.exists():
        return made
    _say(f"Debian {DEBIAN} with {packages} ...")
    with TemporaryDirectory(prefix="debian-", dir=cache()) as folder:
        root = Path(folder) / "root"
        # In a mount namespace of its own: what it mounts must not outlive it.
        argv = ("debootstrap", "--variant=minbase", f"--include={packages}", DEBIAN, str(root))
        _run("unshare", "-m", "--propagation", "private", *argv)
        for useless in _USELESS:
            shutil.rmtree(root / useless, ignore_errors=True)
        _pack(root, made)
    return made


def _lay_keycloak(version: str, root: Path) -> None:
    """The distribution, built for MariaDB in advance: otherwise every start would take 20 s more."""
    home = root / "opt" / "keycloak"
    home.mkdir()
    _run(
        "tar", "-xf", str(_distribution(version)), "-C", str(home), "--strip-components=1", "--no-same-owner"
    )
    build = 'mount -t proc proc "$0/proc" && exec chroot "$0" /opt/keycloak/bin/kc.sh build --db=mariadb'
    _run("unshare", "-m", "--propagation", "private", "sh", "-c", build, str(root))
    _run("chown", "-R", "1000:0", str(home))


def _lay_mariadb(root: Path) -> None:
    start = root / "start"
    start.write_text(_START_MARIADB)
    start.chmod(0o755)
    # What an image has at the place of a volume fills an empty volume.
    shutil.rmtree(root / "var" / "lib" / "mysql")


def _distribution(version: str) -> Path:
    """Keycloak's archive, as Maven brings it and as we know it."""
    name = f"keycloak-quarkus-dist-{version}.tar.gz"
    path = cache() / name
    if not path.exists():
        _say(f"Keycloak {version} ...")
        with TemporaryDirectory(prefix="maven-", dir=cache()) as folder:
            where = (f"-DoutputDirectory={folder}", f"-Dmaven.repo.local={folder}/m2")
            artifact = f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{version}:tar.gz"
            _run("mvn", "-B", "-q", "-C", _COPY, artifact, *where)
            (Path(folder) / name).replace(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    assert found == DISTRIBUTIONS[version], f"{path} is not what it should be: SHA-256 {found}; remove it"
    return path


def _pack(root: Path, made: Path) -> None:
    """One tar file with numbers for owners; there in whole or not at all."""
    with _beside(made) as new:
        _run("tar", "--numeric-owner", "--one-file-system", "-cf", str(new), "-C", str(root), ".")


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    new = path.with_suffix(".new")
    yield new
    new.replace(path)


def _run(*argv: str) -> None:
    ran = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env={**os.environ, "PATH": _PATH},
        timeout=_SECONDS,
    )
    said = (ran.stdout + ran.stderr).decode(errors="replace")
    assert ran.returncode == 0, f"{' '.join(argv)} failed (exit {ran.returncode}):\n{said[-3000:]}"


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        make_all()
    except AssertionError as failed:
        sys.exit(str(failed))
