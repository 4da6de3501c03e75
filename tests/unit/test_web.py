"""Asking real local servers: every bad answer is one line, and every wait ends."""

import json
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import respx
import trustme

from ccci_upgrade.model.builtin_probes import built_in_probes
from ccci_upgrade.model.certificate import TRAEFIK_DEFAULT
from ccci_upgrade.model.probe import MIB, Fact, Gap, Probe, ProbeKind, ProbeResult, Token, differences
from ccci_upgrade.tools.web import run_probes, wait_probes
from tests.webserver import (
    Script,
    Server,
    Talk,
    drip,
    flood,
    hang,
    make_tls,
    page,
    routes,
    self_signed,
    serve,
)

APP = "app.ci.example.org"
NEVER = threading.Event()


def ask(probe: Probe, *, seconds: float = 20) -> ProbeResult:
    """Ask one probe."""
    (result,) = run_probes([probe], seconds_total=seconds, cancelled=threading.Event())
    return result


def ask_page(script: Script, **more: object) -> ProbeResult:
    """Ask a server with that script for its page, body included."""
    with serve(script) as server:
        probe = Probe(name="page", url=f"http://{APP}/", address=server.address, body="fine", seconds=5)
        return ask(replace(probe, **more))  # type: ignore[arg-type] # fields of Probe


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """One certificate authority for this module."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust that authority."""
    authority.cert_pem.write_to_path(str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The app's certificate by its name, traefik's own for others."""
    return make_tls(
        {APP: authority.issue_cert(APP)}, default=self_signed(TRAEFIK_DEFAULT, ["x.traefik.default"])
    )


# One exchange


def test_host_and_path_are_the_urls_and_the_connection_goes_to_the_address() -> None:
    """As if DNS pointed there; nothing else of ours is told."""
    with serve(page()) as server:
        result = ask(Probe(name="p", url=f"http://{APP}/a?b=c", address=server.address))

    assert result.ok
    assert server.asked[0].request.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert server.asked[0].headers["host"] == APP
    assert "cookie" not in server.asked[0].headers
    assert "authorization" not in server.asked[0].headers


def test_ipv6_address_is_used() -> None:
    """Host stays the app's name."""
    with serve(page(), host="::1") as server:
        result = ask(Probe(name="p", url=f"http://{APP}/", address=server.address))

    assert result.ok
    assert server.asked[0].headers["host"] == APP


def test_server_name_is_the_urls(tls: ssl.SSLContext) -> None:
    """SNI chooses the certificate, which a verifying probe would not take otherwise."""
    with serve(page(), tls=tls) as server:
        url = f"https://{APP}/"
        result = ask(Probe(name="p", kind=ProbeKind.CERTIFICATE, url=url, address=server.address))

    assert result.facts["names"] == APP


def test_untrusted_certificate_does_no_harm_to_a_health_probe(tls: ssl.SSLContext) -> None:
    """It has a probe of its own; with `verify` it counts here, too."""
    with serve(page(), tls=tls) as server:
        probe = Probe(name="p", url=f"https://{APP}/", address=server.address)
        loose, strict = ask(probe), ask(replace(probe, verify_tls=True))

    assert loose.ok
    assert strict.red
    assert "certificate verify failed" in strict.detail


@pytest.mark.usefixtures("trusted")
def test_verifying_probe_takes_the_roots_of_ssl_cert_file(tls: ssl.SSLContext) -> None:
    """And minds the name."""
    with serve(page(), tls=tls) as server:
        good = ask(Probe(name="p", url=f"https://{APP}/", address=server.address, verify_tls=True))
        bad = ask(Probe(name="p", url="https://other.example.org/", address=server.address, verify_tls=True))

    assert good.ok
    assert bad.red


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would ask somebody else."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask_page(page()).ok


def test_redirects_are_shown_and_not_followed() -> None:
    """A server that redirects for ever is asked once."""
    probe_facts = (Fact(name="status", source="status"), Fact(name="redirect", source="redirect"))
    with serve(page(b"", 302, {"Location": "/again"})) as server:
        probe = Probe(name="p", url=f"http://{APP}/", address=server.address, status=(), facts=probe_facts)
        result = ask(probe)

    assert result.facts == {"status": "302", "redirect": APP}
    assert len(server.asked) == 1


def test_location_that_is_no_url_is_shown_as_none() -> None:
    """The status is still known."""
    facts = (Fact(name="status", source="status"), Fact(name="redirect", source="redirect"))
    result = ask_page(page(b"", 302, {"Location": "http://[::1:x/\x80"}), status=(), body="", facts=facts)

    assert result.facts == {"status": "302", "redirect": ""}


def test_http_1_0_and_an_answer_without_length_are_read() -> None:
    """Old servers close at the end."""
    assert ask_page(lambda talk: talk.send(b"HTTP/1.0 200 OK\r\n\r\nall is fine")).ok


def test_chunked_answer_is_read() -> None:
    """As most apps send."""
    text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n"
    assert ask_page(lambda talk: talk.send(text)).ok


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (page(b"other"), "does not hold"),
        (page(b"fine", 500), "status 500"),
        (lambda talk: talk.send(b"SSH-2.0-OpenSSH_9\r\n"), "no HTTP"),
        (lambda talk: talk.send(b"\x00\xff\x1b[2J" * 50), "no HTTP"),
        (lambda talk: talk.send(b"HTTP/1.1 2xx Fine\r\n\r\n"), "no HTTP"),
        (lambda talk: talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nfine"), "no HTTP"),
        (lambda talk: talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nfine"), "no HTTP"),
        (lambda talk: talk.send(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000), "no HTTP"),
        (lambda talk: talk.stream.close(), "no HTTP"),
    ],
)
def test_bad_answer_is_one_printable_line(script: Script, said: str) -> None:
    """Whatever is at the port."""
    result = ask_page(script)

    assert result.red
    assert said in result.detail
    assert result.detail.isprintable()


def test_nobody_listening_is_said() -> None:
    """A closed port is red, not a gap."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = ask(Probe(name="p", url=f"http://{APP}/", address=f"127.0.0.1:{port}"))

    assert result.red
    assert "refused" in result.detail


def slow_head(talk: Talk) -> None:
    """Headers without end, a byte at a time."""
    drip(talk, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, every=0.02)


def slow_body(talk: Talk) -> None:
    """A body without end, a byte at a time."""
    talk.send(b"HTTP/1.1 200 OK\r\n\r\n")
    drip(talk, b"y" * 10_000, every=0.02)


def interim(talk: Talk) -> None:
    """Interim answers without end."""
    flood(talk, b"HTTP/1.1 103 Early Hints\r\n\r\n")


@pytest.mark.parametrize("script", [hang, slow_head, slow_body, interim])
def test_time_is_for_the_whole_exchange(script: Script) -> None:
    """A byte now and then does not begin it anew."""
    started = time.monotonic()
    result = ask_page(script, seconds=0.5)

    assert result.red
    assert "within 0.5 s" in result.detail
    assert 0.4 < result.seconds < 1.5
    assert time.monotonic() - started < 4


def test_endless_body_is_cut_and_judged_by_its_first_part() -> None:
    """1 MiB is enough for any health page."""

    def script(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\n\r\nfine")
        flood(talk, b"y" * 65536)

    good, bad = ask_page(script), ask_page(script, body="absent")

    assert good.ok
    assert "in its first part" in bad.detail


def test_body_that_nobody_needs_is_not_waited_for() -> None:
    """A stream of events is healthy when it begins."""

    def script(talk: Talk) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
        hang(talk)

    assert ask_page(script, body="").seconds < 2


def test_limit_can_be_larger_for_long_lists() -> None:
    """Drone lists all repositories at once."""
    body = json.dumps([{"active": True, "name": "n" * 1000}] * 2000).encode()
    facts = (Fact(name="repositories", source="count:"),)
    assert len(body) > MIB

    assert ask_page(page(body), body="", facts=facts, body_limit=4 * MIB).facts == {"repositories": "2000"}
    assert ask_page(page(body), body="", facts=facts).facts == {}


@pytest.mark.parametrize(
    ("error", "gap"),
    [
        (httpx.ConnectError("[Errno 111] refused\x1b[2J"), Gap.NONE),
        (httpx.ConnectTimeout("slow"), Gap.NONE),
        (httpx.ReadTimeout("slow"), Gap.NONE),
        (httpx.ReadError("reset"), Gap.NONE),
        (httpx.WriteError("pipe"), Gap.NONE),
        (httpx.RemoteProtocolError("junk\n"), Gap.NONE),
        (httpx.LocalProtocolError("ours"), Gap.NONE),
        (httpx.DecodingError("gzip"), Gap.NONE),
        (httpx.PoolTimeout(""), Gap.NONE),
        (httpx.UnsupportedProtocol(""), Gap.NONE),
        (RuntimeError("a bug"), Gap.NOT_RUN),
    ],
)
def test_every_failure_of_httpx_is_one_line(error: Exception, gap: Gap) -> None:
    """And a fault of our own is a gap: the app is not to blame."""
    with respx.mock:
        respx.get(f"https://{APP}/").mock(side_effect=error)
        result = ask(Probe(name="p", url=f"https://{APP}/"))

    assert (result.ok, result.gap) == (False, gap)
    assert result.detail.isprintable()
    assert result.detail


# Tokens


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """A file with a token as secrets are: a line."""
    path = tmp_path / "token"
    path.write_text("s3cr3t-token\n")
    return path


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("by", ["file", "env"])
def test_token_is_sent_as_bearer(
    tls: ssl.SSLContext, token_file: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """From a file or a variable, and it stands in no detail."""
    monkeypatch.setenv("OUR_TOKEN", "s3cr3t-token")
    token = Token(env="OUR_TOKEN") if by == "env" else Token(file=str(token_file))
    with serve(page(status=500), tls=tls) as server:
        probe = Probe(name="p", url=f"https://{APP}/", address=server.address, token=token, verify_tls=True)
        result = ask(probe)

    assert server.asked[0].headers["authorization"] == "Bearer s3cr3t-token"
    assert "s3cr3t" not in repr(result)


def test_token_is_kept_back_from_an_untrusted_server(tls: ssl.SSLContext, token_file: Path) -> None:
    """The check could not be made: a gap, and the server got nothing."""
    with serve(page(), tls=tls) as server:
        token = Token(file=str(token_file))
        result = ask(
            Probe(name="p", url=f"https://{APP}/", address=server.address, token=token, verify_tls=True)
        )

    assert (result.ok, result.gap) == (False, Gap.NOT_RUN)
    assert server.asked == []


@pytest.mark.parametrize("content", [None, b"", b"two words", b"a\nb", b"\xff\xfe", b"x" * 5000])
def test_token_that_cannot_be_used_is_a_gap(tmp_path: Path, content: bytes | None) -> None:
    """And nothing of it is shown."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    result = ask(Probe(name="p", url=f"https://{APP}/", address="127.0.0.1:9", token=Token(file=str(path))))

    assert (result.ok, result.gap) == (False, Gap.NOT_RUN)
    assert "no token" in result.detail
    assert "words" not in result.detail.replace("more than one word", "")


def test_roots_that_cannot_be_read_are_a_gap_for_a_verifying_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app is not to blame."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/roots.pem")
    result = ask(Probe(name="p", url=f"https://{APP}/", address="127.0.0.1:9", verify_tls=True))

    assert result.gap is Gap.NOT_RUN
    assert "/nonexistent/roots.pem" in result.detail


