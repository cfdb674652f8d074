#!/bin/sh
# Starts everything and waits until it is healthy. Arguments come before `up`: docker/up.sh --profile load
set -eu
dir=$(cd "$(dirname "$0")" && pwd)
"$dir/compose.sh" "$@" up -d

tries=0
while :; do
	# shellcheck disable=SC2046 # one word for each container
	# Containers without a health check count as soon as they run; those that have done their work are not listed.
	waiting=$(docker inspect --format '{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{end}}' \
		$("$dir/compose.sh" "$@" ps -q) | grep -v -e ' healthy$' -e ' running$' -e '[-_]init[-_]1 exited$' || true)
	[ -n "$waiting" ] || break
	tries=$((tries + 1))
	if [ "$tries" -gt 90 ]; then
		echo "not healthy after 3 minutes:" >&2
		echo "$waiting" >&2
		exit 1
	fi
	sleep 2
done
"$dir/compose.sh" "$@" ps
