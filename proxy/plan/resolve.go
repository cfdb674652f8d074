package plan

import (
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
)

// How servers find what a name stands for:
//
//	ORDER BY name        the select list (aliases, columns), then the tables
//	GROUP BY name        the tables, then the select list
//	HAVING name          the select list and GROUP BY
//	in an expression     the tables, then the select list
//
// Where two of these differ in a statement, it is refused.

// orderItem finds what item i of ORDER BY stands for, and reports whether it is
// a constant, which orders nothing.
func (g *gatherer) orderItem(i int) (t target, constant bool, r *Refusal) {
	const clause = "ORDER BY"
	at := g.at.order[i]
	if g.text.is(at.to-1, "ASC") || g.text.is(at.to-1, "DESC") {
		at.to--
	}
	e := g.sel.OrderBy.Items[i].Expr
	if isNull(e) {
		return target{}, true, nil
	}
	if p, ok := e.(*ast.PositionExpr); ok {
		t, r = g.position(p, at, clause)
	} else if name, ok := simpleName(e); ok {
		t, r = g.named(name)
	}
	if r != nil {
		return target{}, false, r
	}
	if t.expr != nil {
		constant, r = g.constantly(t.expr, clause)
		return t, constant, r
	}
	if constant, r = g.constantly(e, clause); r == nil && constant { // (1) is a position to some
		r = g.severally("ORDER BY of a constant")
	}
	if r != nil {
		return target{}, false, r
	}
	if aliases, ok := g.aliasesIn(e, at); ok {
		return target{expr: e, at: at, visible: notVisible, listed: notVisible, aliases: aliases}, false, nil
	}
	if r := g.ofTables(mentioned(e).columns, clause); r != nil {
		return target{}, false, r
	}
	return g.listedAs(e, at), false, nil
}

// constantly reports whether an expression has one value for all rows.
func (g *gatherer) constantly(e ast.ExprNode, clause string) (bool, *Refusal) {
	m := mentioned(e)
	if m.subquery {
		return false, g.severally("a subquery in " + clause)
	}
	return len(m.columns) == 0 && len(m.aggregates) == 0 && len(m.windows) == 0, nil
}

// groupItem finds what item i of GROUP BY stands for.
func (g *gatherer) groupItem(i int) (t target, r *Refusal) {
	const clause = "GROUP BY"
	at := g.at.group[i]
	if g.text.is(at.to-1, "ASC") || g.text.is(at.to-1, "DESC") {
		return target{}, g.severally("GROUP BY with ASC or DESC")
	}
	e := g.sel.GroupBy.Items[i].Expr
	if p, ok := e.(*ast.PositionExpr); ok {
		t, r = g.position(p, at, clause)
	} else if name, ok := simpleName(e); ok {
		if _, f := g.scope.column(name); f == foundNothing {
			t, r = g.named(name)
		}
	}
	if r != nil {
		return target{}, r
	}
	if t.expr == nil {
		if r := g.ofTables(mentioned(e).columns, clause); r != nil {
			return target{}, r
		}
		t = g.listedAs(e, at)
	}
	constant, r := g.constantly(t.expr, clause)
	if r == nil && constant {
		r = g.severally("GROUP BY of a constant")
	}
	return t, r
}

// position is the target of a number alone.
func (g *gatherer) position(p *ast.PositionExpr, at tokens, clause string) (target, *Refusal) {
	if at.to-at.from != 1 || g.text.toks[at.from].kind != tokInt || p.N < 1 || p.N > len(g.items) {
		return target{}, g.severally(clause + " of a position that is not in the select list")
	}
	for _, it := range g.items[:p.N] {
		if it.expr == nil {
			return target{}, g.severally(clause + " of a position together with *")
		}
	}
	return g.listed(p.N - 1), nil
}

// listed is the target that is item i of the select list.
func (g *gatherer) listed(i int) target {
	t := target{expr: g.items[i].expr, at: g.items[i].at, visible: i, listed: i}
	for _, before := range g.items[:i] {
		if before.expr == nil {
			t.visible = notVisible // how many columns the * is the servers know
		}
	}
	return t
}

