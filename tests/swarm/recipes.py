"""The three recipes of a practice server, as their maintainers would write them, with a history each.

What differs from the published ones is what a Swarm without IPVS and registry needs: `endpoint_mode: dnsrr`,
host ports or the harness's mesh, quick health checks, and images that are all the same small server.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One version: the images by service that it changes, its note (None: no note file), and swapped text."""

    version: str
    images: dict[str, str] = field(default_factory=dict)
    note: str | None = None
    swap: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One recipe: the files of its first version, and its later steps."""

    name: str
    first: str
    files: dict[str, str]
    steps: tuple[Step, ...]


_HEALTH = """    healthcheck:
      test: ["CMD", "/healthcheck"]
      interval: 1s
      timeout: 2s
      retries: 3
      start_period: 5s
"""

_TRAEFIK = (
    """---
version: "3.8"

services:
  app:
    image: traefik:v3.0.0
    networks:
      - proxy
    environment:
      - LOG_LEVEL=${LOG_LEVEL:-WARN}
      - DASHBOARD_ENABLED
    volumes:
      - letsencrypt:/etc/letsencrypt
    configs:
      - source: traefik_yml
        target: /etc/traefik/traefik.yml
      - source: file_provider_yml
        target: /etc/traefik/file-provider.yml
"""
    + _HEALTH
    + """    deploy:
      endpoint_mode: dnsrr
      update_config:
        failure_action: rollback
        order: start-first
        monitor: 2s
      rollback_config:
        order: start-first
        monitor: 1s
      restart_policy:
        condition: any
        delay: 1s
      labels:
        - "traefik.enable=true"
        - "traefik.http.services.${STACK_NAME}.loadbalancer.server.port=8080"
        - "traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)"
        - "traefik.http.routers.${STACK_NAME}.entrypoints=web-secure"
        - "traefik.http.routers.${STACK_NAME}.tls.certresolver=${LETS_ENCRYPT_ENV}"
        - "coop-cloud.${STACK_NAME}.version=1.0.0+3.0.0"
        - "coop-cloud.${STACK_NAME}.timeout=${TIMEOUT:-300}"
        - "backupbot.backup=${ENABLE_BACKUPS:-true}"

networks:
  proxy:
    external: true

configs:
  traefik_yml:
    name: ${STACK_NAME}_traefik_yml_${TRAEFIK_YML_VERSION}
    file: traefik.yml.tmpl
    template_driver: golang
  file_provider_yml:
    name: ${STACK_NAME}_file_provider_yml_${FILE_PROVIDER_YML_VERSION}
    file: file-provider.yml.tmpl
    template_driver: golang

volumes:
  letsencrypt:
"""
)

_KEYCLOAK = (
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
    + _HEALTH
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
    + _HEALTH
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

_DRONE = (
    """---
version: "3.8"

services:
  app:
    image: drone/drone:2.25.0
    networks:
      - proxy
    environment:
      - DRONE_SERVER_HOST=${DOMAIN}
      - DRONE_SERVER_PROTO=https
      - DRONE_RPC_SECRET_FILE=/run/secrets/rpc_secret
      - DATA_DIR=/data
    secrets:
      - rpc_secret
    volumes:
      - data:/data
    ports:
      - target: 8080
        published: 8082
        protocol: tcp
        mode: host
"""
    + _HEALTH
    + """    deploy:
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
        - "coop-cloud.${STACK_NAME}.version=1.8.0+2.25.0"
        - "coop-cloud.${STACK_NAME}.timeout=${TIMEOUT:-300}"

networks:
  proxy:
    external: true

volumes:
  data:

secrets:
  rpc_secret:
    external: true
    name: ${STACK_NAME}_rpc_secret_${SECRET_RPC_SECRET_VERSION}
"""
)

_DRONE_GITEA = """---
version: "3.8"

services:
  app:
    environment:
      - DRONE_GITEA_SERVER=https://${GITEA_DOMAIN}
      - DRONE_GITEA_CLIENT_ID=${GITEA_CLIENT_ID}
      - DRONE_GITEA_CLIENT_SECRET_FILE=/run/secrets/client_secret
    secrets:
      - client_secret

