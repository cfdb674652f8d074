package app

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"xaproxy/internal/launch"
)

// placedTables are tables of every function, with keys that they are filled with.
var placedTables = map[string]struct {
	entry, other string // placements; the other one would move rows
	definition   string
	keys         []string
	nowhere      string // a key that has no place
}{
	"j": {"{ key: id }", "{ key: id, function: ring }", "BIGINT", ints(40), ""},
	"r": {"{ key: id, function: ring, weights: { s2: 2 } }", "{ key: id, function: ring }", "INT UNSIGNED", ints(40), ""},
	"s": {"{ key: id, function: slots, slots: 64 }", "{ key: id, function: slots }", "VARCHAR(20) COLLATE utf8mb4_general_ci", []string{"'a'", "'B'", "'é'", "'x y'", "''", "'ß'", "'日本'", "'k1'", "'k2'", "'k3'"}, ""},
	"m": {"{ key: id, function: mod, shards: [s0, s2] }", "{ key: id, function: mod }", "INT", append(ints(20), "-1", "-2", "-7"), ""},
	"g": {"{ key: id, function: range, ranges: [ { below: 2024-01-01, shard: s0 }, { below: 2025-01-01, shard: s1 }, { below: 2026-01-01, shard: s2 } ] }",
		"{ key: id, function: range, ranges: [ { below: 2024-02-01, shard: s0 }, { shard: s1 } ] }",
		"DATE", []string{"'2023-12-31'", "'2024-01-01'", "'2024-12-31'", "'2025-06-15'"}, "'2026-01-01'"},
	"l": {"{ key: id, function: list, values: { s0: [EU, UK], s1: [us], s2: [jp] } }", "{ key: id, function: list, values: { s0: [EU], s1: [us, uk], s2: [jp] } }",
		"CHAR(2) COLLATE utf8mb4_general_ci", []string{"'eu'", "'UK'", "'Us'", "'JP'"}, "'de'"},
	"d": {"{ key: id }", "{ key: id, shards: [s0, s1] }", "DECIMAL(10,2)", []string{"1.50", "-2", "0", "12.25", "99999999.99"}, ""},
	"t": {"{ key: id }", "{ key: id, function: slots }", "DATETIME(3)", []string{"'2024-01-01'", "'2024-01-01 10:00:00.5'", "'2024-01-01 10:00:01'", "'1999-12-31 23:59:59'"}, ""},
	"b": {"{ key: id }", "{ shard: s1 }", "BINARY(4)", []string{"x'01000000'", "x'01020000'", "'abcd'", "x'ffffffff'"}, ""},
	"c": {"{ copies: all }", "{ key: id }", "INT", ints(5), ""},
}

func ints(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint(i))
	}
	return out
}

func withTables(t *testing.T, base *Config, entry func(name string) string) *Config {
	t.Helper()
	text := threeShards
	for name := range placedTables {
		text += "  " + name + ": " + entry(name) + "\n"
	}
	c, err := ParseConfig("xaproxy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	again := *base
	again.Tables = c.Tables
	return &again
}

// TestEveryFunctionPlacesRowsOverServersOfThreeKinds: rows are found by their key
// at one shard, each is at one, and a start with another function is refused for
// the table with both rules.
func TestEveryFunctionPlacesRowsOverServersOfThreeKinds(t *testing.T) {
	servers, shards := startShards(t, launch.MySQL, launch.MariaDB1011, launch.MariaDB118)
	c := withTables(t, testConfig(t, shards), func(name string) string { return placedTables[name].entry })
	t.Run("fill", func(t *testing.T) {
		m := serve(t, c)
		db := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
		mustExec(t, db, "CREATE DATABASE f")
		for name := range placedTables {
			fillAndFind(t, db, servers, name)
		}
		// Both families have the name; each gives strings other weights.
		_, err := db.ExecContext(t.Context(), "CREATE TABLE f.w (id VARCHAR(9) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY)")
		if err == nil || !strings.Contains(err.Error(), "where a shard is MariaDB") {
			t.Errorf("a key of utf8mb4_0900_ai_ci: %v", err)
		}
	})
	t.Run("listed", func(t *testing.T) {
		var out bytes.Buffer
		if err := Placement(t.Context(), c, &out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"f.j    stored", `list-1 key="id" type=string collation=utf8mb4_general_ci at=x`, "copies=all over=0,1,2", "range-1 key=\"id\" type=date below=2024-01-01:0,2025-01-01:1,2026-01-01:2"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the list lacks %s:\n%s", want, &out)
			}
		}
	})
	t.Run("changed", func(t *testing.T) {
		m := serve(t, withTables(t, c, func(name string) string { return placedTables[name].other }))
		db := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
		for name := range placedTables {
			_, err := query(t, db, "SELECT * FROM f."+name)
			if err == nil || !strings.Contains(err.Error(), "its rows are placed by") || !strings.Contains(err.Error(), "the configuration asks for") {
				t.Errorf("%s with another placement: %v", name, err)
			}
		}
	})
	t.Run("unchanged", func(t *testing.T) {
		m := serve(t, c)
		db := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
		for name := range placedTables {
			findEach(t, db, name)
		}
	})
}

