package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/proxy"
)

// stream begins to read table heap, and reads on behind what happens then.
func (w *world) stream(c queryer, query string, then func()) error {
	w.t.Helper()
	rows, err := c.QueryContext(context.Background(), query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for range 10 {
		rows.Next()
	}
	then()
	for rows.Next() {
	}
	return rows.Err()
}

const manyRows = "SELECT REPEAT(pad, 100), v FROM heap ORDER BY id"

// killParts ends the connections on which table heap is read, at one shard.
func (w *world) killParts(shard int) {
	w.t.Helper()
	var id uint64
	db := w.direct(shard)
	if err := db.QueryRow("SELECT id FROM information_schema.processlist WHERE info LIKE '%heap%' AND info NOT LIKE '%processlist%'").Scan(&id); err != nil {
		w.t.Fatal(err)
	}
	exec(w.t, db, fmt.Sprintf("KILL %d", id))
}

func TestLostConnectionOfOnePart(t *testing.T) {
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB1011} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e, e}})
			ids := w.bank()
			w.heap(50_000, 50_000)
			c := w.conn("bank")
			for shard := range 2 {
				if n := numberOf(t, w.stream(c, manyRows, func() { w.killParts(shard) })); n != 1213 {
					t.Errorf("alone, shard %d: error %d", shard, n)
				}
				exec(t, c, "BEGIN")
				exec(t, c, "UPDATE account SET balance=1 WHERE id IN (?,?)", ids[0], ids[1])
				if n := numberOf(t, w.stream(c, manyRows, func() { w.killParts(shard) })); n != 1213 {
					t.Errorf("shard %d: error %d", shard, n)
				}
				exec(t, c, "COMMIT") // of nothing
				if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 100 || b != 100 {
					t.Errorf("%d %d", a, b)
				}
				if got := values(t, c, "SELECT COUNT(*) FROM heap"); !slices.Equal(got, []string{"100000"}) {
					t.Error(got)
				}
			}
		})
	}
}

func TestTimeLimitsEndAllParts(t *testing.T) {
	o := twoMariaDB()
	o.limits = proxy.Limits{StatementTime: 2 * time.Second}
	w := newWorld(t, o)
	ids := w.bank()
	w.heap(50_000, 50_000)
	c := w.conn("bank")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=7 WHERE id IN (?,?)", ids[0], ids[1])
	for range 2 {
		if n := numberOf(t, w.stream(c, manyRows, func() { time.Sleep(4 * time.Second) })); n != 17034 {
			t.Errorf("error %d", n)
		}
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 7 || b != 7 {
		t.Errorf("%d %d", a, b)
	}
}

func TestTransactionTimeEndsAllParts(t *testing.T) {
	o := twoMariaDB()
	o.limits = proxy.Limits{MaxTime: 4 * time.Second}
	w := newWorld(t, o)
	ids := w.bank()
	w.heap(50_000, 50_000)
	c := w.conn("bank")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=7 WHERE id IN (?,?)", ids[0], ids[1])
	if n := numberOf(t, w.stream(c, manyRows, func() { time.Sleep(6 * time.Second) })); n != 17032 {
		t.Errorf("error %d", n)
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 100 || b != 100 {
		t.Errorf("%d %d", a, b)
	}
}
