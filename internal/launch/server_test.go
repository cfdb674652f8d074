package launch_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

func TestKilledServerKeepsDataAndPort(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		s := launchtest.Start(t, launch.Options{Engine: e})[0]
		db := open(t, s.DSN())
		exec(t, db, "CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1), (2)")
		port, pid := s.Port(), s.PID()
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if runs(t, pid) || s.PID() != 0 {
			t.Fatalf("process %d lives after Kill; PID says %d", pid, s.PID())
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Port() != port || s.PID() == pid {
			t.Fatalf("port %d -> %d, pid %d -> %d", port, s.Port(), pid, s.PID())
		}
		if n := number(t, db, "SELECT COUNT(*) FROM d.t"); n != 2 {
			t.Fatalf("%d rows of 2", n)
		}
		if err := s.Restart(t.Context()); !errors.Is(err, launch.ErrRunning) {
			t.Fatalf("restart of a living server: %v", err)
		}
	})
}

func TestServersNeverSharePortOrDirectory(t *testing.T) {
	var options []launch.Options
	for _, e := range launch.Engines() {
		options = append(options, launch.Options{Engine: e}, launch.Options{Engine: e})
	}
	ports, dirs, uuids := map[int]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range launchtest.Start(t, options...) {
		if s.Port() >= 32768 {
			t.Errorf("port %d is among those of client sockets", s.Port())
		}
		ports[s.Port()], dirs[s.Dir()] = true, true
		if s.Engine() == launch.MySQL {
			uuids[text(t, open(t, s.DSN()), "SELECT @@server_uuid")] = true
		}
	}
	if len(ports) != len(options) || len(dirs) != len(options) || len(uuids) != 2 {
		t.Fatalf("%d servers: ports %v, directories %v, uuids %v", len(options), ports, dirs, uuids)
	}
}

func TestSecondServerOnOneDirectoryIsRefused(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		o := launch.Options{Engine: e, Dir: t.TempDir(), Name: "shard"}
		s := launchtest.Start(t, o)[0]
		if _, err := launch.Start(t.Context(), o); !errors.Is(err, launch.ErrRunning) {
			t.Fatalf("second start: %v", err)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := launch.Start(t.Context(), o); !errors.Is(err, launch.ErrRunning) {
			t.Fatalf("start while the launcher may restart it: %v", err)
		}
	})
}

func TestNamedDirectoryIsStartedAgain(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		o := launch.Options{Engine: e, Dir: t.TempDir(), Name: "shard"}
		first := launchtest.Start(t, o)[0]
		exec(t, open(t, first.DSN()), "CREATE DATABASE kept")
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		if log := read(t, first.ErrorLog()); !strings.Contains(log, "Shutdown complete") &&
			!strings.Contains(log, "Shutdown completed") {
			t.Errorf("no orderly end in the error log:\n%s", log)
		}
		second := launchtest.Start(t, o)[0]
		if second.DSN() != first.DSN() {
			t.Errorf("DSN %s, before %s", second.DSN(), first.DSN())
		}
		exec(t, open(t, second.DSN()), "USE kept")
	})
}

func TestDataOfAnotherEngineAreRefused(t *testing.T) {
	o := launch.Options{Engine: launch.MariaDB1011, Dir: t.TempDir(), Name: "shard"}
	s := launchtest.Start(t, o)[0]
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	o.Engine = launch.MariaDB118
	if _, err := launch.Start(t.Context(), o); err == nil || !strings.Contains(err.Error(), "holds data of engine") {
		t.Fatalf("start on another engine's data: %v", err)
	}
}

func TestStoppedServerLeavesNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		s := launchtest.Start(t, launch.Options{Engine: e})[0]
		pid := s.PID()
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) || runs(t, pid) {
			t.Fatalf("directory: %v, process lives: %t", err, runs(t, pid))
		}
		if err := s.Restart(t.Context()); !errors.Is(err, launch.ErrStopped) {
			t.Fatalf("restart after Stop: %v", err)
		}
	})
}

