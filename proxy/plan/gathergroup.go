package plan

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pingcap/tidb/pkg/parser/ast"
	"github.com/pingcap/tidb/pkg/parser/opcode"
)

// groupKey is what rows of several shards are grouped by.
type groupKey struct {
	target
	key     MergeKey
	text    text
	ordinal int // of the shards' text
}

// groups is the work on a SELECT whose groups have rows on several shards.
type groups struct {
	*gatherer
	keys []groupKey
	aggs []aggregateAt // the same numbers as Aggregates
}

// aggregateAt is an aggregate with its place in the text.
type aggregateAt struct {
	at  tokens
	pad text // of its key
}

// grouped plans groups that are made of the shards' groups. The shards' rows come
// in the order of the groups; what is asked of whole groups is taken from the
// shards' texts.
func (g *gatherer) grouped() *Refusal {
	gr := &groups{gatherer: g}
	g.out.merge.Grouped = true
	g.out.limit.pushed = g.sel.GroupBy != nil
	if g.sel.Distinct && g.sel.GroupBy != nil {
		return g.severally("DISTINCT together with GROUP BY")
	}
	if g.sel.GroupBy != nil {
		for i := range g.sel.GroupBy.Items {
			if r := gr.groupBy(i); r != nil {
				return r
			}
		}
	}
	for i := range g.items {
		if r := gr.selectItem(i); r != nil {
			return r
		}
	}
	if r := gr.having(); r != nil {
		return r
	}
	if g.sel.GroupBy == nil { // one row has no order
		return nil
	}
	return gr.order()
}

// groupBy adds item i of GROUP BY to the keys.
func (gr *groups) groupBy(i int) *Refusal {
	t, r := gr.groupItem(i)
	if r != nil {
		return r
	}
	if len(mentioned(t.expr).aggregates) > 0 {
		return gr.severally("GROUP BY of an aggregate")
	}
	// A quotient has more digits than are shown, and servers group by either.
	if col, plain := gr.scope.plainColumn(t.expr); divides(t.expr) || plain && gr.scope.expressions[col.column].quotient {
		return gr.severally("GROUP BY of a quotient")
	}
	if _, known := gr.keyFor(t); known {
		return nil
	}
	if gr.bits(t.expr) {
		return gr.severally("GROUP BY of a BIT column")
	}
	if t.listed != t.visible {
		return gr.severally("* together with GROUP BY")
	}
	k := groupKey{target: t, ordinal: t.visible + 1}
	if t.visible == notVisible {
		k.visible = int(gr.hide(gr.ofGroup(form{}, t.expr), t.at))
		k.ordinal = len(gr.items) + gr.hides
	}
	f, r := gr.scope.formOf(t.expr)
	if r != nil {
		return gr.severally(r.Construct)
	}
	k.key, k.text = MergeKey{Column: MergeColumn(k.visible), Rough: f.rough}, f.text
	if !f.itself() {
		k.key.Column = gr.hide(gr.ofGroup(f, t.expr), t.at)
	}
	gr.out.limit.pushed = gr.out.limit.pushed && gr.sortsWhole(t.expr)
	gr.keys = append(gr.keys, k)
	return nil
}

// bits reports whether an expression is a BIT column: MariaDB makes a number of it
// where it uses a temporary table, which shards may need and one server not.
func (g *gatherer) bits(e ast.ExprNode) bool {
	col, ok := g.scope.plainColumn(e)
	return ok && col.column.Type == TypeBit
}

// divides reports whether an expression's value is a quotient, or calculated of one:
// what a function makes of it (FLOOR, ROUND ...) is another number.
func divides(e ast.ExprNode) bool {
	d := &divisions{}
	e.Accept(d)
	return d.found
}

type divisions struct{ found bool }

// Enter implements ast.Visitor.
func (d *divisions) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.BinaryOperationExpr:
		d.found = d.found || n.Op == opcode.Div
	case *ast.FuncCastExpr:
		return n, true
	case *ast.FuncCallExpr:
		return n, returnsNumber(n.FnName.L)
	}
	return n, d.found
}

