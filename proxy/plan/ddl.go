package plan

import (
	"errors"
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/types"

	"xaproxy/proxy/route"
)

// define plans CREATE, DROP, ALTER, TRUNCATE and RENAME.
func (p *Planner) define(env *Env, s *scratch, word string) (*Plan, error) {
	if r := refusedObject(&s.lexed); r != nil {
		return nil, r
	}
	node, err := p.parse(string(s.canonical(s.key[:0])), s.flags)
	if err != nil {
		return nil, err
	}
	d := &definition{env: env, lexed: &s.lexed, plan: &Plan{Class: ClassDDL, ImplicitCommit: true, DDL: &DDL{}, flags: s.flags}}
	if err := d.statement(node, word); err != nil {
		return nil, err
	}
	d.plan.Tables = d.plan.DDL.Tables
	return d.plan, nil
}

// refusedObject names the objects that cannot be defined through the proxy.
func refusedObject(l *lexed) *Refusal {
	for i := 1; i < len(l.toks) && i < 12; i++ {
		for _, w := range [...]string{"VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "SEQUENCE", "USER", "ROLE", "SERVER", "TABLESPACE", "INSTANCE", "LOGFILE", "PACKAGE", "SPATIAL"} {
			if l.is(i, w) && !l.op(i-1, '.') && !l.is(i-1, "TABLE") {
				return unsupported(strings.ToUpper(l.text(l.toks[0]))+" "+w, "it would live on the shards: define it there, if it touches one shard only")
			}
		}
		if l.toks[i].kind == tokOp || l.is(i, "TABLE") || l.is(i, "INDEX") || l.is(i, "DATABASE") || l.is(i, "SCHEMA") {
			break
		}
	}
	return nil
}

// definition is the work on one definition statement.
type definition struct {
	*lexed
	env  *Env
	plan *Plan
}

func (d *definition) statement(node ast.StmtNode, word string) error {
	switch n := node.(type) {
	case *ast.CreateTableStmt:
		return d.createTable(n)
	case *ast.AlterTableStmt:
		return d.alterTable(n)
	case *ast.DropTableStmt:
		return d.dropTable(n)
	case *ast.TruncateTableStmt:
		return d.truncate(n)
	case *ast.CreateIndexStmt:
		return d.createIndex(n)
	case *ast.DropIndexStmt:
		return d.changed(n.Table, DDLAlterTable)
	case *ast.CreateDatabaseStmt:
		if err := d.schema(DDLCreateSchema, n.Name.O); err != nil {
			return err
		}
		d.plan.bind = allShards{d.env.Catalog.Map().Shards(), d.alike(n.Options)}
		return nil
	case *ast.AlterDatabaseStmt:
		if n.AlterDefaultDatabase {
			return d.schema(DDLAlterSchema, d.env.Schema)
		}
		return d.schema(DDLAlterSchema, n.Name.O)
	case *ast.DropDatabaseStmt:
		return d.schema(DDLDropSchema, n.Name.O)
	}
	if _, rename := node.(*ast.RenameTableStmt); rename {
		return unsupported("RENAME TABLE", "create a table of the new name, copy the rows, drop the old one")
	}
	return unsupported(word+" of this kind ("+nodeName(node)+")", "")
}

func (d *definition) schema(verb DDLVerb, name string) error {
	if name == "" {
		return &Refusal{Code: CodeNoDatabase, Construct: "no database selected"}
	}
	info, err := checkSchema(name)
	if err == nil {
		err = systemDefinition(info)
	}
	if err != nil {
		return err
	}
	d.plan.DDL.Verb, d.plan.DDL.Schema = verb, name
	if verb == DDLDropSchema {
		d.plan.DDL.Renumbers = true
		for _, t := range d.env.Catalog.TablesOf(name) {
			if t.Schema == name {
				d.plan.DDL.Tables = append(d.plan.DDL.Tables, t)
			}
		}
	}
	d.plan.bind = allShards{shards: d.env.Catalog.Map().Shards()}
	return nil
}

// alike is what a CREATE DATABASE must say in addition, so that the tables of the
// schema are alike on shards whose defaults differ.
func (d *definition) alike(options []*ast.DatabaseOption) string {
	charset := ""
	for _, o := range options {
		if o.Tp == ast.DatabaseOptionCollate {
			return ""
		}
		if o.Tp == ast.DatabaseOptionCharset {
			charset = d.namedCharset() // the parser was given another name
		}
	}
	defaults, ok := d.env.Catalog.(Defaults)
	if !ok {
		return ""
	}
	if c := defaults.SchemaDefault(charset); c != "" {
		return "DEFAULT COLLATE " + c
	}
	return ""
}

// namedCharset is the character set that a CREATE DATABASE names.
func (d *definition) namedCharset() string {
	for i := range d.toks {
		if !d.is(i, "CHARSET") && (!d.is(i, "SET") || !d.is(i-1, "CHARACTER")) {
			continue
		}
		if i++; d.op(i, '=') {
			i++
		}
		if i < len(d.toks) {
			return strings.Trim(d.name(d.toks[i]), `'"`)
		}
	}
	return ""
}

