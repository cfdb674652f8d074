package faultwire_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
	"xaproxy/internal/launch/launchtest"
)

func TestMain(m *testing.M) { os.Exit(launchtest.Main(m)) }

// bench is one server behind one relay.
type bench struct {
	t      *testing.T
	server *launch.Server
	relay  *faultwire.Relay
	direct *sql.DB

	mu     sync.Mutex
	events []faultwire.Event
}

func newBench(t *testing.T, e launch.Engine) *bench {
	b := &bench{t: t, server: launchtest.Shared(t, e)}
	r, err := faultwire.Listen(t.Context(), faultwire.Options{Name: "s0", Target: b.server.Addr(), Journal: func(e faultwire.Event) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events = append(b.events, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.relay = r
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, e := range b.events {
				t.Log(e)
			}
		}
	})
	if b.direct, err = b.server.DB(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec("CREATE DATABASE IF NOT EXISTS faultwire")
	b.exec("CREATE DATABASE IF NOT EXISTS xaproxy")
	b.exec("CREATE TABLE IF NOT EXISTS xaproxy.claim (name VARBINARY(255) PRIMARY KEY) ENGINE=InnoDB")
	b.exec("CREATE OR REPLACE VIEW faultwire.nothing AS SELECT 1 AS one WHERE 1=0")
	b.exec("CREATE TABLE IF NOT EXISTS faultwire.t (id INT PRIMARY KEY, v LONGTEXT) ENGINE=InnoDB")
	b.exec("DELETE FROM faultwire.t")
	b.exec("DELETE FROM xaproxy.claim")
	return b
}

func (b *bench) exec(q string) {
	b.t.Helper()
	if _, err := b.direct.ExecContext(b.t.Context(), q); err != nil {
		b.t.Fatalf("%s: %v", q, err)
	}
}

func (b *bench) count(q string) int {
	b.t.Helper()
	var n int
	if err := b.direct.QueryRowContext(b.t.Context(), q).Scan(&n); err != nil {
		b.t.Fatalf("%s: %v", q, err)
	}
	return n
}

// prepared lists the gtrids of XA RECOVER.
func (b *bench) prepared() []string {
	b.t.Helper()
	rows, err := b.direct.QueryContext(b.t.Context(), "XA RECOVER")
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var f, g, q int
		var data string
		if err := rows.Scan(&f, &g, &q, &data); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, data[:g])
	}
	return all
}

func (b *bench) eventually(what string, ok func() bool) {
	b.t.Helper()
	for range 200 {
		if ok() {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.t.Fatalf("never: %s", what)
}

func (b *bench) isPrepared(g string) bool {
	for _, p := range b.prepared() {
		if p == g {
			return true
		}
	}
	return false
}

// gone waits until the session of c has left the server.
func (b *bench) gone(c *session) {
	b.t.Helper()
	q := fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE id=%d", c.id)
	b.eventually("session gone", func() bool { return b.count(q) == 0 })
}

// connect opens a session connection through the relay.
func (b *bench) connect() *session {
	b.t.Helper()
	c, err := dial(b.relay.Addr(), b.server.User(), b.server.Password())
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = c.Close() })
	return c
}

func within(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: never", what)
	}
}

func onBoth(t *testing.T, test func(t *testing.T, b *bench)) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) { test(t, newBench(t, e)) })
	}
}

func open(t *testing.T, c *session, g string, id int) {
	t.Helper()
	must(t, c, fmt.Sprintf("XA START '%s','b',1", g), fmt.Sprintf("INSERT INTO faultwire.t VALUES (%d,'x')", id), fmt.Sprintf("XA END '%s','b',1", g))
}

func TestCutBeforeKeepsThePacketFromTheShard(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		c := b.connect()
		open(t, c, "cutbefore", 1)
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.Before})
		if err := c.execute("XA PREPARE 'cutbefore','b',1"); err == nil {
			t.Error("the client was answered")
		}
		within(t, "act", a.Done())
		b.gone(c)
		if b.isPrepared("cutbefore") {
			t.Error("the packet reached the shard")
		}
	})
}

