package proxy_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"xaproxy/internal/launch"
	"xaproxy/proxy/wire"
)

// heap fills bank.heap: rows of about 200 bytes, so many at each shard. They are
// not where their keys belong, which reads do not mind.
func (w *world) heap(rows ...int) {
	w.t.Helper()
	db := w.open("")
	exec(w.t, db, "CREATE DATABASE IF NOT EXISTS bank")
	exec(w.t, db, "CREATE TABLE bank.heap (id INT PRIMARY KEY, v INT NOT NULL, pad CHAR(180) NOT NULL) CHARACTER SET latin1 ENGINE=InnoDB")
	for i, n := range rows {
		d := w.direct(i)
		exec(w.t, d, fmt.Sprintf("INSERT INTO bank.heap VALUES (%d, %d, REPEAT('p',180))", i*10_000_000, i))
		for have := 1; have < n; have *= 2 {
			exec(w.t, d, fmt.Sprintf("INSERT INTO bank.heap SELECT id+%d, %d, pad FROM bank.heap LIMIT %d", have, i, min(have, n-have)))
		}
	}
}

// trickle reads an answer slowly: a pause for each so many bytes. It returns the
// number of rows and the most memory that was in use meanwhile.
func (b *bare) trickle(sql string, each int, pause time.Duration) (rows int, most uint64) {
	b.t.Helper()
	b.send(append([]byte{byte(wire.ComQuery)}, sql...))
	p := b.read()
	if wire.IsError(p) {
		b.t.Fatal(wire.ParseError(p))
	}
	n, err := wire.ParseColumnCount(p)
	if err != nil {
		b.t.Fatal(err)
	}
	b.definitions(n)
	for size := 0; ; rows++ {
		p := b.read()
		if wire.IsError(p) {
			b.t.Fatal(wire.ParseError(p))
		}
		if wire.IsEnd(p, b.caps) {
			return rows, most
		}
		if size += len(p); size > each {
			size = 0
			time.Sleep(pause)
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
}

// 80 MB stream through a merge to a client that is slower than the shards, whose
// connections meanwhile wait for longer than their lease; the transaction goes on.
func TestSlowClientsNeedLittleMemoryAndKeepTheirTransaction(t *testing.T) {
	o := twoMariaDB()
	o.lease = 2 * time.Second
	w := newWorld(t, o)
	ids := w.bank()
	w.heap(200_000, 200_000)
	b := dialBareAs(t, w.addr, "app", "secret", wire.ClientCapabilities)
	for _, q := range []string{"USE bank", "BEGIN", fmt.Sprintf("UPDATE account SET balance=balance+5 WHERE id IN (%d,%d)", ids[0], ids[1])} {
		if a := b.query(q); a.err != nil {
			t.Fatal(a.err)
		}
	}
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, q := range []string{"SELECT * FROM heap ORDER BY id", "SELECT * FROM heap ORDER BY id DESC", "SELECT v, id FROM heap ORDER BY pad, id", "SELECT * FROM heap"} {
		began := time.Now()
		rows, most := b.trickle(q, 1<<20, 60*time.Millisecond)
		used := int64(most) - int64(before.HeapAlloc)
		t.Logf("%s: %d rows in %v, %d KiB", q, rows, time.Since(began).Round(time.Millisecond), used>>10)
		if rows != 400_000 || used > 40<<20 {
			t.Errorf("%s: %d rows, %d KiB more", q, rows, used>>10)
		}
	}
	if a := b.query("COMMIT"); a.err != nil {
		t.Fatal(a.err)
	}
	if x, y := w.balance(0, ids[0]), w.balance(1, ids[1]); x != 105 || y != 105 {
		t.Errorf("%d %d", x, y)
	}
}

// The rows of one shard are there long before they are wanted.
func TestLeaseOfAShardThatHasSentAll(t *testing.T) {
	o := twoMariaDB()
	o.lease = time.Second
	w := newWorld(t, o)
	ids := w.bank()
	w.heap(50_000, 10)
	b := dialBareAs(t, w.addr, "app", "secret", wire.ClientCapabilities)
	for _, q := range []string{"USE bank", "BEGIN", fmt.Sprintf("UPDATE account SET balance=balance+5 WHERE id IN (%d,%d)", ids[0], ids[1])} {
		if a := b.query(q); a.err != nil {
			t.Fatal(a.err)
		}
	}
	if rows, _ := b.trickle("SELECT * FROM heap ORDER BY id", 1<<20, 500*time.Millisecond); rows != 50_010 {
		t.Error(rows)
	}
	if a := b.query("COMMIT"); a.err != nil {
		t.Fatal(a.err)
	}
	if x, y := w.balance(0, ids[0]), w.balance(1, ids[1]); x != 105 || y != 105 {
		t.Errorf("%d %d", x, y)
	}
}

// running counts statements on table heap at the shards.
func (w *world) running() int {
	w.t.Helper()
	total := 0
	for i := range w.servers {
		var n int
		if err := w.direct(i).QueryRow("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%heap%' AND info NOT LIKE '%processlist%'").Scan(&n); err != nil {
			w.t.Fatal(err)
		}
		total += n
	}
	return total
}

func (w *world) stops() {
	w.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for w.running() > 0 {
		if time.Now().After(deadline) {
			w.t.Fatal("a part still runs")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestGoneClientsAndKillStopAllParts(t *testing.T) {
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB1011} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e, e}})
			ids := w.bank()
			w.heap(100_000, 100_000)
			for _, tx := range []bool{false, true} {
				b := dialBareAs(t, w.addr, "app", "secret", wire.ClientCapabilities)
				b.query("USE bank")
				if tx {
					b.query("BEGIN")
					b.query(fmt.Sprintf("UPDATE account SET balance=5 WHERE id IN (%d,%d)", ids[0], ids[1]))
				}
				b.send(append([]byte{byte(wire.ComQuery)}, "SELECT REPEAT(pad, 100), v FROM heap ORDER BY id"...))
				for range 100 {
					b.read()
				}
				if w.running() == 0 {
					t.Error("nothing runs")
				}
				b.conn.Close()
				w.stops()
			}
			deadline := time.Now().Add(20 * time.Second)
			for number(t, w.direct(1), fmt.Sprintf("UPDATE bank.account SET note='free' WHERE id=%d", ids[1])) != 0 {
				if time.Now().After(deadline) {
					t.Fatal("the transaction of a gone client is open")
				}
			}
			w.killed(t, ids)
		})
	}
}