// listedAs is the target of an expression, which may stand in the select list as
// the same column.
func (g *gatherer) listedAs(e ast.ExprNode, at tokens) target {
	if col, ok := g.scope.plainColumn(e); ok {
		for i, it := range g.items {
			if it.expr == nil {
				continue
			}
			if other, ok := g.scope.plainColumn(it.expr); ok && other == col {
				return g.listed(i)
			}
		}
	}
	return target{expr: e, at: at, visible: notVisible, listed: notVisible}
}

// named finds the item of the select list that has a name. The target is empty
// when none has.
func (g *gatherer) named(name *ast.ColumnName) (target, *Refusal) {
	if name.Table.L != "" {
		return target{}, nil
	}
	of := notVisible
	for i, it := range g.items {
		switch {
		case strings.HasPrefix(it.name, markString):
			return target{}, g.severally("a name in quotes without AS")
		case it.expr == nil || it.name != name.Name.L:
		case of != notVisible && !g.sameColumn(g.items[of].expr, it.expr):
			return target{}, g.severally("the name " + name.Name.O + " of several columns")
		default:
			of = i
		}
	}
	if of == notVisible {
		return target{}, nil
	}
	return g.listed(of), nil
}

func (g *gatherer) sameColumn(a, b ast.ExprNode) bool {
	x, ok := g.scope.plainColumn(a)
	y, also := g.scope.plainColumn(b)
	return ok && also && x == y
}

// ofTables refuses names in an expression that are not those of one of the tables'
// columns each.
func (g *gatherer) ofTables(names []*ast.ColumnName, clause string) *Refusal {
	for _, name := range names {
		if _, f := g.scope.column(name); f != foundOne {
			return g.severally("the name " + name.Name.O + " in an expression of " + clause)
		}
	}
	return nil
}

// connectionText is the text that functions and literals make: of the connection's
// collation, when that is known and no literal says that it is of another.
func (a *analysis) connectionText() text {
	for i, t := range a.text.toks {
		if t.kind == tokNString || a.text.introducer(i) {
			return text{kind: textUnknown}
		}
	}
	charset := charsetOf(a.env.Collation)
	if _, known := sorting(a.env.Collation); !known || charset != "utf8mb4" && charset != "utf8mb3" || a.mixed() && OneFamilyWeighs(a.env.Collation) {
		return text{kind: textUnknown}
	}
	return text{kind: textKnown, charset: charset, collation: a.env.Collation}
}

// mixed reports whether the shards may be of both families of servers.
func (a *analysis) mixed() bool {
	f, ok := a.env.Catalog.(Families)
	return !ok || !f.OnlyMySQL()
}

// collations are the tokens of the names behind COLLATE, of which there must be as
// many in the text as in the tree.
func (a *analysis) collations() (map[*ast.SetCollationExpr]int, bool) {
	at := make(map[*ast.SetCollationExpr]int)
	n := 0
	for i := range a.text.toks {
		if !a.text.is(i, "COLLATE") || a.text.op(i-1, '.') {
			continue
		}
		if n < len(a.facts.collate) {
			at[a.facts.collate[n]] = i + 1
		}
		n++
	}
	return at, n == len(a.facts.collate)
}

func simpleName(e ast.ExprNode) (*ast.ColumnName, bool) {
	c, ok := strip(e).(*ast.ColumnNameExpr)
	if !ok {
		return nil, false
	}
	return c.Name, true
}

// mention is what an expression speaks of.
type mention struct {
	columns    []*ast.ColumnName
	aggregates []*ast.AggregateFuncExpr
	subquery   bool
	windows    []*ast.WindowFuncExpr
	// aggregateLike: a function that belongs to GROUP BY and is no aggregate.
	aggregateLike bool
}

func mentioned(e ast.ExprNode) *mention {
	m := &mention{}
	e.Accept(m)
	return m
}

// Enter implements ast.Visitor.
func (m *mention) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.ColumnNameExpr:
		m.columns = append(m.columns, n.Name)
	case *ast.AggregateFuncExpr:
		m.aggregates = append(m.aggregates, n)
	case *ast.WindowFuncExpr:
		m.windows = append(m.windows, n)
	case *ast.FuncCallExpr:
		m.aggregateLike = m.aggregateLike || functions[n.FnName.L] == aggregateLike
	case *ast.SubqueryExpr:
		m.subquery = true
		return n, true
	}
	return n, false
}

// Leave implements ast.Visitor.
func (m *mention) Leave(n ast.Node) (ast.Node, bool) { return n, true }
