"""A private Docker Engine per test worker, in namespaces of its own, and programs run beside it.

The Engine, its containers and all they leave end with one process: the first of a PID namespace, which ends
when its standard input does, and so when the tests end, however they end. `/run`, the network and DNS (which
refuses at once: there is no registry to wait for) are private too.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pexpect

from tests.swarm.images import START, busybox, image_tar

MESH_PORT = 8080
"""Where traefik answers, through a stand-in for Swarm's ingress mesh: the mesh needs IPVS in the kernel."""

MESH_TARGET = "traefik_ci_example_org_app"
_MESH = "mesh"
_KEEPER = """
set -e
mount -t tmpfs tmpfs /run
echo 'nameserver 127.0.0.1' >/run/resolv.conf
mount --bind /run/resolv.conf /etc/resolv.conf
ip link set lo up
exec "$0" -S -c '
import signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever loses its parent in here is reaped by the kernel
print("ready", flush=True)
sys.stdin.read()
'
"""
_NAMESPACES = ("unshare", "-m", "-n", "-p", "--fork", "--kill-child", "--mount-proc")
_DAEMON = "--exec-root /run/docker --pidfile /run/docker.pid"
_STALE = "/run/docker.pid /run/docker/containerd/containerd.pid"
_READY = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A program that ended."""

    code: int
    out: str
    err: str
    seconds: float

    def document(self) -> dict[str, object]:
        """Read the one JSON document on its standard output."""
        loaded = json.loads(self.out)
        assert isinstance(loaded, dict)
        return loaded


def missing() -> list[str]:
    """What this machine lacks for an Engine of our own."""
    lacks = [] if os.geteuid() == 0 else ["root"]
    lacks += [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]
    return lacks if busybox() else [*lacks, "busybox-static"]


_TOOLS = ("dockerd", "docker", "iptables", "unshare", "nsenter", "ip", "mount", "git")
_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"


class Engine:
    """One dockerd with a Swarm of one node; `url` is its socket for `docker_host`."""

    def __init__(self) -> None:
        """Make the folder and the namespaces; nothing is started yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="ccci-"))  # a socket's path must be short
        self.socket = self.folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._keeper = subprocess.Popen(
            [*_NAMESPACES, "sh", "-c", _KEEPER, sys.executable],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_clean_env(),
            text=True,
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "ready\n", "no private namespaces on this machine"
        self._first = _only_child(self._keeper.pid)
        self._daemon: subprocess.Popen[bytes] | None = None
        self._dockerd = 0
        self._images: set[str] = set()

    # --- life of the Engine -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start dockerd, and return once it manages its Swarm (which it finds again after a kill)."""
        log = (self.folder / "dockerd.log").open("ab")
        with log:
            inside = f"rm -f {_STALE}; exec dockerd {_DAEMON} --data-root {self.folder}/data -H {self.url}"
            self._daemon = subprocess.Popen(
                ["nsenter", "-t", str(self._first), "-m", "-n", "-p", "sh", "-c", inside],  # noqa: S607 - from PATH
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_clean_env(),
            )
        self.wait(lambda: self._answers("info"), "dockerd did not start")
        self._dockerd = _only_child(self._daemon.pid)

    def create_swarm(self) -> None:
        """Make it a Swarm of one, with the network, the images and the mesh the recipes expect."""
        self.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        self.docker("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.10.0.0/16", "proxy")
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(self.import_image, START))
        self._start_mesh()

    def kill(self) -> None:
        """Kill dockerd the hard way; its containers go on."""
        assert self._daemon is not None
        self.thaw()
        os.kill(self._dockerd, signal.SIGKILL)
        self._daemon.wait(timeout=_READY)

    def restart(self) -> None:
        """Start dockerd again after `kill`, and wait for its Swarm."""
        self.start()
        self.wait(lambda: self._answers("node", "ls"), "the Swarm did not come back")
        self._start_mesh()

    def freeze(self) -> None:
        """Stop dockerd from answering without ending it."""
        assert self._daemon is not None
        os.kill(self._dockerd, signal.SIGSTOP)
        # nsenter stops itself when its child is stopped; until it has, it could do so after the thaw.
        stat = Path(f"/proc/{self._daemon.pid}/stat")
        self.wait(lambda: " T " in stat.read_text(), "nsenter did not stop")

    def thaw(self) -> None:
        """Let it go on."""
        if self._daemon is not None and self._daemon.poll() is None:
            os.kill(self._daemon.pid, signal.SIGCONT)
            os.kill(self._dockerd, signal.SIGCONT)

    def close(self) -> None:
        """End everything in here, and leave nothing behind."""
        if self._daemon is not None and self._daemon.poll() is None:
            self.thaw()
            # So that it takes its control groups along. One that never answered has no number yet, and 0 is us.
            os.kill(self._dockerd or self._daemon.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._daemon.wait(timeout=15)
        self._keeper.kill()
        for stream in (self._keeper.stdin, self._keeper.stdout):
            if stream is not None:
                stream.close()
        self._keeper.wait(timeout=_READY)
        if self._daemon is not None:
            self._daemon.wait(timeout=_READY)
        shutil.rmtree(self.folder)

    # --- what tests do with it ----------------------------------------------------------------------------

    def docker(self, *words: str, data: bytes | None = None, check: bool = True) -> str:
        """Run the docker client; gives its output, and fails the test with its words."""
        ran = subprocess.run(
            ["docker", "-H", self.url, *words],  # noqa: S607 - docker from PATH
            input=data,
            capture_output=True,
            check=False,
            env=_clean_env(),
            timeout=120,
        )
        said = ran.stderr.decode(errors="replace")
        assert ran.returncode == 0 or not check, f"docker {' '.join(words)}: {said}"
        return ran.stdout.decode(errors="replace").strip()

    def import_image(self, reference: str) -> None:
        """Make an image that answers as its name and tag say; made once per Engine."""
        if reference not in self._images:
            start = 'CMD ["/app"]'
            self.docker("import", "--change", start, "-", reference, data=image_tar(reference))
            self._images.add(reference)

    def remove_image(self, reference: str) -> None:
        """Take an image away; nothing can pull it."""
        self.docker("image", "rm", "--force", reference)
        self._images.discard(reference)

    @contextlib.contextmanager
    def pruned(self) -> Iterator[None]:
        """Take away ended tasks and every image that nothing uses then; what others need is made again at the end."""
        self.docker("container", "prune", "--force", "--filter", "label=com.docker.swarm.task")
        self.docker("image", "prune", "--all", "--force")
        self._images.clear()
        try:
            yield
        finally:
            for reference in START:
                self.import_image(reference)

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        data: str | None = None,
        seconds: float = 120.0,
        cwd: Path | None = None,
    ) -> Ran:
        """Run a program in the Engine's network; no standard input but `data`. Overtime fails the test."""
        started = time.monotonic()
        with self.popen(argv, env=env, cwd=cwd, data=data is not None) as child:
            try:
                out, err = child.communicate(data, timeout=seconds)
            except subprocess.TimeoutExpired:
                child.kill()
                out, err = child.communicate()
                raise AssertionError(f"{argv} still ran after {seconds} s\n{out}\n{err}") from None
        return Ran(code=child.returncode, out=out, err=err, seconds=time.monotonic() - started)

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        data: bool = False,
        cwd: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start a program in the Engine's network, for tests that signal it: the child is the program itself."""
        return subprocess.Popen(
            self.beside(argv),
            stdin=subprocess.PIPE if data else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_clean_env() | dict(env or {}),
            cwd=cwd or self.folder,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def pty(
        self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, seconds: float = 60.0
    ) -> "pexpect.spawn[str]":
        """Start a program in the Engine's network at a terminal of 40 by 120."""
        first, *rest = self.beside(argv)
        environment = _clean_env() | {"TERM": "xterm-256color"} | dict(env or {})
        return pexpect.spawn(
            first,
            rest,
            env=environment,
            cwd=str(self.folder),
            timeout=seconds,
            dimensions=(40, 120),
            encoding="utf-8",
            codec_errors="replace",
        )

    def get(self, port: int, path: str = "/", host: str = "localhost") -> tuple[int, str]:
        """Ask an app; gives status and body, or 0 and "" where nothing answers."""
        script = (
            "import http.client as h, sys\n"
            f"c = h.HTTPConnection('127.0.0.1', {port}, timeout=5)\n"
            f"c.request('GET', {path!r}, headers={{'Host': {host!r}}})\n"
            "r = c.getresponse(); print(r.status); print(r.read().decode(), end='')\n"
        )
        ran = self.run([sys.executable, "-S", "-c", script], seconds=15)
        status, _, body = ran.out.partition("\n")
        return (int(status), body) if ran.code == 0 else (0, "")

    def reset(self) -> None:
        """Take away every stack and what belonged to it; the Engine, its images and the mesh stay."""
        self.thaw()
        self._remove("service", self._names("service"))
        # Swarm takes its time over each container (a delay for gossip); nobody waits for an answer from these.
        self.wait(self._no_tasks, "containers of removed services stay")
        self._remove("config", self._names("config"))
        self._remove("secret", self._names("secret"))
        self._remove("volume", self._names("volume"))
        stacks = ("--filter", "label=com.docker.stack.namespace")
        self._remove("network", self.docker("network", "ls", "-q", *stacks).split())

    def wait(self, true: Callable[[], bool], otherwise: str, seconds: float = _READY) -> None:
        """Wait until `true`, or fail the test with `otherwise`."""
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, f"{otherwise}; see the end of its log:\n{self._log_end()}"
            time.sleep(0.1)

    def beside(self, argv: Sequence[str]) -> list[str]:
        """Give the command that runs `argv` in the Engine's network."""
        return ["nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", "--", *argv]

    # --- inner matters ------------------------------------------------------------------------------------

    def _start_mesh(self) -> None:
        """Forward a host port to the service by name, whichever task is behind it."""
        forward = f"nc -ll -p 8080 -e nc -w 5 {MESH_TARGET} 8080"
        words = ("run", "-d", "--init", "--name", _MESH, "--network", "proxy", "-p", f"{MESH_PORT}:8080")
        script = ("sh", "-c", f"trap 'exit 0' TERM; {forward} & wait")

        def started() -> bool:
            self.docker("rm", "--force", _MESH, check=False)
            return bool(self.docker(*words, START[0], *script, check=False))

        # After a restart the overlay network is known to the Swarm some time before the node has it.
        self.wait(lambda: started() and bool(self.docker("ps", "-q", "--filter", f"name={_MESH}")), "no mesh")

    def _names(self, kind: str) -> list[str]:
        return self.docker(kind, "ls", "--quiet").split()

    def _no_tasks(self) -> bool:
        left = self.docker("ps", "-aq", "--filter", "label=com.docker.swarm.service.name").split()
        self.docker("rm", "--force", *left, check=False)
        return not left

    def _remove(self, kind: str, names: Sequence[str]) -> None:
        def gone() -> bool:
            left = [name for name in names if name in self.docker(kind, "ls", "--quiet")]
            self.docker(kind, "rm", *left, check=False)
            return not left

        if names:
            self.wait(gone, f"{kind} {' '.join(names)} cannot be removed")

    def _answers(self, *words: str) -> bool:
        assert self._keeper.poll() is None, "the namespaces are gone"
        asked = subprocess.run(
            ["docker", "-H", self.url, *words],  # noqa: S607 - docker from PATH
            capture_output=True,
            check=False,
            env=_clean_env(),
            timeout=30,
        )
        return asked.returncode == 0

    def _log_end(self) -> str:
        log = self.folder / "dockerd.log"
        return log.read_text(errors="replace")[-3000:] if log.exists() else "(none)"


@contextlib.contextmanager
def running_engine() -> Iterator[Engine]:
    """An Engine with its Swarm, ended and removed in any case."""
    engine = Engine()
    try:
        engine.start()
        engine.create_swarm()
        yield engine
    finally:
        engine.close()


def _clean_env() -> dict[str, str]:
    """Our environment without proxies (an Engine would ask them) and without another Docker's settings."""
    unwanted = ("DOCKER_", "GIT_", "CCCI_", "ABRA_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted) and "proxy" not in k.lower()}
    return kept | {"PATH": _PATH}


def _only_child(pid: int) -> int:
    """The process that `pid` forked, by the number it has outside the namespace."""
    deadline = time.monotonic() + 5
    children: list[str] = []
    while not children and time.monotonic() < deadline:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        time.sleep(0.01)
    assert len(children) == 1, f"process {pid} has the children {children}"
    return int(children[0])
