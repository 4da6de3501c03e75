"""Reading commands from afar: the same documents over one ssh, and one clear error for each way it can fail."""

import json
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ccci_upgrade.errors import NotReadyError
from ccci_upgrade.tools.ssh import Target, argv, parse_target
from tests.ssh.conftest import Far
from tests.ssh.server import ALIAS, until

READING = (("status", "--offline"), ("plan", "--offline"), ("health",), ("notes", "traefik", "--offline"))


@pytest.mark.parametrize("words", READING, ids=lambda words: words[0])
def test_a_far_server_reads_as_a_near_one(far: Far, words: tuple[str, ...]) -> None:
    """One ssh process, which ends with the command and leaves no socket; the answer is the near one's."""
    there = far.run(*words, "--json")
    far.at(far.scene.engine.url)
    here = far.run(*words, "--json")

    assert (there.code, here.code) == (0, 0), there.err
    assert len(far.server.started()) == 1
    assert not far.server.sockets()
    assert _steady(there.out) == _steady(here.out)


def test_many_servers_have_an_ssh_each(far: Far) -> None:
    """`status` of all servers asks them at once, each over its own ssh; a dead one hides no other."""
    servers = far.scene.abra_dir / "servers"
    lines = far.scene.config.read_text().splitlines()
    far.scene.config.write_text("\n".join(line for line in lines if not line.startswith("server =")))
    for name, url in (("second.example.org", far.server.url()), ("dead.example.org", "ssh://dead.invalid")):
        (servers / name).mkdir()
        with far.scene.config.open("a") as config:
            config.write(f'\n[servers."{name}"]\ndocker_host = "{url}"\n')
    (servers / "second.example.org" / "a.env").write_text("TYPE=traefik\nDOMAIN=a.example.org\n")

    ran = far.run("status", "--json", "--offline")

    document = json.loads(ran.out)
    assert ran.code == 13
    assert "traefik.ci.example.org" in {row["app"] for row in document["data"]["apps"]}
    assert len(far.server.started()) == 3
    assert any("dead.invalid" in error["message"] for error in document["errors"])


def _unknown(far: Far) -> None:
    far.server.known_hosts.write_text("")


def _changed(far: Far) -> None:
    far.server.cut()
    far.server.new_key("host")
    far.server.start()


def _keyless(far: Far) -> None:
    (far.server.folder / "authorized_keys").write_text("")


def _forbidden(far: Far) -> None:
    far.server.cut()
    far.server.configure_server("AllowStreamLocalForwarding no")
    far.server.start()


FAILING: tuple[tuple[Callable[[Far], object], str, str, str], ...] = (
    (_unknown, "ssh-host-key", "Host key verification failed", f"`ssh {ALIAS}` once"),
    (_changed, "ssh-host-key", "REMOTE HOST IDENTIFICATION HAS CHANGED", f"ssh-keygen -R '{ALIAS}'"),
    (_keyless, "ssh-denied", "Permission denied (publickey)", "ssh-add"),
    (lambda far: far.server.cut(), "ssh", "Connection refused", f"`ssh {ALIAS}`"),
    (lambda far: far.at("ssh://nowhere.invalid"), "ssh", "Could not resolve hostname", "check the name"),
    (
        lambda far: far.at(far.server.url("/run/no/docker.sock")),
        "ssh-forward",
        "/run/no/docker.sock",
        "docker version",
    ),
    (_forbidden, "ssh-forward", "takes no connection", "AllowStreamLocalForwarding"),
    (
        lambda far: far.server.bin.joinpath("ssh").write_text("#!/bin/sh\nexit 3\n"),
        "ssh",
        "without a word",
        "try it",
    ),
)


@pytest.mark.parametrize("case", FAILING, ids=lambda case: f"{case[1]}: {case[2][:24]}")
def test_each_failure_is_one_clear_error(
    far: Far, case: tuple[Callable[[Far], object], str, str, str]
) -> None:
    """Exit 13 in time, ssh's own words and what to type; nothing is left behind and no key is accepted."""
    spoil, code, said, hint = case
    known = far.server.known_hosts.read_text()
    spoil(far)

    ran = far.run("plan", "--json", "--offline")

    (error,) = json.loads(ran.out)["errors"]
    assert (ran.code, error["code"]) == (13, code)
    assert said in error["message"]
    assert hint in error["hint"]
    assert b"Traceback" not in ran.err
    assert ran.seconds < 15
    assert far.server.known_hosts.read_text() in ("", known)
    assert not far.server.sockets()


def test_doctor_says_what_it_cannot_see(far: Far) -> None:
    """The units of the server are unknown from here: never "none seen", and not bad either."""
    ran = far.run("doctor", "--json")

    checks = {check["name"]: check for check in json.loads(ran.out)["data"]["checks"]}
    assert checks["other owner"]["health"] == "unknown"
    assert ALIAS in checks["engine"]["detail"]