func TestCutAfterLosesOnlyTheReply(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		c := b.connect()
		open(t, c, "cutafter", 1)
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.After})
		if err := c.execute("XA PREPARE 'cutafter','b',1"); err == nil {
			t.Error("the client was answered")
		}
		within(t, "act", a.Done())
		b.gone(c)
		if !b.isPrepared("cutafter") {
			t.Error("the packet did not reach the shard")
		}
		b.exec("XA ROLLBACK 'cutafter','b',1")
	})
}

func TestHookRunsAtExactlyThatMoment(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		var before, after bool
		b.relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.Before, Then: faultwire.Forward,
			Hook: func() { before = b.isPrepared("hook1") }})
		c := b.connect()
		open(t, c, "hook1", 1)
		must(t, c, "XA PREPARE 'hook1','b',1", "XA ROLLBACK 'hook1','b',1")
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.After, Then: faultwire.Forward,
			Hook: func() { after = b.isPrepared("hook2") }})
		open(t, c, "hook2", 1)
		must(t, c, "XA PREPARE 'hook2','b',1")
		within(t, "act", a.Done())
		must(t, c, "XA ROLLBACK 'hook2','b',1")
		if before || !after {
			t.Errorf("prepared before: %t, after: %t", before, after)
		}
	})
}

func TestHeldPacketArrivesAfterItsSenderIsGone(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		c := b.connect()
		open(t, c, "late", 1)
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.Before, Hold: true, Then: faultwire.Forward})
		if err := c.pipeline("XA PREPARE 'late','b',1"); err != nil {
			t.Fatal(err)
		}
		within(t, "fire", a.Fired())
		_ = c.Close()
		time.Sleep(100 * time.Millisecond)
		if b.isPrepared("late") {
			t.Fatal("not held")
		}
		a.Release()
		b.eventually("prepared", func() bool { return b.isPrepared("late") })
		b.gone(c)
		b.eventually("resolved", func() bool {
			_, err := b.direct.ExecContext(t.Context(), "XA ROLLBACK 'late','b',1")
			return err == nil
		})
	})
}

func TestSeveredPacketArrivesLate(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		c := b.connect()
		open(t, c, "severed", 1)
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Prepare, Side: faultwire.Before, Sever: true, Hold: true, Then: faultwire.Forward})
		if err := c.execute("XA PREPARE 'severed','b',1"); err == nil {
			t.Error("the client was answered")
		}
		if b.isPrepared("severed") {
			t.Error("not held")
		}
		a.Release()
		b.eventually("prepared", func() bool { return b.isPrepared("severed") })
		b.gone(c)
		b.eventually("resolved", func() bool {
			_, err := b.direct.ExecContext(t.Context(), "XA ROLLBACK 'severed','b',1")
			return err == nil
		})
	})
}

func TestHeldReplyGoesOnWhenReleased(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		c := b.connect()
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Commit, Side: faultwire.After, Hold: true, Then: faultwire.Forward})
		must(t, c, "BEGIN", "INSERT INTO faultwire.t VALUES (1,'x')")
		answer := make(chan error)
		go func() {
			err := c.execute("COMMIT")
			answer <- err
		}()
		within(t, "fire", a.Fired())
		if b.count("SELECT COUNT(*) FROM faultwire.t") != 1 {
			t.Error("not committed while the reply is held")
		}
		select {
		case err := <-answer:
			t.Errorf("answered early: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		a.Release()
		if err := <-answer; err != nil {
			t.Error(err)
		}
		must(t, c, "SELECT 1")
	})
}