func TestPausedServerIsSilentUntilResumed(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		s := launchtest.Start(t, launch.Options{Engine: e})[0]
		db, err := s.DB(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Pause(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if err := db.PingContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("ping of a paused server: %v", err)
		}
		if err := s.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestServersAreDurableAndOpenToTheirAccount(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		s := launchtest.Shared(t, e)
		db := open(t, s.DSN())
		for statement, want := range map[string]int{
			"SELECT @@sync_binlog":                    1,
			"SELECT @@innodb_flush_log_at_trx_commit": 1,
			"SELECT @@max_allowed_packet":             64 << 20,
			"SELECT @@max_connections":                300,
			"SELECT @@general_log":                    0,
			"SELECT @@skip_name_resolve":              1,
		} {
			if got := number(t, db, statement); got != want {
				t.Errorf("%s: %d, not %d", statement, got, want)
			}
		}
		plugin, binlog := "mysql_native_password", 0
		if e == launch.MySQL {
			plugin, binlog = "caching_sha2_password", 1
		}
		if got := number(t, db, "SELECT @@log_bin"); got != binlog {
			t.Errorf("log_bin %d, not %d", got, binlog)
		}
		if got := text(t, db, "SELECT plugin FROM mysql.user WHERE user = 'xaproxy'"); got != plugin {
			t.Errorf("plugin %s, not %s", got, plugin)
		}
		if got := number(t, db, "SELECT COUNT(*) FROM mysql.user WHERE user = '' OR (user = 'root' AND host NOT IN ('%', 'localhost'))"); got != 0 {
			t.Errorf("%d accounts too many", got)
		}
		if v := text(t, db, "SELECT VERSION()"); !strings.HasPrefix(v, s.Version()) {
			t.Errorf("version %s, not %s", v, s.Version())
		}
	})
}

func TestSettingsAndEnvironmentReachTheServer(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		s := launchtest.Start(t, launch.Options{
			Engine: e,
			Settings: map[string]string{
				"skip-log-bin": "", "innodb_lock_wait_timeout": "7", "--max-connections": "55", "init-connect": "SET @a = 1 # x",
			},
			Env: []string{"TZ=JST-9"},
		})[0]
		db := open(t, s.DSN())
		for statement, want := range map[string]string{
			"SELECT @@log_bin":                  "0",
			"SELECT @@innodb_lock_wait_timeout": "7",
			"SELECT @@max_connections":          "55",
			"SELECT @@init_connect":             "SET @a = 1 # x",
		} {
			if got := text(t, db, statement); got != want {
				t.Errorf("%s: %s, not %s", statement, got, want)
			}
		}
		if got := text(t, db, "SELECT @@system_time_zone"); got != "JST" {
			t.Errorf("time zone %s, not that of the environment", got)
		}
	})
}

func TestFailedStartTellsTheServersReason(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		requireEngines(t)
		dir := t.TempDir()
		_, err := launch.StartAll(t.Context(), launch.Options{Engine: e, Dir: dir, Name: "good"},
			launch.Options{Engine: e, Dir: dir, Name: "bad", Settings: map[string]string{"no-such-setting": "1"}})
		if err == nil || !strings.Contains(err.Error(), "no_such_setting") && !strings.Contains(err.Error(), "no-such-setting") {
			t.Fatalf("error without the reason: %v", err)
		}
		// None is left: its directory is free.
		s := launchtest.Start(t, launch.Options{Engine: e, Dir: dir, Name: "good"})[0]
		if s.PID() == 0 {
			t.Fatal("not running")
		}
	})
}

func TestUnknownEngineIsRefused(t *testing.T) {
	if _, err := launch.Start(t.Context(), launch.Options{Engine: "oracle"}); err == nil {
		t.Fatal("started")
	}
	if err := launch.Ensure(t.Context(), "", nil); err == nil {
		t.Fatal("ensured")
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func number(t *testing.T, db *sql.DB, query string) int {
	t.Helper()
	var n int
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

func text(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var v string
	if err := db.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
