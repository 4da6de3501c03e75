#!/usr/bin/env bash
# Make this machine a Swarm of one node with one overlay network; change nothing that is already there.
#
# Run again at every boot, and after being killed at any point. It never leaves a Swarm and never removes a network.
# From the environment: CCCI_ADVERTISE_ADDR, CCCI_LISTEN_ADDR, CCCI_NETWORK, CCCI_NETWORK_ATTACHABLE (true or
# false), CCCI_NETWORK_SUBNET (empty: Docker chooses), CCCI_WAIT (seconds an Engine may take to find its Swarm).
set -euo pipefail
shopt -s inherit_errexit

: "${CCCI_ADVERTISE_ADDR:?}" "${CCCI_LISTEN_ADDR:?}" "${CCCI_NETWORK:?}" "${CCCI_NETWORK_ATTACHABLE:?}"
subnet=${CCCI_NETWORK_SUBNET-}
deadline=$((SECONDS + ${CCCI_WAIT:-60}))

fail() {
  printf 'ccci-swarm-init: %s\n' "$@" >&2
  exit 1
}

warn() {
  printf 'ccci-swarm-init: warning: %s\n' "$@" >&2
}

patience() { # for another look; ends the script with the given words after the deadline
  [ "$SECONDS" -lt "$deadline" ] || fail "$@"
  sleep 0.5
}

# "active true" and the Swarm's id where it is managed from here. Without an id it has no leader yet, and its networks
# are silently missing from every list.
swarm_state() {
  docker info --format '{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}} {{with .Swarm.Cluster}}{{.ID}}{{end}}' ||
    fail "no Engine answers: try systemctl status docker.service"
}

# An Engine that has just started tells of its Swarm only after some seconds, so most answers are no last word.
ensure_swarm() {
  local state
  while true; do
    state=$(swarm_state)
    case $state in
    "active true "?*)
      return
      ;;
    inactive\ *)
      # Its output has the join token.
      docker swarm init --advertise-addr "$CCCI_ADVERTISE_ADDR" --listen-addr "$CCCI_LISTEN_ADDR" >/dev/null
      echo "ccci-swarm-init: a new Swarm was made"
      patience "the new Swarm does not come up; journalctl --unit docker.service tells why"
      ;;
    locked\ *)
      fail "the Swarm is locked: run docker swarm unlock, then systemctl restart ccci-swarm-init.service"
      ;;
    "active false "*)
      patience "this machine is a worker in a Swarm, or its manager is lost (docker info: $state)" \
        "nothing was changed; ccci.host is for the only manager of a Swarm: docker node ls on its manager tells more"
      ;;
    *)
      patience "the Swarm does not come up (docker info: $state)" \
        "nothing was changed; journalctl --unit docker.service tells why"
      ;;
    esac
  done
}

# What the Engine knows of it, a line for each: "driver scope attachable subnet…".
networks() {
  local list id name
  list=$(docker network ls --no-trunc --format '{{.ID}} {{.Name}}')
  while read -r id name; do
    [ "$name" = "$CCCI_NETWORK" ] || continue
    docker network inspect \
      --format '{{.Driver}} {{.Scope}} {{.Attachable}}{{range .IPAM.Config}} {{.Subnet}}{{end}}' "$id"
  done <<<"$list"
}

create_network() {
  local options=(--driver overlay)
  [ "$CCCI_NETWORK_ATTACHABLE" = false ] || options+=(--attachable)
  [ -z "$subnet" ] || options+=(--subnet "$subnet")
  docker network create "${options[@]}" "$CCCI_NETWORK" >/dev/null
  echo "ccci-swarm-init: the network $CCCI_NETWORK was made"
}

# An overlay network is there before the manager has given it a driver and addresses; units that wait for this
# script may use it at once.
ensure_network() {
  local found
  while true; do
    found=$(networks)
    case $found in
    "")
      create_network
      ;;
    *$'\n'*)
      fail "there are several networks named $CCCI_NETWORK:" "$found" \
        "remove all but the overlay one: docker network ls, docker network rm ID"
      ;;
    "overlay swarm "*)
      compare "${found#overlay swarm }"
      return
      ;;
    " swarm "*) ;;
    *)
      fail "the network $CCCI_NETWORK is not an overlay network of the Swarm, but: $found" \
        "stop what uses it (docker network inspect $CCCI_NETWORK), run docker network rm $CCCI_NETWORK," \
        "then systemctl restart ccci-swarm-init.service"
      ;;
    esac
    patience "the network $CCCI_NETWORK does not come up; journalctl --unit docker.service tells why"
  done
}

compare() {
  local attachable subnets
  read -r attachable subnets <<<"$1"
  if [ -n "$subnet" ] && [ "$subnets" != "$subnet" ]; then
    warn "the network $CCCI_NETWORK has the subnet $subnets, not $subnet; it is left as it is" \
      "another subnet means to take all apps off it and to make it anew, which stops all routing"
  fi
  if [ "$attachable" != "$CCCI_NETWORK_ATTACHABLE" ]; then
    warn "the network $CCCI_NETWORK has attachable=$attachable, not $CCCI_NETWORK_ATTACHABLE; it is left as it is"
  fi
}

ensure_swarm
ensure_network