# Other kinds


def test_tcp_connects_several_times() -> None:
    """One accepted connection is no proof."""
    with serve(hang) as server:
        result = ask(Probe(name="p", kind=ProbeKind.TCP, url=f"tcp://{APP}:5432", address=server.address))

    assert result.ok
    assert server.connections == 3


def _close_one(listener: socket.socket) -> None:
    stream, _ = listener.accept()
    stream.close()


def test_tcp_that_accepts_and_closes_is_red() -> None:
    """A proxy without its app behind it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_close_one, args=(listener,))
        thread.start()
        url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        result = ask(Probe(name="p", kind=ProbeKind.TCP, url=url))
        thread.join(5)

    assert result.red
    assert "closed at once" in result.detail


def test_tcp_port_that_is_closed_is_red() -> None:
    """And says so."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "refused" in ask(Probe(name="p", kind=ProbeKind.TCP, url=f"tcp://127.0.0.1:{port}")).detail


def command(*words: str, seconds: float = 5) -> ProbeResult:
    """Ask by a command."""
    return ask(Probe(name="p", kind=ProbeKind.COMMAND, command=words, seconds=seconds))


def test_command_is_judged_by_its_exit_code() -> None:
    """The last line it said is the detail, tamed."""
    assert command("true").ok
    assert command("sh", "-c", "echo one; printf 'two\\033[2J'; exit 3").detail == "exit 3: two\\x1b[2J"


