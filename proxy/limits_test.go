package proxy_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"xaproxy/proxy"
	"xaproxy/proxy/wire"
)

// TestEveryLimitNamesItsSetting, and ends what it says that it ends.
func TestEveryLimitNamesItsSetting(t *testing.T) {
	o := twoMariaDB()
	o.conns, o.wait = 3, time.Second
	o.limits = proxy.Limits{Connections: 12, PacketBytes: 1 << 20, Login: 2 * time.Second, MaxTime: 6 * time.Second, IdleTime: 3 * time.Second,
		StatementTime: 3 * time.Second, Statements: 5}
	w := newWorld(t, o)
	ids := w.bank()
	session := func(t *testing.T) *sql.Conn {
		t.Helper()
		db, err := sql.Open("mysql", "app:secret@tcp("+w.addr+")/bank")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	for _, limit := range []struct {
		setting string
		number  uint16
		reach   func(*testing.T) error
	}{
		{"limits.connections", 1040, func(t *testing.T) error {
			for range 10 {
				session(t)
			}
			db := w.open("")
			for range 3 {
				c, err := db.Conn(t.Context())
				if err != nil {
					db.Close()
					return err
				}
				defer c.Close()
			}
			return nil
		}},
		{"limits.packet_bytes", 1153, func(t *testing.T) error {
			b := dialBare(t, w.addr, 0)
			b.send(append([]byte{byte(wire.ComQuery)}, "SELECT '"+strings.Repeat("x", 1<<20)+"'"...))
			return b.reply().err
		}},
		{"limits.login_time", 1159, func(t *testing.T) error {
			c, err := net.Dial("tcp", w.addr)
			if err != nil {
				return err
			}
			defer c.Close()
			r := wire.NewReader(c, 1<<16)
			if _, err := r.Read(); err != nil {
				return err
			}
			p, err := r.Read()
			if err != nil {
				return err
			}
			return wire.ParseError(p)
		}},
		{"limits.session_statements", 1461, func(t *testing.T) error {
			c := session(t)
			for i := range 6 {
				s, err := c.PrepareContext(t.Context(), fmt.Sprintf("SELECT %d", i))
				if err != nil {
					return err
				}
				defer s.Close()
			}
			return nil
		}},
		{"limits.pool_wait", 17031, func(t *testing.T) error {
			for range 3 {
				c := session(t)
				exec(t, c, "BEGIN")
				values(t, c, fmt.Sprintf("SELECT * FROM account WHERE id=%d", ids[0]))
			}
			c := session(t)
			_, err := c.ExecContext(t.Context(), fmt.Sprintf("UPDATE account SET balance=1 WHERE id=%d", ids[0]))
			return err
		}},
		{"limits.statement_time", 17034, func(t *testing.T) error {
			c := session(t)
			blocker, err := w.direct(0).BeginTx(t.Context(), nil)
			if err != nil {
				return err
			}
			exec(t, blocker, "UPDATE bank.account SET balance=balance WHERE id=?", ids[0])
			_, err = c.ExecContext(t.Context(), fmt.Sprintf("UPDATE account SET balance=5 WHERE id=%d", ids[0]))
			exec(t, c, "DO 1")
			if failed := blocker.Rollback(); failed != nil {
				t.Error(failed)
			}
			return err
		}},
		{"transactions.max_time", 17032, func(t *testing.T) error {
			c := session(t)
			exec(t, c, "BEGIN")
			for range 20 {
				if _, err := c.ExecContext(t.Context(), fmt.Sprintf("UPDATE account SET balance=balance+1 WHERE id=%d", ids[0])); err != nil {
					return err
				}
				time.Sleep(500 * time.Millisecond)
			}
			return nil
		}},
		{"transactions.idle_time", 17032, func(t *testing.T) error {
			c := session(t)
			exec(t, c, "BEGIN")
			exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
			time.Sleep(4500 * time.Millisecond)
			_, err := c.ExecContext(t.Context(), "SELECT 1")
			return err
		}},
	} {
		t.Run(limit.setting, func(t *testing.T) {
			err := limit.reach(t)
			if err == nil || !strings.Contains(err.Error(), limit.setting) || !strings.Contains(err.Error(), fmt.Sprint(limit.number)) {
				t.Errorf("%v, want %d that names %s", err, limit.number, limit.setting)
			}
			time.Sleep(100 * time.Millisecond) // connections are given back
		})
	}
	if got := w.balance(0, ids[0]); got != 100 {
		t.Errorf("balance %d: something of what was ended is left", got)
	}
}

// TestStatementTimeUndoesTheStatement and nothing else of the transaction, wherever the statement is.
func TestStatementTimeUndoesTheStatement(t *testing.T) {
	o := twoMariaDB()
	o.limits = proxy.Limits{StatementTime: 1500 * time.Millisecond}
	w := newWorld(t, o)
	ids := w.bank()
	c := w.conn("bank")
	blocker, err := w.direct(1).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer blocker.Close()
	for _, prepared := range []bool{false, true} {
		exec(t, blocker, "BEGIN")
		exec(t, blocker, "UPDATE bank.account SET balance=balance WHERE id=?", ids[1])
		exec(t, c, "BEGIN")
		exec(t, c, "UPDATE account SET balance=7 WHERE id=?", ids[0])
		slow := func(q string, args ...any) uint16 {
			if !prepared {
				return number(t, c, fmt.Sprintf(strings.ReplaceAll(q, "?", "%v"), args...))
			}
			return number(t, c, q, args...)
		}
		if n := slow("UPDATE account SET balance=? WHERE balance<1000", 8); n != 17034 { // it waits at the second shard
			t.Errorf("error %d", n)
		}
		if n := slow("UPDATE account SET balance=? WHERE id=?", 9, ids[1]); n != 17034 {
			t.Errorf("error %d", n)
		}
		exec(t, c, "COMMIT")
		if n := slow("DELETE FROM account WHERE balance<?", 1000); n != 17034 {
			t.Errorf("error %d", n)
		}
		exec(t, blocker, "ROLLBACK")
		if got := values(t, c, "SELECT DISTINCT balance FROM account WHERE id="+fmt.Sprint(ids[0])); !slices.Equal(got, []string{"7"}) {
			t.Errorf("%q", got)
		}
		if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 7 || b != 100 {
			t.Errorf("%d %d", a, b)
		}
	}
	// A definition is not stopped half way.
	reader, err := w.direct(1).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	exec(t, reader, "BEGIN")
	values(t, reader, "SELECT * FROM bank.account")
	done := make(chan error, 1)
	go func(c *sql.Conn) {
		_, err := c.ExecContext(context.Background(), "ALTER TABLE account ADD COLUMN x INT")
		done <- err
	}(c)
	time.Sleep(3 * time.Second)
	exec(t, reader, "COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
}
