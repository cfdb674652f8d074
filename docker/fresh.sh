#!/bin/sh
# Does what the README tells a newcomer, on a clean Debian 12 that has make, git, a Go and a user who is not root: clones
# the last commit, then `make demo` and `make test`. It fails when the project installs less than it needs.
#
#   docker/fresh.sh                 both; about half an hour
#   docker/fresh.sh "make demo"     one of them
#
# Go is this machine's own, mounted; so are the settings for its modules. FRESH_REBUILD=1 makes the machine's image anew,
# FRESH_NETWORK names the container's network, FRESH_LIMIT bounds each command (90m).
set -eu

dir=$(cd "$(dirname "$0")" && pwd)
image=xaproxy-base/fresh:local
name=xaproxy-fresh-$$
[ $# -gt 0 ] || set -- "make demo" "make test"

fail() {
	echo "fresh.sh: $*" >&2
	exit 1
}
docker info >/dev/null 2>&1 || fail "Docker does not answer: start dockerd"
goroot=$(go env GOROOT) || fail "it takes this machine's Go: none is on PATH"
if [ -n "${FRESH_REBUILD:-}" ] || ! docker image inspect "$image" >/dev/null 2>&1; then
	"$dir/base-images.sh" fresh
fi

work=$(mktemp -d)
trap 'docker rm -f "$name" >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
git -C "$dir/.." bundle create -q "$work/xaproxy.bundle" HEAD
chmod 755 "$work"
[ -z "$(git -C "$dir/.." status --porcelain)" ] || echo "== what is not committed is not tested" >&2

set_env=
for v in GOPROXY GONOPROXY GONOSUMDB GOSUMDB GOPRIVATE GOFLAGS; do
	value=$(go env "$v")
	[ -z "$value" ] || set_env="$set_env --env $v=$value"
done
for v in HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy; do
	eval "value=\${$v:-}"
	[ -z "$value" ] || set_env="$set_env --env $v=$value"
done
# shellcheck disable=SC2086 # one word for each setting
docker run -d --name "$name" --network "${FRESH_NETWORK:-bridge}" --env GOTOOLCHAIN=local $set_env \
	--volume "$work:/bundle:ro" --volume "$goroot:/usr/local/go:ro" "$image" sleep infinity >/dev/null
inside() { docker exec "$name" timeout "${FRESH_LIMIT:-90m}" bash -c "$1"; }
inside 'git clone -q /bundle/xaproxy.bundle xaproxy && git -C xaproxy log -1 --format="== a clone of %h: %s" && id'
for command; do
	echo "== $command"
	inside "cd xaproxy && $command" || fail "$command: status $?"
done
echo "== all of it works on a fresh machine"