def test_command_that_cannot_be_started_is_a_gap() -> None:
    """The app was not asked."""
    assert command("no-such-program-here").gap is Gap.NOT_RUN


def test_command_that_hangs_is_ended() -> None:
    """With all its children."""
    started = time.monotonic()
    result = command("sh", "-c", "sleep 60 & sleep 60", seconds=0.4)

    assert result.red
    assert "within 0.4 s" in result.detail
    assert time.monotonic() - started < 5


def test_command_gets_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No secret above all."""
    monkeypatch.setenv("DRONE_TOKEN", "s3cr3t")
    result = command(sys.executable, "-c", "import os; print(sorted(os.environ))")

    assert result.ok
    assert "DRONE_TOKEN" not in result.detail
    assert "HOME" not in result.detail
    assert "PATH" in result.detail


def test_certificate_probe_tells_what_is_served(tls: ssl.SSLContext) -> None:
    """Untrusted here, and traefik's own for a name it has none for."""
    with serve(page(), tls=tls) as server:
        good = Probe(name="c", kind=ProbeKind.CERTIFICATE, url=f"https://{APP}", address=server.address)
        one, two = ask(good), ask(replace(good, url="https://other.example.org"))

    assert (one.facts["real certificate"], one.facts["trusted"]) == ("yes", "no")
    assert two.facts["real certificate"] == "no"
    assert TRAEFIK_DEFAULT in two.detail


