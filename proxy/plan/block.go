package plan

import (
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
	// in is what its one column is looked for in: expression IN (SELECT ...).
	in ast.ExprNode
	// apart says why its rows are not those that each shard makes of its own.
	apart  *Refusal
	joined int // how many sources join has passed
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
	nullable bool // an outer join may fill it up with NULL
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

// key is the column whose values say where the rows are, "" for a whole table.
func (l *leaf) key() string { return l.table.Rule.Column() }

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

// blocks takes a statement apart, the outer blocks before the inner ones.
func (a *analysis) blocks(node ast.StmtNode) []*block {
	t := &takesApart{analysis: a, in: make(map[ast.ExprNode]ast.ExprNode), with: make(map[*ast.SubqueryExpr]bool)}
	node.Accept(t)
	for _, b := range t.all {
		a.link(b)
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
	if b.kind == blockExpression {
		b.outer = t.open[len(t.open)-1]
	}
	t.open = append(t.open, b)
	t.all = append(t.all, b)
	if n.From != nil && n.From.TableRefs != nil {
		t.addSources(b, n.From.TableRefs, false)
	}
}

// addSources adds the tables of a FROM clause.
func (t *takesApart) addSources(b *block, n ast.ResultSetNode, nullable bool) {
	switch n := n.(type) {
	case *ast.Join:
		t.addJoin(b, n, nullable)
	case *ast.TableSource:
		switch of := n.Source.(type) {
		case *ast.TableName:
			b.sources = append(b.sources, t.named(n, of, nullable))
		case *ast.Join:
			t.addJoin(b, of, nullable)
		default:
			b.sources = append(b.sources, source{name: n.AsName.L, nullable: nullable})
		}
	}
}

// named is the source that is a table, or a common table expression.
func (t *takesApart) named(n *ast.TableSource, name *ast.TableName, nullable bool) source {
	table := t.site.of[name]
	s := source{name: name.Name.L, table: table, nullable: nullable}
	if table != nil {
		s.schema = table.Schema
		if k := table.Rule.Kind(); k == route.RuleSharded || k == route.RuleOne {
			s.leaf = &leaf{table: table, nullable: nullable}
		}
	}
	if n.AsName.L != "" {
		s.name, s.schema = n.AsName.L, ""
	}
	return s
}

func (t *takesApart) addJoin(b *block, n *ast.Join, nullable bool) {
	left := len(b.sources)
	t.addSources(b, n.Left, nullable || n.Tp == ast.RightJoin)
	right := len(b.sources)
	if n.Right == nil {
		return
	}
	t.addSources(b, n.Right, nullable || n.Tp == ast.LeftJoin)
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
