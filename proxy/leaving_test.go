package proxy_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"xaproxy/proxy/wire"
)

// TestWaitTimeoutOfAClient: the session shows it and ends by it, outside of transactions.
func TestWaitTimeoutOfAClient(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	for sql, want := range map[string]string{"SET wait_timeout=1000": "1000", "SET wait_timeout=0": "1", "SET wait_timeout=DEFAULT": "600"} {
		exec(t, c, sql)
		if got := values(t, c, "SELECT @@wait_timeout"); !slices.Equal(got, []string{want}) {
			t.Errorf("after %s: %q", sql, got)
		}
	}
	exec(t, c, "SET wait_timeout=1, interactive_timeout=7")
	if got := values(t, c, "SELECT @@interactive_timeout"); !slices.Equal(got, []string{"7"}) {
		t.Errorf("%q", got)
	}
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	time.Sleep(1500 * time.Millisecond)
	exec(t, c, "COMMIT")
	b := dialBare(t, w.addr, 0)
	b.query("SET wait_timeout=1")
	if said, gone := b.gone(); !gone || said != "" {
		t.Errorf("the session goes on: %v %q", gone, said)
	}
	exec(t, w.open(""), "DO 1")
}

// TestLostStateIsToldAtOnce: a session whose variables went with its connection is told so, whatever it sends next.
func TestLostStateIsToldAtOnce(t *testing.T) {
	for name, next := range map[string]func(*bare) answer{
		"query": func(b *bare) answer { return b.query("SELECT @x") },
		"write": func(b *bare) answer { return b.query("SET @x=2") },
		"prepare": func(b *bare) answer {
			b.send(append([]byte{byte(wire.ComStmtPrepare)}, "SELECT @x"...))
			return answer{err: wire.ParseError(b.read())}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, twoMariaDB())
			b := dialBare(t, w.addr, 0)
			if a := b.query("SET @x=1"); a.err != nil {
				t.Fatal(a.err)
			}
			if a := b.query("SELECT GET_LOCK('mine',0)"); a.err != nil {
				t.Fatal(a.err)
			}
			for _, shard := range []int{0, 1} {
				id := values(t, w.direct(shard), "SELECT COALESCE(IS_USED_LOCK('mine'),0)")[0]
				if id == "0" {
					continue
				}
				exec(t, w.direct(shard), "KILL "+id)
				deadline := time.Now().Add(5 * time.Second)
				for len(values(t, w.direct(shard), "SELECT id FROM information_schema.processlist WHERE id="+id)) > 0 && time.Now().Before(deadline) {
					time.Sleep(10 * time.Millisecond)
				}
			}
			time.Sleep(50 * time.Millisecond) // for the socket's end to arrive
			if a := next(b); a.err == nil || a.err.Number != 17033 {
				t.Errorf("%v, want 17033", a.err)
			}
		})
	}
}

// TestKilledSessionReadsItsErrorInTurn: the error of KILL is the answer to the client's next command, so it has that
// answer's sequence number, idle or not.
func TestKilledSessionReadsItsErrorInTurn(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	for _, running := range []bool{false, true} {
		b := dialBare(t, w.addr, 0)
		a := b.query("DO 1")
		if a.err != nil {
			t.Fatal(a.err)
		}
		id := uint32(0)
		for _, s := range w.server.Sessions() {
			if strings.EqualFold(s.Command, "Sleep") && s.ID > id {
				id = s.ID
			}
		}
		if running {
			b.send(append([]byte{byte(wire.ComQuery)}, "SELECT BENCHMARK(2000000000,MD5('a'))"...))
			time.Sleep(200 * time.Millisecond)
		}
		exec(t, w.open(""), fmt.Sprintf("KILL %d", id))
		if !running {
			time.Sleep(200 * time.Millisecond)
			b.r.SetSequence(1) // that of an answer
		}
		if a := b.reply(); a.err == nil || a.err.Number != 1317 {
			t.Errorf("running %v: %+v", running, a)
		}
		if p, err := b.r.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("running %v: something follows: %x, %v", running, p, err)
		}
	}
}

// TestInsertIDsStayWithinTheirSession: a connection that has generated ids for one client tells another nothing of them,
// and a refused question does not end a transaction.
func TestInsertIDsStayWithinTheirSession(t *testing.T) {
	o := twoMariaDB()
	o.conns = 1
	w := newWorld(t, o)
	ids := w.bank()
	one, two := w.conn("bank"), w.conn("bank")
	exec(t, one, "CREATE TABLE serial (k INT, id INT AUTO_INCREMENT, KEY(id))")
	insertID := func(c *sql.Conn, want string) {
		t.Helper()
		if got := values(t, c, "SELECT LAST_INSERT_ID()"); !slices.Equal(got, []string{want}) {
			t.Errorf("LAST_INSERT_ID() is %q, want %s", got, want)
		}
	}
	exec(t, one, "INSERT INTO serial(k) VALUES (1)")
	exec(t, one, "INSERT INTO serial(k) VALUES (1)")
	time.Sleep(100 * time.Millisecond) // the connection is given back
	exec(t, two, "INSERT INTO serial VALUES (1,100)")
	insertID(two, "0")
	exec(t, two, "INSERT INTO serial(k) VALUES (1)")
	insertID(two, "101")
	exec(t, two, "INSERT INTO serial VALUES (1,200)")
	insertID(two, "101")
	time.Sleep(100 * time.Millisecond)
	insertID(one, "2")
	time.Sleep(100 * time.Millisecond)
	exec(t, one, "BEGIN")
	exec(t, one, "INSERT INTO serial VALUES (1,300)")
	insertID(one, "2")
	exec(t, one, "ROLLBACK")
	time.Sleep(100 * time.Millisecond)
	insertID(two, "101")
	time.Sleep(100 * time.Millisecond)
	exec(t, one, "BEGIN")
	exec(t, one, "UPDATE account SET balance=77 WHERE id=?", ids[0])
	if _, err := one.QueryContext(context.Background(), "SELECT LAST_INSERT_ID(), ROW_COUNT()"); numberOf(t, err) != 17021 {
		t.Errorf("%v", err)
	}
	exec(t, one, "COMMIT")
	if got := w.balance(0, ids[0]); got != 77 {
		t.Errorf("the transaction ended with the refusal: balance %d", got)
	}
}
