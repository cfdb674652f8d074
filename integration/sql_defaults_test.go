package integration

import (
	"testing"

	"xaproxy/internal/launch"
)

// TestDefaultsOfShardsThatDifferDoNotMatter: a session's sql_mode and time zone are one for all shards, whatever their
// servers' own defaults are; where that cannot be, statements are refused.
func TestDefaultsOfShardsThatDifferDoNotMatter(t *testing.T) {
	c := newClusterOf(t, launch.Options{Engine: launch.MariaDB1011},
		launch.Options{Engine: launch.MariaDB1011, Settings: map[string]string{
			"sql_mode": "ANSI_QUOTES", "default_time_zone": "'+07:00'", "transaction_isolation": "READ-COMMITTED"}})
	p := c.newProxy(t, "a", proxySettings{node: 1})
	p.up()
	s := oneConn(t, p.dsnOf(""))
	mustRun(t, s, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY, v VARCHAR(20), w VARCHAR(20))",
		"INSERT INTO d.t VALUES (1,'a','w'),(2,'b','w'),(3,'c','w'),(4,'d','w'),(5,'e','w'),(6,'f','w')")
	if _, err := s.ExecContext(t.Context(), `UPDATE d.t SET v="w2"`); err != nil {
		t.Errorf("a string in double quotes: %v", err)
	}
	if _, err := s.ExecContext(t.Context(), `UPDATE d.t SET v="w"`); err != nil {
		t.Errorf("a string in double quotes: %v", err)
	}
	one := map[string]bool{}
	rows, err := s.QueryContext(t.Context(), `SELECT CONCAT(v, FROM_UNIXTIME(0)) FROM d.t`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		one[v] = true
	}
	if err := rows.Err(); err != nil || len(one) != 1 {
		t.Errorf("one expression of equal values has %d values: %v (%v)", len(one), one, err)
	}
	// A statement that the proxy reads by one mode and a shard by another could be any statement.
	mustRun(t, s, `UPDATE d.t SET w="v"`)
	var n int
	if err := s.QueryRowContext(t.Context(), "SELECT 1 FROM d.t WHERE id=1 AND w='v'").Scan(&n); err != nil {
		t.Errorf("row 1: %v", err)
	}
	for id := 2; id <= 6; id++ {
		if err := s.QueryRowContext(t.Context(), "SELECT 1 FROM d.t WHERE w='v' AND id=?", id).Scan(&n); err != nil {
			t.Errorf("row %d has another value than the statement gave it: %v", id, err)
		}
	}
}
