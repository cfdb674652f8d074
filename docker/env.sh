#!/bin/sh
# Makes docker/.env with random passwords unless it is there, then sets the NAME=VALUE arguments in it.
set -eu
file=$(cd "$(dirname "$0")" && pwd)/.env

random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
if [ ! -e "$file" ]; then
	{
		echo "COMPOSE_PROJECT_NAME=xaproxy"
		# Drawn once: the volumes keep them. Remove them together with this file (down -v).
		for name in ROOT_PASSWORD APP_PASSWORD OPS_PASSWORD; do echo "$name=$(random)"; done
	} >"$file.new"
	mv "$file.new" "$file"
fi
for setting; do
	{
		grep -v "^${setting%%=*}=" "$file" || true
		printf '%s\n' "$setting"
	} >"$file.new"
	mv "$file.new" "$file"
done
