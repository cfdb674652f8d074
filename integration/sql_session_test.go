package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

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

// TestDefaultCollationsFollowTheShardsThatWereDown: sessions that began while only a MariaDB 11.8 had told its default
// collation, which the shard that comes back does not know, reach that shard all the same.
func TestDefaultCollationsFollowTheShardsThatWereDown(t *testing.T) {
	c := newCluster(t, launch.MariaDB118, launch.MySQL)
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	first := oneConn(t, p.dsnOf(""))
	mustRun(t, first, "CREATE DATABASE bank", "CREATE TABLE bank.account (id INT PRIMARY KEY, s VARCHAR(20)) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci",
		"INSERT INTO bank.account VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d'),(5,'e'),(6,'f'),(7,'g'),(8,'h')")
	p.kill()
	c.shards[1].kill(t)
	p.start()
	ping := p.open("", "timeout=1s&readTimeout=2s")
	defer ping.Close()
	if _, err := poll(t.Context(), 20*time.Second+slack(), ping.PingContext); err != nil {
		t.Fatalf("login: %v\n%s", err, p.logTail(20))
	}
	all := "SELECT COUNT(*) FROM bank.account WHERE s <> CONCAT('x', '?')"
	login := oneConn(t, p.dsnOf(""))
	names := oneConn(t, p.dsnOf(""))
	mustRun(t, names, "SET NAMES utf8mb4")
	stated := oneConn(t, p.dsnOf(""))
	mustRun(t, stated, "SET NAMES utf8mb4 COLLATE utf8mb4_uca1400_ai_ci")
	count := func(conn *sql.Conn) (int, error) {
		var n int
		err := conn.QueryRowContext(t.Context(), all).Scan(&n)
		return n, err
	}
	for _, conn := range []*sql.Conn{login, names, stated} {
		if _, err := count(conn); numberOf(err) != 17030 {
			t.Errorf("all rows while a shard is down: %v, want 17030", err)
		}
	}
	c.shards[1].restart(t)
	for i, conn := range []*sql.Conn{login, names} {
		if _, err := poll(t.Context(), 20*time.Second+slack(), func(context.Context) error {
			n, err := count(conn)
			if err == nil && n != 8 {
				err = fmt.Errorf("%d rows, want 8", n)
			}
			return err
		}); err != nil {
			t.Errorf("session %d, begun while the shard was down: %v", i, err)
		}
		var collation string
		if err := conn.QueryRowContext(t.Context(), "SELECT @@collation_connection").Scan(&collation); err != nil || collation != "utf8mb4_general_ci" {
			t.Errorf("session %d: collation_connection is %q (%v), want the one that both shards know", i, collation, err)
		}
	}
	if _, err := count(stated); numberOf(err) != 1273 {
		t.Errorf("with a collation that the client named and a shard lacks: %v, want 1273", err)
	}
}
