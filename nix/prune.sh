#!/usr/bin/env bash
# Remove images that nothing needs, while the disk is full enough. Volumes and containers are never touched.
#
# Swarm asks for images by digest, so what it pulled has no tag, and `docker image prune` would take the image of
# every app that is stopped just now. Here an image stays where it has a tag (ccci-upgrade gives one to what a
# rollback needs), where any container has it, and where any service names it, now or before its last update.
# Nothing is removed while somebody works on an app. From the environment: CCCI_PRUNE_PERCENT.
set -euo pipefail
shopt -s inherit_errexit

: "${CCCI_PRUNE_PERCENT:?}"

say() {
  printf 'ccci-prune: %s\n' "$@"
}

fail() {
  say "$@" >&2
  exit 1
}

used_percent() {
  local root
  root=$(docker info --format '{{.DockerRootDir}}')
  df --output=pcent "$root" | tr -dc '0-9'
}

# Services come and go while they are read; then they are read again.
named_images() {
  local ids
  for _ in 1 2 3; do
    ids=$(docker service ls --quiet)
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086 # one word for each id
    if docker service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}{{with .PreviousSpec}}
{{.TaskTemplate.ContainerSpec.Image}}{{end}}' $ids; then
      return 0
    fi
    sleep 1
  done
  fail "the services of the Swarm cannot be read, so nothing was removed"
}

image_ids() { # of the names on standard input, as far as they are here
  local name said
  while read -r name; do
    if said=$(docker image inspect --format '{{.Id}}' "$name" 2>&1); then
      printf '%s\n' "$said"
    elif [[ ${said,,} != *"no such image"* ]]; then
      fail "$name cannot be looked at, so nothing was removed: $said"
    fi
  done
}

percent=$(used_percent)
if [ "$percent" -lt "$CCCI_PRUNE_PERCENT" ]; then
  say "the disk is $percent % full, and nothing is removed below $CCCI_PRUNE_PERCENT %"
  exit 0
fi

leases=$(docker config ls --quiet --filter label=ccci-upgrade.lease.state=held)
if [ -n "$leases" ]; then
  say "somebody is at work (ccci-upgrade lease show), so nothing was removed"
  exit 0
fi

names=$(named_images)
needed=$(image_ids <<<"$names")
candidates=$(docker image ls --no-trunc --quiet --filter dangling=true | sort -u)
removed=0
left=0
for image in $candidates; do
  # Without force the Engine itself refuses what a container has, running or not.
  if [[ $'\n'$needed$'\n' != *$'\n'$image$'\n'* ]] && docker image rm "$image" >/dev/null 2>&1; then
    removed=$((removed + 1))
  else
    left=$((left + 1))
  fi
done
docker version >/dev/null || fail "the Engine ended meanwhile, after $removed images were removed"
say "$removed images removed, $left without a tag are needed; the disk was $percent % full"