# Many at once


def pause(seconds: float) -> Script:
    """Answer after a while."""

    def script(talk: Talk) -> None:
        talk.stopping.wait(seconds)
        talk.reply(200, b"fine")

    return script


def _timed(probes: list[Probe]) -> tuple[float, tuple[ProbeResult, ...]]:
    started = time.monotonic()
    results = run_probes(probes, seconds_total=5, cancelled=NEVER)
    return time.monotonic() - started, results


def test_probes_run_all_at_once() -> None:
    """Twelve of 200 ms take about as long as one; one after another they would take 2.4 s."""
    with serve(pause(0.2)) as server:
        probes = [Probe(name=str(n), url=f"http://{APP}/{n}", address=server.address) for n in range(12)]
        run_probes(probes[:1], seconds_total=5, cancelled=NEVER)
        rounds = [_timed(probes) for _ in range(3)]

    for _, results in rounds:
        assert [(r.name, r.ok) for r in results] == [(p.name, True) for p in probes]
    assert min(took for took, _ in rounds) < 0.6


def test_one_that_hangs_holds_up_no_other() -> None:
    """The whole ends in time, and what is not known is a gap."""
    with serve(hang) as slow, serve(page()) as quick:
        probes = [
            Probe(name="slow", url=f"http://{APP}/", address=slow.address),
            Probe(name="quick", url=f"http://{APP}/", address=quick.address),
        ]
        started = time.monotonic()
        results = run_probes(probes, seconds_total=0.5, cancelled=NEVER)
        took = time.monotonic() - started

    assert [r.gap for r in results] == [Gap.NOT_RUN, Gap.NONE]
    assert took < 1.5


def test_probe_cut_short_by_the_round_is_a_gap_and_not_red() -> None:
    """An app that had less than its own time is not proven slow, however close the end of both was."""
    with serve(hang) as server:
        probes = [Probe(name=str(n), url=f"http://{APP}/", address=server.address) for n in range(20)]
        results = run_probes(probes, seconds_total=0.3, cancelled=NEVER)

    assert {r.gap for r in results} == {Gap.NOT_RUN}


def test_cancelled_is_noticed_at_once() -> None:
    """Ctrl-C does not wait for a slow page."""
    cancelled = threading.Event()
    with serve(hang) as server:
        timer = threading.Timer(0.2, cancelled.set)
        timer.start()
        started = time.monotonic()
        probe = Probe(name="p", url=f"http://{APP}/", address=server.address)
        (result,) = run_probes([probe], seconds_total=20, cancelled=cancelled)
        took = time.monotonic() - started
        timer.join()

    assert (result.gap, result.detail) == (Gap.NOT_RUN, "cancelled")
    assert took < 1


