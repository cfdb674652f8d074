package proxy_test

import "testing"

// TestSavepointsAreThoseOfOneServer compares savepoints over branches that are
// opened before and after them, and around statements that failed.
func TestSavepointsAreThoseOfOneServer(t *testing.T) {
	twins(t, worldOptions{}, func(t *testing.T, tw *twin) {
		const look = "SELECT * FROM t"
		tw.same("CREATE DATABASE d", "USE d", "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1,1),(2,2),(3,3),(4,4)",
			// Before any branch, between branches, and within a shard's own.
			"BEGIN", "SAVEPOINT a", "UPDATE t SET v=10 WHERE id=1", "SAVEPOINT b", "UPDATE t SET v=20 WHERE id=2", "UPDATE t SET v=30 WHERE id=3", look,
			"ROLLBACK TO b", look, "UPDATE t SET v=v+100", look, "ROLLBACK TO SAVEPOINT A", look, "ROLLBACK TO b", "COMMIT", look,
			// A name that is used again; releasing.
			"BEGIN", "SAVEPOINT a", "UPDATE t SET v=v+1", "SAVEPOINT `a`", "UPDATE t SET v=v+1 WHERE id<3", "ROLLBACK WORK TO a", look,
			"SAVEPOINT `x y`", "SAVEPOINT c", "DELETE FROM t", "RELEASE SAVEPOINT `x y`", "ROLLBACK TO c", "ROLLBACK TO `x y`", "ROLLBACK TO a", look, "ROLLBACK", look,
			// Around statements that fail at some shard.
			"BEGIN", "UPDATE t SET v=7 WHERE id=4", "SAVEPOINT a", "INSERT INTO t VALUES (11,1),(12,1),(13,1),(14,1)",
			"INSERT INTO t VALUES (21,1),(22,1),(23,1),(4,1)", "INSERT INTO t VALUES (21,1),(22,1),(24,1),(3,1)", look, "SAVEPOINT b",
			"UPDATE t SET id=5", look, "ROLLBACK TO b", look, "UPDATE t SET id=99 WHERE id=1", "UPDATE t SET id=98 WHERE id=2", look, "ROLLBACK TO b", look,
			"ROLLBACK TO a", look, "COMMIT", look,
			// Outside of a transaction, and with autocommit=0.
			"SAVEPOINT a", "ROLLBACK TO a", "RELEASE SAVEPOINT a", "SET autocommit=0", "SAVEPOINT a", "UPDATE t SET v=0", "ROLLBACK TO a", look,
			"RELEASE SAVEPOINT a", "RELEASE SAVEPOINT a", "ROLLBACK", "SET autocommit=1", look)
		// The proxy's own savepoint is nobody else's.
		tw.same("BEGIN", "UPDATE t SET v=1", "ROLLBACK TO `xaproxy statement`", "RELEASE SAVEPOINT `xaproxy statement`")
		tw.refused("SAVEPOINT `xaproxy statement`", "17021")
		tw.same("COMMIT", look)
	})
}
