#!/usr/bin/env bash
# Write logins into the configuration of root's Docker client, beside what is there. No registry is asked.
#
# From the environment: CCCI_DOCKER_CONFIG (the folder), CCCI_REGISTRY_LOGINS (a JSON list of registry, username,
# passwordFile). Passwords are read from their files by jq: they are in no argument, no variable and no output.
set -euo pipefail
shopt -s inherit_errexit
umask 077

config=${CCCI_DOCKER_CONFIG:?}/config.json
: "${CCCI_REGISTRY_LOGINS:?}"

fail() {
  printf 'ccci-registry-login: %s\n' "$@" >&2
  exit 1
}

mkdir -p "$CCCI_DOCKER_CONFIG"
[ ! -L "$config" ] || fail "$config is a symbolic link, so something else manages it" \
  "remove what makes the link (a secret with this path?), then the link"
new=$(mktemp "$config.XXXXXX")
next=$(mktemp "$config.XXXXXX")
trap 'rm -f "$new" "$next"' EXIT

if [ -s "$config" ]; then cat "$config" >"$new"; else echo '{}' >"$new"; fi
jq -e 'type == "object"' "$new" >/dev/null 2>&1 ||
  fail "$config is no JSON object; mend it, or move it away"

number=0
total=$(jq -n 'env.CCCI_REGISTRY_LOGINS | fromjson | length')
while [ "$number" -lt "$total" ]; do
  registry=$(jq -nr --argjson at "$number" 'env.CCCI_REGISTRY_LOGINS | fromjson | .[$at].registry')
  file=$(jq -nr --argjson at "$number" 'env.CCCI_REGISTRY_LOGINS | fromjson | .[$at].passwordFile')
  [ -s "$file" ] || fail "the password for $registry is not there, or empty: $file"
  jq -e --arg registry "$registry" '(.credHelpers // {})[$registry] == null and .credsStore == null' "$new" >/dev/null ||
    fail "$config names a credential helper for $registry, and Docker would ask it instead" \
      "remove credsStore or that entry of credHelpers"
  jq --argjson at "$number" --rawfile password "$file" '
    (env.CCCI_REGISTRY_LOGINS | fromjson | .[$at]) as $login
    | .auths[$login.registry] =
        { auth: ("\($login.username):\($password | rtrimstr("\n") | rtrimstr("\r"))" | @base64) }
  ' "$new" >"$next"
  cat "$next" >"$new"
  number=$((number + 1))
done

if [ -f "$config" ] && jq -e --slurpfile old "$config" '. == $old[0]' "$new" >/dev/null; then
  echo "ccci-registry-login: nothing to change"
else
  mv "$new" "$config"
  echo "ccci-registry-login: $total logins written"
fi