// killed aims KILL QUERY at a session that streams, within a transaction.
func (w *world) killed(t *testing.T, ids []int) {
	c := w.conn("bank")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE account SET balance=7 WHERE id IN (?,?)", ids[0], ids[1])
	me := values(t, c, "SELECT CONNECTION_ID()")[0]
	rows, err := c.QueryContext(context.Background(), "SELECT REPEAT(pad, 100), v FROM heap ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		rows.Next()
	}
	time.Sleep(100 * time.Millisecond) // behind watchAfter
	exec(t, w.open(""), "KILL QUERY "+me)
	w.stops()
	for rows.Next() {
	}
	if n := numberOf(t, rows.Err()); n != 1317 {
		t.Errorf("error %d: %v", n, rows.Err())
	}
	rows.Close()
	if got := values(t, c, "SELECT COUNT(*) FROM heap"); !slices.Equal(got, []string{"200000"}) {
		t.Error(got)
	}
	exec(t, c, "COMMIT")
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 7 || b != 7 {
		t.Errorf("%d %d", a, b)
	}
}

// Sessions with one connection per shard for all of them do not wait for each other.
func TestGatheringsShareFewConnections(t *testing.T) {
	o := twoMariaDB()
	o.conns = 1
	o.wait = 30 * time.Second
	w := newWorld(t, o)
	w.bank()
	db := w.open("bank")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for range 20 {
				var n int
				if err := db.QueryRow("SELECT COUNT(*) FROM account WHERE balance > 1 ORDER BY 1").Scan(&n); err != nil || n != 20 {
					t.Errorf("%d, %v", n, err)
				}
			}
		})
	}
	wg.Wait()
}

// Locks are taken at one shard after the other, so transactions that lock the same
// rows wait for each other instead of ending each other.
func TestLockingReadsDoNotCross(t *testing.T) {
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB1011} {
		t.Run(string(e), func(t *testing.T) {
			w := newWorld(t, worldOptions{engines: []launch.Engine{e, e}})
			w.bank()
			db := w.open("bank")
			db.SetMaxOpenConns(8)
			queries := []string{
				"SELECT id, balance FROM account ORDER BY balance DESC, id FOR UPDATE", "SELECT id, balance FROM account FOR UPDATE",
				"SELECT SUM(balance) FROM account FOR UPDATE", "SELECT id FROM account ORDER BY balance, id LIMIT 3 FOR UPDATE",
			}
			var wg sync.WaitGroup
			for i := range 6 {
				wg.Go(func() {
					for n := range 8 {
						if err := lockAndAdd(db, queries[(i+n)%len(queries)]); err != nil {
							t.Errorf("%s: %v", queries[(i+n)%len(queries)], err)
						}
					}
				})
			}
			wg.Wait()
			if got := values(t, w.open("bank"), "SELECT SUM(balance) FROM account"); !slices.Equal(got, []string{fmt.Sprint(2000 + 6*8*20)}) {
				t.Error(got)
			}
		})
	}
}

