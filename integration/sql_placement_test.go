package integration

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

func mustRun(t *testing.T, c *sql.Conn, statements ...string) {
	t.Helper()
	for _, q := range statements {
		if _, err := c.ExecContext(t.Context(), q); err != nil {
			t.Fatalf("%s: %v", q, err)
		}
	}
}

// lostKeys reads a column of all rows, then each row by that column; it returns how many are not found.
func lostKeys(t *testing.T, c *sql.Conn, table, column string) (lost, all int) {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), "SELECT "+column+" FROM "+table)
	if err != nil {
		t.Fatal(err)
	}
	var keys []int
	for rows.Next() {
		var k int
		if err := rows.Scan(&k); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		var one int
		if err := c.QueryRowContext(t.Context(), fmt.Sprintf("SELECT 1 FROM %s WHERE %s=%d", table, column, k)).Scan(&one); err != nil {
			lost++
		}
	}
	return lost, len(keys)
}

// twoProxies serve the same shards.
func twoProxies(t *testing.T) (a, b *sql.Conn) {
	t.Helper()
	c := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	one, two := c.newProxy(t, "a", proxySettings{node: 1}), c.newProxy(t, "b", proxySettings{node: 2})
	one.up()
	two.up()
	return oneConn(t, one.dsnOf("")), oneConn(t, two.dsnOf(""))
}

// knows waits until a proxy can read a table that another has created.
func knows(t *testing.T, c *sql.Conn, table string) {
	t.Helper()
	if _, err := poll(t.Context(), 3*time.Second, func(ctx context.Context) error {
		rows, err := c.QueryContext(ctx, "SELECT * FROM "+table)
		if err != nil {
			return err
		}
		return rows.Close()
	}); err != nil {
		t.Fatal(err)
	}
}

// TestTablesOfAnotherProxyAreSeenAtOnce: what a proxy has answered CREATE TABLE for, exists for every proxy's clients.
func TestTablesOfAnotherProxyAreSeenAtOnce(t *testing.T) {
	a, b := twoProxies(t)
	mustRun(t, a, "CREATE DATABASE d")
	for i := range 5 {
		mustRun(t, a, fmt.Sprintf("CREATE TABLE d.t%d (id INT PRIMARY KEY)", i))
		mustRun(t, b, fmt.Sprintf("INSERT INTO d.t%d VALUES (1),(2),(3)", i))
	}
}

// TestTableMadeAnewByAnotherProxyKeepsItsRowsTogether drops a table and creates it with another key. A proxy that
// knew the old one may refuse, but not place rows by the old key: keys would be twice, rows not found.
func TestTableMadeAnewByAnotherProxyKeepsItsRowsTogether(t *testing.T) {
	a, b := twoProxies(t)
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT, k INT, PRIMARY KEY (id,k))", "INSERT INTO d.t VALUES (1,1),(2,2)")
	knows(t, b, "d.t")
	mustRun(t, a, "DROP TABLE d.t", "CREATE TABLE d.t (id INT, k INT, PRIMARY KEY (k,id))")
	for i := range 20 {
		if _, err := b.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO d.t (id,k) VALUES (%d,%d)", i, 100+i)); err != nil {
			t.Logf("refused: %v", err)
		}
	}
	if lost, all := lostKeys(t, a, "d.t", "k"); lost > 0 {
		t.Errorf("%d of %d rows are not found by their key", lost, all)
	}
	twice := 0
	for i := range 20 {
		if _, err := a.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO d.t (id,k) VALUES (%d,%d)", i, 100+i)); err == nil {
			if _, err := b.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO d.t (id,k) VALUES (%d,%d)", i, 100+i)); err == nil {
				twice++
			}
		}
	}
	if twice > 0 {
		t.Errorf("%d primary keys were accepted twice", twice)
	}
}

// TestTableMadeAnewByAnotherProxyIsReadWhole turns a table on one shard into a spread one.
func TestTableMadeAnewByAnotherProxyIsReadWhole(t *testing.T) {
	a, b := twoProxies(t)
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT)", "INSERT INTO d.t VALUES (1)")
	knows(t, b, "d.t")
	mustRun(t, a, "DROP TABLE d.t", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1),(2),(3),(4),(5),(6),(7),(8)")
	if _, all := lostKeys(t, b, "d.t", "id"); all != 8 {
		t.Errorf("the other proxy reads %d of 8 rows", all)
	}
}

// TestInsertWithoutColumnsAfterTheirOrderChanged: the values of an INSERT without a column list go by the order of
// columns, and another proxy has changed it.
func TestInsertWithoutColumnsAfterTheirOrderChanged(t *testing.T) {
	a, b := twoProxies(t)
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT NOT NULL)")
	knows(t, b, "d.t")
	mustRun(t, a, "ALTER TABLE d.t MODIFY v INT NOT NULL FIRST")
	for i := 2; i < 22; i++ {
		if _, err := b.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO d.t VALUES (%d,%d)", i, 100+i)); err != nil {
			t.Logf("refused: %v", err)
		}
	}
	if lost, all := lostKeys(t, a, "d.t", "id"); lost > 0 {
		t.Errorf("%d of %d rows are not found by their key", lost, all)
	}
}

// TestInsertWithoutColumnsWhileTheirOrderChanges is the same within one proxy: some shards have the new order
// already while statements are planned by the old one.
func TestInsertWithoutColumnsWhileTheirOrderChanges(t *testing.T) {
	w := newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	p := w.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	a := oneConn(t, p.dsnOf(""))
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT NOT NULL)")
	var stop atomic.Bool
	var wg sync.WaitGroup
	for worker := range 4 {
		c := oneConn(t, p.dsnOf("d"))
		wg.Go(func() {
			for n := worker * 1_000_000; !stop.Load(); n += 2 {
				_, _ = c.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO t VALUES (%d,%d)", n, n+1)) // a duplicate or a refusal is fine
			}
		})
	}
	for range 15 {
		mustRun(t, a, "ALTER TABLE d.t MODIFY v INT NOT NULL FIRST", "ALTER TABLE d.t MODIFY v INT NOT NULL AFTER id")
	}
	stop.Store(true)
	wg.Wait()
	if lost, all := lostKeys(t, a, "d.t", "id"); lost > 0 {
		t.Errorf("%d of %d rows are not found by their key", lost, all)
	}
}
