#!/bin/sh
# Starts the server of an xaproxy-base image as the image's own user, which is not root. An empty data directory is
# initialized first: root with the password that the environment gives, from this host and from everywhere.
# Arguments that begin with - are the server's; anything else is a command to run instead.
set -eu

data=/var/lib/mysql
socket=/run/mysqld/mysqld.sock
server=mysqld
[ ! -x /usr/sbin/mariadbd ] || server=mariadbd

case ${1:--} in
-*) ;;
mysqld | mariadbd) shift ;;
*) exec "$@" ;;
esac

# setting NAME prints variable NAME, or what the file named by NAME_FILE holds.
setting() {
	eval "value=\${$1:-} file=\${$1_FILE:-}"
	if [ -z "$value" ] && [ -n "$file" ]; then value=$(cat "$file"); fi
	printf '%s' "$value"
}

# accounts prints the statements that give root its password, one a line.
accounts() {
	quoted=\'$(printf '%s' "$password" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")\'
	if [ "$server" = mariadbd ]; then
		cat <<-END
			FLUSH PRIVILEGES;
			DELETE FROM mysql.global_priv WHERE user IN ('', 'root');
			FLUSH PRIVILEGES;
			CREATE USER root@localhost IDENTIFIED BY $quoted;
			GRANT ALL PRIVILEGES ON *.* TO root@localhost WITH GRANT OPTION;
		END
	else
		echo "ALTER USER root@localhost IDENTIFIED BY $quoted;"
	fi
	cat <<-END
		CREATE USER root@'%' IDENTIFIED BY $quoted;
		GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;
	END
}

initialize() {
	password=
	[ "$server" = mysqld ] || password=$(setting MARIADB_ROOT_PASSWORD)
	[ -n "$password" ] || password=$(setting MYSQL_ROOT_PASSWORD)
	if [ -z "$password" ]; then
		echo "the data directory is empty: set MYSQL_ROOT_PASSWORD (MariaDB also: MARIADB_ROOT_PASSWORD)" >&2
		exit 1
	fi
	# What an initialization left that was cut off is removed by the next one.
	find "$data" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
	: >"$data/.initializing"
	umask 077
	sql=$(mktemp)
	accounts >"$sql"
	if [ "$server" = mysqld ]; then
		mysqld --no-defaults --datadir="$data" --initialize-insecure --init-file="$sql"
	else
		mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal \
			--skip-test-db --skip-name-resolve >/dev/null
		mariadbd --no-defaults --datadir="$data" --bootstrap <"$sql"
	fi
	rm -f "$sql"
	sync
	rm "$data/.initializing"
}

if [ -e "$data/.initializing" ] || [ ! -d "$data/mysql" ]; then initialize; fi
exec "$server" --datadir="$data" --socket="$socket" --pid-file=/run/mysqld/mysqld.pid --port=3306 --skip-name-resolve "$@"
