package plan

import (
	"slices"
	"strings"
	"testing"
)

// checkNumbers gives a statement its ids. The texts for the shards, which have no
// row left to number, must mean the same as the statement.
func checkNumbers(t *testing.T, p *Planner, env Env, sql string, params []Value, n *Numbering) {
	t.Helper()
	given := Given{Weights: testWeights{}, Numbered: true}
	for range n.Generated() {
		given.IDs = append(given.IDs, 100+uint64(len(given.IDs)))
	}
	targets, err := mustPlan(t, p, env, sql).BindGiven(sql, params, given)
	if err != nil {
		checkRefusal(t, err)
		return
	}
	var ids []uint64
	for _, part := range targets.Parts {
		var own []Value
		for _, i := range part.Params {
			own = append(own, params[i])
		}
		if part.Params == nil {
			own = params
		}
		plan, err := p.Plan(env, part.SQL)
		if err != nil {
			t.Fatalf("%q: %q: %v", sql, part.SQL, err)
		}
		again, err := plan.BindGiven(part.SQL, own, Given{Weights: testWeights{}, Numbered: true})
		// An UPDATE of the column goes wherever its rows may be.
		alone := plan.Class == ClassUpdate || len(again.Parts) == 1 && again.Parts[0].Shard == part.Shard || again.Copies
		if err != nil || !alone || again.Numbering != nil && again.Numbering.Generated() > 0 {
			t.Fatalf("%q: %q: %+v: %v", sql, part.SQL, again, err)
		}
		if again.Numbering != nil {
			for _, r := range again.Numbering.Rows {
				ids = append(ids, r.Given)
			}
		}
	}
	for _, id := range given.IDs {
		if !slices.Contains(ids, id) {
			t.Fatalf("%q: id %d is given to no row: %+v", sql, id, targets.Parts)
		}
	}
}

// TestPreparedNumbersKeepTheText: a statement that is executed again and again
// has one text at a shard, whatever ids its rows get.
func TestPreparedNumbersKeepTheText(t *testing.T) {
	p := New(Options{})
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
	const sql = "INSERT INTO orders (customer_id, v) VALUES (?, ?)"
	plan := mustPlan(t, p, env, sql)
	params := []Value{{Kind: ValueInt, Int: 1}, {Kind: ValueInt, Int: 2}}
	for id := uint64(5); id < 7; id++ {
		targets, err := plan.BindGiven(sql, params, Given{Numbered: true, Prepared: true, IDs: []uint64{id}})
		if err != nil || len(targets.Parts) != 1 {
			t.Fatalf("%+v: %v", targets, err)
		}
		part := targets.Parts[0]
		if part.SQL != "INSERT INTO orders (`id`, customer_id, v) VALUES (?, ?, ?)" || !slices.Equal(part.Params, []int{2, 0, 1}) || !slices.Equal(part.IDs, []uint64{id}) {
			t.Fatalf("%+v", part)
		}
	}
}

// TestManyRowsAreNumberedInOnePass bounds what numbering costs: it must not grow
// by the square of the rows.
func TestManyRowsAreNumberedInOnePass(t *testing.T) {
	p := New(Options{})
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
	const rows = 20000
	sql := "INSERT INTO auto (a) VALUES (1)" + strings.Repeat(",(1)", rows-1)
	given := Given{Numbered: true}
	for i := range rows {
		given.IDs = append(given.IDs, uint64(i+1))
	}
	targets, err := mustPlan(t, p, env, sql).BindGiven(sql, nil, given)
	if err != nil || len(targets.Parts) != 3 {
		t.Fatalf("%d parts: %v", len(targets.Parts), err)
	}
	total := 0
	for _, part := range targets.Parts {
		total += part.Rows
	}
	if total != rows {
		t.Fatalf("%d rows", total)
	}
}
