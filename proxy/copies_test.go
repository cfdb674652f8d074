package proxy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/proxy/route"
)

func threeWithCopies(t *testing.T, engines ...launch.Engine) *world {
	t.Helper()
	if len(engines) == 0 {
		engines = []launch.Engine{launch.MariaDB1011, launch.MariaDB1011, launch.MariaDB1011}
	}
	w := newWorld(t, worldOptions{engines: engines, tables: map[string]route.Placement{"ref": {Copies: true}, "ref2": {Copies: true}}})
	db := w.open("")
	exec(t, db, "CREATE DATABASE app")
	exec(t, db, "CREATE TABLE app.ref (id INT PRIMARY KEY, v INT, made TIMESTAMP(6) NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)) ENGINE=InnoDB")
	return w
}

// copies are the rows of each shard's copy.
func (w *world) copies(query string) [][]string {
	w.t.Helper()
	var all [][]string
	for i := range w.servers {
		all = append(all, values(w.t, w.direct(i), query))
	}
	return all
}

// alike checks that all copies have the same rows, and returns them.
func (w *world) alike(query string) []string {
	w.t.Helper()
	all := w.copies(query)
	for i, rows := range all {
		if !slices.Equal(rows, all[0]) {
			w.t.Fatalf("%s: shard 0 has %q, shard %d %q", query, all[0], i, rows)
		}
	}
	return all[0]
}

// TestCopiesAreWrittenAlike: what is told is that of one table, and all shards
// have it.
func TestCopiesAreWrittenAlike(t *testing.T) {
	for _, e := range []launch.Engine{launch.MySQL, launch.MariaDB118} {
		t.Run(string(e), func(t *testing.T) {
			w := threeWithCopies(t, e, e, e)
			c := w.conn("app")
			for _, q := range []struct {
				sql      string
				affected int64
				rows     string
			}{
				{"INSERT INTO ref (id, v) VALUES (1, 10), (2, 20), (3, 30)", 3, "1:10 2:20 3:30"},
				{"INSERT IGNORE INTO ref (id, v) VALUES (3, 31), (4, 40)", 1, "1:10 2:20 3:30 4:40"},
				{"INSERT INTO ref (id, v) VALUES (4, 1) ON DUPLICATE KEY UPDATE v = v + VALUES(v)", 2, "1:10 2:20 3:30 4:41"},
				{"REPLACE INTO ref (id, v) VALUES (1, 11), (5, 50)", 3, "1:11 2:20 3:30 4:41 5:50"},
				{"UPDATE ref SET v = v + 1 WHERE id > 2", 3, "1:11 2:20 3:31 4:42 5:51"},
				{"UPDATE ref SET v = v WHERE id > 2", 0, "1:11 2:20 3:31 4:42 5:51"},
				{"DELETE FROM ref WHERE id IN (1, 2, 99)", 2, "3:31 4:42 5:51"},
				{"INSERT INTO ref VALUES (6, 60, NOW(6))", 1, "3:31 4:42 5:51 6:60"},
			} {
				n, err := exec(t, c, q.sql).RowsAffected()
				if err != nil || n != q.affected {
					t.Errorf("%s affected %d, want %d (%v)", q.sql, n, q.affected, err)
				}
				if got := strings.Join(w.alike("SELECT CONCAT(id, ':', v) FROM app.ref ORDER BY id"), " "); got != q.rows {
					t.Errorf("%s left %s, want %s", q.sql, got, q.rows)
				}
			}
			w.alike("SELECT id, v, made FROM app.ref ORDER BY id")
			exec(t, c, "INSERT IGNORE INTO ref (id, v) VALUES (3, 1), (4, 1), (7, 1)")
			if got := values(t, c, "SHOW WARNINGS"); len(got) != 2 {
				t.Errorf("warnings %q, want those of one copy", got)
			}
			for _, q := range []string{"SELECT id FROM ref ORDER BY id", "SELECT a.id FROM ref a JOIN ref b ON a.v = b.v GROUP BY a.id ORDER BY a.id"} {
				if got := strings.Join(values(t, c, q), " "); got != "3 4 5 6 7" {
					t.Errorf("%s: %s", q, got)
				}
			}
			prepared := w.open("app?interpolateParams=false")
			exec(t, prepared, "UPDATE ref SET v = ? WHERE id = ?", 77, 7)
			if got := w.alike("SELECT v FROM app.ref WHERE id = 7"); !slices.Equal(got, []string{"77"}) {
				t.Errorf("prepared: %q", got)
			}
		})
	}
}