func TestPipelinedCommandBehindACutNeverReachesTheShard(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		c := b.connect()
		must(t, c, "XA START 'pipe','b',1", "INSERT INTO faultwire.t VALUES (1,'x')")
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.End, Side: faultwire.After})
		if err := c.pipeline("XA END 'pipe','b',1", "XA PREPARE 'pipe','b',1"); err != nil {
			t.Fatal(err)
		}
		within(t, "act", a.Done())
		b.gone(c)
		if b.isPrepared("pipe") {
			t.Error("XA PREPARE was executed")
		}
	})
}

func TestCutBeforeThePipelinesSecondCommandKeepsTheFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		c := b.connect()
		open(t, c, "pipe2", 1)
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Ping, Side: faultwire.Before})
		if err := c.pipeline("XA PREPARE 'pipe2','b',1"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte{1, 0, 0, 0, 0x0e}); err != nil {
			t.Fatal(err)
		}
		within(t, "act", a.Done())
		b.gone(c)
		if !b.isPrepared("pipe2") {
			t.Error("XA PREPARE was not executed")
		}
		b.exec("XA ROLLBACK 'pipe2','b',1")
	})
}

func TestEachStatementOfAPacketCounts(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		const decide = "INSERT INTO xaproxy.claim VALUES ('g');COMMIT AND NO CHAIN NO RELEASE"
		c := b.connect()
		must(t, c, "BEGIN", "INSERT INTO faultwire.t VALUES (1,'x')")
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Commit, Side: faultwire.After})
		if err := c.pipeline(decide); err != nil {
			t.Fatal(err)
		}
		p, err := c.packet()
		if err != nil || p[0] != 0 {
			t.Errorf("reply to the INSERT: %v %v", p, err)
		}
		if _, err = c.packet(); err == nil {
			t.Error("the reply to COMMIT was not lost")
		}
		within(t, "act", a.Done())
		if b.count("SELECT COUNT(*) FROM xaproxy.claim") != 1 {
			t.Error("not committed")
		}

		c = b.connect()
		a = b.relay.Arm(faultwire.Rule{Verb: faultwire.Commit, Side: faultwire.After})
		must(t, c, "BEGIN", "INSERT INTO faultwire.t VALUES (2,'x')")
		if err := c.pipeline(decide); err != nil {
			t.Fatal(err)
		}
		if p, err := c.packet(); err != nil || p[0] != 0xff {
			t.Errorf("reply to the duplicate: %v %v", p, err)
		}
		must(t, c, "SELECT 1")
		if a.Disarm() {
			t.Error("rule acted on a statement that the server did not execute")
		}
	})
}

// A rule that has chosen its command and waits for the reply is disarmed like any other.
func TestDisarmedRuleDoesNotActOnALateReply(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		hooked := make(chan struct{})
		a := b.relay.Arm(faultwire.Rule{Verb: faultwire.Other, Match: func(c faultwire.Command) bool { return strings.Contains(c.SQL, "SLEEP") },
			Side: faultwire.After, Hook: func() { close(hooked) }})
		c := b.connect()
		done := make(chan error, 1)
		go func() { done <- c.execute("DO SLEEP(1)") }()
		time.Sleep(300 * time.Millisecond) // the command is on its way
		if a.Disarm() {
			t.Fatal("the rule acted before the reply")
		}
		if err := <-done; err != nil {
			t.Errorf("the reply did not go on: %v", err)
		}
		select {
		case <-hooked:
			t.Error("the rule acted after it was disarmed")
		case <-a.Fired():
			t.Error("the rule says that it acted")
		default:
		}
	})
}

func TestRuleCountsAndChoosesItsConnections(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		second := b.relay.Arm(faultwire.Rule{Verb: faultwire.Begin, Nth: 2, From: faultwire.Session, Side: faultwire.Before})
		control := b.relay.Arm(faultwire.Rule{Verb: faultwire.Begin, From: faultwire.Control, Side: faultwire.Before})
		c := b.connect()
		must(t, c, "BEGIN", "ROLLBACK")
		dsn := strings.Replace(b.server.DSN(), b.server.Addr(), b.relay.Addr(), 1)
		db, err := sql.Open("mysql", dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "BEGIN"); err == nil {
			t.Error("the driver's connection was not cut")
		}
		within(t, "control", control.Done())
		if got := control.Command(); got.Source != faultwire.Control || got.Thread == 0 {
			t.Errorf("acted on %v", got)
		}
		if err := c.execute("BEGIN"); err == nil {
			t.Error("second BEGIN was not cut")
		}
		within(t, "second", second.Done())
	})
}

