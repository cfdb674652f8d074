package integration

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"xaproxy/internal/faultwire"
	"xaproxy/internal/launch"
)

// decided is a proxy that answers a commit at its decision (transactions.ack: decided), before two shards.
type decided struct {
	c *cluster
	p *proxyProcess
	b *bank
}

func newDecided(t *testing.T, e launch.Engine, more string) *decided {
	t.Helper()
	c := newCluster(t, e, e)
	tables := "  one: { shard: s1 }\n"
	first := c.newProxy(t, "first", proxySettings{node: 2, tables: tables}) // its rows are there when it has answered
	first.up()
	b := newBank(t, c, first)
	mustSettle(t, b, first) // its claims would stay until it is known to be dead
	first.kill()
	p := c.newProxy(t, "p", proxySettings{node: 1, more: more, tables: tables, transactions: map[string]string{"ack": "decided"}})
	p.up()
	return &decided{c: c, p: p, b: b}
}

// session opens a connection through the proxy.
func (d *decided) session(t *testing.T) *sql.Conn {
	t.Helper()
	db := d.p.open("", "timeout=5s&readTimeout=20s")
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// hold stops phase two before the second shard has seen it.
func (d *decided) hold() *faultwire.Armed {
	return d.c.shards[1].relay.Arm(faultwire.Rule{Verb: faultwire.XACommit, Side: faultwire.Before, From: faultwire.Session, Hold: true, Then: faultwire.Forward})
}

func (d *decided) update(shard, by int) string {
	return fmt.Sprintf("UPDATE bank.account SET balance=balance+(%d) WHERE id=%d", by, d.b.ids[shard])
}

// transfer moves 1 from the first shard, home, to the second.
func (d *decided) transfer(t *testing.T, conn *sql.Conn) {
	t.Helper()
	if err := runAll(t.Context(), conn, "BEGIN", d.update(0, -1), d.update(1, 1), "COMMIT"); err != nil {
		t.Fatal(err)
	}
}

// balance reads an account as a session sees it.
func (d *decided) balance(ctx context.Context, conn *sql.Conn, shard int) (n int64, err error) {
	err = conn.QueryRowContext(ctx, fmt.Sprintf("SELECT balance FROM bank.account WHERE id=%d", d.b.ids[shard])).Scan(&n)
	return n, err
}

const initialBalance = 1_000_000

// TestDecidedIsAnsweredBeforePhaseTwo: the session itself never sees what was before; others may.
func TestDecidedIsAnsweredBeforePhaseTwo(t *testing.T) {
	for _, e := range []launch.Engine{launch.MariaDB1011, launch.MySQL} {
		t.Run(string(e), func(t *testing.T) {
			d := newDecided(t, e, "")
			one, other := d.session(t), d.session(t)
			held := d.hold()
			d.transfer(t, one) // answered, although the shard has not seen it
			<-held.Fired()
			if n, err := d.balance(t.Context(), one, 0); err != nil || n != initialBalance-1 {
				t.Errorf("home: %d, %v", n, err)
			}
			if n, err := d.balance(t.Context(), other, 1); err != nil || n != initialBalance {
				t.Errorf("another session is to see what was there before: %d, %v", n, err)
			}
			type reading struct {
				n   int64
				err error
			}
			got := make(chan reading, 1)
			go func() {
				n, err := d.balance(t.Context(), one, 1)
				got <- reading{n, err}
			}()
			select {
			case r := <-got:
				t.Fatalf("the session was answered before its shard had finished: %d, %v", r.n, r.err)
			case <-time.After(300 * time.Millisecond):
			}
			held.Release()
			if r := <-got; r.err != nil || r.n != initialBalance+1 {
				t.Errorf("the session's own write: %d, %v", r.n, r.err)
			}
			for range 50 { // nothing of the transaction is in the way of the next
				d.transfer(t, one)
			}
			if n, err := d.balance(t.Context(), one, 1); err != nil || n != initialBalance+51 {
				t.Errorf("after 51 transfers: %d, %v", n, err)
			}
			mustSettle(t, d.b, d.p)
		})
	}
}

// TestDecidedWaitsOnlyForSoLong: a shard that does not finish costs the session an error for which nothing was executed.
func TestDecidedWaitsOnlyForSoLong(t *testing.T) {
	d := newDecided(t, launch.MariaDB1011, "limits: { pool_wait: 300ms }\n")
	conn := d.session(t)
	held := d.hold()
	d.transfer(t, conn)
	_, err := d.balance(t.Context(), conn, 1)
	if numberOf(err) != 17036 {
		t.Errorf("read of a shard that is not finished: %v", err)
	}
	err = runAll(t.Context(), conn, "BEGIN", d.update(0, 7), d.update(1, 7))
	if numberOf(err) != 17036 {
		t.Errorf("write at a shard that is not finished: %v", err)
	}
	held.Release()
	mustSettle(t, d.b, d.p)
	for shard, want := range []int64{initialBalance - 1, initialBalance + 1} {
		if n, err := d.balance(t.Context(), conn, shard); err != nil || n != want {
			t.Errorf("account at shard %d: %d, %v, want %d", shard, n, err, want)
		}
	}
}

// TestDecidedIsCommittedWhateverDies: the answer stands although the proxy or the shard is killed before phase two.
func TestDecidedIsCommittedWhateverDies(t *testing.T) {
	for name, die := range map[string]func(*testing.T, *decided){
		"proxy": func(_ *testing.T, d *decided) { d.p.kill() },
		"shard": func(t *testing.T, d *decided) { d.c.shards[1].kill(t) },
		"home":  func(t *testing.T, d *decided) { d.c.shards[0].kill(t) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDecided(t, launch.MariaDB1011, "")
			for _, s := range d.c.shards {
				s.grow()
			}
			conn := d.session(t)
			held := d.hold()
			d.transfer(t, conn)
			<-held.Fired()
			die(t, d)
			held.Release()
			switch name {
			case "proxy":
				d.p.up()
			case "shard":
				d.c.shards[1].restart(t)
			case "home":
				d.c.shards[0].restart(t)
			}
			mustSettle(t, d.b, d.p)
			if got := d.b.mustBalances(t); got != [2]int64{initialBalance - 1, initialBalance + 1} {
				t.Errorf("told committed, and there is %v", got)
			}
			mustWork(t, d.b, d.p)
		})
	}
}

// TestDecidedKeepsWhatTheSessionHas: what only the second shard's connection knows is worth waiting for.
func TestDecidedKeepsWhatTheSessionHas(t *testing.T) {
	d := newDecided(t, launch.MariaDB1011, "")
	if err := runAll(t.Context(), d.session(t), "CREATE TABLE bank.one (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "INSERT INTO bank.one (v) VALUES (0),(0),(0)"); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		statement, question string
		want                int64
	}{
		"user variable":    {"UPDATE bank.one SET v=(@v:=42) WHERE id=1", "SELECT @v", 42},
		"LAST_INSERT_ID()": {"INSERT INTO bank.one (v) VALUES (1)", "SELECT LAST_INSERT_ID()", 4},
	} {
		t.Run(name, func(t *testing.T) {
			conn := d.session(t)
			held := d.hold()
			time.AfterFunc(300*time.Millisecond, held.Release)
			if err := runAll(t.Context(), conn, "BEGIN", d.update(0, -1), d.update(1, 1), test.statement, "COMMIT"); err != nil {
				t.Fatal(err)
			}
			var got int64
			if err := conn.QueryRowContext(t.Context(), test.question).Scan(&got); err != nil || got != test.want {
				t.Errorf("%d, %v, want %d", got, err, test.want)
			}
		})
	}
}
