"""The recipe traefik, as its maintainers would write it, with a history; and an app's `.env`."""

from ccci_upgrade.practice.world.source import HEALTH, Source, Step

COMPOSE = (
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
    + HEALTH
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

SOURCE = Source(
    name="traefik",
    first="1.0.0+3.0.0",
    files={
        "compose.yml": COMPOSE,
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
)

ENV = """# Traefik of the CI server
TYPE=traefik:1.0.0+3.0.0
TIMEOUT=60
ENABLE_BACKUPS=true

DOMAIN=traefik.ci.example.org
LETS_ENCRYPT_ENV=production
LETS_ENCRYPT_EMAIL="ops@example.org" # gets the expiry mails

DASHBOARD_ENABLED=true
COMPOSE_FILE="compose.yml"
"""
