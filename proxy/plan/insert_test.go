package plan

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestExecutableCommentIsNotCached: a plan made of a text without executable
// comments is used for one with them, and the other way round.
func TestExecutableCommentIsNotCached(t *testing.T) {
	const plain, code = "INSERT INTO t (id) VALUES (1), (2)", "INSERT INTO t (id) VALUES (1) /*!40101 , (2) */"
	for _, first := range []string{plain, code} {
		p := New(Options{})
		env := Env{Schema: "app", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
		mustPlan(t, p, env, first)
		if _, err := mustPlan(t, p, env, plain).Bind(plain, nil, nil); err != nil {
			t.Errorf("after %s: %v", first, err)
		}
		if _, err := mustPlan(t, p, env, code).Bind(code, nil, nil); err == nil {
			t.Errorf("after %s: a text with an executable comment was split", first)
		}
	}
}

// TestServersStoreByTheListOfColumns: the text with the list does on every
// server what the client's text does, and stores by name when the table's
// columns have changed their places.
func TestServersStoreByTheListOfColumns(t *testing.T) {
	cat := newTestCatalog(t)
	table := &Table{Schema: "app", Name: "k", Primary: []string{"id"}, Columns: []Column{column("id", TypeInt),
		with(column("g", TypeInt), func(c *Column) { c.Generated = true }), with(column("s", TypeInt), func(c *Column) { c.Invisible = true }), column("n", TypeInt)}}
	rule, err := NewRule(cat.m, table, nil)
	if err != nil {
		t.Fatal(err)
	}
	table.Rule = rule
	cat.tables["app.k"] = table
	listed := func(text string) string {
		plan := mustPlan(t, New(Options{}), Env{Schema: "app", Charset: "utf8mb4", Catalog: cat}, text)
		targets, err := plan.Bind(text, nil, nil)
		if err != nil || targets.Parts[0].SQL == text {
			t.Fatal(targets, err)
		}
		return targets.Parts[0].SQL
	}
	onServers(t, func(t *testing.T, c *sql.Conn) {
		insert := func(text string) string {
			run(t, c, "DELETE FROM k")
			_, err := c.ExecContext(t.Context(), text)
			var refused *mysql.MySQLError
			if errors.As(err, &refused) {
				return fmt.Sprint(refused.Number)
			}
			rows, err := ask(t, c, "SELECT id, g, s, n FROM k")
			return fmt.Sprint(rows, err)
		}
		run(t, c, "CREATE TABLE k (id INT PRIMARY KEY, g INT AS (id + 1), s INT DEFAULT 3 INVISIBLE, n INT)")
		for _, mode := range []string{"", "STRICT_ALL_TABLES"} {
			run(t, c, "SET sql_mode = '"+mode+"'")
			for _, text := range []string{"INSERT INTO k VALUES (5, DEFAULT, 7)", "REPLACE k VALUES (5, DEFAULT, 7)", "INSERT IGNORE k () VALUES (5, DEFAULT, 7)",
				"INSERT INTO k VALUES (5, NULL, 7)", "INSERT INTO k VALUES (5, 9, 7)"} {
				if want, got := insert(text), insert(listed(text)); got != want {
					t.Errorf("%s (mode %q): %s, want %s", listed(text), mode, got, want)
				}
			}
		}
		run(t, c, "ALTER TABLE k MODIFY n INT FIRST")
		if got := insert(listed("INSERT INTO k VALUES (5, DEFAULT, 7)")); got != "[[{5 true} {6 true} {3 true} {7 true}]] <nil>" {
			t.Errorf("after the columns changed their places: %s", got)
		}
	})
}
