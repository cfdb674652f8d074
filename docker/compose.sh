#!/bin/sh
# Runs `docker compose`, or docker-compose where there is no such plugin, on compose.yaml with docker/.env.
set -eu
dir=$(cd "$(dirname "$0")" && pwd)
"$dir/env.sh"
if docker compose version >/dev/null 2>&1; then
	exec docker compose --project-directory "$dir" -f "$dir/compose.yaml" "$@"
fi
exec docker-compose --project-directory "$dir" -f "$dir/compose.yaml" "$@"
