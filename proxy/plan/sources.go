package plan

import (
	"slices"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// addSources adds the tables of a FROM clause.
func (a *analysis) addSources(b *block, n ast.ResultSetNode, nullable bool) {
	switch n := n.(type) {
	case *ast.Join:
		a.addJoin(b, n, nullable)
	case *ast.TableSource:
		switch of := n.Source.(type) {
		case *ast.TableName:
			b.sources = append(b.sources, a.named(n, of, nullable))
		case *ast.Join:
			a.addJoin(b, of, nullable)
		default:
			b.sources = append(b.sources, a.derived(b, n, nullable))
		}
	}
}

// named is the source that is a table, or a common table expression.
func (a *analysis) named(n *ast.TableSource, name *ast.TableName, nullable bool) source {
	table := a.site.of[name]
	s := source{name: name.Name.L, table: table, nullable: nullable}
	if table != nil {
		s.schema = table.Schema
		s.leaf = leafOf(table, nullable)
	}
	if n.AsName.L != "" {
		s.name, s.schema = n.AsName.L, ""
	}
	return s
}

func (a *analysis) addJoin(b *block, n *ast.Join, nullable bool) {
	left := len(b.sources)
	a.addSources(b, n.Left, nullable || n.Tp == ast.RightJoin)
	right := len(b.sources)
	if n.Right == nil {
		return
	}
	a.addSources(b, n.Right, nullable || n.Tp == ast.LeftJoin)
	b.natural = b.natural || n.NaturalJoin
	for _, c := range n.Using {
		if b.using == nil {
			b.using = make(map[string]int)
		}
		of := b.sourceOf(c.Name.L, left, right)
		if n.Tp == ast.RightJoin || of == unknownSource {
			of = unknownSource
		}
		b.using[c.Name.L] = of
	}
}

// sourceOf finds the one of some sources that has a column.
func (sc *scope) sourceOf(column string, from, to int) int {
	if of, ok := sc.using[column]; ok && from <= of && of < to {
		return of
	}
	found := unknownSource
	for i := from; i < to; i++ {
		t := sc.sources[i].table
		if t == nil || t.column(column) != nil && found != unknownSource {
			return unknownSource
		}
		if t.column(column) != nil {
			found = i
		}
	}
	return found
}

// derived is the source that is a derived table: its columns are those that its
// block selects. Where the block's rows are the shards' own, they have a leaf,
// whose key is the first of the block's keys that is selected.
func (a *analysis) derived(b *block, n *ast.TableSource, nullable bool) source {
	s := source{name: n.AsName.L, nullable: nullable}
	sel, _ := n.Source.(*ast.SelectStmt)
	of := b.blockOf(sel)
	if sel == nil || of == nil || len(n.ColumnNames) > 0 || n.Lateral {
		return s
	}
	if key := of.first(); key != nil {
		if of.spread = of.sharesOut(); !of.spread {
			return s
		}
		s.leaf = &leaf{table: key.table, nullable: nullable, of: key.group()}
	}
	if columns, known := of.selected(); known {
		s.table = b.tableOf(n.AsName.O, columns, s.leaf)
	}
	return s
}

// tableOf makes the table that a block's columns are, and gives its leaf the key.
func (b *block) tableOf(name string, columns []selectedColumn, l *leaf) *Table {
	t := &Table{Name: name, Columns: make([]Column, len(columns))}
	for i, c := range columns {
		t.Columns[i] = c.column
		column := &t.Columns[i]
		if l != nil && l.column == nil && c.leaf != nil && !c.leaf.nullable {
			l.column = column
		}
		if c.made != nil {
			if b.expressions == nil {
				b.expressions = make(map[*Column]expression)
			}
			b.expressions[column] = *c.made
		}
	}
	return t
}

// sharesOut reports whether each of a block's rows is made of rows of one shard,
// and the same rows are made when each shard makes its own.
func (b *block) sharesOut() bool {
	sel := b.sel
	switch {
	case b.apart != nil || b.apartWindow() != nil || sel.Limit != nil || sel.With != nil || sel.Kind != ast.SelectStmtKindSelect:
		return false
	case sel.GroupBy != nil:
		return !sel.GroupBy.Rollup && b.groupsByKey() && (!sel.Distinct || b.selectsKey())
	case aggregates(sel):
		return false
	}
	return !sel.Distinct || b.selectsKey()
}

// groupsByKey reports whether a sharding key is among what is grouped by.
func (b *block) groupsByKey() bool {
	for _, by := range b.sel.GroupBy.Items {
		if l := b.ownKey(b.groupedBy(by.Expr)); l != nil && !l.nullable {
			return true
		}
	}
	return false
}

// groupedBy is what an item of GROUP BY stands for: a name is the tables' column
// first, then one of the select list; a number alone is a place there.
func (b *block) groupedBy(e ast.ExprNode) ast.ExprNode {
	fields := b.sel.Fields.Fields
	if p, ok := e.(*ast.PositionExpr); ok {
		if p.N < 1 || p.N > len(fields) || slices.ContainsFunc(fields[:p.N], func(f *ast.SelectField) bool { return f.Expr == nil }) {
			return e
		}
		return fields[p.N-1].Expr
	}
	name, ok := simpleName(e)
	if !ok || name.Table.L != "" {
		return e
	}
	if _, f := b.column(name); f != foundNothing {
		return e
	}
	for _, f := range fields {
		if f.Expr != nil && f.AsName.L == name.Name.L {
			return f.Expr
		}
	}
	return e
}

// selectsKey reports whether a sharding key is selected, so that rows of two shards
// differ.
func (b *block) selectsKey() bool {
	for _, f := range b.sel.Fields.Fields {
		switch {
		case f.WildCard != nil && b.starsKey(f.WildCard):
			return true
		case f.WildCard != nil:
		default:
			if l := b.ownKey(f.Expr); l != nil && !l.nullable {
				return true
			}
		}
	}
	return false
}

// starsKey reports whether a * has a sharding key among its columns.
func (b *block) starsKey(n *ast.WildCardField) bool {
	for _, s := range b.sources {
		if s.leaf != nil && s.leaf.column != nil && !s.nullable && !s.leaf.column.Invisible && (n.Table.L == "" || n.Table.L == s.name) {
			return true
		}
	}
	return false
}

// aggregates reports whether a SELECT itself has aggregates.
func aggregates(sel *ast.SelectStmt) bool {
	m := &mention{}
	sel.Fields.Accept(m)
	if sel.Having != nil {
		sel.Having.Accept(m)
	}
	if sel.OrderBy != nil {
		sel.OrderBy.Accept(m)
	}
	return len(m.aggregates) > 0 || m.aggregateLike
}

// selectedColumn is a column of a derived table.
type selectedColumn struct {
	column Column
	leaf   *leaf       // whose key it is
	made   *expression // when it is no table's column
}

// expression is how the values of one compare.
type expression struct {
	form     form
	refusal  *Refusal
	text     text
	rough    bool // in sums
	quotient bool
}

// selected are the columns of a derived table, if they can be known.
func (b *block) selected() ([]selectedColumn, bool) {
	var columns []selectedColumn
	for _, f := range b.sel.Fields.Fields {
		if f.WildCard != nil {
			starred, known := b.starred(f.WildCard)
			if !known {
				return nil, false
			}
			columns = append(columns, starred...)
			continue
		}
		c := b.selectedAs(f)
		if strings.HasPrefix(c.column.Name, markString) {
			return nil, false
		}
		columns = append(columns, c)
	}
	return columns, true
}

// selectedAs is the column that an expression becomes.
func (b *block) selectedAs(f *ast.SelectField) selectedColumn {
	name := f.AsName.O
	if col, ok := b.plainColumn(f.Expr); ok {
		c := selectedColumn{column: *col.column, leaf: b.ownKey(f.Expr)}
		c.column.Nullable = c.column.Nullable || b.sources[col.source].nullable
		c.column.Invisible = false
		if m, ok := b.expressions[col.column]; ok {
			c.made = &m
		}
		if name != "" {
			c.column.Name = name
		}
		return c
	}
	if name == "" {
		name = "\x00" // its text, which is in no fingerprint
	}
	m := &expression{text: b.textOf(f.Expr), rough: b.rough(f.Expr, true), quotient: b.hasQuotient(f.Expr)}
	m.form, m.refusal = b.formOf(f.Expr)
	return selectedColumn{column: Column{Name: name, Nullable: true}, made: m}
}

// starred are the columns of a *. Those of joins that make columns one are not known.
func (b *block) starred(n *ast.WildCardField) ([]selectedColumn, bool) {
	if b.using != nil || b.natural {
		return nil, false
	}
	var columns []selectedColumn
	for _, s := range b.sources {
		if n.Table.L != "" && n.Table.L != s.name {
			continue
		}
		if s.table == nil {
			return nil, false
		}
		for i := range s.table.Columns {
			c := &s.table.Columns[i]
			if c.Invisible {
				continue
			}
			sc := selectedColumn{column: *c}
			if s.leaf != nil && s.leaf.column == c {
				sc.leaf = s.leaf
			}
			if m, ok := b.expressions[c]; ok {
				sc.made = &m
			}
			sc.column.Nullable = c.Nullable || s.nullable
			columns = append(columns, sc)
		}
	}
	return columns, true
}
