package plan

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"xaproxy/proxy/route"
)

// predicateMaker writes conditions in which the key is compared in all ways,
// relying on precedence as often as on parentheses.
type predicateMaker struct{ *rand.Rand }

func (m predicateMaker) pick(from ...string) string { return from[m.IntN(len(from))] }

func (m predicateMaker) number() string {
	n := m.IntN(8)
	return m.pick(fmt.Sprint(n), fmt.Sprint(n), fmt.Sprint(n), fmt.Sprintf("'%d'", n), fmt.Sprintf("%d.0", n), fmt.Sprintf("%d.5", n), fmt.Sprintf("-%d", n),
		fmt.Sprintf("%de0", n), fmt.Sprintf("'%dx'", n), fmt.Sprintf("0x3%d", n), "NULL", "TRUE", "a", fmt.Sprintf("%d+0", n), fmt.Sprintf("(%d)", n), fmt.Sprintf("+%d", n))
}

func (m predicateMaker) atom() string {
	column := m.pick("id", "id", "id", "t.id", "`ID`", "(id)", "a", "-id", "!id")
	switch m.IntN(9) {
	case 0:
		return column + m.pick(" IN ", " IN ", " NOT IN ") + "(" + m.number() + ", " + m.number() + ")"
	case 1:
		return m.number() + " = " + column
	case 2:
		return column + " BETWEEN " + m.number() + " AND " + m.number()
	case 3:
		return column + " IS " + m.pick("", "NOT ") + m.pick("NULL", "TRUE")
	case 4:
		return column + m.pick(" <=> ", " < ", " >= ", " != ", " | ", " + ", " LIKE ") + m.number()
	}
	return column + " = " + m.number() + m.pick("", "", "", "", " = 1", " IN (1)", " IS TRUE", " | 2", " DIV 1", " + 1", " REGEXP '1'")
}

func (m predicateMaker) condition(depth int) string {
	if depth == 0 {
		return m.atom()
	}
	l, r := m.condition(depth-1), m.condition(m.IntN(depth))
	switch m.IntN(10) {
	case 0:
		return "(" + l + ")" + m.pick(" AND ", " OR ") + r
	case 1:
		return m.pick("NOT ", "NOT(", "! (") + l + " AND " + r
	case 2:
		return l + m.pick(" XOR ", " || ") + r
	case 3:
		return l + " OR " + r
	case 4:
		return l + " AND (" + r + ")"
	}
	return l + m.pick(" AND ", " && ") + r
}

// TestServersFindRowsOnlyWherePlanned: whatever a server with all rows finds
// is on the shards that the statement would have gone to.
func TestServersFindRowsOnlyWherePlanned(t *testing.T) {
	cat := newTestCatalog(t)
	table, err := cat.Table("app", "t")
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	onServers(t, func(t *testing.T, c *sql.Conn) {
		m := predicateMaker{rand.New(rand.NewPCG(seed, 1))}
		run(t, c, "CREATE TABLE t (id BIGINT PRIMARY KEY, a INT, b VARCHAR(20))")
		for id := -8; id < 60; id++ {
			run(t, c, fmt.Sprintf("INSERT INTO t VALUES (%d, %d, 'x%d')", id, id%3, id))
		}
		planner := New(Options{})
		narrow := 0
		for range 1500 {
			mode := m.pick("", "", "PIPES_AS_CONCAT", "HIGH_NOT_PRECEDENCE")
			text := "SELECT id FROM t WHERE " + strings.Replace(m.condition(m.IntN(4)), "NOT(", "NOT (", 1)
			text += strings.Repeat(")", max(0, strings.Count(text, "(")-strings.Count(text, ")")))
			narrow += foundWherePlanned(t, c, planner, Env{Schema: "app", Charset: "utf8mb4", SQLMode: mode, Catalog: cat}, table, text)
		}
		const least = 100
		if narrow < least {
			t.Errorf("%d statements went to less than all shards, want at least %d", narrow, least)
		}
	})
}

// foundWherePlanned returns 1 when the statement went to less than all shards.
func foundWherePlanned(t *testing.T, c *sql.Conn, p *Planner, env Env, table *Table, text string) int {
	t.Helper()
	plan, err := p.Plan(env, text)
	if err != nil {
		return 0
	}
	targets, err := plan.Bind(text, nil, nil)
	if err != nil {
		return 0
	}
	run(t, c, "SET sql_mode = '"+env.SQLMode+"'")
	found, err := ask(t, c, text)
	if err != nil {
		return 0
	}
	for _, row := range found {
		var id int64
		if _, err := fmt.Sscanf(row, "[{%d true}]", &id); err != nil {
			t.Fatal(row, err)
		}
		home, _ := table.Rule.Place(route.Key{Kind: route.KeyInt, Int: id})
		if targets.Mode == ModeAny || !slices.ContainsFunc(targets.Parts, func(p Part) bool { return p.Shard == home }) {
			t.Errorf("mode %q: %s finds row %d, which is on shard %d, but goes to %+v", env.SQLMode, text, id, home, targets)
		}
	}
	if len(targets.Parts) < 3 {
		return 1
	}
	return 0
}