// TestCopiesInATransaction: a transaction sees what it wrote, keeps its snapshot,
// and is undone everywhere.
func TestCopiesInATransaction(t *testing.T) {
	w := threeWithCopies(t)
	c, other := w.conn("app"), w.conn("app")
	exec(t, c, "INSERT INTO ref (id, v) VALUES (1, 10), (2, 20)")
	exec(t, c, "BEGIN")
	exec(t, c, "UPDATE ref SET v = 11 WHERE id = 1")
	if got := values(t, c, "SELECT v FROM ref WHERE id = 1"); !slices.Equal(got, []string{"11"}) {
		t.Errorf("own write: %q", got)
	}
	exec(t, c, "ROLLBACK")
	if got := w.alike("SELECT v FROM app.ref ORDER BY id"); !slices.Equal(got, []string{"10", "20"}) {
		t.Errorf("after rollback: %q", got)
	}
	exec(t, c, "BEGIN")
	before := values(t, c, "SELECT v FROM ref ORDER BY id")
	exec(t, other, "UPDATE ref SET v = 99")
	if after := values(t, c, "SELECT v FROM ref ORDER BY id"); !slices.Equal(before, after) {
		t.Errorf("the snapshot changed from %q to %q", before, after)
	}
	exec(t, c, "COMMIT")

	exec(t, c, "BEGIN")
	values(t, c, "SELECT v FROM ref WHERE id = 1 FOR UPDATE")
	exec(t, other, "SET SESSION transaction_isolation = 'READ-COMMITTED'")
	done := make(chan error, 1)
	go func() {
		_, err := other.ExecContext(context.Background(), "UPDATE ref SET v = v + 1 WHERE id = 1")
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("a writer passed a locked row: %v", err)
	case <-time.After(time.Second):
	}
	exec(t, c, "UPDATE ref SET v = 50 WHERE id = 1")
	exec(t, c, "COMMIT")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := w.alike("SELECT v FROM app.ref ORDER BY id"); !slices.Equal(got, []string{"51", "99"}) {
		t.Errorf("after both: %q", got)
	}
}

// TestCopiesThatDifferAreNotWritten: a statement that would not do the same to
// every copy is taken back, and says where.
func TestCopiesThatDifferAreNotWritten(t *testing.T) {
	const differ, duplicate = 17027, 1062
	w := threeWithCopies(t)
	c := w.conn("app")
	exec(t, c, "INSERT INTO ref (id, v) VALUES (1, 10), (2, 20)")
	exec(t, w.direct(1), "INSERT INTO app.ref (id, v) VALUES (3, 30)")
	_, err := c.ExecContext(t.Context(), "UPDATE ref SET v = v + 1")
	if numberOf(t, err) != differ || !strings.Contains(err.Error(), "s0: 2, s1: 3, s2: 2") {
		t.Errorf("alone: %v", err)
	}
	if n := number(t, c, "INSERT INTO ref (id, v) VALUES (3, 33)"); n != duplicate {
		t.Errorf("a duplicate of one copy: error %d", n)
	}
	exec(t, c, "BEGIN")
	exec(t, c, "INSERT INTO ref (id, v) VALUES (4, 40)")
	if n := number(t, c, "DELETE FROM ref"); n != differ {
		t.Errorf("within a transaction: error %d", n)
	}
	exec(t, c, "COMMIT")
	exec(t, w.direct(1), "DELETE FROM app.ref WHERE id = 3")
	if got := w.alike("SELECT CONCAT(id, ':', v) FROM app.ref ORDER BY id"); strings.Join(got, " ") != "1:10 2:20 4:40" {
		t.Errorf("left: %q", got)
	}
}

