package launch_test

import (
	"database/sql"
	"os"
	"testing"

	_ "github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }

// eachEngine runs the test once per engine.
func eachEngine(t *testing.T, test func(t *testing.T, e launch.Engine)) {
	t.Helper()
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) { test(t, e) })
	}
}

func TestKilledServerKeepsDataAndPort(t *testing.T) {
	eachEngine(t, func(t *testing.T, e launch.Engine) {
		s := launchtest.Start(t, launch.Options{Engine: e})[0]
		db, err := sql.Open("mysql", s.DSN())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		exec(t, db, "CREATE DATABASE d", "CREATE TABLE d.t (a INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1), (2)")
		port, pid := s.Port(), s.PID()
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if got := s.PID(); got != 0 {
			t.Fatalf("PID after Kill is %d", got)
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Port() != port || s.PID() == pid {
			t.Fatalf("port %d -> %d, pid %d -> %d", port, s.Port(), pid, s.PID())
		}
		var n int
		if err := db.QueryRow("SELECT COUNT(*) FROM d.t").Scan(&n); err != nil || n != 2 {
			t.Fatalf("%d rows, %v", n, err)
		}
	})
}

func exec(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}
