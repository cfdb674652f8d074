package plan

import (
	"strings"
	"testing"

	"xaproxy/proxy/route"
)

// testCatalog is three shards with tables of every kind.
type testCatalog struct {
	m       *route.Map
	version uint64
	tables  map[string]*Table
	broken  map[string]*Refusal
	mixed   bool // shards of both families
}

func (c *testCatalog) Version() uint64 { return c.version }
func (c *testCatalog) Map() *route.Map { return c.m }

func (c *testCatalog) Table(schema, name string) (*Table, error) {
	if r := c.broken[schema+"."+name]; r != nil {
		return nil, r
	}
	if t := c.tables[schema+"."+name]; t != nil {
		return t, nil
	}
	return nil, &Refusal{Code: CodeNoSuchTable, Construct: "table '" + schema + "." + name + "' doesn't exist"}
}

func (c *testCatalog) TablesOf(schema string) []TableName {
	var names []TableName
	for _, t := range c.tables {
		if strings.EqualFold(t.Schema, schema) {
			names = append(names, TableName{t.Schema, t.Name})
		}
	}
	return names
}

func (c *testCatalog) OnlyMySQL() bool { return !c.mixed }

func (c *testCatalog) Collation(_, charset string) string {
	switch charset {
	case "", "utf8mb4":
		return "utf8mb4_general_ci"
	case "latin1":
		return "latin1_swedish_ci"
	}
	return ""
}

func column(name string, t ColumnType) Column {
	c := Column{Name: name, Type: t, Length: 20}
	if t == TypeChar || t == TypeVarchar {
		c.Charset, c.Collation = "utf8mb4", "utf8mb4_general_ci"
	}
	return c
}

func with(c Column, change func(*Column)) Column {
	change(&c)
	return c
}

