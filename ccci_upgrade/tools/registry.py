"""Credentials for a registry, as Docker itself finds them: the `X-Registry-Auth` header, nothing else.

Formats: the `auths`, `credHelpers` and `credsStore` of docker's `config.json`; a helper is
`docker-credential-NAME get` with the server on its input (github.com/docker/docker-credential-helpers).
Values are secrets: they are returned, never shown.
"""

import base64
import binascii
import json
import os
import re
from pathlib import Path

from ccci_upgrade.process import run

HELPER_SECONDS = 10.0

_HUB = "https://index.docker.io/v1/"
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LARGEST = 1024 * 1024


def registry_auth(repository: str, docker_config_dir: Path | None = None) -> str:
    """The header for an image's repository (`postgres`, `ci.example.org/x/y`); "" for an anonymous pull.

    A configuration that cannot be read means anonymous: the registry's own answer then says what is missing.
    """
    folder = docker_config_dir or Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    config = _config(folder / "config.json")
    server = server_of(repository)
    found = _from_helper(config, server) or _from_auths(config, server)
    if not found:
        return ""
    return base64.urlsafe_b64encode(json.dumps(found | {"serveraddress": server}).encode()).decode()


def server_of(repository: str) -> str:
    """The registry of a repository by Docker's rule; the Hub has a name of its own in configurations."""
    first, slash, _ = repository.partition("/")
    has_host = bool(slash) and (first == "localhost" or re.search("[.:A-Z]", first) is not None)
    return first if has_host and first not in ("docker.io", "index.docker.io") else _HUB


def _config(path: Path) -> dict[str, object]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return {}
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _from_helper(config: dict[str, object], server: str) -> dict[str, str]:
    helpers = config.get("credHelpers")
    name = helpers.get(server) if isinstance(helpers, dict) else None
    name = name or config.get("credsStore")
    if not isinstance(name, str) or not _HELPER.fullmatch(name):
        return {}
    done = run([f"docker-credential-{name}", "get"], seconds=HELPER_SECONDS, data=server.encode())
    if done.code != 0 or done.timed_out:
        return {}
    try:
        said = json.loads(done.out)
    except ValueError:
        return {}
    user, secret = (said.get("Username"), said.get("Secret")) if isinstance(said, dict) else (None, None)
    if not isinstance(user, str) or not isinstance(secret, str) or not secret:
        return {}
    return {"identitytoken": secret} if user == "<token>" else {"username": user, "password": secret}


def _from_auths(config: dict[str, object], server: str) -> dict[str, str]:
    auths = config.get("auths")
    if not isinstance(auths, dict):
        return {}
    by_host = {_host(key): value for key, value in auths.items()}
    entry = auths.get(server) or by_host.get(_host(server))
    if not isinstance(entry, dict):
        return {}
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return {"identitytoken": token}
    try:
        user, _, password = base64.b64decode(str(entry.get("auth") or "")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return {}
    return {"username": user, "password": password.rstrip("\0")} if user else {}


def _host(server: str) -> str:
    """The host of a key: old configurations have whole addresses."""
    return server.removeprefix("https://").removeprefix("http://").partition("/")[0]
