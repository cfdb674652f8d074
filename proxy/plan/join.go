package plan

import (
	"slices"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"

	"xaproxy/proxy/route"
)

// join finds out which shards' rows meet in a join, and returns its leaves.
func (a *analysis) join(b *block, n ast.ResultSetNode) []*leaf {
	switch n := n.(type) {
	case *ast.Join:
		from := b.joined
		left := a.join(b, n.Left)
		if n.Right == nil {
			return left
		}
		mid := b.joined
		right := a.join(b, n.Right)
		a.meet(b, n, side{left, from, mid}, side{right, mid, b.joined})
		return append(left, right...)
	case *ast.TableSource:
		if of, ok := n.Source.(*ast.Join); ok {
			return a.join(b, of)
		}
		b.joined++
		if l := b.sources[b.joined-1].leaf; l != nil {
			return []*leaf{l}
		}
	}
	return nil
}

// side is one side of a join: its leaves, and the numbers of its sources.
type side struct {
	leaves   []*leaf
	from, to int
}

func (s side) has(l *leaf) bool { return slices.Contains(s.leaves, l) }

// meet looks at one join. Where both sides have leaves, rows of the one must find
// those of the other on their own shard. An outer join of rows that every shard
// has would find none on some of them.
func (a *analysis) meet(b *block, n *ast.Join, left, right side) {
	outer := n.Tp == ast.LeftJoin || n.Tp == ast.RightJoin
	kept, found := left, right
	if n.Tp == ast.RightJoin {
		kept, found = right, left
	}
	if n.On != nil {
		for _, c := range conjuncts(n.On.Expr) {
			a.joinedOn(b, c, kept, found, outer)
		}
	}
	for _, c := range n.Using {
		x, y := b.keyNamed(b.sourceOf(c.Name.L, left.from, left.to), c.Name.L), b.keyNamed(b.sourceOf(c.Name.L, right.from, right.to), c.Name.L)
		if a.together(x, y) {
			x.unite(y)
		}
	}
	switch {
	case len(found.leaves) == 0 || b.apart != nil:
	case len(kept.leaves) == 0 && outer:
		b.apart = unsupported("an outer join of a reference table with the sharded table "+found.leaves[0].table.Name+" over several shards", "give the sharding key")
	case len(kept.leaves) > 0 && !meet(kept, found):
		b.apart = unsupported("a join of "+kept.leaves[0].table.Name+" and "+found.leaves[0].table.Name+" over several shards, other than by their sharding keys",
			"join by the sharding keys, or give them values")
	}
}

// joinedOn takes a condition of a join. That of an outer join holds for the rows
// that it finds only.
func (a *analysis) joinedOn(b *block, c ast.ExprNode, kept, found side, outer bool) {
	if x, y := a.equalKeys(b, c); a.together(x, y) {
		switch across := kept.has(x) && found.has(y) || kept.has(y) && found.has(x); {
		case across, !outer && (kept.has(x) || found.has(x)) && (kept.has(y) || found.has(y)):
			x.unite(y)
		}
		return
	}
	for _, k := range a.keyConditions(b, c) {
		switch {
		case !outer && !k.leaf.nullable:
			g := k.leaf.group()
			g.where = append(g.where, k.values)
		case !outer || found.has(k.leaf):
			k.leaf.alone = append(k.leaf.alone, k.values)
		}
	}
}

// meet reports whether a leaf of one side is in the group of one of the other.
func meet(a, b side) bool {
	for _, x := range a.leaves {
		if slices.ContainsFunc(b.leaves, func(y *leaf) bool { return x.group() == y.group() }) {
			return true
		}
	}
	return false
}

// link finds out what holds of the keys in a block: by WHERE and by the joins.
func (a *analysis) link(b *block) {
	for _, inner := range b.inner {
		if inner.kind == blockDerived {
			a.link(inner)
		}
	}
	if b.sel.From != nil && b.sel.From.TableRefs != nil {
		a.addSources(b, b.sel.From.TableRefs, false)
	}
	for _, c := range conjuncts(b.sel.Where) {
		a.filtered(b, c)
	}
	if b.sel.From != nil && b.sel.From.TableRefs != nil {
		a.join(b, b.sel.From.TableRefs)
	}
	a.lookUp(b)
	for _, inner := range b.inner {
		if inner.kind == blockExpression {
			a.link(inner)
		}
	}
}

