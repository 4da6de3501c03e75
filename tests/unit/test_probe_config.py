"""Probes as the configuration writes them."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccci_upgrade.errors import UsageError
from ccci_upgrade.model.probe import Probe, ProbeKind, Token
from ccci_upgrade.model.probe_config import probe_from_config, probes_from_config

WHERE = "ccci-upgrade.toml: probe 1"


def read(text: str) -> Probe:
    """Read one table of TOML."""
    return probe_from_config(tomllib.loads(text), "app.ci.example.org", WHERE)


def test_whole_table_is_read() -> None:
    """Every key of an HTTP probe."""
    found = read("""
        name = "realm"
        url = "https://{domain}/realms/master"
        status = [200, 302]
        headers = { "Content-Type" = "/json/" }
        body = "realm"
        json = { "a.b[0]" = "x", "n" = 3, "t" = true }
        timeout = "1.5s"
        address = "127.0.0.1:8443"
        verify = true
        token_env = "TOKEN"
    """)

    assert found == Probe(
        name="realm",
        url="https://app.ci.example.org/realms/master",
        status=(200, 302),
        headers={"Content-Type": "/json/"},
        body="realm",
        json={"a.b[0]": "x", "n": 3, "t": True},
        seconds=1.5,
        address="127.0.0.1:8443",
        verify_tls=True,
        token=Token(env="TOKEN"),
    )


def test_defaults_are_200_within_ten_seconds_and_any_certificate() -> None:
    """The certificate is judged by a probe of its own."""
    assert read('name = "p"\nurl = "http://{domain}/"') == Probe(name="p", url="http://app.ci.example.org/")
    assert read('name = "p"\nurl = "http://h/"\nstatus = 204').status == (204,)


def test_tcp_and_command_are_read() -> None:
    """The domain is filled in there, too."""
    tcp = read('name = "db"\ntcp = "{domain}:5432"\ntimeout = "500ms"\naddress = "::1"')
    command = read('name = "c"\ncommand = ["check", "--host={domain}"]')

    assert (tcp.kind, tcp.url, tcp.address, tcp.seconds) == (
        ProbeKind.TCP,
        "tcp://app.ci.example.org:5432",
        "::1",
        0.5,
    )
    assert (command.kind, command.command) == (ProbeKind.COMMAND, ("check", "--host=app.ci.example.org"))


def test_token_verifies_the_certificate_unasked() -> None:
    """A token is not given to whoever answers."""
    assert read('name = "p"\nurl = "https://h/"\ntoken_file = "/run/secrets/t"').verify_tls
    assert read('name = "p"\nurl = "http://h/"\naddress = "127.0.0.1:80"\ntoken_env = "T"').token == Token(
        env="T"
    )
    assert read('name = "p"\nurl = "http://[::1]:80/"\ntoken_env = "T"').token == Token(env="T")


HTTP = 'name = "p"\nurl = "https://h/"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('name = "p"', "one of `url`, `tcp` and `command`"),
        (HTTP + 'tcp = "h:1"', "one of `url`, `tcp` and `command`"),
        (HTTP + "retries = 3", "`retries` is no setting"),
        ('url = "https://h/"', "`name`"),
        ('name = ""\nurl = "https://h/"', "`name`"),
        ('name = 3\nurl = "https://h/"', "`name`"),
        ('name = "a\\u001b"\nurl = "https://h/"', "`name`"),
        ('name = "p"\nurl = 3', "`url`"),
        ('name = "p"\nurl = "ftp://h/"', "is no URL"),
        ('name = "p"\nurl = "https:///x"', "is no URL"),
        ('name = "p"\nurl = "https://h:99999/"', "is no URL"),
        ('name = "p"\nurl = "https://[::1/"', "is no URL"),
        ('name = "p"\nurl = "https://h/a b"', "is no URL"),
        ('name = "p"\nurl = "https://u:pw@h/"', "no password"),
        ('name = "p"\ntcp = "h"', "no host and port"),
        ('name = "p"\ntcp = "h:0"', "no host and port"),
        ('name = "p"\ntcp = "h:1/x"', "no host and port"),
        ('name = "p"\ntcp = "h:1"\nstatus = 200', "`status` goes with `url` only"),
        ('name = "p"\ncommand = "true"', "list of texts"),
        ('name = "p"\ncommand = []', "list of texts"),
        ('name = "p"\ncommand = ["x", 3]', "list of texts"),
        ('name = "p"\ncommand = ["A=1", "x"]', "begin with a program"),
        ('name = "p"\ncommand = ["x"]\naddress = "::1"', "`address` goes with"),
        (HTTP + "status = true", "`status`"),
        (HTTP + "status = []", "`status`"),
        (HTTP + "status = [200, 99]", "`status`"),
        (HTTP + 'status = "200"', "`status`"),
        (HTTP + 'headers = "x"', "`headers`"),
        (HTTP + 'headers = { "a b" = "x" }', "no name of a header"),
        (HTTP + 'headers = { "X" = 3 }', "`headers.X`"),
        (HTTP + 'body = ""', "`body`"),
        (HTTP + 'body = "/(/"', "no regular expression"),
        (HTTP + 'json = { "a..b" = 1 }', "is no path"),
        (HTTP + 'json = { "a" = [1] }', "`json.a`"),
        (HTTP + "json = {}", "`json`"),
        (HTTP + 'timeout = "ten"', "no duration"),
        (HTTP + 'timeout = "0s"', "no duration"),
        (HTTP + 'timeout = "6m"', "no duration"),
        (HTTP + "timeout = 10", "`timeout`"),
        (HTTP + 'address = "http://h"', "no address"),
        (HTTP + 'verify = "yes"', "`verify`"),
        (HTTP + 'token_env = "T"\ntoken_file = "f"', "exclude each other"),
        (HTTP + 'token_env = "T"\nverify = false', "does not go with a token"),
        ('name = "p"\nurl = "http://h/"\ntoken_env = "T"', "over https only"),
        ('name = "p"\nurl = "http://127.0.0.1/"\naddress = "10.0.0.1"\ntoken_env = "T"', "over https only"),
    ],
)
def test_wrong_table_is_one_error_that_says_where(text: str, said: str) -> None:
    """Where, what, and how to write it."""
    with pytest.raises(UsageError) as caught:
        read(text)

    assert caught.value.message.startswith(WHERE)
    assert said in caught.value.message
    assert caught.value.hint


def test_name_that_is_there_twice_is_refused() -> None:
    """Results before and after are matched by name."""
    tables = [{"name": "p", "url": "https://h/"}, {"name": "q", "tcp": "h:1"}, {"name": "p", "tcp": "h:2"}]

    assert [p.name for p in probes_from_config(tables[:2], "d", WHERE)] == ["p", "q"]
    with pytest.raises(UsageError, match=r"probe 1 3: the name 'p' is there twice"):
        probes_from_config(tables, "d", WHERE)


KEYS = [
    "name",
    "url",
    "tcp",
    "command",
    "status",
    "headers",
    "body",
    "json",
    "timeout",
    "address",
    "verify",
    "token_env",
]
VALUES = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["https://h/", "h:1", "10s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_any_table_is_a_probe_or_a_usage_error(table: dict[str, object]) -> None:
    """No TOML brings a traceback."""
    try:
        found = probe_from_config({"name": "p", **table}, "app.ci.example.org", WHERE)
    except UsageError:
        return
    assert found.seconds > 0
