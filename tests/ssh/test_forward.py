"""The forward itself, on a real sshd: probes through it, and its end, however ours comes about."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme

from ccci_upgrade.errors import EngineError
from ccci_upgrade.model.probe import Gap, Probe, ProbeKind
from ccci_upgrade.tools.forward import Forward
from ccci_upgrade.tools.ssh import parse_target
from ccci_upgrade.tools.web import run_probes
from tests.ssh.server import SshServer, alive, ssh_server, until
from tests.webserver import Server, Talk, make_tls, page, serve

NAME = "app.ci.example.org"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SshServer]:
    """Give an sshd, and a PATH on which ours is the ssh."""
    with TemporaryDirectory(prefix="far-") as folder, ssh_server(Path(folder)) as made:
        monkeypatch.setenv("PATH", made.path)
        yield made
        until(lambda: not made.running(), "an ssh was left behind")


def place(web: Server) -> tuple[str, int]:
    """Host and port of a web server."""
    host, _, port = web.address.rpartition(":")
    return host, int(port)


def test_probes_go_through_the_same_ssh_with_their_own_names(server: SshServer) -> None:
    """Connected over there, while Host, SNI and certificate are those of the URL."""
    authority = trustme.CA()
    tls = make_tls({NAME: authority.issue_cert(NAME)}, default=authority.issue_cert("other.example.org"))
    with serve(page(b"hello"), tls=tls) as web:
        forward = Forward(parse_target(server.url()), [place(web)])
        forward.open(may_ask=False)
        probes = (
            Probe(name="page", url=f"https://{NAME}/x", address=web.address, body="hello"),
            Probe(name="tls", kind=ProbeKind.CERTIFICATE, url=f"https://{NAME}", address=web.address),
            Probe(name="tcp", kind=ProbeKind.TCP, url=f"tcp://{NAME}:1", address=web.address),
            Probe(name="none", url=f"https://{NAME}/", address="127.0.0.1:9"),
        )
        try:
            got = run_probes(probes, seconds_total=15, cancelled=threading.Event(), door=forward.door)
        finally:
            forward.close()

    found = {result.name: result for result in got}
    assert found["page"].ok, found["page"].detail
    assert found["tls"].facts["names"] == NAME
    assert found["tcp"].ok, found["tcp"].detail
    assert found["none"].gap is Gap.NOT_RUN
    assert web.asked
    assert len(server.started()) == 1


def test_a_port_that_is_closed_over_there_is_red(server: SshServer) -> None:
    """Ssh accepts before it knows; a probe must not take that for an answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        pair = ("127.0.0.1", int(free.getsockname()[1]))
        address = f"{pair[0]}:{pair[1]}"
        forward = Forward(parse_target(server.url()), [pair])
        forward.open(may_ask=False)
        probes = (
            Probe(name="page", url=f"http://{NAME}/", address=address),
            Probe(name="tcp", kind=ProbeKind.TCP, url=f"tcp://{NAME}:1", address=address),
        )
        try:
            got = run_probes(probes, seconds_total=15, cancelled=threading.Event(), door=forward.door)
        finally:
            forward.close()

    assert [result.red for result in got] == [True, True]


def test_a_probe_cut_off_with_the_connection_is_no_bad_answer(server: SshServer) -> None:
    """The app is not to blame for a lost ssh: the probe was not asked."""
    asked = threading.Event()

    def answer(talk: Talk) -> None:
        asked.set()
        talk.stopping.wait(30)

    def cut() -> None:
        asked.wait(20)
        server.cut()

    with serve(answer) as web:
        forward = Forward(parse_target(server.url()), [place(web)])
        forward.open(may_ask=False)
        cutter = threading.Thread(target=cut)
        cutter.start()
        probe = Probe(name="page", url=f"http://{NAME}/", address=web.address)
        try:
            (got,) = run_probes([probe], seconds_total=20, cancelled=threading.Event(), door=forward.door)
        finally:
            cutter.join(30)
            forward.close()

    assert got.gap is Gap.NOT_RUN, got.detail


def test_a_lost_connection_is_opened_anew_by_one_ssh(server: SshServer) -> None:
    """Whoever asks first connects; all others wait for that one, and share its error while it cannot be had."""
    forward = Forward(parse_target(server.url()))
    forward.open(may_ask=False)
    first = forward.socket()
    server.cut()
    until(lambda: not first.parent.exists(), "ssh did not end")
    errors: list[str] = []

    def ask() -> None:
        try:
            forward.socket()
        except EngineError as error:
            errors.append(error.message)

    asking = [threading.Thread(target=ask) for _ in range(8)]
    for each in asking:
        each.start()
    for each in asking:
        each.join(30)
    tried = len(server.started())
    server.start()
    time.sleep(2.1)
    second = forward.socket()
    forward.close()

    assert len(errors) == 8
    assert tried == 2
    assert second != first
    assert not first.parent.exists()
    assert not second.parent.exists()
    with pytest.raises(EngineError, match="closed"):
        forward.socket()


HOLD = """
import sys, time
from ccci_upgrade.tools.forward import Forward
from ccci_upgrade.tools.ssh import parse_target
forward = Forward(parse_target(sys.argv[1]))
forward.open(may_ask=False)
print(forward.socket().parent, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ssh_and_its_sockets_go_when_we_are_gone(server: SshServer, number: signal.Signals) -> None:
    """However the program ends, killed outright too."""
    words = (sys.executable, "-c", HOLD, server.url())
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env) as child:
        assert child.stdout is not None
        folder = Path(child.stdout.readline().decode().strip())
        (pid,) = server.started()
        assert alive(pid)
        assert folder.stat().st_mode & 0o777 == 0o700
        child.send_signal(number)
        child.wait(timeout=20)

    until(lambda: not alive(pid) and not folder.exists(), "ssh or its sockets stayed", 5.0)


def test_a_server_that_says_nothing_is_waited_for_no_longer_than_said(server: SshServer) -> None:
    """A port that accepts and is silent: ssh's own deadline ends it, in words."""
    server.cut()
    with socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        silent.bind(("127.0.0.1", server.port))
        silent.listen(4)
        began = time.monotonic()
        forward = Forward(parse_target(server.url()))
        with pytest.raises(EngineError, match="cannot be reached by ssh"):
            forward.open(may_ask=False)
        forward.close()

    assert time.monotonic() - began < 22