func TestTrafficPassesUnchanged(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		base := strings.Replace(b.server.DSN(), b.server.Addr(), b.relay.Addr(), 1)
		sep := "?"
		if strings.Contains(base, "?") {
			sep = "&"
		}
		for _, o := range []string{"maxAllowedPacket=0", "interpolateParams=true&maxAllowedPacket=0", "tls=skip-verify&maxAllowedPacket=0"} {
			t.Run(o, func(t *testing.T) { traffic(t, base+sep+o) })
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		sent, answered := 0, 0
		for _, e := range b.events {
			switch e.Phase {
			case faultwire.Sent:
				if e.Command.Byte != 0x01 && e.Command.Byte != 0x19 {
					sent++
				}
			case faultwire.Answered:
				answered++
			case faultwire.Held, faultwire.Dropped, faultwire.Opened, faultwire.Closed:
			}
		}
		if sent == 0 || sent != answered {
			t.Errorf("%d commands sent, %d statements answered", sent, answered)
		}
	})
}

// traffic runs statements of every shape of reply.
func traffic(t *testing.T, dsn string) {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Skip(err) // MariaDB without TLS
	}
	defer conn.Close()
	long := strings.Repeat("x", 1<<20)
	if _, err := conn.ExecContext(t.Context(), "REPLACE INTO faultwire.t VALUES (?,?),(?,?),(?,'')", 1, long, 2, "", 3); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, q := range []string{"SELECT v FROM faultwire.t WHERE id=?", "SELECT CONCAT(v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v,v) FROM faultwire.t WHERE id=?"} {
			var got string
			if err := conn.QueryRowContext(t.Context(), q, 1).Scan(&got); err != nil || len(got)%len(long) != 0 || len(got) == 0 {
				t.Fatalf("%s: %d bytes, %v", q, len(got), err)
			}
		}
		var n int
		if err := conn.QueryRowContext(t.Context(), "SELECT one FROM faultwire.nothing").Scan(&n); err != sql.ErrNoRows {
			t.Fatalf("no rows: %v", err)
		}
		if _, err := conn.ExecContext(t.Context(), "SELECT nonsense FROM nowhere"); err == nil {
			t.Fatal("no error")
		}
		if err := conn.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedAndCutConnectionsFail(t *testing.T) {
	b := newBench(t, launch.MariaDB1011)
	c := b.connect()
	b.relay.Refuse()
	must(t, c, "SELECT 1")
	if _, err := dial(b.relay.Addr(), b.server.User(), b.server.Password()); err == nil {
		t.Error("connected to a relay that refuses")
	}
	b.relay.Admit()
	b.connect()
	b.relay.CutAll()
	if err := c.execute("SELECT 1"); err == nil {
		t.Error("connection survived the cut")
	}
}

func TestCloseEndsAHold(t *testing.T) {
	b := newBench(t, launch.MariaDB1011)
	r, err := faultwire.Listen(context.Background(), faultwire.Options{Target: b.server.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	c, err := dial(r.Addr(), b.server.User(), b.server.Password())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	a := r.Arm(faultwire.Rule{Verb: faultwire.Begin, Side: faultwire.Before, Hold: true, Then: faultwire.Forward})
	if err := c.pipeline("BEGIN"); err != nil {
		t.Fatal(err)
	}
	within(t, "fire", a.Fired())
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	within(t, "end", a.Done())
	if _, err := c.packet(); err == nil {
		t.Error("answered by a closed relay")
	}
}
