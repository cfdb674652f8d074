package app

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

// startShards starts one server per engine and returns the shards section.
func startShards(t *testing.T, engines ...launch.Engine) ([]*launch.Server, map[string]ShardConfig) {
	t.Helper()
	var options []launch.Options
	for _, e := range engines {
		options = append(options, launch.Options{Engine: e})
	}
	servers := launchtest.Start(t, options...)
	shards := map[string]ShardConfig{}
	for i, s := range servers {
		shards[fmt.Sprintf("s%d", i)] = ShardConfig{DSN: s.DSN()}
	}
	return servers, shards
}

func testConfig(t *testing.T, shards map[string]ShardConfig) *Config {
	t.Helper()
	c, err := ParseConfig("xaproxy.yaml", []byte(`
shards: { x: { dsn: "u:p@tcp(127.0.0.1:1)/" } }
listen: { data: "127.0.0.1:0", admin: "127.0.0.1:0", http: "127.0.0.1:0" }
tables: { account: { key: id } }
users: { app: { password: apppw }, ops: { password: opspw, role: operate }, look: { password: lookpw, role: read } }
recovery: { dead_after: 1s, grace: 500ms, interval: 1s }
claims: { retain: 0s }
`))
	if err != nil {
		t.Fatal(err)
	}
	c.StateDir = filepath.Join(t.TempDir(), "state")
	c.Shards = shards
	return c
}

// serve runs the program as cmd/xaproxy does and stops it when the test ends.
func serve(t *testing.T, c *Config) *Main {
	t.Helper()
	m, err := Open(t.Context(), c, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the program did not end")
		}
	})
	return m
}