func newTestCatalog(t testing.TB) *testCatalog {
	t.Helper()
	one, two := route.Shard(1), route.Shard(2)
	m, err := route.NewMap(route.MapConfig{
		Shards:  []route.Shard{0, 1, 2},
		Default: route.Default{Kind: route.DefaultPrimaryKey},
		Tables: map[string]route.Placement{
			"t": {Key: "id"}, "small": {Key: "id"}, "names": {Key: "name"}, "bins": {Key: "id"}, "vbins": {Key: "id"},
			"auto": {Key: "id"}, "orders": {Key: "customer_id"}, "clock": {Key: "id"}, "trig": {Key: "id"},
			"one": {Shard: &one}, "uno": {Shard: &one}, "two": {Shard: &two}, "seq": {Shard: &one},
			"kinds": {Key: "id"}, "app.items": {Key: "customer_id"}, "country": {Copies: true}, "ref": {Copies: true}, "ref2": {Copies: true}, "refauto": {Copies: true}, "refclock": {Copies: true}, "refkeys": {Copies: true}, "newcopies": {Copies: true}, "newkey": {Key: "tenant"}, "grouped": {Key: "id", Group: "g"}, "newgrouped": {Key: "owner", Group: "g"}, "newone": {Shard: &one},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &testCatalog{m: m, version: 1, tables: make(map[string]*Table), broken: make(map[string]*Refusal)}
	for _, table := range testTables() {
		rule, err := NewRule(m, table, nil)
		if err != nil {
			t.Fatal(err)
		}
		table.Rule = rule
		if err := Check(table); err != nil {
			t.Fatal(err)
		}
		c.tables[table.Schema+"."+table.Name] = table
	}
	c.broken["app.v"] = unsupported("the view v", "select from its tables")
	c.broken["app.torn"] = unsupported("the table torn, whose definitions differ", "")
	return c
}

func testTables() []*Table {
	id, a := column("id", TypeBig), column("a", TypeInt)
	b := column("b", TypeVarchar)
	text := column("c", TypeOther)
	pk := []string{"id"}
	fill := func(name string, primary []string, cols ...Column) *Table {
		return &Table{Schema: "app", Name: name, Columns: cols, Primary: primary}
	}
	auto := func(c *Column) { c.AutoInc = true }
	tables := []*Table{
		fill("t", pk, id, a, b, text),
		fill("small", pk, with(column("ID", TypeTiny), func(c *Column) { c.Unsigned = true }), a),
		fill("names", []string{"name"}, column("name", TypeVarchar), a),
		fill("bins", pk, with(column("id", TypeBinary), func(c *Column) { c.Length = 4 }), a),
		fill("vbins", pk, with(column("id", TypeVarbinary), func(c *Column) { c.Length = 4 }), a),
		fill("auto", pk, with(id, auto), a),
		fill("orders", []string{"customer_id", "id"}, column("customer_id", TypeInt), with(id, auto), column("v", TypeInt)),
		fill("clock", pk, id, with(column("made", TypeOther), func(c *Column) { c.VolatileDefault, c.ClockDefault = true, true }),
			with(column("changed", TypeOther), func(c *Column) { c.OnUpdateNow, c.VolatileDefault, c.ClockDefault = true, true, true })),
		fill("marked", pk, id, a, with(column("mark", TypeOther), func(c *Column) { c.VolatileDefault = true })),
		fill("trig", pk, id, a),
		fill("hidden", pk, id, with(column("Su`m", TypeInt), func(c *Column) { c.Generated = true }),
			with(column("secret", TypeInt), func(c *Column) { c.Invisible = true }), column("größe", TypeInt)),
		fill("one", pk, with(id, auto), a, b), fill("uno", pk, id, a), fill("two", pk, id, a), fill("seq", pk, id), fill("ref", pk, id, a),
		{Schema: "shop", Name: "t", Columns: []Column{id, a}, Primary: pk},
		{Schema: "flat", Name: "items", Columns: []Column{id, a}, Primary: pk},
	}
	tables = append(tables, fill("items", []string{"customer_id", "id"}, column("customer_id", TypeInt), id, a, with(column("n", TypeInt), func(c *Column) { c.Nullable = true })),
		fill("grouped", pk, id), fill("country", pk, id, column("name", TypeVarchar)), fill("ref2", pk, id, a), fill("refauto", pk, with(id, auto), a),
		fill("refclock", pk, id, with(column("made", TypeDatetime), func(c *Column) { c.VolatileDefault, c.ClockDefault = true, true })),
		&Table{Schema: "app", Name: "refkeys", Columns: []Column{id, a, with(b, func(c *Column) { c.VolatileDefault = true })}, Primary: pk,
			Unique: []Unique{{Name: "a", Columns: []string{"a"}}, {Name: "b", Columns: []string{"b"}}}})
	tables = append(tables, fill("kinds", pk, kindColumns()...))
	for _, t := range tables {
		t.Triggers = t.Name == "trig"
	}
	return tables
}

// testWeights is a collation in which case and trailing spaces do not count.
type testWeights struct{}

func (testWeights) Weight(r WeightRequest) (weight, space []byte, ok bool) {
	return []byte(strings.ToLower(r.Text)), []byte(" "), true
}

// kindColumns are a column of every type.
func kindColumns() []Column {
	cols := []Column{column("id", TypeBig)}
	for name, t := range map[string]ColumnType{"i": TypeInt, "dec": TypeDecimal, "f": TypeFloat, "d": TypeDouble, "bits": TypeBit, "day": TypeDate,
		"tim": TypeTime, "dt": TypeDatetime, "ts": TypeTimestamp, "y": TypeYear, "bin": TypeVarbinary, "bl": TypeBlob, "js": TypeJSON, "geo": TypeGeometry,
		"uid": TypeUUID, "inet": TypeInet} {
		cols = append(cols, column(name, t))
	}
	for name, collation := range map[string]string{"c": "utf8mb4_general_ci", "np": "utf8mb4_0900_ai_ci", "odd": "utf8mb4_czech_ci", "l1": "latin1_swedish_ci"} {
		cols = append(cols, Column{Name: name, Type: TypeVarchar, Length: 20, Charset: charsetOf(collation), Collation: collation})
	}
	for name, t := range map[string]ColumnType{"tx": TypeText, "en": TypeEnum, "st": TypeSet} {
		cols = append(cols, Column{Name: name, Type: t, Length: 65535, Charset: "utf8mb4", Collation: "utf8mb4_bin", Members: []string{"z", "a"}})
	}
	return append(cols, Column{Name: "lt", Type: TypeText, Length: 1<<31 - 1, Charset: "utf8mb4", Collation: "utf8mb4_bin"})
}
