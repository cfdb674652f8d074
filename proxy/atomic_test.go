package proxy_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// contents are the rows of d.t, by shard, as they are committed.
func (w *world) contents() string {
	w.t.Helper()
	var all []string
	for i := range w.servers {
		all = append(all, fmt.Sprintf("shard %d: %s", i, strings.Join(values(w.t, w.direct(i), "SELECT * FROM d.t ORDER BY k,n"), " ")))
	}
	return strings.Join(all, "\n")
}

// failing is the work on statements that fail at one of two shards.
type failing struct {
	*world
	db   *sql.Conn
	keys [2][]string // of each shard
}

// fails executes a statement that has to fail, outside of a transaction and within
// one, and compares what is there before and afterwards.
func (f *failing) fails(want uint16, q string) {
	f.t.Helper()
	before := f.contents()
	if got := number(f.t, f.db, q); got != want {
		f.t.Errorf("%s: error %d, want %d", q, got, want)
	}
	if after := f.contents(); after != before {
		f.t.Errorf("%s\nbefore\n%s\nafter\n%s", q, before, after)
	}
	look := func() []string {
		rows := values(f.t, f.db, "SELECT * FROM d.t")
		slices.Sort(rows)
		return rows
	}
	exec(f.t, f.db, "BEGIN")
	exec(f.t, f.db, "UPDATE d.t SET v='tx' WHERE k="+f.keys[0][5])
	exec(f.t, f.db, "UPDATE d.t SET v='tx' WHERE k="+f.keys[1][5])
	within := look()
	if got := number(f.t, f.db, q); got != want {
		f.t.Errorf("in a transaction, %s: error %d, want %d", q, got, want)
	}
	if after := look(); !slices.Equal(after, within) {
		f.t.Errorf("in a transaction, %s\nbefore\n%s\nafter\n%s", q, within, after)
	}
	exec(f.t, f.db, "COMMIT")
	if after := strings.ReplaceAll(f.contents(), "tx", "a"); after != before {
		f.t.Errorf("committed after %s\nbefore\n%s\nafter\n%s", q, before, after)
	}
	exec(f.t, f.db, "UPDATE d.t SET v='a'")
}

