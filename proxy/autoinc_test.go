package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
	"xaproxy/proxy/route"
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
	twinsOf(t, launch.Engines(), worldOptions{}, func(t *testing.T, tw *twin) {
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
	twinsOf(t, launch.Engines(), worldOptions{}, func(t *testing.T, tw *twin) {
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

func TestDefinitionsMoveTheNextID(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d")
		for _, table := range []string{"(id INT AUTO_INCREMENT PRIMARY KEY, k INT)", "(k INT, id INT AUTO_INCREMENT, PRIMARY KEY (k, id), KEY (id))"} {
			tw.same("CREATE TABLE c "+table+" AUTO_INCREMENT=500", "INSERT INTO c (k) VALUES (1),(2),(3)",
				"TRUNCATE TABLE c", "INSERT INTO c (k) VALUES (1),(2),(3)",
				"ALTER TABLE c AUTO_INCREMENT=50", "INSERT INTO c (k) VALUES (4),(5)",
				"ALTER TABLE c AUTO_INCREMENT=10", "INSERT INTO c (k) VALUES (6)",
				"DELETE FROM c", "INSERT INTO c (k) VALUES (7)", "DELETE FROM c",
				"ALTER TABLE c AUTO_INCREMENT=10", "INSERT INTO c (k) VALUES (8)",
				"ALTER TABLE c ADD COLUMN n INT", "INSERT INTO c (k) VALUES (9)",
				"ALTER TABLE c ADD COLUMN m INT, AUTO_INCREMENT=70", "INSERT INTO c (k) VALUES (10)",
				"CREATE TABLE c2 LIKE c", "INSERT INTO c2 (k) VALUES (1)",
				"BEGIN", "INSERT INTO c (k) VALUES (11),(12),(13)", "ROLLBACK", "INSERT INTO c (k) VALUES (14)",
				"SELECT id, k FROM c", "DROP TABLE c, c2",
				"CREATE TABLE c "+table, "INSERT INTO c (k) VALUES (1)", "DROP TABLE c")
		}
		tw.same("CREATE TABLE e (k INT, id INT AUTO_INCREMENT, PRIMARY KEY (k, id), KEY (id))", "INSERT INTO e (k) VALUES (1),(2)")
		for _, b := range []*bare{tw.proxy, tw.ref} {
			if a := b.query("ALTER TABLE e MODIFY id BIGINT UNSIGNED AUTO_INCREMENT"); a.err != nil { // its counts are a shard's
				t.Error(a.err)
			}
		}
		tw.same("INSERT INTO e (k) VALUES (3),(4)", "SELECT id, k FROM e",
			"DROP DATABASE d", "CREATE DATABASE d", "USE d", "CREATE TABLE e (k INT, id INT AUTO_INCREMENT, PRIMARY KEY (k, id), KEY (id))",
			"INSERT INTO e (k) VALUES (1),(2)")
	})
}

// TestUpdatedIDsPushTheNextOnes: servers count what UPDATE gives, too.
func TestUpdatedIDsPushTheNextOnes(t *testing.T) {
	twinsOf(t, launch.Engines(), worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE b (k INT, id INT AUTO_INCREMENT, v VARCHAR(10), PRIMARY KEY (k), KEY (id))",
			"INSERT INTO b (k) VALUES (1),(2),(3)", "UPDATE b SET id=700 WHERE k=1", "INSERT INTO b (k) VALUES (4)",
			"INSERT INTO b (k) VALUES (1) ON DUPLICATE KEY UPDATE id=900", "INSERT INTO b (k) VALUES (5)", "SELECT k,id FROM b")
		tw.with("UPDATE b SET id=? WHERE k=?", integer(1000), integer(2))
		tw.same("INSERT INTO b (k) VALUES (6)",
			"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, k INT)", "INSERT INTO a (k) VALUES (1),(2),(3)",
			"UPDATE a SET id=500 WHERE id=2", "INSERT INTO a (k) VALUES (4)", "UPDATE a SET id=400 WHERE id=3", "INSERT INTO a (k) VALUES (5)", "SELECT id,k FROM a")
		tw.refused("UPDATE b SET id=id+1 WHERE k=1", "an expression for the AUTO_INCREMENT column b.id")
	})
}

