"""The recipe drone, as its maintainers would write it, with a history; and an app's `.env`."""

from ccci_upgrade.practice.world.source import HEALTH, Source, Step

COMPOSE = (
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
    + HEALTH
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

GITEA = """---
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

SOURCE = Source(
    name="drone",
    first="1.8.0+2.25.0",
    files={
        "compose.yml": COMPOSE,
        "compose.gitea.yml": GITEA,
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
)

ENV = """TYPE=drone:1.8.0+2.25.0
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
"""
