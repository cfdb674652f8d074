package plan

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"

	"xaproxy/proxy/route"
)

// block is a SELECT within a statement: the statement itself, a subquery, a
// derived table, a part of a UNION.
type block struct {
	scope
	sel   *ast.SelectStmt
	outer *block // whose columns an expression in it may name, else nil
	kind  blockKind
	top   bool // no block is around it
	// in is what its one column is looked for in: expression IN (SELECT ...).
	in    ast.ExprNode
	inner []*block // the blocks within this one and no other
	// apart says why its rows are not those that each shard makes of its own.
	apart  *Refusal
	joined int // how many sources join has passed
	// spread: of a derived table, that its rows are those of the shards' own.
	spread bool
}

type blockKind uint8

const (
	blockMain       blockKind = iota // the statement
	blockDerived                     // its rows are a table of another block, or a part of a UNION
	blockExpression                  // a value or condition for each row of the outer block
)

// leaf is a reference to a table that not every shard has the whole of. It does
// not change once the statement is planned.
type leaf struct {
	table    *Table
	column   *Column // of the source, that is the sharding key; nil: none is
	nullable bool    // an outer join may fill it up with NULL
	// of is another leaf of the group, nil for the one that stands for it: leaves
	// whose keys are equal in every row of the result, so that their rows are on
	// one shard.
	of      *leaf
	where   []predicate // of a group: conditions that every row meets
	follows *leaf       // of a group: a leaf of an outer block that has the same key
	alone   []predicate // conditions on the rows that an outer join finds
}

// group is the leaf that stands for the leaf's group.
func (l *leaf) group() *leaf {
	for l.of != nil {
		l = l.of
	}
	return l
}

// unite makes two groups one.
func (l *leaf) unite(m *leaf) {
	a, b := l.group(), m.group()
	if a == b {
		return
	}
	b.of = a
	a.where = append(a.where, b.where...)
	if a.follows == nil {
		a.follows = b.follows
	}
}

// leafOf is the leaf of a table, nil when every shard has the whole of it.
func leafOf(t *Table, nullable bool) *leaf {
	if k := t.Rule.Kind(); k != route.RuleSharded && k != route.RuleOne {
		return nil
	}
	return &leaf{table: t, column: t.column(t.Rule.Column()), nullable: nullable}
}

// takesApart finds the blocks of a statement.
type takesApart struct {
	*analysis
	all   []*block
	open  []*block
	kinds []blockKind                   // of what is open around the next SELECT
	in    map[ast.ExprNode]ast.ExprNode // what stands before the IN of a subquery
	with  map[*ast.SubqueryExpr]bool    // the queries of a WITH clause
	next  ast.ExprNode                  // what stands before the IN of the next SELECT
}

// blockOf finds the block of a SELECT among those within another one.
func (b *block) blockOf(sel *ast.SelectStmt) *block {
	for _, c := range b.inner {
		if c.sel == sel {
			return c
		}
	}
	return nil
}

// blocks takes a statement apart, the outer blocks before the inner ones.
func (a *analysis) blocks(node ast.StmtNode) []*block {
	t := &takesApart{analysis: a, in: make(map[ast.ExprNode]ast.ExprNode), with: make(map[*ast.SubqueryExpr]bool)}
	node.Accept(t)
	connection := a.connectionText()
	collate, _ := a.collations()
	for _, b := range t.all {
		b.connection, b.collate, b.mixed = connection, collate, a.mixed()
	}
	for _, b := range t.all {
		if b.top {
			a.link(b)
		}
	}
	return t.all
}

// Enter implements ast.Visitor.
func (t *takesApart) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.TableSource:
		if _, named := n.Source.(*ast.TableName); !named {
			t.kinds = append(t.kinds, blockDerived)
		}
	case *ast.SetOprStmt:
		t.kinds = append(t.kinds, blockDerived)
	case *ast.CommonTableExpression:
		t.with[n.Query] = true
	case *ast.PatternInExpr:
		if n.Sel != nil {
			t.in[n.Sel] = n.Expr
		}
	case *ast.SubqueryExpr:
		kind := blockExpression
		if t.with[n] {
			kind = blockDerived
		}
		t.kinds = append(t.kinds, kind)
		t.next = t.in[n]
	case *ast.SelectStmt:
		t.begin(n)
	}
	return n, false
}

// Leave implements ast.Visitor.
func (t *takesApart) Leave(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.TableSource:
		if _, named := n.Source.(*ast.TableName); !named {
			t.kinds = t.kinds[:len(t.kinds)-1]
		}
	case *ast.SetOprStmt, *ast.SubqueryExpr:
		t.kinds = t.kinds[:len(t.kinds)-1]
	case *ast.SelectStmt:
		t.open = t.open[:len(t.open)-1]
	}
	return n, true
}

// begin adds a block.
func (t *takesApart) begin(n *ast.SelectStmt) {
	b := &block{sel: n, in: t.next}
	t.next = nil
	if len(t.kinds) > 0 {
		b.kind = t.kinds[len(t.kinds)-1]
	}
	b.top = len(t.open) == 0
	if !b.top {
		around := t.open[len(t.open)-1]
		around.inner = append(around.inner, b)
		if b.kind == blockExpression {
			b.outer = around
		}
	}
	t.open = append(t.open, b)
	t.all = append(t.all, b)
}

// aggregatesOutside reports whether a subquery has an aggregate that belongs to a
// query around it: one that speaks of columns, but of none of the subquery's own.
func (b *block) aggregatesOutside() bool {
	o := &aggregatesOf{of: b.sel}
	b.sel.Accept(o)
	return slices.ContainsFunc(o.found, func(n *ast.AggregateFuncExpr) bool {
		m := &mention{}
		for _, arg := range n.Args {
			arg.Accept(m)
		}
		own := slices.ContainsFunc(m.columns, func(name *ast.ColumnName) bool {
			_, f := b.column(name)
			return f != foundNothing
		})
		return !own && (len(m.columns) > 0 || m.subquery)
	})
}

// aggregatesOf finds the aggregates in a SELECT, but not those in other ones
// within it.
type aggregatesOf struct {
	of    *ast.SelectStmt
	found []*ast.AggregateFuncExpr
}

// Enter implements ast.Visitor.
func (o *aggregatesOf) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.SelectStmt:
		return n, n != o.of
	case *ast.AggregateFuncExpr:
		o.found = append(o.found, n)
	}
	return n, false
}

// Leave implements ast.Visitor.
func (*aggregatesOf) Leave(n ast.Node) (ast.Node, bool) { return n, true }