func fillAndFind(t *testing.T, db *sql.DB, servers []*launch.Server, name string) {
	t.Helper()
	p := placedTables[name]
	mustExec(t, db, "CREATE TABLE f."+name+" (id "+p.definition+" PRIMARY KEY, v INT)")
	mustExec(t, db, "INSERT INTO f."+name+" VALUES ("+strings.Join(p.keys, ",1),(")+",1)")
	findEach(t, db, name)
	total := 0
	for _, s := range servers {
		rows, err := query(t, openDB(t, s.RootDSN()), "SELECT id FROM f."+name)
		if err != nil && !strings.Contains(err.Error(), "doesn't exist") {
			t.Fatal(err)
		}
		total += len(rows)
	}
	want := len(p.keys)
	if name == "c" {
		want *= len(servers)
	}
	if total != want {
		t.Errorf("%s: %d rows at the shards, want %d", name, total, want)
	}
	if p.nowhere == "" {
		return
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO f."+name+" VALUES ("+p.nowhere+",1)"); err == nil || !strings.Contains(err.Error(), "17020") {
		t.Errorf("%s: %s was inserted: %v", name, p.nowhere, err)
	}
	rows, err := query(t, db, "SELECT id FROM f."+name+" WHERE id = "+p.nowhere)
	if err != nil || len(rows) != 0 {
		t.Errorf("%s: a key without a place finds %v (%v)", name, rows, err)
	}
}

func findEach(t *testing.T, db *sql.DB, name string) {
	t.Helper()
	for _, key := range placedTables[name].keys {
		q := "SELECT v FROM f." + name + " WHERE id = " + key
		if rows, err := query(t, db, q); err != nil || len(rows) != 1 {
			t.Errorf("%s finds %v (%v)", q, rows, err)
		}
		if parts, err := query(t, db, "EXPLAIN ROUTE "+q); err != nil || len(parts) != 1 {
			t.Errorf("%s goes to %v (%v)", q, parts, err)
		}
	}
	rows, err := query(t, db, "SELECT id FROM f."+name)
	if err != nil || len(rows) != len(placedTables[name].keys) {
		t.Errorf("%s has %d rows (%v), want %d", name, len(rows), err, len(placedTables[name].keys))
	}
}