// filtered takes a condition of WHERE.
func (a *analysis) filtered(b *block, c ast.ExprNode) {
	x, y := a.equalKeys(b, c)
	switch {
	case !a.together(x, y):
		for _, k := range a.keyConditions(b, c) {
			g := k.leaf.group()
			g.where = append(g.where, k.values)
		}
	case b.has(x) && b.has(y):
		if !x.nullable && !y.nullable {
			x.unite(y)
		}
	case b.has(x):
		a.follow(x, y)
	case b.has(y):
		a.follow(y, x)
	}
}

// follow notes that the rows of a block's leaf have the key of an outer block's.
func (a *analysis) follow(inner, outer *leaf) {
	if g := inner.group(); !inner.nullable && g.follows == nil {
		g.follows = outer
	}
}

// lookUp: of the rows of key IN (SELECT key ...) only those count that are on the
// key's own shard. A NULL among the others would count, too.
func (a *analysis) lookUp(b *block) {
	sel := b.sel
	if b.in == nil || b.outer == nil || sel.Fields == nil || len(sel.Fields.Fields) != 1 || sel.Limit != nil {
		return
	}
	e := sel.Fields.Fields[0].Expr
	if e == nil {
		return
	}
	x, y := b.keyIn(e), b.outer.keyIn(b.in)
	if b.has(x) && b.groupsBy(x) && !x.nullable && !x.column.Nullable && a.together(x, y) {
		a.follow(x, y)
	}
}

// groupsBy reports whether all rows that a row of the block is made of have one
// key: there is no grouping, or the key is among what is grouped by.
func (b *block) groupsBy(l *leaf) bool {
	if b.sel.GroupBy == nil {
		return b.sel.Having == nil
	}
	return slices.ContainsFunc(b.sel.GroupBy.Items, func(by *ast.ByItem) bool { return b.keyIn(by.Expr) == l })
}

// has reports whether a leaf is one of the block's own.
func (b *block) has(l *leaf) bool {
	return l != nil && slices.ContainsFunc(b.sources, func(s source) bool { return s.leaf == l })
}

// keyIn is the leaf whose key an expression names, of this block or one around it.
func (b *block) keyIn(e ast.ExprNode) *leaf {
	c, ok := strip(e).(*ast.ColumnNameExpr)
	for ok && b != nil {
		col, f := b.column(c.Name)
		switch f {
		case foundOne:
			return b.keyOf(col.source, col.column)
		case foundSeveral:
			return nil
		case foundNothing:
			b = b.outer
		}
	}
	return nil
}

// keyOf is the leaf of a source if the column is its key.
func (sc *scope) keyOf(source int, column *Column) *leaf {
	if l := sc.sources[source].leaf; l != nil && l.column != nil && l.column == column {
		return l
	}
	return nil
}

// keyNamed is the leaf of a source whose key has a name.
func (sc *scope) keyNamed(source int, name string) *leaf {
	if source == unknownSource {
		return nil
	}
	return sc.keyOf(source, sc.sources[source].table.column(name))
}

// equalKeys are the leaves whose keys a condition says to be equal.
func (a *analysis) equalKeys(b *block, c ast.ExprNode) (x, y *leaf) {
	n, ok := strip(c).(*ast.BinaryOperationExpr)
	if !ok || n.Op != opcode.EQ {
		return nil, nil
	}
	return b.keyIn(n.L), b.keyIn(n.R)
}

// together reports whether rows with equal keys are on one shard. TIMESTAMPs are
// equal in an hour that the clocks repeat, and CHAR of full length is another text.
func (a *analysis) together(x, y *leaf) bool {
	if x == nil || y == nil || x == y {
		return false
	}
	switch t := x.table.Rule.KeyType(); {
	case t == route.KeyTypeTimestamp, t == route.KeyTypeString && a.text.flags&lexPadChar != 0:
		return false
	}
	return x.table.Rule.Together(y.table.Rule)
}

// conjuncts are the conditions that a condition has AND between.
func conjuncts(e ast.ExprNode) []ast.ExprNode {
	if e == nil {
		return nil
	}
	if n, ok := strip(e).(*ast.BinaryOperationExpr); ok && n.Op == opcode.LogicAnd {
		return append(conjuncts(n.L), conjuncts(n.R)...)
	}
	return []ast.ExprNode{e}
}
