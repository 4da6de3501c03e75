"""The recipe keycloak with its two real versions, as its maintainers would write it, and an app's `.env`."""

from ccci_upgrade.practice.world.source import Source, Step
from tests.real.images import MARIADB, NEW, OLD

OLD_VERSION, NEW_VERSION = f"10.7.0+{OLD}", f"11.0.0+{NEW}"
PORT = 8081

_COMPOSE = f"""---
version: "3.8"

services:
  app:
    image: quay.io/keycloak/keycloak:{OLD}
    entrypoint:
      - sh
      - -c
      - >-
        KEYCLOAK_ADMIN_PASSWORD="$$(cat /run/secrets/admin_password)"
        KC_DB_PASSWORD="$$(cat /run/secrets/db_password)"
        exec /opt/keycloak/bin/kc.sh start
    networks:
      - proxy
      - internal
    environment:
      - KC_DB=mariadb
      - KC_DB_URL_HOST=db
      - KC_DB_URL_DATABASE=keycloak
      - KC_DB_USERNAME=keycloak
      - KC_HOSTNAME_STRICT=false
      - KC_HTTP_ENABLED=true
      - KC_PROXY_HEADERS=xforwarded
      - KEYCLOAK_ADMIN=${{ADMIN_USERNAME:-admin}}
    secrets:
      - admin_password
      - db_password
    volumes:
      - providers:/opt/keycloak/providers
    ports:
      - target: 8080
        published: {PORT}
        protocol: tcp
        mode: host
    depends_on:
      - db
    deploy:
      endpoint_mode: dnsrr
      update_config:
        failure_action: rollback
        order: stop-first
      restart_policy:
        condition: any
        delay: 1s
      labels:
        - "coop-cloud.${{STACK_NAME}}.version={OLD_VERSION}"
        - "coop-cloud.${{STACK_NAME}}.timeout=${{TIMEOUT:-300}}"

  db:
    image: {MARIADB}
    networks:
      - internal
    environment:
      - MYSQL_DATABASE=keycloak
      - MYSQL_USER=keycloak
      - MYSQL_PASSWORD_FILE=/run/secrets/db_password
      - MYSQL_ROOT_PASSWORD_FILE=/run/secrets/db_root_password
    secrets:
      - db_password
      - db_root_password
    volumes:
      - mariadb:/var/lib/mysql
    healthcheck:
      test: ["CMD-SHELL", 'mysqladmin -u root -p"$$(cat /run/secrets/db_root_password)" ping']
      interval: 2s
      timeout: 20s
      retries: 15
      start_period: 30s
    deploy:
      endpoint_mode: dnsrr
      restart_policy:
        condition: any
        delay: 1s

networks:
  proxy:
    external: true
  internal:

volumes:
  mariadb:
  providers:

secrets:
  admin_password:
    external: true
    name: ${{STACK_NAME}}_admin_password_${{SECRET_ADMIN_PASSWORD_VERSION}}
  db_password:
    external: true
    name: ${{STACK_NAME}}_db_password_${{SECRET_DB_PASSWORD_VERSION}}
  db_root_password:
    external: true
    name: ${{STACK_NAME}}_db_root_password_${{SECRET_DB_ROOT_PASSWORD_VERSION}}
"""

SOURCE = Source(
    name="keycloak",
    first=OLD_VERSION,
    files={
        "compose.yml": _COMPOSE,
        "abra.sh": "export ENTRYPOINT_VERSION=v1\n",
        ".env.sample": "TYPE=keycloak\n\nDOMAIN=keycloak.example.com\n\nADMIN_USERNAME=admin\n"
        "SECRET_ADMIN_PASSWORD_VERSION=v1\nSECRET_DB_PASSWORD_VERSION=v1\nSECRET_DB_ROOT_PASSWORD_VERSION=v1\n",
        "README.md": "# Keycloak\n\n* **Category**: Apps\n",
    },
    steps=(
        Step(
            version=NEW_VERSION,
            images={"app": f"quay.io/keycloak/keycloak:{NEW}"},
            note="Keycloak 26 changes its database at the first start; an older one is not made for it.\n",
            swap=(
                ("KEYCLOAK_ADMIN", "KC_BOOTSTRAP_ADMIN"),
                ("KC_BOOTSTRAP_ADMIN=", "KC_BOOTSTRAP_ADMIN_USERNAME="),
            ),
        ),
    ),
)

ENV = f"""TYPE=keycloak:{OLD_VERSION}
TIMEOUT=300

DOMAIN=keycloak.ci.example.org

ADMIN_USERNAME=admin
SECRET_ADMIN_PASSWORD_VERSION=v1   # length=32 charset=default
SECRET_DB_PASSWORD_VERSION=v1      # length=32
SECRET_DB_ROOT_PASSWORD_VERSION=v1 # length=32
"""
