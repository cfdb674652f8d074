package plan

import (
	"database/sql"
	"strings"
	"testing"
)

// TestServersHaveTheModesThatWereEvaluated: after SET with an expression a
// server has the modes that it gets by the evaluated list.
func TestServersHaveTheModesThatWereEvaluated(t *testing.T) {
	cat := newTestCatalog(t)
	all := strings.Join(modesInOrder(), ",")
	onServers(t, func(t *testing.T, c *sql.Conn) {
		set := func(text string) (string, bool) {
			if _, err := c.ExecContext(t.Context(), text); err != nil {
				return err.Error(), false
			}
			return one(t, c, "SELECT @@sql_mode"), true
		}
		var known []string // not every server knows every mode
		for _, m := range modesInOrder() {
			if _, ok := set("SET sql_mode = '" + m + "'"); ok {
				known = append(known, m)
			}
		}
		all = strings.Join(known, ",")
		for _, mode := range []string{"", all, "NO_ENGINE_SUBSTITUTION,STRICT_TRANS_TABLES", "strict_all_tables,ONLY_FULL_GROUP_BY,NO_ZERO_DATE"} {
			for _, text := range []string{"@@sql_mode", "CONCAT(@@sql_mode, ',STRICT_ALL_TABLES')", "(SELECT REPLACE(@@sql_mode, 'ONLY_FULL_GROUP_BY', ''))",
				"REPLACE(@@sql_mode, ',STRICT_TRANS_TABLES', '')", "REPLACE(@@session.sql_mode, 'STRICT_ALL_TABLES,', '')", "CONCAT('NO_ZERO_DATE,', @@sql_mode, ',')",
				"REPLACE(@@sql_mode, 'NO_ZERO_IN_DATE,NO_ZERO_DATE', 'ANSI_QUOTES')"} {
				run(t, c, "SET sql_mode = '"+mode+"'")
				text = "SET sql_mode = " + text
				plan, err := New(Options{}).Plan(Env{Schema: "app", Charset: "utf8mb4", SQLMode: mode, Catalog: cat}, text)
				if err != nil {
					t.Errorf("%s after %q: %v", text, mode, err)
					continue
				}
				want, _ := set(text)
				if got, _ := set("SET sql_mode = '" + plan.Set[0].Value + "'"); got != want {
					t.Errorf("%s after %q: %s, want %s", text, mode, got, want)
				}
			}
		}
	})
}

func TestModeExpressionIsBounded(t *testing.T) {
	text := "SET sql_mode = " + strings.Repeat("(", 1<<20) + "@@sql_mode" + strings.Repeat(")", 1<<20)
	_, err := New(Options{}).Plan(Env{Charset: "utf8mb4", Catalog: newTestCatalog(t)}, text)
	if err == nil {
		t.Error("a million parentheses were read")
	}
}