def test_no_probes_are_no_results() -> None:
    """`probes = []` asks nothing."""
    assert run_probes([], seconds_total=1, cancelled=NEVER) == ()


def test_more_probes_than_threads_are_all_asked() -> None:
    """A Swarm may have a hundred routes."""
    with serve(page()) as server:
        probes = [Probe(name=str(n), url=f"http://{APP}/", address=server.address) for n in range(100)]
        assert all(r.ok for r in run_probes(probes, seconds_total=20, cancelled=NEVER))


# Waiting


def eventually(good: Script, *, after: int) -> Script:
    """Answer 503 for the first requests of a path."""
    seen: dict[str, int] = {}
    lock = threading.Lock()

    def script(talk: Talk) -> None:
        with lock:
            seen[talk.path] = seen.get(talk.path, 0) + 1
            ready = talk.path == "/ready" or seen[talk.path] > after
        (good if ready else page(b"starting", 503))(talk)

    return script


Wait = Callable[[Server, list[str], float], tuple[ProbeResult, ...]]


@pytest.fixture
def wait_for() -> Wait:
    """Wait for paths of a server that were all fine before."""

    def wait(server: Server, paths: list[str], seconds: float) -> tuple[ProbeResult, ...]:
        probes = [Probe(name=p, url=f"http://{APP}/{p}", address=server.address) for p in paths]
        before = [ProbeResult(name=p, ok=True, detail="", seconds=0) for p in paths]
        return wait_probes(
            probes, before, deadline=time.monotonic() + seconds, cancelled=threading.Event(), interval=0.05
        )

    return wait


def test_app_that_comes_up_late_is_waited_for(wait_for: Wait) -> None:
    """Only what is worse is asked again, and all once more at the end."""
    with serve(eventually(page(), after=4)) as server:
        results = wait_for(server, ["late", "ready"], 10)

    assert [r.ok for r in results] == [True, True]
    asked = [talk.path for talk in server.asked]
    assert asked.count("/late") == 6
    assert asked.count("/ready") == 2


def test_app_that_is_fine_is_asked_once(wait_for: Wait) -> None:
    """No time is lost on what is good."""
    with serve(page()) as server:
        wait_for(server, ["a", "b"], 10)

    assert len(server.asked) == 2


def test_app_that_stays_down_ends_with_the_deadline(wait_for: Wait) -> None:
    """The last answer is told, not that time is up."""
    started = time.monotonic()
    with serve(page(b"", 503)) as server:
        (result,) = wait_for(server, ["a"], 0.7)

    assert result.red
    assert "503" in result.detail
    assert time.monotonic() - started < 3


def test_app_that_was_red_before_is_not_waited_for() -> None:
    """Red before and red after is no difference."""
    with serve(page(b"", 503)) as server:
        probe = Probe(name="a", url=f"http://{APP}/", address=server.address)
        before = [ProbeResult(name="a", ok=False, detail="", seconds=0)]
        started = time.monotonic()
        wait_probes([probe], before, deadline=started + 10, cancelled=NEVER)

    assert time.monotonic() - started < 5
    assert len(server.asked) == 1


def test_deadline_that_is_over_leaves_everything_unknown(wait_for: Wait) -> None:
    """Not asked is never fine."""
    with serve(page()) as server:
        (result,) = wait_for(server, ["a"], -1)

    assert (result.ok, result.gap) == (False, Gap.NOT_RUN)


def test_waiting_is_cancelled_at_once() -> None:
    """Between two rounds, too."""
    cancelled = threading.Event()
    with serve(page(b"", 503)) as server:
        probe = Probe(name="a", url=f"http://{APP}/", address=server.address)
        before = [ProbeResult(name="a", ok=True, detail="", seconds=0)]
        timer = threading.Timer(0.3, cancelled.set)
        timer.start()
        started = time.monotonic()
        wait_probes([probe], before, deadline=started + 20, cancelled=cancelled, interval=10)
        timer.join()

    assert time.monotonic() - started < 2


# The built-in probes, against servers that answer as the apps do


def traefik(talk: Talk) -> None:
    """Answer as traefik does for itself."""
    talk.reply(200, b'{"Version":"3.6.1","Codename":"x","startDate":"2026-01-01T00:00:00Z"}')