// Leave implements ast.Visitor.
func (d *divisions) Leave(n ast.Node) (ast.Node, bool) { return n, true }

// sortsWhole reports whether servers sort by all of a value: of long strings they
// compare the beginning, so that the first groups of two shards may be others.
func (g *gatherer) sortsWhole(e ast.ExprNode) bool {
	if col, ok := g.scope.plainColumn(e); ok {
		//nolint:exhaustive // of the other types no order is known
		switch col.column.Type {
		case TypeChar, TypeVarchar, TypeText, TypeBinary, TypeVarbinary, TypeBlob:
			return false
		}
		return true
	}
	call, ok := strip(e).(*ast.FuncCallExpr)
	return ok && returnsNumber(call.FnName.L)
}

// keyFor finds the key that a target is the same as.
func (gr *groups) keyFor(t target) (*groupKey, bool) {
	for i := range gr.keys {
		if gr.same(gr.keys[i].target, t) {
			return &gr.keys[i], true
		}
	}
	return nil, false
}

// same reports whether two targets have the same value in every row. Where that
// hangs on literals, they are compared when the statement is bound.
func (g *gatherer) same(a, b target) bool {
	if a.listed != notVisible && a.listed == b.listed || g.sameColumn(a.expr, b.expr) {
		return true
	}
	pairs, ok := g.text.alike(g.text.bare(a.at), g.text.bare(b.at))
	if ok {
		g.out.same = append(g.out.same, pairs...)
	}
	return ok
}

// alike reports whether two pieces of the text are the same if the pairs of
// tokens are whose texts are not in the fingerprint.
func (l *lexed) alike(a, b tokens) (pairs [][2]int, ok bool) {
	if a.to-a.from != b.to-b.from {
		return nil, false
	}
	for i := range a.to - a.from {
		x, y := l.toks[a.from+i], l.toks[b.from+i]
		switch {
		case x.kind != y.kind || x.kind == tokParam || x.kind == tokUserVar:
			return nil, false
		case x.kind.literal(), l.charsetName(a.from+i) != "", l.introducer(a.from + i):
			pairs = append(pairs, [2]int{a.from + i, b.from + i})
		case !strings.EqualFold(l.text(x), l.text(y)):
			return nil, false
		}
	}
	return pairs, true
}

// selectItem plans item i of the select list.
func (gr *groups) selectItem(i int) *Refusal {
	it := gr.items[i]
	if it.expr == nil {
		return gr.severally("* together with an aggregate or GROUP BY")
	}
	if _, ok := gr.keyFor(gr.listed(i)); ok {
		return nil
	}
	if agg, ok := strip(it.expr).(*ast.AggregateFuncExpr); ok {
		_, r := gr.aggregate(agg, it.at, MergeColumn(i))
		return r
	}
	if call, ok := strip(it.expr).(*ast.FuncCallExpr); ok && call.FnName.L == "any_value" && gr.sel.GroupBy != nil {
		return nil
	}
	if done, r := gr.defaulted(i); done || r != nil {
		return r
	}
	return gr.ofKeys(it.expr, "the select list")
}

// ofKeys refuses an expression that is not the same for all rows of a group.
func (gr *groups) ofKeys(e ast.ExprNode, clause string) *Refusal {
	m := mentioned(e)
	if m.subquery {
		return gr.severally("a subquery in " + clause)
	}
	if len(m.aggregates) > 0 {
		return gr.severally("an expression of " + strings.ToUpper(m.aggregates[0].F) + "() in " + clause)
	}
	if m.aggregateLike {
		return gr.severally("ANY_VALUE() or GROUPING()")
	}
	for _, name := range m.columns {
		col, f := gr.scope.column(name)
		if f != foundOne || !gr.groupsBy(col) {
			return gr.severally("the column " + name.Name.O + ", which is neither grouped by nor in an aggregate,")
		}
	}
	return nil
}

