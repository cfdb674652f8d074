package proxy_test

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestExplainRouteIsGolden asks EXPLAIN ROUTE for the statements of
// testdata/explainroute.txt. A line that begins with a blank is a row or an error; the
// lines before are statements: those that begin with ! are executed. Whether a
// word of the merge is right is the merge's own test.
func TestExplainRouteIsGolden(t *testing.T) {
	const file = "testdata/explainroute.txt"
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	exec(t, c, "CREATE TABLE names (name VARCHAR(20) COLLATE utf8mb4_general_ci PRIMARY KEY, a INT)")
	exec(t, c, "CREATE TABLE one (a INT)")
	_, from0 := w.statements(0, 0)
	_, from1 := w.statements(1, 0)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range strings.Split(strings.TrimRight(string(raw), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, " "):
			continue
		case strings.HasPrefix(line, "!"):
			exec(t, c, line[1:])
		case line != "" && !strings.HasPrefix(line, "#"):
			got = append(got, line)
			for _, row := range explained(t, c, line) {
				got = append(got, "  "+row)
			}
			continue
		}
		got = append(got, line)
	}
	if text := strings.Join(got, "\n") + "\n"; *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(raw) {
		t.Errorf("got\n%s\nwant\n%s", text, raw)
	}
	for i, from := range []int{from0, from1} {
		sent, _ := w.statements(i, from)
		for _, sql := range sent {
			if !strings.Contains(sql, "balance=7") && strings.Contains(sql, "account") {
				t.Errorf("shard %d executed %q", i, sql)
			}
		}
	}
}

func explained(t *testing.T, c queryer, sql string) []string {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), "EXPLAIN ROUTE "+sql)
	if err != nil {
		return []string{"error " + err.Error()}
	}
	rows.Close()
	return values(t, c, "EXPLAIN ROUTE "+sql)
}

// TestExplainRoutePrepared: clients that prepare everything get the same.
func TestExplainRoutePrepared(t *testing.T) {
	w := newWorld(t, twoMariaDB())
	w.bank()
	c := w.conn("bank")
	stmt, err := c.PrepareContext(t.Context(), "EXPLAIN ROUTE DELETE FROM account")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	rows, err := stmt.QueryContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		n++
	}
	if err := rows.Err(); err != nil || n != len(w.servers) {
		t.Errorf("%d rows, %v", n, err)
	}
	if got := values(t, c, "SELECT id FROM account WHERE id=3"); len(got) != 1 {
		t.Errorf("a row is gone: %q", got)
	}
}
