"""The practice Engine: builds its parts, answers on its socket, ends without a trace."""

import re
import shutil
import socket
import threading
from io import BufferedReader
from pathlib import Path
from typing import Self

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.practice.engine import (
    api_containers,
    api_exec,
    api_images,
    api_kept,
    api_objects,
    api_practice,
    api_services,
    api_system,
    api_tasks,
    archive,
)
from ccci_upgrade.practice.engine.agent import Agent
from ccci_upgrade.practice.engine.apps import Pages
from ccci_upgrade.practice.engine.containers import Containers
from ccci_upgrade.practice.engine.doors import Doors
from ccci_upgrade.practice.engine.orchestrator import Tasks
from ccci_upgrade.practice.engine.reconcile import Reconciler
from ccci_upgrade.practice.engine.routes import Host, Table
from ccci_upgrade.practice.engine.wire import (
    Answer,
    BadRequestError,
    Request,
    as_json,
    read_request,
    write_answer,
)
from ccci_upgrade.practice.engine.world import RefusedError, World

TABLE = Table(
    [
        *api_system.ROUTES,
        *api_services.ROUTES,
        *api_tasks.ROUTES,
        *api_kept.ROUTES,
        *api_objects.ROUTES,
        *api_images.ROUTES,
        *api_containers.ROUTES,
        *archive.ROUTES,
        *api_exec.ROUTES,
        *api_practice.ROUTES,
    ]
)
"""All that is spoken here."""

LONGEST_PATH = 103
"""Bytes of a Unix socket's path that macOS takes; Linux takes four more."""

_VERSION = re.compile(r"/v1\.[0-9]{1,3}(?=/)")
_SAID = {"Api-Version": api_system.API, "Ostype": "linux", "Server": f"Docker/{api_system.VERSION} (linux)"}


class PracticeEngine:
    """An Engine with a Swarm of one node in `folder`, from `start` to `stop`; a context manager too."""

    def __init__(self, folder: Path, socket: Path | None = None) -> None:
        """Nothing is started yet. NotReadyError where the socket's path is too long for the system."""
        self.folder = folder.absolute()
        self.socket = (socket or self.folder / "engine.sock").absolute()
        if len(str(self.socket).encode()) > LONGEST_PATH:
            raise NotReadyError(
                f"the socket's path is longer than {LONGEST_PATH} bytes: {self.socket}",
                hint="choose a folder with a shorter path",
                code="socket-path",
            )
        self.ended = threading.Event()
        """Set when the Engine was asked to end."""
        self._stopping = threading.Lock()
        self._stopped = False
        self._host: Host | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Serve. NotReadyError where the folder or the socket cannot be used."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._remove_stale()
            world = World(self.folder)
            doors = Doors(Pages(world=world).at_port)
            doors.listen_unix(self.socket, self._serve)
        except OSError as error:
            raise NotReadyError(
                f"cannot serve at `{self.socket}`: {error.strerror or error}",
                hint="choose another folder",
                code="practice-socket",
            ) from error
        containers = Containers(world, doors)
        tasks = Tasks(world, Agent(world, containers))
        reconciler = Reconciler(world, tasks)
        world.clockwork.on_change.append(reconciler.look)
        self._host = Host(
            world=world,
            containers=containers,
            tasks=tasks,
            reconciler=reconciler,
            doors=doors,
            stop=self._stop_soon,
        )
        world.clockwork.start()
        doors.start()

    def stop(self) -> None:
        """End: every port is closed, every thread gone, the socket removed. May be called twice."""
        self.ended.set()
        with self._stopping:
            if self._stopped or self._host is None:
                return
            self._stopped = True
            self._host.clockwork.stop()
            self._host.doors.stop()
            shutil.rmtree(self.folder / "roots", ignore_errors=True)
            self.socket.unlink(missing_ok=True)

    def _stop_soon(self) -> None:
        """Stop from a thread that `stop` itself waits for."""
        threading.Thread(target=self.stop, name="stopper", daemon=True).start()

    def _remove_stale(self) -> None:
        """A socket that nobody listens at is left over; one that answers belongs to another Engine."""
        if not self.socket.is_socket():
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(2.0)
            try:
                probe.connect(str(self.socket))
            except (ConnectionRefusedError, FileNotFoundError):
                self.socket.unlink(missing_ok=True)
                return
        raise NotReadyError(
            f"another practice engine runs already at `{self.socket}`",
            hint="stop that one first, or choose another folder",
            code="practice-runs",
        )

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(None)  # as in dockerd, a client may keep its connection for hours
        reader: BufferedReader = connection.makefile("rb")
        with reader:
            while not self.ended.is_set():
                try:
                    request = read_request(reader)
                except BadRequestError:
                    refused = as_json({"message": "this is no HTTP request"}, 400)
                    write_answer(connection, refused, head=False, close=True)
                    return
                if request is None:
                    return
                close = request.headers.get("connection", "").lower() == "close"
                answer = self._answer(request)
                answer.headers.update(_SAID)
                write_answer(connection, answer, head=request.method == "HEAD", close=close)
                if close:
                    return

    def _answer(self, request: Request) -> Answer:
        assert self._host is not None  # noqa: S101 - set before anything is served
        path = _VERSION.sub("", request.path, count=1)
        if not path.startswith("/_practice"):
            self._hold()
        found = TABLE.find(request.method, path)
        if found is None:
            said = f"{request.method} {path} is not spoken by the practice engine"
            return as_json({"message": said}, 501)
        route, name = found
        try:
            with self._host.clockwork.lock:
                return route.answer(self._host, request, name)
        except RefusedError as refused:
            return as_json({"message": refused.message}, refused.status)
        except Exception as error:  # noqa: BLE001 - a bug here is told to the client, and the Engine goes on
            self._host.clockwork.bugs.append(f"{request.method} {path}: {error!r}")
            return as_json({"message": f"a bug of the practice engine: {error!r}"}, 500)

    def _hold(self) -> None:
        """Be as silent, or as slow, as somebody asked for."""
        assert self._host is not None  # noqa: S101 - as above
        faults = self._host.world.faults
        with self._host.clockwork.lock:
            wait_for = self._host.clockwork.wait_for
            if self._host.world.frozen:
                world = self._host.world
                wait_for(lambda: not world.frozen)
            if faults.slow:
                wait_for(lambda: not faults.slow, faults.slow)
