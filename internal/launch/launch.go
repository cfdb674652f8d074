// Package launch owns real throw-away MySQL and MariaDB servers: it fetches them, keeps one initialized template data
// directory per version, starts copies of it on ports of their own, kills, pauses and restarts them, and removes them.
// It knows nothing of shards, transactions or the proxy; tests, the demo and benchmarks use it.
//
// # Where servers come from
//
// In this order, per engine:
//
//  1. the folder named by XAPROXY_MYSQL_DIR or XAPROXY_MARIADB_DIR (an unpacked server, or a folder of programs);
//  2. Debian packages, fetched by an apt of the package's own from the mirror of the machine's apt sources and unpacked
//     below the cache folder with everything they need down to libc: no root, nothing outside the folder changes;
//  3. mysqld or mariadbd on PATH, of any version that xaproxy supports.
//
// The cache folder is $XAPROXY_CACHE, else xaproxy below [os.UserCacheDir].
//
// # What is promised
//
// All functions may be called from several goroutines and several processes at once. Fetching and initializing happen
// once: a file lock makes the others wait, a marker written last keeps half a fetch from being used.
//
// One server per data directory: the instance's lock file is locked (flock) by a file description that the launcher
// shares with the server process, so the kernel holds it exactly as long as either lives. A port is below 32768, where
// no client socket takes it, and locked the same way by the launcher for the life of the [Server]: a restarted server
// finds its port free.
//
// A server does not outlive its launcher: on Linux the kernel kills it with the launcher (parent death signal); what
// is left, and everything elsewhere, is reaped by the next [Start]. A process is only ever signalled by a pid whose
// start time is the recorded one.
//
// Servers are durable by default (sync_binlog=1, innodb_flush_log_at_trx_commit=1): what they acknowledged survives
// [Server.Kill].
package launch

import (
	"errors"
	"fmt"
)

// Engine is a server family and version that can be launched.
type Engine string

// The engines; see [Engines].
const (
	MySQL       Engine = "mysql"        // MySQL 9.7, Debian sid
	MariaDB1011 Engine = "mariadb10.11" // MariaDB 10.11, Debian 12 bookworm
	MariaDB118  Engine = "mariadb11.8"  // MariaDB 11.8, Debian 13 trixie
)

// Server families, as [Engine.Family] returns them.
const (
	familyMySQL   = "mysql"
	familyMariaDB = "mariadb"
)

// ErrRunning says that a data directory's server still lives, or that its launcher still holds it.
var ErrRunning = errors.New("a server runs on this directory")

// ErrStopped says that the server was stopped for good by [Server.Stop].
var ErrStopped = errors.New("server was stopped")

// Engines returns all engines.
func Engines() []Engine { return []Engine{MySQL, MariaDB1011, MariaDB118} }

// Family returns "mysql" or "mariadb", and "" for an engine that does not exist.
func (e Engine) Family() string {
	switch e {
	case MySQL:
		return familyMySQL
	case MariaDB1011, MariaDB118:
		return familyMariaDB
	}
	return ""
}

// title is the engine's name for people.
func (e Engine) title() string {
	switch e {
	case MySQL:
		return "MySQL 9.7"
	case MariaDB1011:
		return "MariaDB 10.11"
	case MariaDB118:
		return "MariaDB 11.8"
	}
	return string(e)
}

// product names a version of the engine's family for people.
func (e Engine) product(version string) string {
	if e.Family() == familyMariaDB {
		return "MariaDB " + version
	}
	return "MySQL " + version
}

// suite is the Debian suite that carries the engine.
func (e Engine) suite() string {
	switch e {
	case MySQL:
		return "sid"
	case MariaDB1011:
		return "bookworm"
	case MariaDB118:
		return "trixie"
	}
	return ""
}

// packages are the Debian packages of the engine; patchelf makes the unpacked programs run from any folder.
func (e Engine) packages() []string {
	if e == MySQL {
		return []string{"mysql-server-core", "mysql-client-core", "patchelf"}
	}
	return []string{"mariadb-server-core", "mariadb-client-core", "patchelf"}
}

// serverProgram is the name of the engine's server program.
func (e Engine) serverProgram() string {
	if e == MySQL {
		return "mysqld"
	}
	return "mariadbd"
}

// folderVariable is the environment variable that names a folder with the engine's programs.
func (e Engine) folderVariable() string {
	if e == MySQL {
		return "XAPROXY_MYSQL_DIR"
	}
	return "XAPROXY_MARIADB_DIR"
}

func (e Engine) check() error {
	if e.Family() == "" {
		return fmt.Errorf("unknown engine %q: known are %q", string(e), Engines())
	}
	return nil
}

// progress reports one step as one line; never nil inside the package.
type progress func(string)

func newProgress(f func(string)) progress {
	if f == nil {
		return func(string) {}
	}
	return f
}

func (p progress) linef(format string, a ...any) { p(fmt.Sprintf(format, a...)) }
