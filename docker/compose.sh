#!/bin/sh
# Runs `docker compose`, or docker-compose where there is no such plugin, on compose.yaml with docker/.env, and on the
# file that COMPOSE_OVERRIDE names.
set -eu
dir=$(cd "$(dirname "$0")" && pwd)
"$dir/env.sh"
set -- ${COMPOSE_OVERRIDE:+-f "$COMPOSE_OVERRIDE"} "$@"
if docker compose version >/dev/null 2>&1; then
	exec docker compose --project-directory "$dir" -f "$dir/compose.yaml" "$@"
fi
exec docker-compose --project-directory "$dir" -f "$dir/compose.yaml" "$@"