func systemDefinition(is bool) error {
	if !is {
		return nil
	}
	return unsupported("a definition in information_schema", "")
}

// resolve completes a table's name and refuses those of the server's own schemas.
func (d *definition) resolve(t *ast.TableName) (TableName, error) {
	schema := t.Schema.O
	if schema == "" {
		schema = d.env.Schema
	}
	if schema == "" {
		return TableName{}, &Refusal{Code: CodeNoDatabase, Construct: "no database selected"}
	}
	info, err := checkSchema(schema)
	if err == nil {
		err = systemDefinition(info)
	}
	return TableName{schema, t.Name.O}, err
}

// table finds an existing table.
func (d *definition) table(t *ast.TableName) (*Table, error) {
	name, err := d.resolve(t)
	if err != nil {
		return nil, err
	}
	return d.env.Catalog.Table(name.Schema, name.Name)
}

// changed plans a definition that goes unchanged to all shards of a table.
func (d *definition) changed(name *ast.TableName, verb DDLVerb) error {
	t, err := d.table(name)
	if err != nil {
		return err
	}
	d.onTable(t, verb)
	return nil
}

func (d *definition) onTable(t *Table, verb DDLVerb) {
	d.plan.DDL.Verb = verb
	d.plan.DDL.Tables = []TableName{{t.Schema, t.Name}}
	d.plan.bind = allShards{shards: t.Rule.Shards()}
}

func (d *definition) truncate(n *ast.TruncateTableStmt) error {
	t, err := d.table(n.Table)
	if err != nil {
		return err
	}
	d.onTable(t, DDLTruncateTable)
	d.plan.DDL.Renumbers = true
	return nil
}

// dropTable: with IF EXISTS a table that cannot be used (a CREATE that failed
// on some shards) is dropped wherever it is.
func (d *definition) dropTable(n *ast.DropTableStmt) error {
	if n.IsView || n.TemporaryKeyword != ast.TemporaryNone {
		return unsupported("DROP of a view or temporary table", "")
	}
	d.plan.DDL.Verb, d.plan.DDL.IfExists, d.plan.DDL.Renumbers = DDLDropTable, n.IfExists, true
	var shards []route.Shard
	for _, ref := range n.Tables {
		name, err := d.resolve(ref)
		if err != nil {
			return err
		}
		on, err := d.droppedFrom(name, n.IfExists)
		if err != nil {
			return err
		}
		if shards != nil && !slices.Equal(shards, on) {
			return unsupported("DROP TABLE of tables on different shards", "drop them one by one")
		}
		shards = on
		d.plan.DDL.Tables = append(d.plan.DDL.Tables, name)
	}
	d.plan.bind = allShards{shards: shards}
	return nil
}

func (d *definition) droppedFrom(name TableName, ifExists bool) ([]route.Shard, error) {
	t, err := d.env.Catalog.Table(name.Schema, name.Name)
	if err == nil {
		return t.Rule.Shards(), nil
	}
	var r *Refusal
	if ifExists && errors.As(err, &r) && (r.Code == CodeNoSuchTable || r.Code == CodeUnsupported || r.Code == CodeUnusable) {
		return d.env.Catalog.Map().Shards(), nil
	}
	if errors.As(err, &r) && r.Code == CodeNoSuchTable {
		return nil, &Refusal{Code: CodeUnknownTable, Construct: "unknown table '" + name.Schema + "." + name.Name + "'"}
	}
	return nil, err
}

func (d *definition) createIndex(n *ast.CreateIndexStmt) error {
	t, err := d.table(n.Table)
	if err != nil {
		return err
	}
	if n.KeyType == ast.IndexKeyTypeUnique {
		if err := uniqueAdded(t, n.IndexName, n.IndexPartSpecifications); err != nil {
			return err
		}
	}
	d.onTable(t, DDLAlterTable)
	return nil
}

// uniqueAdded refuses a new unique key without the sharding key.
func uniqueAdded(t *Table, name string, parts []*ast.IndexPartSpecification) error {
	if t.Rule.Kind() != route.RuleSharded || containsFold(fullColumns(parts), t.Rule.Column()) {
		return nil
	}
	return lacksKey(t, Unique{Name: name}, t.Rule.Column())
}

// lacksKey refuses a unique key. One without a name is told by its columns.
func lacksKey(t *Table, u Unique, key string) error {
	if u.Name == "" {
		u.Name = "(" + strings.Join(u.Columns, ", ") + ")"
	}
	return unsupported("UNIQUE key "+u.Name+" of "+t.Name+" without the sharding key "+key, "add the key to it: a shard knows its own rows only")
}

// fullColumns are the columns that a key has in full, not as a prefix.
func fullColumns(parts []*ast.IndexPartSpecification) []string {
	var names []string
	for _, p := range parts {
		if p.Column != nil && p.Length == types.UnspecifiedLength {
			names = append(names, p.Column.Name.O)
		}
	}
	return names
}