// TestCopiesStayAlikeUnderWriters: many write the same rows at the same time, in
// all isolation levels. Without the latch READ COMMITTED makes copies differ.
func TestCopiesStayAlikeUnderWriters(t *testing.T) {
	for name, c := range map[string]struct {
		engine launch.Engine
		levels []string
	}{
		"read committed":  {launch.MariaDB1011, []string{"READ-COMMITTED"}},
		"repeatable read": {launch.MariaDB118, []string{"REPEATABLE-READ"}},
		"mixed":           {launch.MySQL, []string{"READ-COMMITTED", "REPEATABLE-READ", "READ-UNCOMMITTED"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := threeWithCopies(t, c.engine, c.engine, c.engine)
			exec(t, w.open("app"), "INSERT INTO ref (id, v) VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)")
			outcomes := w.writeCopies(c.levels)
			t.Logf("outcomes %v", outcomes)
			for number := range outcomes {
				if number != 0 && number != 1213 && number != 1205 && number != 1020 {
					t.Errorf("error %d", number)
				}
			}
			if outcomes[0] < 100 {
				t.Errorf("%d statements succeeded", outcomes[0])
			}
			w.alike("SELECT id, v, made FROM app.ref ORDER BY id")
		})
	}
}

// writeCopies lets six clients write, some of them in transactions that read
// under lock first, and counts the errors.
func (w *world) writeCopies(levels []string) map[uint16]int {
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[uint16]int{}
	for n := range 6 {
		c := w.conn("app")
		exec(w.t, c, "SET SESSION transaction_isolation = '"+levels[n%len(levels)]+"'")
		wg.Go(func() {
			for i := range 15 {
				statements := writerStatements(n, i)
				if n%3 == 2 {
					statements = []string{"BEGIN", fmt.Sprintf("SELECT v FROM ref WHERE id > %d FOR UPDATE", i%5), statements[i%4], statements[(i+1)%4], "COMMIT"}
				}
				for _, q := range statements {
					number := number(w.t, c, q)
					mu.Lock()
					outcomes[number]++
					mu.Unlock()
					if number != 0 && len(statements) == 5 {
						exec(w.t, c, "ROLLBACK")
						break
					}
				}
			}
		})
	}
	wg.Wait()
	return outcomes
}

func writerStatements(writer, round int) []string {
	id := 1 + (writer+round)%5
	return []string{
		fmt.Sprintf("UPDATE ref SET v = v + 1 WHERE id >= %d", id),
		fmt.Sprintf("INSERT INTO ref (id, v) VALUES (%d, %d) ON DUPLICATE KEY UPDATE v = v * 2 %% 1000", 6+(writer*round)%7, round),
		fmt.Sprintf("DELETE FROM ref WHERE id > 5 AND v %% 3 = %d", round%3),
		fmt.Sprintf("UPDATE ref SET v = v + 7 WHERE v %% 2 = %d", writer%2),
	}
}

// TestCopiesGetTheSameGeneratedIDs: from the table's sequence, as sharded tables.
func TestCopiesGetTheSameGeneratedIDs(t *testing.T) {
	w := threeWithCopies(t)
	c := w.conn("app")
	exec(t, c, "CREATE TABLE ref2 (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
	r := exec(t, c, "INSERT INTO ref2 (v) VALUES (10), (20)")
	first, err := r.LastInsertId()
	if err != nil || first == 0 {
		t.Fatalf("insert id %d, %v", first, err)
	}
	exec(t, c, "INSERT INTO ref2 VALUES (NULL, 30), (100, 40), (0, 50)")
	got := w.alike("SELECT CONCAT(id, ':', v) FROM app.ref2 ORDER BY id")
	if strings.Join(got, " ") != "1:10 2:20 3:30 100:40 101:50" {
		t.Errorf("rows %q", got)
	}
	if id := values(t, c, "SELECT LAST_INSERT_ID()"); id[0] != "3" {
		t.Errorf("LAST_INSERT_ID() is %q", id)
	}
}

// TestCopyIsReadWhileAShardIsDown: outside of transactions any copy will do; a
// write needs all.
func TestCopyIsReadWhileAShardIsDown(t *testing.T) {
	w := threeWithCopies(t)
	db := w.open("app")
	exec(t, db, "INSERT INTO ref (id, v) VALUES (1, 10)")
	if err := w.servers[0].Kill(); err != nil {
		t.Fatal(err)
	}
	var v int
	if err := db.QueryRowContext(t.Context(), "SELECT v FROM ref WHERE id = 1").Scan(&v); err != nil || v != 10 {
		t.Errorf("read %d, %v", v, err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE ref SET v = 11"); err == nil {
		t.Error("a write did without a copy")
	}
	for i := 1; i < 3; i++ {
		if got := values(t, w.direct(i), "SELECT v FROM app.ref"); !slices.Equal(got, []string{"10"}) {
			t.Errorf("shard %d: %q", i, got)
		}
	}
}
