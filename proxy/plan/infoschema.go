package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"

	"xaproxy/proxy/route"
)

// infoView is a view of information_schema that is the same on one shard as on
// a server that holds everything, as long as the tables it speaks of are there.
type infoView struct {
	schema  []string // the columns that name the schema; none: the view speaks of no tables
	differs []string // the columns that differ between shards
	tables  bool     // it lists tables or what belongs to them
}

func infoViewOf(name string) (infoView, bool) {
	switch strings.ToLower(name) {
	case "character_sets", "collations", "collation_character_set_applicability", "engines", "keywords":
		return infoView{}, true
	case "schemata":
		return infoView{schema: []string{"schema_name"}}, true
	case "columns":
		return infoView{schema: []string{"table_schema"}, tables: true}, true
	case "key_column_usage", "table_constraints":
		return infoView{schema: []string{"table_schema", "constraint_schema"}, tables: true}, true
	case "referential_constraints":
		return infoView{schema: []string{"constraint_schema"}, tables: true}, true
	case "statistics":
		return infoView{schema: []string{"table_schema", "index_schema"}, differs: []string{"cardinality"}, tables: true}, true
	case "tables":
		return infoView{schema: []string{"table_schema"}, tables: true, differs: []string{"version", "table_rows", "avg_row_length",
			"data_length", "max_data_length", "index_length", "data_free", "auto_increment", "create_time", "update_time", "check_time",
			"checksum", "max_index_length", "temporary"}}, true
	}
	return infoView{}, false
}

// describeSchema plans a SELECT from information_schema: on the first shard,
// when it speaks of one schema all of whose tables are there.
func (a *analysis) describeSchema(sel *ast.SelectStmt) error {
	name := a.facts.refs[0].Name.O
	view, ok := infoViewOf(name)
	if !ok {
		return unsupported("information_schema."+name, "it describes one shard: connect to it")
	}
	if sel == nil || !a.direct(sel.From) || a.facts.selects != 1 {
		return unsupported("information_schema in a subquery or set operation", "")
	}
	for _, c := range view.differs {
		if a.facts.wildcard || slices.Contains(a.facts.columns, c) {
			return unsupported("information_schema."+name+"."+strings.ToUpper(c), "name the other columns: this one differs between shards")
		}
	}
	first := a.env.Catalog.Map().First()
	if view.schema == nil {
		a.plan.bind = oneShard{first}
		return nil
	}
	v, current, ok := a.schemaCondition(sel.Where, view.schema)
	if !ok {
		return unsupported("information_schema."+name+" without a condition "+view.schema[0]+" = '...'", "name one schema")
	}
	a.plan.bind = &described{first: first, schema: v, current: current, tables: view.tables, catalog: a.env.Catalog}
	return nil
}

// schemaCondition finds the AND-ed condition that names the schema: a value, or
// the current schema.
func (a *analysis) schemaCondition(where ast.ExprNode, columns []string) (v value, current string, ok bool) {
	if where == nil {
		return value{}, "", false
	}
	n, isOp := strip(where).(*ast.BinaryOperationExpr)
	if !isOp {
		return value{}, "", false
	}
	//nolint:exhaustive // all other operators say nothing
	switch n.Op {
	case opcode.LogicAnd:
		if v, current, ok := a.schemaCondition(n.L, columns); ok {
			return v, current, true
		}
		return a.schemaCondition(n.R, columns)
	case opcode.EQ:
		for _, side := range [2][2]ast.ExprNode{{n.L, n.R}, {n.R, n.L}} {
			if c, isColumn := strip(side[0]).(*ast.ColumnNameExpr); isColumn && slices.Contains(columns, c.Name.Name.L) {
				return a.schemaValue(side[1])
			}
		}
	}
	return value{}, "", false
}

func (a *analysis) schemaValue(e ast.ExprNode) (v value, current string, ok bool) {
	if f, isCall := strip(e).(*ast.FuncCallExpr); isCall {
		return value{}, a.env.Schema, f.FnName.L == "database" || f.FnName.L == "schema"
	}
	v = a.value(e)
	return v, "", v.kind == valueLiteral || v.kind == valueParam
}

// described binds a look at information_schema.
type described struct {
	first   route.Shard
	schema  value
	current string // the schema, when schema is no value
	tables  bool
	catalog Catalog
}

func (d *described) needsText() bool { return d.schema.kind != valueOther }

func (d *described) bind(b *binding) (Targets, error) {
	schema := d.current
	if d.schema.kind != valueOther {
		name, ok := b.plainText(d.schema)
		if !ok {
			return Targets{}, unsupported("this value for a schema's name", "give it as a string of ASCII")
		}
		schema = strings.TrimRight(name, " ")
	}
	if strings.EqualFold(schema, reservedSchema) {
		return Targets{}, accessDenied(schema)
	}
	if d.tables {
		if err := allOn(d.catalog, schema, d.first); err != nil {
			return Targets{}, err
		}
	}
	return b.everyShard(ModeOne, []route.Shard{d.first}), nil
}

// plainText is the value of a string literal or parameter of ASCII.
func (b *binding) plainText(v value) (string, bool) {
	switch v.kind {
	case valueLiteral:
		t, ok := b.literal(v.index)
		if !ok || t.kind != tokString {
			return "", false
		}
		s := unquote(b.text(t), b.flags&lexNoBackslash == 0)
		return s, isASCII(s)
	case valueParam:
		if v.index >= len(b.params) || b.params[v.index].Kind != ValueText {
			return "", false
		}
		s := string(b.params[v.index].Bytes)
		return s, isASCII(s)
	case valueOther, valueNull, valueDefault, valueInsertID, valueGenerated:
	}
	return "", false
}

// allOn refuses a look at a schema some of whose tables are not on a shard.
func allOn(c Catalog, schema string, shard route.Shard) error {
	for _, name := range c.TablesOf(schema) {
		t, err := c.Table(name.Schema, name.Name)
		if err != nil {
			return err
		}
		if !slices.Contains(t.Rule.Shards(), shard) {
			return unsupported("a list of the tables of "+schema+", some of which are on other shards", "name the table")
		}
	}
	return nil
}
