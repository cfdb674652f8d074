package proxy

import (
	"testing"

	"xaproxy/proxy/plan"
	"xaproxy/proxy/wire"
)

func TestInfoIsAddedUp(t *testing.T) {
	type one struct {
		rows int
		ok   wire.OK
	}
	for name, c := range map[string]struct {
		class plan.Class
		parts []one
		want  string
		split *plan.Split
	}{
		"insert": {plan.ClassInsert, []one{{2, wire.OK{Affected: 2, Info: "Records: 2  Duplicates: 0  Warnings: 1"}},
			{1, wire.OK{Affected: 1}}}, "Records: 3  Duplicates: 0  Warnings: 1", &plan.Split{}},
		"ignored row alone at its shard": {plan.ClassInsert, []one{{1, wire.OK{Affected: 0, Warnings: 1}}, {1, wire.OK{Affected: 1}}},
			"Records: 2  Duplicates: 1  Warnings: 1", &plan.Split{Ignore: true}},
		"updated, inserted and unchanged row alone": {plan.ClassInsert, []one{{1, wire.OK{Affected: 2}}, {1, wire.OK{Affected: 1}}, {1, wire.OK{}}},
			"Records: 3  Duplicates: 1  Warnings: 0", &plan.Split{Update: true}},
		"the same with ignore": {plan.ClassInsert, []one{{1, wire.OK{Affected: 2}}, {1, wire.OK{Affected: 1}}, {1, wire.OK{}}},
			"Records: 3  Duplicates: 1  Warnings: 0", &plan.Split{Update: true, Ignore: true}},
		"replaced row alone": {plan.ClassReplace, []one{{1, wire.OK{Affected: 2}}, {1, wire.OK{Affected: 1}}},
			"Records: 2  Duplicates: 1  Warnings: 0", &plan.Split{}},
		"update": {plan.ClassUpdate, []one{{0, wire.OK{Info: "Rows matched: 2  Changed: 1  Warnings: 0"}},
			{0, wire.OK{Info: "Rows matched: 3  Changed: 3  Warnings: 0"}}}, "Rows matched: 5  Changed: 4  Warnings: 0", nil},
		"delete":      {plan.ClassDelete, []one{{0, wire.OK{Affected: 2}}, {0, wire.OK{Affected: 1}}}, "", nil},
		"other words": {plan.ClassUpdate, []one{{0, wire.OK{Info: "Rows matched: 2"}}, {0, wire.OK{Info: "Zeilen: 2"}}}, "", nil},
	} {
		var s tally
		for _, p := range c.parts {
			s.add(c.class, c.split, plan.Part{Rows: p.rows}, p.ok)
		}
		if got := s.info(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestColumnsOfShardsMustFit(t *testing.T) {
	a := wire.Column{Name: "n", Type: wire.TypeLong, Collation: 63, Flags: 1, Length: 11}
	same := a
	same.Flags, same.Length = 0x1001, 10 // described otherwise by another family
	if d := difference(a, same); d != "" {
		t.Errorf("%s differs", d)
	}
	text := wire.Column{Name: "s", Type: wire.TypeVarString, Collation: 45, Decimals: 31}
	sorted := text // by way of a temporary table
	sorted.Type, sorted.Decimals = wire.TypeBlob, 0
	if d := difference(text, sorted); d != "" {
		t.Errorf("%s of a string differs", d)
	}
	for _, change := range []func(*wire.Column){
		func(c *wire.Column) { c.Name = "m" }, func(c *wire.Column) { c.Type = wire.TypeDouble }, func(c *wire.Column) { c.Type, c.OrgTable = wire.TypeLongLong, "t" },
		func(c *wire.Column) { c.Flags |= flagUnsigned }, func(c *wire.Column) { c.Collation = 45 },
		func(c *wire.Column) { c.Decimals = 2 },
	} {
		b := a
		change(&b)
		if difference(a, b) == "" {
			t.Errorf("%+v is taken for %+v", b, a)
		}
	}
}
