package proxy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSplitInsertsTellWhatOneServerTells compares counts, texts, insert ids,
// warnings and errors of INSERTs whose rows are on two shards.
func TestSplitInsertsTellWhatOneServerTells(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		for i, foundRows := range []bool{false, true} {
			if foundRows {
				tw.reconnect(true)
			}
			tw.same(fmt.Sprintf("CREATE DATABASE d%d", i), fmt.Sprintf("USE d%d", i))
			tw.splitInserts(foundRows)
		}
	})
}

func (tw *twin) splitInserts(foundRows bool) {
	tw.t.Helper()
	const rows = "(1,1,'1'),(2,2,'2'),(3,3,'3'),(4,4,'4'),(5,5,'5')"
	tw.same("CREATE TABLE p (id INT PRIMARY KEY, v INT, s VARCHAR(3))", "INSERT INTO p VALUES "+rows,
		"INSERT IGNORE INTO p VALUES (6,6,'6'),(1,1,'1'),(2,1,'1')",
		"INSERT IGNORE INTO p VALUES (1,1,'1'),(2,1,'1'),(3,1,'1'),(4,1,'1'),(5,1,'1')",
		"REPLACE INTO p VALUES (1,1,'1'),(2,7,'7'),(3,8,'8'),(4,4,'4'),(99,1,'1')",
		"REPLACE INTO p VALUES "+rows,
		"SELECT * FROM p")
	if !foundRows { // the text cannot be told of a part of one row
		tw.same("INSERT INTO p VALUES (1,1,'1'),(2,2,'2') ON DUPLICATE KEY UPDATE v=v",
			"INSERT INTO p VALUES (1,9,'1'),(2,2,'2'),(3,9,'3'),(7,7,'7'),(8,8,'8') ON DUPLICATE KEY UPDATE v=9",
			"INSERT IGNORE INTO p VALUES (1,9,'1'),(2,2,'2'),(3,8,'3'),(9,7,'7'),(8,8,'8') ON DUPLICATE KEY UPDATE v=9")
	}
	tw.same("INSERT INTO p VALUES (1,9,'1'),(2,2,'2'),(3,9,'3'),(4,9,'4'),(5,9,'5'),(6,1,'1'),(77,1,'1'),(78,1,'1') ON DUPLICATE KEY UPDATE v=VALUES(v)",
		"INSERT INTO p VALUES (1,8,'1'),(2,8,'2'),(3,8,'3'),(4,8,'4'),(5,8,'5'),(6,8,'1') ON DUPLICATE KEY UPDATE v=VALUES(v),s=VALUES(s)",
		"SELECT * FROM p",
		// Errors name the client's row; nothing of the statement stays.
		"INSERT INTO p VALUES (31,1,'1'),(32,1,'1'),(33,1,'1'),(34,1,'1'),(35,1,'1'),(36,1,'long')",
		"INSERT INTO p VALUES (31,1,'1'),(32,1,'long'),(33,1,'1'),(34,1,'1'),(35,1,'1'),(36,1,'1')",
		"INSERT INTO p VALUES (31,1,'1'),(32,1,'1'),(33,1,'1'),(34,'1x','1'),(35,1,'1'),(36,1,'1')",
		"INSERT INTO p VALUES (31,1,'1'),(32,1,'1'),(33,1,'1'),(34,'1','1'),(35,1,'1'),(5,1,'1')",
		"INSERT INTO p VALUES (31,1,'1'),(32,1,'1'),(33,1,'1'),(34,'1','1'),(35,1,'1'),(4,1,'1')",
		"SELECT * FROM p", "BEGIN",
		"INSERT INTO p VALUES (31,1,'1'),(32,1,'1'),(33,1,'1'),(34,1,'1'),(35,1,'1'),(36,1,'1')",
		"INSERT INTO p VALUES (41,1,'1'),(42,1,'1'),(43,1,'1'),(44,1,'1'),(35,1,'1')",
		"INSERT INTO p VALUES (41,1,'1'),(42,1,'1'),(43,1,'1'),(44,1,'1'),(34,1,'1')",
		"INSERT INTO p VALUES (41,1,'1'),(42,1,'1'),(43,1,'1'),(44,1,'long'),(45,1,'1')",
		"SELECT * FROM p", "COMMIT", "SELECT * FROM p",
		"SET sql_mode=''", "INSERT INTO p VALUES (51,'x','1'),(52,1,'long'),(53,'y','1'),(54,1,'long'),(55,'z','long')",
		"INSERT IGNORE INTO p VALUES (51,'x','1'),(52,1,'long'),(53,'y','1'),(61,1,'long'),(62,'z','long'),(63,'z','long')",
		"UPDATE p SET s='1'", "UPDATE p SET v=v+1 WHERE id>3", "UPDATE p SET v=1 WHERE v=1 AND id IN (1,2,3,4,5,6)", "DELETE FROM p WHERE id<4",
		"DELETE FROM p WHERE id<4", "UPDATE p SET v=5 WHERE id<0 OR s='nothing'",
		"SET sql_mode='STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'", "SELECT * FROM p")
	if foundRows {
		return
	}
	tw.with("INSERT INTO p VALUES (?,?,?),(?,?,'b'),(72,?,'c'),(73,1,'d') ON DUPLICATE KEY UPDATE v=v+?",
		integer(70), integer(1), text("a"), integer(4), integer(5), integer(6), integer(9))
	tw.with("UPDATE p SET v=?,s=? WHERE v<?", integer(4), text("q"), integer(3))
	tw.with("DELETE FROM p WHERE v=? OR s=?", integer(6), text("q"))
	tw.same("SELECT * FROM p")
	tw.insertIDs()
}