func (gr *groups) groupsBy(col sourceColumn) bool {
	for _, k := range gr.keys {
		if c, ok := gr.scope.plainColumn(k.expr); ok && c == col {
			return true
		}
	}
	return false
}

// order plans the order of the groups: the shards' own, when the client asks for
// one of the keys only, else they are sorted at the end.
func (gr *groups) order() *Refusal {
	if gr.sel.OrderBy == nil {
		gr.sorted(nil)
		return nil
	}
	var by []*groupKey
	var desc []bool
	for i, item := range gr.sel.OrderBy.Items {
		t, constant, r := gr.orderItem(i)
		if r != nil {
			return r
		}
		if constant {
			continue
		}
		k, ok := gr.keyFor(t)
		if !ok {
			gr.sorted(nil)
			return gr.finally()
		}
		if !slices.Contains(by, k) { // what comes again orders nothing
			by, desc = append(by, k), append(desc, item.Desc)
		}
	}
	for i, k := range by {
		k.key.Desc = desc[i]
	}
	gr.sorted(by)
	return nil
}

// sorted gives the shards' texts an order: first, then the other keys.
func (gr *groups) sorted(first []*groupKey) {
	var ordinals []string
	for _, k := range first {
		gr.addOrder(k, &ordinals)
	}
	for i := range gr.keys {
		gr.addOrder(&gr.keys[i], &ordinals)
	}
	gr.out.merge.Group = len(gr.out.merge.Order)
	at := gr.at.sorted
	if at.empty() {
		at = tokens{gr.at.tail, gr.at.tail}
	}
	text := "ORDER BY " + strings.Join(ordinals, ", ")
	if at.empty() {
		text = " " + text
	}
	gr.out.edits = append(gr.out.edits, edit{at, []piece{{before: text}}})
}

func (gr *groups) addOrder(k *groupKey, ordinals *[]string) {
	order := &gr.out.merge.Order
	for _, have := range *order {
		if have.Column == k.key.Column {
			return
		}
	}
	gr.pad(padOrder, len(*order), k.text)
	*order = append(*order, k.key)
	text := strconv.Itoa(k.ordinal)
	if k.key.Desc {
		text += " DESC"
	}
	*ordinals = append(*ordinals, text)
}

// finally plans the client's order of the merged groups.
func (gr *groups) finally() *Refusal {
	gr.out.limit.pushed = false
	for i, item := range gr.sel.OrderBy.Items {
		t, constant, r := gr.orderItem(i)
		if r != nil {
			return r
		}
		if constant {
			continue
		}
		key, of, r := gr.finalKey(t)
		if r != nil {
			return r
		}
		key.Desc = item.Desc
		gr.pad(padFinal, len(gr.out.merge.Final), of)
		gr.out.merge.Final = append(gr.out.merge.Final, key)
	}
	return nil
}

// finalKey is the column of the merged rows that a target is compared by.
func (gr *groups) finalKey(t target) (MergeKey, text, *Refusal) {
	if k, ok := gr.keyFor(t); ok {
		key := k.key
		key.Desc = false
		return key, k.text, nil
	}
	if agg, ok := strip(t.expr).(*ast.AggregateFuncExpr); ok {
		n, r := gr.findAggregate(agg, t.at)
		if r != nil {
			return MergeKey{}, text{}, r
		}
		a := gr.out.merge.Aggregates[n]
		if a.Func == AggregateMin || a.Func == AggregateMax {
			return a.Key, gr.aggs[n].pad, nil
		}
		return MergeKey{Column: a.Column, Rough: a.Func == AggregateAvg}, text{}, nil
	}
	for _, d := range gr.out.merge.Defaults {
		if t.visible != notVisible && d.Column == MergeColumn(t.visible) {
			return MergeKey{Column: d.Column}, text{}, nil
		}
	}
	if r := gr.ofKeys(t.expr, "ORDER BY"); r != nil {
		return MergeKey{}, text{}, r
	}
	return gr.key(t)
}
