package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// MariaDB 11.8 answers a write to a row that changed behind the snapshot by 1020
// and rolls the whole transaction back; in an XA branch it only poisons it.
func TestChangedRecordRollsBackEverywhere(t *testing.T) {
	w := newWorld(t, worldOptions{engines: []launch.Engine{launch.MariaDB118, launch.MariaDB118}})
	ids := w.bank()
	other := w.open("bank")
	for _, order := range [][]int{{ids[0], ids[1]}, {ids[1], ids[0]}} {
		c := w.conn("bank")
		exec(t, c, "BEGIN")
		exec(t, c, "UPDATE account SET balance=1 WHERE id=?", order[0])
		values(t, c, fmt.Sprintf("SELECT balance FROM account WHERE id=%d", order[1]))
		exec(t, other, "UPDATE account SET note=? WHERE id=?", fmt.Sprint(time.Now().UnixNano()%1e9), order[1])
		if n := number(t, c, "UPDATE account SET balance=1 WHERE id=?", order[1]); n != 1020 {
			t.Fatalf("error %d", n)
		}
		exec(t, c, "UPDATE account SET balance=balance WHERE id=?", order[1]) // commits by itself
		exec(t, c, "COMMIT")
		if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 100 || b != 100 {
			t.Errorf("%d %d", a, b)
		}
	}
	// In home: a snapshot there, a change by another, a write.
	c := w.conn("bank")
	exec(t, c, "BEGIN")
	values(t, c, fmt.Sprintf("SELECT balance FROM account WHERE id=%d", ids[0]))
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1])
	exec(t, other, "UPDATE account SET note='changed' WHERE id=?", ids[0])
	if n := number(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0]); n != 1020 {
		t.Fatalf("error %d", n)
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 100 || b != 100 {
		t.Errorf("%d %d", a, b)
	}
}

func TestKilledStatementLeavesTheTransaction(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[0])
	exec(t, c, "UPDATE account SET balance=1 WHERE id=?", ids[1])
	id := values(t, c, "SHOW PROCESSLIST")
	me := ""
	for _, row := range id {
		if strings.Contains(row, "SHOW PROCESSLIST") {
			me, _, _ = strings.Cut(row, ",")
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(context.Background(), fmt.Sprintf("UPDATE account SET note=SLEEP(30) WHERE id=%d", ids[1]))
		done <- err
	}()
	time.Sleep(300 * time.Millisecond)
	killer := w.open("")
	exec(t, killer, "KILL QUERY "+me)
	if n := numberOf(t, <-done); n != 1317 && n != 0 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 1 || b != 1 {
		t.Errorf("%d %d", a, b)
	}
}

func TestPinnedConnectionOutlivesTransactions(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	c := w.conn("bank")
	exec(t, c, "SET @x = 7")
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		exec(t, c, "BEGIN")
		for _, id := range []int{ids[1], ids[0]} { // the pinned one is no home
			exec(t, c, "UPDATE account SET balance=balance+1 WHERE id=?", id)
		}
		if got := values(t, c, "SELECT @x"); !slices.Equal(got, []string{"7"}) {
			t.Errorf("%q", got)
		}
		exec(t, c, end)
		if got := values(t, c, "SELECT @x"); !slices.Equal(got, []string{"7"}) {
			t.Errorf("after %s: %q", end, got)
		}
	}
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 101 || b != 101 {
		t.Errorf("%d %d", a, b)
	}
	for _, id := range values(t, w.direct(0), "SELECT id FROM information_schema.processlist WHERE command='Sleep' AND db='bank'") {
		exec(t, w.direct(0), "KILL "+id)
	}
	if _, err := c.ExecContext(context.Background(), "SET @y = 1"); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("the loss of @x was not told: %v", err)
	}
}

// A transaction that both shards know, with one whose client sends nothing more:
// the locks go when the client's connection is cut.
func TestCutClientFreesItsLocks(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	ids := w.bank()
	b := dialBare(t, w.addr, 0)
	b.query("USE bank")
	b.query("BEGIN")
	for _, id := range ids {
		if a := b.query(fmt.Sprintf("UPDATE account SET balance=9 WHERE id=%d", id)); a.err != nil {
			t.Fatal(a.err)
		}
	}
	b.conn.Close()
	deadline := time.Now().Add(3 * time.Second)
	for w.balanceLocked(0, ids[0]) || w.balanceLocked(1, ids[1]) {
		if time.Now().After(deadline) {
			t.Fatal("still locked")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 100 || b != 100 {
		t.Errorf("%d %d", a, b)
	}
}