// insertIDs: a server tells the number of the last row whenever any row was
// stored or changed.
func (tw *twin) insertIDs() {
	tw.t.Helper()
	tw.same("CREATE TABLE n (id INT AUTO_INCREMENT PRIMARY KEY, v INT)")
	for first := 1; first < 20; first += 5 {
		for last := first; last < first+5; last++ {
			tw.same(fmt.Sprintf("REPLACE INTO n VALUES (%d,1),(%d,2),(%d,3),(%d,3)", first, first+1, first+2, first+3),
				fmt.Sprintf("INSERT IGNORE INTO n VALUES (%d,1),(%d,2),(%d,3)", last+100, last+101, first),
				fmt.Sprintf("INSERT IGNORE INTO n VALUES (%d,1),(%d,2),(%d,3)", first, first+1, last),
				fmt.Sprintf("INSERT INTO n VALUES (%d,7),(%d,8),(%d,8),(%d,3),(%d,3) ON DUPLICATE KEY UPDATE v=VALUES(v)",
					last+200, last+201, last+202, first, first+1))
		}
	}
	tw.same("SELECT LAST_INSERT_ID()", "SELECT * FROM n")
}

func TestSplitInsertWhoseInsertIDIsNotKnownIsRefused(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d",
			"CREATE TABLE o (customer INT, id INT AUTO_INCREMENT, number INT, v INT, PRIMARY KEY (customer, id), UNIQUE KEY (customer, number), KEY (id))",
			"INSERT INTO o VALUES (1,11,1,1),(2,12,1,1),(3,13,1,1),(4,14,1,1),(5,15,1,1)",
			"INSERT INTO o VALUES (1,21,1,2),(2,22,1,2),(3,23,1,2),(4,24,1,2),(5,25,1,2) ON DUPLICATE KEY UPDATE v=2",
			"SELECT * FROM o")
		for _, in := range []string{"SELECT 1", "BEGIN"} {
			tw.same(in)
			for _, last := range []int{4, 5} { // of one shard each, or of the same: then it is known
				q := fmt.Sprintf("INSERT INTO o VALUES (1,31,1,3),(2,32,1,3),(3,33,1,3),(%d,35,1,2) ON DUPLICATE KEY UPDATE v=VALUES(v)", last)
				if got := told(tw.proxy, q); got != told(tw.ref, q) {
					tw.refused(q, "its AUTO_INCREMENT number is not known")
					told(tw.ref, "UPDATE o SET v=2")
				}
				tw.same("SELECT customer,id,number FROM o")
			}
			tw.same("UPDATE o SET v=2")
		}
	})
}

func TestWarningsAndInsertIDOutliveTheConnectionsReturn(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE n (id INT AUTO_INCREMENT PRIMARY KEY, v INT)", "INSERT INTO n VALUES (1,1)")
		const q = "INSERT IGNORE INTO n VALUES (1,1),(1,1)"
		if got, want := told(tw.proxy, q), told(tw.ref, q); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		time.Sleep(200 * time.Millisecond) // the connection is given back meanwhile
		tw.same("SHOW WARNINGS")
		told(tw.proxy, "INSERT IGNORE INTO n VALUES (2,1),(2,2)")
		time.Sleep(200 * time.Millisecond)
		if got := told(tw.proxy, "SHOW WARNINGS"); !strings.HasPrefix(got, "1 rows") {
			t.Error(got)
		}
	})
}

func TestRowAliasIsLeftToTheServer(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE p (id INT PRIMARY KEY, v INT)", "INSERT INTO p VALUES (1,1),(2,2),(3,3)",
			"INSERT INTO p VALUES (4,4) AS new ON DUPLICATE KEY UPDATE v=new.v",
			"SELECT * FROM p")
		if tw.w.servers[0].Engine() == "mysql" {
			tw.same("INSERT INTO p VALUES (1,9),(2,8),(3,3),(5,5) AS new ON DUPLICATE KEY UPDATE v=new.v",
				"INSERT INTO p VALUES (1,9),(2,8),(3,7),(5,5) AS new(a,b) ON DUPLICATE KEY UPDATE v=b+1", "SELECT * FROM p")
		}
	})
}