// TestStatementsThatFailLeaveNothing lets each kind of write over two shards fail at
// each of them: by a duplicate, a value that does not fit, a lock.
func TestStatementsThatFailLeaveNothing(t *testing.T) {
	pairs(t, func(t *testing.T, w *world) {
		for i := range w.servers {
			exec(t, w.direct(i), "SET GLOBAL innodb_lock_wait_timeout=1")
		}
		f := &failing{world: w, db: w.conn("")}
		exec(t, f.db, "CREATE DATABASE d")
		exec(t, f.db, "CREATE TABLE d.t (k INT NOT NULL, n INT NOT NULL, v VARCHAR(3), w INT, PRIMARY KEY (k,n), UNIQUE KEY (w,k)) ENGINE=InnoDB")
		var rows []string
		for k := range 40 {
			rows = append(rows, fmt.Sprintf("(%d,1,'a',%d)", k, k))
		}
		exec(t, f.db, "INSERT INTO d.t VALUES "+strings.Join(rows, ","))
		for i := range f.keys {
			f.keys[i] = values(t, w.direct(i), "SELECT k FROM d.t ORDER BY k")
		}
		for bad := range f.keys {
			for number, statements := range failures(f.keys[bad], f.keys[1-bad]) {
				for _, q := range statements {
					f.fails(number, q)
				}
			}
			lock, err := w.direct(bad).Begin()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lock.Exec("SELECT * FROM d.t WHERE k=" + f.keys[bad][0] + " FOR UPDATE"); err != nil {
				t.Fatal(err)
			}
			for _, q := range lockFailures(f.keys[bad][0], f.keys[1-bad]) {
				const lockTimeout = 1205
				before := w.contents()
				if got := number(t, f.db, q); got != lockTimeout {
					t.Errorf("%s: error %d", q, got)
				}
				exec(t, f.db, "BEGIN")
				exec(t, f.db, "UPDATE d.t SET v='tx' WHERE k="+f.keys[1-bad][5])
				if got := number(t, f.db, q); got != lockTimeout {
					t.Errorf("in a transaction, %s: error %d", q, got)
				}
				exec(t, f.db, "COMMIT")
				if after := strings.ReplaceAll(w.contents(), "tx", "a"); after != before {
					t.Errorf("%s\nbefore\n%s\nafter\n%s", q, before, after)
				}
				exec(t, f.db, "UPDATE d.t SET v='a' WHERE k="+f.keys[1-bad][5])
			}
			if err := lock.Rollback(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// failures are statements for both shards that fail at the one with the keys b, by
// the error's number.
func failures(b, g []string) map[uint16][]string {
	const duplicate, tooLong = 1062, 1406
	long := func(k string) string { return "IF(k=" + k + ",'much too long','y')" }
	return map[uint16][]string{
		duplicate: {
			"INSERT INTO d.t VALUES (" + g[0] + ",2,'x',100),(" + b[0] + ",2,'x',100),(" + b[0] + ",1,'x',101)",
			"INSERT INTO d.t VALUES (" + g[0] + ",2,'x',100),(" + b[0] + ",2,'x'," + b[0] + ")",
			"UPDATE d.t SET k=" + b[0] + " WHERE k=" + g[0],                                  // moved to a row that is there
			"UPDATE d.t SET k=" + g[0] + ",n=n+7,w=5 WHERE k IN (" + b[0] + "," + b[1] + ")", // before they are moved
		},
		tooLong: {
			"INSERT INTO d.t VALUES (" + g[0] + ",2,'x',100),(" + b[0] + ",2,'x',100),(" + b[0] + ",3,'much too long',101)",
			"INSERT INTO d.t VALUES (" + g[0] + ",1,'x',100),(" + b[0] + ",1,'x',101) ON DUPLICATE KEY UPDATE v=" + long(b[0]),
			"REPLACE INTO d.t VALUES (" + g[0] + ",1,'x',100),(" + b[1] + ",1,'x',5),(" + b[0] + ",1,'much too long',101)",
			"UPDATE d.t SET v=" + long(b[3]),
			"UPDATE d.t SET v=" + long(b[3]) + " ORDER BY w DESC LIMIT 100",
			"UPDATE d.t SET v=" + long(b[3]) + ",k=" + g[0] + ",n=w+50 ORDER BY w LIMIT 39",
			"UPDATE d.t SET v=" + long(b[3]) + " WHERE k IN (" + g[0] + "," + g[1] + "," + b[0] + "," + b[3] + ")",
			"UPDATE d.t SET v=" + long(b[3]) + ",k=" + g[0] + ",n=w+50 WHERE w>=0",
			"UPDATE d.t SET v=" + long(b[3]) + ",k=" + b[0] + ",n=w+50 WHERE w>=0",
		},
	}
}

// lockFailures are statements that wait for the row with key b, and write
// elsewhere before or afterwards.
func lockFailures(b string, g []string) []string {
	return []string{
		"UPDATE d.t SET w=w+1", "DELETE FROM d.t", "DELETE FROM d.t WHERE v='a'", "DELETE FROM d.t ORDER BY w DESC LIMIT 100", "UPDATE d.t SET w=w+1 LIMIT 39",
		"INSERT INTO d.t VALUES (" + g[0] + ",2,'x',100),(" + b + ",1,'x',100)",
		"INSERT INTO d.t VALUES (" + g[0] + ",1,'x',100),(" + b + ",1,'x',100) ON DUPLICATE KEY UPDATE w=w+1",
		"REPLACE INTO d.t VALUES (" + g[0] + ",1,'x',100),(" + b + ",1,'x',100)",
		"UPDATE d.t SET k=" + b + ",n=9 WHERE k=" + g[0], "UPDATE d.t SET k=" + g[0] + ",n=w+9",
	}
}
