package integration

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
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
	_, one, two := pairOfProxies(t)
	return oneConn(t, one.dsnOf("")), oneConn(t, two.dsnOf(""))
}

func pairOfProxies(t *testing.T) (c *cluster, one, two *proxyProcess) {
	t.Helper()
	c = newCluster(t, launch.MariaDB1011, launch.MariaDB1011)
	one, two = c.newProxy(t, "a", proxySettings{node: 1}), c.newProxy(t, "b", proxySettings{node: 2})
	one.up()
	two.up()
	return c, one, two
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

// TestProxyThatWasStoppedDoesNotPlaceRowsByItsOldCatalog: it says nothing, so the others go on without it; what its
// clients have sent meanwhile is executed when it goes on.
func TestProxyThatWasStoppedDoesNotPlaceRowsByItsOldCatalog(t *testing.T) {
	_, one, two := pairOfProxies(t)
	a, b := oneConn(t, one.dsnOf("")), oneConn(t, two.dsnOf(""))
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT, k INT, PRIMARY KEY (id,k))")
	knows(t, b, "d.t")
	two.pause()
	sent := make(chan error, 1)
	go func() {
		var err error
		for i := range 20 {
			if _, e := b.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO d.t (id,k) VALUES (%d,%d)", i, 100+i)); e != nil {
				err = e
			}
		}
		sent <- err
	}()
	began := time.Now()
	mustRun(t, a, "DROP TABLE d.t")
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("DROP TABLE waited %s for a proxy that does not answer", d)
	}
	mustRun(t, a, "CREATE TABLE d.t (id INT, k INT, PRIMARY KEY (k,id))")
	two.resume()
	if err := <-sent; err != nil {
		t.Logf("refused: %v", err)
	}
	if lost, all := lostKeys(t, a, "d.t", "k"); lost > 0 || all == 0 {
		t.Errorf("%d of %d rows are not found by their key", lost, all)
	}
}

// TestDefinitionOfAProxyThatHasGoneIsEnded: its announcement stays, and the table would be closed for ever.
func TestDefinitionOfAProxyThatHasGoneIsEnded(t *testing.T) {
	c, one, two := pairOfProxies(t)
	a, b := oneConn(t, one.dsnOf("")), oneConn(t, two.dsnOf(""))
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "CREATE TABLE d.u (id INT PRIMARY KEY)")
	knows(t, b, "d.t")
	for _, s := range c.shards {
		s.exec(t, `INSERT INTO xaproxy.catalog_change (id,node_id,tables) VALUES ('gone',3,'[{"Schema":"d","Name":"t"}]')`)
	}
	time.Sleep(500 * time.Millisecond)
	began := time.Now()
	mustRun(t, b, "INSERT INTO d.u VALUES (1)")
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("a statement on another table waited %s", d)
	}
	mustRun(t, b, "INSERT INTO d.t VALUES (1)")
	if d := time.Since(began); d < time.Second {
		t.Errorf("a statement ran after %s on a table that was being changed", d)
	}
	for _, s := range c.shards {
		s.exec(t, `INSERT INTO xaproxy.catalog_change (id,node_id,tables) VALUES ('again',3,'[{"Schema":"d","Name":"t"}]')`)
	}
	mustRun(t, a, "ALTER TABLE d.t ADD COLUMN v INT", "INSERT INTO d.t VALUES (2,2)")
	for _, s := range c.shards {
		if n := s.mustNumber(t, "SELECT COUNT(*) FROM xaproxy.catalog_change"); n != 0 {
			t.Errorf("%d announcements are left", n)
		}
	}
}

// TestDefinitionWaitsForTransactionsOfEveryProxy: changing the shards one after the other under a transaction would
// make its later statements meet other definitions than its earlier ones.
func TestDefinitionWaitsForTransactionsOfEveryProxy(t *testing.T) {
	a, b := twoProxies(t)
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v INT)")
	mustRun(t, b, "BEGIN", "INSERT INTO d.t VALUES (1,1)")
	_, err := a.ExecContext(t.Context(), "ALTER TABLE d.t MODIFY v INT FIRST")
	if err == nil || !strings.Contains(err.Error(), "the proxy of node 2") {
		t.Errorf("a definition in the middle of a transaction: %v", err)
	}
	mustRun(t, b, "INSERT INTO d.t VALUES (2,2)")
	done := make(chan error, 1)
	go func() {
		_, err := a.ExecContext(t.Context(), "ALTER TABLE d.t MODIFY v INT FIRST")
		done <- err
	}()
	time.Sleep(time.Second)
	mustRun(t, b, "INSERT INTO d.t VALUES (3,3)", "COMMIT") // whoever is inside goes on
	if err := <-done; err != nil {
		t.Error(err)
	}
	if lost, all := lostKeys(t, b, "d.t", "id"); lost > 0 || all != 3 {
		t.Errorf("%d of %d rows are not found by their key", lost, all)
	}
}

// TestProxyThatCannotReadTheSharedCatalogRefuses: it cannot know whether others change definitions.
func TestProxyThatCannotReadTheSharedCatalogRefuses(t *testing.T) {
	c, one, _ := pairOfProxies(t)
	a := oneConn(t, one.dsnOf(""))
	mustRun(t, a, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "CREATE TABLE d.u (id INT PRIMARY KEY)", "BEGIN", "INSERT INTO d.t VALUES (1)")
	var locked []*sql.Conn
	for _, s := range c.shards {
		l := oneConn(t, s.server.DSN())
		mustRun(t, l, "LOCK TABLES xaproxy.catalog_change WRITE, xaproxy.catalog_member WRITE")
		locked = append(locked, l)
	}
	time.Sleep(4 * time.Second)
	if _, err := a.ExecContext(t.Context(), "INSERT INTO d.u VALUES (2)"); err == nil || !strings.Contains(err.Error(), "17025") {
		t.Errorf("a statement without the catalog: %v", err)
	}
	for _, l := range locked {
		mustRun(t, l, "UNLOCK TABLES")
	}
	mustRun(t, oneConn(t, one.dsnOf("")), "INSERT INTO d.u VALUES (2)")
	if _, err := a.ExecContext(t.Context(), "INSERT INTO d.u VALUES (3)"); err == nil || !strings.Contains(err.Error(), "roll it back") {
		t.Errorf("a transaction from before: %v", err)
	}
	mustRun(t, a, "ROLLBACK", "INSERT INTO d.t VALUES (1)")
}
