"""The recipe keycloak, as its maintainers would write it, with a history; and an app's `.env`."""

from ccci_upgrade.practice.world.source import HEALTH, Source, Step

COMPOSE = (
    """---
version: "3.8"

services:
  app:
    image: quay.io/keycloak/keycloak:26.0.0
    networks:
      - proxy
      - internal
    environment:
      - KC_DB=mariadb
      - KC_DB_URL_HOST=db
      - KC_HOSTNAME=https://${DOMAIN}
      - KC_PROXY_HEADERS=xforwarded
      - KC_BOOTSTRAP_ADMIN_USERNAME=${ADMIN_USERNAME:-admin}
      - KEYS_FROM=http://db:8080/kid
      - WELCOME_MESSAGE=${WELCOME_MESSAGE:-}
    secrets:
      - admin_password
      - db_password
    volumes:
      - providers:/opt/keycloak/providers
    ports:
      - target: 8080
        published: 8081
        protocol: tcp
        mode: host
"""
    + HEALTH
    + """    depends_on:
      - db
    deploy:
      endpoint_mode: dnsrr
      update_config:
        failure_action: rollback
        order: stop-first
        monitor: 2s
      restart_policy:
        condition: any
        delay: 1s
      labels:
        - "traefik.enable=true"
        - "traefik.http.services.${STACK_NAME}.loadbalancer.server.port=8080"
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)"
        - "traefik.http.routers.${STACK_NAME}.entrypoints=web-secure"
        - "coop-cloud.${STACK_NAME}.version=10.0.0+26.0.0"
        - "coop-cloud.${STACK_NAME}.timeout=${TIMEOUT:-300}"

  db:
    image: mariadb:10.6
    networks:
      - internal
    environment:
      - MYSQL_DATABASE=keycloak
      - MYSQL_USER=keycloak
      - MYSQL_PASSWORD_FILE=/run/secrets/db_password
      - MYSQL_ROOT_PASSWORD_FILE=/run/secrets/db_root_password
      - DATA_DIR=/var/lib/mysql
    secrets:
      - db_password
      - db_root_password
    volumes:
      - mariadb:/var/lib/mysql
"""
    + HEALTH
    + """    deploy:
      endpoint_mode: dnsrr
      update_config:
        order: stop-first
        monitor: 1s
      restart_policy:
        condition: any
        delay: 1s
      labels:
        - "backupbot.backup=${ENABLE_BACKUPS:-true}"
        - "backupbot.backup.volumes.mariadb.path=backup.sql"

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
    name: ${STACK_NAME}_admin_password_${SECRET_ADMIN_PASSWORD_VERSION}
  db_password:
    external: true
    name: ${STACK_NAME}_db_password_${SECRET_DB_PASSWORD_VERSION}
  db_root_password:
    external: true
    name: ${STACK_NAME}_db_root_password_${SECRET_DB_ROOT_PASSWORD_VERSION}
"""
)

SOURCE = Source(
    name="keycloak",
    first="10.0.0+26.0.0",
    files={
        "compose.yml": COMPOSE,
        "abra.sh": "export ENTRYPOINT_VERSION=v1\n",
        ".env.sample": "TYPE=keycloak\n\nDOMAIN=keycloak.example.com\n\nLETS_ENCRYPT_ENV=production\n\n"
        "ADMIN_USERNAME=admin\nSECRET_ADMIN_PASSWORD_VERSION=v1\nSECRET_DB_PASSWORD_VERSION=v1\n"
        "SECRET_DB_ROOT_PASSWORD_VERSION=v1\n",
        "README.md": "# Keycloak\n\n* **Category**: Apps\n",
    },
    steps=(
        Step(
            version="10.1.0+26.1.0",
            images={"app": "quay.io/keycloak/keycloak:26.1.0"},
            note="Keycloak 26.1: the login theme was refreshed.\n",
        ),
        Step(
            version="11.0.0+26.2.0",
            images={"app": "quay.io/keycloak/keycloak:26.2.0", "db": "mariadb:10.11"},
            note="ATTENTION: a manual migration is needed.\n\nMariaDB goes from 10.6 to 10.11. Make a backup"
            " before upgrading and run `mariadb-upgrade` in the db service afterwards.\n",
        ),
    ),
)

ENV = """TYPE=keycloak:10.0.0+26.0.0
TIMEOUT=60
#TIMEOUT=900

DOMAIN=keycloak.ci.example.org
## Domain aliases
#EXTRA_DOMAINS=', `www.keycloak.ci.example.org`'
LETS_ENCRYPT_ENV=production

ADMIN_USERNAME=admin
SECRET_ADMIN_PASSWORD_VERSION=v1   # length=32 charset=default
SECRET_DB_PASSWORD_VERSION=v1      # length=32
SECRET_DB_ROOT_PASSWORD_VERSION=v1 # length=32
"""
