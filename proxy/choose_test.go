package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"xaproxy/internal/launch"
	"xaproxy/proxy"
)

// TestLimitedWritesAreThoseOfOneServer compares UPDATE and DELETE with ORDER BY and
// LIMIT over two shards with one server.
func TestLimitedWritesAreThoseOfOneServer(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		const look = "SELECT k,n,v,w,s FROM t"
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE t (k INT NOT NULL, n INT NOT NULL, v VARCHAR(10), w INT, s CHAR(5) CHARACTER SET latin1,"+
			" u DATETIME(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), PRIMARY KEY (k,n))")
		var rows []string
		for i := range 60 {
			rows = append(rows, fmt.Sprintf("(%d,%d,'%c',%d,'%c')", i%20, i, 'a'+i%7, i*7%60, 'A'+i*5%26))
		}
		for _, in := range []string{"ROLLBACK", "BEGIN"} {
			tw.same(in, "DELETE FROM t", "INSERT INTO t (k,n,v,w,s) VALUES "+strings.Join(rows, ","), look,
				"UPDATE t SET v='first' ORDER BY w LIMIT 7", look, "UPDATE t SET v='last',w=w+1 WHERE w>5 ORDER BY w DESC LIMIT 9", look,
				"UPDATE t AS x SET x.v=x.s WHERE x.n<50 ORDER BY x.s DESC,x.n LIMIT 20", look,
				"DELETE FROM t WHERE v='last' ORDER BY n LIMIT 4", look, "DELETE FROM t WHERE v='none' ORDER BY n LIMIT 4", "DELETE FROM t ORDER BY n LIMIT 0",
				"DELETE FROM t WHERE n>40 ORDER BY v,n LIMIT 100", look, "UPDATE t SET n=n+1 ORDER BY n DESC", look, "UPDATE t SET n=n+1 ORDER BY n DESC LIMIT 30", look,
				"UPDATE t SET w=1 WHERE k IN (1,2,3,4,5) ORDER BY w LIMIT 3", look, "UPDATE t SET v='now' WHERE u<=NOW(6) ORDER BY k DESC,n LIMIT 5", look,
				"UPDATE t SET v='much too long for it' ORDER BY w,n LIMIT 3", look, "UPDATE t SET k=3,n=n+100 WHERE n>5 ORDER BY w,n LIMIT 6", look,
				"UPDATE t SET k=100 ORDER BY w,n LIMIT 8", look)
			tw.with("UPDATE t SET v=? WHERE w>? ORDER BY w+?,n LIMIT ?", text("par"), integer(3), integer(1), integer(5))
			tw.with("DELETE FROM t ORDER BY n DESC LIMIT ?", integer(3))
			tw.with("DELETE FROM t WHERE n<? ORDER BY n LIMIT 2", integer(30))
			tw.same(look)
			// Without an order, or with ties, any of the rows.
			tw.same("UPDATE t SET v='tie',w=0")
			for _, q := range []string{"UPDATE t SET v='any' LIMIT 11", "UPDATE t SET v='one' WHERE v='tie' ORDER BY w LIMIT 5", "DELETE FROM t WHERE v='one' LIMIT 3"} {
				if got, want := told(tw.proxy, q), told(tw.ref, q); got != want {
					t.Errorf("%s\n  one server: %s\n  the proxy:  %s", q, want, got)
				}
			}
			tw.same("SELECT COUNT(*) FROM t")
			for _, v := range []string{"any", "one", "tie"} {
				if got, want := counted(told(tw.proxy, "SELECT n FROM t WHERE v='"+v+"'")), counted(told(tw.ref, "SELECT n FROM t WHERE v='"+v+"'")); got != want {
					t.Errorf("%s: %s, want %s", v, got, want)
				}
			}
			tw.same("DELETE FROM t")
		}
		tw.same("COMMIT")
		tw.manyChosen()
	})
}

// counted is how many rows are told.
func counted(told string) string {
	n, _, _ := strings.Cut(told, " ")
	return n
}

