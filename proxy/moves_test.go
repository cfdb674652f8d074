package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"xaproxy/proxy/route"
)

// TestNewShardingKeysAreThoseOfOneServer compares UPDATEs of the sharding key with
// one server.
func TestNewShardingKeysAreThoseOfOneServer(t *testing.T) {
	twins(t, worldOptions{tables: map[string]route.Placement{"m": {Key: "k"}, "s": {Key: "k"}, "b": {Key: "k"}}}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d",
			"CREATE TABLE m (k INT NOT NULL, n INT NOT NULL, v VARCHAR(5), w INT, PRIMARY KEY (k,n), UNIQUE KEY u (w,k))",
			"INSERT INTO m VALUES (1,1,'a',1),(2,1,'b',2),(3,1,'c',3),(4,1,'d',4),(5,1,'e',5),(6,1,'f',6),(7,1,'g',7),(8,1,'h',8)")
		for _, in := range []string{"ROLLBACK", "BEGIN"} {
			tw.same(in)
			for from := 1; from < 9; from++ {
				to := 100 + from%3
				tw.same(fmt.Sprintf("UPDATE m SET k=%d, n=%d, v=CONCAT(v,k) WHERE k=%d", to, from, from), "SELECT * FROM m")
			}
			tw.same("UPDATE m SET k='9',w=w+k,n=n+k WHERE k>0", "SELECT * FROM m", "UPDATE m SET k=10 WHERE k=9", "SELECT * FROM m",
				"UPDATE m SET k=10 WHERE v='nothing'", "UPDATE m SET k=10", "UPDATE m SET k=1,n=n-5 WHERE n<15")
			for i := range 8 {
				tw.with("UPDATE m SET k=?,v=? WHERE n=?", integer(i+1), text(fmt.Sprint("p", i)), integer(10+i))
			}
			tw.same("SELECT * FROM m")
			// What one server refuses is refused alike, and nothing remains of it.
			for _, q := range []string{"UPDATE m SET k=5,n=1", "UPDATE m SET k=5,n=7,w=7 WHERE k IN (1,2,3)", "UPDATE m SET k=5,v='much too long' WHERE k=4",
				"UPDATE m SET k=5,v='much too long'", "UPDATE m SET k=2,n=(1=1) WHERE k=1 OR k=2 OR k=3 OR k=4", "UPDATE m SET k=1 WHERE no_such=1"} {
				if got, want := told(tw.proxy, q), told(tw.ref, q); got[:10] != want[:10] {
					t.Errorf("%s\n  one server: %s\n  the proxy: %s", q, want, got)
				}
				tw.same("SELECT * FROM m")
			}
			tw.same("DELETE FROM m", "INSERT INTO m VALUES (1,1,'a',1),(2,2,'b',2),(3,3,'c',3),(4,4,'d',4),(5,5,'e',5),(6,6,'f',6),(7,7,'g',7),(8,8,'h',8)")
		}
		tw.same("SAVEPOINT a", "UPDATE m SET k=20", "SELECT * FROM m", "ROLLBACK TO a", "SELECT * FROM m", "UPDATE m SET k=20", "COMMIT", "SELECT * FROM m")
		tw.manyMoves()
		tw.movesOfTexts()
	})
}

// manyMoves moves more rows than one INSERT carries, some of them large.
func (tw *twin) manyMoves() {
	tw.t.Helper()
	tw.same("CREATE TABLE b (k BINARY(4) NOT NULL, n INT NOT NULL, t MEDIUMTEXT, PRIMARY KEY (k,n))")
	var rows []string
	for n := range 203 {
		size := 10
		if n%50 == 0 {
			size = 300_000
		}
		rows = append(rows, fmt.Sprintf("(X'%02x',%d,REPEAT('x',%d))", n%5, n, size))
	}
	tw.same("INSERT INTO b VALUES "+strings.Join(rows, ","), "UPDATE b SET k=X'0102'", "SELECT HEX(k),n,MD5(t) FROM b", "UPDATE b SET k=X'' WHERE n<100",
		"SELECT HEX(k),n,MD5(t) FROM b", "UPDATE b SET k=x'FF00' WHERE n<200 AND k=X''", "UPDATE b SET k=x'FF00' WHERE n<200 AND k=X'00000000'",
		"SELECT HEX(k),n,MD5(t) FROM b", "DELETE FROM b WHERE k=X'FF000000'", "SELECT HEX(k),n,MD5(t) FROM b")
}

func (tw *twin) movesOfTexts() {
	tw.t.Helper()
	tw.same("CREATE TABLE s (k CHAR(5) CHARACTER SET latin1 NOT NULL, n INT NOT NULL, PRIMARY KEY (k,n))",
		"INSERT INTO s VALUES ('a',1),('b',2),('c',3),('d',4),('é',5),('f',6)")
	for _, to := range []string{"x", "X  ", "é", "É", "it''s", `\\`, "", " "} {
		tw.same("UPDATE s SET k='"+to+"'", "SELECT HEX(k),n FROM s", "UPDATE s SET k='a' WHERE n<3", "UPDATE s SET k='c' WHERE n>=3", "SELECT HEX(k),n FROM s")
		tw.with("UPDATE s SET k=? WHERE n>?", text(to), integer(1))
		tw.same("SELECT HEX(k),n FROM s")
	}
	tw.same("SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", `UPDATE s SET k='\x'`, "SELECT HEX(k),n FROM s")
}
