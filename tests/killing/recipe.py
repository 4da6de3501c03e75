"""A small app with a database, as a recipe whose every wait is short: two services, two volumes that hold data.

Both write into their volumes which version they are, and an older one refuses what a newer one has written: an
app that came back on the wrong data is down.
"""

from ccci_upgrade.practice.world.source import Source, Step

NAME = "keycloak"
"""The recipe: its profile holds data."""

APP = "keycloak.ci.example.org"
STACK = "keycloak_ci_example_org"
SERVER = "ci.example.org"
SERVICES = (f"{STACK}_app", f"{STACK}_db")
VOLUMES = (f"{STACK}_mariadb", f"{STACK}_providers")
OLD, NEW = "10.0.0+26.0.0", "10.1.0+26.1.0"
OLD_IMAGE, NEW_IMAGE, DATABASE = "keycloak/keycloak:26.0.0", "keycloak/keycloak:26.1.0", "mariadb:10.6"
IMAGES = {OLD: OLD_IMAGE, NEW: NEW_IMAGE}

_DEPLOY = """    healthcheck:
      test: ["CMD", "/healthcheck"]
      interval: 50ms
      timeout: 2s
      retries: 3
      start_period: 5s
    networks:
      - own
    stop_grace_period: 2s
    deploy:
      update_config:
        failure_action: rollback
        order: stop-first
        monitor: 50ms
      restart_policy:
        condition: any
        delay: 50ms
"""

COMPOSE = f"""---
version: "3.8"

services:
  app:
    image: {OLD_IMAGE}
    environment:
      - DATA_DIR=/opt/keycloak/providers
    volumes:
      - providers:/opt/keycloak/providers
{_DEPLOY}      labels:
        - "coop-cloud.${{STACK_NAME}}.version={OLD}"

  db:
    image: {DATABASE}
    environment:
      - DATA_DIR=/var/lib/mysql
    volumes:
      - mariadb:/var/lib/mysql
{_DEPLOY}
networks:
  own:
    external: true
    name: host

volumes:
  mariadb:
  providers:
"""

SOURCE = Source(
    name=NAME,
    first=OLD,
    files={"compose.yml": COMPOSE, ".env.sample": "TYPE=keycloak\n\nDOMAIN=keycloak.example.com\n"},
    steps=(Step(version=NEW, images={"app": NEW_IMAGE}, note="It is quicker.\n"),),
)

ENV = f"TYPE=keycloak:{OLD}\nTIMEOUT=90\n\nDOMAIN={APP}\n"
