"""Images without a registry: one static busybox, three shell scripts, and a file that tells them apart.

An app answers HTTP on port 8080 as far as the probes ask. Its environment decides how it behaves:
`START_DELAY` and `CRASH_AFTER` (seconds), `EXIT` (a code, at once), `HEALTHY=never`, `STATUS` (answered to
everything but the health check), `DATA_DIR` (where it keeps what a database keeps), `KEYS_FROM` (where keycloak
finds its keys), `IGNORE_TERM` (SIGTERM does not end it), `ISSUER_HOST` (what keycloak calls itself),
`DRONE_GITEA_SERVER` and `DRONE_GITEA_CLIENT_ID`.
"""

import io
import subprocess
import tarfile
from functools import cache
from pathlib import Path

START = (
    "traefik:v3.0.0",
    "traefik:v3.0.1",
    "traefik:v3.1.0",
    "quay.io/keycloak/keycloak:26.0.0",
    "quay.io/keycloak/keycloak:26.1.0",
    "quay.io/keycloak/keycloak:26.2.0",
    "mariadb:10.6",
    "mariadb:10.11",
    "drone/drone:2.25.0",
    "drone/drone:2.26.0",
)
"""What the recipes of a practice host use."""

_APP = r"""#!/bin/sh
trap 'exit 0' TERM INT
[ -z "$IGNORE_TERM" ] || trap '' TERM
kind=$(cat /kind) version=$(cat /version)
echo "$kind $version starting"
if [ -n "$EXIT" ]; then
    echo "fatal: $kind cannot start, exit $EXIT" >&2
    exit "$EXIT"
fi
if [ -n "$DATA_DIR" ]; then
    mkdir -p "$DATA_DIR"
    [ -e "$DATA_DIR/kid" ] || head -c 9 /dev/urandom | base64 | tr '/+' '_-' >"$DATA_DIR/kid"
    was=$(cat "$DATA_DIR/version" 2>/dev/null || echo "$version")
    newer=$(echo "$was $version" | awk '{ split($1, a, "."); split($2, b, ".");
        print (a[1] > b[1] + 0 || (a[1] == b[1] && a[2] + 0 > b[2] + 0)) ? "yes" : "no" }')
    if [ "$newer" = yes ]; then
        echo "fatal: the data was written by $was, this is $version" >&2
        exit 1
    fi
    [ "$was" = "$version" ] || echo "migrated from $was to $version" | tee -a "$DATA_DIR/migrations"
    echo "$version" >"$DATA_DIR/version"
fi
sleep "${START_DELAY:-0}" & wait $!
nc -ll -p 8080 -e /answer &
echo "$kind $version ready"
if [ -n "$CRASH_AFTER" ]; then
    sleep "$CRASH_AFTER" & wait $!
    echo "panic: $kind $version lost its mind" >&2
    exit 3
fi
wait
"""

_ANSWER = r"""#!/bin/sh
read -r method path protocol
host=localhost
while read -r line; do
    line=$(echo "$line" | tr -d '\r')
    [ -n "$line" ] || break
    case "$line" in [Hh]ost:*) host=${line#*: } ;; esac
done
kind=$(cat /kind) version=$(cat /version) location= type=application/json
realm=http://${ISSUER_HOST:-$host}/realms/master oidc=/realms/master/protocol/openid-connect
case "$kind ${path%%\?*}" in
*' /ping') status='200 OK' type=text/plain body=OK ;;
'traefik /api/version')
    status='200 OK' body="{\"Version\": \"$version\", \"Codename\": \"practice\"}" ;;
'keycloak /realms/master')
    status='200 OK' body="{\"realm\": \"master\", \"token-service\": \"http://$host$oidc\"}" ;;
'keycloak /realms/master/.well-known/openid-configuration')
    status='200 OK' body="{\"issuer\": \"$realm\", \"jwks_uri\": \"http://$host$oidc/certs\"}" ;;
'keycloak /realms/master/protocol/openid-connect/certs')
    kid=$(wget -q -O - "$KEYS_FROM" || echo none)
    status='200 OK' body="{\"keys\": [{\"kid\": \"$kid\", \"kty\": \"RSA\", \"alg\": \"RS256\", \"use\": \"sig\"}]}" ;;
'drone /healthz') status='200 OK' type=text/plain body=OK ;;
'drone /login')
    location="$DRONE_GITEA_SERVER/login/oauth/authorize?client_id=$DRONE_GITEA_CLIENT_ID&state=$$"
    status='303 See Other' type=text/plain body= ;;
'mariadb /kid') status='200 OK' type=text/plain body=$(cat "$DATA_DIR/kid") ;;
*' /') status='200 OK' type=text/plain body="$kind" ;;
*) status='404 Not Found' type=text/plain body='404 page not found' ;;
esac
if [ -n "$STATUS" ] && [ "$path" != /ping ]; then
    status="$STATUS Practice" type=text/plain location= body='as configured'
fi
printf 'HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n' "$status" "$type" "${#body}"
[ -z "$location" ] || printf 'Location: %s\r\n' "$location"
printf 'Connection: close\r\n\r\n'
[ "$method" = HEAD ] || printf '%s' "$body"
"""

_HEALTHCHECK = """#!/bin/sh
[ "$HEALTHY" != never ] && exec wget -q -O /dev/null http://127.0.0.1:8080/ping
"""

_APPLETS = [
    "awk",
    "base64",
    "cat",
    "echo",
    "head",
    "mkdir",
    "nc",
    "printf",
    "ps",
    "rm",
    "sh",
    "sleep",
    "sync",
    "tar",
    "tee",
    "touch",
    "tr",
    "wget",
    "ls",
]


def busybox() -> Path | None:
    """Where the static busybox is; None where the machine has none."""
    places = (Path("/bin/busybox"), Path("/usr/bin/busybox"))
    return next((place for place in places if place.exists() and _is_static(place)), None)


def image_tar(reference: str) -> bytes:
    """Make the root file system of one image, as `docker import` takes it."""
    repository, _, tag = reference.rpartition(":")
    files = {"kind": repository.rsplit("/", 1)[-1], "version": tag.removeprefix("v")}
    extra = io.BytesIO()
    with tarfile.open(fileobj=extra, mode="w") as tar:
        for name, text in files.items():
            _add(tar, name, text.encode(), 0o644)
    # An archive ends with two empty blocks: without them the next one simply goes on.
    return _base() + extra.getvalue()


@cache
def _base() -> bytes:
    path = busybox()
    assert path is not None
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for folder in ("bin", "etc", "tmp", "proc", "sys", "dev", "run"):
            _add_folder(tar, folder)
        _add(tar, "bin/busybox", path.read_bytes(), 0o755)
        for applet in _APPLETS:
            _add_link(tar, f"bin/{applet}")
        for name, script in (("app", _APP), ("answer", _ANSWER), ("healthcheck", _HEALTHCHECK)):
            _add(tar, name, script.encode(), 0o755)
        size = tar.offset
    return whole.getvalue()[:size]


def _add(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), mode
    tar.addfile(member, io.BytesIO(data))


def _add_folder(tar: tarfile.TarFile, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
    tar.addfile(member)


def _add_link(tar: tarfile.TarFile, name: str) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, "busybox"
    tar.addfile(member)


def _is_static(path: Path) -> bool:
    """A busybox that needs a loader would not start in an image that has none."""
    asked = subprocess.run(["ldd", str(path)], capture_output=True, check=False)  # noqa: S607 - ldd from PATH
    return asked.returncode != 0
