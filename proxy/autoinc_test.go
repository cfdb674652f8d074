package proxy_test

import (
	"fmt"
	"strings"
	"testing"

	"xaproxy/proxy/wire"
)

// align makes both sides' next id the same, whatever was skipped.
func (tw *twin) align(table string, next *int) {
	tw.t.Helper()
	*next += 10000
	tw.same(fmt.Sprintf("INSERT INTO %s (k, id) VALUES (%d, %d)", table, -*next, *next-1))
}

// TestGeneratedIDsAreThoseOfOneServer compares all that is told of INSERTs that leave
// the AUTO_INCREMENT column to the server. The column is the sharding key in one
// table, and stands beside it in the other.
func TestGeneratedIDsAreThoseOfOneServer(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d",
			"CREATE TABLE a (id INT PRIMARY KEY AUTO_INCREMENT, k INT, v VARCHAR(10))",
			"CREATE TABLE b (k INT, id INT AUTO_INCREMENT, v VARCHAR(10), PRIMARY KEY (k), KEY (id))")
		next := 0
		for _, table := range []string{"a", "b"} {
			key := 0
			for _, q := range []string{
				"INSERT INTO T (k) VALUES (K)",
				"INSERT INTO T (k) VALUES (K),(K),(K),(K),(K)",
				"INSERT INTO T (k,id) VALUES (K,NULL),(K,0),(K,DEFAULT)",
				"INSERT INTO T (id,k) VALUES (+20,K)",
				"INSERT INTO T (id,k) VALUES (NULL,K),(+30,K),(NULL,K),(0,K)",
				"INSERT INTO T (id,k) VALUES (+40,K),(NULL,K)",
				"INSERT INTO T (id,k) VALUES (NULL,K),(+50,K)",
				"INSERT INTO T (id,k) VALUES (NULL,K),(+10,K),(NULL,K)",
				"INSERT INTO T (id,k) VALUES (-+1,K)",
				"INSERT INTO T (id,k) VALUES (-+2,K),(NULL,K)",
				"INSERT INTO T (id,k) VALUES (NULL,K),(-+3,K)",
				"INSERT INTO T (id,k) VALUES (+11,K),(+12,K)",
				"INSERT INTO T (id,k) VALUES ('+60',K),('0',K),(0.0,K)",
				"INSERT INTO T (id,k) VALUES (NULL,K),(+5000,K),(NULL,K)",
				"INSERT INTO T SET k=K",
				"INSERT INTO T SET id=NULL, k=K",
				"INSERT INTO T SET k=K, id=+70",
				"REPLACE INTO T (k) VALUES (K)",
				"REPLACE INTO T (k) VALUES (K),(K)",
				"INSERT IGNORE INTO T (k) VALUES (K)",
				"INSERT IGNORE INTO T (k) VALUES (K),(K)",
				"INSERT INTO T (k) VALUES (K),(K) ON DUPLICATE KEY UPDATE v='x'",
				"INSERT INTO T (k,v) VALUES (K,LAST_INSERT_ID()),(K,LAST_INSERT_ID())",
			} {
				tw.align(table, &next)
				q = strings.ReplaceAll(q, "INTO T", "INTO "+table)
				for strings.Contains(q, "K") && strings.Contains(q, ",K") || strings.Contains(q, "(K") || strings.Contains(q, "=K") {
					key++
					q = replaceOne(q, fmt.Sprint(key))
				}
				for strings.Contains(q, "+") {
					at := strings.Index(q, "+")
					end := at + 1
					for end < len(q) && q[end] >= '0' && q[end] <= '9' {
						end++
					}
					var n int
					fmt.Sscan(q[at+1:end], &n)
					q = q[:at] + fmt.Sprint(next+n) + q[end:]
				}
				tw.same(q, "SELECT LAST_INSERT_ID()", "SELECT @@identity, @@last_insert_id")
			}
			tw.same("SELECT id,k,v FROM "+table, "SELECT v FROM "+table+" WHERE id=LAST_INSERT_ID()",
				"UPDATE "+table+" SET v=LAST_INSERT_ID() WHERE id=LAST_INSERT_ID()+1 OR v IS NULL", "SELECT id,k,v FROM "+table)
		}
	})
}

// replaceOne puts a number in the place of the first K that stands for a value.
func replaceOne(q, number string) string {
	for i := 1; i < len(q); i++ {
		if q[i] == 'K' && strings.ContainsRune("(,=", rune(q[i-1])) {
			return q[:i] + number + q[i+1:]
		}
	}
	return q
}