def test_a_plan_says_what_it_cannot_see(far: Far) -> None:
    """A warning of its own, which holds nothing; near the server it is not there."""
    there = json.loads(far.run("plan", "traefik", "--json", "--offline").out)["data"]["plans"][0]
    far.at(far.scene.engine.url)
    here = json.loads(far.run("plan", "traefik", "--json", "--offline").out)["data"]["plans"][0]

    unseen = next(finding for finding in there["findings"] if finding["id"] == "unseen")
    assert unseen["severity"] == "warn"
    assert len(unseen["evidence"]) == 2
    assert there["holds"] == here["holds"]
    assert "unseen" not in {finding["id"] for finding in here["findings"]}


def test_an_ssh_that_is_killed_is_started_again(far: Far) -> None:
    """Reading goes on over one new ssh; there are never two at once."""
    far.scene.engine.silent.set()
    got: list[Any] = []
    reading = threading.Thread(target=lambda: got.append(far.run("status", "--json", "--offline")))
    reading.start()
    until(far.server.sockets, "no connection")
    time.sleep(0.5)
    far.server.signal_connections(signal.SIGKILL)
    far.scene.engine.silent.clear()
    reading.join(60)

    assert got[0].code in (0, 13), got[0].err
    assert b"Traceback" not in got[0].err
    assert len(far.server.started()) <= 2


def test_a_connection_that_froze_is_noticed(far: Far) -> None:
    """The far sshd stands still: every wait ends, and the error names the server."""
    far.scene.engine.silent.set()
    got: list[Any] = []
    reading = threading.Thread(target=lambda: got.append(far.run("plan", "traefik", "--json", "--offline")))
    reading.start()
    until(far.server.sockets, "no connection")
    time.sleep(0.5)
    far.server.signal_connections(signal.SIGSTOP)
    try:
        reading.join(60)
    finally:
        far.server.signal_connections(signal.SIGCONT)
        far.scene.engine.silent.clear()
    reading.join(30)

    (error,) = json.loads(got[0].out)["errors"]
    assert got[0].code == 13
    assert ALIAS in error["message"]
    assert got[0].seconds < 45


ADDRESSES = {
    "ssh://ci.example.org": Target(host="ci.example.org"),
    "ssh://ci.example.org/": Target(host="ci.example.org"),
    "ssh://ops@CI.example.org:2222": Target(host="CI.example.org", user="ops", port=2222),
    "ssh://ops@[2001:db8::1]:22/run/user/1000/docker.sock": Target(
        host="2001:db8::1", user="ops", port=22, socket="/run/user/1000/docker.sock"
    ),
}
NO_ADDRESSES = (
    "ssh://", "ssh:", "ssh:///run/docker.sock", "ssh://-oProxyCommand=id", "ssh://-l@host", "ssh://a b",
    "ssh://user:secret@host", "ssh://host:0", "ssh://host:65536", "ssh://host:x", "ssh://host/a:b", "ssh://host/%d",
    "ssh://host/${HOME}", "ssh://host/../" + "x" * 120, "ssh://host?x=1", "ssh://host#x", "ssh://ho\nst", "ssh://h\0",
    "ssh://host;id", "ssh://$(id)", "ssh://%h", "ssh://-i@host", "SSH://host", "ssh://é",
)  # fmt: skip


@pytest.mark.parametrize("url", ADDRESSES)
def test_addresses_are_read_as_docker_reads_them(url: str) -> None:
    """User, host, port and the socket's path; what is not said is left to ssh's own configuration."""
    assert parse_target(url) == ADDRESSES[url]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_nothing_odd_reaches_ssh(url: str) -> None:
    """An address that could become an option, a token or a second word is refused before ssh is started."""
    with pytest.raises(NotReadyError, match="no address for ssh"):
        parse_target(url)


def test_ssh_is_told_nothing_that_weakens_it() -> None:
    """Host keys are the person's configuration's; the host comes after `--`; nobody is asked in a batch."""
    words = argv(Target(host="h", user="u", port=5), [], batch=True)

    assert words[-2:] == ("--", "u@h")
    assert words[-4:-2] == ("-p", "5")
    assert "BatchMode=yes" in words
    assert not [word for word in words if "StrictHostKeyChecking" in word or "KnownHosts" in word]


def _steady(out: bytes) -> object:
    """A document without what differs from call to call, and without what afar cannot be seen."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in ("seconds", "socket")}
        if isinstance(value, list):
            return [strip(v) for v in value if not (isinstance(v, dict) and v.get("id") == "unseen")]
        return value

    return strip(json.loads(out))