// TestTablesAreAdoptedWhenEveryRowIsInItsPlace: what was filled past the proxy is
// refused until each row was looked at.
func TestTablesAreAdoptedWhenEveryRowIsInItsPlace(t *testing.T) {
	servers, shards := startShards(t, launch.MySQL, launch.MariaDB1011, launch.MariaDB118)
	c := withTables(t, testConfig(t, shards), func(name string) string { return placedTables[name].entry })
	t.Run("fill", func(t *testing.T) {
		m := serve(t, c)
		db := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
		mustExec(t, db, "CREATE DATABASE f")
		for name := range placedTables {
			fillAndFind(t, db, servers, name)
		}
	})
	direct := make([]*sql.DB, len(servers))
	for i, s := range servers {
		direct[i] = openDB(t, s.RootDSN())
	}
	for _, db := range direct {
		mustExec(t, db, "DELETE FROM xaproxy.placement")
	}
	m := serve(t, c)
	db := openDB(t, "app:apppw@tcp("+m.DataAddr()+")/")
	for name := range placedTables {
		if _, err := query(t, db, "SELECT * FROM f."+name); err == nil || !strings.Contains(err.Error(), "xaproxy placement adopt f."+name) {
			t.Errorf("%s without a stored placement: %v", name, err)
		}
	}
	var out bytes.Buffer
	if err := Placement(t.Context(), c, &out); err != nil || strings.Count(out.String(), "adoptable") != len(placedTables) {
		t.Errorf("%v\n%s", err, &out)
	}
	// A misplaced row of each kind.
	mustExec(t, direct[1], "INSERT INTO f.g VALUES ('2023-01-01', 1)")
	mustExec(t, direct[0], "INSERT INTO f.l VALUES ('fr', 1)")
	mustExec(t, direct[1], "UPDATE f.c SET v = 2 WHERE id = 3")
	var names []string
	for name := range placedTables {
		names = append(names, "f."+name)
	}
	out.Reset()
	if err := Adopt(t.Context(), c, names, &out); !errors.Is(err, ErrFindings) {
		t.Errorf("misplaced rows were adopted: %v", err)
	}
	for _, want := range []string{"f.j: adopted, 40 rows", "f.s: adopted, 10 rows", "2023-01-01 at s1 belongs to s0", "fr at s0 belongs to no shard", "f.c: refused: the copies are not equal", "f.m: adopted, 23 rows"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not say %s:\n%s", want, &out)
		}
	}
	mustExec(t, direct[1], "DELETE FROM f.g WHERE id = '2023-01-01'")
	mustExec(t, direct[0], "DELETE FROM f.l WHERE id = 'fr'")
	mustExec(t, direct[1], "UPDATE f.c SET v = 1 WHERE id = 3")
	out.Reset()
	if err := Adopt(t.Context(), c, []string{"f.g", "f.l", "f.c"}, &out); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if err := Adopt(t.Context(), c, []string{"f.g"}, &out); !errors.Is(err, ErrFindings) || !strings.Contains(out.String(), "is stored already") {
		t.Errorf("adopted twice: %v\n%s", err, &out)
	}
	for name := range placedTables {
		usable(t, db, name)
		findEach(t, db, name)
	}
}

// usable waits until a running proxy knows that a table was adopted.
func usable(t *testing.T, db *sql.DB, name string) {
	t.Helper()
	var err error
	for until := time.Now().Add(time.Minute); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if _, err = query(t, db, "SELECT * FROM f."+name); err == nil {
			return
		}
	}
	t.Fatal(err)
}

// TestGroupsArePlacedTogether: a table that is not placed as its group is not
// created, and tables that came into one group are refused.
func TestGroupsArePlacedTogether(t *testing.T) {
	_, shards := startShards(t, launch.MariaDB1011, launch.MariaDB1011)
	base := testConfig(t, shards)
	base.Tables = map[string]TableConfig{"a": {Key: "id", Group: "g"}, "b": {Key: "owner", Group: "g"}, "c": {Key: "id"}}
	t.Run("created", func(t *testing.T) {
		db := openDB(t, "app:apppw@tcp("+serve(t, base).DataAddr()+")/")
		mustExec(t, db, "CREATE DATABASE f")
		mustExec(t, db, "CREATE TABLE f.a (id BIGINT PRIMARY KEY)")
		_, err := db.ExecContext(t.Context(), "CREATE TABLE f.b (owner VARCHAR(10) COLLATE utf8mb4_bin PRIMARY KEY)")
		if err == nil || !strings.Contains(err.Error(), "type=int") || !strings.Contains(err.Error(), "type=string") {
			t.Errorf("a table of the group with another type: %v", err)
		}
		mustExec(t, db, "CREATE TABLE f.b (owner INT UNSIGNED PRIMARY KEY)")
		mustExec(t, db, "CREATE TABLE f.c (id VARCHAR(10) COLLATE utf8mb4_bin PRIMARY KEY)")
	})
	t.Run("loaded", func(t *testing.T) {
		c := *base
		c.Tables = map[string]TableConfig{"a": {Key: "id", Group: "g"}, "b": {Key: "owner"}, "c": {Key: "id", Group: "g"}}
		db := openDB(t, "app:apppw@tcp("+serve(t, &c).DataAddr()+")/")
		for _, name := range []string{"a", "c"} {
			if _, err := query(t, db, "SELECT * FROM f."+name); err == nil || !strings.Contains(err.Error(), "in the group g") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := query(t, db, "SELECT * FROM f.b"); err != nil {
			t.Error(err)
		}
	})
}