// TestIDsEndWithTheirType compares what is told when a type has no number left.
func TestIDsEndWithTheirType(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d")
		for i, c := range []struct{ column, last string }{
			{"TINYINT", "126"}, {"SMALLINT UNSIGNED", "65534"}, {"BIGINT", "9223372036854775806"},
		} {
			table := fmt.Sprintf("e%d", i)
			tw.same("CREATE TABLE "+table+" (id "+c.column+" AUTO_INCREMENT PRIMARY KEY, k INT)", "INSERT INTO "+table+" VALUES ("+c.last+", 1)",
				"INSERT INTO "+table+" (k) VALUES (2)", "INSERT INTO "+table+" (k) VALUES (3)", "SELECT * FROM "+table)
		}
		tw.same("CREATE TABLE u (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, k INT)", "INSERT INTO u VALUES (18446744073709551613, 1)",
			"INSERT INTO u (k) VALUES (2)", "INSERT INTO u (k) VALUES (3)", "INSERT INTO u (k) VALUES (3),(4)", "SELECT * FROM u",
			"CREATE TABLE s (id TINYINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, k INT)", "INSERT INTO s VALUES (253, 1)",
			"INSERT INTO s (k) VALUES (1),(2),(3)", "SELECT * FROM s")
	})
}

// TestLastInsertIDFollowsTheSession: ids of sharded tables, of tables on one shard
// and of LAST_INSERT_ID(expr), read wherever the next statement goes.
func TestLastInsertIDFollowsTheSession(t *testing.T) {
	one := route.Shard(1)
	o := worldOptions{tables: map[string]route.Placement{"one": {Shard: &one}}}
	twins(t, o, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE p (id INT AUTO_INCREMENT PRIMARY KEY, v BIGINT)",
			"CREATE TABLE c (parent INT, id INT AUTO_INCREMENT, v BIGINT, PRIMARY KEY (parent, id), KEY (id))",
			"CREATE TABLE one (id INT AUTO_INCREMENT PRIMARY KEY, v BIGINT)", "INSERT INTO one VALUES (1000,1)")
		for _, in := range []string{"SELECT 1", "BEGIN"} {
			for range 3 {
				tw.same(in,
					"INSERT INTO p (v) VALUES (1)", "INSERT INTO c (parent,v) VALUES (LAST_INSERT_ID(),2),(LAST_INSERT_ID(),3),(77,LAST_INSERT_ID())",
					"SELECT parent,v FROM c WHERE id=LAST_INSERT_ID()", "SELECT id,parent,v FROM c WHERE id>=LAST_INSERT_ID()",
					"INSERT INTO one (v) VALUES (4)", "INSERT INTO c (parent,v) VALUES (LAST_INSERT_ID(),5)", "SELECT LAST_INSERT_ID()",
					"UPDATE p SET v=LAST_INSERT_ID(v+50) WHERE id=1", "SELECT LAST_INSERT_ID()", "UPDATE c SET v=LAST_INSERT_ID()",
					"INSERT INTO one VALUES (LAST_INSERT_ID()+2000,1)", "SELECT LAST_INSERT_ID()", "DELETE FROM one WHERE id>2000",
					"INSERT INTO one (v) VALUES (LAST_INSERT_ID())", "SELECT LAST_INSERT_ID(), @@identity", "SELECT id,v FROM one",
					"SELECT id,parent,v FROM c", "COMMIT")
			}
		}
	})
}

