package app

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

// TestAdminPortShowsWhatShardsCanProveAndResolves: a branch that a proxy left prepared is shown with the evidence of every
// shard, finished by XA RESOLVE, and its outcome told.
func TestAdminPortShowsWhatShardsCanProveAndResolves(t *testing.T) {
	servers, shards := startShards(t, launch.MariaDB1011, launch.MySQL)
	c := testConfig(t, shards)
	c.Recovery.Grace, c.Recovery.Interval = time.Hour, time.Hour
	m := serve(t, c)
	meta, installed, err := xamysql.ReadMeta(t.Context(), servers[1].RootDSN())
	if err != nil || !installed {
		t.Fatal(installed, err)
	}
	g, err := xa.GlobalName{Cluster: meta.Cluster, Node: 9, Incarnation: 1, Sequence: 1, Home: xa.SessionID{Shard: 0, Conn: 999999, Run: 1}}.ID()
	if err != nil {
		t.Fatal(err)
	}
	q, err := xa.Qualifier{Session: xa.SessionID{Shard: meta.Shard, Conn: 999999, Run: 1}, Ordinal: 1}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	xid := fmt.Sprintf("'%s','%s',%d", g, q, xa.FormatID)
	conn, err := openDB(t, servers[1].RootDSN()).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "XA START " + xid, "INSERT INTO d.t VALUES (1)", "XA END " + xid, "XA PREPARE " + xid} {
		if _, err := conn.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	ops := openDB(t, "ops:opspw@tcp("+m.AdminAddr()+")/")
	one := func(statement string, rows int, want ...string) {
		t.Helper()
		got, err := query(t, ops, statement)
		all := strings.Join(got, "\n")
		if err != nil || len(got) != rows {
			t.Fatalf("%s: %v, %v; want %d rows", statement, got, err, rows)
		}
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("%s:\n%s\nlacks %q", statement, all, w)
			}
		}
	}
	one("XA RECOVER", 1, string(g)+q, "|s1")
	one("SHOW XA TRANSACTIONS", 1, string(g), "in doubt", "|s1|")
	one("SHOW XA TRANSACTION '"+string(g)+"'", 2, "home", "participant", "prepared: bqual "+q, "NONE RECORDED", "XA RESOLVE")
	if _, err := query(t, ops, "SHOW XA TRANSACTION 'nonsense'"); err == nil {
		t.Error("a name that is none was taken")
	}
	one("XA RESOLVE '"+string(g)+"'", 1, "ABORTED", "finished")
	one("XA RECOVER", 0)
	one("XA OUTCOME '"+string(g)+"'", 1, "ABORTED")
	one("XA RESOLVE ALL", 0)
	var n int
	if err := openDB(t, servers[1].RootDSN()).QueryRow("SELECT COUNT(*) FROM d.t").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d rows after the rollback, %v", n, err)
	}
}

// TestAdminPortRepairsDefinitions: one that only a part of the shards can execute waits for a person.
func TestAdminPortRepairsDefinitions(t *testing.T) {
	servers, shards := startShards(t, launch.MariaDB1011, launch.MariaDB1011)
	m := serve(t, testConfig(t, shards))
	app := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
	ops := openDB(t, "ops:opspw@tcp("+m.AdminAddr()+")/")
	run := func(db *sql.DB, statements ...string) {
		t.Helper()
		for _, q := range statements {
			if _, err := db.ExecContext(t.Context(), q); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
		}
	}
	run(app, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)", "INSERT INTO d.t VALUES (1,1),(2,1),(3,1),(4,1),(5,1),(6,1)")
	second := openDB(t, servers[1].RootDSN())
	for _, verb := range []string{"RETRY", "FORGET"} {
		run(second, "UPDATE d.t SET v=NULL")
		if _, err := app.ExecContext(t.Context(), "ALTER TABLE d.t MODIFY v INT NOT NULL"); err == nil || !strings.Contains(err.Error(), "17022") {
			t.Fatal(err)
		}
		rows, err := query(t, ops, "SHOW DDL")
		if err != nil || len(rows) == 0 || !strings.Contains(rows[0], "|stuck|s0: done; s1: failed") {
			t.Fatal(rows, err)
		}
		id, _, _ := strings.Cut(rows[0], "|")
		if verb == "RETRY" {
			run(second, "UPDATE d.t SET v=1")
		} else {
			run(openDB(t, servers[0].RootDSN()), "ALTER TABLE d.t MODIFY v INT")
		}
		rows, err = query(t, ops, "DDL "+verb+" '"+id+"'")
		if err != nil || len(rows) != 1 || !strings.HasPrefix(rows[0], id) {
			t.Fatal(rows, err)
		}
		if _, err := query(t, ops, "DDL "+verb+" '"+id+"'"); err == nil || !strings.Contains(err.Error(), "SHOW DDL") {
			t.Errorf("twice: %v", err)
		}
		run(app, "UPDATE d.t SET v=2", "ALTER TABLE d.t MODIFY v INT")
	}
}