// manyChosen changes more rows than one statement names, by keys of several types.
func (tw *twin) manyChosen() {
	tw.t.Helper()
	for i, key := range []string{"VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci", "VARBINARY(10)", "BIGINT UNSIGNED", "DECIMAL(12,3)", "DATE", "DATETIME(3)", "CHAR(9) CHARACTER SET latin1"} {
		name := fmt.Sprintf("many%d", i)
		tw.same("CREATE TABLE " + name + " (k " + key + " NOT NULL PRIMARY KEY, v INT)")
		var rows []string
		for n := range 1300 {
			value := fmt.Sprintf("'%d'", 100000+n)
			switch i {
			case 0:
				value = fmt.Sprintf("'%d é''\\\\'", n)
			case 4:
				value = fmt.Sprintf("'%d-%02d-%02d'", 1900+n/336, n/28%12+1, n%28+1)
			case 5:
				value = fmt.Sprintf("'2024-01-01 00:%02d:%02d.%03d'", n/60%60, n%60, n%1000)
			case 6:
				value = fmt.Sprintf("'%d é'", n)
			}
			rows = append(rows, fmt.Sprintf("(%s,%d)", value, n*31%1300))
		}
		tw.same("INSERT INTO "+name+" VALUES "+strings.Join(rows, ","), "UPDATE "+name+" SET v=v+5000 ORDER BY v LIMIT 1100", "DELETE FROM "+name+" ORDER BY v LIMIT 150",
			"SELECT * FROM "+name)
	}
}

func TestLimitedWritesAreBounded(t *testing.T) {
	o := worldOptions{limits: proxy.Limits{RowsBuffered: 10}}
	twins(t, o, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE t (k INT PRIMARY KEY, v INT)", "CREATE TABLE f (k INT PRIMARY KEY, v FLOAT)",
			"CREATE TABLE p (k INT, v FLOAT, PRIMARY KEY (k,v))")
		var rows []string
		for i := range 30 {
			rows = append(rows, fmt.Sprintf("(%d,%d)", i, i))
		}
		tw.same("INSERT INTO t VALUES " + strings.Join(rows, ","))
		tw.refused("DELETE FROM t ORDER BY k LIMIT 11", "rows_buffered")
		tw.refused("DELETE FROM p ORDER BY k LIMIT 1", "17021")
		tw.same("SELECT * FROM t", "DELETE FROM t ORDER BY k LIMIT 10", "SELECT * FROM t")
	})
}

// TestLockTimeoutOfALockingReadIsTold: a shard whose turn does not come, since an
// earlier one waits for a lock, has nothing to tell.
func TestLockTimeoutOfALockingReadIsTold(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	for i := range w.servers {
		exec(t, w.direct(i), "SET GLOBAL innodb_lock_wait_timeout=1")
	}
	w.bank()
	db := w.conn("bank")
	for bad := range w.servers {
		lock, err := w.direct(bad).Begin()
		if err != nil {
			t.Fatal(err)
		}
		exec(t, lock, "UPDATE bank.account SET balance=1")
		for _, q := range []string{"SELECT * FROM account ORDER BY balance FOR UPDATE", "SELECT * FROM account LIMIT 100 FOR UPDATE",
			"DELETE FROM account ORDER BY balance LIMIT 100"} {
			const lockTimeout = 1205
			if got := number(t, db, q); got != lockTimeout {
				t.Errorf("%s with a lock at shard %d: error %d", q, bad, got)
			}
		}
		if err := lock.Rollback(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestShardsThatALimitLeavesOutVoteForCommit: a read whose rows the first shard has
// leaves branches that nothing was sent to.
func TestShardsThatALimitLeavesOutVoteForCommit(t *testing.T) {
	w := newWorld(t, worldOptions{engines: []launch.Engine{launch.MariaDB1011, launch.MariaDB1011, launch.MariaDB1011}})
	ids := w.bank()
	db := w.conn("bank")
	for range 20 {
		exec(t, db, "BEGIN")
		if rows := values(t, db, "SELECT * FROM account LIMIT 1 FOR UPDATE"); len(rows) != 1 {
			t.Fatal(rows)
		}
		exec(t, db, "UPDATE account SET balance=balance+1 WHERE id=?", ids[0])
		exec(t, db, "UPDATE account SET balance=balance+1 WHERE id=?", ids[1])
		exec(t, db, "COMMIT")
	}
	if a, b := w.balance(0, ids[0]), w.balance(1, ids[1]); a != 120 || b != 120 {
		t.Error(a, b)
	}
}
