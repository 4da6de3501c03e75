"""A real Keycloak with its database on a test's server: deployed by the stand-in, asked by its admin interface."""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.real.images import MARIADB
from tests.real.recipe import OLD_VERSION
from tests.swarm.harness import Engine
from tests.swarm.host import Host

_ROOT = Path(__file__).parents[2]
_UP_SECONDS = 900.0
"""For a first start, which makes the database's tables: a minute, and far more on a machine with other work."""


class Keycloak:
    """The app `keycloak` of one host."""

    def __init__(self, host: Host) -> None:
        """Nothing is deployed yet."""
        self.host = host
        self.engine: Engine = host.engine

    def deploy(self) -> float:
        """Deploy 25.0.6 with generated secrets, and wait until it answers; gives the seconds."""
        started = time.monotonic()
        app = self.host.app("keycloak")
        self.host.abra("app", "secret", "generate", app, "--all", "-n", check=True)
        self.host.abra("app", "deploy", app, OLD_VERSION, "-n", "-f", "-c", check=True)
        self.wait()
        return time.monotonic() - started

    def wait(self) -> None:
        """Wait until it runs in full and answers."""
        try:
            self.engine.wait(self._up, "keycloak did not come up", seconds=_UP_SECONDS)
        except AssertionError as late:
            raise AssertionError(f"{late}\nand of its own:\n{self.log()}") from late

    def make_realm(self, name: str) -> None:
        """Make a realm, by the admin's own password."""
        self._ask("make", name)

    def realms(self) -> set[str]:
        """Every realm that is there."""
        return set(self._ask("list"))

    def image(self) -> str:
        """What really runs: the tag of the image of the app's container."""
        return self.engine.docker(
            "inspect", "--format", "{{.Config.Image}}", self.container("app")
        ).rpartition(":")[2]

    def container(self, service: str) -> str:
        """The one running container of a service."""
        of = f"label=com.docker.swarm.service.name={self.host.stack('keycloak')}_{service}"
        (found,) = self.engine.docker("ps", "-q", "--filter", of).split()
        return found

    def sql(self, statement: str) -> list[str]:
        """Ask the database itself; a line a row."""
        client = f'mysql -N -u root -p"$(cat /run/secrets/db_root_password)" keycloak -e "{statement}"'
        return self.engine.docker("exec", self.container("db"), "sh", "-c", client).splitlines()

    def changes(self) -> int:
        """How many changes Keycloak made to its database's tables: more after every migration."""
        return int(self.sql("SELECT COUNT(*) FROM DATABASECHANGELOG")[0])

    def log(self) -> str:
        """The end of what the app wrote."""
        name = f"{self.host.stack('keycloak')}_app"
        return self.engine.docker("service", "logs", "--raw", "--tail", "40", name, check=False)

    def _up(self) -> bool:
        return self.host.converged("keycloak") and self.host.answers("keycloak")

    def _ask(self, action: str, name: str = "") -> list[str]:
        password = self.engine.docker("exec", self.container("app"), "cat", "/run/secrets/admin_password")
        argv = [sys.executable, "-m", "tests.real.realms", action, name]
        ran = self.engine.run(argv, env={"PYTHONPATH": str(_ROOT)}, data=password)
        assert ran.code == 0, f"{ran.err}\n{self.log()}"
        return ran.out.split()


def realms_in(keycloak: Keycloak, archive: Path) -> set[str]:
    """The realms in an archive of the database's volume, as a server of its own finds them, without passwords."""
    engine = keycloak.engine
    with TemporaryDirectory(prefix="kept-", dir=engine.folder) as folder:
        subprocess.run(["tar", "-xpf", str(archive), "-C", folder], check=True)  # noqa: S607 - tar from PATH
        server = "install -d -o mysql /run/mysqld && exec mariadbd --user=mysql --skip-grant-tables"
        mount = ("--volume", f"{folder}/__v:/var/lib/mysql")
        name = engine.docker("run", "-d", *mount, "--entrypoint", "sh", MARIADB, "-c", server)
        ask = ("exec", name, "mysql", "-N", "keycloak", "-e", "SELECT NAME FROM REALM")
        try:
            engine.wait(lambda: bool(engine.docker(*ask, check=False)), "the kept database does not start")
            return set(engine.docker(*ask).splitlines())
        finally:
            engine.docker("rm", "--force", "--volumes", name)