secrets:
  client_secret:
    external: true
    name: ${STACK_NAME}_client_secret_${SECRET_CLIENT_SECRET_VERSION}
"""

SOURCES = (
    Source(
        name="traefik",
        first="1.0.0+3.0.0",
        files={
            "compose.yml": _TRAEFIK,
            "abra.sh": "export TRAEFIK_YML_VERSION=v1\nexport FILE_PROVIDER_YML_VERSION=v1\n",
            ".env.sample": "TYPE=traefik\n\nDOMAIN=traefik.example.com\nLETS_ENCRYPT_ENV=production\n"
            "LETS_ENCRYPT_EMAIL=certs@example.com\n\nDASHBOARD_ENABLED=true\n# LOG_LEVEL=WARN\n",
            "traefik.yml.tmpl": 'core:\n  defaultRuleSyntax: v3\nlog:\n  level: {{ env "LOG_LEVEL" }}\n',
            "file-provider.yml.tmpl": "http:\n  middlewares:\n    security:\n      headers: {sslRedirect: true}\n",
            "README.md": "# Traefik\n\n* **Category**: Utilities\n",
        },
        steps=(
            Step(
                version="1.0.1+3.0.1",
                images={"app": "traefik:v3.0.1"},
                note="Traefik 3.0.1 fixes two bugs in the router. Nothing to do.\n",
            ),
            Step(
                version="1.1.0+3.1.0",
                images={"app": "traefik:v3.1.0"},
                note="Traefik 3.1 writes its access log as JSON when asked to. The defaults stay.\n",
            ),
        ),
    ),
    Source(
        name="keycloak",
        first="10.0.0+26.0.0",
        files={
            "compose.yml": _KEYCLOAK,
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
    ),
    Source(
        name="drone",
        first="1.8.0+2.25.0",
        files={
            "compose.yml": _DRONE,
            "compose.gitea.yml": _DRONE_GITEA,
            "abra.sh": "export DRONE_ENV_VERSION=v1\n",
            ".env.sample": "TYPE=drone\n\nDOMAIN=drone.example.com\nLETS_ENCRYPT_ENV=production\n"
            "SECRET_RPC_SECRET_VERSION=v1\n\n## Gitea\n"
            '# COMPOSE_FILE="compose.yml:compose.gitea.yml"\n# GITEA_CLIENT_ID=\n# GITEA_DOMAIN=\n'
            "# SECRET_CLIENT_SECRET_VERSION=v1\n",
            "README.md": "# Drone\n\n* **Category**: Development\n",
        },
        steps=(
            Step(
                version="1.9.0+2.26.0",
                images={"app": "drone/drone:2.26.0"},
                note="Drone 2.26.0: the user list loads faster.\n",
            ),
        ),
    ),
)

ENV = {
    "traefik": """# Traefik of the CI server
TYPE=traefik:1.0.0+3.0.0
TIMEOUT=60
ENABLE_BACKUPS=true

DOMAIN=traefik.ci.example.org
LETS_ENCRYPT_ENV=production
LETS_ENCRYPT_EMAIL="ops@example.org" # gets the expiry mails

DASHBOARD_ENABLED=true
COMPOSE_FILE="compose.yml"
""",
    "keycloak": """TYPE=keycloak:10.0.0+26.0.0
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
""",
    "drone": """TYPE=drone:1.8.0+2.25.0
TIMEOUT=60

DOMAIN=drone.ci.example.org
LETS_ENCRYPT_ENV=production
COMPOSE_FILE="compose.yml"
SECRET_RPC_SECRET_VERSION=v1 # length=64 charset=hex

## Gitea
COMPOSE_FILE="$COMPOSE_FILE:compose.gitea.yml"
GITEA_CLIENT_ID=ci-drone
GITEA_DOMAIN=git.example.org
SECRET_CLIENT_SECRET_VERSION=v1
""",
}
