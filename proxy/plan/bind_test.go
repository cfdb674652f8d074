package plan

import (
	"errors"
	"slices"
	"testing"

	"xaproxy/proxy/route"
)

// noWeights has not asked anybody yet.
type noWeights struct{}

func (noWeights) Weight(WeightRequest) (weight, space []byte, ok bool) { return nil, nil, false }

// TestUnknownWeightsAreAskedForAllAtOnce: the caller asks a shard, then binds again.
func TestUnknownWeightsAreAskedForAllAtOnce(t *testing.T) {
	p := New(Options{})
	env := Env{Schema: "app", Charset: "utf8mb4", Catalog: newTestCatalog(t)}
	for sql, want := range map[string][]string{
		"SELECT * FROM names WHERE name = 'abc'":                      {"abc"},
		"SELECT * FROM names WHERE name IN ('x', 'y') AND name = 'z'": {"x", "y", "z"},
		"SELECT * FROM names WHERE name IN ('x', 5) AND name = 'z'":   {"z"},
		"INSERT INTO names (name, a) VALUES ('p', 1), ('q', 2)":       {"p", "q"},
		"DELETE FROM names WHERE name = 'abc '":                       {"abc "},
	} {
		plan := mustPlan(t, p, env, sql)
		for _, w := range []Weights{nil, noWeights{}} {
			targets, err := plan.Bind(sql, nil, w)
			if err != nil || targets.Mode != ModeWeights || len(targets.Parts) != 0 {
				t.Fatalf("%s: %+v %v", sql, targets, err)
			}
			var got []string
			for _, r := range targets.Weights {
				got = append(got, r.Text)
				if r.Charset != "utf8mb4" || r.Collation != "utf8mb4_general_ci" {
					t.Errorf("%s asks %+v", sql, r)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s asks for %q, want %q", sql, got, want)
			}
		}
		if targets, err := plan.Bind(sql, nil, testWeights{}); err != nil || targets.Mode == ModeWeights {
			t.Errorf("%s with weights: %+v %v", sql, targets, err)
		}
	}
}

func TestWeightSQLDependsOnNoSetting(t *testing.T) {
	got := WeightSQL(WeightRequest{Charset: "latin1", Collation: "latin1_bin", Text: `a'\é`})
	want := "SELECT HEX(WEIGHT_STRING(CONVERT(_utf8mb4 X'61275cc3a9' USING latin1) COLLATE latin1_bin)), HEX(WEIGHT_STRING(CONVERT(_utf8mb4 X'20' USING latin1) COLLATE latin1_bin))"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := WeightSQL(WeightRequest{Charset: "utf8mb4", Collation: "utf8mb4_0900_ai_ci"}); got != "SELECT HEX(WEIGHT_STRING(CONVERT(_utf8mb4 X'' USING utf8mb4) COLLATE utf8mb4_0900_ai_ci)), ''" {
		t.Errorf("got %s", got)
	}
}

// TestTablesThatCannotBeSharded: a catalog learns why, before a statement does.
func TestTablesThatCannotBeSharded(t *testing.T) {
	cat := newTestCatalog(t)
	for name, change := range map[string]func(*Table){
		"no key column":      func(x *Table) { x.Columns = x.Columns[1:] },
		"key of other type":  func(x *Table) { x.Columns[0].Type = TypeVarchar },
		"generated key":      func(x *Table) { x.Columns[0].Generated = true },
		"primary without":    func(x *Table) { x.Primary = []string{"a"} },
		"unique without":     func(x *Table) { x.Unique = []Unique{{Name: "u", Columns: []string{"a"}}} },
		"unique of prefixes": func(x *Table) { x.Unique = []Unique{{Name: "u"}} },
		"foreign key":        func(x *Table) { x.ForeignKeys = true },
		"view":               func(x *Table) { x.View = true },
		"no rule":            func(x *Table) { x.Rule = route.Rule{} },
	} {
		table := *cat.tables["app.t"]
		table.Columns = slices.Clone(table.Columns)
		change(&table)
		var r *Refusal
		if err := Check(&table); !errors.As(err, &r) || r.Code != CodeUnsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check(cat.tables["app.t"]); err != nil {
		t.Error(err)
	}
}

func TestLikeMatchesAsServersDo(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"%", "autocommit", true}, {"auto%", "autocommit", true}, {"%commit", "autocommit", true}, {"%o%o%", "autocommit", true}, {"AUTOCOMMIT", "autocommit", true},
		{"autocommi_", "autocommit", true}, {"autocommit_", "autocommit", false}, {"auto", "autocommit", false}, {"", "autocommit", false}, {"%x%", "autocommit", false},
		{`wait\_timeout`, "wait_timeout", true}, {`wait\%timeout`, "wait_timeout", false}, {"wait_timeout", "waitxtimeout", true}, {`wait\_timeout`, "waitxtimeout", false},
		{"%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%x", "session_track_system_variables", false}, {"ä", "autocommit", true},
	} {
		if got := like(c.pattern, c.name); got != c.want {
			t.Errorf("%q LIKE %q is %v", c.name, c.pattern, got)
		}
	}
}
