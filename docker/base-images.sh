#!/bin/sh
# Makes the images that docker/compose.yaml and docker/Dockerfile need where no registry can be reached: root folders by
# debootstrap from the machine's own Debian mirror, imported into Docker. Then it names them in docker/.env.
#
#   docker/base-images.sh                    all of: debian mysql mariadb go
#   docker/base-images.sh mariadb go         some of them
#   docker/base-images.sh fresh              the machine of docker/fresh.sh
#
# DEBIAN_MIRROR overrides the mirror of the apt sources, TMPDIR where the folders are made (2 GB). Needs root.
set -eu

dir=$(cd "$(dirname "$0")" && pwd)
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
user=999 # of the servers

say() { echo "== $*" >&2; }
fail() {
	echo "base-images.sh: $*" >&2
	exit 1
}

needs() {
	[ "$(id -u)" = 0 ] || fail "debootstrap needs root"
	docker info >/dev/null 2>&1 || fail "Docker does not answer: start dockerd"
	command -v apt-get >/dev/null || fail "this is not Debian: use the official images, or make these on a Debian machine"
	command -v debootstrap >/dev/null || {
		say "installing debootstrap"
		apt-get -q update >&2
		DEBIAN_FRONTEND=noninteractive apt-get -qy install debootstrap >&2
	}
	[ -e "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"
}

# mirror prints the first source of Debian's own archive.
mirror() {
	if [ -n "${DEBIAN_MIRROR:-}" ]; then
		echo "$DEBIAN_MIRROR"
		return
	fi
	# shellcheck disable=SC2016 # apt-get's own variable
	targets() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 'Component: main'; }
	[ -n "$(targets)" ] || apt-get -q update >&2
	targets | head -n 1
}

# bootstrap SUITE PACKAGES makes folder $work/root.
bootstrap() {
	suite=$1 packages=$2
	[ -n "$uri" ] || fail "the apt sources name no mirror of Debian: set DEBIAN_MIRROR"
	say "Debian $suite with: ${packages:-nothing more}"
	clear_root
	debootstrap --variant=minbase --keyring="$keyring" ${packages:+--include="$packages"} \
		"$suite" "$work/root" "$uri" >"$work/log" 2>&1 || {
		tail -n 20 "$work/log" >&2
		fail "debootstrap of $suite"
	}
}

# clear_root removes the folder, but nothing that is mounted in it.
clear_root() { [ ! -e "$work/root" ] || rm -rf --one-file-system "$work/root"; }

# import IMAGE CHANGES... makes an image of $work/root without what only an installation needs.
import() {
	image=$1
	shift
	tar -C "$work/root" --numeric-owner --one-file-system \
		--exclude='./var/cache/apt/*' --exclude='./var/lib/apt/lists/*' --exclude='./var/cache/debconf/*-old' \
		--exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' \
		--exclude=./etc/resolv.conf --exclude=./etc/hostname --exclude='./proc/*' --exclude='./sys/*' \
		-c . >"$work/root.tar"
	docker import "$@" "$work/root.tar" "$image" >/dev/null
	rm "$work/root.tar"
	say "$image: $(docker image inspect --format '{{.Size}}' "$image" | awk '{printf "%d MB", $1 / 1e6}')"
}

debian() {
	bootstrap bookworm ""
	import xaproxy-base/debian:local --change 'CMD ["bash"]'
}

# go takes the machine's own Go, and the certificates by which it reaches its module proxy.
go() {
	goroot=$(command go env GOROOT) || fail "image go needs a Go on PATH"
	bootstrap bookworm ca-certificates
	mkdir -p "$work/root/usr/local/go"
	cp -a "$goroot/." "$work/root/usr/local/go/"
	certificates=$(certificates)
	[ -z "$certificates" ] || cp "$certificates" "$work/root/etc/ssl/certs/ca-certificates.crt"
	import xaproxy-base/go:local --change 'CMD ["bash"]' \
		--change 'ENV PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
	made="$made GO_IMAGE=xaproxy-base/go:local GOPROXY=$(command go env GOPROXY)"
}

certificates() {
	for f in "${SSL_CERT_FILE:-}" /etc/ssl/certs/ca-certificates.crt; do
		if [ -n "$f" ] && [ -e "$f" ]; then
			echo "$f"
			return
		fi
	done
}

# server ENGINE SUITE PACKAGES: the programs, a user of their own and the entrypoint. Packages named *-core bring no
# service, configuration or data directory.
server() {
	engine=$1
	bootstrap "$2" "$3"
	root=$work/root
	echo "mysql:x:$user:" >>"$root/etc/group"
	echo "mysql:x:$user:$user::/var/lib/mysql:/usr/sbin/nologin" >>"$root/etc/passwd"
	for folder in /var/lib/mysql /var/lib/mysql-files /run/mysqld; do
		mkdir -p "$root$folder"
		chown "$user:$user" "$root$folder"
		chmod 750 "$root$folder"
	done
	cp "$dir/base/entrypoint.sh" "$root/usr/local/bin/entrypoint.sh"
	chmod 755 "$root/usr/local/bin/entrypoint.sh"
	import "xaproxy-base/$engine:local" --change 'ENTRYPOINT ["/usr/local/bin/entrypoint.sh"]' \
		--change "USER $user:$user" --change 'VOLUME /var/lib/mysql' --change 'EXPOSE 3306' \
		--change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
}

mysql() {
	server mysql sid mysql-server-core,mysql-client-core
	made="$made MYSQL_IMAGE=xaproxy-base/mysql:local CLIENT_IMAGE=xaproxy-base/mysql:local"
}

mariadb() {
	server mariadb trixie mariadb-server-core,mariadb-client-core
	made="$made MARIADB_IMAGE=xaproxy-base/mariadb:local"
}

# fresh is what a developer's new machine has: make, git, and a user who is not root. How Debian's mirror is reached is
# taken from this machine.
fresh() {
	bootstrap bookworm make,git,ca-certificates
	root=$work/root
	rm -rf "$root/etc/apt/sources.list" "$root/etc/apt/sources.list.d" "$root/etc/apt/apt.conf.d"
	cp -a /etc/apt/. "$root/etc/apt/"
	certificates=$(certificates)
	[ -z "$certificates" ] || cp "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
	echo "dev:x:1000:" >>"$root/etc/group"
	echo "dev:x:1000:1000::/home/dev:/bin/bash" >>"$root/etc/passwd"
	mkdir -p "$root/home/dev"
	chown 1000:1000 "$root/home/dev"
	import xaproxy-base/fresh:local --change 'USER 1000:1000' --change 'WORKDIR /home/dev' --change 'CMD ["bash"]' \
		--change 'ENV HOME=/home/dev PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin'
}

[ $# -gt 0 ] || set -- debian mysql mariadb go
for image; do
	case $image in
	debian | mysql | mariadb | go | fresh) ;;
	*) fail "no image $image: debian mysql mariadb go fresh" ;;
	esac
done
needs
uri=$(mirror)
made=
work=$(mktemp -d "${TMPDIR:-/var/tmp}/xaproxy-base.XXXXXX")
trap 'clear_root; rm -rf --one-file-system "$work"' EXIT
trap 'exit 1' INT TERM
for image; do "$image"; done
[ -n "$made" ] || exit 0
# shellcheck disable=SC2086 # one word for each setting
"$dir/env.sh" $made
say "docker/.env names: ${made# }"
