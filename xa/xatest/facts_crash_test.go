package xatest_test

import (
	"fmt"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

// eachOwnServer runs f once per engine on a server of its own, which may be killed and set up at will.
func eachOwnServer(t *testing.T, f func(t *testing.T, s *launch.Server)) {
	for _, e := range launch.Engines() {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			s := launchStart(t, e)
			install(t, s)
			f(t, s)
		})
	}
}

func launchStart(t testing.TB, e launch.Engine) *launch.Server {
	t.Helper()
	return launchtest.Start(t, launch.Options{Engine: e})[0]
}

// waitRun waits until a restarted server's run differs from the given one by more than counts as the same.
func waitRun(run uint32) { time.Sleep(time.Until(time.Unix(int64(run)+4, 0))) }

func (b bench) crash() {
	b.Helper()
	if err := b.server.Kill(); err != nil {
		b.Fatal(err)
	}
	if err := b.server.Restart(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// TestCrashFacts is one crash with many branches prepared: what survives it.
func TestCrashFacts(t *testing.T) {
	eachOwnServer(t, func(t *testing.T, s *launch.Server) {
		b := newBench(t, s)
		prepared := map[string]string{}
		branch := func(name, work string) {
			x := b.xid()
			prepared[name] = x
			a := b.dial()
			a.do(t, "XA START "+x+";"+work)
			for _, r := range a.pipeline(t, "XA END "+x, "XA PREPARE "+x) {
				if r.Err != nil {
					t.Fatal(r.Err)
				}
			}
		}
		branch("writer", fmt.Sprintf("UPDATE %s SET v=v+1 WHERE id=1;SELECT * FROM %s WHERE id=4 FOR UPDATE", b.table(), b.table()))
		branch("reader", fmt.Sprintf("SELECT * FROM %s WHERE id=2 FOR UPDATE", b.table()))
		branch("no rows", fmt.Sprintf("UPDATE %s SET v=v+1 WHERE id=99", b.table()))
		branch("undone", "SAVEPOINT s;"+b.add(3)+";ROLLBACK TO s")
		before := b.dial().id
		waitRun(before.Run)
		b.crash()
		c := b.dial()
		if d := c.id.Run - before.Run; d < 3 {
			t.Fatalf("new run begins %d s after the old one", d)
		}
		c.do(t, "SET innodb_lock_wait_timeout=1")
		b.wantListed(prepared["writer"], true)
		for _, name := range []string{"reader", "no rows", "undone"} {
			b.wantListed(prepared[name], false)
			c.fails(t, "XA COMMIT "+prepared[name], 1397)
		}
		c.fails(t, b.add(1), 1205) // F10: modified rows stay locked,
		c.do(t, b.add(4))          // rows that were only read for update do not
		c.do(t, "XA COMMIT "+prepared["writer"])
		b.wantValue(1, "1")
		b.wantListed(prepared["writer"], false)
	})
}

// TestReadOnlyServerFacts: a server that is switched to read_only refuses writes of ordinary accounts only, so that the
// switch has to be looked at.
func TestReadOnlyServerFacts(t *testing.T) {
	eachOwnServer(t, func(t *testing.T, s *launch.Server) {
		b := newBench(t, s)
		a, x, y := b.dial(), b.xid(), b.xid()
		a.do(t, "CREATE USER plain@'%' IDENTIFIED BY 'pw'; GRANT SELECT, UPDATE ON *.* TO plain@'%'")
		b.prepare(a, x)
		c := b.dial()
		c.do(t, "XA START "+y+";"+b.add(2))
		c.pipeline(t, "XA END "+y, "XA PREPARE "+y)
		a.close()
		c.close()
		b.waitGone(a.id.Conn)
		b.waitGone(c.id.Conn)
		root := b.dial()
		root.do(t, "SET GLOBAL read_only=1")
		plain := dial(t, fmt.Sprintf("plain:pw@tcp(%s)/", s.Addr()), number)
		plain.fails(t, b.add(3), 1290)
		root.do(t, b.add(3)) // with all privileges a replica takes writes
		if b.mariadb() {
			plain.fails(t, "XA COMMIT "+x, 1290)
			b.wantListed(x, true)
		} else {
			plain.do(t, "XA COMMIT "+x)
		}
		root.do(t, "XA COMMIT "+y)
		root.do(t, "SET GLOBAL read_only=0")
		if b.mariadb() {
			root.do(t, "XA COMMIT "+x)
		}
	})
}
