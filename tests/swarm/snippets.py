"""Compose files that between them have every key the deployer knows; some are laid over each other."""

SERVICE = """version: "3.13"
services:
  app:
    image: traefik:v3.0.0
"""
"""What the snippets below begin with; they go on within `app`."""

SNIPPETS: dict[str, tuple[str, ...]] = {
    "nothing": ("",),
    "commands": (
        """    command: sh -c "echo $$HOME 'a b'"
    entrypoint: ["/app", "--flag"]
    working_dir: /srv
    user: "1000:1000"
    hostname: web
    stop_signal: SIGINT
    stop_grace_period: 1m30s
    init: true
    read_only: true
    tty: true
    stdin_open: true
    oom_score_adj: 10
""",
    ),
    "environment-list": (
        "    environment:\n      - A=1\n      - FROM_ENV\n      - UNSET\n      - EMPTY=\n      - Z=${TEXT:-x}\n",
    ),
    "environment-mapping": (
        "    environment:\n      A: 1\n      B: yes\n      C: 1.50\n      D: null\n      FROM_ENV:\n      E: ''\n",
    ),
    "environment-merged": (
        "    environment:\n      A: below\n      B: below\n      C: below\n",
        "    environment:\n      A: above\n      B: ''\n      D: above\n",
    ),
    "labels": (
        "    labels: [one=1, two]\n    deploy:\n      labels:\n        three: 3\n        four: 4.50\n",
        "    labels:\n      one: ''\n    deploy:\n      labels:\n        - four=\n        - five=5\n",
    ),
    "health": (
        """    healthcheck:
      test: ["CMD", "true"]
      interval: 30s
      timeout: 1s500ms
      retries: 0
      start_period: 2m
""",
    ),
    "health-shell-merged": (
        "    healthcheck:\n      test: exit 0\n      interval: 5s\n      retries: 3\n",
        "    healthcheck:\n      interval: 7s\n      retries: 5\n",
    ),
    "health-off": ("    healthcheck:\n      disable: true\n",),
    "ports": (
        (
            "    ports:\n      - '9001:80'\n      - 9002:81/udp\n      - '9010-9012:90-92'\n"
            "      - target: 70\n        published: 9003\n        mode: host\n      - 60\n"
        ),
    ),
    "ports-merged": (
        "    ports: ['9001:80', '9002:81']\n",
        "    ports:\n      - target: 82\n        published: 9001\n        protocol: tcp\n        mode: host\n",
    ),
    "replicas-and-updates": (
        """    deploy:
      mode: replicated
      replicas: 2
      endpoint_mode: dnsrr
      update_config:
        parallelism: 0
        delay: 3s
        failure_action: rollback
        monitor: 5s
        max_failure_ratio: 0.3
        order: start-first
      rollback_config:
        parallelism: 2
        order: stop-first
        failure_action: pause
      restart_policy:
        condition: on-failure
        delay: 5s
        max_attempts: 3
        window: 2m
""",
        (
            "    deploy:\n      replicas: 0\n      update_config:\n        delay: 4s\n      restart_policy:\n"
            "        max_attempts: 0\n"
        ),
    ),
    "global": ("    deploy:\n      mode: global\n",),
    "restart": ("    restart: on-failure:3\n",),
    "resources": (
        """    deploy:
      resources:
        limits: {cpus: '0.50', memory: 64M, pids: 100}
        reservations: {cpus: '0.25', memory: 4.5m}
      placement:
        constraints: [node.role == manager]
        preferences:
          - spread: node.labels.zone
        max_replicas_per_node: 3
""",
        (
            "    deploy:\n      resources:\n        limits: {cpus: '0.75'}\n      placement:\n"
            "        constraints: [node.id != nobody]\n"
        ),
    ),
    "kernel": (
        """    cap_add: [NET_ADMIN, cap_sys_time]
    cap_drop: [ALL]
    sysctls:
      net.ipv4.ip_forward: 0
    ulimits:
      nproc: 65535
      nofile: {soft: 20000, hard: 40000}
    dns: [127.0.0.53, 10.0.0.2]
    dns_search: example.org
    extra_hosts:
      - somehost:162.242.195.82
      - other=10.0.0.3
      - "six:[::1]"
""",
    ),
    "lists-merged": (
        "    cap_add: [NET_ADMIN]\n    dns: 10.0.0.1\n    extra_hosts: ['a:10.0.0.1']\n    command: one two\n",
        "    cap_add: [SYS_TIME]\n    dns: 10.0.0.2\n    extra_hosts: ['b:10.0.0.2']\n    command: three\n",
    ),
    "logging": (
        "    logging:\n      driver: json-file\n      options: {max-size: 10m, max-file: 3}\n",
        "    logging:\n      options: {max-size: 20m}\n",
    ),
    "logging-replaced": (
        "    logging:\n      driver: json-file\n      options: {max-size: 10m}\n",
        "    logging:\n      driver: syslog\n      options: {tag: x}\n",
    ),
    "mounts": (
        """    volumes:
      - data:/data
      - data:/readonly:ro
      - data:/nocopy:nocopy
      - outside:/outside
      - driven:/driven
      - /anonymous
      - /tmp:/host:ro,rslave
      - ./here:/here
      - type: bind
        source: ../up
        target: /up
        bind: {propagation: rprivate}
      - type: tmpfs
        target: /scratch
        tmpfs: {size: 1048576}
      - type: volume
        source: data
        target: /long
        read_only: true
        volume: {nocopy: true}
volumes:
  data:
    labels: {kept: "yes"}
  outside: {external: true, name: elsewhere}
  driven:
    name: ${STACK_NAME}-mine
    driver: local
    driver_opts: {type: tmpfs, device: tmpfs}
""",
    ),
    "mounts-merged": (
        "    volumes: ['one:/a', 'one:/b']\nvolumes:\n  one:\n",
        "    volumes: ['two:/a', 'two:/c:ro']\nvolumes:\n  two:\n",
    ),
    "networks": (
        """    networks:
      proxy:
      inner: {aliases: [front, web]}
      plain:
networks:
  proxy: {external: true}
  inner: {internal: true, attachable: true, labels: {a: b}, driver_opts: {com.example.x: "1"}}
  plain:
    name: ${STACK_NAME}_given_name
    ipam:
      config:
        - subnet: 10.${NET}.0.0/24
  unused:
""",
    ),
    "networks-merged": (
        "    networks:\n      inner: {aliases: [one]}\nnetworks:\n  inner:\n    attachable: true\n",
        "    networks:\n      inner: {aliases: [two]}\n      default:\nnetworks:\n  inner:\n    internal: true\n",
    ),
    "files": (
        """    configs:
      - plain
      - source: templated
        target: /etc/t
        uid: "103"
        gid: "104"
        mode: 0440
    secrets:
      - inline
      - source: plain
        target: other
configs:
  plain: {file: ./plain.txt, labels: {a: b}}
  templated: {file: plain.txt, template_driver: golang, name: "${STACK_NAME}-named_${TEXT:-v1}"}
secrets:
  inline: {file: plain.txt}
  plain: {file: plain.txt, name: '${STACK_NAME}-given'}
""",
    ),
    "ignored": (
        (
            "    container_name: x\n    expose: ['80']\n    depends_on: [other]\n    x-anything: [1]\n"
            "  other:\n    image: traefik:v3.0.1\n    network_mode: bridge\nx-top: {a: 1}\n"
        ),
    ),
    "another-service": ("", "  second:\n    image: traefik:v3.0.1\n    deploy: {replicas: 0}\n"),
}
"""By name: what follows `SERVICE` in each of the files."""


def files(name: str) -> list[str]:
    """The texts of one snippet's files, in order."""
    return [SERVICE + text for text in SNIPPETS[name]]