// lockAndAdd locks by a SELECT, then adds one to every balance.
func lockAndAdd(db *sql.DB, query string) error {
	for {
		err := lockAndAddOnce(db, query)
		var said *mysql.MySQLError
		if errors.As(err, &said) && said.Number == 1213 && strings.HasSuffix(query, "LIMIT 3 FOR UPDATE") {
			continue // its rows are others each time
		}
		return err
	}
}

func lockAndAddOnce(db *sql.DB, query string) error {
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	rows, err := tx.Query(query)
	if err != nil {
		return err
	}
	for rows.Next() {
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if _, err := tx.Exec("UPDATE account SET balance=balance+1"); err != nil {
		return err
	}
	return tx.Commit()
}

func TestMergedRowsHaveOneTimeAndAllWarnings(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.stock(30)
		tw.same("SELECT id, 1/0 FROM goods WHERE id < 25 ORDER BY id", "SELECT kind, COUNT(*), MAX(id)/0 FROM goods WHERE id=3 GROUP BY kind",
			"SELECT id, CAST(CONCAT(id, 'x') AS SIGNED) FROM goods ORDER BY id")
		for _, q := range []string{"SELECT id, NOW(6) FROM goods ORDER BY id", "SELECT id, NOW(6) FROM goods", "SELECT id, CURRENT_TIMESTAMP(6) FROM goods ORDER BY kind, id LIMIT 20"} {
			for _, begin := range []string{"ROLLBACK", "BEGIN"} {
				tw.proxy.query(begin)
				times := map[string]bool{}
				a := tw.proxy.query(q)
				for _, r := range a.text {
					_, at, _ := strings.Cut(r, ",")
					times[at] = true
				}
				if a.err != nil || len(times) != 1 || a.rows < 20 {
					t.Errorf("%s: %v, %d rows, %v", q, a.err, a.rows, times)
				}
				if a := tw.proxy.query("SELECT NOW(6) FROM goods WHERE id=1"); a.err != nil || times[a.text[0]] {
					t.Error("a clock stands still")
				}
			}
			tw.proxy.query("ROLLBACK")
		}
	})
}

// A client that takes rows steadily but slowly, and one that stops for longer than the lease: the shard has long sent
// all, and must not end the transaction.
func TestLeaseOfAShardWhoseClientIsSlow(t *testing.T) {
	o := twoMariaDB()
	o.lease = 2 * time.Second
	w := newWorld(t, o)
	ids := w.bank()
	db := w.open("bank")
	exec(t, db, "CREATE TABLE line (account INT, n INT, pad CHAR(180) NOT NULL, PRIMARY KEY (account, n)) CHARACTER SET latin1 ENGINE=InnoDB")
	const lines = 1 << 16 // 12 MB: more than the client's socket holds, not more than the proxy's
	for i, id := range ids[:2] {
		exec(t, db, fmt.Sprintf("INSERT INTO line VALUES (%d, 0, REPEAT('p',180))", id))
		for have := 1; have < lines; have *= 2 {
			exec(t, w.direct(i), fmt.Sprintf("INSERT INTO bank.line SELECT account, n+%d, pad FROM bank.line", have))
		}
	}
	b := dialBareAs(t, w.addr, "app", "secret", wire.ClientCapabilities)
	if err := b.conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	for i, read := range []struct {
		sql   string
		rows  int
		each  int
		pause time.Duration
	}{
		{fmt.Sprintf("SELECT * FROM line WHERE account=%d", ids[0]), lines, 128 << 10, 100 * time.Millisecond},
		{fmt.Sprintf("SELECT * FROM line WHERE account=%d", ids[0]), lines, 5 << 20, 4 * time.Second},
		{"SELECT * FROM line ORDER BY n, account", 2 * lines, 128 << 10, 50 * time.Millisecond},
		{"SELECT * FROM line ORDER BY n, account", 2 * lines, 9 << 20, 4 * time.Second},
	} {
		for _, q := range []string{"USE bank", "BEGIN", fmt.Sprintf("UPDATE account SET balance=balance+5 WHERE id IN (%d,%d)", ids[0], ids[1])} {
			if a := b.query(q); a.err != nil {
				t.Fatal(a.err)
			}
		}
		began := time.Now()
		rows, _ := b.trickle(read.sql, read.each, read.pause)
		t.Logf("%s: %d rows in %v", read.sql, rows, time.Since(began).Round(time.Millisecond))
		if rows != read.rows {
			t.Errorf("%s: %d rows, want %d", read.sql, rows, read.rows)
		}
		if a := b.query("COMMIT"); a.err != nil {
			t.Errorf("%s, %d bytes each %v, then COMMIT: %v", read.sql, read.each, read.pause, a.err)
		}
		if x, y := w.balance(0, ids[0]), w.balance(1, ids[1]); x != 105+5*i || y != x {
			t.Errorf("%d %d", x, y)
		}
	}
}
