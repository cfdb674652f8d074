package xatest_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
)

func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }

// The cluster and the shard that all shared servers are installed as.
const (
	cluster xa.ClusterID = 0x1234567890
	number  xa.ShardID   = 7
	node    uint32       = 3
)

// eachServer runs f once per engine, in parallel. f shares the server with other tests.
func eachServer(t *testing.T, f func(t *testing.T, s *launch.Server)) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchtest.Shared(t, e)
			install(t, s)
			f(t, s)
		})
	}
}

func install(t testing.TB, s *launch.Server) {
	t.Helper()
	m := xamysql.Meta{Cluster: cluster, Shard: number, Name: "shared"}
	if err := xamysql.Install(t.Context(), s.DSN(), m); err != nil {
		t.Fatal(err)
	}
}

// shardOf opens the server as a shard.
func shardOf(t testing.TB, s *launch.Server) *xamysql.Shard {
	t.Helper()
	shard, err := xamysql.Open(xamysql.Options{DSN: s.DSN(), Number: number, Name: "shared", Cluster: cluster, Node: node})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shard.Close(); err != nil {
			t.Error(err)
		}
	})
	return shard
}

var counter atomic.Uint64

// bench is a server with a schema of the test's own and a table t (id, v) with rows 1 to 5, all 0.
type bench struct {
	*testing.T
	server *launch.Server
	schema string
}

func newBench(t *testing.T, s *launch.Server) bench {
	b := bench{T: t, server: s, schema: fmt.Sprintf("test%d_%d", os.Getpid(), counter.Add(1))}
	c := b.dial()
	c.do(t, "CREATE DATABASE "+b.schema)
	c.do(t, "CREATE TABLE "+b.table()+" (id INT PRIMARY KEY, v INT NOT NULL) ENGINE=InnoDB")
	c.do(t, "INSERT INTO "+b.table()+" VALUES (1,0),(2,0),(3,0),(4,0),(5,0)")
	c.close()
	t.Cleanup(func() {
		// Sessions and prepared branches of the test may still lock the table.
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		db, err := s.DB(ctx)
		if err != nil {
			return // killed by the test
		}
		_, _ = db.ExecContext(ctx, "DROP DATABASE "+b.schema)
	})
	return b
}

func (b bench) table() string { return b.schema + ".t" }

func (b bench) mariadb() bool { return b.server.Engine().Family() == "mariadb" }

// dial opens a session in the bench's schema.
func (b bench) dial() *session {
	b.Helper()
	return dial(b, b.server.DSN(), number)
}

// add is a statement that adds 1 to a row.
func (b bench) add(id int) string {
	return fmt.Sprintf("UPDATE %s SET v=v+1 WHERE id=%d", b.table(), id)
}

// value is the committed value of a row.
func (b bench) value(id int) string {
	b.Helper()
	c := b.dial()
	defer c.close()
	return c.one(b, fmt.Sprintf("SELECT v FROM %s WHERE id=%d", b.table(), id))
}

func (b bench) wantValue(id int, want string) {
	b.Helper()
	if got := b.value(id); got != want {
		b.Fatalf("row %d is %s, want %s", id, got, want)
	}
}

// xid returns the literals of an xid that no other test uses.
func (b bench) xid() string {
	return fmt.Sprintf("X'%x',X'01',%d", fmt.Sprintf("fact-%d-%d", os.Getpid(), counter.Add(1)), xa.FormatID)
}

// listed reports whether XA RECOVER lists the xid.
func (b bench) listed(xid string) bool {
	b.Helper()
	c := b.dial()
	defer c.close()
	for _, row := range c.do(b, "XA RECOVER")[0].Rows {
		if strings.EqualFold(fmt.Sprintf("X'%x',X'01',%s", (*row[3])[:len(*row[3])-1], *row[0]), xid) {
			return true
		}
	}
	return false
}

func (b bench) wantListed(xid string, want bool) {
	b.Helper()
	if got := b.listed(xid); got != want {
		b.Fatalf("listed as prepared: %v, want %v", got, want)
	}
}

// waitGone waits until a session has left the server's list.
func (b bench) waitGone(id uint32) {
	b.Helper()
	c := b.dial()
	defer c.close()
	b.until("session has gone", func() bool {
		return c.one(b, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%d", id)) == "0"
	})
}

// waitBusy waits until a session has been executing a statement for a moment.
func (b bench) waitBusy(id uint32) {
	b.Helper()
	c := b.dial()
	defer c.close()
	b.until("session is busy", func() bool {
		return c.one(b, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%d AND command='Query'", id)) != "0"
	})
	time.Sleep(100 * time.Millisecond)
}

// until waits for a condition.
func (b bench) until(what string, ok func() bool) {
	b.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("never: %s", what)
		}
	}
}
