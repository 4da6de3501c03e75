"""Probes as the configuration file writes them: one table `[[apps."…".probes]]` in, one `Probe` out.

Every wrong key, type or value is one UsageError that begins with `where`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import cast
from urllib.parse import urlsplit

from ccci_upgrade.errors import UsageError
from ccci_upgrade.model.answer import is_regex, parse_path
from ccci_upgrade.model.probe import Probe, ProbeKind, Scalar, Token, split_address

_KINDS = ("url", "tcp", "command")
_HTTP_ONLY = ("status", "headers", "body", "json", "verify", "token_env", "token_file")
_KEYS = ("name", *_KINDS, *_HTTP_ONLY, "timeout", "address")
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)(ms|s|m)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}
_LONGEST = 300.0
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,80}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")
_PORTS = range(1, 65536)
_STATUSES = range(100, 600)


def probe_from_config(mapping: Mapping[str, object], domain: str, where: str) -> Probe:
    """Read one table; `{domain}` in `url`, `tcp` and `command` becomes the app's domain.

    Exactly one of `url`, `tcp` and `command` says what is asked. A probe with a token verifies certificates
    always: a token is not given to whoever answers.

    Raises:
        UsageError: a key, type or value is wrong.
    """
    table = _Table(mapping, where)
    kinds = [kind for kind in _KINDS if kind in mapping]
    if len(kinds) != 1:
        raise table.wrong("one of `url`, `tcp` and `command` is needed", 'like url = "https://{domain}/"')
    for key in mapping:
        if key not in _KEYS:
            raise table.wrong(f"`{key}` is no setting of a probe", f"the settings are {', '.join(_KEYS)}")
        if key in _HTTP_ONLY and kinds != ["url"]:
            raise table.wrong(
                f"`{key}` goes with `url` only", f"remove it, or ask by `url` instead of `{kinds[0]}`"
            )
    name = table.text("name")
    if not name or _NAME.fullmatch(name) is None:
        raise table.wrong("`name` must be a line of 1 to 80 characters", 'like name = "realm"')
    match kinds[0]:
        case "url":
            return _http(table, name, domain)
        case "tcp":
            return _tcp(table, name, domain)
        case _:
            return _command(table, name, domain)


def probes_from_config(tables: Iterable[Mapping[str, object]], domain: str, where: str) -> tuple[Probe, ...]:
    """Read all of an app's tables; errors begin with `where` and the table's number.

    Raises:
        UsageError: a key, type or value is wrong, or a name is there twice (results are matched by name).
    """
    probes: dict[str, Probe] = {}
    for number, mapping in enumerate(tables, start=1):
        probe = probe_from_config(mapping, domain, f"{where} {number}")
        if probe.name in probes:
            hint = "give every probe of an app its own name"
            raise UsageError(f"{where} {number}: the name {probe.name!r} is there twice", hint=hint)
        probes[probe.name] = probe
    return tuple(probes.values())


class _Table:
    """One table, read key by key."""

    def __init__(self, mapping: Mapping[str, object], where: str) -> None:
        self._mapping = mapping
        self._where = where

    def wrong(self, what: str, hint: str) -> UsageError:
        return UsageError(f"{self._where}: {what}", hint=hint)

    def get(self, key: str) -> object:
        return self._mapping.get(key)

    def text(self, key: str) -> str:
        value = self.get(key)
        if value is None:
            return ""
        if not isinstance(value, str) or not value:
            raise self.wrong(f"`{key}` must be a text that is not empty", f'like {key} = "…"')
        return value

    def table(self, key: str) -> dict[str, object]:
        value = self.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict) or not value:
            raise self.wrong(f"`{key}` must be a table", f'like {key} = {{ "…" = "…" }}')
        return value

    def truth(self, key: str) -> bool | None:
        value = self.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(f"`{key}` must be true or false", f"like {key} = true")
        return value

    def seconds(self) -> float:
        text = self.text("timeout")
        if not text:
            return 10.0
        match = _DURATION.fullmatch(text)
        value = float(match[1]) * _UNITS[match[2]] if match else 0.0
        if not 0 < value <= _LONGEST:
            raise self.wrong(f"`timeout` {text!r} is no duration up to 5m", 'write it like "10s" or "500ms"')
        return value

    def address(self) -> str:
        text = self.text("address")
        try:
            return text if not text or split_address(text) else ""
        except ValueError as error:
            hint = 'write it like "127.0.0.1" or "[::1]:8443"'
            raise self.wrong(f"`address` {text!r} is no address", hint) from error

    def matcher(self, key: str, value: object) -> str:
        """Read a text or a /regex/."""
        if not isinstance(value, str) or not value:
            raise self.wrong(f"`{key}` must be a text that is not empty", "a text, or /a regex/")
        if is_regex(value):
            try:
                re.compile(value[1:-1])
            except (re.error, OverflowError, RecursionError) as error:
                raise self.wrong(f"`{key}` is no regular expression: {error}", "correct it") from error
        return value


def _http(table: _Table, name: str, domain: str) -> Probe:
    url = table.text("url").replace("{domain}", domain)
    _check_url(table, url)
    token = _token(table, url)
    return Probe(
        name=name,
        url=url,
        address=table.address(),
        status=_statuses(table),
        headers=_headers(table),
        body=table.matcher("body", table.get("body")) if table.get("body") is not None else "",
        json=_json(table),
        verify_tls=_verify(table, token),
        token=token,
        seconds=table.seconds(),
    )


def _tcp(table: _Table, name: str, domain: str) -> Probe:
    target = table.text("tcp").replace("{domain}", domain)
    try:
        parts = urlsplit(f"tcp://{target}")
        fits = bool(parts.hostname) and parts.port in _PORTS and parts.netloc == target and "@" not in target
    except ValueError:
        fits = False
    if not fits:
        raise table.wrong(f"`tcp` {target!r} is no host and port", 'write it like "{domain}:5432"')
    return Probe(
        name=name, kind=ProbeKind.TCP, url=f"tcp://{target}", address=table.address(), seconds=table.seconds()
    )


def _command(table: _Table, name: str, domain: str) -> Probe:
    value = table.get("command")
    words = value if isinstance(value, list) else []
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise table.wrong(
            "`command` must be a list of texts", 'like command = ["pg_isready", "-h", "{domain}"]'
        )
    if "=" in words[0]:
        raise table.wrong("`command` must begin with a program, not with a setting", 'like ["sh", "-c", "…"]')
    if table.get("address") is not None:
        raise table.wrong("`address` goes with `url` and `tcp` only", "remove it")
    command = tuple(str(word).replace("{domain}", domain) for word in words)
    return Probe(name=name, kind=ProbeKind.COMMAND, command=command, seconds=table.seconds())


def _check_url(table: _Table, url: str) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits, parts = False, urlsplit("")
    if not fits or any(ord(c) <= 0x20 or ord(c) == 0x7F for c in url):  # noqa: PLR2004 - ASCII's controls, space
        raise table.wrong(f"`url` {url!r} is no URL", 'write it like "https://{domain}/path"')
    if parts.username is not None or parts.password is not None:
        raise table.wrong("`url` must hold no password", "name a token with `token_env` or `token_file`")


def _statuses(table: _Table) -> tuple[int, ...]:
    value = table.get("status")
    if value is None:
        return (200,)
    listed = value if isinstance(value, list) else [value]
    good = [s for s in listed if isinstance(s, int) and not isinstance(s, bool) and s in _STATUSES]
    if not listed or len(good) != len(listed):
        raise table.wrong("`status` must be one or several of 100 to 599", "like status = [200, 302]")
    return tuple(good)


def _headers(table: _Table) -> dict[str, str]:
    found = {}
    for name, value in table.table("headers").items():
        if _HEADER.fullmatch(name) is None:
            raise table.wrong(f"`headers` {name!r} is no name of a header", 'like "Content-Type"')
        found[name] = table.matcher(f"headers.{name}", value)
    return found


def _json(table: _Table) -> dict[str, Scalar]:
    wanted = table.table("json")
    for path, value in wanted.items():
        if not isinstance(value, str | int | float | bool):
            raise table.wrong(f"`json.{path}` must be a text, a number, true or false", 'like { "a.b" = 1 }')
        try:
            parse_path(path)
        except ValueError as error:
            raise table.wrong(f"`json` {path!r} is no path", 'write it like "a.b[0].c"') from error
    return cast("dict[str, Scalar]", wanted)


def _token(table: _Table, url: str) -> Token | None:
    env, file = table.text("token_env"), table.text("token_file")
    if not env and not file:
        return None
    if env and file:
        raise table.wrong("`token_env` and `token_file` exclude each other", "keep one")
    address = table.address()
    host = split_address(address)[0] if address else urlsplit(url).hostname or ""
    if not url.startswith("https:") and _LOOPBACK.fullmatch(host) is None:
        raise table.wrong("a token is sent over https only", "ask by an https URL")
    return Token(env=env, file=file)


def _verify(table: _Table, token: Token | None) -> bool:
    said = table.truth("verify")
    if token is not None and said is False:
        raise table.wrong("`verify` = false does not go with a token", "remove one of them")
    return said if said is not None else token is not None