func openDB(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func mustExec(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, q string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

func TestTransfersAcrossServersEndToEnd(t *testing.T) {
	servers, shards := startShards(t, launch.MySQL, launch.MariaDB1011)
	m := serve(t, testConfig(t, shards))
	db := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
	mustExec(t, db, "CREATE DATABASE bank")
	mustExec(t, db, "CREATE TABLE bank.account (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)")
	mustExec(t, db, "INSERT INTO bank.account (id, cents) VALUES (1,100),(2,100),(3,100),(4,100),(5,100),(6,100),(7,100),(8,100)")
	for i := range 20 {
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		mustExec(t, tx, "UPDATE bank.account SET cents = cents - ? WHERE id = ?", 1, 1+i%8)
		mustExec(t, tx, "UPDATE bank.account SET cents = cents + ? WHERE id = ?", 1, 1+(i+3)%8)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	sum := 0
	for _, s := range servers {
		part := 0
		if err := openDB(t, s.RootDSN()).QueryRow("SELECT CAST(SUM(cents) AS SIGNED) FROM bank.account").Scan(&part); err != nil {
			t.Fatal(err)
		}
		sum += part
	}
	if sum != 800 {
		t.Errorf("sum at the shards is %d, want 800", sum)
	}
}

// query returns the rows of a statement, fields joined by a bar.
func query(t *testing.T, db *sql.DB, q string) ([]string, error) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), q)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out []string
	for rows.Next() {
		fields := make([]sql.NullString, len(names))
		into := make([]any, len(names))
		for i := range fields {
			into[i] = &fields[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		var row []string
		for _, f := range fields {
			row = append(row, f.String)
		}
		out = append(out, strings.Join(row, "|"))
	}
	return out, rows.Err()
}

func TestAdminPortShowsAndResolves(t *testing.T) {
	servers, shards := startShards(t, launch.MariaDB1011, launch.MariaDB118)
	c := testConfig(t, shards)
	c.Recovery.Grace = time.Hour // what is in doubt stays so until XA RESOLVE
	m := serve(t, c)
	ops := openDB(t, "ops:opspw@tcp("+m.AdminAddr()+")/")
	for q, want := range map[string]int{
		"SHOW SHARDS": 2, "SHOW NODES": 1, "XA RECOVER": 0, "show xa transactions;": 0, "SELECT 1": 1,
	} {
		rows, err := query(t, ops, q)
		if err != nil || len(rows) != want {
			t.Errorf("%s: %d rows (%v), want %d: %v", q, len(rows), err, want, rows)
		}
	}
	look := openDB(t, "look:lookpw@tcp("+m.AdminAddr()+")/")
	for _, q := range []string{"XA RESOLVE ALL", "DDL RETRY 'x'", "DDL FORGET 'x'"} {
		if _, err := query(t, look, q); err == nil || !strings.Contains(err.Error(), "operate") {
			t.Errorf("%s by a reader: %v, want an error that names the role", q, err)
		}
	}
	if _, err := query(t, ops, "SELECT * FROM nothing"); err == nil || !strings.Contains(err.Error(), "SHOW SHARDS") {
		t.Errorf("unknown statement: %v, want the list of statements", err)
	}
	if _, err := query(t, openDB(t, "app:apppw@tcp("+m.AdminAddr()+")/"), "SELECT 1"); err == nil {
		t.Error("a user without a role entered the admin port")
	}
	if err := servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	rows, err := query(t, ops, "SHOW SHARDS")
	if err != nil || len(rows) != 2 || !strings.Contains(rows[1], "|down|") {
		t.Errorf("SHOW SHARDS with a dead shard: %v, %v", rows, err)
	}
	if _, err := query(t, ops, "XA RECOVER"); err == nil {
		t.Error("XA RECOVER without a shard looked complete")
	}
}

func TestStartServesWithoutAShardThatIsDown(t *testing.T) {
	servers, shards := startShards(t, launch.MariaDB1011, launch.MariaDB1011)
	c := testConfig(t, shards)
	if err := Init(t.Context(), c, &bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	func() { // a first start fills the state directory
		m, err := Open(t.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}()
	if err := servers[1].Kill(); err != nil {
		t.Fatal(err)
	}
	m := serve(t, c)
	db := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
	if err := db.Ping(); err != nil {
		t.Errorf("ping with a shard down: %v", err)
	}
	// A lost state directory must not keep the rest from being served either.
	c2 := testConfig(t, shards)
	c2.Node = 77
	m2 := serve(t, c2)
	if err := openDB(t, "app:apppw@tcp("+m2.DataAddr()+")/").Ping(); err != nil {
		t.Errorf("ping with a shard down and an empty state directory: %v", err)
	}
}

func TestOneServerUnderTwoNamesIsRefusedWithBoth(t *testing.T) {
	_, shards := startShards(t, launch.MariaDB1011)
	shards["again"] = ShardConfig{DSN: strings.Replace(shards["s0"].DSN, "127.0.0.1", "localhost", 1)}
	err := Init(t.Context(), testConfig(t, shards), &bytes.Buffer{})
	if err == nil || !strings.Contains(err.Error(), "again") || !strings.Contains(err.Error(), "s0") {
		t.Errorf("error = %v, want both names", err)
	}
}

func TestCheckNamesWhatIsMissingAndItsRepair(t *testing.T) {
	servers, shards := startShards(t, launch.MySQL)
	root := openDB(t, servers[0].RootDSN())
	mustExec(t, root, "CREATE USER poor@'%' IDENTIFIED BY 'pw'")
	mustExec(t, root, "GRANT SELECT ON *.* TO poor@'%'")
	var out bytes.Buffer
	if err := Check(t.Context(), testConfig(t, shards), &out); err != nil {
		t.Errorf("check of a sound shard: %v\n%s", err, out.String())
	}
	shards["s0"] = ShardConfig{DSN: "poor:pw@tcp(" + servers[0].Addr() + ")/"}
	out.Reset()
	err := Check(t.Context(), testConfig(t, shards), &out)
	if !errors.Is(err, ErrFindings) || !strings.Contains(out.String(), "XA_RECOVER_ADMIN") || !strings.Contains(out.String(), "GRANT") {
		t.Errorf("check of a poor account: %v\n%s", err, out.String())
	}
}

func TestSecondProcessOnOneStateDirectoryIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, err := openState(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.lock(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("second lock: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	unlock, err = s.lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unlock(), os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
}

// TestAskedToEndWhileItStarts: a supervisor that stops the program during a long start sees no failure.
func TestAskedToEndWhileItStarts(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	config := testConfig(t, map[string]ShardConfig{"s0": {DSN: "u:p@tcp(" + silent.Addr().String() + ")/"}})
	ctx, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	began := time.Now()
	if err := Serve(ctx, config, slog.New(slog.NewTextHandler(t.Output(), nil)), nil); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	}
}