@pytest.mark.usefixtures("trusted")
def test_lost_route_is_found_through_traefik(tls: ssl.SSLContext) -> None:
    """Two apps answered before; afterwards one host gets traefik's 404, with everything else green."""
    labels = [{"com.docker.stack.namespace": "app", "traefik.http.routers.a.rule": f"Host(`{APP}`)"}]

    def by_host(known: bool) -> Script:  # noqa: FBT001 - the one thing that differs
        def script(talk: Talk) -> None:
            lost = page(b"404 page not found\n", 404)
            answers = routes({"/api/version": traefik, "/": page() if known else lost})
            answers(talk)

        return script

    found = []
    for known in (True, False):
        with serve(by_host(known), tls=tls) as server:
            probes = built_in_probes("traefik", APP, {}, labels, server.address)
            found.append(run_probes(probes, seconds_total=10, cancelled=NEVER))
    before, after = found

    assert [r.ok for r in before] == [True, True, True]
    assert [(d.probe, d.text) for d in differences(before, after)] == [
        (f"route https://{APP}/", "status was 200, is 404")
    ]


def test_page_of_another_app_is_not_traefik(tls: ssl.SSLContext) -> None:
    """200 is not enough."""
    with serve(page(b"<html>dashboard</html>"), tls=tls) as server:
        probe = built_in_probes("traefik", APP, {}, (), server.address)[0]
        assert ask(probe).red


@pytest.mark.usefixtures("trusted")
def test_keycloak_with_another_issuer_or_new_keys_only_is_worse(tls: ssl.SSLContext) -> None:
    """A new key beside the old one is fine; the old one gone is not."""

    def keycloak(issuer: str, *kids: str) -> Script:
        keys = json.dumps({"keys": [{"kid": kid} for kid in kids]}).encode()
        return routes(
            {
                "/realms/master": page(b'{"realm":"master"}'),
                "/realms/master/.well-known/openid-configuration": page(
                    json.dumps({"issuer": issuer}).encode()
                ),
                "/realms/master/protocol/openid-connect/certs": page(keys),
            }
        )

    def see(script: Script) -> tuple[ProbeResult, ...]:
        with serve(script, tls=tls) as server:
            probes = built_in_probes("keycloak", APP, {}, (), server.address)
            return run_probes(probes, seconds_total=10, cancelled=NEVER)

    before = see(keycloak("https://a", "k1"))

    assert all(r.ok for r in before)
    assert differences(before, see(keycloak("https://a", "k2", "k1"))) == ()
    assert [d.probe for d in differences(before, see(keycloak("http://a", "k2")))] == [
        "issuer",
        "signing keys",
    ]


@pytest.mark.usefixtures("trusted")
def test_drone_that_lost_its_data_is_found(tls: ssl.SSLContext, token_file: Path) -> None:
    """Healthy, logged in at the right place, and yet without its repositories."""
    env = {"GITEA_DOMAIN": "git.example.org", "GITEA_CLIENT_ID": "abc"}

    def drone(repositories: int) -> Script:
        listed = json.dumps([{"slug": f"a/{n}", "active": n > 0} for n in range(repositories)]).encode()
        login = {"Location": "https://git.example.org/login/oauth/authorize?client_id=abc&state=1"}
        return routes(
            {
                "/healthz": page(),
                "/login": page(b"", 303, login),
                "/api/user/repos": page(listed),
                "/api/queue": page(b"[]"),
            }
        )

    def see(script: Script) -> dict[str, ProbeResult]:
        with serve(script, tls=tls) as server:
            token = Token(file=str(token_file))
            probes = built_in_probes("drone", APP, env, (), server.address, token=token)
            return {r.name: r for r in run_probes(probes, seconds_total=10, cancelled=NEVER)}

    before, after = see(drone(3)), see(drone(0))

    assert before["repositories"].facts == {"repositories": "3", "active repositories": "2"}
    assert before["runner"].gap is Gap.UNTOLD
    assert {d.probe for d in differences(tuple(before.values()), tuple(after.values()))} == {"repositories"}


def test_importing_the_module_loads_nothing_heavy() -> None:
    """`status` starts without httpx and ssl."""
    code = "import sys; import ccci_upgrade.tools.web; print({'httpx', 'ssl', 'httpcore'} & set(sys.modules))"
    result = command(sys.executable, "-c", f"import os; os.chdir({str(Path.cwd())!r}); {code}")

    assert result.detail == "set()"
