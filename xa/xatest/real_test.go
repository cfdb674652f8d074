package xatest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/proxy/backend"
	"xaproxy/xa"
	"xaproxy/xa/xamysql"
	"xaproxy/xa/xatest"
)

func TestServersConform(t *testing.T) {
	eachServer(t, func(t *testing.T, s *launch.Server) {
		conform(t, s, func(t testing.TB) (xamysql.Conn, func()) {
			c := dial(t, s.DSN(), number)
			return c, c.close
		})
	})
}

// The connections that the proxy itself uses.
func TestServersConformOverTheProxysConnections(t *testing.T) {
	eachServer(t, func(t *testing.T, s *launch.Server) {
		o, err := backend.ParseDSN(s.DSN())
		if err != nil {
			t.Fatal(err)
		}
		o.Shard, o.Name, o.Lease = number, "shared", 15*time.Second
		conform(t, s, func(t testing.TB) (xamysql.Conn, func()) {
			c, err := backend.Dial(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			return c, c.Close
		})
	})
}

// conform runs the suite on a server, over connections that connect opens; its second result cuts the connection.
func conform(t *testing.T, s *launch.Server, connect func(testing.TB) (xamysql.Conn, func())) {
	b := newBench(t, s)
	b.dial().do(t, "CREATE TABLE "+b.schema+".kv (k VARCHAR(64) PRIMARY KEY, v INT NOT NULL) ENGINE=InnoDB")
	shard := shardOf(t, s)
	xatest.TestResource(t, func(*testing.T) xatest.Subject { return real{b: b, shard: shard, connect: connect} })
}

// real is a server as a Subject.
type real struct {
	b       bench
	shard   *xamysql.Shard
	connect func(testing.TB) (xamysql.Conn, func())
}

func (r real) Resource() xatest.Shard { return r.shard }
func (r real) Cluster() xa.ClusterID  { return cluster }

func (r real) Open(t testing.TB) xatest.Session {
	t.Helper()
	c, cut := r.connect(t)
	return &realSession{conn: c, cut: cut, table: r.b.schema + ".kv"}
}

func (r real) Value(t testing.TB, key string) int {
	t.Helper()
	c := dial(t, r.b.server.DSN(), number)
	defer c.close()
	rows := c.do(t, fmt.Sprintf("SELECT v FROM %s.kv WHERE k='%s'", r.b.schema, key))[0].Rows
	if len(rows) == 0 {
		return 0
	}
	var v int
	if _, err := fmt.Sscan(*rows[0][0], &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (r real) WaitGone(t testing.TB, id xa.SessionID) {
	t.Helper()
	c := dial(t, r.b.server.DSN(), number)
	defer c.close()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if c.one(t, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%d", id.Conn)) == "0" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("session %+v is still there", id)
		}
	}
}

// realSession is a session with one of xamysql's branches.
type realSession struct {
	conn   xamysql.Conn
	cut    func()
	table  string
	marked interface{ MarkWrote() }
}

func (s *realSession) ID() xa.SessionID { return s.conn.Session() }

func (s *realSession) Home(t testing.TB, g xa.GlobalID) xa.Home {
	t.Helper()
	h := xamysql.NewHome(s.conn)
	h.MarkOpened()
	h.SetGlobal(g)
	s.do(t, "BEGIN")
	s.marked = h
	return h
}

func (s *realSession) Branch(t testing.TB, id xa.ID) xa.Branch {
	t.Helper()
	b := xamysql.NewBranch(s.conn, id)
	b.MarkOpened()
	s.do(t, b.StartSQL())
	s.marked = b
	return b
}

func (s *realSession) Touch(t testing.TB, key string, add int) {
	t.Helper()
	if add == 0 {
		s.do(t, fmt.Sprintf("SELECT * FROM %s WHERE k='%s' FOR UPDATE", s.table, key))
		return
	}
	s.marked.MarkWrote()
	s.do(t, fmt.Sprintf("INSERT INTO %s VALUES ('%s',%d) ON DUPLICATE KEY UPDATE v=v+%d", s.table, key, add, add))
}

func (s *realSession) Cut() { s.cut() }

func (s *realSession) do(t testing.TB, sql string) {
	t.Helper()
	replies, err := s.conn.Exchange(within(t, 20*time.Second), query(sql))
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if serr := replies[0].Results[0].Err; serr != nil {
		t.Fatalf("%s: %v", sql, serr)
	}
}

// within is a context for calls that must not take long.
func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
