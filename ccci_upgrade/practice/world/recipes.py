"""The three recipes in two editions: one for a Swarm without mesh and registry, one for a practice host.

What differs from the published recipes is what the Engine below them needs. `SOURCES` and `ENV` are for a real
one in bare namespaces: `endpoint_mode: dnsrr`, host ports. `PRACTICE` and `practice_env` are for the practice
engine: one published port, behind which traefik finds the others, and more versions to practise on.
"""

import re
from dataclasses import replace

from ccci_upgrade.practice.world import drone, keycloak, traefik
from ccci_upgrade.practice.world.source import Source, Step, changed

SOURCES = (traefik.SOURCE, keycloak.SOURCE, drone.SOURCE)
ENV = {"traefik": traefik.ENV, "keycloak": keycloak.ENV, "drone": drone.ENV}

_WEB = """    ports:
      - target: 8080
        published: ${WEB_PORT}
        protocol: tcp
        mode: ingress
    healthcheck:
"""
_HOST_PORT = re.compile(r"    ports:\n      - target: \d+\n        published: \d+\n.*\n        mode: host\n")
_MODE = "      endpoint_mode: dnsrr\n"
_PORT = "\n# where this practice host is answered\nWEB_PORT={port}\n"


def practice_env(port: int) -> dict[str, str]:
    """The `.env` of each app, with the port of traefik."""
    return {**ENV, "traefik": traefik.ENV + _PORT.format(port=port)}


def _traefik() -> Source:
    compose = _meshed(traefik.COMPOSE).replace("    healthcheck:\n", _WEB, 1)
    sample = traefik.SOURCE.files[".env.sample"] + "WEB_PORT=80\n"
    broken = Step(
        version="1.2.0+3.2.0",
        images={"app": "traefik:v3.2.0"},
        note="Traefik 3.2 starts faster. Nothing to do.\n",
        swap=(
            (
                "      - DASHBOARD_ENABLED\n",
                "      - DASHBOARD_ENABLED\n      - EXIT=3 # practice: it ends at once\n",
            ),
        ),
    )
    return replace(
        traefik.SOURCE,
        files={**traefik.SOURCE.files, "compose.yml": compose, ".env.sample": sample},
        steps=(*traefik.SOURCE.steps, broken),
    )


def _keycloak() -> Source:
    minor, major = keycloak.SOURCE.steps
    late = "      - UNHEALTHY_AFTER=60 # practice: it stops answering after a minute\n"
    anchor = "      - KC_DB=mariadb\n"
    soon, later = "        delay: 1s\n", "        delay: 30s\n"  # long enough to be seen
    breaking = Step(
        version="10.1.1+26.1.1",
        images={"app": "quay.io/keycloak/keycloak:26.1.1"},
        swap=((anchor, anchor + late), (soon, later)),
    )
    return replace(
        keycloak.SOURCE,
        files={**keycloak.SOURCE.files, "compose.yml": _meshed(keycloak.COMPOSE)},
        steps=(minor, breaking, replace(major, swap=((late, ""), (later, soon)))),
    )


def _drone() -> Source:
    older = Step(version="1.7.0+2.24.0", images={"app": "drone/drone:2.24.0"})
    installed = Step(
        version="1.8.0+2.25.0",
        images={"app": "drone/drone:2.25.0"},
        note="Drone 2.25.0: builds can be cancelled by whoever started them.\n",
    )
    patch = Step(
        version="1.8.1+2.25.1",
        images={"app": "drone/drone:2.25.1"},
        note="Drone 2.25.1 fixes a leak of memory. Nothing to do.\n",
    )
    return replace(
        drone.SOURCE,
        first=older.version,
        files={**drone.SOURCE.files, "compose.yml": changed(_meshed(drone.COMPOSE), older)},
        steps=(installed, patch, *drone.SOURCE.steps),
    )


def _meshed(compose: str) -> str:
    """A compose file for an Engine that has virtual addresses: nothing but traefik needs a port there."""
    return _HOST_PORT.sub("", compose).replace(_MODE, "")


PRACTICE = (_traefik(), _keycloak(), _drone())


def images(sources: tuple[Source, ...] = PRACTICE) -> tuple[str, ...]:
    """Every image that any version of these recipes names."""
    return tuple(image for source in sources for image in source.images())
