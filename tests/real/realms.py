"""Keycloak's realms, through its admin interface: `python -m tests.real.realms make|list [NAME]`.

A program of its own, since Keycloak answers in the Engine's network only. The admin's password comes on
standard input; the realms' names go to standard output, one a line.
"""

import sys

import httpx

from tests.real.recipe import PORT

_SECONDS = 60.0


def main(action: str, name: str, password: str) -> None:
    """Make a realm, or list all. httpx.HTTPStatusError where Keycloak refuses."""
    # Without the environment's proxies: this is loopback.
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=_SECONDS, trust_env=False) as web:
        web.headers["Authorization"] = f"Bearer {_token(web, password)}"
        if action == "make":
            web.post("/admin/realms", json={"realm": name, "enabled": True}).raise_for_status()
        listed = web.get("/admin/realms", params={"briefRepresentation": "true"}).raise_for_status()
        sys.stdout.write("".join(f"{realm['realm']}\n" for realm in listed.json()))


def _token(web: httpx.Client, password: str) -> str:
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": password}
    answer = web.post("/realms/master/protocol/openid-connect/token", data=form).raise_for_status()
    return str(answer.json()["access_token"])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdin.read())
