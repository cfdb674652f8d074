package integration

import (
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
)

func numberOf(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// TestLoginErrorsReachTheClient: why a login fails is an error packet, not a closed connection.
func TestLoginErrorsReachTheClient(t *testing.T) {
	c := newCluster(t, launch.MariaDB1011)
	p := c.newProxy(t, "a", proxySettings{node: 1, more: "limits: { shard_connections: 1, pool_wait: 300ms }\n"})
	p.up()
	login := func(schema string) uint16 {
		db := p.open(schema, "")
		defer db.Close()
		return numberOf(db.PingContext(t.Context()))
	}
	if n := login("no_such_schema"); n != 1049 {
		t.Errorf("login with an unknown schema: error %d, want 1049", n)
	}
	hold := oneConn(t, p.dsnOf(""))
	mustRun(t, hold, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "BEGIN", "INSERT INTO d.t VALUES (1)")
	// What a login asks a shard goes beside the sessions' connections; a statement needs one of them.
	if n := login("d"); n != 0 {
		t.Errorf("login while every connection is in use: error %d, want none", n)
	}
	other := oneConn(t, p.dsnOf("d"))
	if _, err := other.ExecContext(t.Context(), "INSERT INTO t VALUES (2)"); numberOf(err) != 17031 {
		t.Errorf("a statement while every connection is in use: %v, want 17031", err)
	}
	mustRun(t, hold, "ROLLBACK")
	c.shards[0].kill(t)
	if n := login("d"); n != 17030 {
		t.Errorf("login while the shard is down: error %d, want 17030", n)
	}
}

// TestCharacterSetsOfOtherSessionsDoNotMatter: a connection that another session has used with another character set
// answers like a fresh one. MySQL derives a column's collation number from how the character set was set.
func TestCharacterSetsOfOtherSessionsDoNotMatter(t *testing.T) {
	c := newCluster(t, launch.MySQL, launch.MySQL)
	p := c.newProxy(t, "a", proxySettings{node: 1, more: "limits: { shard_connections: 1 }\n"}) // so that both use the same ones
	p.up()
	other := oneConn(t, p.dsnOf(""))
	mustRun(t, other, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, s VARCHAR(10))",
		"INSERT INTO d.t VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d'),(5,'e'),(6,'f')", "SET NAMES latin1")
	// A statement of its own is not needed: the value was checked at the first shard.
	mine := oneConn(t, p.dsnOf(""))
	for range 5 {
		rows, err := mine.QueryContext(t.Context(), "SELECT s FROM d.t")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		if err := rows.Err(); err != nil || n != 6 {
			t.Fatalf("%d rows, then %v", n, err)
		}
	}
}

// TestCharacterSetsMeanWhatTheServerMakesOfThem: a character set without a collation stands for the server's default,
// which on MariaDB 11.8 is not the one that a login's number names.
func TestCharacterSetsMeanWhatTheServerMakesOfThem(t *testing.T) {
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB118} {
		t.Run(string(e), func(t *testing.T) {
			w := newDiffWorld(t, e, 2)
			for _, q := range []string{"SELECT @@collation_connection, 'a'='á', 'ß'", "SET NAMES utf8mb4", "SELECT @@collation_connection, 'ß'",
				"SET NAMES utf8mb4 COLLATE utf8mb4_general_ci", "SELECT @@collation_connection, 'ß'", "SET NAMES latin1", "SELECT @@collation_connection, 'a'"} {
				st := verbatim(q)
				if refused, m, err := newHistory(w, "").step(st); err != nil || m != nil || refused != "" {
					t.Errorf("%s: %s %v %v", q, refused, m, err)
				}
			}
		})
	}
}