func TestNumbersComeFromTheirShard(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	c := w.conn("")
	exec(t, c, "CREATE DATABASE d")
	exec(t, c, "USE d")
	exec(t, c, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
	exec(t, c, "INSERT INTO a (v) VALUES (1)")
	home := 0
	for i := range w.servers {
		var n int
		if err := w.direct(i).QueryRow("SELECT COUNT(*) FROM xaproxy.sequence").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			home = i
		}
	}
	exec(t, c, "INSERT INTO a (id,v) VALUES (100,1)")
	if err := w.servers[home].Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond) // longer than ids may be handed out without asking
	if n := number(t, c, "INSERT INTO a (v) VALUES (2)"); n != 17030 {
		t.Errorf("error %d", n)
	}
	// A given id that is below all that were handed out needs no number, only its shard.
	done := 0
	for id := 2; id < 40; id++ {
		switch n := number(t, c, fmt.Sprintf("INSERT INTO a VALUES (%d,1)", id)); n {
		case 0:
			done++
		case 17030:
		default:
			t.Fatalf("error %d", n)
		}
	}
	if done < 5 {
		t.Errorf("%d given ids were stored", done)
	}
}

// TestStandstillOfTheNumbersShardEndsStatements: a shard that stands still does not
// hold up sessions without end, nor does a transaction go on without it.
func TestStandstillOfTheNumbersShardEndsStatements(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	c := w.conn("")
	exec(t, c, "CREATE DATABASE d")
	exec(t, c, "USE d")
	exec(t, c, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
	exec(t, c, "INSERT INTO a (v) VALUES (1)")
	home := 0
	var n int
	if err := w.direct(1).QueryRow("SELECT COUNT(*) FROM xaproxy.sequence").Scan(&n); err != nil {
		t.Fatal(err)
	}
	home += n
	exec(t, c, "BEGIN")
	exec(t, c, "INSERT INTO a VALUES (-1,1),(-2,1),(-3,1),(-4,1)")
	if err := w.servers[home].Pause(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(400 * time.Millisecond)
	began := time.Now()
	got := number(t, c, "INSERT INTO a (v) VALUES (2)")
	if err := w.servers[home].Resume(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); got != 17030 && got != 17025 || took > time.Minute {
		t.Errorf("error %d after %s", got, took)
	}
	exec(t, c, "ROLLBACK")
	for range 50 {
		if number(t, c, "INSERT INTO a (v) VALUES (3)") == 0 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Error("no id after the shard goes on")
}

// TestCopiesAreNumberedAsOneServersTable: each copy of a reference table gets the
// same ids, and what is told of them is what one server tells.
func TestCopiesAreNumberedAsOneServersTable(t *testing.T) {
	twins(t, worldOptions{tables: map[string]route.Placement{"ref": {Copies: true}}}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE ref (id INT AUTO_INCREMENT PRIMARY KEY, k INT)",
			"INSERT INTO ref (k) VALUES (1)", "INSERT INTO ref (k) VALUES (2),(3)", "SELECT LAST_INSERT_ID()",
			"UPDATE ref SET id=500 WHERE id=2", "INSERT INTO ref (k) VALUES (4)",
			"INSERT INTO ref VALUES (600,5),(NULL,6)", "SELECT LAST_INSERT_ID()", "SELECT id,k FROM ref",
			"TRUNCATE TABLE ref", "INSERT INTO ref (k) VALUES (1)", "ALTER TABLE ref AUTO_INCREMENT=40", "INSERT INTO ref (k) VALUES (2)")
		var first string
		for i := range tw.w.servers {
			rows := strings.Join(values(t, tw.w.direct(i), "SELECT id, k FROM d.ref ORDER BY id"), " ")
			if i == 0 {
				first = rows
			}
			if rows != first || rows == "" {
				t.Errorf("the copy at shard %d has %q, the first %q", i, rows, first)
			}
		}
	})
}

// TestExplainRouteTakesNoIDs: it says where rows would go, by ids that are examples.
func TestExplainRouteTakesNoIDs(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	c := w.conn("")
	exec(t, c, "CREATE DATABASE d")
	exec(t, c, "USE d")
	exec(t, c, "CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
	for range 3 {
		rows := values(t, c, "EXPLAIN ROUTE INSERT INTO a (v) VALUES (1),(2)")
		if len(rows) == 0 || !strings.Contains(rows[0], "the ids of new rows are examples") {
			t.Fatalf("%q", rows)
		}
	}
	r := exec(t, c, "INSERT INTO a (v) VALUES (1)")
	if id, err := r.LastInsertId(); err != nil || id != 1 {
		t.Errorf("id %d: %v", id, err)
	}
}