// TestGeneratedIDsOfDuplicates: rows that are ignored, or update others, beside a
// unique key without the AUTO_INCREMENT column.
func TestGeneratedIDsOfDuplicates(t *testing.T) {
	for _, foundRows := range []bool{false, true} {
		twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
			tw.reconnect(foundRows)
			tw.same("CREATE DATABASE d", "USE d",
				"CREATE TABLE b (k INT, id INT AUTO_INCREMENT, v VARCHAR(10), PRIMARY KEY (k), KEY (id))",
				"INSERT INTO b (k,id) VALUES (1,1),(2,2),(3,3),(4,4),(5,5)")
			next := 0
			for _, q := range []string{
				"INSERT IGNORE INTO b (k) VALUES (1)",
				"INSERT IGNORE INTO b (k) VALUES (10)",
				"INSERT INTO b (k) VALUES (1) ON DUPLICATE KEY UPDATE v='a'",
				"INSERT INTO b (k) VALUES (1) ON DUPLICATE KEY UPDATE v='a'",
				"INSERT INTO b (k) VALUES (1) ON DUPLICATE KEY UPDATE v='b', id=LAST_INSERT_ID(id)",
				"INSERT INTO b (k) VALUES (1) ON DUPLICATE KEY UPDATE id=LAST_INSERT_ID(id)",
				"INSERT INTO b (k) VALUES (11) ON DUPLICATE KEY UPDATE id=LAST_INSERT_ID(id)",
				"INSERT INTO b (k) VALUES (1) ON DUPLICATE KEY UPDATE v=LAST_INSERT_ID(7)",
				"REPLACE INTO b (k) VALUES (1)",
				"REPLACE INTO b (k) VALUES (1),(2),(12)",
				"INSERT INTO b (k) VALUES (1)",
			} {
				tw.align("b", &next)
				tw.same(q)
				if got, want := told(tw.proxy, "SELECT LAST_INSERT_ID()"), told(tw.ref, "SELECT LAST_INSERT_ID()"); got != want {
					t.Errorf("after %s: %s, want %s", q, got, want)
				}
			}
			tw.same("SELECT id,k,v FROM b")
			// A server gives the id of a row that was ignored to the next row: only what is
			// told of the first row that is new can be compared.
			for _, c := range []struct{ q, first string }{
				{"INSERT IGNORE INTO b (k) VALUES (1),(2)", ""},
				{"INSERT IGNORE INTO b (k) VALUES (1),(21)", "21"},
				{"INSERT IGNORE INTO b (k) VALUES (22),(1),(2),(3)", "22"},
				{"INSERT IGNORE INTO b (k) VALUES (1),(2),(3),(4),(5),(23),(24),(25)", "23"},
				{"INSERT INTO b (k) VALUES (1),(31) ON DUPLICATE KEY UPDATE v='c'", "31"},
				{"INSERT INTO b (k) VALUES (32),(1),(2),(33),(34) ON DUPLICATE KEY UPDATE v='d'", "32"},
			} {
				for _, b := range []*bare{tw.proxy, tw.ref} {
					before := told(b, "SELECT LAST_INSERT_ID()")
					a := b.query(c.q)
					if a.err != nil {
						t.Fatal(c.q, a.err)
					}
					got := told(b, "SELECT LAST_INSERT_ID()")
					want := before
					if c.first != "" {
						want = told(b, "SELECT id FROM b WHERE k="+c.first)
					}
					if got != want || c.first != "" && want != fmt.Sprintf("1 rows: %d", a.ok.InsertID) {
						t.Errorf("%s: told %d, last %s, want %s", c.q, a.ok.InsertID, got, want)
					}
				}
			}
		})
	}
}

func TestGeneratedIDsOfPreparedStatements(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d",
			"CREATE TABLE a (id BIGINT PRIMARY KEY AUTO_INCREMENT, k INT, v VARCHAR(10))",
			"CREATE TABLE b (k INT, id INT UNSIGNED AUTO_INCREMENT, v VARCHAR(10), PRIMARY KEY (k), KEY (id))")
		null := wire.Param{Type: wire.TypeLong, Null: true}
		k := 0
		key := func() wire.Param { k++; return integer(k) }
		for _, table := range []string{"a", "b"} {
			for range 3 {
				tw.with("INSERT INTO "+table+" (k,v) VALUES (?,?)", key(), text("x"))
				tw.with("INSERT INTO "+table+" (id,k) VALUES (?,?)", null, key())
				tw.with("INSERT INTO "+table+" (id,k) VALUES (?,?),(?,?),(?,?)", null, key(), integer(0), key(), null, key())
				tw.with("INSERT INTO "+table+" (k,id,v) VALUES (?,?,?)", key(), integer(1000+k), text("y"))
				tw.with("INSERT INTO "+table+" (k,v,id) VALUES (?,LAST_INSERT_ID(),DEFAULT)", key())
				tw.with("INSERT INTO "+table+" SET v=?,k=?", text("z"), key())
				tw.with("INSERT INTO "+table+" (k) VALUES (?) ON DUPLICATE KEY UPDATE v=?", key(), text("z"))
				tw.with("SELECT k FROM "+table+" WHERE id=LAST_INSERT_ID() AND v>?", text(""))
				tw.same("SELECT LAST_INSERT_ID()")
			}
			tw.same("SELECT id,k,v FROM " + table)
		}
	})
}
